"""The one place that orders the steps: cells -> SRO -> ghosts -> MRO -> model.

MD, rerun, dumps and training all come through here, so that a feature means the same everywhere.
"""
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from .boop import averaged_order_parameters, bond_order, order_parameters
from .catalogue import DENSITY_REACH
from .geometry.cells import NEAR_CUTOFF, OPEN_RADIUS, SMALL_FACET, tessellate
from .density import averaged, densities
from .errors import GhostRangeError, OptionError
from .mro import neighbour_statistics
from .plan import make_plan
from .sro import N_SUMS, composition_statistics, means_of, scales, site_statistics
from .vibration import relative_vibration

OPEN_CELL = 1          # the cell reaches beyond the open radius: surface, void, wall
NO_FEATURES = 2        # a feature is undefined, as next to an open cell
NO_REFERENCE = 4       # no reference position, or a reference partner is lost: D2 undefined
UNKNOWN_TYPE = 8       # the atom's type is none of the model's elements
NOT_EVALUATED = 16     # the step has no evaluation: values of the present structure are NaN
NOT_IN_REFERENCE = 32  # the atom was not there when the reference was taken

PARAMETERS = {"near_cutoff": NEAR_CUTOFF, "open_radius": OPEN_RADIUS, "small_facet": SMALL_FACET}


@dataclass
class Sites:
    """features (n_own, n), flags (n_own,) int32 (bits above), coordination (n_own,) int32
    (facets after the small ones are dropped), the means that normalise, and seconds by stage."""

    features: np.ndarray
    flags: np.ndarray
    coordination: np.ndarray
    means: object
    seconds: dict


def site_features(atoms, domain, names, elements, means=None, parameters=PARAMETERS,
                  check_range=None, counted=None, dtype=np.float64, load=None, msd=None):
    """Features of the owned atoms.  Collective over the ranks of ``domain``.

    Parameters
    ----------
    atoms : Atoms
    domain : the rank and its neighbours (WholeDomain, MpiDomain)
    names : tuple of feature names of the catalogue
    elements : symbols of types 1, 2, ...
    means : Means of a reference, or None for those of this configuration
    check_range : called with the Cells before anything else is made of them; raises if the ghosts
        do not reach far enough
    counted : (n_own,) bool, the atoms whose pairs enter the means, or None for all
    dtype : of the features, float64 or float32
    load : (6,) tensor of the load (see ``density``), for features that go by it
    msd : (n_own,) A^2, mean square displacements about the mean position in the undeformed glass,
        for the vibrations

    Raises
    ------
    InputError, GhostRangeError : on all ranks, whichever met it.
    """
    clock, plan = _Clock(), make_plan(names, elements)
    with domain.raise_on_all():
        if plan.axial and load is None:
            raise OptionError("some features go by the load: tell its axis and sense, in a deck  "
                              "variable mgml_load string \"z compression\"  , in Python load=\"z\", "
                              "for mgml --load z")
        if plan.vibration and msd is None:
            raise OptionError("some features are vibrations of the undeformed glass: bring the mean "
                              "square displacements, in a deck and a dump the column d_msd  (include "
                              "${vibration}  measures it), in Python msd=")
        cells = tessellate(atoms, parameters["near_cutoff"], parameters["open_radius"])
        if check_range is not None:
            check_range(cells)
    clock.lap("cells")
    with domain.raise_on_all():
        values = np.empty((domain.n_rows, len(plan.columns)))
        counted = np.ones(atoms.n_own, np.uint8) if counted is None else counted.astype(np.uint8)
        sums = np.concatenate([
            site_statistics(atoms, cells, plan, parameters["small_facet"], counted, values),
            [cells.volume.sum(), float(cells.is_open.sum())],
            np.bincount(atoms.types[:atoms.n_own], minlength=len(elements) + 1)[1:]])
    sums = domain.sum(sums)
    volume, n_open = sums[N_SUMS:N_SUMS + 2]
    if check_range is not None and atoms.box.periodic.all() and n_open == 0:
        # Cells cut by too few atoms are too large: in a periodic box the sum betrays even one.
        excess = volume / atoms.box.volume - 1.0
        if abs(excess) > 1e-9:
            raise GhostRangeError(
                f"the cells' volumes add up to {1 + excess:.12f} of the box: some lack a neighbour. "
                f"Communicate ghosts farther, e.g. comm_modify cutoff "
                f"{2 * parameters['open_radius'] + 2:.1f}")
    measured = means_of(sums[:N_SUMS], sums[N_SUMS + 2:])
    means = measured if means is None else means
    if not means.composition:
        means = replace(means, composition=measured.composition)
    with domain.raise_on_all():
        composition_statistics(atoms, cells, plan, means.composition, values)
        lists = {"voro": (cells.facet_start, cells.facet_count, cells.neighbour),
                 "dist": (cells.near_start, cells.near_count, cells.near)}
        rows = {x: (start, count, domain.row_of[neighbour])
                for x, (start, count, neighbour) in lists.items()}
    clock.lap("sro")
    coarse = {x: _bond_order(atoms, cells, domain, task, lists[x], rows[x], values, clock)
              for x, task in plan.lists.items()}
    shells = _shells(atoms, cells, domain, plan, len(elements), load, msd, rows["dist"], clock)
    values[:atoms.n_own] *= scales(means, plan)
    del lists
    cells.forget_lists()
    if plan.uses_neighbours:
        domain.forward(values)
        clock.lap("halo")
    with domain.raise_on_all():
        features = np.empty((atoms.n_own, len(names)), dtype)
        neighbour_statistics(values, plan, rows, features)
        for x, task in plan.lists.items():
            for k in np.flatnonzero(task.coarse_into >= 0):
                features[:, task.coarse_into[k]] = coarse[x][:, k]
        for (columns, into), shell in zip(plan.shells_into, shells):
            features[:, into] = shell[:, columns]
        is_open = cells.is_open != 0
        features[is_open] = np.nan           # also where all its neighbours happen to be closed
        undefined = np.isnan(features.sum(axis=1))      # without a second matrix, of truth values
        flags = np.where(is_open, OPEN_CELL, 0) | np.where(undefined & ~is_open, NO_FEATURES, 0)
        unknown = atoms.types[:atoms.n_own] == 0
        features[unknown] = np.nan
        flags = (flags | np.where(unknown, UNKNOWN_TYPE, 0)).astype(np.int32)
    clock.lap("mro")
    return Sites(features, flags, cells.facet_count, means, clock.seconds)


