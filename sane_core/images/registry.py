"""Every dataset by name: the files it may come in, and what must hold of what is read.

A dataset is a row of the table below. What is known before reading stands in
`schemas.config.images`, where to get it in `sane_core.images.sources`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sane_core.images.arrays import read_npz
from sane_core.images.cifar_binary import read_cifar_binary
from sane_core.images.cifar_jpeg import read_cifar_jpeg
from sane_core.images.cifar_python import read_cifar_python
from sane_core.images.dataset import Dataset, Published
from sane_core.images.digits import read_digits
from sane_core.images.idx import read_idx_pairs
from sane_core.images.sources import SOURCES, Source
from sane_core.images.stl10 import read_stl10
from sane_core.images.svhn import read_svhn
from sane_core.images.tiny_imagenet import read_tiny_imagenet
from sane_core.images.tree import read_tree
from schemas.config.images import KNOWN, KnownDataset, unknown_dataset
from schemas.errors import UserError

Read = Callable[[Sequence[Path], Path | None], Published]
"""From a layout's files and a scratch folder to what they hold."""


@dataclass(frozen=True)
class Layout:
    """One way a dataset may lie on disk.

    Attributes:
        files: Files or folders below the data folder, all of which must be there.
        read: Reads them.
    """

    files: tuple[str, ...]
    read: Read


@dataclass(frozen=True)
class DatasetEntry:
    """What is known of a dataset and how to read it.

    Attributes:
        known: Sizes, shape, classes, licence; None = only its files tell.
        layouts: In order of preference; the first is the one that is fetched.
        sources: Files to download; () = none can be.
        note: What to know about it.
        in_part: Whether a subset of images and classes is accepted.
        mean: Customary mean per channel, of pixels in [0, 1]; () = measured on the training part.
        std: Customary standard deviation, likewise.
    """

    known: KnownDataset | None
    layouts: tuple[Layout, ...]
    sources: tuple[Source, ...] = ()
    note: str = ""
    in_part: bool = False
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


def _all(read: Callable[[Sequence[Path]], Published]) -> Read:
    """Return a reader that needs no scratch folder."""
    return lambda paths, scratch: read(paths)


_IDX = tuple(
    f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
)


def _idx_layouts(folder: str) -> tuple[Layout, ...]:
    read = _all(partial(read_idx_pairs, classes=10))
    return tuple(
        Layout(tuple(f"{folder}/{name}{suffix}" for name in _IDX), read) for suffix in (".gz", "")
    )


def _cifar_layouts(
    folder: str, name: str, binary: str, python: str, classes: int
) -> tuple[Layout, ...]:
    readers = ((read_cifar_binary, binary, "binary"), (read_cifar_python, python, "python"))
    return tuple(
        Layout((f"{folder}/{path}",), _all(partial(read, classes=classes)))
        for read, unpacked, version in readers
        for path in (f"{name}-{version}.tar.gz", unpacked)
    )


def _one_file(read: Read, *paths: str) -> tuple[Layout, ...]:
    return tuple(Layout((path,), read) for path in paths)


DATASETS = {
    "digits": DatasetEntry(
        KNOWN["digits"],
        (Layout((), lambda paths, scratch: read_digits()),),
        note="comes with scikit-learn; no official split",
    ),
    "mnist": DatasetEntry(
        KNOWN["mnist"], _idx_layouts("mnist"), SOURCES["mnist"], mean=(0.1307,), std=(0.3081,)
    ),
    "fashion-mnist": DatasetEntry(
        KNOWN["fashion-mnist"],
        _idx_layouts("fashion-mnist"),
        SOURCES["fashion-mnist"],
        mean=(0.2860,),
        std=(0.3530,),
    ),
    "svhn": DatasetEntry(
        KNOWN["svhn"],
        (Layout(("svhn/train_32x32.mat", "svhn/test_32x32.mat"), _all(read_svhn)),),
        SOURCES["svhn"],
    ),
    "cifar10": DatasetEntry(
        KNOWN["cifar10"],
        _cifar_layouts("cifar10", "cifar-10", "cifar-10-batches-bin", "cifar-10-batches-py", 10),
        SOURCES["cifar10"],
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
    ),
    "cifar10-jpeg": DatasetEntry(
        KNOWN["cifar10-jpeg"],
        _one_file(read_cifar_jpeg, "cifar10/cifar10_jpeg_all60k.npz"),
        note="lossy copy of cifar10 in another order; networks of the original score lower on it",
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
    ),
    "cifar100": DatasetEntry(
        KNOWN["cifar100"],
        _cifar_layouts("cifar100", "cifar-100", "cifar-100-binary", "cifar-100-python", 100),
        SOURCES["cifar100"],
        note="the 100 fine labels",
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
    ),
    "stl10": DatasetEntry(
        KNOWN["stl10"],
        _one_file(_all(read_stl10), "stl10/stl10_binary.tar.gz", "stl10/stl10_binary"),
        SOURCES["stl10"],
        note="labelled images only",
    ),
    "tiny-imagenet": DatasetEntry(
        KNOWN["tiny-imagenet"],
        _one_file(
            read_tiny_imagenet,
            "tiny-imagenet/tiny-imagenet-200.zip",
            "tiny-imagenet/tiny-imagenet-200",
            "tiny-imagenet/tiny-imagenet-200.tar",
            "tiny-imagenet/tiny-imagenet-10of200.tar",
        ),
        SOURCES["tiny-imagenet"],
        note="the official validation images are the test part; fewer classes are accepted",
        in_part=True,
    ),
}
"""The known datasets."""


