"""What the finished experiments of a store are: their files, their zoo, their seed.

Manifests are read, and of the artifacts only the files that are named; nothing is computed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sane_core.reporting.beside.outcome import Outcome, Subject, target_of
from schemas.errors import DamagedArtifact, SaneError
from schemas.records import Artifact, Manifest
from tasks.counterparts import CHECKPOINTS, architecture_of, beside, images_config, name_of_zoo
from tasks.store import Store
from tasks.store_records import place_in_uri

READ = (
    "accuracy.parquet",
    "ensembles.parquet",
    "samples.parquet",
    "front.parquet",
    "probes.parquet",
    "predictions.parquet",
    "views.parquet",
    "inference.parquet",
    "target.json",
)
"""Files that tables are collected from; the others of an artifact are not looked at."""
FACTS = "target.json"


@dataclass(frozen=True)
class Found:
    """What was found.

    Attributes:
        outcomes: In the order they were made.
        left_out: Which artifacts could not be used, and why, in sentences.
    """

    outcomes: tuple[Outcome, ...]
    left_out: tuple[str, ...]


def outcomes_of(store: Store, stages: Sequence[str]) -> Found:
    """Return the outcomes of stages.

    Args:
        store: Where to look.
        stages: Names of stages that experiments end with.
    """
    lineage = Lineage(store)
    made = [pair for stage in stages for pair in store.artifacts(stage)]
    outcomes, left_out = [], []
    for artifact, manifest in sorted(made, key=lambda pair: pair[1].created):
        place = f"{manifest.stage}/{manifest.key}"
        try:
            outcomes.append(_outcome(store, lineage, artifact, manifest))
        except SaneError as error:
            left_out.append(f"{place} was left out: {error}")
    return Found(tuple(outcomes), tuple(left_out))


class Lineage:
    """Manifests by artifact. Unlike `Store.manifest` it never un-commits what it does not find."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stages: dict[str, dict[str, tuple[Artifact, Manifest]]] = {}

    def find(self, artifact: Artifact) -> tuple[Artifact, Manifest] | None:
        """Return an artifact as it lies in this store; None if it is not there any more."""
        place = place_in_uri(artifact)
        stage = place.split("/")[0]
        if stage not in self._stages:
            made = self._store.artifacts(stage)
            self._stages[stage] = {f"{m.stage}/{m.key}": (a, m) for a, m in made}
        found = self._stages[stage].get(place)
        return found if found and found[0].digest == artifact.digest else None

    def zoo_of(self, manifest: Manifest) -> tuple[Artifact, Manifest]:
        """Return the zoo that an experiment is on: its own input, or that of its tokens.

        Raises:
            DamagedArtifact: It is not in the store any more.
        """
        given = manifest.inputs.get("zoo")
        if given is None and (tokens := manifest.inputs.get("tokens")):
            read = self.find(tokens)
            given = read[1].inputs.get("zoo") if read else None
        found = self.find(given) if given else None
        if found is None:
            raise DamagedArtifact("the zoo it is of is not in this store any more")
        return found

    def images_of(self, images: Artifact | None) -> Mapping[str, object] | None:
        """Return how images were configured, as far as they are still there."""
        found = self.find(images) if images else None
        return images_config(found[1]) if found else None

    def configuration(self, manifest: Manifest) -> str:
        """Return a hash of all that was configured from the zoo on, seeds apart."""
        text = json.dumps(self._described(manifest), sort_keys=True)
        return sha256(text.encode()).hexdigest()

    def _described(self, manifest: Manifest) -> dict[str, Any]:
        inputs = {name: self.find(given) for name, given in sorted(manifest.inputs.items())}
        return {
            "stage": manifest.stage,
            "config": manifest.config,
            "inputs": {
                name: self._described(found[1]) if found else manifest.inputs[name].digest
                for name, found in inputs.items()
            },
        }


def _outcome(store: Store, lineage: Lineage, artifact: Artifact, manifest: Manifest) -> Outcome:
    zoo, of_zoo = lineage.zoo_of(manifest)
    opened = store.open_part(zoo, (CHECKPOINTS,)).folder
    seen = lineage.images_of(of_zoo.inputs.get("images"))
    shown = seen or lineage.images_of(manifest.inputs.get("images")) or {}
    subject = Subject(
        name_of_zoo(of_zoo),
        architecture_of(opened),
        str(shown.get("dataset", "")),
        beside(opened, of_zoo, seen),
    )
    folder = store.open_part(artifact, _named(manifest.files)).folder
    facts = json.loads((folder / FACTS).read_text()) if FACTS in manifest.files else {}
    return Outcome(
        stage=manifest.stage,
        zoo=subject,
        folder=folder,
        config=manifest.config,
        key=manifest.key,
        seed=manifest.seed,
        configuration=lineage.configuration(manifest),
        onto=target_of(manifest.config, facts),
        facts=facts,
        images=lineage.images_of(manifest.inputs.get("images")),
    )


def _named(files: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in files if name in READ)
