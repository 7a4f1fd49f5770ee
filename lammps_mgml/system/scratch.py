"""Room for large tables that is kept from one evaluation to the next."""
from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import DTypeLike

from .arrays import AnyArray


class Scratch:
    """Tables by name; what one held is overwritten when it is asked for again.

    Fresh memory costs the system's time for every page of it: with 1e6 atoms a fifth of an
    evaluation's.  Only for what nobody keeps beyond the evaluation.
    """

    def __init__(self) -> None:
        self._kept: dict[str, AnyArray] = {}

    def empty(self, name: str, shape: Sequence[int], dtype: DTypeLike = np.float64) -> AnyArray:
        """An array of ``shape`` with any content, in the room that ``name`` had before."""
        size = prod(shape) * np.dtype(dtype).itemsize
        kept = self._kept.get(name)
        if kept is None or len(kept) < size:
            self._kept.pop(name, None)               # before there is a second one
            self._kept[name] = kept = np.empty(size, np.uint8)
        return kept[:size].view(dtype).reshape(shape)
