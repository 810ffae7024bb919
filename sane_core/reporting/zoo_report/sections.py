"""What the zoo's page says about each figure and table: how to read it, never how it came out."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ZooSection:
    """A section of the page.

    Attributes:
        anchor: Its link target.
        title: Its heading.
        reading: How to read what follows.
        empty: What it means that there is nothing to show.
        figures: Names of figures and what they show, for those who cannot see them.
        tables: Names of tables.
        lists: Names of tables with long text, shown as lists.
    """

    anchor: str
    title: str
    reading: str
    empty: str = ""
    figures: dict[str, str] = field(default_factory=dict)
    tables: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()


SECTIONS = (
    ZooSection(
        "networks",
        "Networks",
        "Every run is one training, every checkpoint its weights at one epoch. Runs are split, "
        "never checkpoints of one run. Weights are counted without the running statistics of "
        "batch normalization.",
        tables=("splits", "architectures"),
    ),
    ZooSection(
        "accuracy",
        "Accuracy",
        "The line is the median network, the band holds 90 % of them. What does not vary between "
        "networks cannot be predicted from their weights; splits whose bands lie apart are not "
        "alike.",
        figures={
            "over_epochs": "Test accuracy, generalization gap and test loss over epochs: median "
            "and a band from 5 to 95 percent of networks for each split.",
            "last": "Histogram of the test accuracy of every run at its last epoch, by split.",
        },
        tables=("accuracy",),
    ),
    ZooSection(
        "hyperparameters",
        "Hyper-parameters",
        "What the networks were trained with: values and the number of runs that have them.",
        "None are known.",
        lists=("hyperparameters",),
    ),
    ZooSection(
        "quarantine",
        "Quarantined",
        "Checkpoints that are not part of the zoo, and what to do about them. Pending ones are "
        "half-written by a training that still runs; the next ingestion picks them up.",
        "Nothing was quarantined.",
        lists=("quarantine",),
    ),
    ZooSection(
        "duplicates",
        "Duplicates",
        "Checkpoints whose weights are those of another run: equal, equal up to the order of "
        "units, or nearly so, as a copy in half precision (then the largest difference of two "
        "weights is not 0). Their runs belong in one split.",
        "None were found.",
        tables=("duplicates",),
    ),
    ZooSection(
        "licences",
        "Licences",
        "Under which terms the networks may be used, as their source says.",
        tables=("licences",),
    ),
)
NOT_LOOKED_FOR = "Nobody has looked for them yet: the zoo has no duplicates.parquet."
