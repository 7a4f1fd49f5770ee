"""Figure 5, whether a model of one kind of glass tells what slips in another; and 4c, what each kind
of glass gives with models of its own."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..progress import track
from ..report.drawing import BLUE, GREEN, GREY, ORANGE, SQ
from .cases import (
    Case,
    Made,
    Score,
    auc_of,
    by_condition,
    calibration_of,
    cases_of,
    common_loads,
    features_of,
    make,
    mean,
    moments,
    spread_of,
    table3,
)
from .result import Figure
from .runs import Run
from .scores import bars

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

    from ..system.arrays import Floats

TRAINED_ON = 2         # glasses of a model, as in the paper
SPLITS = 4             # models of a condition, at most
ALIKE = 3              # glasses of each condition, at most, where conditions are compared
SHARE = 0.95           # of the score of the same condition: the paper's claim
# Kinds of pairs, in the order of the paper's Fig. 5
SAME, QUENCH, COMPOSITION, BOTH = "same", "other quench", "other composition", "both"
KINDS = (SAME, QUENCH, COMPOSITION, BOTH)


@dataclass(frozen=True, eq=False)
class Condition:
    """Glasses of one composition, quenched alike, two or more.  cases : {glass: its loadings}."""

    name: str
    composition: str
    rate: float | None
    cases: Mapping[str, list[Case]] = field(repr=False)

    @property
    def glasses(self) -> tuple[str, ...]:
        return tuple(self.cases)

    @property
    def quench(self) -> str:
        return self.name.removeprefix(self.composition)

    @property
    def splits(self) -> list[tuple[tuple[str, ...], str]]:
        return splits(self.glasses)

    @property
    def runs(self) -> list[Run]:
        return [cases[0].run for cases in self.cases.values()]

    def of(self, glasses: Iterable[str]) -> list[Case]:
        return [case for glass in glasses for case in self.cases[glass]]


def splits(glasses: Sequence[str], most: int = SPLITS) -> list[tuple[tuple[str, ...], str]]:
    """(glasses to train on, unseen glass) of a condition's models.

    Two to train and one to test, as in the paper; of two glasses one to train and the other to test.
    At most ``most``, spread evenly over the glasses taken as a ring.
    """
    n = len(glasses)
    size = min(TRAINED_ON, n - 1)
    if size < 1:
        return []
    starts = np.linspace(0, n, min(n, most), endpoint=False).astype(int)
    return [(tuple(glasses[(k + i) % n] for i in range(size)), glasses[(k + size) % n])
            for k in starts]


def kind_of(one: Condition, other: Condition) -> str:
    """Of a pair: in what they differ."""
    if one.composition == other.composition:
        return SAME if one.quench == other.quench else QUENCH
    return COMPOSITION if one.quench == other.quench else BOTH


def conditions_of(runs: Sequence[Run], strain: float) -> tuple[list[Condition], tuple[str, ...]]:
    """(conditions of two glasses or more, labels of the loadings that are taken of all)."""
    groups = {name: of for name, of in by_condition(runs).items() if len(of) > 1}
    labels = common_loads([run for of in groups.values() for run in of])
    out = []
    for name, of in groups.items():
        cases = {run.name: cases_of(run, strain, labels) for run in of}
        cases = {glass: some for glass, some in cases.items() if some}
        if len(cases) > 1:
            out.append(Condition(name, of[0].composition, of[0].rate, cases))
    return out, labels


# Transfer ----------------------------------------------------------------------------------------

@dataclass(frozen=True, eq=False)
class Transfer:
    """scores : {(glasses of the model, glass): AUC}."""

    conditions: tuple[Condition, ...]
    scores: Mapping[tuple[tuple[str, ...], str], Score] = field(repr=False)

    def own(self, condition: Condition) -> Score:
        """Of a condition's models, each on its unseen glass."""
        return mean(self.scores[split] for split in condition.splits)

    def singles(self, one: Condition, other: Condition) -> list[tuple[tuple[str, ...], str, str]]:
        """(glasses of the model, glass, kind) of each model of ``one`` on each test glass of
        ``other``, but for glasses that it has seen and, of the same condition, its own test glass."""
        return [(trained, glass, kind_of(one, other)) for trained, own in one.splits
                for home, glass in other.splits
                if glass not in trained and not (one is other and trained == home)]

    def ratio(self, trained: tuple[str, ...], glass: str, other: Condition) -> float:
        """AUC of a model on a glass over that of the glass's own model."""
        home = next(train for train, test in other.splits if test == glass)
        return self.scores[trained, glass].value / self.scores[home, glass].value


