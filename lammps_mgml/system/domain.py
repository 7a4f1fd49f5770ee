"""What one rank knows: its atoms, the atoms around them, and the other ranks.

A ``Domain`` brings values of atoms to the ghosts of other ranks, sums over all ranks, and makes an
error of one rank known to all.  ``WholeDomain`` holds a whole system in one process; its ghosts are
periodic images of its own atoms.  ``MpiDomain`` (in ``mpi``) shares a system with other ranks.
"""
from contextlib import contextmanager

import numpy as np


class WholeDomain:
    """One process that holds the whole system.

    n_own : atoms.  n_rows : rows of a table of values, one for each atom.
    row_of : (n_all,) int32, the row of each atom and of each ghost.
    """

    rank, size = 0, 1

    def __init__(self, owner=(), n_own=0):
        """owner : (n_ghost,) index of the atom that each ghost is an image of."""
        self.n_own = self.n_rows = n_own
        self.row_of = np.concatenate([np.arange(n_own), owner]).astype(np.int32)

    def forward(self, values):
        """Fill the rows beyond the owned atoms of ``values`` (n_rows, k).  Here there are none."""

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
