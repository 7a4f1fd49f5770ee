"""Figures 6c, each of the paper's 28 feature sets by itself, and t3, the features left of 746."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..features import PAPER, TABLE3, by_name, resolve
from ..progress import track
from ..report.drawing import BLUE, GREEN, GREY, ORANGE
from ..train.dataset import Loading as Labelled
from ..train.recipes import LEFT, importance_of, reduce
from .cases import Score, auc_of, by_condition, cases_of, common_loads, features_of, make, mean
from .explain import names_of
from .result import Figure
from .runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

MOST_ATOMS = 200_000   # that all 746 features are held of: 0.6 GB
PAPER_LOAD = "z-compression"
FACETS = "facet_area_stats"                # the best set of the paper


@dataclass(frozen=True, eq=False)
class Alone:
    """Scores of each feature set by itself.

    training, unseen : runs.  scores : {set: mean AUC over the loadings of the unseen ones}.
    """

    condition: str
    training: tuple[Run, ...]
    unseen: tuple[Run, ...]
    labels: tuple[str, ...]
    scores: dict[str, Score] = field(repr=False)
    sizes: dict[str, int] = field(repr=False)
    plastic: int

    def over(self, name: str) -> str:
        """The SRO set of which an MRO set is made, "" if it is of several."""
        for tail in ("_stats_nn", "_coarse"):
            if name.endswith(tail) and name.removesuffix(tail) in self.scores:
                return name.removesuffix(tail)
        return ""

    @property
    def text(self) -> str:
        return (f"{self.condition}: made of {names_of(self.training)}, judged on "
                f"{names_of(self.unseen)} ({', '.join(self.labels)})")


def halves(runs: Sequence[Run], strain: float) -> tuple[list[Run], list[Run], tuple[str, ...]] | None:
    """(runs to train on, unseen ones, labels of loadings) of the condition with the most glasses.

    Those that the study's model has seen come first, so that the rest are unseen by all models.
    """
    best: tuple[list[Run], tuple[str, ...]] | None = None
    for of in by_condition(runs).values():
        labels = common_loads(of)
        some = [run for run in of if len(cases_of(run, strain, labels)) > 0]
        if len(some) > 1 and (best is None or len(some) > len(best[0])):
            best = some, labels
    if best is None:
        return None
    glasses, labels = sorted(best[0], key=lambda run: run.seen is False), best[1]
    kept: list[Run] = []
    for run in glasses:
        if sum(r.n for r in kept) + run.n <= MOST_ATOMS:
            kept.append(run)
    if len(kept) < 2:
        return None
    half = len(kept) // 2
    return kept[:half], kept[half:], labels


def sets_alone(runs: Sequence[Run], strain: float) -> Alone | None:
    """A model of the paper's learner for each of its 28 sets; None without two glasses alike."""
    found = halves(runs, strain)
    if found is None:
        return None
    training, unseen, labels = found
    elements = training[0].elements
    everything = np.array(resolve("all", elements))
    cases = [case for run in training for case in cases_of(run, strain, labels)]
    tests = [case for run in unseen for case in cases_of(run, strain, labels)]
    scores, sizes = {}, {}
    for name in track(PAPER, "each set alone", "sets"):
        names = resolve(name, elements)
        columns = np.flatnonzero(np.isin(everything, names))
        model = make(cases, names, columns)
        margins = {run.name: model.margins(features_of(run.structure, names, columns))
                   for run in unseen if run.structure is not None}
        scores[name] = mean(auc_of(case, margins[case.run.name]) for case in tests)
        sizes[name] = len(names)
    return Alone(training[0].condition, tuple(training), tuple(unseen), labels, scores, sizes,
                 int(sum(case.plastic.sum() for case in tests)))


