"""Download files of a Hugging Face repository, if `huggingface_hub` is installed."""

from importlib import import_module
from pathlib import Path
from typing import Any

from sane_core.zoo.formats.refused import printable
from schemas.errors import UserError


def download_repository(
    repository: str,
    revision: str | None,
    patterns: tuple[str, ...],
    cache: Path | None = None,
    endpoint: str | None = None,
) -> Path:
    """Return a folder with the files of a repository that fit the patterns.

    Where there are safetensors, `.bin` files are left out.

    Args:
        repository: `owner/name`.
        revision: Branch, tag or commit; the default branch if not given.
        patterns: Of files, as `*.json`.
        cache: Folder that keeps downloads; the library's own if not given.
        endpoint: Address of the hub; the library's own if not given.

    Raises:
        UserError: If the library is missing, or the repository cannot be had.
    """
    try:
        huggingface_hub = import_module("huggingface_hub")
    except ImportError:
        raise UserError(
            "reading hf: repositories needs huggingface_hub: pip install huggingface_hub"
        ) from None
    try:
        hub = huggingface_hub.HfApi(endpoint=endpoint)
        commit = hub.model_info(repository, revision=revision).sha
        files = hub.list_repo_files(repository, revision=commit)
        safe = any(file.endswith(".safetensors") for file in files)
        folder = hub.snapshot_download(
            repository,
            revision=commit,
            cache_dir=cache,
            tqdm_class=_silent(huggingface_hub.utils.tqdm),
            allow_patterns=[p for p in patterns if not (safe and p == "*.bin")],
        )
    except Exception as error:  # the library's errors have no base that all its versions share
        raise UserError(
            f"repository {repository!r} at {revision or 'its default branch'} cannot be "
            f"downloaded: {type(error).__name__}: {printable(str(error))}; check the name and the "
            "network"
        ) from error
    return Path(folder)


def _silent(bar: type[Any]) -> type[Any]:
    """Return a progress bar that shows nothing."""

    class Silent(bar):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options | {"disable": True})

    return Silent
