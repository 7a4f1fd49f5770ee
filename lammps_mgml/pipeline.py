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
from .families.averages import NEAR, averaged, placed, undefined
from .families.family import Family, Filling, Means, Product, Work
from .families.neighbours import neighbour_statistics
from .families.pairs import INPUT as FORCE_CONSTANTS
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
from .geometry.cells import tessellate
from .system.arrays import Bools, Features, Floats, Int32s, Ints
from .system.atoms import Atoms
from .system.box import Box
from .system.domain import Domain
from .system.lengths import Lengths
from .system.scratch import Scratch
from .system.threads import threads

PARAMETERS = Lengths().parameters      # Cu-Zr's
ROWS_AT_ONCE = 4096    # of a table that are copied together, so that no second table comes to be
SAME_VOLUME = 1e-9     # of the box: one missing neighbour of one cell shows


@dataclass
class Sites:
    """features (n_own, n), flags (n_own,) int32 (bits of ``flags``), coordination (n_own,) int32
    (facets after the small ones are dropped), the means that normalise, and seconds by stage.
    nearest : A, median distance to the nearest neighbour, where it was measured."""

    features: Features
    flags: Int32s
    coordination: Int32s
    means: Means
    seconds: dict[str, float]
    nearest: float = float("nan")


def site_features(atoms: Atoms, domain: Domain, names: tuple[str, ...], elements: tuple[str, ...],
                  means: Means | None = None, parameters: Mapping[str, Any] = PARAMETERS,
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
    parameters : those of PARAMETERS that are other ones; and the force constants of a model
    counted : (n_own,) bool, the atoms whose pairs enter the means, or None for all
    dtype : of the features, float64 or float32
    scratch : room for the tables, the features among them; None for fresh memory
    each : gets the owned atoms in turn, as a slice and their features, which it must not keep.
        ``Sites.features`` then has no columns: the whole matrix never comes to be.
    inputs : what features need besides the structure (``features.needs``), None if it is not there:
        load, (6,) tensor (``families.densities.load_tensor``); msd, (n_own,) A^2

    Raises
    ------
    InputError, MissingInputError, InternalError : on all ranks, whichever met it.
    """
    clock, plan = _Clock(), plan_of(names, elements)
    parameters = {**PARAMETERS, **parameters}
    if inputs.get(FORCE_CONSTANTS) is None and parameters.get(FORCE_CONSTANTS):
        inputs[FORCE_CONSTANTS] = np.array(parameters[FORCE_CONSTANTS], np.float64)
    needed = {need: inputs.get(need) for need in plan.needs}
    room = scratch if scratch is not None else Scratch()
    with domain.raise_on_all():
        _check_inputs(plan, inputs)
        cells = tessellate(atoms, parameters["near_cutoff"], parameters["open_radius"], room)
    clock.lap("cells")
    with domain.raise_on_all():
        entering = np.ones(atoms.n_own, np.uint8) if counted is None else counted.astype(np.uint8)
        work = Work(atoms, cells, elements, parameters, entering, needed, domain.n_rows,
                    domain.row_of)
        values, tables = room.take((domain.n_rows, len(plan.columns))), []
        sums = [np.array([cells.volume.sum(), float(cells.is_open.sum()), atoms.n_own])]
        for k, task in enumerate(plan.tasks):
            cells.keep(_read_from(plan, k), room)      # before a table is made, not beside it
            table = values if not task.family.averaged else room.take(
                (domain.n_rows, len(task.columns)))
            tables.append(table)
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
    work.made.clear()
    cells.keep(plan.rows - work.rows.keys(), room)
    work.rows.in_place = True                # no family reads the lists any more
    made, last, used = _averages(work, plan, tables, domain, clock, room)
    products += made
    values[:atoms.n_own] *= plan.scales(means)
    if plan.uses_neighbours:
        domain.forward(values)
        clock.lap("halo")
    with domain.raise_on_all():
        at_once = ROWS_AT_ONCE * max(1, threads() // 4)    # some chunks for each thread
        features = room.empty("features", (
            atoms.n_own if each is None else min(atoms.n_own, at_once), len(names)), dtype)
        is_open, unknown = cells.is_open != 0, atoms.types[:atoms.n_own] == 0
        flags = np.where(is_open, np.int32(OPEN_CELL), np.int32(0))
        flags[unknown] |= UNKNOWN_TYPE
        lists = {kind: work.rows[kind] for kind in plan.rows}
        means_of = [room.take((min(atoms.n_own, at_once), table.shape[1]))
                    for _, table, *_ in last]
        for first in range(0, atoms.n_own, at_once):
            at = slice(first, min(first + at_once, atoms.n_own))
            here = {kind: (start[at], count[at], row) for kind, (start, count, row) in lists.items()}
            block = features[at] if each is None else features[:at.stop - first]
            neighbour_statistics(values, plan.lists, here, block, first)
            for numbers, table, columns in products:
                placed(table[at], columns, block, numbers)
            clock.lap("mro")
            for (stage, table, columns, numbers), mean in zip(last, means_of):
                mean = averaged(table, here[NEAR], len(block), mean[:len(block)], first)
                placed(mean, columns, block, numbers)
                clock.lap(stage)
            block[is_open[at]] = np.nan      # also where all its neighbours happen to be closed
            flags[at][undefined(block) & ~is_open[at]] |= NO_FEATURES
            block[unknown[at]] = np.nan
            clock.lap("mro")
            if each is not None:
                each(at, block)
                clock.lap("model")
    cells.keep((), room)
    room.give(values, *used, *means_of)
    if each is not None:
        features = np.empty((atoms.n_own, 0), dtype)
    return Sites(features, flags, cells.facet_count, means, clock.seconds)


def _read_from(plan: Plan, first: int) -> set[str]:
    """What of the cells is still read when the tasks before ``first`` have measured."""
    reads = [task.family.reads(task.plan) for task in plan.tasks]
    return {*plan.rows, *(part for measure, _ in reads[first:] for part in measure),
            *(part for _, fill in reads for part in fill)}


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


# Stage, table (n_rows, k) to be averaged, columns of that (m,), numbers of features (m,).
Last = tuple[str, Floats, Ints, Ints]


def _averages(work: Work, plan: Plan, tables: list[Floats], domain: Domain, clock: _Clock,
              room: Scratch) -> tuple[list[Product], list[Last], list[Floats]]:
    """What the families that are averaged give, level by level.

    The last level is not made here: nobody takes its values from another rank or atom, so that it
    can be made of some atoms at a time.  All tables of these families come third.
    """
    products: list[Product] = []
    last: list[Last] = []
    n_own = work.atoms.n_own
    active = [(task, table) for task, table in zip(plan.tasks, tables) if task.averages]
    used = [table for _, table in active]
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
        going = []
        for task, table in active:
            if level == len(task.averages) - 1:
                last.append((task.family.stage, table, *task.averages[level]))
                continue
            with domain.raise_on_all():
                used.append(room.take(table.shape))
                going.append((task, averaged(table, work.rows[NEAR], work.n_rows, used[-1])))
                clock.lap(task.family.stage)
        active = going
    return products, last, used


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = perf_counter()

    def lap(self, stage: str) -> None:
        now = perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now
