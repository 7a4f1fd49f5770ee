"""Statistics over an atom's neighbours of the values of any family (the paper's medium range)."""
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from .._kernels import mro as _mro
from ..system.arrays import Features, Floats, Int32s, Lists
from ..system.threads import threads
from .family import LISTS, NEIGHBOURS, WORDS, Feature, Set

STATISTICS = ("", "sum", "mean", "std", "min", "max", "diff")     # rows of the kernel's ``into``
DIFFERENCE = "structural_difference"


def over_neighbours(features: list[Feature], sets: dict[str, Set]) -> Iterator[Feature]:
    """Features made of ``features`` over the neighbours, as the Sets of ``sets`` tell."""
    for name, group in sets.items():
        for f in features:
            if f.set == name and f.neighbours:
                for s in group.over:
                    yield Feature(f"{f.name}_{s}_nn", f"{name}_stats_nn", _order(f), f.units,
                                  f"{WORDS[s]} of {f.name} over {NEIGHBOURS[f.neighbours]}",
                                  f.name, s, f.neighbours, f.mean, f.needs)
    for f in features:
        if f.set in sets and sets[f.set].difference and f.neighbours:
            yield Feature(f"{f.name}_diff_nn", difference_set(f.set, f.order), _order(f), f.units,
                          f"{f.name}_mean_nn - {f.name}", f.name, "diff", f.neighbours, f.mean,
                          f.needs)


def _order(f: Feature) -> str:
    return "MRO" if f.order == "SRO" else f.order


def difference_set(name: str, order: str) -> str:
    """The paper has one set of all its differences; families beyond it have their own."""
    return DIFFERENCE if order == "SRO" else f"{name}_difference"


def texts(name: str, group: Set, order: str) -> dict[str, str]:
    """{set: what it is} of the sets made of the set ``name`` of features of ``order``."""
    out = {f"{name}_stats_nn": f"neighbours' statistics of {name}"} if group.over else {}
    if group.difference:
        out[difference_set(name, order)] = "neighbours' mean minus the atom's own value"
    return out


@dataclass(frozen=True)
class ListPlan:
    """What is made of the columns over one kind of neighbours.

    first, into : first column of the table and, for each statistic and column from there on, the
    feature's number or -1.  pooled, into_pooled : columns that make a pooled ratio.
    """

    first: int
    into: Int32s
    pooled: Int32s
    into_pooled: Int32s


def in_order(columns: Iterable[str], known: dict[str, Feature]) -> tuple[str, ...]:
    """``columns`` as the table holds them: those over near neighbours last."""
    return tuple(sorted(columns, key=lambda name: known[name].neighbours == "dist"))


def neighbours_plan(columns: tuple[str, ...], asked: dict[int, Feature],
                    known: dict[str, Feature]) -> dict[str, ListPlan]:
    """{kind: ListPlan}.  columns : ``in_order``.  asked : {number: Feature}."""
    at = {name: k for k, name in enumerate(columns)}
    n_voro = sum(known[n].neighbours != "dist" for n in columns)
    out = {}
    for x in LISTS:
        first, last = (0, n_voro) if x == "voro" else (n_voro, len(columns))
        into = np.full((len(STATISTICS), last - first), -1, np.int32)
        pooled: tuple[str, ...] = ()
        into_pooled = np.empty(0, np.int32)
        for k, f in asked.items():
            if (f.neighbours or "voro") != x:
                continue
            if f.statistic == "pooled":
                if pooled not in ((), f.among):
                    raise ValueError(f"{f.name}: one group of pooled columns for each kind of "
                                     f"neighbours, not {pooled} and {f.among}")
                if not pooled:
                    pooled, into_pooled = f.among, np.full(len(f.among), -1, np.int32)
                into_pooled[pooled.index(f.base)] = k
            else:
                into[STATISTICS.index(f.statistic), at[f.base] - first] = k
        out[x] = ListPlan(first, into, np.array([at[n] - first for n in pooled], np.int32),
                          into_pooled)
    return out


def neighbour_statistics(values: Floats, lists: dict[str, ListPlan], neighbours: dict[str, Lists],
                         out: Features, first: int = 0) -> None:
    """Fill in ``out`` (n, n_features) what ``lists`` makes of the columns of ``values`` for the atoms
    from ``first`` on.

    values : (n_rows, n) normalised columns, rows of other ranks' atoms filled.
    lists : {kind: ListPlan}.  neighbours : (start, count, row) of these atoms, for each kind whose
    values are taken.
    """
    n = len(out)
    nothing = np.zeros(n, np.int64), np.zeros(n, np.int32), np.empty(0, np.int32)
    for x, task in lists.items():
        of = neighbours[x] if (task.into[1:] >= 0).any() or task.pooled.size else nothing
        _mro.neighbour_statistics(values, task.first, *of, task.into, task.pooled,
                                  task.into_pooled, out, threads(), first)
