import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]

def neighbour_statistics(values: Float64, first_column: int, start: Int64, count: Int32,
                         neighbour: Int32, into: Int32, pooled: Int32, into_pooled: Int32,
                         out: NDArray[np.float32 | np.float64], threads: int,
                         first: int = 0) -> None: ...
def rows(start: Int64, count: Int32, neighbour: Int32, row_of: Int32, out: Int32,
         threads: int) -> None: ...
