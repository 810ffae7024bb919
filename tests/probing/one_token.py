"""A network of one unit: one token, nothing to permute, and one class, of which it is certain."""

from torch import nn


class OneToken(nn.Sequential):
    """Sixteen pixels, one logit."""

    input_shape = (1, 4, 4)

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(16, 1))
