"""The table of one target of a transfer: starts by epochs of fine-tuning (paper §5.2)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from sane_core.reporting.names import METHODS, in_order, name_of
from sane_core.reporting.table import Table

MISSING = "–"
STAND_IN = (
    "The paper's Tables 5 and 13 to 17 and Figure 5 show such transfers between full zoos, with "
    "larger networks and all images; between others, these numbers are a stand-in for them."
)


def target_table(
    facts: Mapping[str, Any],
    accuracy: pl.DataFrame,
    ensembles: pl.DataFrame,
    samples: pl.DataFrame,
) -> Table:
    """Show test accuracy on one target, starts by epochs, and the ensembles.

    Args:
        facts: What `target.json` says.
        accuracy: Columns as of `TransferAccuracy`.
        ensembles: Columns as of `TransferEnsemble`.
        samples: Columns as of `Summary`.
    """
    places = sorted(set(accuracy.select("length", "epoch").rows()))
    several = accuracy["length"].n_unique() > 1
    ends = [max(place for place in places if place[0] == length) for length, _ in places]
    ends = sorted(set(ends))
    rows = []
    for method in in_order(accuracy["method"], METHODS):
        own = accuracy.filter(method=method)
        cells = [name_of(method, METHODS).label, str(own["model"].n_unique())]
        for length, epoch in places:
            cells.append(_percent(own.filter(length=length, epoch=epoch)["test_accuracy"]))
        for length, epoch in ends:
            together = ensembles.filter(method=method, length=length, epoch=epoch)
            cells.append(_percent(together["test_accuracy"]))
        rows.append((*cells, *_novelty(samples.filter(method=method))))
    headings = [f"epoch {e}" + (f" of {length}" if several else "") for length, e in places]
    headings += [f"ensemble, epoch {e}" for _, e in ends]
    return Table(
        f"Transfer to {facts['target']}: {facts['architecture']} on {facts['dataset']}",
        ("start", "n", *headings, "validation acc.", "error overlap", "distance"),
        tuple(rows),
        _notes(facts),
    )


def _novelty(own: pl.DataFrame) -> Sequence[str]:
    if not len(own):
        return (MISSING,) * 3
    values = own.row(0, named=True)
    overlap = values["overlap"]
    return (
        f"{100 * values['validation_accuracy']:.1f}",
        f"{overlap:.2f}" if np.isfinite(overlap) else MISSING,
        f"{values['distance']:.2f}",
    )


def _notes(facts: Mapping[str, Any]) -> tuple[str, ...]:
    images = facts["images"]
    prompts = np.array(facts["prompt_validation_accuracy"])
    where = "of the zoo" if facts["prompts"] == "zoo" else "trained here"
    selected = (
        "Heads are drawn anew: networks were selected with the zoo's head on the zoo's validation "
        "images, and zero-shot is chance."
        if facts["new_head"]
        else "Selected on the target's validation images."
    )
    return (
        "Percent, mean ± standard deviation over networks; epoch 0 is zero-shot; ensemble: mean of "
        "logits; validation acc. as selected; error overlap and distance: with the nearest prompt.",
        f"{images['train']} train, {images['validation']} validation and {images['test']} test "
        f"images; {facts['prompt_count']} prompts {where}, of epoch {facts['prompt_epochs']}, "
        f"validation accuracy {100 * prompts.mean():.1f} ± {100 * prompts.std():.1f}; SANE of "
        f"{facts['zoo_architecture']}; {facts['candidates']} candidates, bandwidth "
        f"{facts['bandwidth']:g}.",
        selected,
        *_sharpened(facts),
        STAND_IN,
    )


def _sharpened(facts: Mapping[str, Any]) -> tuple[str, ...]:
    if "sharpened_on" not in facts:
        return ()
    whose = "this target's" if facts["sharpened_on"] == "target" else "the zoo's own"
    return (f"Sharpened decoders were trained on {whose} train images.",)


def _percent(values: pl.Series) -> str:
    known = values.cast(pl.Float64).drop_nulls().to_numpy()
    if not len(known):
        return MISSING
    text = f"{100 * known.mean():.1f}"
    return f"{text} ± {100 * known.std():.1f}" if len(known) > 1 else text