def transfer(conditions: Sequence[Condition]) -> Transfer:
    """Models of each condition, and their scores on the test glasses of all."""
    names = table3(run for one in conditions for run in one.runs)
    made: dict[tuple[str, ...], Made] = {}
    todo = [(one, trained) for one in conditions for trained, _ in one.splits]
    for one, trained in track(todo, "models of each condition", "models"):
        made[trained] = make(one.of(trained), names)
    scores = {}
    tests = [(other, glass) for other in conditions for _, glass in other.splits]
    for other, glass in track(tests, "transfer", "glasses"):
        for trained, model in made.items():
            if glass not in trained:
                scores[trained, glass] = _score(model, other.cases[glass])
    return Transfer(tuple(conditions), scores)


def _score(model: Made, cases: Sequence[Case]) -> Score:
    margins = model.margins(features_of(cases[0].structure, model.names))
    return mean(auc_of(case, margins) for case in cases)


def figures(runs: Sequence[Run], strain: float) -> list[Figure]:
    """Figures 4c, 4d, 5a and 5b."""
    titles = {"4c": "models of each condition's own", "4d": "conditions in order",
              "5a": "transfer from condition to condition", "5b": "transfer by kind of pair"}
    conditions, labels = conditions_of(runs, strain)
    need = ("needs two glasses or more of a condition, loaded alike, with plastic atoms at strain "
            f"{strain:g}")
    if not conditions:
        return [Figure(number, title, missing=need) for number, title in titles.items()]
    own = alike(conditions)
    out = [own_figure(own, titles["4c"], labels, strain), order_figure(own, titles["4d"])]
    if len(conditions) < 2:
        why = f"{need}, for two conditions; there is one, {conditions[0].name}"
        return out + [Figure(n, titles[n], missing=why) for n in ("5a", "5b")]
    done = transfer(conditions)
    text = _recipe(conditions, labels, strain)
    return [*out, matrix_figure(done, titles["5a"], text), kinds_figure(done, titles["5b"], text)]


def _recipe(conditions: Sequence[Condition], labels: Sequence[str], strain: float) -> str:
    """What the models are, for captions."""
    names = table3(run for one in conditions for run in one.runs)
    few = [c.name for c in conditions if len(c.glasses) <= TRAINED_ON]
    text = (f"Models by the paper's learner on its {len(names)} features of Table 3, made of "
            f"{TRAINED_ON} glasses of a condition, up to {SPLITS} models each; loads "
            f"{', '.join(labels)}, strain {strain:g}.")
    if few:
        text += f" One glass only, the other for the test: {'; '.join(few)}."
    return text


def _sizes(cases: Iterable[Case]) -> dict[str, int]:
    cases = list(cases)
    glasses = {case.run.name: case.run.n for case in cases}
    return {"glasses": len(glasses), "atoms": sum(glasses.values()), "loadings": len(cases),
            "plastic": int(sum(case.plastic.sum() for case in cases))}


def matrix_figure(done: Transfer, title: str, text: str) -> Figure:
    """5a: AUC of the models of one condition on glasses of another, all ordered pairs."""
    rows: list[dict[str, Any]] = []
    for one in done.conditions:
        for other in done.conditions:
            singles = done.singles(one, other)
            if not singles:                       # two models of the same two glasses
                continue
            cross = mean(done.scores[trained, glass] for trained, glass, _ in singles)
            own = done.own(other)
            ratio = cross / own
            each = [done.ratio(trained, glass, other) for trained, glass, _ in singles]
            rows.append({
                "trained_on": one.name, "tested_on": other.name, "kind": kind_of(one, other),
                "training_glasses": len(one.splits[0][0]), "models": len(one.splits),
                **_sizes(other.of(dict.fromkeys(glass for _, glass, _ in singles))),
                "auc": cross.value, "auc_low95": cross.low, "auc_high95": cross.high,
                "own_auc": own.value, "ratio": ratio.value, "ratio_low95": ratio.low,
                "ratio_high95": ratio.high, "spread": float(np.std(each))})
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    names = [c.name for c in done.conditions]

    def draw(canvas: Canvas) -> None:
        table, own = np.full((2, len(names), len(names)), np.nan), {}
        for row in rows:
            at = names.index(row["trained_on"]), names.index(row["tested_on"])
            table[0][at], table[1][at] = row["ratio"], row["auc"]
        for k, condition in enumerate(done.conditions):
            own[k] = done.own(condition).value
        ax = canvas.add_subplot()
        shown = ax.imshow(np.ma.masked_invalid(table[0]), cmap="RdBu", vmin=0.85, vmax=1.15)
        for i in range(len(names)):
            for j in range(len(names)):
                words = "" if np.isnan(table[0, i, j]) else f"{table[1, i, j]:.3f}"
                if i == j:
                    words = f"own\n{own[i]:.3f}"
                ax.text(j, i, words, ha="center", va="center", fontsize=6.5)
        _label(ax, names)
        canvas.colorbar(shown, ax=ax, shrink=0.8, extend="both",
                        label="AUC / AUC of the glass's own models")
    size = max(4.2, 1.6 + 0.62 * len(names))
    return Figure(
        "5a", title,
        f"AUC of the models of each condition (rows) on unseen glasses of each (columns); colour: "
        f"over that of the glass's own models. These are on the diagonal, with the colour of other "
        f"models of the same condition. {text} Intervals (95 %, in the table): blocks of the test "
        f"glasses drawn again, the same ones for both models; spread: of single models on single "
        f"glasses.",
        columns, draw, size=(size + 0.9, size))


