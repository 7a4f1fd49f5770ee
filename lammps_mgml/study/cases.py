"""Loadings of runs at one strain: what models are made of, and judged on, within a study.

Models that a study makes itself are the paper's: its learner, its 13 features of Table 3.  They are
never judged on a glass that they were made of, and differences are of the same resampled blocks.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from zlib import crc32

import numpy as np

from ..features import TABLE3, by_name
from ..models.calibration import Calibration
from ..system.arrays import Bools, Features, Floats, Ints
from ..train.dataset import Structure
from ..train.evaluate import auc, drawn_blocks, resampled_auc
from ..train.fit import calibrated
from ..train.recipes import paper_learner
from .runs import NEAR, Loading, Run, plastic

RESAMPLINGS = 300
OTHERS = 6             # atoms kept in training for each plastic one


@dataclass(frozen=True, eq=False)
class Case:
    """A loading at one strain.  plastic, known : (n,) bool; known: whether D2min is."""

    run: Run
    loading: Loading
    plastic: Bools = field(repr=False)
    known: Bools = field(repr=False)

    @property
    def structure(self) -> Structure:
        assert self.run.structure is not None      # by ``cases_of``
        return self.run.structure


def cases_of(run: Run, strain: float, labels: Iterable[str] | None = None) -> list[Case]:
    """Case of each loading (of those named ``labels``) with a frame at ``strain`` and both classes.

    None of a run without positions.
    """
    out = []
    for loading in run.loadings if run.structure is not None else ():
        if labels is None or loading.label in labels:
            frame = loading.at(strain)
            slipped, known = plastic(loading, frame), ~np.isnan(loading.d2min[frame])
            if abs(loading.strain[frame] - strain) < NEAR and 0 < slipped.sum() < known.sum():
                out.append(Case(run, loading, slipped, known))
    return out


def common_loads(runs: Sequence[Run]) -> tuple[str, ...]:
    """Labels of the loadings that all runs have: of the compressions among them, if there are any.

    The paper compresses, and what slips in tension is told by other features.
    """
    sets = [dict.fromkeys(x.label for x in run.loadings) for run in runs]
    labels = [x for x in sets[0] if all(x in one for one in sets)] if sets else []
    return tuple([x for x in labels if x.endswith("-compression")] or labels)


def by_condition(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """{condition: its runs with positions}, both in the order given."""
    out: dict[str, list[Run]] = {}
    for run in runs:
        if run.structure is not None:
            out.setdefault(run.condition, []).append(run)
    return out


def table3(runs: Iterable[Run]) -> tuple[str, ...]:
    """The features of the paper's Table 3 that there are for the elements of all runs."""
    known = [by_name(elements) for elements in {run.elements for run in runs}]
    return tuple(name for name in TABLE3 if all(name in one for one in known))


# Models that the study makes ---------------------------------------------------------------------

@dataclass(frozen=True, eq=False)
class Made:
    """A model of the paper's learner.  glasses : names of those it was made of."""

    glasses: tuple[str, ...]
    names: tuple[str, ...]
    booster: Any = field(repr=False)

    def margins(self, features: Features) -> Floats:
        """(n,) of features (n, n_names); NaN where one is NaN."""
        out = np.full(len(features), np.nan)
        defined = ~np.isnan(features).any(axis=1)
        if defined.any():
            out[defined] = paper_learner(len(self.names)).margins(self.booster, features[defined])
        return out


def make(cases: Sequence[Case], names: Sequence[str], columns: Ints | None = None) -> Made:
    """Model made of the atoms of ``cases``, both classes equal.

    Of the atoms that are not plastic each tree draws as many as there are plastic ones, out of
    ``OTHERS`` times as many, the same ones each time: more of them take time.  What they would change
    was not measured.

    columns : of the features ``all`` (float32) in place of ``names`` computed by themselves.
    """
    parts, labels = [], []
    for case in cases:
        x = features_of(case.structure, names, columns)
        ok = case.known & ~np.isnan(x).any(axis=1)
        rows, others = np.flatnonzero(ok & case.plastic), np.flatnonzero(ok & ~case.plastic)
        if len(others) > OTHERS * len(rows):
            chosen = np.random.default_rng(seed_of(case.run.name))
            others = chosen.choice(others, OTHERS * len(rows), replace=False)
        rows = np.sort(np.concatenate([rows, others]))
        parts.append(x[rows])
        labels.append(case.plastic[rows])
    booster = paper_learner(len(names)).fit(np.concatenate(parts), np.concatenate(labels))
    return Made(tuple(dict.fromkeys(case.run.name for case in cases)), tuple(names), booster)


