"""Keys hold what a result depends on, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from schemas.config.windows import WindowsConfig
from schemas.records import Artifact
from tasks import keys
from tasks.keys import ROOT, code_digest, stage_key

TOKENS = Artifact(uri="store/tokens/a", digest="d1", kind="tokens")


def write(root: Path, files: dict[str, str]) -> Path:
    """Write sources below a folder and forget what was read of it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    code_digest.cache_clear()
    keys._read_module.cache_clear()
    return root


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A stage that imports a helper inside a function, which imports another relatively."""
    return write(
        tmp_path,
        {
            "tasks/cut.py": "import tasks.tracking\n"
            "from sane_core.weights import cut\nfrom schemas import shapes\n"
            "def run():\n    '''Run.'''\n    import sane_core.late\n    return cut, shapes\n",
            "tasks/tracking.py": "x = 1\n",
            "sane_core/__init__.py": "",
            "sane_core/weights/__init__.py": "exported = 1\n",
            "sane_core/weights/cut.py": "from ..rounding import nearest\nfrom . import exported\n",
            "sane_core/rounding.py": "def nearest(x):\n    return round(x)\n",
            "sane_core/late.py": "x = 1\n",
            "sane_core/unused.py": "x = 1\n",
            "schemas/__init__.py": "",
            "schemas/shapes.py": "x = 1\n",
        },
    )


@pytest.mark.parametrize(
    "changed",
    [
        "tasks/cut.py",
        "sane_core/weights/cut.py",
        "sane_core/weights/__init__.py",
        "sane_core/rounding.py",
        "sane_core/late.py",
        "schemas/shapes.py",
    ],
)
def test_a_changed_helper_changes_the_digest(project: Path, changed: str) -> None:
    before = code_digest("tasks.cut", project)
    write(project, {changed: (project / changed).read_text() + "added = 2\n"})
    assert code_digest("tasks.cut", project) != before


@pytest.mark.parametrize("changed", ["tasks/tracking.py", "sane_core/unused.py"])
def test_code_a_stage_does_not_stand_on_is_not_in_its_digest(project: Path, changed: str) -> None:
    before = code_digest("tasks.cut", project)
    write(project, {changed: "x = 2\n"})
    assert code_digest("tasks.cut", project) == before


def test_comments_docstrings_and_formatting_do_not_change_the_digest(project: Path) -> None:
    before = code_digest("tasks.cut", project)
    text = '"""Round."""\n\ndef nearest(x):  # to even\n    """Say."""\n    return (\n round(x))\n'
    write(project, {"sane_core/rounding.py": text})
    assert code_digest("tasks.cut", project) == before


def test_a_module_named_in_a_string_counts_as_an_import(project: Path) -> None:
    write(project, {"sane_core/late.py": "command = ['python', '-m', 'sane_core.unused']\n"})
    before = code_digest("tasks.cut", project)
    write(project, {"sane_core/unused.py": "x = 2\n"})
    assert code_digest("tasks.cut", project) != before


def test_a_circle_of_imports_ends(project: Path) -> None:
    write(project, {"sane_core/rounding.py": "from sane_core.weights import cut\n"})
    assert len(code_digest("tasks.cut", project)) == 64


def test_a_missing_module_is_named(project: Path) -> None:
    write(project, {"sane_core/late.py": "import sane_core.nowhere\n"})
    with pytest.raises(ModuleNotFoundError, match=r"no source file of module sane_core\.nowhere"):
        code_digest("tasks.cut", project)


def test_the_digest_is_the_same_in_every_process() -> None:
    script = "from tasks.keys import code_digest; print(code_digest('schemas.config.benchmark'))"
    told = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert told.stdout.strip() == code_digest("schemas.config.benchmark")


def test_keys_import_no_heavy_library() -> None:
    script = (
        "import sys, tasks.keys, tasks.store;"
        "print({'torch', 'mlflow', 'prefect', 'pyarrow'} & {*sys.modules})"
    )
    told = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert told.stdout.strip() == "set()"


def key(**changes: object) -> str:
    given: dict[str, object] = {
        "stage": "windows",
        "module": "schemas.records",
        "config": WindowsConfig(),
        "inputs": {"tokens": TOKENS},
        "seed": 0,
    }
    return stage_key(**(given | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"stage": "tokens"},
        {"module": "schemas.errors"},
        {"config": WindowsConfig(length=47)},
        {"inputs": {"tokens": TOKENS.model_copy(update={"digest": "d2"})}},
        {"inputs": {"other": TOKENS}},
        {"seed": 1},
        {"device": "cuda"},
    ],
)
def test_everything_a_result_depends_on_changes_the_key(changes: dict[str, object]) -> None:
    assert key(**changes) != key()


def test_places_and_device_numbers_do_not_change_the_key() -> None:
    moved = TOKENS.model_copy(update={"uri": "s3://elsewhere/tokens/b"})
    assert key(inputs={"tokens": moved}) == key()
    assert key(device="cuda:1") == key(device="cuda:0")
    assert key(config=WindowsConfig().model_dump()) == key()
    assert len(key()) == 32


@pytest.mark.parametrize(("version", "same"), [("2.13.1+cpu", True), ("2.14.0", False)])
def test_only_major_and_minor_versions_count(
    monkeypatch: pytest.MonkeyPatch, version: str, same: bool
) -> None:
    monkeypatch.setattr(keys, "_installed", lambda name: "2.13.0")
    before = key()
    monkeypatch.setattr(keys, "_installed", lambda name: version)
    assert (key() == before) is same


def test_a_configuration_that_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        key(config={"gamma": float("nan")})
