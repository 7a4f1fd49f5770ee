import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]
UInt8 = NDArray[np.uint8]

def pair_sums(x: Float64, types: Int32, is_open: UInt8, n_elements: int, first: float, spacing: float,
              n_splines: int, load: Float64, out: Float64, pieces: Float64, held: Float64,
              threads: int, wide: bool = True) -> int: ...
def averaged(values: Float64, start: Int64, count: Int32, neighbour: Int32, out: Float64,
             threads: int, first: int = 0) -> None: ...
def placed(values: Float64, column: Int64, number: Int64,
           out: NDArray[np.float32 | np.float64]) -> None: ...
def undefined(values: NDArray[np.float32 | np.float64], out: UInt8) -> None: ...
