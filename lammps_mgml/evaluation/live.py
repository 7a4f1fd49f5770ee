"""Quantities of a whole run at one step, for thermo output: one row each.

Each is made of sums over the atoms, so that one reduction over the ranks serves all.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..flags import NOT_IN_REFERENCE
from ..system.arrays import Bools, Floats
from ..system.domain import Domain
from ..system.lengths import Lengths
from ..system.scratch import Scratch, trim
from .columns import Evaluated
from .ranking import Ranking, area

PLASTIC = Lengths.d2_threshold       # A^2, D2min above which an atom counts as plastic, of Cu-Zr
BINS = 4096               # of S^q, for quartiles: each is known to half a bin, 1.2e-4
_STILL = 1e-9             # of strain: less is no change


@dataclass(frozen=True)
class Sample:
    """What one rank knows of an evaluation.

    atoms : Evaluated, of the owned ones.  quenched : (n_own,) their S^q in the reference.
    places : ``Ranking.sums`` of S^q for the plastic atoms; of the atoms that have their home here.
    clock : seconds in evaluations and seconds altogether since the run began, 0 if none has.
    threshold : A^2, D2min above which an atom is plastic.
    """

    atoms: Evaluated
    quenched: Floats
    places: tuple[float, ...]
    clock: tuple[float, float]
    threshold: float = PLASTIC

    @property
    def plastic(self) -> Bools:
        return self.atoms.d2min > self.threshold


class Past(NamedTuple):
    """plastic : share at the latest evaluation at another strain.  strained : change of the strain
    since then, 0 or more.  NaN if there was none."""

    plastic: float = float("nan")
    strained: float = float("nan")


@dataclass(frozen=True)
class Quantity:
    """sums : from the Sample, numbers to be added over all ranks; rows with the same function share
    them.  value : from the totals, and the Past."""

    name: str
    unit: str
    definition: str
    sums: Callable[[Sample], tuple[float, ...] | Floats]
    value: Callable[[Floats, Past], float]


def _plastic(x: Sample) -> tuple[float, ...]:
    return x.plastic.sum(), np.isfinite(x.atoms.d2min).sum()


def _places(x: Sample) -> tuple[float, ...]:
    return x.places


def _moments(x: Sample) -> tuple[float, ...]:
    known = x.quenched[np.isfinite(x.quenched)]
    # without BLAS, whose threads go on spinning beside those of the next stage
    return len(known), known.sum(), float(np.square(known).sum())


def _softness_of_plastic(x: Sample) -> Floats:
    """(BINS,) plastic atoms in equal intervals of S^q, 0 .. 1."""
    values = x.quenched[x.plastic & np.isfinite(x.quenched)]
    bins = np.clip((values * BINS).astype(np.int64), 0, BINS - 1)
    return np.bincount(bins, minlength=BINS).astype(np.float64)


def _ratio(totals: Floats, past: Past | None = None) -> float:
    return totals[0] / totals[1] if totals[1] else float("nan")


def _deviation(totals: Floats, past: Past) -> float:
    n, first, second = totals
    return float(np.sqrt(max(second / n - (first / n) ** 2, 0.0))) if n else float("nan")


def _quantile(fraction: float) -> Callable[[Floats, Past], float]:
    """Between the two values next to it, as numpy.quantile has it."""
    def value(totals: Floats, past: Past) -> float:
        upto = np.cumsum(totals)
        if not upto[-1]:
            return float("nan")
        at = fraction * (upto[-1] - 1.0)
        low, high = (np.searchsorted(upto, np.array([np.floor(at), np.ceil(at)]), side="right")
                     + 0.5) / BINS
        return float(low + (at - np.floor(at)) * (high - low))
    return value


def _rate(totals: Floats, past: Past) -> float:
    return (_ratio(totals) - past.plastic) / past.strained


QUANTITIES = (
    Quantity("plastic", "1", "share of plastic atoms (D2min above the model's threshold, without a "
             "model 5 A^2) among those with a D2min",
             _plastic, _ratio),
    Quantity("undefined", "1", "share of atoms without a D2min",
             lambda x: (np.isnan(x.atoms.d2min).sum(), len(x.atoms.d2min)), _ratio),
    Quantity("d2mean", "A^2", "mean D2min of the atoms that have one",
             lambda x: (np.nansum(x.atoms.d2min), np.isfinite(x.atoms.d2min).sum()), _ratio),
    Quantity("auc", "1", "AUC of S^q (d_sq) for plastic against other atoms, of those with both",
             _places, lambda totals, past: area(totals)),
    Quantity("rate", "1", "growth of the share of plastic atoms per unit strain of the box, since "
             "the latest evaluation at another strain", _plastic, _rate),
    Quantity("sigma_s", "1", "standard deviation of S^q (d_sq) of the atoms that have one",
             _moments, _deviation),
    Quantity("sq25", "1", "lower quartile of S^q of the plastic atoms", _softness_of_plastic,
             _quantile(0.25)),
    Quantity("sq50", "1", "median of S^q of the plastic atoms", _softness_of_plastic, _quantile(0.5)),
    Quantity("sq75", "1", "upper quartile of S^q of the plastic atoms", _softness_of_plastic,
             _quantile(0.75)),
    Quantity("time", "1", "share of this run's wall time that lammps_mgml has taken, mean of the "
             "ranks", lambda x: x.clock, _ratio),
)


class Counts(NamedTuple):
    """Of all ranks."""

    atoms: int
    without_d2min: int
    without_softness: int
    in_reference: int


class Monitor:
    """The quantities from evaluation to evaluation of one reference.

    clock : returns what ``Sample.clock`` is, at the time of the call.  room : what is free of it is
    given up for the ranking, which takes much memory and is seldom made.  threshold : A^2, of
    D2min.
    """

    def __init__(self, domain: Domain, clock: Callable[[], tuple[float, float]],
                 room: Scratch, threshold: float = PLASTIC) -> None:
        self.domain, self.clock, self.room, self.threshold = domain, clock, room, threshold
        self.ranking: Ranking | None = None
        self._last: tuple[Floats, float] | None = None       # deformation, share of plastic atoms
        self._before: tuple[Floats, float] | None = None     # the same, at another strain

    def measure(self, evaluated: Evaluated, quenched: Floats, d2min_at_home: Floats,
                deformation: Floats) -> tuple[dict[str, float], Counts]:
        """({name: value} of all quantities, Counts), the same on all ranks.  Collective.

        quenched : (n_own,) S^q in the reference.  d2min_at_home : of the atoms whose S^q
        ``ranking`` has, in its order.  deformation : (3, 3) F - 1 of the box since the reference.
        One reduction, and a second one where other atoms have values than the evaluation before.
        """
        plastic = d2min_at_home > self.threshold
        counted = np.isfinite(d2min_at_home)
        if self.ranking is None:
            places: tuple[float, ...] = 0.0, 0.0, 0.0, 0.0
        else:
            counted &= self.ranking.known
            plastic &= counted
            places = self.ranking.sums(counted, plastic)
        totals, counts = self._totals(Sample(evaluated, quenched, places, self.clock(),
                                              self.threshold))
        if self.ranking is not None and totals[_places][3]:
            self.room.forget()
            self.ranking.rank(counted)
            trim()
            totals[_places] = self.domain.sum(self.ranking.sums(counted, plastic))
        past = self._past(deformation)
        live = {q.name: float(q.value(totals[q.sums], past)) for q in QUANTITIES}
        self._last = deformation, live["plastic"]
        return live, counts

    def _totals(self, sample: Sample) -> tuple[dict[object, Floats], Counts]:
        atoms, rows = sample.atoms, list(dict.fromkeys(q.sums for q in QUANTITIES))
        parts = [np.array([len(atoms.d2min), np.isnan(atoms.d2min).sum(),
                           np.isnan(atoms.softness).sum(),
                           (atoms.site & NOT_IN_REFERENCE == 0).sum()], dtype=np.float64)]
        parts += [np.asarray(row(sample), dtype=np.float64) for row in rows]
        totals = np.split(self.domain.sum(np.concatenate(parts)),
                          np.cumsum([len(p) for p in parts])[:-1])
        return dict(zip(rows, totals[1:])), Counts(*map(int, totals[0]))

    def _past(self, deformation: Floats) -> Past:
        """The strain is the largest component now, as in ``mgml report``."""
        largest = np.unravel_index(np.abs(deformation).argmax(), (3, 3))

        def change(since: tuple[Floats, float]) -> float:
            return float(abs(deformation[largest] - since[0][largest]))
        if self._last is not None and change(self._last) > _STILL:
            self._before = self._last
        if self._before is None or not change(self._before) > _STILL:
            return Past()
        return Past(self._before[1], change(self._before))
