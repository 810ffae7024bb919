"""Where an autoencoder runs; what goes in and comes out stays on the CPU."""

import torch

from sane_core.pretraining.autoencoder import Autoencoder


def on_gpu(model: Autoencoder) -> Autoencoder:
    """Move an autoencoder to a GPU, where there is one; return it."""
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def device_of(model: Autoencoder) -> torch.device:
    """Return where an autoencoder is."""
    return next(model.parameters()).device
