"""The tables of the analysis: model means, correlations, spectra, what is not available (§4)."""

import numpy as np
import polars as pl
from scipy.stats import kurtosis

from sane_core.analysis.correlate import FEWEST_NETWORKS
from sane_core.analysis.network import FEATURES
from sane_core.analysis.together import correlations, series_of
from sane_core.reporting.names import LAYER_FEATURES, name_of
from sane_core.reporting.table import Table

MISSING = "–"
WITHIN = "within zoos"
_LABELS = [name_of(feature, LAYER_FEATURES).label for feature in FEATURES]


def means_table(networks: pl.DataFrame) -> Table:
    """Show each zoo's features, means over layers and then over networks.

    Args:
        networks: Rows of `ANALYSED_NETWORKS`, one per network.
    """
    rows = []
    for (zoo, architecture), own in networks.group_by(["zoo", "architecture"], maintain_order=True):
        scores = own["test_accuracy"] * 100
        cells = [str(zoo), str(architecture), str(len(own)), _mean(scores, 1)]
        rows.append((*cells, *(_mean(own[feature], 3) for feature in FEATURES)))
    return Table(
        "Layers' features, mean over a network",
        ("zoo", "architecture", "networks", "test acc.", *_LABELS),
        tuple(rows),
        (
            "Mean ± standard deviation over networks, at their last epochs; test accuracy in "
            "percent. ẑ is the spread of a layer's tokens in the latent space (Eq. 8). The others "
            "are WeightWatcher's: logarithms to base 10, layers of 8 to 15,000 eigenvalues.",
        ),
    )


def correlations_table(networks: pl.DataFrame) -> Table:
    """Show how features and test accuracy go together: in all, in every series, within zoos.

    Args:
        networks: Rows of `ANALYSED_NETWORKS`, one per network.
    """
    names = [series_of(name) for name in networks["architecture"]]
    groups = {"all": networks}
    if len(set(names)) > 1:
        for name in dict.fromkeys(names):
            groups[name] = networks.filter(pl.Series([each == name for each in names]))
    if networks["zoo"].n_unique() > 1:
        groups[WITHIN] = _centred(networks)
    rows = []
    for group, own in groups.items():
        for feature, found in correlations(own.to_arrow()).items():
            values = (found.pearson, found.spearman, found.kendall)
            cells = [MISSING] * 3 if found.note else [f"{value:+.3f}" for value in values]
            label = name_of(feature, LAYER_FEATURES).label
            rows.append((group, label, str(found.networks), *cells, found.note))
    return Table(
        "Correlation of features with test accuracy",
        ("networks", "feature", "n", "Pearson r", "Spearman ρ", "Kendall τ", ""),
        tuple(rows),
        (
            f"A network counts once, at its last epoch; below {FEWEST_NETWORKS} networks there is "
            "no correlation. Networks of different depth and width differ in accuracy and in "
            "features for that alone, so a correlation is no cause: `within zoos` is of the "
            "differences to each zoo's mean.",
        ),
    )


def spectra_table(table: pl.DataFrame) -> Table:
    """Show each zoo's spectrum and distances of one layer in numbers (Figure 7).

    Args:
        table: Rows of `SPECTRA`.
    """
    rows = []
    for (zoo, layer, last), own in table.group_by(["zoo", "layer", "last"], maintain_order=True):
        values = own["eigenvalues"].to_list()
        edges = own["edge"].to_list()
        beyond = [np.sum(np.array(v) > e) for v, e in zip(values, edges, strict=True)]
        ratio = [max(v) / e for v, e in zip(values, edges, strict=True) if e]
        rows.append(
            (
                str(zoo),
                str(layer),
                "last" if last else "first",
                str(len(own)),
                f"{np.mean(beyond):.1f} of {len(values[0])}",
                f"{np.mean(ratio):.2f}" if ratio else MISSING,
                *_shape(own["distances"].explode().drop_nulls().to_numpy()),
            )
        )
    return Table(
        "One layer's eigenvalues, and distances of its tokens' latents",
        (
            "zoo",
            "layer",
            "epoch",
            "networks",
            "eigenvalues beyond the random edge",
            "largest over edge",
            "median distance",
            "99 % over median",
            "excess kurtosis",
        ),
        tuple(rows),
        (
            "The random edge is where eigenvalues of random weights of the same size and mean "
            "square end (Marchenko–Pastur). The last three columns are of the distances: a "
            "heavier tail has a larger ratio and kurtosis.",
        ),
    )


def missing_table(layers: pl.DataFrame) -> Table | None:
    """Say what is not available and why; None if nothing is missing.

    Args:
        layers: Rows of `ANALYSED_LAYERS`.
    """
    found = (
        layers.filter(pl.col("note") != "")
        .group_by("note")
        .agg(
            layers=pl.col("name").unique().sort(),
            networks=pl.struct("zoo", "run").n_unique(),
        )
        .sort("note")
    )
    if not len(found):
        return None
    rows = [(note, _some(names), str(count)) for note, names, count in found.iter_rows()]
    return Table("Not available", ("why", "layers", "networks"), tuple(rows))


def _centred(networks: pl.DataFrame) -> pl.DataFrame:
    """Return features and accuracy as differences to their means over a zoo."""
    known = pl.col("test_accuracy").is_not_null()
    names = (*FEATURES, "test_accuracy")
    return networks.filter(known).with_columns(
        pl.col(name) - pl.col(name).mean().over("zoo") for name in names
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _mean(values: pl.Series, digits: int) -> str:
    found = values.drop_nulls().to_numpy()
    if not len(found):
        return MISSING
    spread = f" ± {found.std():.{digits}f}" if len(found) > 1 else ""
    return f"{found.mean():.{digits}f}{spread}"


def _shape(distances: np.ndarray) -> tuple[str, str, str]:
    if not len(distances) or np.ptp(distances) == 0:
        return MISSING, MISSING, MISSING
    median, far = np.quantile(distances, [0.5, 0.99])
    ratio = f"{far / median:.2f}" if median else MISSING
    return f"{median:.3f}", ratio, f"{kurtosis(distances):.2f}"
