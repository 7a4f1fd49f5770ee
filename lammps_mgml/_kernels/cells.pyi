from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]
UInt8 = NDArray[np.uint8]

CUTTERS: tuple[str, ...]
CUTTER: str

class Buffers:
    facet_start: Int64
    facet_count: Int32
    neighbour: Int32
    area: Float64
    edges: UInt8
    near_start: Int64
    near_count: Int32
    near: Int32
    volume: Float64
    reach: Float64
    is_open: UInt8

def tessellate(x: Float64, n_own: int, open_radius: float, first_radius: float, near_cutoff: float,
               threads: int, cutter: str | None = None,
               room: Any = None) -> tuple[Buffers, int, int, int]: ...
