# ruff: noqa: T201 (an example prints)
"""Read the accuracy of networks off their weights, and take one apart and put it together again.

Works offline, on what ships with the package: the SANE and the sample zoo, both `mnist-cnn`.

    python examples/python/predict_accuracy.py [NAME OR FOLDER OF A SANE]
"""

import sys

import numpy as np
import polars as pl
import torch

from sane_core import Sane
from sane_core.architectures.registry import architecture_named
from sane_core.samples import sample_zoo
from sane_core.zoo.files import read_weights

ZOO, EPOCHS = "mnist-cnn", [5, 25]


def main(model: str = "mnist-cnn") -> None:
    """Embed the sample zoo, fit a ridge regression on its train runs, and test it on others."""
    folder = sample_zoo(ZOO)
    table = pl.read_parquet(folder / "checkpoints.parquet").filter(pl.col("epoch").is_in(EPOCHS))
    table = table.sort("run", "epoch")
    shapes = architecture_named("cnn").shapes()
    weights = read_weights(folder / "weights", shapes, table["run"].unique().sort(), EPOCHS)
    networks = [
        {name: values[run, epoch] for name, values in weights.items()}
        for run in range(table["run"].n_unique())
        for epoch in range(len(EPOCHS))
    ]

    sane = Sane.load(model)
    vectors = sane.embed(networks).vectors.astype(np.float64)
    train = (table["split"] == "train").to_numpy()
    test = (table["split"] == "test").to_numpy()
    accuracy = table["test_accuracy"].to_numpy().astype(np.float64)
    predicted = ridge(vectors[train], accuracy[train])(vectors[test])
    error = ((predicted - accuracy[test]) ** 2).mean() / accuracy[test].var()
    print(f"R² of the accuracy of {test.sum()} networks that were held out: {1 - error:.2f}")

    network = architecture_named("cnn").build().eval()
    network.load_state_dict({k: torch.tensor(v) for k, v in networks[-1].items()})
    again = sane.reconstruct(network)
    images = torch.rand(64, 1, 28, 28)
    agree = (network(images).argmax(1) == again(images).argmax(1)).float().mean()
    print(f"a network and its reconstruction agree on {agree:.0%} of random images")


def ridge(x: np.ndarray, y: np.ndarray, strength: float = 1.0):
    """Fit a ridge regression on standardized features [rows, d]; return its prediction."""
    mean, spread = x.mean(0), x.std(0) + 1e-9
    z = (x - mean) / spread
    slope = np.linalg.solve(z.T @ z + strength * np.eye(x.shape[1]), z.T @ (y - y.mean()))
    return lambda rows: (rows - mean) / spread @ slope + y.mean()


if __name__ == "__main__":
    main(*sys.argv[1:])
