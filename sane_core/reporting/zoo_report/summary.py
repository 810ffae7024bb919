"""A zoo in a few numbers: the first screen of its page, and a terminal's table."""

from pathlib import Path

from sane_core.reporting.headlines import Headline
from sane_core.reporting.zoo_report.cells import count, printed, shown, size, span, spread
from sane_core.reporting.zoo_report.facts import ZooFacts, read_zoo
from sane_core.reporting.zoo_report.scratch import column_of, scratch
from sane_core.zoo.grouped_splits import SPLITS
from sane_core.zoo.sides import Sides


def summary(zoo: Path) -> list[tuple[str, str]]:
    """Return what a zoo is, in words and numbers that are safe to print.

    Args:
        zoo: Its folder.

    Returns:
        (what, value) pairs to show in this order.

    Raises:
        ValueError: If the folder is no zoo.
    """
    facts = read_zoo(zoo)
    name = shown(facts.checkpoints["zoo"][0])
    lines = [(h.label, "; ".join((h.value, *h.beside))) for h in zoo_headlines(facts, None)]
    return [("zoo", name), *lines]


def zoo_headlines(zoo: ZooFacts, dataset: str | None) -> list[Headline]:
    """Return the headline numbers.

    Args:
        zoo: The zoo.
        dataset: Name of the images; where the paper has them, its accuracy stands beside.
    """
    epochs = zoo.epochs()
    last = zoo.last()
    ends = [int(epoch) for epoch in last["epoch"].unique().sort()]
    accuracy = spread(last["test_accuracy"], 100)
    known = last["test_accuracy"].count()
    theirs = scratch(column_of(dataset), ends[-1])
    beside = (
        [f"{'epoch' if len(ends) == 1 else 'epochs'} {span(ends)}, in percent"] if known else []
    )
    if theirs:
        beside.append(f"paper, epoch {ends[-1]}: {printed(theirs)}")
    return [
        Headline("runs", count(last["run"].n_unique()), (_splits(zoo),)),
        Headline(
            "checkpoints",
            count(len(zoo.checkpoints)),
            (f"{count(len(epochs))} epochs kept, {span(epochs)}",)
            if len(epochs) > 1
            else (f"epoch {epochs[0]}",),
        ),
        Headline("weights of one network", *_weights(zoo)),
        Headline("size", size(zoo.bytes), (f"{count(zoo.weights())} weights",)),
        Headline("test accuracy, last epoch", accuracy, tuple(beside)),
        _quarantined(zoo),
        _duplicates(zoo),
        Headline("licence", *_licence(zoo)),
    ]


def _splits(zoo: ZooFacts) -> str:
    runs = {name: zoo.checkpoints.filter(split=name)["run"].n_unique() for name in SPLITS}
    return ", ".join(f"{name} {count(number)}" for name, number in runs.items() if number)


def _weights(zoo: ZooFacts) -> tuple[str, tuple[str, ...]]:
    names = zoo.checkpoints["architecture"].unique().sort().to_list()
    sizes = sorted(set(zoo.parameters.values()))
    text = " – ".join(count(each) for each in (sizes[:1] + sizes[1:][-1:])) or shown(None)
    return text, (shown(names[0]) if len(names) == 1 else f"{len(names)} architectures",)


def _quarantined(zoo: ZooFacts) -> Headline:
    if zoo.quarantine is None:
        return Headline("quarantined", "0", ("trained here",))
    pending = int(zoo.quarantine["pending"].fill_null(False).sum())
    beside = (f"and {count(pending)} half-written, to be picked up",) if pending else ()
    return Headline("quarantined", count(len(zoo.quarantine) - pending), beside)


def _duplicates(zoo: ZooFacts) -> Headline:
    if zoo.duplicates is None:
        return Headline("duplicates", shown(None), ("not looked for",))
    sides = Sides()
    for run, other in zoo.duplicates.select("run", "other_run").iter_rows():
        sides.join(run, other)
    groups = sides.groups()
    word = "group" if len(groups) == 1 else "groups"
    runs = sum(map(len, groups))
    beside = (f"{count(runs)} runs in {count(len(groups))} {word}",) if groups else ()
    return Headline("duplicates", count(len(zoo.duplicates)), beside)


def _licence(zoo: ZooFacts) -> tuple[str, tuple[str, ...]]:
    licences = zoo.checkpoints["licence"].unique().sort(nulls_last=True).to_list()
    first = "not given" if licences[0] is None else shown(licences[0])
    return first, ((f"and {count(len(licences) - 1)} more",) if len(licences) > 1 else ())
