"""The one place that orders the steps: cells -> SRO -> ghosts -> MRO -> model.

MD, rerun, dumps and training all come through here, so that a feature means the same everywhere.
"""
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from .catalogue import SITE_COLUMNS
from .cells import NEAR_CUTOFF, OPEN_RADIUS, SMALL_FACET, tessellate
from .errors import GhostRangeError
from .mro import table3
from .sro import means_of, scales, site_statistics

OPEN_CELL = 1          # the cell reaches beyond the open radius: surface, void, wall
NO_FEATURES = 2        # a feature is undefined, as next to an open cell
NO_REFERENCE = 4       # no reference position, or a reference partner is lost: D2 undefined
UNKNOWN_TYPE = 8       # the atom's type is none of the model's elements

PARAMETERS = {"near_cutoff": NEAR_CUTOFF, "open_radius": OPEN_RADIUS, "small_facet": SMALL_FACET}


@dataclass
class Sites:
    """features (n_own, n) float64, flags (n_own,) int32 (bits above), coordination (n_own,) int32
    (facets after the small ones are dropped), the means that normalise, and seconds by stage."""

    features: np.ndarray
    flags: np.ndarray
    coordination: np.ndarray
    means: object
    seconds: dict


def site_features(atoms, halo, team, names, elements, means=None, parameters=PARAMETERS,
                  check_range=None):
    """Features of the owned atoms.  Collective over ``team``.

    Parameters
    ----------
    atoms : Atoms
    halo : fills ghost rows (ImageHalo, MpiHalo)
    team : Solo or MpiTeam
    names : feature names of the catalogue
    elements : symbols of types 1, 2, ...
    means : Means of a reference, or None for those of this configuration
    check_range : called with the Cells before anything else is made of them; raises if the ghosts
        do not reach far enough

    Raises
    ------
    InputError, GhostRangeError : on all ranks, whichever met it.
    """
    clock = _Clock()
    zr = elements.index("Zr") + 1 if "Zr" in elements else 0
    with team.together():
        cells = tessellate(atoms, parameters["near_cutoff"], parameters["open_radius"])
        if check_range is not None:
            check_range(cells)
    clock.lap("cells")
    with team.together():
        columns, sums = site_statistics(atoms, cells, zr, parameters["small_facet"])
        volume = [cells.volume.sum(), float(cells.is_open.sum())]
    sums = team.sum(np.concatenate([sums, volume]))
    if check_range is not None and atoms.box.periodic.all() and sums[7] == 0:
        # Cells cut by too few atoms are too large: in a periodic box the sum betrays even one.
        excess = sums[6] / atoms.box.volume - 1.0
        if abs(excess) > 1e-9:
            raise GhostRangeError(
                f"the cells' volumes add up to {1 + excess:.12f} of the box: some lack a neighbour. "
                f"Communicate ghosts farther, e.g. comm_modify cutoff "
                f"{2 * parameters['open_radius'] + 2:.1f}")
    if means is None:
        means = means_of(sums)
    values = np.zeros((atoms.n_all, len(SITE_COLUMNS)))
    np.multiply(columns, scales(means), out=values[:atoms.n_own])
    clock.lap("sro")
    halo.forward(values)
    clock.lap("halo")
    with team.together():
        features = table3(values, SITE_COLUMNS, cells, names)
        undefined = np.isnan(features).any(axis=1)
        flags = np.where(cells.is_open, OPEN_CELL, 0) | np.where(
            undefined & ~cells.is_open.astype(bool), NO_FEATURES, 0)
        unknown = atoms.types[:atoms.n_own] == 0
        features[unknown] = np.nan
        flags = (flags | np.where(unknown, UNKNOWN_TYPE, 0)).astype(np.int32)
    clock.lap("mro")
    return Sites(features, flags, cells.facet_count, means, clock.seconds)


class _Clock:
    def __init__(self):
        self.seconds, self._last = {}, perf_counter()

    def lap(self, stage):
        now = perf_counter()
        self.seconds[stage] = now - self._last
        self._last = now
