"""Setting up is done once: fresh stamps install nothing, and changed inputs install again."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STAMPS = (".system-packages", ".created", ".installed", ".installed-dev")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what `make` reads, with every stamp fresh."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "scripts"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").mkdir()
    for path in tmp_path.rglob("*"):
        os.utime(path, (1000, 1000))
    for age, stamp in enumerate(STAMPS):
        (tmp_path / ".venv" / stamp).touch()
        os.utime(tmp_path / ".venv" / stamp, (2000 + age, 2000 + age))
    return tmp_path


def plan(checkout: Path, target: str) -> str:
    """Return the commands that `make TARGET` would run, also when make runs the tests."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--no-print-directory", "-n", target]
    return subprocess.run(
        command, cwd=checkout, env=own, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("target", ["setup", "develop", "quickstart", "test"])
def test_fresh_stamps_install_nothing(checkout: Path, target: str) -> None:
    commands = plan(checkout, target)
    assert "install" not in commands
    assert "system-packages" not in commands


@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt"])
def test_a_changed_dependency_installs_again_but_keeps_the_environment(
    checkout: Path, changed: str
) -> None:
    os.utime(checkout / changed, (3000, 3000))
    commands = plan(checkout, "setup")
    assert "--editable" in commands
    assert "venv .venv" not in commands


def test_without_an_environment_everything_is_set_up_in_order(checkout: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    commands = plan(checkout, "quickstart")
    steps = ["scripts/system-packages", "-m venv", "--editable '.[ffcv]'", "sane run"]
    places = [commands.index(step) for step in steps]
    assert places == sorted(places)


def test_checking_runs_each_check(checkout: Path) -> None:
    commands = plan(checkout, "test")
    for check in ("ruff check", "ruff format --check", "mypy", "lint-imports", "pytest"):
        assert f".venv/bin/{check}" in commands


def test_continuous_integration_runs_make_test_only() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert lines[-1] == "make test"
    assert "set -euo pipefail" in lines
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def commands_that(folder: Path, **answers: str) -> dict[str, str]:
    """Return an environment whose path begins with these shell commands."""
    folder.mkdir()
    for name, script in answers.items():
        file = folder / name.replace("_", "-")
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


def system_packages(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "system-packages", "python3"],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


ALL_THERE = {"pkg_config": "exit 0", "python3": "echo 3.11", "g++": "exit 0"}
LIBRARIES = "echo libGL.so.1 libgthread-2.0.so.0"


def test_nothing_is_run_where_every_system_package_is_there(tmp_path: Path) -> None:
    environment = commands_that(
        tmp_path / "bin", apt_get="echo installed", ldconfig=LIBRARIES, **ALL_THERE
    )
    done = system_packages(environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_rights_the_one_line_to_run_is_printed(tmp_path: Path) -> None:
    answers = {**ALL_THERE, "pkg_config": '[ "$2" = libturbojpeg ]'}
    environment = commands_that(
        tmp_path / "bin",
        apt_get="echo installed",
        ldconfig=LIBRARIES,
        sudo="exit 1",
        id="echo 1000",
        **answers,
    )
    done = system_packages(environment)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1] == (
        "apt-get update && apt-get install -y --no-install-recommends libopencv-dev"
    )


def test_an_unsupported_python_is_refused_with_the_remedy(tmp_path: Path) -> None:
    done = system_packages(commands_that(tmp_path / "bin", python3="exit 1"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: no Python 3.11 or 3.12 found; install one, or name it:")
