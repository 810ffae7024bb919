"""What a pickle of tensors says about them: storages, shapes, strides, checked as it is said.

A tensor never holds more values than its storage, and lies inside it. Nothing is allocated for a
claim, so a claim of terabytes costs nothing and is refused.
"""

from dataclasses import dataclass
from typing import TypeGuard

from sane_core.zoo.formats.limits import Limits
from sane_core.zoo.formats.refused import RESAVE, Refused, printable

ITEM_BYTES = {
    "DoubleStorage": 8,
    "FloatStorage": 4,
    "HalfStorage": 2,
    "BFloat16Storage": 2,
    "LongStorage": 8,
    "IntStorage": 4,
    "ShortStorage": 2,
    "CharStorage": 1,
    "ByteStorage": 1,
    "BoolStorage": 1,
}
"""Storage class of torch -> bytes of a value; complex and quantized ones are not among them."""


@dataclass(frozen=True, slots=True)
class StorageClass:
    """A storage class of torch, by name."""

    name: str

    @property
    def item_bytes(self) -> int:
        """Bytes of a value."""
        return ITEM_BYTES[self.name]


@dataclass(frozen=True, slots=True)
class StorageClaim:
    """Bytes that should lie in the file under a key."""

    kind: StorageClass
    key: str
    values: int

    @property
    def bytes(self) -> int:
        """Bytes the storage must have."""
        return self.values * self.kind.item_bytes


@dataclass(frozen=True, slots=True)
class TensorClaim:
    """A view of a storage."""

    storage: StorageClaim
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    values: int

    @property
    def bytes(self) -> int:
        """Bytes of the view once it is contiguous."""
        return self.values * self.storage.kind.item_bytes


def storage_claim(identity: object, limits: Limits) -> StorageClaim:
    """Check the persistent identity of a storage.

    Args:
        identity: ("storage", class, key, device, values), in old files with None at the end.
        limits: Bound on its bytes.

    Raises:
        Refused: If it is anything else.
    """
    if type(identity) is not tuple or len(identity) not in (5, 6):
        raise damaged("a storage is not described as PyTorch does")
    word, kind, key, device, values, *view = identity
    if word != "storage" or not isinstance(kind, StorageClass) or view not in ([], [None]):
        raise damaged("a storage is of no known kind")
    if type(key) is not str or type(device) is not str or not _is_count(values):
        raise damaged("a storage has no plain key or size")
    claim = StorageClaim(kind, key, values)
    if claim.bytes > limits.bytes:
        raise Refused(
            f"a storage must have at most {limits.bytes} bytes, got {claim.bytes}", RESAVE
        )
    return claim


def tensor_claim(arguments: tuple[object, ...], limits: Limits) -> TensorClaim:
    """Check the arguments a tensor is rebuilt from.

    Args:
        arguments: Storage, offset, size, stride, both in values.
        limits: Bounds on dimensions and values.

    Raises:
        Refused: If the tensor does not lie inside its storage or repeats values of it.
    """
    storage, offset, size, stride = arguments
    if not isinstance(storage, StorageClaim) or not _is_count(offset):
        raise damaged("a tensor has no storage")
    if not _are_counts(size) or not _are_counts(stride) or len(size) != len(stride):
        raise damaged("a tensor has no plain size and stride")
    if len(size) > limits.dimensions:
        raise Refused(f"a tensor must have at most {limits.dimensions} dimensions", RESAVE)
    values = _product(size, limits)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if values > storage.values or (values and last >= storage.values):
        raise Refused(
            f"a tensor of size {_shown(size)} needs more than the {storage.values} values "
            "its storage has",
            RESAVE,
        )
    return TensorClaim(storage, offset, size, stride, values)


def damaged(what: str) -> Refused:
    """Return the refusal of a pickle that PyTorch does not write like this."""
    return Refused(f"the pickle is damaged or not a state dict: {what}", RESAVE)


def _product(size: tuple[int, ...], limits: Limits) -> int:
    """Return the number of values, without ever computing with absurdly large ones."""
    values = 1
    for n in size:
        if n > limits.values:
            raise Refused(f"a tensor must have at most {limits.values} values per axis", RESAVE)
        values *= n
    if values > limits.values:
        raise Refused(
            f"a tensor must have at most {limits.values} values, got size {_shown(size)}", RESAVE
        )
    return values


def _shown(size: tuple[int, ...]) -> str:
    return printable(str(list(size)), 100)


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < 2**63


def _are_counts(values: object) -> TypeGuard[tuple[int, ...]]:
    return type(values) is tuple and all(map(_is_count, values))
