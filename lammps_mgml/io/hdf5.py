"""HDF5 files of this package, read with one clear error for whatever is wrong in them."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Any

from ..errors import InputError


@contextmanager
def opened(path: str | PathLike[str], kind: str) -> Iterator[Any]:
    """The open file.  kind : what it should be, as "glass file", for the message.

    Raises
    ------
    InputError : it cannot be opened, or what is done with it raises what h5py raises for files that
        are cut off or have other things in these places; ValueError is for parts that do not fit.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except InputError:
        raise
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as e:
        raise InputError(f"{path} is no {kind}, or damaged: {e}") from None
