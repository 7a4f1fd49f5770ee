import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]
UInt8 = NDArray[np.uint8]

def places(inverse: Float64, is_open: UInt8, load: Float64, out: Float64, threads: int) -> None: ...
def near(x: Float64, types: Int32, start: Int64, count: Int32, neighbour: Int32, pieces: Float64,
         n_elements: int, first: float, spacing: float, pairs: Float64, threads: int) -> None: ...
def gives(x: Float64, types: Int32, is_open: UInt8, start: Int64, count: Int32, neighbour: Int32,
          row: Int32, pieces: Float64, n_elements: int, first: float, spacing: float, pairs: Float64,
          load: Float64, inverse: Float64, out: Float64, threads: int) -> None: ...
