"""Every distribution by name."""

from collections.abc import Mapping

from sane_core.generation.distributions.flow_draw import draw_flow
from sane_core.generation.distributions.gauss import draw_gauss
from sane_core.generation.distributions.kde30 import draw_kde30
from sane_core.generation.distributions.kde_by_dimension import draw_by_dimension
from sane_core.generation.distributions.kde_model import draw_model
from sane_core.generation.distributions.kde_shared_noise import draw_shared_noise
from sane_core.generation.distributions.kde_token import draw_token
from sane_core.generation.distributions.latents import Distribution
from sane_core.generation.distributions.pca_gaussian import PROMPTS, draw_pca_gaussian

DISTRIBUTIONS: Mapping[str, Distribution] = {
    "shared_noise": draw_shared_noise,
    "model": draw_model,
    "token": draw_token,
    "kde30": draw_kde30,
    "by_dimension": draw_by_dimension,
    "gauss": draw_gauss,
    "pca_gaussian": draw_pca_gaussian,
    "flow": draw_flow,
}
"""Name -> draw(prompts, count, spread, rng)."""

PROMPTS_NEEDED: Mapping[str, int] = dict.fromkeys(DISTRIBUTIONS, 1) | {
    "gauss": 0,
    "pca_gaussian": PROMPTS,
}
"""Name -> prompts that it cannot be drawn without; 0: it looks at none."""
