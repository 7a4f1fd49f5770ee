"""Short-range site features."""
from dataclasses import dataclass

import numpy as np

from ._kernels import sro as _sro
from .system.threads import threads


@dataclass(frozen=True)
class Means:
    """Means over all pairs of the reference configuration that make features dimensionless.

    area : facet area, A^2.  volume : pyramid of a facet and the atom, A^3.  distance_voro,
    distance_dist : distance to Voronoi and near neighbours, A.  composition : share of each
    element.
    """

    area: float = 1.0
    volume: float = 1.0
    distance_voro: float = 1.0
    distance_dist: float = 1.0
    composition: tuple = ()


N_SUMS = 6


def site_statistics(atoms, cells, plan, small_facet, counted, values):
    """Fill the facet and near-neighbour columns of ``values`` (n_rows, n), not normalised.

    Drops the small facets from ``cells`` for good (the paper's neighbours are those that remain).
    Returns the six sums over the atoms ``counted`` that their means are made of.
    """
    sums = np.zeros(N_SUMS)
    _sro.facet_statistics(atoms.positions, cells.is_open, counted, cells.facet_start,
                          cells.facet_count, cells.neighbour, cells.area, cells.edges, small_facet,
                          *plan.facets, values, sums[:4], threads())
    _sro.near_statistics(atoms.positions, cells.is_open, counted, cells.near_start,
                         cells.near_count, cells.near, *plan.near, values, sums[4:], threads())
    return sums


def composition_statistics(atoms, cells, plan, composition, values):
    """Fill the columns of the chemical short-range order, and the element's own."""
    share = np.array(composition, dtype=np.float64)
    for x, neighbours in (("voro", (cells.facet_start, cells.facet_count, cells.neighbour)),
                          ("dist", (cells.near_start, cells.near_count, cells.near))):
        into = plan.lists[x].element_into
        if (into >= 0).any():
            _sro.element_statistics(atoms.types, cells.is_open, *neighbours, share, into, values,
                                    threads())
    if plan.element_type is not None:
        own = values[:atoms.n_own, plan.element_type]
        own[:] = atoms.types[:atoms.n_own] - 1
        own[cells.is_open != 0] = np.nan


def means_of(sums, atoms_of_element):
    """Means from the sums of ``site_statistics`` and the atoms of each element, system-wide."""
    def ratio(a, n):
        return float(a / n) if n > 0 else float("nan")
    area, facets, r_voro, volume, near, r_near = sums
    total = sum(atoms_of_element)
    return Means(ratio(area, facets), ratio(volume, facets), ratio(r_voro, facets),
                 ratio(r_near, near), tuple(ratio(n, total) for n in atoms_of_element))


def scales(means, plan):
    """(n_columns,) factors that normalise the columns of ``plan``."""
    return np.array([1.0 / getattr(means, name) if name else 1.0 for name in plan.means])
