"""Figures 6a and 6b: what a model goes by."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..features import by_name, needs
from ..models.model import SoftnessModel
from ..progress import track
from ..report.drawing import BLUE, GREEN, ORANGE
from ..system.arrays import Features, Floats, Ints
from .cases import (
    Case,
    Score,
    by_condition,
    cases_of,
    common_loads,
    means_of,
    moments,
    of_elements,
)
from .result import Figure
from .runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

Predict = Callable[[Features], Floats]

SAMPLE = 4000          # atoms over which partial dependence is averaged
POINTS, POINTS_2D = 20, 12
MOST_PANELS = 6
ENDS = (0.01, 0.99)    # quantiles of a feature between which it is drawn
FEW = 20               # plastic atoms below which a share says little
# What the paper's Fig. 6a and 6b are about, as far as a model has it.
SHOWN = ("facet_area_std", "facet_area_std_mean_nn", "distance_dist_std", "distance_dist_std_mean_nn",
         "distance_voro_std", "distance_voro_min")
PLANE = ("facet_area_std", "distance_dist_std")
MOTIFS = ("motif_ico", "motif_z16", "motif_polytetrahedral")
MOTIF_NAMES = {"motif_ico": "icosahedra", "motif_z16": "Z16",
               "motif_polytetrahedral": "polytetrahedral (2 n4 + n5 = 12)"}


# Partial dependence ------------------------------------------------------------------------------

def partial_dependence(predict: Predict, features: Features, column: int, grid: Floats) -> Floats:
    """(len(grid),) mean of ``predict`` over the rows, with one column set to each value of ``grid``.

    After Friedman, Ann. Statist. 29, 1189 (2001).
    """
    rows, out = np.array(features, dtype=np.float64), np.empty(len(grid))
    for k, value in enumerate(grid):
        rows[:, column] = value
        out[k] = predict(rows).mean()
    return out


def partial_dependence_2(predict: Predict, features: Features, columns: tuple[int, int],
                         grids: tuple[Floats, Floats]) -> Floats:
    """(len(first grid), len(second grid)) the same with two columns set."""
    rows = np.array(features, dtype=np.float64)
    out = np.empty((len(grids[0]), len(grids[1])))
    for k, value in enumerate(grids[0]):
        rows[:, columns[0]] = value
        out[k] = partial_dependence(predict, rows, columns[1], grids[1])
    return out


def observed_share(values: Sequence[Floats], cases: Sequence[Case],
                   edges: Floats) -> tuple[Ints, list[Score]]:
    """(atoms, share of plastic ones) in each bin of a feature.

    values : (n,) of the feature, for each case.  edges : (k + 1,), the last one inclusive.
    """
    bins, found = len(edges) - 1, []
    for v, case in zip(values, cases):
        place = np.where(v == edges[-1], bins - 1, np.searchsorted(edges, v, "right") - 1)
        found.append(moments(np.where(case.known, case.plastic, np.nan), case.structure.blocks(),
                             case.run.name, np.where(np.isnan(v), -1, place), bins))
    return np.sum([m[0, :, 0] for m in found], axis=0).astype(int), means_of(found)


@dataclass(frozen=True, eq=False)
class Chosen:
    """The glasses that show what a model goes by: all of one condition.

    cases : their loadings.  judged : whether the model has not seen any of them.
    """

    condition: str
    runs: tuple[Run, ...]
    cases: tuple[Case, ...] = field(repr=False)
    judged: bool

    @property
    def text(self) -> str:
        seen = "unseen by the model" if self.judged else "some of them seen by the model"
        loads = dict.fromkeys(case.loading.label for case in self.cases)
        atoms = sum(run.n for run in self.runs)
        return (f"{self.condition}: {names_of(self.runs)} ({atoms} atoms, {seen}; "
                f"{', '.join(loads)})")


def names_of(runs: Sequence[Run]) -> str:
    return ", ".join(run.name for run in runs)


def chosen(runs: Sequence[Run], strain: float) -> Chosen | None:
    """The condition with the most loadings of unseen glasses; of seen ones, if all are."""
    for judged in (True, False):
        found = []
        for name, of in by_condition([r for r in runs if not judged or r.seen is False]).items():
            labels = common_loads(of)
            cases = [case for run in of for case in cases_of(run, strain, labels)]
            found.append(Chosen(name, tuple(of), tuple(cases), judged))
        best = max(found, key=lambda one: len(one.cases), default=None)
        if best is not None and best.cases:
            return best
    return None


def model_features(run: Run, model: SoftnessModel, load: str | None) -> Features:
    """(n, n_features) of a run's structure as the model takes them."""
    assert run.structure is not None
    return of_elements(run.structure, model.elements).features(
        model.features, load, parameters=model.parameters)


