"""Read what `torch.save` wrote, in its zip and its older plain form.

The container is checked first, then the pickle is followed without building anything
(`dry_run`), and only then `torch.load(weights_only=True)` reads the bytes already in memory. So
torch allocates no more than the file holds.
"""

import io
from typing import Any

import torch

from sane_core.zoo.formats import zip_directory
from sane_core.zoo.formats.dry_run import Followed, follow
from sane_core.zoo.formats.limits import Limits
from sane_core.zoo.formats.refused import FETCH_AGAIN, RESAVE, Refused, printable

ZIP_MAGIC = zip_directory.MAGIC
LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_LEGACY_PROTOCOL = 1001
_EXPANSION = 4


def load_zip(data: bytes, limits: Limits) -> Any:
    """Return the object in a zip of `torch.save`.

    Args:
        data: The file.
        limits: Bounds on what it may ask for.

    Returns:
        Dictionaries, lists, numbers and tensors on the CPU.

    Raises:
        Refused: If anything in it is not as `torch.save` writes it, or exceeds a bound.
    """
    records = zip_directory.records_of(data, limits)
    pickle = records.get("data.pkl")
    if pickle is None or "constants.pkl" in records:
        what = "a TorchScript program" if "constants.pkl" in records else "another archive"
        raise Refused(f"the archive must be one of torch.save, got {what}", RESAVE)
    if pickle.stop - pickle.start > limits.header_bytes:
        raise Refused(f"a pickle must have at most {limits.header_bytes} bytes", RESAVE)
    followed = follow(data, pickle.start, pickle.stop, limits)
    for key, claim in followed.storages.items():
        record = records.get(f"data/{key}")
        held = 0 if record is None else record.stop - record.start
        if record is None or claim.bytes != held:
            raise Refused(
                f"the storage {printable(key)} must have {claim.bytes} bytes, got {held}",
                FETCH_AGAIN,
            )
    return _load(data, followed)


def load_legacy(data: bytes, limits: Limits) -> Any:
    """Return the object in a file of `torch.save` before version 1.6: pickles, then storages.

    Args:
        data: The file.
        limits: Bounds on what it may ask for.

    Returns:
        Dictionaries, lists, numbers and tensors on the CPU.

    Raises:
        Refused: If anything in it is not as `torch.save` writes it, or exceeds a bound.
    """
    stop = min(len(data), len(LEGACY_MAGIC) + limits.header_bytes)
    protocol = follow(data, len(LEGACY_MAGIC), stop, limits)
    system = follow(data, protocol.end, stop, limits)
    followed = follow(data, system.end, stop, limits)
    keys = follow(data, followed.end, stop, limits)
    if protocol.value != _LEGACY_PROTOCOL or type(keys.value) is not list:
        raise Refused("the file must be of torch's protocol 1001", RESAVE)
    _check_legacy_storages(data, keys, followed)
    return _load(data, followed)


def _check_legacy_storages(data: bytes, keys: Followed, followed: Followed) -> None:
    """Refuse storages that are missing, of another size than claimed, or cut off."""
    listed = keys.value
    if any(type(key) is not str for key in listed) or sorted(listed) != sorted(followed.storages):
        raise Refused("every storage must be listed once", FETCH_AGAIN)
    at = keys.end
    for key in listed:
        claim = followed.storages[key]
        start, at = at + 8, at + 8 + claim.bytes
        if int.from_bytes(data[start - 8 : start], "little") != claim.values and start <= len(data):
            raise Refused(f"the storage {printable(key)} is not of the size claimed", FETCH_AGAIN)
        if at > len(data):
            raise Refused(
                f"the file must have at least {at} bytes, got {len(data)}",
                FETCH_AGAIN,
                incomplete=True,
            )
    if at != len(data):
        raise Refused(f"the file must have {at} bytes, got {len(data)}", FETCH_AGAIN)


def _load(data: bytes, followed: Followed) -> Any:
    """Let torch build what was followed."""
    views = {(c.storage.key, c.offset, c.size, c.stride): c.bytes for c in followed.tensors}
    if sum(views.values()) > _EXPANSION * len(data):
        raise Refused(
            f"tensors must take at most {_EXPANSION} times the file's {len(data)} bytes, "
            f"got {sum(views.values())}",
            RESAVE,
        )
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:
        said = printable(str(error).split("\n")[0])
        raise Refused(f"PyTorch cannot read it ({type(error).__name__}: {said})", RESAVE) from None
