"""What is selected among features on validation runs, and what the selected are compared with."""

from collections.abc import Mapping

SELECTED = "sane_selected"
"""The SANE pooling of highest validation score, chosen per target."""
COMBINED = "sane_statistics"
"""A SANE pooling and s(W) side by side, the pooling chosen the same way, for the two together."""
STATISTICS = "statistics"
BESIDE = "+statistics"
SELECTIONS: Mapping[str, tuple[str, str]] = {
    SELECTED: ("sane_", ""),
    COMBINED: ("sane_", BESIDE),
    "untrained_selected": ("untrained_", ""),
    "pca_selected": ("pca_", ""),
}
"""Selection -> (prefix, ending) of the features it selects from."""
OURS = (SELECTED, COMBINED)
OTHERS = (STATISTICS, "untrained_selected", "pca_selected", "outputs", "weights", "global")
"""What each of ours is compared with, where it is there."""
