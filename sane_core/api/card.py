"""The card of a trained SANE: what it is, for people and for the Hugging Face Hub."""

from math import isfinite

from sane_core.api.description import Description

_TEXT = """---
license: {licence}
library_name: sane
tags:
- weight-space-learning
- neural-network-weights
- sane
---

# {name}

A sequential autoencoder for neural embeddings (SANE; Schürholt, Mahoney, Borth: *Towards Scalable
and Versatile Weight Space Learning*, ICML 2024): it embeds and reconstructs the weights of neural
networks. Weights are safetensors; nothing in this folder is run.

```python
from sane_core import Sane

sane = {load}
vectors = sane.embed(["a.pt", "b.safetensors"]).vectors  # or modules, or state dicts
again = sane.reconstruct("a.pt")  # a state dict
```

## Trained on

| Zoo | Architecture | Layers | Weights | Latents per weight | Alignment reference |
|---|---|---|---|---|---|
{zoos}

Networks of other architectures are cut into the same tokens of {d_t} weights; they are standardized
by their own statistics.

## The autoencoder

Width {d_model}, {layers} + {layers} blocks, {heads} heads, {d_z} latent dimensions per token of
{d_t} weights, trained on windows of {window} tokens.{sharpened}

## Measured

{metrics}
"""


def model_card(description: Description, load: str) -> str:
    """Return the card as Markdown with the front matter of the Hugging Face Hub.

    Args:
        description: What it is of.
        load: The Python expression that loads it.
    """
    zoos = [
        f"| {zoo.name} | `{zoo.architecture}` | {len(zoo.layers)} "
        f"| {sum(layer.size for layer in zoo.layers):,} "
        f"| {description.latents_per_weight(zoo):.2f} | run {zoo.run}, epoch {zoo.epoch} |"
        for zoo in description.zoos
    ]
    known = {name: value for name, value in description.metrics.items() if isfinite(value)}
    rows = [f"| `{name}` | {value:.4g} |" for name, value in sorted(known.items())]
    measured = ["| On held-out runs | |", "|---|---|", *rows] if rows else ["Nothing is recorded."]
    config = description.autoencoder
    return _TEXT.format(
        licence=description.licence,
        name=description.name,
        load=load,
        zoos="\n".join(zoos),
        d_t=description.shape.d_t,
        window=description.shape.window,
        d_model=config.d_model,
        layers=config.layers,
        heads=config.heads,
        d_z=config.d_z,
        sharpened=_sharpened(description),
        metrics="\n".join(measured),
    )


def _sharpened(description: Description) -> str:
    if description.sharpened is None:
        return ""
    return (
        " Its decoder was sharpened:\ntrained further on what its own noisy samples answer to "
        f"train images.\nLabels of these images: {description.train_labels}."
    )
