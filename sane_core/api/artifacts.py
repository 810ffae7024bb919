"""Put a bundle together from the folders of the stages `tokens`, `model` and `zoo`.

A model may be one that the stage `sharpen` made: its folder says what its decoder has read.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq
from pydantic import ValidationError

from sane_core.api.bundle import Bundle, Reference
from sane_core.api.description import Description, StatisticsRecord, ZooRecord, first_error
from sane_core.api.moments import of_embeddings, with_moments
from sane_core.architectures.registry import architecture_named
from sane_core.pretraining.files import load, read_config, read_sharpening
from sane_core.weights.files import read_layers, read_statistics
from sane_core.weights.frame import read_reference
from sane_core.weights.shards import one_architecture, reference_of, stored_groups
from sane_core.weights.symmetry.derive import symmetries_of
from schemas.config.augmented import Augmented
from schemas.config.embed import EmbedConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.sharpen import Target


def bundle_of_artifacts(
    tokens: Sequence[Path],
    model: Path,
    zoos: Sequence[Path] | None,
    *,
    name: str,
    preprocess: PreprocessConfig,
    embed: EmbedConfig,
    seed: int,
    licence: str,
    metrics: Mapping[str, float],
    embeddings: Sequence[Path] = (),
    augmented: Sequence[Augmented | None] = (),
) -> Bundle:
    """Return the bundle of a trained SANE; the arguments are those of `Sane.from_artifacts`.

    Raises:
        ValueError: If tokens, model and zoos do not fit together.
    """
    if not tokens or (zoos is not None and len(zoos) != len(tokens)):
        raise ValueError(
            "there must be a folder of tokens per zoo, at least one, got "
            f"{len(tokens)} of tokens and {len(zoos or ())} of zoos"
        )
    for what, each in (("embeddings", embeddings), ("augmented", augmented)):
        if each and len(each) != len(tokens):
            raise ValueError(
                f"there must be {what} of each zoo or of none, got {len(each)} of {len(tokens)}"
            )
    shape, config = read_config(model)
    for folder in tokens:
        if (d_t := _token_size(folder)) != shape.d_t:
            raise ValueError(
                f"the model and its tokens must have one token size, got d_t {shape.d_t} of the "
                f"model and {d_t} of {folder}; name the tokens that it was trained on"
            )
    places: Sequence[Path | None] = zoos if zoos is not None else [None] * len(tokens)
    moved = augmented or [None] * len(tokens)
    known = [_zoo(*each) for each in zip(tokens, places, moved, strict=True)]
    try:
        description = Description(
            name=name,
            licence=licence,
            shape=shape,
            autoencoder=config,
            preprocess=preprocess,
            embed=embed,
            seed=seed,
            zoos=tuple(record for record, _ in known),
            sharpened=sharpened_on(model),
            metrics=dict(metrics),
        )
    except ValidationError as error:
        raise ValueError(f"a SANE cannot be called or described so: {first_error(error)}") from None
    moments = {
        zoo.name: found
        for zoo, path in zip(description.zoos, embeddings, strict=False)
        if (found := of_embeddings(path)) is not None
    }
    description = with_moments(description, moments)
    return Bundle(description, load(model), tuple(reference for _, reference in known))


def sharpened_on(model: Path) -> Target | None:
    """Return what the decoder of a model's folder was sharpened on; None where it was not.

    Args:
        model: Folder of the stage `model` or `sharpen`.
    """
    sharpening = read_sharpening(model)
    return None if sharpening is None else sharpening.target


def _token_size(tokens: Path) -> int:
    part = next((tokens / "tokens").glob("split=*/*.parquet"), None)
    if part is None:
        raise ValueError(f"{tokens} must be a folder of the stage tokens, got no tokens in it")
    return int(pq.read_schema(part).field("values").type.list_size)


def _zoo(
    tokens: Path, zoo: Path | None, augmented: Augmented | None
) -> tuple[ZooRecord, Reference]:
    table = pq.read_table(tokens / "checkpoints.parquet")
    architecture = architecture_named(one_architecture(table))
    run, epoch = reference_of(table)
    record = ZooRecord(
        name=str(table["zoo"][0].as_py() or architecture.name),
        architecture=architecture.name,
        input_shape=architecture.input_shape,
        parameters=architecture.shapes(),
        buffers=architecture.buffers(),
        layers=read_layers(tokens / "layers.parquet"),
        groups=stored_groups(symmetries_of(architecture).groups, architecture),
        statistics=StatisticsRecord.of(read_statistics(tokens / "layers.parquet")),
        run=run,
        epoch=epoch,
        augmented=augmented,
    )
    return record, read_reference(tokens, zoo)