def features_of(structure: Structure, names: Sequence[str], columns: Ints | None = None) -> Features:
    """(n, len(names)) features; see ``make``."""
    if columns is None:
        return structure.features(names)
    return structure.features("all", dtype=np.float32)[:, columns]


def calibration_of(cases: Sequence[Case], margins: Sequence[Floats]) -> Calibration:
    """Of margins (n,) for each case, from models that have not seen its glass."""
    known = [case.known & ~np.isnan(m) for case, m in zip(cases, margins)]
    labels = np.concatenate([case.plastic[ok] for case, ok in zip(cases, known)])
    return calibrated(np.concatenate([m[ok] for m, ok in zip(margins, known)]), labels)


def of_elements(structure: Structure, elements: Sequence[str]) -> Structure:
    """The structure with types 1, 2, ... for ``elements``, which hold its own."""
    if structure.elements == tuple(elements):
        return structure
    number = np.array([0, *(elements.index(e) + 1 for e in structure.elements)], np.int32)
    return replace(structure, elements=tuple(elements), types=number[structure.types])


# AUCs of the same resampled blocks ---------------------------------------------------------------

@dataclass(frozen=True, eq=False)
class Score:
    """A number with its resamplings.  again : (RESAMPLINGS,), the same blocks for the same glass."""

    value: float
    again: Floats = field(repr=False)

    @property
    def low(self) -> float:
        return self._quantile(0.025)

    @property
    def high(self) -> float:
        return self._quantile(0.975)

    def _quantile(self, q: float) -> float:
        known = self.again[~np.isnan(self.again)]
        return float(np.quantile(known, q)) if len(known) else float("nan")

    def __sub__(self, other: Score) -> Score:
        return Score(self.value - other.value, self.again - other.again)

    def __truediv__(self, other: Score) -> Score:
        return Score(self.value / other.value, self.again / other.again)


def mean(scores: Iterable[Score]) -> Score:
    """Mean of some, resampling by resampling."""
    scores = list(scores)
    return Score(float(np.mean([s.value for s in scores])),
                 np.mean([s.again for s in scores], axis=0))


def seed_of(name: str) -> int:
    """The number from which the blocks of a glass are drawn: the same in all figures."""
    return crc32(name.encode())


def auc_of(case: Case, margins: Floats) -> Score:
    """AUC of margins (n,) on one case, by block bootstrap."""
    ok = case.known & ~np.isnan(margins)
    labels, scores, blocks = case.plastic[ok], margins[ok], case.structure.blocks()[ok]
    return Score(auc(labels, scores),
                 resampled_auc(labels, scores, blocks, RESAMPLINGS, seed_of(case.run.name)))


def moments(values: Floats, blocks: Ints, name: str, place: Ints | None = None,
            bins: int = 1) -> Floats:
    """(RESAMPLINGS + 1, bins, 3) number, sum and sum of squares of values (n,) in each bin: of all
    atoms, then of each resampling of the blocks of glass ``name``.

    place : (n,) bin of each atom; those of no bin are left out, as are NaN.
    """
    place = np.zeros(len(values), int) if place is None else place
    ok = ~np.isnan(values) & (place >= 0) & (place < bins)
    draws, column = drawn_blocks(blocks, RESAMPLINGS, seed_of(name))
    draws = np.vstack([np.ones(draws.shape[1], draws.dtype), draws])
    cell, n_cells = column[ok] * bins + place[ok], draws.shape[1] * bins
    return np.stack([draws @ np.bincount(cell, values[ok] ** power, n_cells).reshape(-1, bins)
                     for power in (0, 1, 2)], axis=-1)


def means_of(of_cases: Iterable[Floats]) -> list[Score]:
    """Mean in each bin, over the atoms of all cases, from their ``moments``; NaN without atoms."""
    n, total, _ = np.moveaxis(np.sum(list(of_cases), axis=0), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = total / n
    return [Score(float(column[0]), column[1:]) for column in found.T]


def spread_of(of_cases: Iterable[Floats]) -> Score:
    """Standard deviation over the atoms of all cases, from their ``moments`` in one bin."""
    n, total, square = np.sum(list(of_cases), axis=0)[:, 0].T
    spread = np.sqrt(np.maximum(square / n - (total / n) ** 2, 0.0))
    return Score(float(spread[0]), spread[1:])
