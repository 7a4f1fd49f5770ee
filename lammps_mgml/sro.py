"""Short-range site features."""
from dataclasses import dataclass

import numpy as np

from ._kernels import sro as _sro
from .catalogue import SITE_COLUMNS


@dataclass(frozen=True)
class Means:
    """Means over all pairs of the reference configuration that make areas and distances
    dimensionless: facet area (A^2), Voronoi and near-neighbour distance (A)."""

    area: float = 1.0
    distance_voro: float = 1.0
    distance_dist: float = 1.0


def site_statistics(atoms, cells, element, small_facet):
    """Unnormalised SRO columns (n_own, 7) and the six sums that their means are made of.

    Drops the small facets from ``cells`` for good (paper's neighbours are those that remain).
    """
    out = np.empty((atoms.n_own, len(SITE_COLUMNS)))
    sums = np.zeros(6)
    _sro.site_statistics(atoms.positions, atoms.types, element, cells.is_open, cells.facet_start,
                         cells.facet_count, cells.neighbour, cells.area, cells.edges,
                         cells.near_start, cells.near_count, cells.near, small_facet, out, sums)
    return out, sums


def means_of(sums):
    """Means from the sums of ``site_statistics`` over the whole system."""
    def ratio(a, n):
        return float(a / n) if n > 0 else float("nan")
    return Means(ratio(sums[0], sums[1]), ratio(sums[2], sums[1]), ratio(sums[4], sums[3]))


def scales(means):
    """(7,) factors that normalise SITE_COLUMNS."""
    unit = {"facet_area": means.area, "distance_voro": means.distance_voro,
            "distance_dist": means.distance_dist}
    return np.array([1.0 / next((v for k, v in unit.items() if name.startswith(k)), 1.0)
                     for name in SITE_COLUMNS])
