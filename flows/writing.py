"""Tables that commands write for the user. Heavy imports stand inside."""

from pathlib import Path


def write_table(out: Path, columns: dict[str, object]) -> None:
    """Write columns of equal length to a Parquet file.

    Raises:
        UserError: If the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from schemas.errors import UserError

    try:
        pq.write_table(pa.table(columns), out, compression="zstd")
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror or error}") from error
