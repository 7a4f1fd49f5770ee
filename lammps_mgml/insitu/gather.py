"""All ranks' site features into one table on disk, a slab at a time."""
import numpy as np

from ..io.table import ROWS

COLUMNS = (("i_site", np.int32), ("d_sq", np.float32), ("d_d2min", np.float32))
WRITER = 0


def gather(team, writer, step, ids, features, columns, attributes):
    """Append one frame.  Collective.

    The ranks send to the writer in turn, ``ROWS`` rows at a time: no rank ever holds more than one
    slab of another's.  An error of the writer (a full disk) is raised on all, after the others
    have sent what they must.

    writer : TableWriter, None on the other ranks.  ids (n_own,), features (n_own, n) float32,
    columns : as COLUMNS.
    """
    comm, n = team.comm, len(ids)
    others = np.stack([np.asarray(c, dtype=np.float64) for c in columns], axis=1)
    counts = comm.gather(n, root=WRITER)
    with team.together():
        if team.rank != WRITER:
            for lo in range(0, n, ROWS):
                part = slice(lo, lo + ROWS)
                comm.Send(ids[part], dest=WRITER)
                comm.Send(features[part], dest=WRITER)
                comm.Send(others[part], dest=WRITER)
            return
        slabs = _slabs(comm, counts, (ids, features, others))
        try:
            with writer.frame(step, sum(counts), COLUMNS, **attributes) as write:
                for at, (own_ids, rows, values) in slabs:
                    write(at, own_ids, rows, *values.T)
        finally:
            for _ in slabs:                      # after an error: let nobody wait for ever
                pass


def _slabs(comm, counts, own):
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
                    comm.Recv(part, source=rank)
            yield at, parts
            at += m
