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
