"""Medium-range site features: neighbour statistics of site features."""
from ._kernels import mro as _mro
from .system.threads import threads


def neighbour_statistics(values, plan, neighbours, out):
    """Fill in ``out`` (n_own, n_features) what ``plan`` makes of the columns of ``values``.

    values : (n_rows, n) normalised SRO features, rows of other ranks' atoms filled.
    neighbours : for each kind, (start, count, row).  Each feature is averaged over its own kind:
    ``_dist`` ones over the near neighbours, the others over those that share a facet.
    """
    for x, task in plan.lists.items():
        _mro.neighbour_statistics(values, task.first, *neighbours[x], task.into, task.pooled,
                                  task.into_pooled, out, threads())
