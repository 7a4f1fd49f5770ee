"""What one rank knows: its atoms, the atoms around them, and the other ranks.

A ``Domain`` brings values of atoms to the ghosts of other ranks, sums over all ranks, and makes an
error of one rank known to all.  ``WholeDomain`` holds a whole system in one process; its ghosts are
periodic images of its own atoms.  ``MpiDomain`` (in ``mpi``) shares a system with other ranks.
"""
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Floats, Int32s, Ints
from .atoms import Atoms, periodic_atoms
from .box import Box


class Domain(Protocol):
    """What the parts of the program may ask of a domain; see ``WholeDomain`` and ``MpiDomain``."""

    rank: int
    size: int
    comm: Any                            # mpi4py communicator; None for one process
    n_own: int
    n_rows: int
    row_of: Int32s

    def surround(self, tags: Ints, positions: Floats, types: Int32s, box: Box,
                 reach: float) -> Atoms: ...
    def forward(self, values: Floats) -> None: ...
    def offset(self, n: int) -> int: ...
    def sum(self, values: ArrayLike) -> Floats: ...
    def max(self, values: ArrayLike) -> Floats: ...
    def raise_on_all(self) -> AbstractContextManager[None]: ...


class WholeDomain:
    """One process that holds the whole system.

    n_own : atoms.  n_rows : rows of a table of values, one for each atom.
    row_of : (n_all,) int32, the row of each atom and of each ghost.
    """

    rank, size = 0, 1
    comm: Any = None
    n_own: int
    n_rows: int
    row_of: Int32s

    def __init__(self, owner: ArrayLike = (), n_own: int = 0) -> None:
        """owner : (n_ghost,) index of the atom that each ghost is an image of."""
        self._hold(owner, n_own)

    def _hold(self, owner: ArrayLike, n_own: int) -> None:
        self.n_own = self.n_rows = n_own
        self.row_of = np.concatenate([np.arange(n_own), owner]).astype(np.int32)

    def surround(self, tags: Ints, positions: Floats, types: Int32s, box: Box, reach: float) -> Atoms:
        """Atoms with all periodic images within ``reach`` (A); see ``MpiDomain.surround``."""
        atoms, owner = periodic_atoms(positions, types, box, reach)
        self._hold(owner, atoms.n_own)
        return replace(atoms, tags=tags)

    def forward(self, values: Floats) -> None:
        """Fill the rows beyond the owned atoms of ``values`` (n_rows, k).  Here there are none."""

    def offset(self, n: int) -> int:
        """Sum of ``n`` over the ranks before this one."""
        return 0

    def sum(self, values: ArrayLike) -> Floats:
        """Sums over all ranks, float64, in the shape of ``values``."""
        return np.asarray(values, dtype=np.float64)

    def max(self, values: ArrayLike) -> Floats:
        """Maxima over all ranks, float64, in the shape of ``values``."""
        return np.asarray(values, dtype=np.float64)

    @contextmanager
    def raise_on_all(self) -> Iterator[None]:
        """Work of one rank alone; an error in it is raised on every rank at its end."""
        yield
