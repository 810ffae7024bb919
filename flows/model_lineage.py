"""What a store knows of a trained SANE: which is meant, what it was made from, how it did.

A benchmark leaves several models: its own, one per setting of an ablation, a baseline, sharpened
ones. Its own is the one that its report is of. A sharpened model has the encoder of the model that
it was made of, so that what was measured of embeddings holds for it too.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from flows.augmented import augmented_of
from schemas.config.embed import EmbedConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.errors import UserError
from schemas.records import Artifact, Manifest
from tasks.store import Store

if TYPE_CHECKING:
    from sane_core.api.sane import Sane

_HELD_OUT = re.compile(
    r"pretrain\.validation_|evaluation\.(validation|test)\.|probe\.r2\.\w+\.sane_"
)
"""Metrics that a bundle keeps: its own, measured on runs that it was not trained on."""

MODELS = ("model", "sharpen")
"""Stages that make a model."""

PASSES = ("embeddings", "evaluation")
"""Stages that pass whole networks through a model, in the chunks of its benchmark: first those
that say in how many views."""


Made = tuple[Store, Artifact, Manifest]
"""A store, something in it, and what it was made from."""

_LACKING = {
    "embeddings": "name a table of embeddings (--in)",
    "probes": "name their file (--probes)",
}
"""What a user may do instead, where a store lacks what a stage makes of a model."""


def model_of(source: str, *, having: str | None = None) -> tuple[Store, Artifact, Manifest]:
    """Return a store and a model in it.

    Args:
        source: A store, for the model of its newest report, or its newest model where no report
            was made; or the folder or URI of a model, `STORE/model/KEY` or `STORE/sharpen/KEY`.
        having: A stage, such as embeddings: a model that it was run with goes before newer ones
            that it was not.

    Raises:
        UserError: If there is no such model.
    """
    store = Store(source)
    models = _reported(store) or store.artifacts("model")
    for stage in () if models else MODELS:
        root, _, key = source.rstrip("/").rpartition(f"/{stage}/")
        if root:
            store = Store(root)
            models = [pair for pair in store.artifacts(stage) if pair[1].key == key]
    if not models:
        raise UserError(
            f"{source} must be a store with a trained model, or a model in one (STORE/model/KEY, "
            "STORE/sharpen/KEY), got none; train one with `sane run`"
        )
    if having is not None:
        models = [pair for pair in models if made_of(store, having, pair[0])] or models
    return store, *models[-1]


def pretrained(store: Store, model: Artifact) -> Artifact:
    """Return the model whose encoder a model has: itself, or what its decoder was sharpened of."""
    return store.manifest(model).inputs["model"] if model.kind == "sharpen" else model


def tokens_of(store: Store, model: Manifest) -> list[Artifact]:
    """Return the tokens of the windows that a model was trained on, zoo by zoo."""
    windows = {
        int(name.partition("_")[2] or 0): artifact
        for name, artifact in model.inputs.items()
        if name.startswith("windows")
    }
    return [store.manifest(windows[i]).inputs["tokens"] for i in sorted(windows)]


def sane_of(
    store: Store,
    model: Artifact,
    name: str,
    licence: str = "apache-2.0",
    metrics: dict[str, float] | None = None,
    device: str = "cpu",
    embed: EmbedConfig | None = None,
) -> "Sane":
    """Return a trained SANE, put together from a model of a store and all it was made from.

    Args:
        store: Where all of it lies.
        model: The model.
        name: What the SANE is called.
        licence: Of its weights.
        metrics: Measured on held-out runs.
        device: Where it runs.
        embed: How it embeds; as networks were last embedded with it, if not given.

    Raises:
        ValueError: If tokens, model and zoos do not fit together.
    """
    from sane_core.api.sane import Sane

    encoder = pretrained(store, model)
    tokens = tokens_of(store, store.manifest(encoder))
    made = [store.manifest(each) for each in tokens]
    return Sane.from_artifacts(
        [store.open(each).folder for each in tokens],
        store.open(model).folder,
        name=name,
        zoos=[store.open(each.inputs["zoo"]).folder for each in made],
        preprocess=PreprocessConfig.model_validate(made[0].config),
        embed=embed or embedding_of(store, encoder),
        seed=made[0].seed,
        licence=licence,
        metrics=metrics,
        embeddings=_embeddings_by_zoo(store, encoder, tokens),
        augmented=[augmented_of(store, each) for each in tokens],
        device=device,
    )


def made_of(store: Store, stage: str, model: Artifact) -> list[tuple[Artifact, Manifest]]:
    """Return what a stage made of a model, the newest last."""
    made = [pair for pair in store.artifacts(stage) if "model" in pair[1].inputs]
    return [pair for pair in made if pair[1].inputs["model"].digest == model.digest]


def _embeddings_by_zoo(store: Store, model: Artifact, tokens: list[Artifact]) -> list[Path]:
    """Return the table of each zoo's embeddings by a model, the newest; none if one is missing."""
    newest = {
        made.inputs["tokens"].digest: each for each, made in made_of(store, "embeddings", model)
    }
    if not all(each.digest in newest for each in tokens):
        return []
    folders = [store.open(newest[each.digest]).folder for each in tokens]
    return [folder / "embeddings.parquet" for folder in folders]


