"""What a store knows of a trained SANE: which is meant, what it was made from, how it did.

A benchmark leaves several models: its own, one per setting of an ablation, a baseline. Its own is
the one that its report is of.
"""

import re
from typing import TYPE_CHECKING

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

PASSES = ("embeddings", "evaluation")
"""Stages that pass whole networks through a model, in the chunks of its benchmark: first those
that say in how many views."""


def model_of(source: str, *, embedded: bool = False) -> tuple[Store, Artifact, Manifest]:
    """Return a store and a model in it.

    Args:
        source: A store, for the model of its newest report, or its newest model where no report
            was made; or the folder or URI of a model, `STORE/model/KEY`.
        embedded: Whether a model that a zoo was embedded with goes before newer ones without.

    Raises:
        UserError: If there is no such model.
    """
    store = Store(source)
    models = _reported(store) or store.artifacts("model")
    root, _, key = source.rstrip("/").rpartition("/model/")
    if root and not models:
        store = Store(root)
        models = [pair for pair in store.artifacts("model") if pair[1].key == key]
    if not models:
        raise UserError(
            f"{source} must be a store with a trained model, or a model in one (STORE/model/KEY), "
            "got none; train one with `sane run`"
        )
    if embedded:
        models = [pair for pair in models if embeddings_of(store, pair[0])] or models
    return store, *models[-1]


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

    tokens = tokens_of(store, store.manifest(model))
    made = [store.manifest(each) for each in tokens]
    return Sane.from_artifacts(
        [store.open(each).folder for each in tokens],
        store.open(model).folder,
        name=name,
        zoos=[store.open(each.inputs["zoo"]).folder for each in made],
        preprocess=PreprocessConfig.model_validate(made[0].config),
        embed=embed or embedding_of(store, model),
        seed=made[0].seed,
        licence=licence,
        metrics=metrics,
        device=device,
    )


def embeddings_of(store: Store, model: Artifact) -> list[tuple[Artifact, Manifest]]:
    """Return the zoos' embeddings by a model, the newest last."""
    made = store.artifacts("embeddings")
    return [pair for pair in made if pair[1].inputs["model"].digest == model.digest]


def embedding_of(store: Store, model: Artifact) -> EmbedConfig:
    """Return the chunk, the halo and the views that networks were last embedded with.

    Where no zoo was embedded, the chunk and halo of its evaluation; the default if never.
    """
    for stage in PASSES:
        if made := _made_of(store, stage, model):
            return EmbedConfig.model_validate(made[-1].config["embed"]).embedding()
    return EmbedConfig()


def held_out(store: Store, model: Artifact, manifest: Manifest) -> dict[str, float]:
    """Return what was measured of it on held-out runs, the newest of each."""
    found = dict(manifest.metrics)
    for stage in ("evaluation", "probes"):
        for made in _made_of(store, stage, model):
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


def _made_of(store: Store, stage: str, model: Artifact) -> list[Manifest]:
    """Return what a stage made of a model, the newest last."""
    made = [manifest for _, manifest in store.artifacts(stage)]
    return [m for m in made if "model" in m.inputs and m.inputs["model"].digest == model.digest]
