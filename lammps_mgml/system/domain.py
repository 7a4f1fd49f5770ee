"""What one rank knows: its atoms, the atoms around them, and the other ranks.

A ``Domain`` brings values of atoms to the ghosts of other ranks, sums over all ranks, and makes an
error of one rank known to all.  ``WholeDomain`` holds a whole system in one process; its ghosts are
periodic images of its own atoms.  ``MpiDomain`` (in ``mpi``) shares a system with other ranks.
"""
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from .atoms import periodic_atoms


class WholeDomain:
    """One process that holds the whole system.

    n_own : atoms.  n_rows : rows of a table of values, one for each atom.
    row_of : (n_all,) int32, the row of each atom and of each ghost.
    """

    rank, size, comm = 0, 1, None

    def __init__(self, owner=(), n_own=0):
        """owner : (n_ghost,) index of the atom that each ghost is an image of."""
        self._hold(owner, n_own)

    def _hold(self, owner, n_own):
        self.n_own = self.n_rows = n_own
        self.row_of = np.concatenate([np.arange(n_own), owner]).astype(np.int32)

    def surround(self, tags, positions, types, box, reach):
        """Atoms with all periodic images within ``reach`` (A); see ``MpiDomain.surround``."""
        atoms, owner = periodic_atoms(positions, types, box, reach)
        self._hold(owner, atoms.n_own)
        return replace(atoms, tags=tags)

    def forward(self, values):
        """Fill the rows beyond the owned atoms of ``values`` (n_rows, k).  Here there are none."""

    def offset(self, n):
        """Sum of ``n`` over the ranks before this one."""
        return 0

    def sum(self, values):
        """Sums over all ranks, float64, in the shape of ``values``."""
        return np.asarray(values, dtype=np.float64)

    def max(self, values):
        """Maxima over all ranks, float64, in the shape of ``values``."""
        return np.asarray(values, dtype=np.float64)

    @contextmanager
    def raise_on_all(self):
        """Work of one rank alone; an error in it is raised on every rank at its end."""
        yield
