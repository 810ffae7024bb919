"""From Python: a task needs no server, and the science needs neither Prefect nor MLflow."""

import subprocess
import sys
from pathlib import Path

import pytest

TASKS = """
from schemas.config.images import ImagesConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.zoo import ZooConfig
from tasks.images import ImagesStage, prepare_images
from tasks.stage import Place
from tasks.tokens import preprocess
from tasks.zoo import ZooStage, build_zoo

place = Place(store="store", seed=0)
chosen = ImagesConfig(train=64, validation=20, test=20)
recipe = ZooStage.of(ZooConfig(members=8, epochs=1))
images = prepare_images(ImagesStage.of(chosen, "data"), at=place)
zoo = build_zoo(recipe, at=place, images=images)
tokens = preprocess(PreprocessConfig(), at=place, zoo=zoo)
print(tokens.kind, build_zoo(recipe, at=place, images=images) == zoo)
"""
SCIENCE = """
import sys
sys.modules["prefect"] = sys.modules["mlflow"] = None
from pathlib import Path
from sane_core.images.prepare import prepare
from sane_core.weights.preprocess import preprocess_zoo
from sane_core.weights.work import PlainWork
from sane_core.zoo.build import train_zoo
from schemas.config.images import ImagesConfig
from schemas.config.preprocess import PreprocessConfig
from schemas.config.zoo import ZooConfig

for name in ("images", "zoo", "scratch", "tokens", "shards"):
    Path(name).mkdir()
recipe = ZooConfig(
    members=8, epochs=1, images=ImagesConfig(train=64, validation=20, test=20)
)
prepare(recipe.images, Path("data"), 0, Path("images"))
train_zoo(recipe, Path("images"), 0, Path("zoo"), Path("scratch"))
metrics = preprocess_zoo(
    Path("zoo"), PreprocessConfig(), 0, PlainWork(Path("tokens"), Path("shards"))
)
print(metrics["preprocess.squared_distance.after"] < metrics["preprocess.squared_distance.before"])
"""


@pytest.mark.parametrize(("script", "said"), [(TASKS, "tokens True"), (SCIENCE, "True")])
def test_a_script_needs_no_server(
    script: str, said: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    nowhere = {"PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment | nowhere,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == said
    assert not (tmp_path / "home" / "prefect.db").exists()
