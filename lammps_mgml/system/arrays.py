"""Names of the arrays that annotations use; the docstrings tell shapes and units."""
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Features = NDArray[np.float32 | np.float64]      # a matrix of features is either
Ints = NDArray[np.int64]
Int32s = NDArray[np.int32]
Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]
AnyArray = NDArray[Any]
# start, count, neighbour: those of atom i are at start[i] : start[i] + count[i] of the last.
Lists = tuple[Ints, Int32s, Int32s]


def least(whole: AnyArray) -> AnyArray:
    """The whole numbers in the smallest of int8, int16, int32 and int64 that holds them."""
    low, high = whole.min(initial=0), whole.max(initial=0)
    kind = next(k for k in (np.int8, np.int16, np.int32, np.int64)
                if np.iinfo(k).min <= low and high <= np.iinfo(k).max)
    return whole.astype(kind)
