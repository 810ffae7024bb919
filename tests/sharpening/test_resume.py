"""A sharpening that was stopped at any step ends as one that was not."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sane_core.generation.sharpen import Sharpened, decoder_of, sharpen
from sane_core.generation.sharpen_zoo import SharpenSources, open_sharpening, sharpen_on_zoo
from sane_core.pretraining.files import load
from sane_core.pretraining.state import NEWEST
from schemas.config.embed import EmbedConfig
from tests.sharpening.toy import configured

EMBED = EmbedConfig()
OFTEN = {"steps": 60, "networks": 2, "images": 16, "save_minutes": 0.0}

KILLED = """
import os, signal, sys
from pathlib import Path
from sane_core.generation.sharpen_zoo import SharpenSources, sharpen_on_zoo
from schemas.config.embed import EmbedConfig
from schemas.config.sharpen import SharpenConfig

images, tokens, model, scratch, folder, config = sys.argv[1:]

def kill(step, steps, loss):
    if step == 40:
        os.kill(os.getpid(), signal.SIGKILL)

sharpen_on_zoo(
    SharpenSources(Path(images), Path(tokens), Path(model)),
    SharpenConfig.model_validate_json(config),
    EmbedConfig(), 0, Path(folder), scratch=Path(scratch), on_step=kill,
)
"""


class Stop(Exception):
    pass


def go(
    sources: SharpenSources, scratch: Path | None, until: int | None = None, **changes
) -> Sharpened:
    def stop(step: int, steps: int, loss: float) -> None:
        if step == until:
            raise Stop

    model = load(sources.model)
    opened = open_sharpening(sources, model, configured(**{**OFTEN, **changes}), EMBED, 0)
    return sharpen(model, opened, 0, scratch=scratch, on_step=stop)


def same(first: Sharpened, second: Sharpened) -> bool:
    pairs = zip(decoder_of(first.model).values(), decoder_of(second.model).values(), strict=True)
    moments = all(torch.equal(v, second.optimizer[n]) for n, v in first.optimizer.items())
    return all(torch.equal(a, b) for a, b in pairs) and moments and first.curve == second.curve


@pytest.mark.parametrize("until", [1, 25, 49])
def test_stopped_and_resumed_is_undisturbed(
    sources: SharpenSources, tmp_path: Path, until: int
) -> None:
    with pytest.raises(Stop):
        go(sources, tmp_path, until)
    resumed = go(sources, tmp_path)
    assert resumed.steps == 60 - (25 if until > 25 else 0)
    assert same(resumed, go(sources, None))


def test_what_is_left_in_the_scratch_is_gone_on_from(
    sources: SharpenSources, tmp_path: Path
) -> None:
    """The law above would hold as well if nothing were resumed: so much is not done again."""
    with pytest.raises(Stop):
        go(sources, tmp_path, 55)
    assert go(sources, tmp_path).steps == 10


def test_killed_at_once_and_resumed_is_undisturbed(sources: SharpenSources, tmp_path: Path) -> None:
    scratch, half, whole, alone = (tmp_path / n for n in ("scratch", "half", "whole", "alone"))
    for folder in (scratch, half, whole, alone):
        folder.mkdir()
    config = configured(**OFTEN)
    places = (sources.images, sources.tokens, sources.model, scratch, half)
    command = [sys.executable, "-c", KILLED, *map(str, places), config.model_dump_json()]
    assert subprocess.run(command, cwd=Path(__file__).parents[2]).returncode == -9
    assert (scratch / NEWEST).exists()
    assert not list(half.iterdir())
    plain = SharpenSources(sources.images, sources.tokens, sources.model)
    resumed = sharpen_on_zoo(plain, config, EMBED, 0, whole, scratch=scratch)
    undisturbed = sharpen_on_zoo(plain, config, EMBED, 0, alone)
    for path in alone.iterdir():
        assert path.read_bytes() == (whole / path.name).read_bytes(), path.name
    assert resumed.metrics == undisturbed.metrics


def test_a_state_of_another_sharpening_is_refused(sources: SharpenSources, tmp_path: Path) -> None:
    go(sources, tmp_path)
    with pytest.raises(ValueError, match=r"sharpen.bandwidth is 0.5 and was 1.0"):
        go(sources, tmp_path, bandwidth=0.5)


def test_a_damaged_state_costs_steps_and_is_told(sources: SharpenSources, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        go(sources, tmp_path, 55)
    newest = tmp_path / NEWEST
    newest.write_bytes(newest.read_bytes()[:-1] + b"\x55")
    resumed = go(sources, tmp_path)
    assert resumed.steps == 35
    assert "is damaged" in resumed.notes[0]
    assert same(resumed, go(sources, None))
