"""A system shared out to the ranks of an MPI communicator."""
from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import MgmlError, RemoteError
from .arrays import AnyArray, Bools, Floats, Int32s, Ints, least
from .atoms import Atoms
from .box import Box
from .route import Route

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

# A plan of ghosts is made for a range that is longer by this (A), and serves until atoms have moved
# so far that one of them could be missing.
SKIN = 1.0


class MpiDomain:
    """The ranks of a communicator, and the ghosts of this one.  Every method is collective.

    LAMMPS' own ghosts are not used: how far they reach depends on pair style, skin, ``comm_modify``
    and the mode of communication.  Each rank tells all others the bounds of the atoms that it owns;
    each finds which of its atoms, or of their periodic images, the others need.

    n_own, n_rows, row_of : see ``WholeDomain``; the rows beyond ``n_own`` are atoms of other ranks.
    """

    def __init__(self, comm: Intracomm) -> None:
        """comm : mpi4py communicator.  It is duplicated, so that no message of ours meets one of
        its owner's."""
        self.comm = comm.Dup()
        self.rank, self.size = comm.rank, comm.size
        self.n_own = self.n_rows = 0
        self.row_of = np.empty(0, np.int32)
        self._plan: dict[str, Any] = {}

    @property
    def n_neighbours(self) -> int:
        """Ranks that this one sends values to."""
        return self._route.n_destinations

    def close(self) -> None:
        """Give the communicator back to MPI, which has a limited number of them."""
        self.comm.Free()

    def offset(self, n: int) -> int:
        """Sum of ``n`` over the ranks before this one."""
        counts = np.empty(self.size, np.int64)
        self.comm.Allgather(np.array([n], np.int64), counts)
        return int(counts[:self.rank].sum())

    def sum(self, values: ArrayLike) -> Floats:
        values = np.asarray(values, dtype=np.float64)
        out = np.empty_like(values)
        self.comm.Allreduce(values, out)
        return out

    def max(self, values: ArrayLike) -> Floats:
        from mpi4py import MPI

        values = np.asarray(values, dtype=np.float64)
        out = np.empty_like(values)
        self.comm.Allreduce(values, out, op=MPI.MAX)
        return out

    @contextmanager
    def raise_on_all(self) -> Iterator[None]:
        """Rank-local work: an exception on any rank is raised on every rank at the end of it.

        Nothing collective may be done inside.  The exceptions raised here, and no others, carry
        ``on_all_ranks``: whoever catches one knows that every rank has it.
        """
        from mpi4py import MPI

        error = None
        try:
            yield
        except Exception as e:
            error = e
        first = np.array([self.rank if error is not None else self.size], dtype=np.int32)
        self.comm.Allreduce(MPI.IN_PLACE, first, op=MPI.MIN)
        if first[0] == self.size:
            return
        text = b""
        if self.rank == first[0]:
            assert error is not None
            text = (str(error) if isinstance(error, MgmlError) else "".join(
                traceback.format_exception(error))).encode()
        n = np.array([len(text)], dtype=np.int64)
        self.comm.Bcast(n, root=first[0])
        buffer = np.frombuffer(text, dtype=np.uint8).copy() if text else np.empty(n[0], np.uint8)
        self.comm.Bcast(buffer, root=first[0])
        if not (isinstance(error, MgmlError) and self.rank == first[0]):
            error = RemoteError(f"rank {first[0]}: {buffer.tobytes().decode()}")
        error.on_all_ranks = True
        raise error

    def surround(self, tags: Ints, positions: Floats, types: Int32s, box: Box, reach: float) -> Atoms:
        """Atoms of this rank with all others, and all images, within ``reach`` of any of them.

        tags : (n_own,) ids.  positions : (n_own, 3) A, wrapped or not.  types : (n_own,).
        reach : A.  Returns Atoms; fills ``row_of`` and ``n_rows``.
        """
        own = box.fractional(positions)
        if not self._plan or not self._still_good(tags, own, box, reach):
            self._make_plan(tags, own, box, reach)
        shift = self._plan["shift"]
        table, kinds = _joined(positions, self._route.push(positions)), _joined(
            types, self._route.push(types))
        rows = self.row_of[self.n_own:]
        everyone = np.empty((len(self.row_of), 3))
        everyone[:self.n_own] = positions
        np.add(table[rows], box.vectors(shift), out=everyone[self.n_own:])
        return Atoms(positions=everyone,
                     types=np.concatenate([types, kinds[rows]]).astype(np.int32, copy=False),
                     n_own=self.n_own, box=box, tags=tags)

    def forget_plan(self) -> None:
        """Make the next plan of ghosts anew."""
        self._plan = {}

    def forward(self, values: Floats) -> None:
        """Fill the rows of other ranks' atoms in ``values`` (n_rows, k) float64."""
        values[self.n_own:] = self._route.push(values)

    def _still_good(self, tags: Ints, own: Floats, box: Box, reach: float) -> bool:
        """Whether no atom can have come within ``reach`` since the plan was made."""
        plan = self._plan
        need = np.inf
        if len(tags) == self.n_own and np.array_equal(tags, plan["tags"]):
            moved = box.vectors(own - plan["own"])
            most = np.sqrt(np.einsum("ij,ij->i", moved, moved).max(initial=0.0))
            stretch = np.linalg.norm(box.inverse @ plan["edges"], 2)
            need = stretch * (reach + 2.0 * most)
        return bool(self.max([need])[0] <= plan["reach"])

    def _make_plan(self, tags: Ints, own: Floats, box: Box, reach: float) -> None:
        n_own, reach = len(own), reach + SKIN
        bounds = np.full((self.size, 6), np.inf)
        mine = np.full(6, np.inf)
        if n_own:
            mine[:3], mine[3:] = own.min(axis=0), own.max(axis=0)
        self.comm.Allgather(mine, bounds)
        ranks, rows, shifts = _needed_by(own, bounds, reach / box.heights, box.periodic, self.rank)
        mine = ranks == self.rank
        own_rows, own_shifts = rows[mine], shifts[mine]
        ranks, rows, shifts = ranks[~mine], rows[~mine], shifts[~mine]
        # an atom with several images at the same rank travels once
        pairs, slot = np.unique(np.stack([ranks, rows], axis=1), axis=0, return_inverse=True)
        self._route = Route(self.comm, pairs[:, 1], pairs[:, 0])
        first = np.searchsorted(pairs[:, 0], np.arange(self.size))
        ghosts = Route(self.comm, np.arange(len(ranks)), ranks)
        came = ghosts.push_each(np.concatenate(
            [(slot.reshape(-1) - first[ranks])[:, None], shifts], axis=1).astype(np.int64))
        source = np.repeat(np.arange(self.size), ghosts.n_from)
        offset = np.concatenate([[0], np.cumsum(self._route.n_from)])
        self.n_own, self.n_rows = n_own, n_own + self._route.n_received
        self.row_of = np.concatenate(
            [np.arange(n_own), own_rows, n_own + offset[source] + came[:, 0]]).astype(np.int32)
        self._plan = {"tags": tags.copy(), "own": own, "edges": box.edges, "reach": reach,
                      "shift": least(np.concatenate([own_shifts, came[:, 1:]]))}


