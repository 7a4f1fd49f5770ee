"""Every numbered claim of the paper beside what the figures' tables of a study say of it.

A claim is one row of ``CLAIMS``; its function reads the tables and nothing else, so that each number
of the page can be found in a CSV of the study.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..features import TABLE3, catalogue
from ..models.model import SoftnessModel
from ..report.rows import SOFT
from .result import Figure
from .runs import Run, scored
from .transfer import COMPOSITION, QUENCH, SAME, SHARE

REPRODUCED, PARTLY, DIFFERS = "reproduced", "partly", "differs"
NOT_COMPARABLE, NOT_ATTEMPTED = "not comparable", "not attempted"
VERDICTS = {
    REPRODUCED: "the number is inside our 95 % interval, or the order holds beyond it",
    PARTLY: "the order holds, but not beyond its interval, or not in all cases; or the number is "
            "off by no more than 0.05",
    DIFFERS: "neither",
    NOT_COMPARABLE: "ours is of something else, as told",
    NOT_ATTEMPTED: "the runs at hand do not reach it, as told"}
OFF = 0.05             # of a number, that is "partly"
RATE, SHARE_AT_004 = 5e10, (0.04, 0.06)


class MissingFigure(Exception):
    """A table that a claim needs is not there; the message tells why."""


class Answer(NamedTuple):
    """ours : numbers with intervals.  basis : preparation and size.  why : of the verdict, or ""."""

    ours: str
    basis: str
    verdict: str
    why: str = ""


@dataclass(frozen=True, eq=False)
class Study:
    """What claims are answered from.  strain : of the labels."""

    figures: dict[str, Figure]
    runs: Sequence[Run]
    model: SoftnessModel
    strain: float

    def table(self, number: str) -> dict[str, Any]:
        """{column: array} of a figure; MissingFigure if it is not there."""
        figure = self.figures.get(number)
        if figure is None:
            raise MissingFigure(f"figure {number} is not part of this study")
        if figure.missing is not None:
            raise MissingFigure(figure.missing)
        return {name: np.asarray(values) for name, values in figure.columns.items()}

    @property
    def main(self) -> str:
        """The condition of which most loadings are judged."""
        t = self.table("2c")
        return str(t["condition"][int(np.argmax(t["loadings"]))])

    def basis(self, condition: str) -> str:
        """Preparation and size of a condition's judged glasses."""
        t = self.table("2c")
        found = np.flatnonzero(t["condition"] == condition)
        if not len(found):                   # nothing of it is at the strain of the labels
            return f"{condition}; model {self.model.name}"
        k = int(found[0])
        return (f"{condition}; {t['glasses'][k]} unseen glasses, {t['atoms'][k]} atoms, "
                f"{t['loadings'][k]} loadings, {t['plastic'][k]} plastic; model {self.model.name}")


@dataclass(frozen=True)
class Claim:
    """paper : its number.  answer : of a Study; raises MissingFigure."""

    id: str
    text: str
    paper: str
    answer: Callable[[Study], Answer] = field(repr=False)

    def answered(self, study: Study) -> Answer:
        try:
            return self.answer(study)
        except MissingFigure as e:
            return Answer("", "", NOT_ATTEMPTED, str(e))


def interval(value: float, low: float, high: float, digits: int = 3) -> str:
    """Text such as "0.724 (0.716 to 0.732)"."""
    sign = "+" if digits < 0 else ""
    form = f"{sign}.{abs(digits)}f"
    if np.isnan(low):
        return f"{value:{form}}"
    return f"{value:{form}} ({low:{form}} to {high:{form}})"


def _number(table: dict[str, Any], key: str, k: Any) -> tuple[float, float, float]:
    """(value, low, high) in row k of a table."""
    value, low, high = (float(table[f"{key}{end}"][k]) for end in ("", "_low95", "_high95"))
    return value, low, high


def in_row(table: dict[str, Any], key: str, k: Any, digits: int = 3) -> str:
    """Text of a number and its interval in row k of a table."""
    return interval(*_number(table, key, k), digits)


def of_number(value: float, low: float, high: float, paper: float) -> str:
    """Verdict on a number by itself."""
    if low <= paper <= high:
        return REPRODUCED
    return PARTLY if abs(value - paper) <= OFF else DIFFERS


def of_order(values: Iterable[float], lows: Iterable[float]) -> str:
    """Verdict on differences that should be above 0."""
    values, lows = list(values), list(lows)
    if all(low > 0 for low in lows):
        return REPRODUCED
    return PARTLY if any(value > 0 for value in values) else DIFFERS


def worst(verdicts: Iterable[str]) -> str:
    """The same if all are, else partly."""
    found = set(verdicts)
    return found.pop() if len(found) == 1 else PARTLY


def _counted(n: int, thing: str, things: str | None = None) -> str:
    return f"{n} {thing if n == 1 else things or thing + 's'}"


