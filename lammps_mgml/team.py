"""The ranks that work together: sums over them, and errors that all of them learn of."""
import traceback
from contextlib import contextmanager

import numpy as np

from .errors import MgmlError, RemoteError


class Solo:
    """A team of one, for work outside MPI."""

    rank, size = 0, 1

    def sum(self, values):
        return np.asarray(values, dtype=np.float64)

    def max(self, values):
        return np.asarray(values, dtype=np.float64)

    @contextmanager
    def together(self):
        yield


class MpiTeam:
    """The ranks of an MPI communicator.  Every method is collective."""

    def __init__(self, comm):
        self.comm, self.rank, self.size = comm, comm.rank, comm.size

    def sum(self, values):
        out = np.empty_like(np.asarray(values, dtype=np.float64))
        self.comm.Allreduce(np.asarray(values, dtype=np.float64), out)
        return out

    def max(self, values):
        from mpi4py import MPI

        out = np.empty_like(np.asarray(values, dtype=np.float64))
        self.comm.Allreduce(np.asarray(values, dtype=np.float64), out, op=MPI.MAX)
        return out

    @contextmanager
    def together(self):
        """Rank-local work: an exception on any rank is raised on every rank at the end of it.

        Without this, the others would wait for ever in the next exchange.
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
            text = str(error) if isinstance(error, MgmlError) else "".join(
                traceback.format_exception(error))
            text = text.encode()
        n = np.array([len(text)], dtype=np.int64)
        self.comm.Bcast(n, root=first[0])
        buffer = np.frombuffer(text, dtype=np.uint8).copy() if text else np.empty(n[0], np.uint8)
        self.comm.Bcast(buffer, root=first[0])
        if isinstance(error, MgmlError) and self.rank == first[0]:
            raise error
        raise RemoteError(f"rank {first[0]}: {buffer.tobytes().decode()}")
