"""What MLflow, its database or its server raise, as one sentence with the remedy."""

from collections.abc import Iterator
from contextlib import contextmanager

from schemas.errors import DiskFull, SaneError, UserError

_FULL = ("disk is full", "no space left", "quota exceeded")
_LIBRARIES = ("mlflow", "sqlalchemy")


@contextmanager
def opening(uri: str) -> Iterator[None]:
    """Say why a place cannot be opened, and what to do.

    Raises:
        UserError: In place of whatever was raised.
    """
    try:
        yield
    except SaneError:
        raise
    # Missing drivers, migrations and connections: each has exceptions of its own.
    except Exception as error:
        reason = _reason(error)
        remedy = "choose another `tracking.uri`"
        if "out-of-date database schema" in reason:
            reason = "it was made by another version of MLflow"
            remedy = f"copy it, then run `mlflow db upgrade {uri}`; or {remedy}"
        raise UserError(f"MLflow ({uri}) cannot be opened ({reason}): {remedy}") from error


@contextmanager
def naming(uri: str, trouble: str) -> Iterator[None]:
    """Say what could not be done with a place that is open, and why.

    Raises:
        DiskFull: There is no space left.
        SaneError: In place of anything else that MLflow or its database raised.
    """
    try:
        yield
    except Exception as error:
        # By name: what is not at fault here may be raised before either is imported.
        library = type(error).__module__.split(".")[0]
        if library not in _LIBRARIES and not isinstance(error, OSError):
            raise
        reason = _reason(error)
        if any(text in reason.lower() for text in _FULL):
            raise DiskFull(f"no space left for MLflow ({uri}): free some space") from error
        raise SaneError(f"MLflow ({uri}): {trouble} ({reason})") from error


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0]
