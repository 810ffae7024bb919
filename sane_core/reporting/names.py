"""What features, methods, samplers and targets are called in reports, their order and colour.

Ours have colour, what they are compared with is grey or black. A name that is not listed comes
last, under its own name, so that a new baseline never breaks a report.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

BLUE, SKY, ORANGE, GREEN = "#0072B2", "#56B4E9", "#E69F00", "#009E73"
RED, PINK, BLACK, GREY, SILVER = "#D55E00", "#CC79A7", "#222222", "#767676", "#B0B0B0"
BROWN, PURPLE, NAVY, OLIVE = "#8C5A00", "#7A5195", "#003F5C", "#7F7F00"
VIOLET, TEAL, CRIMSON, INDIGO = "#A05195", "#0B7A75", "#B3123D", "#4B3FBF"
SPARE = (GREY, VIOLET, SILVER)
"""For samplers that are not listed."""


@dataclass(frozen=True)
class Name:
    """How to show one thing.

    Attributes:
        label: What readers see.
        colour: Colour in every figure.
        ours: Whether it is a result of SANE rather than what SANE is compared with.
        line: Line style of its curve.
        marker: Of its points.
    """

    label: str
    colour: str = SILVER
    ours: bool = False
    line: str = "-"
    marker: str = "o"


TARGETS = {
    "test_accuracy": Name("test accuracy"),
    "epoch": Name("epoch"),
    "generalization_gap": Name("generalization gap"),
}

FEATURES = {
    "sane_selected": Name("SANE, pooling selected", BLUE, True),
    "sane_statistics": Name("SANE + s(W), pooling selected", BLUE, True),
    "sane_mean": Name("SANE, mean", SKY, True),
    "sane_mean_std": Name("SANE, mean and deviation", SKY, True),
    "sane_layers": Name("SANE, per layer", SKY, True),
    "sane_quantiles": Name("SANE, quantiles", SKY, True),
    "sane_full": Name("SANE, all latents", SKY, True),
    "sane_global": Name("SANE, one embedding per model", SKY, True),
    "global": Name("hyper-representation E_c+D (one embedding per model)", BLACK),
    "weights": Name("W, flattened weights"),
    "statistics": Name("s(W), layer statistics", GREY),
    "outputs": Name("outputs for random inputs", GREY),
    "untrained_selected": Name("untrained encoder, pooling selected"),
    "untrained_mean": Name("untrained encoder, mean"),
    "untrained_mean_std": Name("untrained encoder, mean and deviation"),
    "untrained_layers": Name("untrained encoder, per layer"),
    "untrained_quantiles": Name("untrained encoder, quantiles"),
    "untrained_full": Name("untrained encoder, all latents"),
    "untrained_global": Name("untrained encoder, one embedding per model"),
    "pca_selected": Name("PCA of tokens, pooling selected"),
    "pca_mean": Name("PCA of tokens, mean"),
    "pca_mean_std": Name("PCA of tokens, mean and deviation"),
    "pca_layers": Name("PCA of tokens, per layer"),
    "pca_quantiles": Name("PCA of tokens, quantiles"),
    "pca_full": Name("PCA of tokens, all latents"),
}

METHODS = {
    "sub": Name("SANE SUB", BLUE, True),
    "kde30": Name("SANE KDE30", SKY, True),
    "boot": Name("SANE BOOT", PINK, True),
    "gauss": Name("SANE GAUSS", ORANGE, True),
    "model": Name("SANE SUB, noise per token", GREEN, True),
    "token": Name("SANE SUB, every token on its own (Eq. 7)", RED, True),
    "pca": Name("SANE, PCA-Gaussian", NAVY, True),
    "flow": Name("SANE, flow matching", OLIVE, True),
    "sharpened_flow": Name("sharpened, flow matching (labels used)", OLIVE, True, line="--"),
    "sharpened_pca": Name("sharpened, PCA-Gaussian (labels used)", NAVY, True, line="--"),
    "sharpened_sub": Name("sharpened SUB (labels used)", BLUE, True, line="--"),
    "sharpened_model": Name("sharpened SUB, noise per token (labels used)", GREEN, True, line="--"),
    "sharpened_boot": Name("sharpened BOOT (labels used)", PINK, True, line="--"),
    "sharpened_gauss": Name("sharpened GAUSS (labels used)", ORANGE, True, line="--"),
    "sharpened_unlabelled_sub": Name("sharpened SUB (no labels)", BLUE, True, line=":"),
    "sharpened_unlabelled_model": Name(
        "sharpened SUB, noise per token (no labels)", GREEN, True, line=":"
    ),
    "sharpened_unlabelled_boot": Name("sharpened BOOT (no labels)", PINK, True, line=":"),
    "sharpened_unlabelled_gauss": Name("sharpened GAUSS (no labels)", ORANGE, True, line=":"),
    "global_kde30": Name("hyper-representation S_KDE30 (one embedding per model)", SILVER),
    "prompts": Name("prompts, all", BLACK, line="--"),
    "prompts_selected": Name("prompts, selected", BLACK),
    "best_prompt": Name("best prompt", BLACK, line=":"),
    "noise": Name("noise on weights", RED),
    "noise_trained": Name("noise on weights, trained for as much (labels used)", RED, line=":"),
    "interpolation": Name("interpolation", GREEN),
    "average": Name("average of prompts", SILVER, line="--"),
    "reconstruction": Name("reconstruction", SKY, line="--"),
    "sharpened_reconstruction": Name("reconstruction, sharpened (labels used)", SKY, line="-."),
    "sharpened_unlabelled_reconstruction": Name(
        "reconstruction, sharpened (no labels)", SKY, line=":"
    ),
    "global_reconstruction": Name("reconstruction, one embedding per model", SILVER, line=":"),
    "naive": Name("neither halo nor conditioning", SILVER),
    "halo": Name("halo", SKY, True, line=":"),
    "bn_cond": Name("batch-norm conditioning", PURPLE, True, line=":"),
    "halo_bn_cond": Name("halo and batch-norm conditioning", BLUE, True, line=":"),
    "scratch": Name("from scratch", GREY, line="-."),
}

SAMPLERS = {
    "sharpened_sub": Name("sharpened (labels)", ORANGE, True),
    "sharpened_model": Name("sharpened, per token (labels)", BROWN, True, marker="s"),
    "sharpened_unlabelled_sub": Name("sharpened (no labels)", PINK, True, marker="^"),
    "sharpened_unlabelled_model": Name(
        "sharpened, per token (no labels)", PURPLE, True, marker="v"
    ),
    "sharpened_boot": Name("sharpened, BOOT (labels)", CRIMSON, True, marker="*"),
    "sharpened_unlabelled_boot": Name("sharpened, BOOT (no labels)", INDIGO, True, marker="8"),
    "sharpened_flow": Name("sharpened, flow matching (labels)", VIOLET, True, marker="h"),
    "sharpened_pca": Name("sharpened, PCA-Gaussian (labels)", GREY, True, marker="D"),
    "sharpened_gauss": Name("sharpened, GAUSS (labels)", GREY, True, marker="<"),
    "sharpened_unlabelled_gauss": Name("sharpened, GAUSS (no labels)", GREY, True, marker=">"),
    "sub": Name("SANE", BLUE, True),
    "sane": Name("SANE", BLUE, True),
    "model": Name("SANE, per token", SKY, True, marker="s"),
    "boot": Name("SANE, BOOT", TEAL, True, marker="p"),
    "kde30": Name("SANE, KDE30", PINK, True, marker="d"),
    "pca": Name("SANE, PCA-Gaussian", NAVY, True, marker="D"),
    "flow": Name("SANE, flow matching", OLIVE, True, marker="h"),
    "gauss": Name("SANE, GAUSS", SILVER, True, marker="<"),
    "token": Name("SANE, every token on its own (Eq. 7)", SILVER, True, marker=">"),
    "noise": Name("noise on weights", RED, line="--", marker="X"),
    "interpolation": Name("interpolation", GREEN, line="-.", marker="P"),
}
"""What is compared with has broken lines."""

LAYER_FEATURES = {
    "spread": Name("SANE, ẑ", BLUE, True),
    "log_spectral_norm": Name("log spectral norm", GREY),
    "alpha_weighted": Name("weighted α", GREY),
    "alpha": Name("α", GREY),
    "stable_rank": Name("stable rank", GREY),
    "log_alpha_norm": Name("log α-norm", GREY),
    "log_norm": Name("log norm", GREY),
}


def in_order(present: Iterable[str], known: Mapping[str, Name]) -> list[str]:
    """Return the names that are present, the known ones first and in their fixed order."""
    found = set(present)
    return [name for name in known if name in found] + sorted(found - set(known))


def name_of(name: str, known: Mapping[str, Name]) -> Name:
    """Return how to show a name; one that is not known shows as it is written."""
    return known.get(name, Name(name))
