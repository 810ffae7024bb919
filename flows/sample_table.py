"""What `sane sample` shows: how good samples are on validation images, and what they rest on."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from sane_core.api.sampled import Sampled


def show(found: "Sampled") -> None:
    """Print a table of accuracies, or that there are none."""
    from rich.console import Console
    from rich.table import Table

    made = found.provenance
    console = Console()
    labels = ", labels used" if made.train_labels == "used" else ""
    if made.data is None or found.candidate_accuracy is None or found.validation_accuracy is None:
        console.print(
            f"{len(found)} networks were drawn ({made.drawing.method}{labels}) and none selected: "
            f"without --data it is not known how good they are. Not finite: {found.broken}.",
            soft_wrap=True,
        )
        return
    title = f"Accuracy on {made.data.validation} validation images of {made.data.name}"
    table = Table("", "networks", "mean", "worst", "best", title=title)
    rows = {"prompts": found.prompt_accuracy} | dict(found.baselines)
    rows |= {f"samples ({made.drawing.method}{labels})": found.validation_accuracy}
    rows |= {"all candidates": found.candidate_accuracy}
    for name, values in rows.items():
        if values is not None:
            table.add_row(name, *_cells(values))
    console.print(table)
    console.print(
        f"Kept: the best {len(found)} of {made.drawing.candidates} on these images, on which all "
        f"numbers are therefore too high; not finite: {found.broken}.",
        soft_wrap=True,
    )
    if made.drawing.refine is not None:
        console.print(
            f"Latents took {made.drawing.refine.steps} gradient steps on {made.data.train} train "
            "images; prompts and noise took none, and might gain as much by as many.",
            soft_wrap=True,
        )


def _cells(values: "np.ndarray") -> list[str]:
    numbers = (values.mean(), values.min(), values.max())
    return [str(len(values)), *(f"{number:.1%}" for number in numbers)]