def _label(ax: Axes, names: Sequence[str]) -> None:
    short = [name.replace(", ", "\n") for name in names]
    ax.set_xticks(range(len(names)), short, fontsize=6.5)
    ax.set_yticks(range(len(names)), short, fontsize=6.5)
    ax.tick_params(length=0)
    ax.set_xlabel("tested on")
    ax.set_ylabel("trained on")


def kinds_figure(done: Transfer, title: str, text: str) -> Figure:
    """5b: single models on single glasses, by what the two conditions differ in."""
    found: dict[str, list[Any]] = {name: [] for name in (
        "kind", "trained_on", "training_glasses", "tested_on", "glass", "auc", "auc_low95",
        "auc_high95", "ratio")}
    for one in done.conditions:
        for other in done.conditions:
            for trained, glass, kind in done.singles(one, other):
                score = done.scores[trained, glass]
                for name, value in zip(found, (
                        kind, one.name, " ".join(trained), other.name, glass, score.value, score.low,
                        score.high, done.ratio(trained, glass, other))):
                    found[name].append(value)
    ratio, kinds = np.array(found["ratio"]), np.array(found["kind"])

    def draw(canvas: Canvas) -> None:
        ax = canvas.add_subplot()
        for k, (kind, colour) in enumerate(zip(KINDS, (GREY, BLUE, ORANGE, GREEN))):
            some = ratio[kinds == kind]
            if len(some) > 4:
                body = ax.violinplot(some, [k], widths=0.8, showextrema=False)["bodies"]
                for part in body:  # type: ignore[attr-defined]
                    part.set_facecolor(colour)
                    part.set_alpha(0.3)
            ax.scatter(k + _aside(len(some)), some, s=7, color=colour, linewidths=0)
            if len(some):
                ax.plot([k - 0.25, k + 0.25], [np.median(some)] * 2, color="black", lw=1.2)
        ax.axhline(1.0, color=GREY, lw=0.8)
        ax.axhline(SHARE, color=GREY, lw=0.8, ls=":")
        ax.set_xticks(range(len(KINDS)), [f"{kind}\n{(kinds == kind).sum()}" for kind in KINDS])
        ax.set_xlim(-0.6, len(KINDS) - 0.4)
        ax.set_ylabel("AUC / AUC of the glass's own model")
    return Figure("5b", title, f"Each model on each unseen glass, over the score of the glass's own "
                  f"model, by what the two conditions differ in; below the names: how many. Bars: "
                  f"medians; dotted: the {SHARE:g} of the paper. {text}", found, draw)


def _aside(n: int) -> Floats:
    """(n,) offsets that keep dots apart, the same ones each time."""
    offsets: Floats = 0.12 * np.sin(2.4 * np.arange(n))
    return offsets


# Models of each condition's own ------------------------------------------------------------------

@dataclass(frozen=True, eq=False)
class Own:
    """What a condition's own models say of glasses that they have not seen.

    training : glasses of each model.  auc : mean over the loadings.  sigma : standard deviation of
    S^q over the atoms.
    """

    condition: Condition
    glasses: tuple[str, ...]
    training: int
    auc: Score
    sigma: Score


def alike(conditions: Sequence[Condition]) -> list[Own]:
    """Own models of each condition, all made of as many glasses, so that conditions compare.

    As many as the condition with the fewest has, no more than ``ALIKE``; each is left out in turn.
    S^q by isotonic calibration on these margins.
    """
    size = min(ALIKE, *(len(c.glasses) for c in conditions))
    names = table3(run for one in conditions for run in one.runs)
    return [own_models(c, c.glasses[:size], names)
            for c in track(conditions, "own models", "conditions")]


