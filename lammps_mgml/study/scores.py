"""Figures 2c and 3c: what the model is worth in each condition, and what changes with strain.

All are of glasses that the model's training did not see.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..models.model import SoftnessModel
from ..progress import track
from ..report.drawing import BLUE, GREY, ORANGE, SQ
from ..report.rows import SOFT
from .cases import (
    Case,
    Score,
    auc_of,
    by_condition,
    cases_of,
    common_loads,
    mean,
    means_of,
    moments,
)
from .result import Figure
from .runs import NEAR, Run, scored

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

LEAST = 10             # plastic atoms of a loading, below which it is not compared
EARLY = 0.5            # of the strain of the labels: the other strain of 3c
TITLES = {"2c": "scores by condition", "3c": "what falls with strain"}
NAMES = {"auc": f"AUC of {SQ}", "plastic_softness": f"mean {SQ} of the plastic atoms"}


def figures(runs: Sequence[Run], model: SoftnessModel, strain: float) -> list[Figure]:
    """Figures 2c and 3c."""
    judged = [run for run in runs if not run.seen]
    groups = by_condition(judged)
    cases = {name: [case for run in of for case in cases_of(run, strain, common_loads(of))]
             for name, of in groups.items()}
    cases = {name: some for name, some in cases.items() if some}
    if not cases:
        why = (f"no glass that the model has not seen has positions and plastic atoms at strain "
               f"{strain:g}")
        return [Figure(number, title, missing=why) for number, title in TITLES.items()]
    unknown = ", ".join(run.name for run in judged if run.seen is None)
    tail = f" Model {model.name}." + (f" Whether its training saw {unknown} is not known." if unknown
                                      else "")
    return [scores_figure(cases, model, strain, tail), falls_figure(cases, model, strain, tail)]


def _defined(case: Case, model: SoftnessModel) -> tuple[Any, Any]:
    """(what the model says of a case, (n,) atoms of known D2min and softness)."""
    found = scored(case.run, model, case.loading)
    return found, case.known & found.defined


def _ratio(cases: Iterable[Case], model: SoftnessModel, value: str, among: str) -> Score:
    """Mean over atoms of ``value`` among those of ``among``: words of "plastic", "called", "all"
    and "softness"."""
    parts = []
    for case in cases:
        found, ok = _defined(case, model)
        values = {"plastic": case.plastic, "called": found.softness > SOFT,
                  "softness": found.softness, "all": ok}
        parts.append(moments(np.where(ok & values[among], values[value], np.nan),
                             case.structure.blocks(), case.run.name))
    return means_of(parts)[0]


def scores_figure(cases: dict[str, list[Case]], model: SoftnessModel, strain: float,
                  tail: str = "") -> Figure:
    """2c: AUC, recall, precision and share of plastic atoms of each condition."""
    rows: list[dict[str, Any]] = []
    for name, some in track(cases.items(), "scores", "conditions", len(cases)):
        each = [float(case.plastic.sum() / case.known.sum()) for case in some]
        row = {"condition": name, "glasses": len({case.run.name for case in some}),
               "atoms": sum({case.run.name: case.run.n for case in some}.values()),
               "loadings": len(some), "plastic": int(sum(case.plastic.sum() for case in some)),
               "share_least": min(each), "share_most": max(each)}
        for key, score in (
                ("auc", mean(auc_of(c, scored(c.run, model, c.loading).margin) for c in some)),
                ("recall", _ratio(some, model, "called", "plastic")),
                ("precision", _ratio(some, model, "plastic", "called")),
                ("share", _ratio(some, model, "plastic", "all"))):
            row |= {key: score.value, f"{key}_low95": score.low, f"{key}_high95": score.high}
        rows.append(row)
    columns = {key: [row[key] for row in rows] for key in rows[0]}

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots(1, 3, sharey=True)
        y = np.arange(len(rows))[::-1]
        for ax, key, text in zip(axes, ("auc", "recall", "share"), (
                "AUC", f"share of the plastic atoms\nwith {SQ} > {SOFT:g} (recall)",
                "share of plastic atoms")):
            bars(ax, y, columns, key, BLUE)
            ax.set_xlabel(text)
        axes[0].set_yticks(y, [name.replace(", ", "\n", 1) for name in cases])
        axes[0].set_ylim(-0.6, len(rows) - 0.4)
    return Figure(
        "2c", TITLES["2c"],
        f"AUC (mean of the loadings), recall at S^q > {SOFT:g} and share of plastic atoms at strain "
        f"{strain:g} by condition, of unseen glasses; 95 % by block bootstrap. The table has the "
        f"precision, too, and the least and largest share of a loading.{tail}",
        columns, draw, size=(7.0, 1.3 + 0.42 * len(rows)))


def bars(ax: Any, y: Any, columns: dict[str, Any], key: str, colour: str) -> None:
    """Dots with their intervals, one below the other."""
    value, low, high = (np.array(columns[f"{key}{end}"], float) for end in ("", "_low95", "_high95"))
    ax.errorbar(value, y, xerr=np.maximum(np.nan_to_num([value - low, high - value]), 0.0), fmt="o",
                ms=4, color=colour, elinewidth=1.0, capsize=2)
    ax.grid(axis="y", lw=0.3)
    ax.locator_params(axis="x", nbins=5)


def falls_figure(cases: dict[str, list[Case]], model: SoftnessModel, strain: float,
                 tail: str = "") -> Figure:
    """3c: from an earlier strain to that of the labels, on the same atoms and blocks."""
    columns: dict[str, list[Any]] = {key: [] for key in (
        "condition", "quantity", "from_strain", "to_strain", "glasses", "loadings", "plastic_from",
        "plastic_to", "from", "to", "fall", "fall_low95", "fall_high95")}
    for name, some in cases.items():
        begin = earlier(some, strain)
        pairs = [] if begin is None else [
            (first, last) for last in some for first in cases_of(
                last.run, begin, [last.loading.label])
            if min(first.plastic.sum(), last.plastic.sum()) >= LEAST]
        if not pairs:
            continue
        for quantity in NAMES:
            sides = []
            for side in zip(*pairs):
                if quantity == "auc":
                    sides.append(mean(auc_of(c, scored(c.run, model, c.loading).margin)
                                      for c in side))
                else:
                    sides.append(_ratio(side, model, "softness", "plastic"))
            fall = sides[0] - sides[1]
            firsts, lasts = zip(*pairs)
            for key, value in zip(columns, (
                    name, quantity, begin, strain, len({c.run.name for c in lasts}), len(pairs),
                    int(sum(c.plastic.sum() for c in firsts)),
                    int(sum(c.plastic.sum() for c in lasts)), sides[0].value, sides[1].value,
                    fall.value, fall.low, fall.high)):
                columns[key].append(value)
    if not columns["fall"]:
        return Figure("3c", TITLES["3c"], missing=f"no loading has {LEAST} plastic atoms at a strain "
                                                  f"around {EARLY * strain:g}, half of {strain:g}")

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots(1, 2, sharey=True)
        quantity = np.array(columns["quantity"])
        names = [n for n, q in zip(columns["condition"], quantity) if q == "auc"]
        for ax, key, colour in zip(axes, NAMES, (ORANGE, BLUE)):
            at = np.flatnonzero(quantity == key)
            some = {k: [values[i] for i in at] for k, values in columns.items()}
            bars(ax, np.arange(len(at))[::-1], some, "fall", colour)
            ax.axvline(0.0, color=GREY, lw=0.8)
            ax.set_xlabel(f"fall of {NAMES[key]}")
        axes[0].set_yticks(np.arange(len(names))[::-1],
                           [name.replace(", ", "\n", 1) for name in names])
        axes[0].set_ylim(-0.6, len(names) - 0.4)
    return Figure(
        "3c", TITLES["3c"],
        f"How much the AUC and the mean S^q of the plastic atoms fall from about half of strain "
        f"{strain:g} to {strain:g}, in the same loadings (those with {LEAST} plastic atoms at both); "
        f"95 % by bootstrap of the same blocks. Unseen glasses.{tail}", columns, draw,
        size=(6.4, 1.3 + 0.42 * (len(columns["fall"]) // 2)))


def earlier(cases: Sequence[Case], strain: float) -> float | None:
    """The strain next to half of ``strain`` that all loadings have a frame at, or None."""
    goal = EARLY * strain
    shared = [s for s in cases[0].loading.strain if 0 < s < strain - 2 * NEAR and all(
        abs(case.loading.strain[case.loading.at(s)] - s) < NEAR for case in cases)]
    return float(min(shared, key=lambda s: abs(s - goal))) if shared else None
