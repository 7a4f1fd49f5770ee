import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]
UInt8 = NDArray[np.uint8]

WIDTH: int

def bond_order(x: Float64, is_open: UInt8, start: Int64, count: Int32, neighbour: Int32, qlm: Float64,
               threads: int) -> None: ...
def order_parameters(qlm: Float64, n_own: int, term_start: Int32, m1: Int32, m2: Int32,
                     weight: Float64, into: Int32, out: Float64, threads: int) -> None: ...
def averaged_order_parameters(qlm: Float64, start: Int64, count: Int32, neighbour: Int32,
                              term_start: Int32, m1: Int32, m2: Int32, weight: Float64, out: Float64,
                              threads: int) -> None: ...