# A1, the task and the data -----------------------------------------------------------------------

def _samples(s: Study) -> Answer:
    by: dict[str, int] = {}
    for run in s.runs:
        by[run.condition] = by.get(run.condition, 0) + 1
    full = sum(n >= 3 for n in by.values())
    ours = (f"{_counted(len(s.runs), 'glass', 'glasses')} in {_counted(len(by), 'condition')}, "
            f"{full} of them with three or more")
    return Answer(ours, "; ".join(f"{name}: {n}" for name, n in by.items()),
                  REPRODUCED if full >= 9 else PARTLY,
                  "by faster quenches" if full >= 9 else "fewer conditions, and faster quenches")


def _split(s: Study) -> Answer:
    seen = sum(run.seen is True for run in s.runs)
    t = s.table("5a")
    two = sorted({str(c) for c, n in zip(t["trained_on"], t["training_glasses"]) if n == 2})
    one = sorted({str(c) for c, n in zip(t["trained_on"], t["training_glasses"]) if n == 1})
    ours = f"{len(two)} conditions as in the paper"
    if one:
        ours += f", {len(one)} with one glass to train and one to test"
    return Answer(ours, f"model {s.model.name}: made of {seen} of these glasses, judged on others",
                  PARTLY if one else REPRODUCED,
                  f"two glasses only: {'; '.join(one)}" if one else "")


def _size(s: Study) -> Answer:
    sizes = [run.n for run in s.runs]
    return Answer(f"{min(sizes)} to {max(sizes)} atoms", "each glass quenched at its own size",
                  REPRODUCED if min(sizes) >= 345600 else NOT_COMPARABLE,
                  "as large as two cores can quench")


def _quench(s: Study) -> Answer:
    rates = sorted({run.rate for run in s.runs if run.rate is not None})
    if not rates:
        raise MissingFigure("the runs do not tell their quench rates")
    slow = rates[0] / RATE
    return Answer(", ".join(f"{rate:.3g}".replace("e+", "e") for rate in rates) + " K/s",
                  "inputs/in.quench: 2000 to 50 K, the same potential file, 2 fs steps; the rate is "
                  "that between 1200 and 600 K",
                  REPRODUCED if slow <= 1.01 else PARTLY,
                  f"the slowest is {slow:.0f} times the paper's slowest" if slow > 1.01 else "")


def _load(s: Study) -> Answer:
    loads = sorted({x.label for run in s.runs for x in run.loadings})
    free = _free(s)
    if free:
        return Answer(", ".join(loads), f"{', '.join(run.name for run in free)}: inputs/in.compress, "
                      f"free surfaces across x, 50 K; the others: inputs/in.aqs, athermal, periodic",
                      PARTLY, "the paper's way at a higher rate, for one slab")
    return Answer(", ".join(loads), "inputs/in.aqs: athermal steps of 0.001, periodic on all sides",
                  NOT_COMPARABLE, "no free surfaces, no temperature, no rate: their limit "
                  "(inputs/in.compress is the paper's way)")


def _free(s: Study) -> list[Run]:
    """Runs with free surfaces."""
    return [run for run in s.runs
            if run.structure is not None and not run.structure.box.periodic.all()]


def _region(s: Study) -> Answer:
    free = _free(s)
    if not free:
        return Answer("all atoms", "no free surfaces", NOT_COMPARABLE,
                      "nothing is to be cropped in periodic cells")
    kept = float(np.mean([scored(run, s.model, run.loadings[0]).defined.mean() for run in free]))
    return Answer(f"{100 * kept:.0f} % of the atoms of {', '.join(run.name for run in free)}, all "
                  f"atoms of the others", "S^q is undefined near a free surface", PARTLY,
                  "the ends are periodic: nothing is to be cropped there")


def _label(s: Study) -> Answer:
    label = s.model.entry("label")
    same = label["threshold"] == 5.0 and label["cutoff"] == 4.5
    return Answer(f"D2min > {label['threshold']:g} Å², cutoff {label['cutoff']:g} Å",
                  f"{label['d2min']}; against the undeformed glass",
                  REPRODUCED if same else DIFFERS,
                  "as the sum over the neighbours; with the 1/N of the paper's Eq. 4 no atom would "
                  "be plastic" if same else "")


def _share(s: Study) -> Answer:
    t = s.table("2c")
    ours = "; ".join(f"{t['condition'][k]}: {_percent(t, k)}" for k in range(len(t["share"])))
    low, high = SHARE_AT_004
    inside = (t["share"] >= low - 0.005) & (t["share"] <= high + 0.005)
    k = list(t["condition"]).index(s.main)
    return Answer(ours, f"{s.basis(s.main)}; its loadings {100 * t['share_least'][k]:.1f} to "
                  f"{100 * t['share_most'][k]:.1f} %", REPRODUCED if inside.all() else PARTLY,
                  "" if inside.all() else "outside: " + "; ".join(t["condition"][~inside]))