def sampled(features: Sequence[Features], n: int = SAMPLE) -> Floats:
    """``n`` rows of all, the same ones each time, without those that hold NaN."""
    rows = np.concatenate(features).astype(np.float64)
    rows = rows[~np.isnan(rows).any(axis=1)]
    if len(rows) > n:
        rows = rows[np.sort(np.random.default_rng(0).choice(len(rows), n, replace=False))]
    return rows


def shown_features(model: SoftnessModel, rows: Floats) -> tuple[str, ...]:
    """Features to draw: those of the paper's figure; of a model without them those that its
    probability varies with most, by partial dependence."""
    names = [name for name in SHOWN if name in model.features]
    if len(names) >= 2:
        return tuple(names)
    few = rows[:SAMPLE // 10]
    # element_type is a label: nothing lies between its values
    numbers = [k for k, name in enumerate(model.features) if name != "element_type"]
    span = []
    for k in numbers:
        grid = np.unique(np.quantile(rows[:, k], np.linspace(*ENDS, 5)))
        span.append(np.ptp(partial_dependence(_probability(model), few, k, grid)))
    order = np.argsort(-np.array(span), kind="stable")
    return tuple(model.features[numbers[k]] for k in order[:MOST_PANELS])


def _probability(model: SoftnessModel) -> Predict:
    return lambda rows: model.probability(model.softness(rows))


def dependence_figures(runs: Sequence[Run], model: SoftnessModel, strain: float) -> list[Figure]:
    """Figures 6a-1d and 6a-2d."""
    titles = ("partial dependence, one feature", "partial dependence, two features")
    some = chosen(runs, strain)
    if some is None:
        why = f"no run has positions and plastic atoms at strain {strain:g}"
        return [Figure(n, t, missing=why) for n, t in zip(("6a-1d", "6a-2d"), titles)]
    loads = {case.loading.load for case in some.cases}
    load = None
    if "load" in needs(model.features, model.elements):
        load = sorted(loads)[0]
        some = Chosen(some.condition, some.runs,
                      tuple(c for c in some.cases if c.loading.load == load), some.judged)
    matrices = {run.name: model_features(run, model, load).astype(np.float64, copy=False)
                for run in some.runs}
    rows = sampled(list(matrices.values()))
    names = shown_features(model, rows)
    return [_one(some, model, matrices, rows, names, titles[0], strain),
            _two(some, model, matrices, rows, names, titles[1], strain)]


def _grid(values: Floats, points: int) -> Floats:
    low, high = np.quantile(values, ENDS)
    return np.linspace(low, high, points)


def _one(some: Chosen, model: SoftnessModel, matrices: dict[str, Floats], rows: Floats,
         names: Sequence[str], title: str, strain: float) -> Figure:
    columns: dict[str, list[Any]] = {key: [] for key in (
        "feature", "value", "probability", "softness", "low_edge", "high_edge", "atoms", "share",
        "share_low95", "share_high95")}
    for name in track(names, "partial dependence", "features"):
        k = model.features.index(name)
        grid = _grid(rows[:, k], POINTS)
        middle = (grid[1:] + grid[:-1]) / 2
        probability = partial_dependence(_probability(model), rows, k, middle)
        softness = partial_dependence(model.softness, rows, k, middle)
        atoms, shares = observed_share([matrices[c.run.name][:, k] for c in some.cases], some.cases,
                                       grid)
        for row in zip(middle, probability, softness, grid, grid[1:], atoms, shares):
            *numbers, share = row
            for key, value in zip(columns, (name, *map(float, numbers), share.value, share.low,
                                            share.high)):
                columns[key].append(value)
    units = {f.name: f.units for f in by_name(model.elements).values()}

    def draw(canvas: Canvas) -> None:
        across = 3 if len(names) > 4 else 2
        down = -(-len(names) // across)
        axes = canvas.subplots(down, across, sharey=True, squeeze=False)
        of = np.array(columns["feature"])
        for n, (name, ax) in enumerate(zip(names, axes.flat)):
            at = of == name
            value, p, share, low, high, atoms = (
                np.array(columns[key], float)[at] for key in (
                    "value", "probability", "share", "share_low95", "share_high95", "atoms"))
            enough = atoms * np.nan_to_num(share) >= FEW
            ax.errorbar(value[enough], share[enough], np.maximum(
                [share[enough] - low[enough], high[enough] - share[enough]], 0.0), fmt="o", ms=2.5,
                color=ORANGE, elinewidth=0.8, label="observed share")
            ax.plot(value, p, color=BLUE, label="partial dependence")
            ax.set_xlabel(f"{name}\n({units[name]})" if units[name] else name)
            ax.locator_params(axis="x", nbins=5)
            if n % across == 0:
                ax.set_ylabel("P(plastic)")
        for ax in axes.flat[len(names):]:
            ax.set_axis_off()
        axes.flat[0].legend(loc="best")
        axes.flat[0].set_ylim(bottom=0.0)
    down = -(-len(names) // (3 if len(names) > 4 else 2))
    return Figure(
        "6a-1d", title,
        f"Line: probability of model {model.name} (at the natural share of plastic atoms), averaged "
        f"over {len(rows)} atoms with one feature set to each value. Dots: share of the atoms found "
        f"plastic at strain {strain:g} in each bin with {FEW} plastic ones or more, 95 % by block "
        f"bootstrap. The dots hold what goes along with the feature, the line does not. {some.text}.",
        columns, draw, size=(7.2 if len(names) > 4 else 5.0, 2.3 * down))


def _two(some: Chosen, model: SoftnessModel, matrices: dict[str, Floats], rows: Floats,
         names: Sequence[str], title: str, strain: float) -> Figure:
    pair = tuple(n for n in PLANE if n in model.features)
    pair = pair if len(pair) == 2 else tuple(names[:2])
    if len(pair) < 2:
        return Figure("6a-2d", title, missing=f"model {model.name} has one feature")
    at = model.features.index(pair[0]), model.features.index(pair[1])
    edges = _grid(rows[:, at[0]], POINTS_2D + 1), _grid(rows[:, at[1]], POINTS_2D + 1)
    middle = [(e[1:] + e[:-1]) / 2 for e in edges]
    p = partial_dependence_2(_probability(model), rows, at, (middle[0], middle[1]))
    all_atoms = np.zeros(p.shape)
    plastic = np.zeros(p.shape)
    for case in some.cases:
        x = matrices[case.run.name][case.known][:, at]
        all_atoms += np.histogram2d(x[:, 0], x[:, 1], bins=edges)[0]
        x = x[case.plastic[case.known]]
        plastic += np.histogram2d(x[:, 0], x[:, 1], bins=edges)[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = plastic / all_atoms
    first, second = np.meshgrid(*middle, indexing="ij")
    columns = {pair[0]: first.ravel(), pair[1]: second.ravel(), "probability": p.ravel(),
               "atoms": all_atoms.ravel(), "plastic": plastic.ravel(), "share": share.ravel()}

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots(1, 2, sharey=True)
        shown = np.where(all_atoms * np.nanmean(share) >= 5, share, np.nan)
        top = float(np.nanmax([p.max(), np.nanquantile(shown, 0.98)]))
        for ax, values, text in zip(axes, (p, shown), ("partial dependence", "observed share")):
            drawn = ax.pcolormesh(*edges, np.ma.masked_invalid(values).T, cmap="viridis", vmin=0.0,
                                  vmax=top)
            ax.set_title(text)
            ax.set_xlabel(pair[0])
        axes[0].set_ylabel(pair[1])
        canvas.colorbar(drawn, ax=list(axes), label="P(plastic)", extend="max")
    return Figure(
        "6a-2d", title,
        f"Left: probability of model {model.name}, averaged over {len(rows)} atoms with both "
        f"features set. Right: share of the atoms found plastic at strain {strain:g}, where there "
        f"are enough to tell. {some.text}.", columns, draw, size=(6.4, 2.9))


# Motifs ------------------------------------------------------------------------------------------

def motif_figure(runs: Sequence[Run], strain: float) -> Figure:
    """6b: where the characteristic cells lie in the plane of two features, how often they slip."""
    title, some = "characteristic cells", chosen(runs, strain)
    if some is None:
        return Figure("6b", title,
                      missing=f"no run has positions and plastic atoms at strain {strain:g}")
    names = (*PLANE, *MOTIFS)
    tables = {run.name: run.structure.features(names) for run in some.runs if run.structure}
    everything = np.concatenate(list(tables.values()))
    everything = everything[~np.isnan(everything).any(axis=1)]
    is_motif = {m: everything[:, 2 + k] > 0 for k, m in enumerate(MOTIFS)}
    groups = {"all atoms": np.ones(len(everything), bool), **is_motif,
              "none of these": ~np.any(list(is_motif.values()), axis=0)}
    columns: dict[str, list[Any]] = {"cells": [], "atoms": []}
    quantiles = {f"{x}_q{q}": (k, q) for k, x in enumerate(PLANE) for q in (25, 50, 75)}
    columns |= {key: [] for key in (*quantiles, "share", "share_low95", "share_high95")}
    for group, inside in groups.items():
        columns["cells"].append(group)
        columns["atoms"].append(int(inside.sum()))
        for key, (k, q) in quantiles.items():
            columns[key].append(float(np.percentile(everything[inside, k], q))
                                if inside.any() else float("nan"))
        parts = []
        for case in some.cases:
            x = tables[case.run.name]
            if group in MOTIFS:
                among = x[:, names.index(group)] > 0
            else:
                among = np.logical_not(np.isnan(x).any(axis=1))
                if group != "all atoms":
                    among &= ~(x[:, 2:] > 0).any(axis=1)
            parts.append(moments(np.where(among & case.known, case.plastic, np.nan),
                                 case.structure.blocks(), case.run.name))
        share, = means_of(parts)
        for key, value in zip(("share", "share_low95", "share_high95"),
                              (share.value, share.low, share.high)):
            columns[key].append(value)
    columns |= {"condition": [some.condition] * len(groups),
                "judged_on": [names_of(some.runs)] * len(groups)}

    def draw(canvas: Canvas) -> None:
        left, right = canvas.subplots(1, 2, width_ratios=(1.5, 1.0))
        limits = [np.quantile(everything[:, k], ENDS) for k in (0, 1)]
        left.hist2d(*everything[:, :2].T, bins=60, range=limits, cmap="Greys")
        for (motif, inside), colour in zip(is_motif.items(), (BLUE, GREEN, ORANGE)):
            if inside.any():
                q = np.percentile(everything[inside, :2], (25, 50, 75), axis=0)
                left.errorbar(*[[v] for v in q[1]], xerr=[[q[1, 0] - q[0, 0]], [q[2, 0] - q[1, 0]]],
                              yerr=[[q[1, 1] - q[0, 1]], [q[2, 1] - q[1, 1]]], fmt="o", ms=5,
                              color=colour, label=MOTIF_NAMES[motif], capsize=2)
        left.set_xlabel(f"{PLANE[0]} (mean facet area)")
        left.set_ylabel(f"{PLANE[1]} (mean distance)")
        left.legend(loc="upper left")
        y = np.arange(len(groups))[::-1]
        share, low, high = (np.array(columns[key], float)
                            for key in ("share", "share_low95", "share_high95"))
        right.errorbar(share, y, xerr=np.maximum([share - low, high - share], 0.0), fmt="o", ms=4,
                       color="black", elinewidth=1.0, capsize=2)
        right.set_yticks(y, [MOTIF_NAMES.get(g, g).split(" (")[0] for g in groups])
        right.set_xlim(left=0.0)
        right.set_ylim(-0.6, len(groups) - 0.4)
        right.set_xlabel(f"share plastic at strain {strain:g}")
    return Figure(
        "6b", title,
        f"Left: all atoms by two features (grey), and medians and quartiles of the characteristic "
        f"cells. Right: share of each found plastic, 95 % by block bootstrap. {some.text}.",
        columns, draw, size=(7.0, 3.2))


def figures(runs: Sequence[Run], model: SoftnessModel, strain: float) -> list[Figure]:
    """Figures 6a-1d, 6a-2d and 6b."""
    return [*dependence_figures(runs, model, strain), motif_figure(runs, strain)]
