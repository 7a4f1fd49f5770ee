"""Medium-range site features: neighbour statistics of site features."""
import numpy as np

from ._kernels import mro as _mro


def table3(values, columns, cells, names):
    """Matrix (n_own, len(names)) of Table 3 features.

    values : (n_all, len(columns)) normalised SRO features, ghosts filled.
    Each feature is averaged over its own kind of neighbours: ``_dist`` ones over the near
    neighbours, the others over those that share a facet.
    """
    n_own = len(cells.facet_start)
    out = np.empty((n_own, len(names)))
    at = {name: k for k, name in enumerate(columns)}
    lists = {False: (cells.facet_start, cells.facet_count, cells.neighbour),
             True: (cells.near_start, cells.near_count, cells.near)}
    means = {False: [], True: []}
    for k, name in enumerate(names):
        if name in at:
            out[:, k] = values[:n_own, at[name]]
            continue
        base, _, stat = name.removesuffix("_nn").rpartition("_")
        near = "_dist" in base
        if stat == "mean":
            means[near].append((at[base], k))
        else:
            _mro.neighbour_min(values, at[base], *lists[near], out, k)
    for near, pairs in means.items():
        if pairs:
            columns_, into = np.array(pairs, dtype=np.int32).T.copy()
            _mro.neighbour_mean(values, columns_, *lists[near], out, into)
    return out
