"""Room for large tables that is kept from one evaluation to the next."""
from __future__ import annotations

import ctypes
import mmap
from collections.abc import Sequence
from contextlib import suppress
from math import prod

import numpy as np
from numpy.typing import DTypeLike

from .arrays import AnyArray, Bytes

_SMALL = 1 << 20                    # bytes


class Scratch:
    """Tables by name, whose room nobody else gets, and tables that are taken and given back.

    Fresh memory costs the system's time for every page of it: with 1e6 atoms a fifth of an
    evaluation's.  Room that was given back serves another stage of the evaluation, then the next
    evaluation: the most that is kept is the most that was in use at one time, or little more.
    Only for what nobody keeps beyond the evaluation.
    """

    def __init__(self) -> None:
        self._kept: dict[str, AnyArray] = {}
        self._free: list[Bytes] = []

    def empty(self, name: str, shape: Sequence[int], dtype: DTypeLike = np.float64) -> AnyArray:
        """An array of ``shape`` with any content, in the room that ``name`` had before."""
        size = prod(shape) * np.dtype(dtype).itemsize
        kept = self._kept.get(name)
        if kept is None or len(kept) < size:
            self._kept.pop(name, None)               # before there is a second one
            self._kept[name] = kept = _fresh(size)
        return kept[:size].view(dtype).reshape(shape)

    def take(self, shape: Sequence[int], dtype: DTypeLike = np.float64) -> AnyArray:
        """An array of ``shape`` with any content, in the least of the free rooms that holds it.

        Its room is free again when it is given back; what is not given back is freed as any array.
        """
        size = prod(shape) * np.dtype(dtype).itemsize
        large = [k for k, room in enumerate(self._free) if len(room) >= size]
        if large:
            room = self._free.pop(min(large, key=lambda k: len(self._free[k])))
        else:
            if self._free:                           # before there is one more
                del self._free[max(range(len(self._free)), key=lambda k: len(self._free[k]))]
            room = _fresh(size + size // 64)         # ranks exchange atoms
        return room[:size].view(dtype).reshape(shape)

    def give(self, *tables: AnyArray) -> None:
        """Take back the room of ``tables``, which nobody may look at any more.

        An array that is not from ``take`` is let alone.
        """
        self._free += [table.base for table in tables
                       if isinstance(table.base, np.ndarray) and table.base.dtype == np.uint8]

    def forget(self) -> None:
        """Free all rooms that are free."""
        self._free = []


def trim() -> None:
    """Give the holes of the heap back to the system, where the C library can (glibc).

    After work that is done but once and takes much memory: what comes after seldom fits in its holes.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _fresh(size: int) -> Bytes:
    """Room that the system gets back when it is freed.  What is freed to a heap may stay there as a
    hole that is just too small for what comes next."""
    if size < _SMALL:
        return np.empty(size, np.uint8)
    pages = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(AttributeError, OSError):          # as numpy does, where the system can
        pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, np.uint8)
