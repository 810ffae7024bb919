"""Analyse the layers of a zoo's networks: ẑ_l of a SANE beside spectral metrics (paper §4).

Spectra are of the weights as they were trained: neither their order nor their signs matter to them,
but standardization does. ẑ_l is of the tokens, aligned and standardized, as the SANE sees them.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from sane_core.analysis.eigenvalues import eigenvalues_of, random_edge
from sane_core.analysis.latents import latents_of, token_distances
from sane_core.analysis.network import FEATURES, Analysed, Network, write_analysis, write_rows
from sane_core.analysis.spectra import Metrics, no_spectrum, spectral_metrics
from sane_core.analysis.spread import spread
from sane_core.embedding.device import on_gpu
from sane_core.embedding.embed import has_one_latent
from sane_core.pretraining.autoencoder import Autoencoder
from sane_core.pretraining.files import load
from sane_core.seeding import rng_for
from sane_core.weights.files import read_layers
from sane_core.weights.layers import Layer
from sane_core.weights.streaming import token_size
from sane_core.zoo.files import read_weights
from schemas.analysis_tables import SPECTRA
from schemas.config.analyse import AnalyseConfig
from schemas.config.embed import EmbedConfig

ONE_LATENT = "no spread: the autoencoder has one latent for a whole network"
_BYTES = 256 * 2**20
"""Of weights in memory at a time."""

Key = tuple[int, int]
"""(run, epoch)."""


@dataclass(frozen=True)
class Sources:
    """What is analysed.

    Attributes:
        name: Name of the zoo.
        zoo: Folder of the zoo stage.
        tokens: Folder of the preprocess stage.
        model: Folder of the pretrain stage.
    """

    name: str
    zoo: Path
    tokens: Path
    model: Path


def analyse_zoo(
    sources: Sources,
    config: AnalyseConfig,
    embed: EmbedConfig,
    seed: int,
    folder: Path,
    on_step: Callable[[], None] | None = None,
) -> dict[str, float]:
    """Write `layers.parquet`, `networks.parquet` and `spectra.parquet`.

    Args:
        sources: The zoo, its tokens and the SANE.
        config: Which checkpoints, and whose eigenvalues are kept.
        embed: Chunk, halo and batch sizes.
        seed: The run's seed.
        folder: Gets the tables.
        on_step: Called after the spectra and after the latents.

    Returns:
        Metrics `analysis.networks` and, for every feature that is available,
        `analysis.mean.<feature>`: the mean over networks, at their last epochs.

    Raises:
        ValueError: If the zoo has no such layer.
    """
    layers = read_layers(sources.tokens / "layers.parquet")
    networks = _networks(sources, config)
    drawn = _Drawn.of(layers, networks, config)
    metrics, eigenvalues = _spectra(sources.zoo / "weights", layers, networks, drawn)
    if on_step:
        on_step()
    model = on_gpu(load(sources.model))
    spreads, distances = _latents(model, sources.tokens, layers, drawn, networks, embed, seed)
    if on_step:
        on_step()
    d_t = token_size(sources.tokens / "tokens")
    tokens = tuple(layer.tokens(d_t) for layer in layers)
    note = ONE_LATENT if has_one_latent(model) else ""
    analysed = [
        Analysed(network, layers, tokens, spreads.get(key), note, metrics[key])
        for key, network in networks.items()
    ]
    write_analysis(folder, analysed)
    rows = drawn.rows(networks, eigenvalues, distances)
    write_rows(folder / "spectra.parquet", rows, SPECTRA)
    return _means(analysed)


@dataclass(frozen=True)
class _Drawn:
    """The layer whose eigenvalues are kept, None where no layer has any, and of which networks."""

    layer: Layer | None
    keys: frozenset[Key]
    tokens: int

    @staticmethod
    def of(
        layers: tuple[Layer, ...], networks: dict[Key, Network], config: AnalyseConfig
    ) -> "_Drawn":
        """Choose them."""
        runs = sorted({run for run, _ in networks})[: config.spectrum_networks]
        keys = frozenset(key for key in networks if key[0] in runs)
        return _Drawn(_layer(layers, config.spectrum_layer), keys, config.spectrum_tokens)

    def rows(
        self,
        networks: dict[Key, Network],
        eigenvalues: dict[Key, tuple[float, np.ndarray]],
        distances: dict[Key, np.ndarray],
    ) -> list[dict[str, Any]]:
        """Return the rows of `SPECTRA`."""
        if self.layer is None:
            return []
        names = ("zoo", "run", "epoch", "architecture", "last")
        return [
            {name: getattr(networks[key], name) for name in names}
            | {"layer": self.layer.name, "edge": eigenvalues[key][0]}
            | {"eigenvalues": eigenvalues[key][1], "distances": distances.get(key, np.zeros(0))}
            for key in sorted(self.keys)
        ]


def _layer(layers: tuple[Layer, ...], name: str | None) -> Layer | None:
    """Return the layer of that name, or the largest; None if no layer has a spectrum."""
    with_one = [layer for layer in layers if not no_spectrum(layer.shape)]
    if name is None:
        return max(with_one, key=lambda layer: layer.size, default=None)
    found = [layer for layer in with_one if layer.name == name]
    if not found:
        raise ValueError(
            "analyse.spectrum_layer must be a layer with a spectrum, one of "
            f"{', '.join(layer.name for layer in with_one) or '(none)'}, got {name!r}"
        )
    return found[0]


def _networks(sources: Sources, config: AnalyseConfig) -> dict[Key, Network]:
    """Return the checkpoints to analyse, by run and epoch."""
    columns = ["run", "epoch", "architecture", "split", "test_accuracy"]
    rows = pq.read_table(sources.tokens / "checkpoints.parquet", columns=columns).to_pylist()
    epochs: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        epochs[row["run"]].append(row["epoch"])
    chosen = {}
    for row in sorted(rows, key=lambda row: (row["run"], row["epoch"])):
        of_run, epoch = epochs[row["run"]], row["epoch"]
        if config.epochs == "all" or epoch in (min(of_run), max(of_run)):
            last = epoch == max(of_run)
            chosen[row["run"], epoch] = Network(zoo=sources.name, last=last, **row)
    return chosen


def _spectra(
    weights: Path, layers: tuple[Layer, ...], networks: dict[Key, Network], drawn: _Drawn
) -> tuple[dict[Key, list[Metrics]], dict[Key, tuple[float, np.ndarray]]]:
    """Return spectral metrics of every layer, and the edge and eigenvalues of that drawn."""
    metrics: dict[Key, list[Metrics]] = {key: [] for key in networks}
    kept: dict[Key, tuple[float, np.ndarray]] = {}
    for epoch, runs in _by_epoch(networks, layers):
        shapes = {layer.weight: layer.shape for layer in layers}
        read = read_weights(weights, shapes, runs, [epoch])
        for layer in layers:
            values = read[layer.weight][:, 0]
            for run, found in zip(runs, spectral_metrics(values), strict=True):
                metrics[run, epoch].append(found)
        if drawn.layer is None:
            continue
        for i, run in enumerate(runs):
            if (run, epoch) in drawn.keys:
                own = read[drawn.layer.weight][i : i + 1, 0]
                kept[run, epoch] = (random_edge(own[0]), eigenvalues_of(own)[0])
    return metrics, kept


def _by_epoch(
    networks: dict[Key, Network], layers: tuple[Layer, ...]
) -> list[tuple[int, list[int]]]:
    """Deal checkpoints out to groups of one epoch that fit in memory."""
    most = max(1, _BYTES // (8 * sum(layer.size for layer in layers) + 1))
    runs: dict[int, list[int]] = defaultdict(list)
    for run, epoch in sorted(networks):
        runs[epoch].append(run)
    return [
        (epoch, of[start : start + most])
        for epoch, of in sorted(runs.items())
        for start in range(0, len(of), most)
    ]


def _latents(
    model: Autoencoder,
    tokens: Path,
    layers: tuple[Layer, ...],
    drawn: _Drawn,
    networks: dict[Key, Network],
    embed: EmbedConfig,
    seed: int,
) -> tuple[dict[Key, np.ndarray], dict[Key, np.ndarray]]:
    """Return ẑ_l of every layer, and distances between tokens of that drawn."""
    spreads: dict[Key, np.ndarray] = {}
    distances: dict[Key, np.ndarray] = {}
    if has_one_latent(model):
        return spreads, distances
    d_t = token_size(tokens / "tokens")
    layer = np.repeat(np.arange(len(layers)), [each.tokens(d_t) for each in layers])
    for key, latents in latents_of(model, tokens, layers, networks, embed):
        spreads[key] = spread(latents[None], layer, len(layers))[0]
        if drawn.layer is not None and key in drawn.keys:
            rng = rng_for(seed, "analysis", "tokens", key[0])
            own = latents[layer == drawn.layer.l]
            distances[key] = token_distances(own, drawn.tokens, rng)
    return spreads, distances


def _means(analysed: Sequence[Analysed]) -> dict[str, float]:
    rows = [each.summary() for each in analysed if each.network.last]
    found = {"analysis.networks": float(len(rows))}
    for feature in FEATURES:
        values = np.array([row[feature] for row in rows], np.float64)
        if np.isfinite(values).any():
            found[f"analysis.mean.{feature}"] = float(np.nanmean(values))
    return found
