"""Sequential autoencoders for neural embeddings, usable from a notebook.

`from sane_core import Sane` is the short way in. It is imported when it is first asked for, so that
importing this package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sane_core.api.sane import Sane

__all__ = ["Sane"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return import_module("sane_core.api.sane").Sane
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