def own_models(condition: Condition, glasses: Sequence[str], names: Sequence[str]) -> Own:
    """See ``alike``.  names : of the features."""
    cases, margins = condition.of(glasses), {}
    for glass in glasses:
        model = make(condition.of(g for g in glasses if g != glass), names)
        margins[glass] = model.margins(features_of(condition.cases[glass][0].structure, names))
    calibration = calibration_of(cases, [margins[case.run.name] for case in cases])
    spread = spread_of(moments(calibration.softness(margins[glass]),
                               condition.cases[glass][0].structure.blocks(), glass)
                       for glass in glasses)
    auc = mean(mean(auc_of(case, margins[glass]) for case in condition.cases[glass])
               for glass in glasses)
    return Own(condition, tuple(glasses), len(glasses) - 1, auc, spread)


def own_figure(found: Sequence[Own], title: str, labels: Sequence[str], strain: float) -> Figure:
    """4c: AUC and sigma_S of own models, by condition."""
    rows: list[dict[str, Any]] = []
    for one in found:
        rate = one.condition.rate
        rows.append({
            "condition": one.condition.name, "composition": one.condition.composition,
            "rate": float("nan") if rate is None else rate, "training_glasses": one.training,
            **_sizes(one.condition.of(one.glasses)),
            "auc": one.auc.value, "auc_low95": one.auc.low, "auc_high95": one.auc.high,
            "sigma_s": one.sigma.value, "sigma_s_low95": one.sigma.low,
            "sigma_s_high95": one.sigma.high})
    columns = {name: [row[name] for row in rows] for name in rows[0]}

    def draw(canvas: Canvas) -> None:
        left, right = canvas.subplots(1, 2, sharey=True)
        y = np.arange(len(rows))[::-1]
        for ax, name, label, colour in ((left, "auc", "AUC", ORANGE),
                                        (right, "sigma_s", f"standard deviation of {SQ}", BLUE)):
            bars(ax, y, columns, name, colour)
            ax.set_xlabel(label)
        left.set_yticks(y, [str(name).replace(", ", "\n", 1) for name in columns["condition"]])
        left.set_ylim(-0.6, len(rows) - 0.4)
    training = found[0].training
    return Figure(
        "4c", title,
        f"AUC and standard deviation of S^q of each condition by models of its own: the paper's "
        f"learner and features of Table 3, made of {training} glass{'es' * (training > 1)} for all "
        f"conditions alike and judged on another one, each in turn; loads {', '.join(labels)}, "
        f"strain {strain:g}. Bars: 95 %, blocks of the judged glasses drawn again; which glasses a "
        f"model was made of is not in them.", columns, draw, size=(5.6, 1.2 + 0.42 * len(rows)))


def order_figure(found: Sequence[Own], title: str) -> Figure:
    """4d: differences between conditions that differ in one thing only."""
    columns: dict[str, list[Any]] = {key: [] for key in (
        "quantity", "differ_in", "first", "second", "difference", "difference_low95",
        "difference_high95")}
    for k, one in enumerate(found):
        for other in found[k + 1:]:
            kind = kind_of(one.condition, other.condition)
            if kind not in (QUENCH, COMPOSITION):
                continue
            for quantity in ("auc", "sigma"):
                difference = getattr(one, quantity) - getattr(other, quantity)
                for key, value in zip(columns, (
                        quantity, kind, one.condition.name, other.condition.name, difference.value,
                        difference.low, difference.high)):
                    columns[key].append(value)
    if not columns["difference"]:
        return Figure("4d", title, missing="no two conditions differ in the composition only, or in "
                                           "the quench only")
    pairs = list(dict.fromkeys(zip(columns["first"], columns["second"])))

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots(1, 2, sharey=True)
        quantity = np.array(columns["quantity"])
        for ax, key, label, colour in zip(axes, ("auc", "sigma"), (
                "difference of AUC", f"difference of the\nstandard deviation of {SQ}"),
                (ORANGE, BLUE)):
            at = np.flatnonzero(quantity == key)
            bars(ax, np.arange(len(at))[::-1],
                 {name: [values[i] for i in at] for name, values in columns.items()}, "difference",
                 colour)
            ax.axvline(0.0, color=GREY, lw=0.8)
            ax.set_xlabel(label)
        axes[0].set_yticks(np.arange(len(pairs))[::-1], [f"{a}\n- {b}" for a, b in pairs],
                           fontsize=6.5)
        axes[0].set_ylim(-0.6, len(pairs) - 0.4)
    return Figure(
        "4d", title,
        "Differences of the numbers of 4c between conditions of one quench, and of one composition: "
        "the first less the second. 95 % by block bootstrap of each; which glasses the models were "
        "made of is not in it.", columns, draw, size=(6.4, 1.3 + 0.36 * len(pairs)))
