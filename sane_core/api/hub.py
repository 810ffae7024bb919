"""Share a trained SANE on the Hugging Face Hub (extra `hub`), and fetch one from there."""

import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from sane_core.api.bundle import DESCRIPTION, Bundle, write
from sane_core.api.card import model_card
from sane_core.zoo.formats.refused import printable
from sane_core.zoo.readers.repository import download_repository
from schemas.errors import UserError

PATTERNS = (DESCRIPTION, "*.safetensors")
"""What is fetched of a repository; nothing else in it is looked at."""

_CARD = "README.md"


def download(
    repo_id: str,
    revision: str | None = None,
    cache: Path | None = None,
    endpoint: str | None = None,
) -> Path:
    """Return a folder with a bundle of the Hub.

    Args:
        repo_id: `owner/name`.
        revision: Branch, tag or commit; the default branch if not given.
        cache: Folder that keeps downloads; the library's own if not given.
        endpoint: Address of the hub; the library's own if not given.

    Raises:
        UserError: If huggingface_hub is missing, or the repository cannot be had.
    """
    _library()
    return download_repository(repo_id, revision, PATTERNS, cache, endpoint)


def upload(
    bundle: Bundle,
    repo_id: str,
    token: str | None = None,
    private: bool = False,
    endpoint: str | None = None,
) -> str:
    """Upload a bundle with its card; the repository is made if need be.

    Args:
        bundle: What to upload.
        repo_id: `owner/name`.
        token: Of the account; that of the login if not given.
        private: Whether a new repository is private.
        endpoint: Address of the hub; the library's own if not given.

    Returns:
        Address of the commit.

    Raises:
        UserError: If huggingface_hub is missing, or the repository cannot be written.
    """
    library = _library()
    with tempfile.TemporaryDirectory(prefix="sane-") as scratch:
        folder = Path(scratch) / "bundle"
        described = write(folder, bundle)
        (folder / _CARD).write_text(model_card(described, f'Sane.from_hub("{repo_id}")'))
        try:
            hub = library.HfApi(endpoint=endpoint, token=token)
            hub.create_repo(repo_id, private=private, exist_ok=True)
            message = f"Upload {described.name}"
            commit = hub.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=message)
        except Exception as error:  # the library's errors have no base that all versions share
            raise UserError(
                f"repository {repo_id!r} cannot be written: {type(error).__name__}: "
                f"{printable(str(error))}; check its name, the token and the network"
            ) from error
    return str(commit.commit_url)


def _library() -> Any:
    try:
        return import_module("huggingface_hub")
    except ImportError:
        raise UserError(
            "sharing a SANE needs huggingface_hub: install the extra, pip install 'sane[hub]'"
        ) from None
