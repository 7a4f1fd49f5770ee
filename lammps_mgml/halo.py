"""Values of the owned atoms, brought to their ghosts."""
import numpy as np

from .errors import InputError


class ImageHalo:
    """Ghosts that are periodic images of the rank's own atoms: nothing to bring.

    n_rows : rows of a table of values; row_of : (n_all,) int32, the row of each atom and ghost.
    """

    def __init__(self, owner, n_own):
        self.n_rows = n_own
        self.row_of = np.concatenate([np.arange(n_own), owner]).astype(np.int32)

    def forward(self, values):
        """Fill the rows beyond the owned atoms: there are none."""


class Route:
    """A fixed way of rows from this rank to others, and back.

    Made once, used many times.  Each use is one neighbourhood collective: its cost depends on the
    ranks that exchange something, not on all of them.  What stays on the rank is only copied.
    """

    def __init__(self, comm, rows, ranks):
        """rows : (m,) rows to send; ranks : (m,) where to.  Collective (comm None: one rank)."""
        me, size = (comm.rank, comm.size) if comm is not None else (0, 1)
        order = np.argsort(ranks, kind="stable")
        self._rows, ranks = np.asarray(rows)[order], np.asarray(ranks)[order]
        self._order = order
        counts = np.bincount(ranks, minlength=size).astype(np.int64)
        incoming = counts.copy()
        if comm is not None:
            comm.Alltoall(counts, incoming)
        self.n_received = int(incoming.sum())
        lo = int(counts[:me].sum())
        self._kept_sent = slice(lo, lo + int(counts[me]))
        lo = int(incoming[:me].sum())
        self._kept_received = slice(lo, lo + int(incoming[me]))
        self._there = None
        counts[me] = incoming[me] = 0
        if comm is None or size == 1:
            return
        to, source = np.flatnonzero(counts), np.flatnonzero(incoming)
        self._n_to, self._n_from = counts[to], incoming[source]
        self._there = comm.Create_dist_graph_adjacent(source.tolist(), to.tolist())
        self._back = comm.Create_dist_graph_adjacent(to.tolist(), source.tolist())

    def push(self, values):
        """Rows of ``values`` (n, k) float64 or int64, as received: by rank, in the order sent."""
        return self._push(values[self._rows])

    def push_each(self, values):
        """The same for ``values`` (m, k) given for each row and rank, as in ``__init__``."""
        return self._push(values[self._order])

    def _push(self, send):
        return self._exchange(self._there, send, self._kept_sent, self._n_to, self._kept_received,
                              self._n_from, self.n_received) if self._there else send

    def pull(self, values):
        """The way back: ``values`` (n_received, k) to the rows they came from, as given to init."""
        back = self._exchange(self._back, values, self._kept_received, self._n_from,
                              self._kept_sent, self._n_to, len(self._rows)) if self._there \
            else values
        out = np.empty_like(back)
        out[self._order] = back
        return out

    @staticmethod
    def _exchange(graph, send, kept_out, n_out, kept_in, n_in, n):
        shape = send.shape[1:]
        k = int(np.prod(shape, dtype=np.int64))
        away = np.concatenate([send[:kept_out.start], send[kept_out.stop:]])
        here = np.empty((int(n_in.sum()), *shape), dtype=send.dtype)
        graph.Neighbor_alltoallv([away, n_out * k], [here, n_in * k])
        out = np.empty((n, *shape), dtype=send.dtype)
        out[kept_in] = send[kept_out]
        out[:kept_in.start] = here[:kept_in.start]
        out[kept_in.stop:] = here[kept_in.start:]
        return out

    def free(self):
        """Give the communicators back to MPI, which has a limited number.  Collective."""
        if self._there is not None:
            self._there.Free()
            self._back.Free()


