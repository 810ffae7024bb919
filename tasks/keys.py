"""Keys of stages: what a result depends on, and nothing else (ARCHITECTURE.md, "The store").

A changed helper changes the key; a changed comment, docstring or line break does not. The key
holds the *content* of the inputs, so a stage that is re-run and yields equal content stops the
recomputation there.
"""

import ast
import hashlib
import json
import platform
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from schemas.records import Artifact

ROOT = Path(__file__).resolve().parents[1]
FOLLOWED = ("sane_core", "schemas")
NUMERIC_LIBRARIES = ("torch", "numpy", "pyarrow")
KEY_LENGTH = 32


def stage_key(
    stage: str,
    module: str,
    config: BaseModel | Mapping[str, object],
    inputs: Mapping[str, Artifact],
    seed: int,
    device: str = "cpu",
) -> str:
    """Return the name of the artifact that a stage makes from these inputs, in hex.

    Args:
        stage: Name of the stage, e.g. `"tokens"`.
        module: Dotted name of the stage's module; its code digest is part of the key.
        config: Configuration of this stage alone, not of the whole benchmark.
        inputs: Artifacts by role; their content digests count, their places do not.
        seed: The run's one seed.
        device: Only its kind counts: `"cuda:1"` and `"cuda:0"` share their keys.
    """
    versions = library_versions(NUMERIC_LIBRARIES)
    parts = {
        "stage": stage,
        "code": code_digest(module),
        "config": canonical_config(config),
        "inputs": {role: artifact.digest for role, artifact in inputs.items()},
        "seed": seed,
        "versions": {name: ".".join(text.split(".")[:2]) for name, text in versions.items()},
        "device": device.split(":")[0],
    }
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:KEY_LENGTH]


def canonical_config(config: BaseModel | Mapping[str, object]) -> dict[str, object]:
    """Return a configuration as plain JSON values.

    Raises:
        ValueError: A value is infinite or not a number, which JSON cannot hold.
    """
    plain: dict[str, object] = json.loads(canonical_json(to_jsonable_python(config)))
    return plain


def canonical_json(value: object) -> str:
    """Return the one JSON text of a value: keys sorted, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def library_versions(names: Iterable[str] = NUMERIC_LIBRARIES) -> dict[str, str]:
    """Return the installed versions without importing anything; "none" if not installed."""
    return {name: _installed(name) for name in names}


def recorded_versions() -> dict[str, str]:
    """Return the versions that a manifest records: the numeric libraries and Python."""
    return {"python": platform.python_version(), **library_versions()}


@cache
def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


@cache
def code_digest(module: str, root: Path = ROOT) -> str:
    """Return the SHA-256 over the code that a module stands on, in hex.

    That is the module and, transitively, every module of `sane_core` and `schemas` it imports,
    inside functions too. A string that is the name of such a module (as given to `python -m`)
    counts as an import. Nothing is imported to find out.

    Args:
        module: Dotted name, e.g. `"tasks.tokens"`.
        root: Folder that holds the packages.

    Raises:
        ModuleNotFoundError: The module, or one that is imported on the way, has no source file.
    """
    digests: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in digests:
            digests[name], imported = _read_module(name, root)
            waiting.extend(imported)
    return hashlib.sha256(canonical_json(digests).encode()).hexdigest()


@cache
def _read_module(name: str, root: Path) -> tuple[str, frozenset[str]]:
    """Return the digest of one module's code and the followed modules that it imports."""
    path = _source(name, root)
    if path is None:
        raise ModuleNotFoundError(f"no source file of module {name} below {root}", name=name)
    tree = _WithoutDocstrings().visit(ast.parse(path.read_bytes(), filename=str(path)))
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    imported = frozenset(_imports(tree, package, root))
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), imported


def _source(name: str, root: Path) -> Path | None:
    """Return the file of a module; a package of the same name wins, as it does in Python."""
    place = root.joinpath(*name.split("."))
    for path in (place / "__init__.py", place.with_name(place.name + ".py")):
        if path.is_file():
            return path
    return None


def _imports(tree: ast.AST, package: str, root: Path) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _is_followed(alias.name))
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            if _is_followed(base):
                yield from (_part_or_package(base, alias.name, root) for alias in node.names)
        elif isinstance(node, ast.Constant) and _names_a_module(node.value, root):
            yield str(node.value)


def _is_followed(name: str) -> bool:
    return name.split(".")[0] in FOLLOWED


def _absolute(node: ast.ImportFrom, package: str) -> str:
    """Return the full name of what stands after `from`, relative imports resolved."""
    if not node.level:
        return node.module or ""
    parents = package.split(".")
    kept = parents[: len(parents) - node.level + 1]
    return ".".join([*kept, node.module] if node.module else kept)


def _part_or_package(base: str, name: str, root: Path) -> str:
    """Return what `from base import name` reads: the submodule, or else `base` itself."""
    inner = f"{base}.{name}"
    return inner if name != "*" and _source(inner, root) else base


def _names_a_module(text: object, root: Path) -> bool:
    if not isinstance(text, str) or "." not in text or not _is_followed(text):
        return False
    return all(part.isidentifier() for part in text.split(".")) and _source(text, root) is not None


class _WithoutDocstrings(ast.NodeTransformer):
    """Drop every statement that is only a string: docstrings, also those below attributes."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:  # noqa: N802 (named by ast)
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        return node