def _grid(s: Study) -> Answer:
    t = s.table("4a")
    _, condition = _farthest(s)
    strain = np.unique(t["strain"][t["condition"] == condition])
    last, n = float(strain[-1]), len(strain)
    whole = last >= 0.1 - 0.001 and n >= 80
    return Answer(f"to {last:.3g}, {_counted(n, 'strain')}", s.basis(condition),
                  REPRODUCED if whole else PARTLY,
                  "the others to less, with few frames" if whole else "glass files keep few frames")


def _cost(s: Study) -> Answer:
    return Answer("", "", NOT_COMPARABLE, "other sizes and another way to load; see the costs page")


# A2, representation and model --------------------------------------------------------------------

def _features(s: Study) -> Answer:
    order = [f.order for f in catalogue()]
    sets = {f.set for f in catalogue()}
    n = {x: order.count(x) for x in ("SRO", "MRO")}
    same = (len(order), n["SRO"], n["MRO"], len(sets)) == (746, 123, 623, 28)
    return Answer(f"{len(order)} = {n['SRO']} SRO + {n['MRO']} MRO in {len(sets)} sets",
                  "mgml features", REPRODUCED if same else DIFFERS)


def _reduction(s: Study) -> Answer:
    t = s.table("t3")
    k = {name: int(t[name][0]) for name in ("candidates", "not_near-constant", "no_|r|_>_0.99")}
    steps = " -> ".join(map(str, (*k.values(), 50, len(t["rank"]))))
    return Answer(steps, _basis_of_13(t), REPRODUCED,
                  "near-constant features go out in place of variances below 0.1, which depend on "
                  "the unit and would take 12 of the paper's 13")


def _basis_of_13(t: dict[str, Any]) -> str:
    return f"{t['condition'][0]}: {t['trained_on'][0]}"


def _thirteen(s: Study) -> Answer:
    t = s.table("t3")
    ours = [str(name) for name in t["feature"]]
    both = [name for name in ours if name in TABLE3]
    verdict = REPRODUCED if len(both) == len(TABLE3) else PARTLY if len(both) >= 4 else DIFFERS
    return Answer(f"{len(both)} of the 13 again; first: {', '.join(ours[:3])}",
                  _basis_of_13(t), verdict,
                  f"in both: {', '.join(both)}; many of the rest say nearly the same as these")


def _learner(s: Study) -> Answer:
    told = s.model.card.get("training", {})
    paper = told.get("recipe") == "paper"
    return Answer(f"{told.get('learner', 'not told')}; {told.get('balance', '')}; isotonic, out of "
                  f"fold", f"model {s.model.name}", REPRODUCED if paper else NOT_COMPARABLE,
                  "" if paper else "this model is of another recipe")


def _speed(s: Study) -> Answer:
    return Answer("", "", NOT_ATTEMPTED, "there is no plain Python featuriser to compare with; see "
                  "the costs page for microseconds an atom")


# A3, scores --------------------------------------------------------------------------------------

def _by_composition(s: Study, key: str, composition: str) -> list[int]:
    t = s.table("2c")
    return [k for k, name in enumerate(t["condition"]) if str(name).startswith(composition)]


def _score(key: str, paper: float, note: str = "") -> Callable[[Study], Answer]:
    def answer(s: Study) -> Answer:
        t = s.table("2c")
        rows = _by_composition(s, key, "Cu65Zr35") or list(range(len(t["condition"])))
        ours = "; ".join(f"{t['condition'][k]}: {in_row(t, key, k)}" for k in rows)
        rates = {run.condition: run.rate for run in s.runs}
        same = [k for k in rows if rates.get(str(t["condition"][k])) is not None
                and rates[str(t["condition"][k])] <= RATE * 1.01]  # type: ignore[operator]
        if same:
            verdict = of_number(*_number(t, key, same[0]), paper)
            return Answer(ours, s.basis(str(t["condition"][same[0]])), verdict)
        return Answer(ours, s.basis(s.main), PARTLY, f"no glass here is quenched at 5e10 K/s{note}")
    return answer


def _yardstick(s: Study) -> Answer:
    return Answer("", "", NOT_ATTEMPTED, "quoted from other work, on Lennard-Jones systems")


def _rises(s: Study) -> Answer:
    t = s.table("2b")
    known = np.flatnonzero(~np.isnan(t["share_soft"]))
    share, low, high = (t[key][known] for key in ("share_soft", "low95", "high95"))
    down = np.flatnonzero(np.diff(share) < 0)
    beyond = [k for k in down if high[k + 1] < low[k]]
    verdict = REPRODUCED if not len(down) else PARTLY if not beyond else DIFFERS
    if len(down) and not beyond:
        verdict = REPRODUCED
    first, last = (f"{share[k]:.2f} ({low[k]:.2f} to {high[k]:.2f})" for k in (0, -1))
    text = "no step down" if not len(down) else (
        f"{_counted(len(down), 'step')} down, {len(beyond)} beyond the intervals")
    return Answer(f"from {first} to {last} over {len(known)} bins of D2min; {text}",
                  s.basis(s.main), verdict, f"share of the atoms with S^q > {SOFT:g}")