class MpiHalo:
    """Ghosts whose owners, on any rank, are found by tag.

    A table of values has a row for each owned atom, then one for each atom of another rank that is
    a ghost here, however many images it has.  The plan (who sends which rows to whom) is made by a
    rendezvous: owners and seekers of a tag meet at rank ``tag % size``.  It holds until the atoms
    of any rank change.
    """

    def __init__(self, comm, tags, n_own):
        """comm : mpi4py communicator.  tags : (n_all,) int64, owned then ghosts.  Collective.

        Raises
        ------
        InputError : a ghost whose tag no rank owns (on that rank only).
        """
        self.comm, self.n_own = comm, n_own
        own, ghosts = tags[:n_own], tags[n_own:]
        order = np.argsort(own, kind="stable")
        sorted_own = own[order]
        here = _find(sorted_own, ghosts)
        wanted, slot = np.unique(ghosts[here < 0], return_inverse=True)
        owner = self._owners(own, wanted)
        missing = np.flatnonzero(owner < 0)
        owner[missing] = comm.rank
        ask, ask_rank, by_owner = _by_rank(wanted, owner)
        asked, counts = _exchange(comm, ask, ask_rank)
        rows = order[_find(sorted_own, asked)] if n_own else np.zeros(len(asked), np.int64)
        self._route = Route(comm, rows, np.repeat(np.arange(comm.size), counts))
        row_of = np.empty(len(tags), np.int32)
        row_of[:n_own] = np.arange(n_own)
        row_of[n_own:][here >= 0] = order[here[here >= 0]]
        row_of[n_own:][here < 0] = n_own + np.argsort(by_owner, kind="stable")[slot]
        self.row_of, self.n_rows = row_of, n_own + len(wanted)
        if missing.size:
            raise InputError(f"no rank owns atom {wanted[missing[0]]}, a ghost on rank {comm.rank}")

    def _owners(self, own, wanted):
        """(len(wanted),) rank that owns each tag, -1 if none."""
        size = self.comm.size
        here, here_counts = _exchange(self.comm, *_by_rank(own, own % size)[:2])
        holder = np.repeat(np.arange(size), here_counts)
        order = np.argsort(here, kind="stable")
        here, holder = here[order], holder[order]
        ask, ask_rank, back = _by_rank(wanted, wanted % size)
        asked, asked_counts = _exchange(self.comm, ask, ask_rank)
        at = _find(here, asked)
        found = np.where(at >= 0, holder[at], -1) if len(here) else np.full(len(asked), -1)
        answers, _ = _exchange(self.comm, found, np.repeat(np.arange(size), asked_counts))
        owner = np.empty(len(wanted), np.int64)
        owner[back] = answers
        return owner

    def forward(self, values):
        """Fill rows n_own .. of ``values`` (n_rows, k) float64 with their owners' rows."""
        values[self.n_own:] = self._route.push(values)

    def free(self):
        self._route.free()


def _find(sorted_values, wanted):
    """(len(wanted),) place of each wanted value, -1 where it is not."""
    if not len(sorted_values):
        return np.full(len(wanted), -1)
    at = np.minimum(np.searchsorted(sorted_values, wanted), len(sorted_values) - 1)
    return np.where(sorted_values[at] == wanted, at, -1)


def _by_rank(values, ranks):
    order = np.argsort(ranks, kind="stable")
    return values[order], ranks[order], order


def _exchange(comm, values, ranks):
    """Send values (n, ...) to the sorted ``ranks`` (n,); returns what came, and how much from each.

    Collective; values of one dtype (int64 or float64) and the same trailing shape on all ranks.
    """
    width = int(np.prod(values.shape[1:], dtype=np.int64))
    counts = np.bincount(ranks, minlength=comm.size).astype(np.int64)
    incoming = np.empty_like(counts)
    comm.Alltoall(counts, incoming)
    out = np.empty((int(incoming.sum()), *values.shape[1:]), dtype=values.dtype)
    comm.Alltoallv([np.ascontiguousarray(values), counts * width], [out, incoming * width])
    return out, incoming
