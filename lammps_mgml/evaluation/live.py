"""Quantities of a whole run at one step, for thermo output: one row each.

Each is made of sums over the atoms, so that one reduction over the ranks serves all.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..flags import NOT_IN_REFERENCE
from ..system.arrays import Floats
from ..system.domain import Domain
from .columns import Evaluated

PLASTIC = 5.0             # A^2, D2min above which an atom counts as plastic (the paper's threshold)


@dataclass(frozen=True)
class Quantity:
    """sums : from the Evaluated, numbers to be added over all atoms.  value : from the totals."""

    name: str
    unit: str
    definition: str
    sums: Callable[[Evaluated], tuple[float, ...]]
    value: Callable[[Floats], float]


def _ratio(totals: Floats) -> float:
    return totals[0] / totals[1] if totals[1] else float("nan")


QUANTITIES = (
    Quantity("plastic", "1", "share of plastic atoms (D2min above 5 A^2) among those with a D2min",
             lambda e: ((e.d2min > PLASTIC).sum(), np.isfinite(e.d2min).sum()), _ratio),
    Quantity("undefined", "1", "share of atoms without a D2min",
             lambda e: (np.isnan(e.d2min).sum(), len(e.d2min)), _ratio),
    Quantity("d2mean", "A^2", "mean D2min of the atoms that have one",
             lambda e: (np.nansum(e.d2min), np.isfinite(e.d2min).sum()), _ratio),
)


class Counts(NamedTuple):
    """Of all ranks."""

    atoms: int
    without_d2min: int
    without_softness: int
    in_reference: int


def measure(evaluated: Evaluated, domain: Domain) -> tuple[dict[str, float], Counts]:
    """({name: value} of all quantities, Counts), the same on all ranks.  Collective."""
    parts = [np.array([len(evaluated.d2min), np.isnan(evaluated.d2min).sum(),
                       np.isnan(evaluated.softness).sum(),
                       (evaluated.site & NOT_IN_REFERENCE == 0).sum()], dtype=np.float64)]
    parts += [np.asarray(q.sums(evaluated), dtype=np.float64) for q in QUANTITIES]
    totals = np.split(domain.sum(np.concatenate(parts)), np.cumsum([len(p) for p in parts])[:-1])
    return ({q.name: float(q.value(total)) for q, total in zip(QUANTITIES, totals[1:])},
            Counts(*map(int, totals[0])))