def _elastic(s: Study) -> Answer:
    t, fall = s.table("4a"), s.table("3c")
    rows = np.flatnonzero((t["condition"] == s.main) & ~np.isnan(t["auc"].astype(float))
                          & (t["strain"] <= s.strain + 1e-9))
    ours = "; ".join(
        f"{n} glass{'es' if n > 1 else ''}: " + ", ".join(
            f"{in_row(t, 'auc', k)} at {t['strain'][k]:g}" for k in rows if t["glasses"][k] == n)
        for n in dict.fromkeys(t["glasses"][rows]))
    at = np.flatnonzero((fall["condition"] == s.main) & (fall["quantity"] == "auc"))
    if not len(at):
        raise MissingFigure(f"too few plastic atoms at a smaller strain in {s.main}")
    k = int(at[0])
    verdict = of_order([fall["fall"][k]], [fall["fall_low95"][k]])
    above = bool((t["auc"][rows] > 0.70).all())
    return Answer(f"{ours}; fall from {fall['from_strain'][k]:g} to {fall['to_strain'][k]:g}: "
                  f"{in_row(fall, 'fall', k, -3)}", s.basis(s.main),
                  verdict if above else PARTLY, "" if above else "it does not stay above 0.70")


def _band(s: Study) -> Answer:
    t = s.table("3b")
    stage, last = [str(x) for x in t["stage"]], float(t["strain"].max())
    if "band" in stage:
        begin = float(t["strain"][stage.index("band")])
        return Answer(f"{begin:g}", _basis_of_drop(s),
                      REPRODUCED if abs(begin - 0.065) <= 0.01 else DIFFERS)
    if last < 0.065:
        return Answer("", "", NOT_ATTEMPTED, f"the glasses are loaded to strain {last:g}")
    ours = f"no abrupt fall up to {last:.3g}"
    _, condition = _farthest(s)
    if condition in {run.condition for run in _free(s)}:
        value, stress = np.asarray(t["auc"], float), np.asarray(t["stress_GPa"], float)
        early = float(np.nanmax(value[t["share_plastic"] > 0.01]))
        ours += f"; the AUC falls from {early:.3f} to {np.nanmin(value):.3f}"
        if not np.isnan(stress).all():
            top = int(np.nanargmax(stress))
            ours += (f"; the stress is largest at {t['strain'][top]:.3g}, and falls by "
                     f"{100 * (1 - np.nanmin(stress[top:]) / stress[top]):.0f} % after it")
        return Answer(ours, _basis_of_drop(s), DIFFERS,
                      "quenched and loaded far faster than the paper's, it flows all over: no band")
    return Answer(ours, _basis_of_drop(s), NOT_COMPARABLE,
                  "periodic cells of this size have no room for a shear band")


def _farthest(s: Study) -> tuple[int, str]:
    """(row of table 4a, condition) of the loadings that go farthest: those of 3b."""
    t = s.table("4a")
    k = int(np.argmax(t["strain"]))
    return k, str(t["condition"][k])


def _basis_of_drop(s: Study) -> str:
    """Of 3b: the loadings that go farthest."""
    t = s.table("4a")
    k, condition = _farthest(s)
    return f"{condition}; {t['glasses'][k]} unseen glasses, {t['loadings'][k]} loadings"


def _order_of_slip(s: Study) -> Answer:
    t = s.table("3c")
    at = np.flatnonzero(t["quantity"] == "plastic_softness")
    ours = "; ".join(f"{t['condition'][k]}: {in_row(t, 'fall', k, -3)}" for k in at)
    return Answer(f"mean S^q of the plastic atoms at {t['from_strain'][at[0]]:g} less that at "
                  f"{t['to_strain'][at[0]]:g}: {ours}", s.basis(s.main),
                  of_order(t["fall"][at], t["fall_low95"][at]),
                  f"{int((t['fall_low95'][at] > 0).sum())} of {_counted(len(at), 'condition')} "
                  f"beyond the interval")


# A4, the sets one by one -------------------------------------------------------------------------

def _rows_of_sets(s: Study, names: Sequence[str]) -> tuple[dict[str, Any], list[int]]:
    t = s.table("6c")
    known = [str(x) for x in t["set"]]
    return t, [known.index(name) for name in names]


def _basis_of_sets(s: Study) -> str:
    t = s.table("6c")
    made, judged = (len(str(t[key][0]).split(", ")) for key in ("trained_on", "judged_on"))
    return (f"{t['condition'][0]}; made of {_counted(made, 'glass', 'glasses')}, judged on "
            f"{_counted(judged, 'other')}, {t['plastic'][0]} plastic")


