import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]

def pairs_within(x: Float64, n_own: int, cutoff: float, cell_first: Int64, cell_atom: Int32,
                 cell_of: Int32, nx: int, ny: int, nz: int, start: Int64, threads: int) -> Int32: ...
def times(rows: Float64, matrix: Float64, out: Float64, threads: int = 1) -> None: ...
def affine_residual(x0: Float64, x: Float64, n_own: int, start: Int64, end: Int64,
                    partner: Int32, residual: Float64, strain: Float64, used: Int32,
                    threads: int) -> None: ...
