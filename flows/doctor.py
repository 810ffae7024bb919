"""`sane doctor`: can this machine run SANE, and if not, what is to be done?

Each check is a small function of plain values that returns a `Check`; `diagnose` feeds them what
the machine says, `render` prints the table.
"""

import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

DISTRIBUTION = "sane"
PACKAGES = ("flows", "tasks", "sane_core", "schemas")
ROOT = Path(__file__).resolve().parents[1]
STORE_BYTES = 2 * 10**9
BF16_FLAGS = ("amx_bf16", "avx512_bf16")


@dataclass(frozen=True)
class Check:
    """What was looked at, what was found, and what to do if that is not enough."""

    name: str
    ok: bool
    found: str
    remedy: str = ""
    required: bool = True


def diagnose(store: str = "store") -> list[Check]:
    """Return every check of this machine, for artifacts in the folder `store`."""
    return [
        *check_installation(),
        *(check_shadowing(name, ROOT, sys.path, Path.cwd()) for name in PACKAGES),
        check_import("ffcv", "ffcv.loader, ffcv.writer"),
        check_gpu(),
        check_bf16(_cpu_flags()),
        *check_store(store),
    ]


def passed(checks: Iterable[Check]) -> bool:
    """Return whether every required check is met."""
    return all(check.ok or not check.required for check in checks)


def check_installation() -> list[Check]:
    """Check Python and every installed dependency against the ranges of pyproject.toml."""
    try:
        metadata = importlib.metadata.metadata(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return [Check("installation", False, "sane is not installed", "run: make setup")]
    python = ".".join(map(str, sys.version_info[:3]))
    requirements = [Requirement(text) for text in importlib.metadata.requires(DISTRIBUTION) or ()]
    return [
        check_python(python, metadata["Requires-Python"]),
        *(
            check_version(requirement, _installed(requirement.name))
            for requirement in requirements
            if requirement.marker is None or requirement.marker.evaluate({"extra": "ffcv"})
        ),
    ]


def check_python(version: str, supported: str) -> Check:
    """Check the interpreter's version, such as `3.11.7`, against a range."""
    return Check(
        "Python",
        SpecifierSet(supported).contains(version),
        f"{version} (needs {supported})",
        "remove .venv, then run: make setup PYTHON=python3.11",
    )


def check_version(requirement: Requirement, installed: str | None) -> Check:
    """Check one dependency; `installed` is its version, or None where it is missing."""
    needs = f" (needs {requirement.specifier})" if requirement.specifier else ""
    return Check(
        requirement.name,
        installed is not None and requirement.specifier.contains(installed, prereleases=True),
        f"{installed or 'not installed'}{needs}",
        "remove .venv, then run: make setup",
    )


def check_shadowing(name: str, root: Path, search: Iterable[str], here: Path) -> Check:
    """Check that `import NAME` finds the package in `root` and no other of that name.

    Args:
        name: Top-level package of this project.
        root: Folder that holds this project's packages.
        search: Import path, in order; an empty entry is the current folder.
        here: Current folder: `python -m` and Prefect workers put it first.
    """
    ours = (root / name).resolve()
    label = f"package {name}"
    for entry in [str(here), *search]:
        found = _module_in(Path(entry or here), name)
        if found == ours:
            break
        if found is not None:
            remedy = f"rename {found}, uninstall what brought it, or run from another folder"
            return Check(label, False, f"{found} hides {ours}", remedy)
    else:
        return Check(label, False, f"not found on the import path, {ours} expected", "make setup")
    return Check(label, True, str(ours))


def check_import(name: str, modules: str) -> Check:
    """Import compiled modules in a process of their own: what is broken there may crash."""
    remedy = (
        "run: scripts/system-packages python3.11 && .venv/bin/pip install --force-reinstall "
        "--no-deps --no-cache-dir -c constraints.txt ffcv; or read windows by numpy: "
        "--set windows.reader=numpy"
    )
    command = [sys.executable, "-c", f"import {modules}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return Check(f"import {name}", False, "did not finish within 120 s", remedy)
    if done.returncode == 0:
        return Check(f"import {name}", True, "works")
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return Check(f"import {name}", False, last, remedy)


def check_gpu() -> Check:
    """Say whether torch sees a GPU; none is needed."""
    try:
        import torch
    except Exception as error:
        return Check("GPU", False, f"torch cannot be imported: {error}", "run: make setup")
    if torch.cuda.is_available():
        return Check("GPU", True, torch.cuda.get_device_name(), required=False)
    return Check("GPU", False, "none; the processor is used", required=False)


def check_bf16(flags: frozenset[str]) -> Check:
    """Say whether the processor computes in bfloat16, from its flags; none is needed."""
    present = [flag for flag in BF16_FLAGS if flag in flags]
    found = ", ".join(present) or "no; pretraining runs in float32 and takes longer"
    return Check("processor bfloat16", bool(present), found, required=False)


def check_store(store: str) -> list[Check]:
    """Check that the store's folder can be written and has room; a remote one is not looked at."""
    if "://" in store:
        return [Check("store", True, f"{store} is remote and was not looked at", required=False)]
    folder = next(path for path in _with_parents(Path(store)) if path.exists())
    space = shutil.disk_usage(folder).free
    return [
        check_writable(folder),
        Check(
            "free space",
            space >= STORE_BYTES,
            f"{space / 1e9:.1f} GB at {folder} (needs {STORE_BYTES / 1e9:.0f} GB)",
            "delete what is not needed, or set another store: --set store=/path/with/room",
        ),
    ]


def check_writable(folder: Path) -> Check:
    """Check by writing a file that has no name, so nothing is left behind."""
    remedy = "change its owner or mode, or set another store: --set store=/path"
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"sane")
    except OSError as error:
        return Check("store", False, f"{folder} cannot be written: {error.strerror}", remedy)
    return Check("store", True, f"{folder} can be written")


def render(checks: Iterable[Check]) -> None:
    """Print the checks as a table, then what is to be done."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    checks = list(checks)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "check", "found"):
        table.add_column(column, overflow="fold")
    for check in checks:
        table.add_row(_mark(check), check.name, escape(check.found))
    console = Console(highlight=False)
    console.print(table)
    for check in checks:
        if not check.ok and check.remedy:
            console.print(f"{check.name}: {check.remedy}", markup=False)


def _mark(check: Check) -> str:
    if check.ok:
        return "[green]ok[/]"
    return "[red]FAIL[/]" if check.required else "[yellow]-[/]"


def _module_in(folder: Path, name: str) -> Path | None:
    """Return the package or module `name` of a folder; a bare folder of that name hides nothing."""
    if (folder / name / "__init__.py").is_file():
        return (folder / name).resolve()
    if (folder / f"{name}.py").is_file():
        return (folder / f"{name}.py").resolve()
    return None


def _with_parents(path: Path) -> list[Path]:
    return [path.absolute(), *path.absolute().parents]


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_flags() -> frozenset[str]:
    """Return the flags of the first processor; none where Linux does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.partition(":")[2].split())