def _rank(t: dict[str, Any], name: str, order: str = "SRO") -> int:
    """Place of a set among those of its order, 1 for the best."""
    of = t["order"] == order
    auc = float(t["auc"][list(t["set"]).index(name)])
    return 1 + int((t["auc"][of] > auc).sum())


def _sro_in_order(t: dict[str, Any]) -> list[str]:
    """SRO sets, the best first."""
    of = np.flatnonzero(t["order"] == "SRO")
    return [str(t["set"][k]) for k in of[np.argsort(-t["auc"][of], kind="stable")]]


def _sets(names: dict[str, float]) -> Callable[[Study], Answer]:
    """Claims of numbers, of one set each."""
    def answer(s: Study) -> Answer:
        t, rows = _rows_of_sets(s, list(names))
        ours = "; ".join(f"{t['set'][k]} {in_row(t, 'auc', k)}" for k in rows)
        verdicts = [of_number(*_number(t, "auc", k), paper) for k, paper in zip(rows, names.values())]
        return Answer(ours, _basis_of_sets(s), worst(verdicts))
    return answer


def _best(s: Study) -> Answer:
    t, (k,) = _rows_of_sets(s, ["facet_area_stats"])
    others = [j for j in np.flatnonzero(t["order"] == "SRO") if j != k]
    below, low = t["below_facets"][others], t["below_facets_low95"][others]
    j = others[int(np.argmin(below))]
    verdict = of_order(below, low)
    if verdict == PARTLY and not (below > 0).all():
        verdict = PARTLY if _rank(t, "facet_area_stats") <= 3 else DIFFERS
    return Answer(f"{in_row(t, 'auc', k)}, rank {_rank(t, 'facet_area_stats')} of the 12 SRO sets; "
                  f"above {t['set'][j]} by {in_row(t, 'below_facets', j, -3)}",
                  _basis_of_sets(s), verdict)


def _among_best(s: Study) -> Answer:
    names = ["subpoly_vol_stats", "distance_stats"]
    t, rows = _rows_of_sets(s, names)
    ranks = [_rank(t, name) for name in names]
    return Answer("; ".join(f"{n} {in_row(t, 'auc', k)}, rank {r} of 12" for n, k, r in zip(
        names, rows, ranks)), _basis_of_sets(s),
        REPRODUCED if max(ranks) <= 4 else PARTLY if min(ranks) <= 4 else DIFFERS)


def _csro(s: Study) -> Answer:
    t, (a, b) = _rows_of_sets(s, ["csro", "csro_stats_nn"])
    fall, low = -float(t["above_it"][b]), -float(t["above_it_high95"][b])
    number = worst(of_number(*_number(t, "auc", k), paper) for k, paper in ((a, 0.626), (b, 0.610)))
    order = of_order([fall], [low])
    return Answer(f"SRO {in_row(t, 'auc', a)}; MRO {in_row(t, 'auc', b)}; MRO less SRO "
                  f"{in_row(t, 'above_it', b, -3)}", _basis_of_sets(s), worst([number, order]),
                  "" if fall > 0 else "here the MRO set is no exception")


def _worst_set(s: Study) -> Answer:
    t, (k,) = _rows_of_sets(s, ["boop_w"])
    rank = _rank(t, "boop_w")
    number = of_number(*_number(t, "auc", k), 0.576)
    return Answer(f"{in_row(t, 'auc', k)}, rank {rank} of the 12 SRO sets", _basis_of_sets(s),
                  worst([number, REPRODUCED if rank == 12 else DIFFERS]),
                  "" if rank == 12 else f"{_sro_in_order(t)[-1]} is the worst here")


def _medium_range(s: Study) -> Answer:
    t = s.table("6c")
    at = np.flatnonzero((t["of"] != "") & (t["order"] == "MRO"))
    up = at[t["above_it"][at] > 0]
    sure = at[t["above_it_low95"][at] > 0]
    down = [str(t["set"][k]) for k in at if t["above_it_high95"][k] < 0]
    ours = (f"{len(up)} of {len(at)} above, {len(sure)} of them beyond the interval; below beyond "
            f"it: {', '.join(down) or 'none'}")
    verdict = REPRODUCED if len(sure) >= len(at) - 1 else PARTLY if len(up) > len(at) / 2 else DIFFERS
    why = "" if verdict != DIFFERS else (
        "the MRO sets here hold the neighbours' values only, not the atom's own; with them, in "
        f"structural_difference, {in_row(t, 'auc', list(t['set']).index('structural_difference'))}. "
        "Whether the paper's sets are meant so is not known")
    return Answer(ours, _basis_of_sets(s), verdict, why)


# A5, composition, rate, transfer, mechanism ------------------------------------------------------

