"""Averages of values over an atom and its near neighbours, and of these once more.

The recursive averaging is that of Boattini, Smallenburg & Filion (Phys. Rev. Lett. 127, 088007,
2021).
"""
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from .._kernels import density as _density
from ..system.arrays import Bools, Features, Floats, Ints, Lists
from ..system.threads import threads
from .family import Feature

# Ends of names; the statistic of a Feature.
LEVELS = {"": "", "_avg": ", mean over the atom and its near neighbours",
          "_avg2": ", the same of that mean"}
NEAR = "dist"                  # the kind of neighbours


def levels(features: Iterable[Feature], one_set: bool = False) -> Iterator[Feature]:
    """``features``, then their averages, level by level; each level a set, or all in one set."""
    for end, text in LEVELS.items():
        for f in features:
            yield replace(f, name=f.name + end, set=f.set + ("" if one_set else end),
                          definition=f.definition + text, statistic=end, neighbours=NEAR)


def averages_plan(at: dict[str, int], asked: dict[int, Feature]) -> tuple[Ints, ...]:
    """For each level (columns, features): which column of it is which feature.

    at : {column: number}.  asked : {number: Feature}.
    """
    out = []
    for end in LEVELS:
        pairs = [(at[f.base], k) for k, f in asked.items() if f.statistic == end]
        out.append(np.array(pairs, np.int64).reshape(-1, 2).T)
    while len(out) > 1 and not out[-1].size:
        out.pop()
    return tuple(out)


def averaged(values: Floats, neighbours: Lists, n_rows: int, out: Floats | None = None,
             first: int = 0) -> Floats:
    """(n_rows, n) means over each owned atom and its ``neighbours`` (start, count, row).

    out : where to, or None for an array of its own; not ``values``.
    first : the atom whose ``neighbours`` come first.
    """
    if out is None:
        out = np.empty((n_rows, values.shape[1]))
    _density.averaged(values, *neighbours, out, threads(), first)
    return out


def placed(values: Floats, columns: ArrayLike, out: Features, numbers: ArrayLike) -> None:
    """out[:, numbers] = values[:, columns], in one pass over the rows."""
    _density.placed(np.ascontiguousarray(values, np.float64), np.ascontiguousarray(columns, np.int64),
                    np.ascontiguousarray(numbers, np.int64), out)


def undefined(values: Features) -> Bools:
    """(n,) bool: rows in which a number is NaN."""
    out = np.empty(len(values), np.uint8)
    _density.undefined(values, out)
    return out.view(bool)
