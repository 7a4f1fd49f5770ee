from ..system.arrays import AnyArray

def places(x: AnyArray, types: AnyArray, is_open: AnyArray, pieces: AnyArray, first: float,
           spacing: float, load: AnyArray, inverse: AnyArray, out: AnyArray,
           threads: int) -> int: ...
def gives(x: AnyArray, types: AnyArray, start: AnyArray, count: AnyArray, neighbour: AnyArray,
          row: AnyArray, pieces: AnyArray, first: float, spacing: float, load: AnyArray,
          inverse: AnyArray, out: AnyArray, threads: int) -> None: ...
