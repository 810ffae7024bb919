"""The doctor finds each illness it knows, names it, and prescribes something."""

import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from flows import doctor
from flows.doctor import Check


def package(folder: Path, name: str) -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").touch()
    return folder / name


def test_our_own_package_first_on_the_path_is_healthy(tmp_path: Path) -> None:
    ours = package(tmp_path / "ours", "tasks")
    package(tmp_path / "later", "tasks")
    search = [str(tmp_path / "ours"), str(tmp_path / "later")]
    check = doctor.check_shadowing("tasks", tmp_path / "ours", search, here=tmp_path)
    assert check == Check("package tasks", True, str(ours))


def test_a_package_earlier_on_the_path_hides_ours(tmp_path: Path) -> None:
    ours = package(tmp_path / "ours", "tasks")
    other = package(tmp_path / "site-packages", "tasks")
    search = [str(tmp_path / "site-packages"), str(tmp_path / "ours")]
    check = doctor.check_shadowing("tasks", tmp_path / "ours", search, here=tmp_path)
    assert not check.ok
    assert check.found == f"{other} hides {ours}"
    assert check.remedy.startswith(f"rename {other}, uninstall what brought it")


def test_a_module_in_the_current_folder_hides_ours(tmp_path: Path) -> None:
    package(tmp_path / "ours", "flows")
    here = tmp_path / "here"
    here.mkdir()
    (here / "flows.py").touch()
    check = doctor.check_shadowing("flows", tmp_path / "ours", [str(tmp_path / "ours")], here)
    assert not check.ok
    assert f"{here / 'flows.py'} hides" in check.found


def test_a_bare_folder_of_the_same_name_hides_nothing(tmp_path: Path) -> None:
    package(tmp_path / "ours", "flows")
    (tmp_path / "here" / "flows").mkdir(parents=True)
    search = [str(tmp_path / "ours")]
    assert doctor.check_shadowing("flows", tmp_path / "ours", search, tmp_path / "here").ok


def test_a_package_that_is_nowhere_is_reported(tmp_path: Path) -> None:
    check = doctor.check_shadowing("flows", tmp_path, [], tmp_path / "here")
    assert not check.ok
    assert check.found.startswith("not found on the import path")


@pytest.mark.parametrize(
    ("version", "ok"), [("3.10.13", False), ("3.11.0", True), ("3.12.9", True), ("3.13.0", False)]
)
def test_python_must_be_in_the_supported_range(version: str, ok: bool) -> None:
    check = doctor.check_python(version, ">=3.11,<3.13")
    assert check.ok == ok
    assert check.found == f"{version} (needs >=3.11,<3.13)"


@pytest.mark.parametrize(
    ("installed", "ok"), [("0.150.0", True), ("0.151.0", False), ("0.138", False), (None, False)]
)
def test_a_dependency_must_be_in_its_range(installed: str | None, ok: bool) -> None:
    check = doctor.check_version(Requirement("fastapi>=0.139,<0.151"), installed)
    assert check.ok == ok
    assert check.remedy


def test_a_local_build_of_torch_counts_as_its_version() -> None:
    assert doctor.check_version(Requirement("torch>=2.11,<2.14"), "2.13.0+cpu").ok


def test_an_import_that_works_is_healthy() -> None:
    assert doctor.check_import("json", "json").ok


def test_a_broken_import_tells_its_last_line_and_the_numpy_reader() -> None:
    check = doctor.check_import("ffcv", "no_such_module")
    assert not check.ok
    assert check.found == "ModuleNotFoundError: No module named 'no_such_module'"
    assert "--set windows.reader=numpy" in check.remedy


def test_an_import_that_kills_its_process_is_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "crashing.py").write_text("import os\nos.abort()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    check = doctor.check_import("ffcv", "crashing")
    assert not check.ok
    assert check.found == "exit code -6"


@pytest.mark.parametrize(
    ("flags", "found"),
    [({"avx512_bf16", "sse"}, "avx512_bf16"), ({"sse"}, "no; pretraining runs in float32")],
)
def test_bfloat16_is_told_and_never_required(flags: set[str], found: str) -> None:
    check = doctor.check_bf16(frozenset(flags))
    assert check.found.startswith(found)
    assert not check.required


def test_a_store_that_does_not_exist_yet_is_judged_by_its_nearest_parent(tmp_path: Path) -> None:
    store, space = doctor.check_store(str(tmp_path / "a" / "b"))
    assert store == Check("store", True, f"{tmp_path} can be written", store.remedy)
    assert space.ok
    assert list(tmp_path.iterdir()) == []


def test_too_little_space_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "STORE_BYTES", 10**20)
    assert not doctor.check_store(str(tmp_path))[1].ok


def test_a_store_that_is_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "store").touch()
    check = doctor.check_writable(tmp_path / "store")
    assert not check.ok
    assert check.found == f"{tmp_path / 'store'} cannot be written: Not a directory"
    assert "--set store=" in check.remedy


def test_a_remote_store_is_left_alone() -> None:
    assert [check.required for check in doctor.check_store("s3://bucket/store")] == [False]


def test_only_required_checks_decide() -> None:
    informative = Check("GPU", False, "none", required=False)
    assert doctor.passed([Check("Python", True, "3.11"), informative])
    assert not doctor.passed([Check("Python", False, "3.9"), informative])


def test_the_table_shows_what_was_found_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.render([Check("store", False, "[Errno 13] /x", "change its mode")])
    shown = capsys.readouterr().out
    assert "FAIL" in shown
    assert "[Errno 13] /x" in shown
    assert "store: change its mode" in shown


def test_this_machine_finds_its_own_packages() -> None:
    for name in doctor.PACKAGES:
        assert doctor.check_shadowing(name, doctor.ROOT, sys.path, doctor.ROOT).ok
