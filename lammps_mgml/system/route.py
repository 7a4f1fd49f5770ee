"""A fixed way of rows from this rank to others, and back."""
from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from .arrays import Int32s, Ints

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

T = TypeVar("T", bound=np.generic)
Picked = slice | Int32s              # rows: all up to one, or which
TAG = 4711


class Route:
    """Made once, used many times; the cost of a use depends on the ranks that exchange something,
    not on all of them.  What stays on the rank is only copied.

    n_received : rows that come in one use.  n_from : (size,) how many of them from each rank.
    """

    def __init__(self, comm: Intracomm | None, rows: Ints | Int32s, ranks: Ints | Int32s) -> None:
        """rows : (m,) rows to send; ranks : (m,) where to.  Collective (comm None: one rank)."""
        self._comm = comm
        me, size = (comm.rank, comm.size) if comm is not None else (0, 1)
        self._order: Picked = slice(None)
        if (ranks[1:] < ranks[:-1]).any():
            self._order = np.argsort(ranks, kind="stable").astype(np.int32)
        sent: Int32s = rows[self._order].astype(np.int32, copy=False)
        everyone = np.array_equal(sent, np.arange(len(sent), dtype=np.int32))
        self._rows: Picked = slice(len(sent)) if everyone else sent
        to = np.bincount(ranks[self._order], minlength=size).astype(np.int64)
        self.n_from = to.copy()
        if comm is not None:
            comm.Alltoall(to, self.n_from)
        self.n_received, self._n_sent = int(self.n_from.sum()), len(sent)
        self._sent, self._received = _blocks(to), _blocks(self.n_from)
        self._kept = self._sent.pop(me, None), self._received.pop(me, None)

    @property
    def n_destinations(self) -> int:
        """Other ranks that get something."""
        return len(self._sent)

    def push(self, values: NDArray[T]) -> NDArray[T]:
        """Rows of ``values`` (n, ...), as received: by rank, in the order sent.  Perhaps a view."""
        return self._exchange(values[self._rows], *self._kept, self._sent, self._received,
                              self.n_received)

    def push_each(self, values: NDArray[T]) -> NDArray[T]:
        """The same for ``values`` (m, ...) given for each row and rank, as in ``__init__``."""
        return self._exchange(values[self._order], *self._kept, self._sent, self._received,
                              self.n_received)

    def pull(self, values: NDArray[T]) -> NDArray[T]:
        """The way back: ``values`` (n_received, ...) to the rows they came from, as given to
        ``__init__``.  Perhaps ``values`` itself."""
        back = self._exchange(values, *self._kept[::-1], self._received, self._sent,
                              self._n_sent)
        if isinstance(self._order, slice):
            return back
        out = np.empty_like(back)
        out[self._order] = back
        return out

    def _exchange(self, send: NDArray[T], kept_out: slice | None, kept_in: slice | None,
                  to: dict[int, slice], source: dict[int, slice], n: int) -> NDArray[T]:
        if not to and not source:
            return send                       # all stays here, in its order
        assert self._comm is not None         # one rank alone exchanges nothing
        send = np.ascontiguousarray(send)
        out = np.empty((n, *send.shape[1:]), dtype=send.dtype)
        waiting = [self._comm.Irecv(out[block], source=rank, tag=TAG)
                   for rank, block in source.items()]
        waiting += [self._comm.Isend(send[block], dest=rank, tag=TAG) for rank, block in to.items()]
        if kept_in is not None:
            out[kept_in] = send[kept_out]
        for request in waiting:
            request.Wait()
        return out


def _blocks(counts: Ints) -> dict[int, slice]:
    """{rank: slice} of the ranks that have any of ``counts`` rows laid end to end."""
    end = np.cumsum(counts)
    return {int(r): slice(int(end[r] - counts[r]), int(end[r])) for r in np.flatnonzero(counts)}