def reach_of(names, elements, parameters):
    """Distance (A) within which all atoms around an owned one enter its features, besides those
    that cut its cell."""
    densities_too = make_plan(names, elements).densities
    return max(parameters["near_cutoff"], DENSITY_REACH if densities_too else 0.0)


def _bond_order(atoms, cells, domain, task, neighbours, rows, values, clock):
    """Bond order over one kind of neighbours into ``values``; returns the averaged ones, or None.

    Its q_lm, half a kilobyte an atom, end here.
    """
    averaged = None
    coarse = (task.coarse_into >= 0).any()
    if not coarse and (task.boop_into < 0).all():
        return averaged
    with domain.raise_on_all():
        qlm = bond_order(atoms, cells, neighbours, domain.n_rows)
        order_parameters(qlm, atoms.n_own, task.boop_into, values)
    clock.lap("boop")
    if coarse:
        domain.forward(qlm)
        clock.lap("halo")
        with domain.raise_on_all():
            averaged = averaged_order_parameters(qlm, rows)
        clock.lap("boop")
    return averaged


def _shells(atoms, cells, domain, plan, n_elements, load, msd, near, clock):
    """``plan.shells`` of the sites and their averages (n_own, n), as many levels as are asked."""
    if not plan.shells:
        return []
    shell = np.empty((domain.n_rows, len(plan.shells)))
    with domain.raise_on_all():
        if plan.densities:
            densities(atoms, cells, n_elements, load if plan.axial else None, shell)
    if plan.vibration:
        shell[:atoms.n_own, -1] = relative_vibration(atoms, cells, n_elements, msd, domain)
    clock.lap("density")
    found = [shell]
    for _ in range(max(k for k, (columns, _) in enumerate(plan.shells_into) if len(columns))):
        domain.forward(shell)
        clock.lap("halo")
        with domain.raise_on_all():
            shell = averaged(shell, near, domain.n_rows)
        found.append(shell)
        clock.lap("density")
    return [f[:atoms.n_own] for f in found]


class _Clock:
    def __init__(self):
        self.seconds, self._last = {}, perf_counter()

    def lap(self, stage):
        now = perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now