def _joined(own: AnyArray, others: AnyArray) -> AnyArray:
    return np.concatenate([own, others]) if len(others) else own


def _needed_by(own: Floats, bounds: Floats, margin: Floats, periodic: Bools,
               me: int) -> tuple[Ints, Ints, Ints]:
    """(rank, row, shift (3,)) of each atom or image that a rank must know.

    own : (n, 3) fractions of the box of this rank's atoms.  bounds : (size, 6) least and greatest
    fraction of each rank's atoms, inf for a rank without any.  margin : (3,) fractions.
    """
    ranks, rows = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    shifts = [np.empty((0, 3), np.int64)]
    low, high = bounds[:, :3] - margin, bounds[:, 3:] + margin
    low_own, high_own = bounds[me, :3], bounds[me, 3:]
    if len(own):
        with np.errstate(invalid="ignore"):
            least, most = np.ceil(low - high_own), np.floor(high - low_own)
        least, most = np.where(periodic, least, 0), np.where(periodic, most, 0)
        reached = np.isfinite(bounds[:, 0]) & (least <= most).all(axis=1) & (
            periodic | ((low <= high_own) & (high >= low_own))).all(axis=1)
        for r in np.flatnonzero(reached):
            for shift in product(*(range(int(a), int(b) + 1) for a, b in zip(least[r], most[r]))):
                if r == me and not any(shift):
                    continue
                take = np.arange(len(own))
                for axis in range(3):
                    f = own[take, axis] + shift[axis]
                    take = take[(f >= low[r, axis]) & (f <= high[r, axis])]
                ranks.append(np.full(len(take), r))
                rows.append(take)
                shifts.append(np.tile(np.array(shift, np.int64), (len(take), 1)))
    return np.concatenate(ranks), np.concatenate(rows), np.concatenate(shifts)
