"""The simulation cell."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from .._kernels import d2min as _d2min
from ..errors import InputError
from .arrays import AnyArray, Bools, Floats
from .threads import threads

if TYPE_CHECKING:
    from typing import Self


@dataclass(frozen=True)
class Box:
    """A parallelepiped, periodic or not along each edge.

    origin : (3,) float64, A.  edges : (3, 3) float64, A, one edge vector a row.
    periodic : (3,) bool.
    """

    origin: Floats
    edges: Floats
    periodic: Bools

    @classmethod
    def make(cls, cell: ArrayLike, periodic: ArrayLike = (True, True, True),
             origin: ArrayLike = (0.0, 0.0, 0.0)) -> Self:
        """Box from 3 lengths or a 3 x 3 matrix of row vectors (A).

        Raises
        ------
        InputError : another shape, values that are not finite, or no volume.
        """
        cell = np.asarray(cell, dtype=np.float64)
        edges = np.diag(cell) if cell.shape == (3,) else cell
        periodic = np.asarray(periodic, dtype=bool)
        if edges.shape != (3, 3) or periodic.shape != (3,):
            raise InputError(f"cell must be 3 lengths or a 3 x 3 matrix and pbc 3 flags, "
                             f"not shapes {cell.shape} and {periodic.shape}")
        if not np.isfinite(edges).all() or abs(np.linalg.det(edges)) < 1e-12:
            raise InputError(f"the cell has no volume or is not finite: {edges.tolist()}")
        return cls(np.asarray(origin, dtype=np.float64), np.ascontiguousarray(edges), periodic)

    @classmethod
    def from_lammps(cls, lengths: Iterable[float], tilts: Iterable[float] = (0.0, 0.0, 0.0),
                    periodic: ArrayLike = (True, True, True),
                    origin: ArrayLike = (0.0, 0.0, 0.0)) -> Self:
        """Box from LAMMPS' lx ly lz and xy xz yz (A)."""
        (lx, ly, lz), (xy, xz, yz) = lengths, tilts
        return cls.make([[lx, 0, 0], [xy, ly, 0], [xz, yz, lz]], periodic, origin)

    @property
    def volume(self) -> float:
        return float(abs(np.linalg.det(self.edges)))

    @property
    def inverse(self) -> Floats:
        return np.asarray(np.linalg.inv(self.edges), dtype=np.float64)

    @property
    def heights(self) -> Floats:
        """(3,) distances between opposite faces, A."""
        heights: Floats = 1.0 / np.linalg.norm(self.inverse, axis=0)
        return heights

    def fractional(self, positions: Floats) -> Floats:
        return times(positions - self.origin, self.inverse)

    def vectors(self, fractions: AnyArray) -> Floats:
        """(n, 3) vectors, A, that are ``fractions`` (n, 3) of the edges; ``origin`` not added."""
        return times(fractions, self.edges)


def times(rows: AnyArray, matrix: Floats) -> Floats:
    """(n, 3) rows @ (3, 3) matrix, the same bits on every machine and on any number of threads."""
    rows = np.ascontiguousarray(rows, dtype=np.float64)
    out = np.empty_like(rows)
    _d2min.times(rows, np.ascontiguousarray(matrix), out, threads())
    return out