def _differences(s: Study, quantity: str, kind: str) -> list[tuple[str, str, float, float, float]]:
    """(first condition, second, difference, low, high) of 4d."""
    t = s.table("4d")
    rows = np.flatnonzero((t["quantity"] == quantity) & (t["differ_in"] == kind))
    return [(str(t["first"][k]), str(t["second"][k]), *_number(t, "difference", k)) for k in rows]


def _turned(row: tuple[str, str, float, float, float]) -> tuple[str, str, float, float, float]:
    first, second, value, low, high = row
    return second, first, -value, -high, -low


def _told(rows: Iterable[tuple[str, str, float, float, float]]) -> str:
    return "; ".join(f"{a} less {b}: {interval(v, low, high, -3)}" for a, b, v, low, high in rows)


def _basis_of_own(s: Study) -> str:
    t = s.table("4c")
    return (f"models of {_counted(int(t['training_glasses'][0]), 'glass', 'glasses')} of each "
            f"condition, judged on another one; of each condition {min(t['glasses'])} glasses, "
            f"{min(t['atoms'])} to {max(t['atoms'])} atoms, {min(t['plastic'])} to "
            f"{max(t['plastic'])} plastic")


def _rates(s: Study) -> Answer:
    rates = {run.condition: run.rate for run in s.runs}
    rows, aged = [], []
    for row in _differences(s, "auc", QUENCH):
        one, other = rates[row[0]], rates[row[1]]
        if one is None or other is None:
            continue
        differ = ("aged" in row[0]) != ("aged" in row[1])
        if differ and one == other:
            aged.append(row if "aged" in row[0] else _turned(row))
        elif not differ and one != other:
            rows.append(row if one < other else _turned(row))
    if not rows:
        raise MissingFigure("no composition is there at two quench rates")
    ratio = max(max(rates[a], rates[b]) / min(rates[a], rates[b])  # type: ignore[operator, type-var]
                for a, b, *_ in rows)
    why = f"the rates differ by a factor of {ratio:.0f}, the paper's by 100" if ratio < 30 else ""
    if aged:
        why += f"{'; ' if why else ''}aged glasses, further in that direction: {_told(aged)}"
    why += _one_model_by_rate(s)
    return Answer(_told(rows), _basis_of_own(s), of_order([r[2] for r in rows], [r[3] for r in rows]),
                  why)


def _one_model_by_rate(s: Study) -> str:
    """The AUCs of the study's model, the slowest quench first, for compositions of three rates."""
    try:
        t = s.table("2c")
    except MissingFigure:
        return ""
    runs = {run.condition: run for run in s.runs if "aged" not in run.condition and run.rate}
    found: dict[str, list[tuple[float, int]]] = {}
    for k, name in enumerate(map(str, t["condition"])):
        if name in runs:
            found.setdefault(runs[name].composition, []).append((runs[name].rate or 0.0, k))
    texts = [f"{composition}: " + ", ".join(
        f"{rate:.3g} ".replace("e+", "e") + in_row(t, "auc", k) for rate, k in sorted(some))
        for composition, some in found.items() if len(some) >= 3]
    return f"; one model for all ({s.model.name}), by K/s: {'; '.join(texts)}" if texts else ""


def copper(condition: str) -> float:
    """Share of Cu in a condition such as "Cu65Zr35, 5e12 K/s"; NaN without it."""
    found = re.match(r"Cu(\d+)Zr", condition)
    return float(found[1]) if found else float("nan")


def _by_copper(s: Study, quantity: str) -> list[tuple[str, str, float, float, float]]:
    """Differences between compositions of one quench, that with more Cu first."""
    return [row if copper(row[0]) > copper(row[1]) else _turned(row)
            for row in _differences(s, quantity, COMPOSITION)]


def _compositions(s: Study) -> Answer:
    rows = _by_copper(s, "auc")
    if not rows:
        raise MissingFigure("no quench is there for two compositions")
    lowest = [row for row in rows if copper(row[1]) == 50]
    t = s.table("2c")
    one = "; ".join(f"{t['condition'][k]} {in_row(t, 'auc', k)}" for k in range(len(t["condition"])))
    return Answer(_told(rows), _basis_of_own(s),
                  of_order([r[2] for r in lowest or rows], [r[3] for r in lowest or rows]),
                  f"one model for all ({s.model.name}): {one}")


def _spreads(s: Study) -> Answer:
    t = s.table("4c")
    ours = "; ".join(f"{name} {in_row(t, 'sigma_s', k)}" for k, name in enumerate(t["condition"]))
    rows = _by_copper(s, "sigma")
    if not rows:
        raise MissingFigure("no quench is there for two compositions")
    one = s.table("4a")
    first = [list(one["condition"]).index(c) for c in dict.fromkeys(one["condition"])]
    wrong = [f"{a} is below {b}" for a, b, _, _, high in rows if high < 0]
    return Answer(f"{ours}. {_told(rows)}", _basis_of_own(s),
                  of_order([r[2] for r in rows], [r[3] for r in rows]),
                  "; ".join([*wrong, f"one model for all ({s.model.name}): " + "; ".join(
                      f"{one['condition'][k]} {in_row(one, 'sigma_s', k)}" for k in first)]))


