"""The one place that orders the steps: cells -> families -> other ranks -> what neighbours add.

MD, rerun, dumps and training all come through here, so that a feature means the same everywhere.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .errors import InternalError, MissingInputError, OptionError
from .families.averages import NEAR, averaged
from .families.family import Family, Filling, Means, Product, Work
from .families.neighbours import neighbour_statistics
from .features import Plan
from .features import inputs as known_inputs
from .features import plan as plan_of
from .flags import (  # noqa: F401
    NO_FEATURES,
    NO_REFERENCE,
    NOT_EVALUATED,
    NOT_IN_REFERENCE,
    OPEN_CELL,
    UNKNOWN_TYPE,
)
from .geometry.cells import NEAR_CUTOFF, OPEN_RADIUS, SMALL_FACET, tessellate
from .system.arrays import Bools, Features, Floats, Int32s
from .system.atoms import Atoms
from .system.box import Box
from .system.domain import Domain
from .system.scratch import Scratch

PARAMETERS = {"near_cutoff": NEAR_CUTOFF, "open_radius": OPEN_RADIUS, "small_facet": SMALL_FACET}
ROWS_AT_ONCE = 4096    # of a table that are copied together, so that no second table comes to be
SAME_VOLUME = 1e-9     # of the box: one missing neighbour of one cell shows


@dataclass
class Sites:
    """features (n_own, n), flags (n_own,) int32 (bits of ``flags``), coordination (n_own,) int32
    (facets after the small ones are dropped), the means that normalise, and seconds by stage."""

    features: Features
    flags: Int32s
    coordination: Int32s
    means: Means
    seconds: dict[str, float]


def site_features(atoms: Atoms, domain: Domain, names: tuple[str, ...], elements: tuple[str, ...],
                  means: Means | None = None, parameters: Mapping[str, float] = PARAMETERS,
                  counted: Bools | None = None, dtype: DTypeLike = np.float64,
                  scratch: Scratch | None = None,
                  each: Callable[[slice, Features], None] | None = None, **inputs: Any) -> Sites:
    """Features of the owned atoms.  Collective over the ranks of ``domain``.

    Parameters
    ----------
    atoms : Atoms, with all others within ``features.reach`` as ghosts
    domain : the rank and its neighbours (WholeDomain, MpiDomain)
    names : tuple of feature names
    elements : symbols of types 1, 2, ...
    means : Means of a reference, or None for those of this configuration
    counted : (n_own,) bool, the atoms whose pairs enter the means, or None for all
    dtype : of the features, float64 or float32
    scratch : room for the tables, the features among them; None for fresh memory
    each : gets the owned atoms in turn, as a slice and their features, which it must not keep.
        ``Sites.features`` then has no columns: the whole matrix never comes to be, unless it takes
        the values of neighbours.
    inputs : what features need besides the structure (``features.needs``), None if it is not there:
        load, (6,) tensor (``families.densities.load_tensor``); msd, (n_own,) A^2

    Raises
    ------
    InputError, MissingInputError, InternalError : on all ranks, whichever met it.
    """
    clock, plan = _Clock(), plan_of(names, elements)
    room = scratch if scratch is not None else Scratch()
    with domain.raise_on_all():
        _check_inputs(plan, inputs)
        cells = tessellate(atoms, parameters["near_cutoff"], parameters["open_radius"])
    clock.lap("cells")
    with domain.raise_on_all():
        entering = np.ones(atoms.n_own, np.uint8) if counted is None else counted.astype(np.uint8)
        work = Work(atoms, cells, elements, parameters, entering, inputs, domain.n_rows,
                    domain.row_of)
        values = room.empty("values", (domain.n_rows, len(plan.columns)))
        tables = [room.empty(f"table {k}", (domain.n_rows, len(task.columns)))
                  if task.family.averaged else values for k, task in enumerate(plan.tasks)]
        sums = [np.array([cells.volume.sum(), float(cells.is_open.sum()), atoms.n_own])]
        for task, table in zip(plan.tasks, tables):
            found = task.family.measure(work, task.plan, table)
            sums.append(np.empty(0) if found is None else found)
            clock.lap(task.family.stage)
    total = domain.sum(np.concatenate(sums))
    whole, *sums = np.split(total, np.cumsum([len(s) for s in sums])[:-1])
    volume, n_open, n = whole
    _check_volume(atoms.box, volume, n_open, n, domain)
    measured = Means(**{field: value for task, s in zip(plan.tasks, sums)
                        for field, value in task.family.means(s).items()})
    means = measured if means is None else means
    if not means.composition:
        means = replace(means, composition=measured.composition)
    work.means = means
    products = _fill(work, plan, tables, sums, domain, clock)
    products += _averages(work, plan, tables, domain, clock, room)
    values[:atoms.n_own] *= plan.scales(means)
    cells.forget_lists()
    if plan.uses_neighbours:
        domain.forward(values)
        clock.lap("halo")
    with domain.raise_on_all():
        blocks = each is not None and not plan.uses_neighbours
        features = room.empty("features", (min(atoms.n_own, ROWS_AT_ONCE) if blocks else atoms.n_own,
                                           len(names)), dtype)
        if not blocks:
            neighbour_statistics(values, plan.lists, work.rows, features)
        is_open, unknown = cells.is_open != 0, atoms.types[:atoms.n_own] == 0
        flags = np.where(is_open, OPEN_CELL, 0) | np.where(unknown, UNKNOWN_TYPE, 0)
        for first in range(0, atoms.n_own, ROWS_AT_ONCE):
            at = slice(first, min(first + ROWS_AT_ONCE, atoms.n_own))
            block = features[:at.stop - first] if blocks else features[at]
            if blocks:
                neighbour_statistics(values[at], plan.lists, {
                    kind: (start[at], count[at], row)
                    for kind, (start, count, row) in work.rows.items()}, block)
            for numbers, table, columns in products:
                block[:, numbers] = table[at, columns]
            block[is_open[at]] = np.nan      # also where all its neighbours happen to be closed
            undefined = np.isnan(block.sum(axis=1))     # without a second matrix, of truth values
            flags[at] |= np.where(undefined & ~is_open[at], NO_FEATURES, 0)
            block[unknown[at]] = np.nan
            if each is not None:
                clock.lap("mro")
                each(at, block)
                clock.lap("model")
    clock.lap("mro")
    if each is not None:
        features = features[:, :0] if not blocks else np.empty((atoms.n_own, 0), dtype)
    return Sites(features, flags.astype(np.int32), cells.facet_count, means, clock.seconds)


def _check_inputs(plan: Plan, inputs: Mapping[str, Any]) -> None:
    known = known_inputs()
    strangers = set(inputs) - set(known)
    if strangers:
        raise OptionError(f"unknown input {', '.join(sorted(strangers))}: there are "
                          f"{', '.join(known)}")
    for need, feature in plan.needs.items():
        if inputs.get(need) is None:
            raise MissingInputError(
                need, f"feature {feature} takes {need}, which is not given: {known[need]}")


def _check_volume(box: Box, volume: float, n_open: float, n: float, domain: Domain) -> None:
    """Cells cut by too few atoms are too large: in a periodic box their sum betrays even one."""
    if not box.periodic.all() or n_open or not n:
        return
    excess = volume / box.volume - 1.0
    if abs(excess) > SAME_VOLUME:            # on every rank, then
        with domain.raise_on_all():
            raise InternalError(
                f"the cells' volumes add up to {1 + excess:.12f} of the box: a cell lacks a "
                f"neighbour. That is a fault of lammps_mgml: please report it")


def _fill(work: Work, plan: Plan, tables: list[Floats], sums: list[Floats], domain: Domain,
          clock: _Clock) -> list[Product]:
    """``fill`` of all families, side by side, with the exchanges that they ask for.

    Returns [(numbers of features, table (n_own, k), columns of it)].
    """
    products: list[Product] = []
    active: list[tuple[Family, Filling]] = []
    with domain.raise_on_all():
        _ = work.rows                        # while the lists are there
        for task, table, s in zip(plan.tasks, tables, sums):
            steps = task.family.fill(work, task.plan, table, s)
            clock.lap(task.family.stage)
            if steps is not None:
                active.append((task.family, steps))
    while active:
        going, wanted = [], []
        with domain.raise_on_all():
            for family, steps in active:
                try:
                    wanted.append(next(steps))
                    going.append((family, steps))
                except StopIteration as end:
                    products += end.value or []
                clock.lap(family.stage)
        while wanted:
            domain.forward(wanted.pop(0))    # and not kept: it may be large
            clock.lap("halo")
        active = going
    return products


def _averages(work: Work, plan: Plan, tables: list[Floats], domain: Domain,
              clock: _Clock, room: Scratch) -> list[Product]:
    """[(numbers of features, table, columns)] of the families that are averaged, level by level."""
    products: list[Product] = []
    n_own = work.atoms.n_own
    active = [(task, table) for task, table in zip(plan.tasks, tables) if task.averages]
    level = 0
    while active:
        for task, table in active:
            columns, numbers = task.averages[level]
            if len(columns):
                products.append((numbers, table[:n_own], columns))
        level += 1
        active = [(task, table) for task, table in active if level < len(task.averages)]
        for _, table in active:
            domain.forward(table)
            clock.lap("halo")
        if active:
            with domain.raise_on_all():
                for k, (task, table) in enumerate(active):
                    out = room.empty(f"level {level} of {task.family.order} {k}", table.shape)
                    active[k] = task, averaged(table, work.rows[NEAR], work.n_rows, out)
                    clock.lap(task.family.stage)
    return products


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = perf_counter()

    def lap(self, stage: str) -> None:
        now = perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now
