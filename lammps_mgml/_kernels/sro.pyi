import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]
UInt8 = NDArray[np.uint8]

def facet_statistics(x: Float64, is_open: UInt8, counted: UInt8, facet_start: Int64,
                     facet_count: Int32, neighbour: Int32, area: Float64, edges: UInt8,
                     small_facet: float, source: Int32, into: Int32, values: Float64, sums: Float64,
                     threads: int) -> None: ...
def near_statistics(x: Float64, is_open: UInt8, counted: UInt8, start: Int64, count: Int32,
                    near: Int32, source: Int32, into: Int32, values: Float64, sums: Float64,
                    threads: int) -> None: ...
def element_statistics(types: Int32, is_open: UInt8, start: Int64, count: Int32, neighbour: Int32,
                       composition: Float64, into: Int32, values: Float64,
                       threads: int = 1) -> None: ...
