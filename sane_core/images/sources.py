"""Where datasets are published, and how a downloaded file is recognized.

The MD5 sums are the publishers' and torchvision's; MNIST's SHA-256 sums were computed from files
that have those MD5 sums. MD5 finds damage, not malice: the readers trust no file either way.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """One published file.

    Attributes:
        path: Where it belongs, below the data folder.
        url: Where it is.
        limit: Bytes that it has at most.
        md5: MD5 in hex; "" = none is published.
        sha256: SHA-256 in hex; "" = only the MD5 is published.
    """

    path: str
    url: str
    limit: int
    md5: str = ""
    sha256: str = ""


_MB = 10**6


def _mnist(name: str, md5: str, sha256: str) -> Source:
    url = f"https://ossci-datasets.s3.amazonaws.com/mnist/{name}"
    return Source(f"mnist/{name}", url, 10 * _MB, md5, sha256)


def _fashion(name: str, md5: str) -> Source:
    url = f"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/{name}"
    return Source(f"fashion-mnist/{name}", url, 30 * _MB, md5)


def _svhn(name: str, md5: str) -> Source:
    return Source(f"svhn/{name}", f"http://ufldl.stanford.edu/housenumbers/{name}", 200 * _MB, md5)


def _cifar(folder: str, name: str, md5: str) -> Source:
    return Source(f"{folder}/{name}", f"https://www.cs.toronto.edu/~kriz/{name}", 200 * _MB, md5)


SOURCES: dict[str, tuple[Source, ...]] = {
    "mnist": (
        _mnist(
            "train-images-idx3-ubyte.gz",
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        _mnist(
            "train-labels-idx1-ubyte.gz",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        _mnist(
            "t10k-images-idx3-ubyte.gz",
            "9fb629c4189551a2d022fa330f9573f3",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        _mnist(
            "t10k-labels-idx1-ubyte.gz",
            "ec29112dd5afa0611ce80d1b7f02629c",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
    "fashion-mnist": (
        _fashion("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        _fashion("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        _fashion("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        _fashion("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ),
    "svhn": (
        _svhn("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"),
        _svhn("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3"),
    ),
    "cifar10": (_cifar("cifar10", "cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),),
    "cifar100": (
        _cifar("cifar100", "cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),
    ),
    "stl10": (
        Source(
            "stl10/stl10_binary.tar.gz",
            "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
            2700 * _MB,
            "91f7769df0f17e558f3565bffb0c7dfb",
        ),
    ),
    "tiny-imagenet": (
        Source(
            "tiny-imagenet/tiny-imagenet-200.zip",
            "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
            300 * _MB,
            "90528d7ca1a48142e341f4ef8d21d0de",
        ),
    ),
}
"""Files to download, by dataset; a dataset that is not here cannot be fetched."""

OTHER_SOURCES: dict[str, tuple[Source, ...]] = {
    "cifar10": (_cifar("cifar10", "cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"),),
    "cifar100": (
        _cifar("cifar100", "cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85"),
    ),
}
"""Files that are recognized and read where they lie, but not fetched."""
