import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]

def loaded(x: Float64, start: Int64, count: Int32, neighbour: Int32, pairs: Float64, load: Float64,
           inverse: Float64, force: Float64, threads: int) -> None: ...
def sweep(x: Float64, start: Int64, count: Int32, neighbour: Int32, row: Int32, pairs: Float64,
          step: Float64, left: Float64, threads: int) -> None: ...
def advance(inverse: Float64, keep: float, add: float, left: Float64, step: Float64, u: Float64,
            threads: int) -> None: ...
def strained(x: Float64, row_of: Int32, u: Float64, load: Float64, strain: float, longest: float,
             out: Float64, threads: int) -> None: ...
