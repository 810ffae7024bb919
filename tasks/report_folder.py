"""The folder that a run's report goes to: can it be written, and if not, why."""

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import DiskFull, UserError


def check_report_folder(out: Path) -> None:
    """Find out before the work starts whether the report can be written.

    Raises:
        UserError: It cannot, with the reason.
        DiskFull: There is no space left.
    """
    with naming_the_folder(out):
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out) as probe:
            probe.write(b"sane")


@contextmanager
def naming_the_folder(out: Path) -> Iterator[None]:
    """Say in one sentence that the report's folder cannot be written, and why."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"no space left for the report in {out}: free some") from error
        raise UserError(
            f"report folder {out} cannot be written ({reason}): choose another --out"
        ) from error
