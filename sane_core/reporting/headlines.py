"""The numbers of the page's first screen, read from the metrics; what is not there is left out."""

from collections.abc import Mapping
from dataclasses import dataclass

from sane_core.reporting.names import FEATURES, METHODS, TARGETS, name_of
from sane_core.reporting.verdict import verdict


@dataclass(frozen=True)
class Headline:
    """One number, and lines of what it has to be read against."""

    label: str
    value: str
    beside: tuple[str, ...]


def headlines(metrics: Mapping[str, float], facts: Mapping[str, str]) -> list[Headline]:
    """Return the headline numbers of one zoo.

    Args:
        metrics: Flat metrics of all stages.
        facts: What is worth saying in words.
    """
    found = [_probe(metrics, target) for target in TARGETS]
    found += [_zero_shot(metrics), _reconstruction(metrics), _latents(metrics), _reader(facts)]
    return [headline for headline in found if headline]


def _probe(metrics: Mapping[str, float], target: str) -> Headline | None:
    def r2(feature: str) -> str:
        key = f"probe.r2.{target}.{feature}"
        return f"{metrics[key]:.3f}{_interval(metrics, key)}"

    if f"probe.r2.{target}.sane_selected" not in metrics:
        return None
    beside = [
        f"{name_of(feature, FEATURES).label}: {r2(feature)}"
        for feature in ("statistics", "weights")
        if f"probe.r2.{target}.{feature}" in metrics
    ]
    beside += [
        f"{name_of(feature, FEATURES).label}: {r2(feature)} (beside s(W) alone: {verdict(*ends)})"
        for feature in ("sane_statistics",)
        if (ends := _ends(metrics, f"probe.difference.{target}.{feature}.statistics"))
    ]
    label = f"R² for {name_of(target, TARGETS).label}, SANE embedding"
    return Headline(label, r2("sane_selected"), tuple(beside))


def _ends(metrics: Mapping[str, float], key: str) -> tuple[float, float] | None:
    """Return both ends of the interval of a metric, None where it is not there."""
    if f"{key}.low" not in metrics or f"{key}.high" not in metrics:
        return None
    return metrics[f"{key}.low"], metrics[f"{key}.high"]


def _interval(metrics: Mapping[str, float], key: str) -> str:
    ends = _ends(metrics, key)
    return f" [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else ""


def _zero_shot(metrics: Mapping[str, float]) -> Headline | None:
    def accuracy(method: str) -> str:
        return f"{100 * metrics[f'generation.accuracy.{method}.epoch0']:.1f} %"

    if "generation.accuracy.sub.epoch0" not in metrics:
        return None
    beside = [
        f"{name_of(method, METHODS).label}: {accuracy(method)}"
        for method in ("prompts", "prompts_selected", "noise")
        if f"generation.accuracy.{method}.epoch0" in metrics
    ]
    return Headline("Test accuracy of SUB samples, zero-shot", accuracy("sub"), tuple(beside))


def _reconstruction(metrics: Mapping[str, float]) -> Headline | None:
    validation, test = "pretrain.validation_reconstruction", "evaluation.test.reconstruction"
    beside = ["share of the weights' variance that is lost; 0 is perfect"]
    if test in metrics:
        if validation in metrics:
            beside.append(f"validation runs, in both views: {metrics[validation]:.3f}")
        value = f"{metrics[test]:.3f}{_interval(metrics, test)}"
        return Headline("Masked reconstruction, test runs", value, tuple(beside))
    if validation not in metrics:
        return None
    value = f"{metrics[validation]:.3f}"
    return Headline("Masked reconstruction, validation runs", value, tuple(beside))


def _latents(metrics: Mapping[str, float]) -> Headline | None:
    keys = ("evaluation.latents_per_weight", "pretrain.latents_per_weight")
    found = [metrics[key] for key in keys if key in metrics]
    if not found:
        return None
    size = metrics.get("pretrain.parameters")
    beside = ["above 1 the code is wider than the weights"]
    if size is not None:
        beside.append(f"autoencoder: {size / 1e6:.2f} M parameters")
    return Headline("Latents per weight", f"{found[0]:.2f}", tuple(beside))


def _reader(facts: Mapping[str, str]) -> Headline | None:
    if "windows.reader" not in facts:
        return None
    precision = facts.get("pretrain.precision")
    beside = (f"pretrained in {precision}",) if precision else ()
    return Headline("Windows were read by", facts["windows.reader"], beside)
