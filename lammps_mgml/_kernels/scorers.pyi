import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
UInt8 = NDArray[np.uint8]

def raw_scores(features: Float64, root: Int32, feature: Int32, threshold: Float64, kind: UInt8,
               left: Int32, right: Int32, leaf: Float64, out: Float64, threads: int) -> None: ...
def shallow_scores(features: Float64, feature: Int32, threshold: Float64, leaf: Float64,
                   out: Float64, threads: int) -> int: ...
def linear_scores(features: Float64, weights: Float64, intercept: Float64, out: Float64,
                  threads: int) -> None: ...