def newest_of_zoo(
    store: Store, stage: str, model: Artifact, manifest: Manifest, zoo: str | None
) -> Made:
    """Return the newest that a stage made of a model and one of its zoos.

    Args:
        store: Where it lies.
        stage: `embeddings` or `probes`.
        model: The model.
        manifest: Its manifest.
        zoo: Name of the zoo, of several.

    Raises:
        UserError: If there is nothing, or it is not said of which zoo.
    """
    by_zoo = _by_zoo(store, stage, model, manifest)
    if not by_zoo:
        raise UserError(
            f"{store.uri} must hold {stage} by model {model.digest[:12]}, got none; run "
            f"the experiment probe (`sane run`), or {_LACKING[stage]}"
        )
    if zoo is None and len(by_zoo) > 1:
        raise UserError(f"the SANE knows the zoos {', '.join(by_zoo)}; say which is meant (--zoo)")
    if zoo is not None and zoo not in by_zoo:
        raise UserError(f"zoo must be one of {', '.join(by_zoo)}, got {zoo!r}")
    return (store, *by_zoo[zoo or next(iter(by_zoo))])


def made_at(place: Path, stage: str) -> Made | None:
    """Return what a stage made in a folder, or with a file in it; None for a mere file."""
    folder = place if place.is_dir() else place.parent
    if not (folder / "manifest.json").is_file():
        return None
    store = Store(folder.resolve().parents[1])
    found = [pair for pair in store.artifacts(stage) if pair[1].key == folder.resolve().name]
    return (store, *found[0]) if found else None


def embedding_of(store: Store, model: Artifact) -> EmbedConfig:
    """Return the chunk, the halo and the views that networks were last embedded with.

    Where no zoo was embedded, the chunk and halo of its evaluation; the default if never.
    """
    for stage in PASSES:
        if made := made_of(store, stage, model):
            return EmbedConfig.model_validate(made[-1][1].config["embed"]).embedding()
    return EmbedConfig()


def held_out(store: Store, model: Artifact, manifest: Manifest) -> dict[str, float]:
    """Return what was measured of it on held-out runs, the newest of each."""
    found = dict(manifest.metrics)
    for stage in ("evaluation", "probes"):
        # Probes ask the encoder alone, which sharpening leaves as it is.
        asked = pretrained(store, model) if stage == "probes" else model
        for _, made in made_of(store, stage, asked):
            found |= made.metrics
    return {name: value for name, value in found.items() if _HELD_OUT.match(name)}


def _reported(store: Store) -> list[tuple[Artifact, Manifest]]:
    """Return the models that reports are of, in the order of the reports."""
    models = {model.digest: (model, manifest) for model, manifest in store.artifacts("model")}
    digests = [
        report.inputs["model"].digest
        for _, report in store.artifacts("report")
        if "model" in report.inputs
    ]
    return [models[digest] for digest in digests if digest in models]


def _by_zoo(
    store: Store, stage: str, model: Artifact, manifest: Manifest
) -> dict[str, tuple[Artifact, Manifest]]:
    """Return zoo -> the newest that a stage made of it and a model."""
    from sane_core.analysis.map import read_checkpoints

    newest = {made[1].inputs["tokens"].digest: made for made in made_of(store, stage, model)}
    found = {}
    for tokens in tokens_of(store, manifest):
        if tokens.digest in newest:
            zoo = store.open(store.manifest(tokens).inputs["zoo"]).folder
            found[str(read_checkpoints(zoo)["zoo"][0].as_py())] = newest[tokens.digest]
    return found
