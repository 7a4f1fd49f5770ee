"""All ranks' site features into one table on disk, a slab at a time."""
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..io.table import ROWS, TableWriter
from ..system.arrays import AnyArray, Features, Ints
from ..system.domain import Domain

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

COLUMNS = (("i_site", np.int32), ("d_sq", np.float32), ("d_d2min", np.float32))
WRITER, TAG = 0, 4712


def gather(domain: Domain, writer: TableWriter | None, step: int, ids: Ints, features: Features,
           columns: list[AnyArray], attributes: dict[str, Any]) -> None:
    """Append one frame.  Collective.

    The ranks send to the writer in turn, ``ROWS`` rows at a time: no rank ever holds more than one
    slab of another's.  An error of the writer (a full disk) is raised on all, after the others
    have sent what they must.

    writer : TableWriter, None on the other ranks.  ids (n_own,), features (n_own, n) float32,
    columns : as COLUMNS.
    """
    comm = domain.comm
    others = np.stack([np.asarray(c, dtype=np.float64) for c in columns], axis=1)
    mine = np.zeros(domain.size)
    mine[domain.rank] = len(ids)
    counts = domain.sum(mine).astype(np.int64)
    error = None
    if domain.rank == WRITER:
        slabs = _slabs(comm, counts, (ids, features, others))
        try:
            assert writer is not None
            with writer.frame(step, int(counts.sum()), COLUMNS, **attributes) as write:
                for at, (own_ids, rows, values) in slabs:
                    write(at, own_ids, rows, *values.T)
        except Exception as e:
            error = e
        for _ in slabs:                          # after an error: let nobody wait for ever
            pass
    else:
        for lo in range(0, len(ids), ROWS):
            for values in (ids, features, others):
                comm.Send(np.ascontiguousarray(values[lo:lo + ROWS]), dest=WRITER, tag=TAG)
    with domain.raise_on_all():
        if error is not None:
            raise error


def _slabs(comm: Intracomm, counts: Ints,
           own: tuple[AnyArray, ...]) -> Iterator[tuple[int, list[AnyArray]]]:
    """(first row, arrays like ``own``) of every rank in turn; received ones share one buffer."""
    buffers = [np.empty((ROWS, *a.shape[1:]), a.dtype) for a in own]
    at = 0
    for rank, n in enumerate(counts):
        for lo in range(0, n, ROWS):
            m = min(ROWS, n - lo)
            if rank == comm.rank:
                parts = [a[lo:lo + m] for a in own]
            else:
                parts = [b[:m] for b in buffers]
                for part in parts:
                    comm.Recv(part, source=rank, tag=TAG)
            yield at, parts
            at += m