def entry_for(name: str, size: int | None = None) -> DatasetEntry:
    """Return the entry of a known dataset, or one made for `npz:PATH` or `folder:PATH`.

    Args:
        name: Name of a dataset.
        size: Height and width for a folder's images of different sizes; ignored elsewhere.

    Raises:
        ValueError: If there is no dataset of that name.
    """
    if name in DATASETS:
        return DATASETS[name]
    kind, _, path = name.partition(":")
    if kind == "npz" and path:
        return DatasetEntry(None, _one_file(lambda paths, scratch: read_npz(paths[0]), path))
    if kind == "folder" and path:
        return DatasetEntry(
            None,
            _one_file(lambda paths, scratch: read_tree(paths[0], size, scratch), path),
        )
    raise ValueError(unknown_dataset(name))


def find_layout(entry: DatasetEntry, root: Path) -> Layout | None:
    """Return the first layout of a dataset that lies in the data folder, or None."""
    return next(
        (
            layout
            for layout in entry.layouts
            if all((root / file).exists() for file in layout.files)
        ),
        None,
    )


def load_dataset(
    name: str, root: Path, size: int | None = None, scratch: Path | None = None
) -> Dataset:
    """Read a dataset.

    Args:
        name: Known name, `npz:PATH` or `folder:PATH`; a relative PATH counts from `root`.
        root: The data folder.
        size: Height and width for a folder's images of different sizes; ignored elsewhere.
        scratch: Folder whose disk holds decoded pixels; None = memory.

    Raises:
        ValueError: If there is no dataset of that name.
        UserError: If its files are missing, damaged, or something else.
    """
    entry = entry_for(name, size)
    layout = find_layout(entry, root)
    if layout is None:
        raise UserError(missing(name, root))
    published = layout.read([root / file for file in layout.files], scratch)
    if entry.known:
        _check(name, entry.known, entry.in_part, published)
    return Dataset(
        name,
        published.train,
        published.test,
        published.classes,
        entry.known.licence if entry.known else "not stated",
        entry.note,
    )


def missing(name: str, root: Path) -> str:
    """Return the sentence for a dataset whose files are not there."""
    entry = entry_for(name)
    paths = " and ".join(str(root / file) for file in entry.layouts[0].files)
    others = ", ".join(str(root / layout.files[0]) for layout in entry.layouts[1:])
    remedy = f"run: sane data fetch {name}" if entry.sources else "put the file there"
    return f"dataset {name} must be at {paths}{f' (or {others})' if others else ''}; {remedy}"


def _check(name: str, known: KnownDataset, in_part: bool, published: Published) -> None:
    """Hold what was read against what is known of the dataset."""
    shape = (known.channels, known.side, known.side)
    for part, images, expected in (
        ("train", published.train, known.train),
        ("test", published.test, known.test),
    ):
        count = len(images) if images else 0
        if count != expected and not (in_part and 0 < count <= expected):
            raise UserError(
                f"{name} must have {expected} {part} images, got {count}; "
                "get the files again, or name images of your own npz:PATH or folder:PATH"
            )
        if images and images.shape != shape:
            raise UserError(f"{name} must have images of shape {shape}, got {images.shape}")