def sets_figure(alone: Alone | None, strain: float, elements: Sequence[str]) -> Figure:
    """6c: AUC of each of the 28 sets by itself."""
    title = "each feature set alone"
    if alone is None:
        return Figure("6c", title, missing="needs two glasses or more of one condition, of "
                      f"{MOST_ATOMS // 2} atoms at most, with plastic atoms at strain {strain:g}")
    known = by_name(elements)
    order = {name: known[resolve(name, elements)[0]].order for name in alone.scores}
    columns: dict[str, list[Any]] = {key: [] for key in (
        "set", "order", "features", "auc", "auc_low95", "auc_high95", "of", "above_it",
        "above_it_low95", "above_it_high95", "below_facets", "below_facets_low95",
        "below_facets_high95")}
    nothing = Score(float("nan"), np.full(1, np.nan))
    for name, score in alone.scores.items():
        base = alone.over(name)
        above = score - alone.scores[base] if base else nothing
        below = alone.scores[FACETS] - score
        for key, value in zip(columns, (
                name, order[name], alone.sizes[name], score.value, score.low, score.high, base,
                above.value, above.low, above.high, below.value, below.low, below.high)):
            columns[key].append(value)
    constant = {"condition": alone.condition, "trained_on": names_of(alone.training),
                "judged_on": names_of(alone.unseen), "plastic": alone.plastic}
    columns |= {key: [value] * len(alone.scores) for key, value in constant.items()}

    def draw(canvas: Canvas) -> None:
        ax = canvas.add_subplot()
        sro = [name for name in alone.scores if order[name] == "SRO"]
        sro.sort(key=lambda name: alone.scores[name].value)
        rows = [(name, [m for m in alone.scores if alone.over(m) == name]) for name in sro]
        free = [name for name in alone.scores if order[name] == "MRO" and not alone.over(name)]
        rows = [(name, [name]) for name in sorted(
            free, key=lambda name: alone.scores[name].value)] + rows
        labels = []
        for y, (name, over) in enumerate(rows):
            labels.append(name.replace("_", " "))
            dots = [(name, BLUE)] if order[name] == "SRO" else []
            dots += [(m, GREEN if m.endswith("_coarse") else ORANGE) for m in over]
            for k, (one, colour) in enumerate(dots):
                s = alone.scores[one]
                ax.errorbar(s.value, y + 0.22 * (k - (len(dots) - 1) / 2), fmt="o", ms=3.5,
                            xerr=[[max(s.value - s.low, 0.0)], [max(s.high - s.value, 0.0)]],
                            color=colour, elinewidth=0.9)
        for colour, text in ((BLUE, "SRO"), (ORANGE, "MRO"), (GREEN, "MRO, coarse-grained")):
            ax.plot([], [], "o", ms=3.5, color=colour, label=text)
        ax.set_yticks(range(len(rows)), labels)
        ax.set_ylim(-0.6, len(rows) - 0.4)
        ax.axhline(len(free) - 0.5, color=GREY, lw=0.6)
        ax.grid(axis="y", lw=0.3)
        ax.set_xlabel("AUC")
        canvas.legend(loc="outside upper center", ncols=3)
    return Figure(
        "6c", title,
        f"AUC of models on each of the paper's 28 sets by itself, by the paper's learner, strain "
        f"{strain:g}; {alone.plastic} plastic atoms. An MRO set stands beside the SRO set of which "
        f"it is made. Bars: 95 % by block bootstrap; in the table also the differences from that set "
        f"and from {FACETS}, of the same blocks. {alone.text}.", columns, draw, size=(5.4, 4.6))


# Which 13 are left -------------------------------------------------------------------------------

def selection_figure(runs: Sequence[Run], strain: float) -> Figure:
    """t3: the paper's reduction of 746 features to 13, on the training half of 6c's glasses."""
    title, found = "features that are left of 746", halves(runs, strain)
    if found is None or len(found[0]) < 2:
        return Figure("t3", title, missing="needs four glasses or more of one condition: two to "
                      "train on, each left out in turn")
    training, _, labels = found
    labels = (PAPER_LOAD,) if PAPER_LOAD in labels else labels      # of one load, it takes a minute
    if tuple(training[0].elements) != ("Cu", "Zr"):
        return Figure("t3", title, missing="the paper's recipe is of glasses of Cu and Zr")
    loadings = [Labelled(case.structure, case.loading.load,
                         {strain: case.loading.d2min[case.loading.at(strain)].astype(np.float64)})
                for run in training for case in cases_of(run, strain, labels)]
    names, steps = reduce(loadings, strain, lambda line: None)
    gain = importance_of(loadings, strain, names)
    paper = [TABLE3.index(n) + 1 if n in TABLE3 else float("nan") for n in names]
    columns: dict[str, Any] = {
        "rank": np.arange(1, len(names) + 1), "feature": list(names), "gain": gain,
        "rank_in_paper": paper, "condition": [training[0].condition] * len(names),
        "trained_on": [names_of(training)] * len(names),
        **{key.replace(" ", "_"): [value] * len(names) for key, value in steps.items()}}

    def draw(canvas: Canvas) -> None:
        ax = canvas.add_subplot()
        y = np.arange(len(names))[::-1]
        ax.barh(y, gain, color=[BLUE if n in TABLE3 else GREY for n in names], height=0.65)
        ax.set_yticks(y, [f"{n} ({TABLE3.index(n) + 1})" if n in TABLE3 else n for n in names])
        ax.set_xlabel("share of the gain")
    told = ", ".join(f"{key}: {value:.3f}" if isinstance(value, float) else f"{key}: {value}"
                     for key, value in steps.items())
    return Figure(
        "t3", title,
        f"The {LEFT} features that the paper's recipe leaves, by their share of the gain in boosted "
        f"trees; blue: in the paper's Table 3, with their rank there. {told} (AUC out of fold, equal "
        f"draws). {training[0].condition}: {names_of(training)} ({', '.join(labels)}), strain "
        f"{strain:g}.", columns, draw, size=(5.4, 3.0))


def figures(runs: Sequence[Run], strain: float) -> list[Figure]:
    """Figures 6c and t3."""
    elements = runs[0].elements if runs else ("Cu", "Zr")
    return [sets_figure(sets_alone(runs, strain), strain, elements), selection_figure(runs, strain)]