def _drop(s: Study) -> Answer:
    t = s.table("4b")
    r2, fall = float(t["r2"][0]), np.asarray(t["stress_fall_GPa"], float)
    verdict = REPRODUCED if r2 > 0.8 else PARTLY if r2 > 0.5 else DIFFERS
    return Answer(f"R^2 = {r2:.2f}, {len(fall)} glasses", "; ".join(dict.fromkeys(t["condition"])),
                  verdict, "" if verdict == REPRODUCED else
                  f"between these strains the stress changes by {-fall.max():+.2f} to "
                  f"{-fall.min():+.2f} GPa")


def _transfers(s: Study) -> Answer:
    t = s.table("5a")
    at = np.flatnonzero(t["kind"] != SAME)
    ratio, low = t["ratio"][at], t["ratio_low95"][at]
    k = int(at[int(np.argmin(ratio))])
    n = int((ratio > SHARE).sum())
    verdict = REPRODUCED if (low > SHARE).all() else PARTLY if n > len(at) / 2 else DIFFERS
    few = sorted({str(c) for c, m in zip(t["trained_on"], t["training_glasses"]) if m == 1})
    uneven = (f"; models of one glass ({'; '.join(few)}) beside those of two, so that on these "
              f"conditions the ratio is high, and from them low") if few else ""
    return Answer(f"{n} of {len(at)} ordered pairs above {SHARE:g} of the glass's own models; median "
                  f"{np.median(ratio):.3f}; lowest {in_row(t, 'ratio', k)}, {t['trained_on'][k]} on "
                  f"{t['tested_on'][k]}",
                  f"models of {min(t['training_glasses'])} to {max(t['training_glasses'])} glasses, "
                  f"{sum(dict(zip(t['tested_on'], t['plastic'])).values())} plastic atoms in the "
                  f"test glasses of {len(set(t['tested_on']))} conditions", verdict,
                  f"{int((low > SHARE).sum())} of {len(at)} beyond the interval{uneven}")


UPWARD = {"facet_area_std": 1, "distance_dist_std": 1, "facet_area_std_mean_nn": 1,
          "distance_dist_std_mean_nn": 1, "distance_voro_min": -1}


def _dependence(s: Study) -> Answer:
    t = s.table("6a-1d")
    names = [name for name in UPWARD if name in t["feature"]]
    if not names:
        raise MissingFigure(f"model {s.model.name} has none of these features")
    told, verdicts = [], []
    for name in names:
        at = np.flatnonzero(t["feature"] == name)
        p = t["probability"][at]
        seen = at[t["atoms"][at] * np.nan_to_num(t["share"][at]) >= 20]
        if not len(seen):
            raise MissingFigure(f"too few plastic atoms for their share by {name}")
        a, b = (int(seen[0]), int(seen[-1])) if UPWARD[name] > 0 else (int(seen[-1]), int(seen[0]))
        rise = UPWARD[name] * float(p[-1] - p[0])
        sure = float(t["share_low95"][b]) > float(t["share_high95"][a])
        verdicts.append(REPRODUCED if rise > 0 and sure else PARTLY if rise > 0 else DIFFERS)
        told.append(f"{name}: model {100 * p[0]:.1f} to {100 * p[-1]:.1f} %, found "
                    f"{_percent(t, min(a, b))} to {_percent(t, max(a, b))}")
    return Answer("; ".join(told) + " (from small values to large)", s.basis(s.main), worst(verdicts))


def _motifs(s: Study) -> Answer:
    t = s.table("6b")
    ico, everything = (list(t["cells"]).index(name) for name in ("motif_ico", "all atoms"))
    x, y = "facet_area_std", "distance_dist_std"
    corner = [bool(t[f"{f}_q50"][ico] < t[f"{f}_q25"][everything]) for f in (x, y)]
    ours = (f"medians of icosahedra {t[f'{x}_q50'][ico]:.3f} and {t[f'{y}_q50'][ico]:.4f}, lower "
            f"quartiles of all atoms {t[f'{x}_q25'][everything]:.3f} and "
            f"{t[f'{y}_q25'][everything]:.4f}; plastic: {_percent(t, ico)} of icosahedra, "
            f"{_percent(t, everything)} of all")
    verdict = REPRODUCED if all(corner) else PARTLY if any(corner) else DIFFERS
    why = ""
    try:
        left = [str(n) for n in s.table("t3")["feature"] if str(n).startswith("motif")]
        why = f"motifs among the 13 left: {', '.join(left) or 'none'}"
        verdict = worst([verdict, DIFFERS]) if left else verdict
    except MissingFigure as e:
        verdict, why = PARTLY, f"which features are left is not attempted: {e}"
    return Answer(ours, f"{t['condition'][0]}: {t['judged_on'][0]}", verdict, why)


