"""The toy zoo, made once."""

from pathlib import Path

import pytest

from sane_core.generation.sharpen_zoo import SharpenSources
from sane_core.images.dataset import split
from sane_core.images.images import Images
from sane_core.images.registry import load_dataset
from tests.sharpening.toy import DIGITS_CNN, make_sources


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Images]:
    whole = load_dataset("digits", tmp_path_factory.mktemp("data"))
    return split(whole, 0, 200, 100, 100)


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory, digits: dict[str, Images]) -> SharpenSources:
    """Folders of a small zoo of CNNs on digits."""
    folder: Path = tmp_path_factory.mktemp("cnns")
    return make_sources(folder, DIGITS_CNN, digits)