def _percent(t: dict[str, Any], k: int) -> str:
    value, low, high = _number(t, "share", k)
    return interval(100 * value, 100 * low, 100 * high, 1) + " %"


SECTIONS: dict[str, tuple[Claim, ...]] = {
    "Task and data": (
        Claim("D1", "samples", "27 glasses: 3 compositions x 3 quench rates x 3", _samples),
        Claim("D2", "split", "per condition 2 glasses to train and validate, 1 to test", _split),
        Claim("D3", "size", "345 600 atoms", _size),
        Claim("D4", "quench", "2000 K to 50 K at 5e10, 5e11, 5e12 K/s; EAM of 2007", _quench),
        Claim("D5", "load", "compression along z at 50 K, 2.5e7 /s, free surfaces across x", _load),
        Claim("D6", "analysed region", "69 % of the atoms, away from surfaces and ends", _region),
        Claim("D7", "label", "D2min > 5.0 Å², cutoff 4.5 Å, against the undeformed glass", _label),
        Claim("D8", "plastic atoms at strain 0.04", "4.0 to 6.0 %", _share),
        Claim("D9", "strains", "to 0.10 in steps of 0.00125", _grid),
        Claim("D10", "cost of one deformation", "5000 CPU hours", _cost)),
    "Representation and model": (
        Claim("F1", "candidate features", "746 = 123 SRO + 623 MRO, 28 sets", _features),
        Claim("F2", "reduction", "variance, correlation 0.99, top 50, elimination to 13", _reduction),
        Claim("F3", "the 13 and their rank", "first: facet-area std, its NN mean, distance std",
              _thirteen),
        Claim("F4", "learner", "boosted trees, equal undersampling, isotonic calibration", _learner),
        Claim("F5", "speed", "Fortran featuriser more than 10 times plain Python", _speed)),
    "Scores": (
        Claim("S1", "AUC at strain 0.04, unseen glass, Cu65Zr35, 5e10 K/s", "0.754",
              _score("auc", 0.754, ": a faster quench lowers the AUC by the paper's own C1")),
        Claim("S2", "recall at S^q > 0.5", "73.9 %", _score("recall", 0.739)),
        Claim("S3", "yardstick", "recall 73 % (2-D), 72 % (3-D)", _yardstick),
        Claim("S4", "the share called plastic rises with D2min", "curve", _rises),
        Claim("S5", "the AUC falls slowly in the elastic stage", "stays above 0.70", _elastic),
        Claim("S6", "shear band: the AUC falls abruptly", "at strain 0.065", _band),
        Claim("S7", "atoms that slip first have the highest S^q", "curve", _order_of_slip)),
    "Feature sets alone (AUC)": (
        Claim("B1", "facet-area statistics, the best", "0.710", _best),
        Claim("B2", "volume and distance statistics among the best", "no number", _among_best),
        Claim("B3", "Voronoi indices; i-fold symmetry", "0.680",
              _sets({"voronoi_idx": 0.680, "symm_idx": 0.680})),
        Claim("B4", "Voronoi area and volume; bond order q", "0.650",
              _sets({"voronoi_area_volume": 0.650, "boop_q": 0.650})),
        Claim("B5", "chemical order; the one MRO set below its SRO set", "0.626, MRO 0.610", _csro),
        Claim("B6", "coordination number", "0.623", _sets({"cn": 0.623})),
        Claim("B7", "characteristic motifs", "0.612, MRO 0.683",
              _sets({"motifs": 0.612, "motifs_stats_nn": 0.683})),
        Claim("B8", "bond order w, the worst SRO set", "0.576", _worst_set),
        Claim("B9", "almost all MRO sets above their SRO sets", "order", _medium_range)),
    "Composition, quench rate, transfer, mechanism": (
        Claim("C1", "a faster quench lowers the AUC", "5e10 > 5e11 > 5e12 K/s", _rates),
        Claim("C2", "AUC by composition", "Cu80 >= Cu65 > Cu50", _compositions),
        Claim("C3", "standard deviation of S^q", "Cu50 0.177 < Cu65 0.216 < Cu80 0.223", _spreads),
        Claim("C4", "fall of the AUC against stress overshoot, 9 glasses", "R^2 = 0.94", _drop),
        Claim("C5", "transfer, all pairs of 9 models", "above 95 % of the own score", _transfers),
        Claim("C6", "partial dependence", "up with facet-area and distance std and their NN means, "
              "and with small distance_voro_min", _dependence),
        Claim("C7", "motifs", "icosahedra in the corner of small stds; motifs are eliminated",
              _motifs)),
}
CLAIMS: dict[str, Claim] = {claim.id: claim for some in SECTIONS.values() for claim in some}
