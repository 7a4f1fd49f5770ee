"""Figures 2 to 4: what slips, how well S^q tells it from strain to strain, and from glass to glass.

All are of glasses that the model's training did not see.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..io.dump import Frame
from ..models.model import SoftnessModel
from ..report.drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SQ,
    auc_scale,
    draw_auc,
    draw_by_d2,
    draw_map,
    draw_quantiles,
    draw_stress,
    quantile_scale,
    stacked,
)
from ..report.panels import shares_by_d2, slice_of
from ..report.rows import FEW, FEW_TO_SHARE, QUANTILES, SOFT
from ..system.arrays import AnyArray, Bools, Floats, Ints
from ..train.dataset import THRESHOLD
from ..train.evaluate import auc
from .cases import RESAMPLINGS, Case, Score, auc_of, common_loads, mean, moments, spread_of
from .result import Figure
from .runs import LENGTHS, NEAR, Loading, Run, Scored, component_of, plastic, scored

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

TITLES = {"2a": "slip and softness in a slice", "2b": "atoms called soft, by their D2min",
          "3a": "softness of the plastic atoms against strain",
          "3b": "AUC against strain, and stages",
          "4a": "AUC by composition and by quench rate", "4b": "fall of AUC and of stress"}
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#E69F00", "0.2", "#8C564B", "#7F3C8D",
           "#A5AA99", "#11A579", "#F97B72")
SAME_STRAIN = 6e-4     # strain: frames of loadings that are averaged together
LONGER = 0.01          # strain by which some loadings must go on to be shown apart
LEAST = 10             # plastic atoms of a loading below which its AUC is not taken
# Stages.  The first is that at which inputs/in.onset stops a run.
ONSET = 2.0            # growth of the share of plastic atoms per unit strain
OVERSHOOT = 0.05       # of the largest stress: a smaller fall after it is none
WINDOW = 0.01          # strain, over which the derivative of an AUC is taken
BEFORE = 0.02          # strain before that window, with which it is compared
ABRUPT = 2.0           # times the slope there: a fall that is faster is abrupt
DROP = 0.06, 0.08      # strains of Fig. 4b
GLASSES = 3            # for a correlation


# Curves -------------------------------------------------------------------------------------------

@dataclass(frozen=True, eq=False)
class Part:
    """A loading of a curve.  frames : (m,) those at the curve's strains.  scored : what the model
    says of the undeformed glass."""

    run: Run
    loading: Loading
    frames: Ints
    scored: Scored = field(repr=False)

    def known(self, k: int) -> Bools:
        """(n,) atoms with D2min and S^q at the curve's strain k."""
        found: Bools = ~np.isnan(self.loading.d2min[self.frames[k]]) & self.scored.defined
        return found

    def plastic(self, k: int) -> Bools:
        found: Bools = plastic(self.loading, int(self.frames[k])) & self.scored.defined
        return found

    @property
    def blocks(self) -> Ints:
        """(n,) cubes; without positions each atom is in one and the same."""
        found = self.run.blocks
        return np.zeros(self.run.n, dtype=np.int64) if found is None else found


@dataclass(frozen=True, eq=False)
class Curve:
    """Loadings of one condition, at the strains (m,) that all of them have.

    auc : mean over the loadings at each strain, NaN where one of them has fewer than ``LEAST``
    plastic atoms or all together fewer than ``FEW``.  share : (m,) plastic atoms among those known.
    """

    condition: str
    parts: tuple[Part, ...]
    strain: Floats
    auc: tuple[Score, ...] = field(repr=False)
    share: Floats = field(repr=False)

    @property
    def runs(self) -> list[Run]:
        return list({part.run.name: part.run for part in self.parts}.values())

    def at(self, strain: float) -> int:
        return int(abs(self.strain - strain).argmin())

    @property
    def stress(self) -> Floats | None:
        """(m,) GPa, mean of the loadings; None if one has none."""
        found = [part.loading.stress for part in self.parts]
        if any(one is None for one in found):
            return None
        stress: Floats = np.mean([one[part.frames] for one, part in zip(found, self.parts)
                                  if one is not None], axis=0)
        return stress

    @property
    def of(self) -> str:
        """The glasses and loads, for captions."""
        loads = dict.fromkeys(part.loading.label for part in self.parts)
        return (f"{self.condition}: {_listed(run.name for run in self.runs)} "
                f"({_listed(loads)})")

    def band(self) -> tuple[Floats, Floats, Floats]:
        """AUC and the ends of its interval, (m,) each."""
        return (np.array([s.value for s in self.auc]), np.array([s.low for s in self.auc]),
                np.array([s.high for s in self.auc]))

    def numbers(self) -> dict[str, Floats]:
        """``band`` as columns of a table."""
        return dict(zip(("auc", "auc_low95", "auc_high95"), self.band()))


def _listed(words: Iterable[str], most: int = 6) -> str:
    words = list(words)
    return ", ".join(words) if len(words) <= most else (
        f"{', '.join(words[:most - 1])} and {len(words) - most + 1} more")


def curves_of(runs: Sequence[Run], model: SoftnessModel) -> list[Curve]:
    """A curve for each condition, of the compressions (else: loads) that its glasses share, and one
    more where some of them go on to strains that the others do not have."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.condition, []).append(run)
    out = []
    for condition, members in groups.items():
        labels = common_loads(members)
        pairs = [(run, loading) for run in members for loading in run.loadings
                 if loading.label in labels or not labels]
        known: dict[tuple[str, str, int], Score] = {}
        for some in _lengths(pairs):
            curve = _curve(condition, some, model, known)
            if curve is not None:
                out.append(curve)
    return out


def _lengths(pairs: Sequence[tuple[Run, Loading]]) -> list[list[tuple[Run, Loading]]]:
    """All loadings, and apart those that go on much longer than the shortest."""
    last = [loading.strain[-1] for _, loading in pairs]
    longer = [pair for pair, end in zip(pairs, last) if end > min(last) + LONGER]
    return [list(pairs), *([longer] if longer else [])]


def _curve(condition: str, pairs: Sequence[tuple[Run, Loading]], model: SoftnessModel,
           known: dict[tuple[str, str, int], Score]) -> Curve | None:
    shortest = min((loading for _, loading in pairs), key=lambda x: len(x.strain))
    strain = np.array([s for s in shortest.strain if all(
        abs(x.strain - s).min() < SAME_STRAIN for _, x in pairs)])
    if not len(strain):
        return None
    parts = tuple(Part(run, x, np.array([x.at(s) for s in strain]), scored(run, model, x))
                  for run, x in pairs)
    aucs, shares = [], []
    for k in range(len(strain)):
        plastics = [int(part.plastic(k).sum()) for part in parts]
        enough = min(plastics) >= LEAST and sum(plastics) >= FEW
        aucs.append(mean([_auc_at(part, k, known) for part in parts]) if enough else
                    Score(np.nan, np.full(RESAMPLINGS, np.nan)))
        shares.append(sum(plastics) / max(sum(int(part.known(k).sum()) for part in parts), 1))
    return Curve(condition, parts, strain, tuple(aucs), np.array(shares))


def _auc_at(part: Part, k: int, known: dict[tuple[str, str, int], Score]) -> Score:
    frame = int(part.frames[k])
    key = part.run.name, part.loading.label, frame
    if key not in known:
        case = Case(part.run, part.loading, part.plastic(k), part.known(k))
        if part.run.structure is None:       # no blocks, no interval
            ok = case.known
            known[key] = Score(auc(case.plastic[ok], part.scored.margin[ok]),
                               np.full(RESAMPLINGS, np.nan))
        else:
            known[key] = auc_of(case, part.scored.margin)
    return known[key]


# Stages -------------------------------------------------------------------------------------------

@dataclass(frozen=True, eq=False)
class Stages:
    """Strains at which a stage begins, NaN where it does not or cannot be told.

    onset : the share of plastic atoms grows faster than ``ONSET`` per unit strain.  peak : the
    stress is largest, and falls by ``OVERSHOOT`` of it later.  band : not before the peak, the AUC
    falls more than ``ABRUPT`` times as fast over ``WINDOW`` around that strain as over ``BEFORE``
    before that, beyond the 95 % interval of the difference.  growth : (m,) of the share, since the
    strain before.  slope : (m,) of the AUC over the window.
    """

    onset: float
    peak: float
    band: float
    growth: Floats
    slope: Floats

    def name(self, strain: float) -> str:
        """Stage of a strain."""
        for begin, word in ((self.band, "band"), (self.peak, "overshoot"), (self.onset, "yield")):
            if strain >= begin - 1e-9:
                return word
        return "elastic"


def stages_of(strain: Floats, share: Floats, aucs: Sequence[Score], stress: Floats | None) -> Stages:
    """See ``Stages``.  share, stress (GPa or None) : (m,)."""
    growth = np.diff(share, prepend=0.0) / np.diff(strain, prepend=0.0)
    fast = np.flatnonzero(growth > ONSET)
    onset = float(strain[fast[0]]) if len(fast) else np.nan
    peak = np.nan
    if stress is not None and len(stress):
        top = int(stress.argmax())
        if stress[top] - stress[top:].min() > OVERSHOOT * stress[top]:
            peak = float(strain[top])
    slope, band = np.full(len(strain), np.nan), np.nan
    first = next((k for k, score in enumerate(aucs) if score.value == score.value), len(strain))
    for k in range(first, len(strain)):
        begin = max(int(np.searchsorted(strain, strain[k] - WINDOW / 2 - 1e-9)), first)
        end = int(np.searchsorted(strain, strain[k] + WINDOW / 2 - 1e-9))
        if end >= len(strain):
            break
        width = strain[end] - strain[begin]
        fall = aucs[end] - aucs[begin]
        slope[k] = fall.value / width
        if begin < first + 2 or not np.isnan(band) or (
                stress is not None and not strain[k] >= peak - 1e-9):
            continue
        # not from the first one on: an AUC falls fast while the softest atoms slip, then slowly
        early = max(int(np.searchsorted(strain, strain[begin] - BEFORE - 1e-9)), first)
        before = aucs[begin] - aucs[early]
        scale = ABRUPT * width / (strain[begin] - strain[early])
        allowed = Score(min(scale * before.value, 0.0), np.minimum(scale * before.again, 0.0))
        if (fall - allowed).high < 0:
            band = float(strain[k])
    return Stages(onset, peak, band, growth, slope)


# The figures --------------------------------------------------------------------------------------

def figures(runs: Sequence[Run], model: SoftnessModel, strain: float) -> list[Figure]:
    """Figures 2a, 2b, 3a, 3b, 4a and 4b."""
    judged = [run for run in runs if not run.seen]
    if not judged:
        names = _listed(run.name for run in runs)
        why = (f"model {model.name} was trained on {names}: a score there says nothing; give runs of "
               f"other glasses")
        return [Figure(number, title, missing=why) for number, title in TITLES.items()]
    curves = curves_of(judged, model)
    if not curves:
        why = "the loadings of no condition have a strain in common"
        return [Figure(number, title, missing=why) for number, title in TITLES.items()]
    unknown = _listed(run.name for run in judged if run.seen is None)
    doubt = f" Whether the training of {model.name} saw {unknown} is not known." if unknown else ""
    near = max(curves, key=lambda c: (abs(c.strain[c.at(strain)] - strain) < NEAR, len(c.runs)))
    far = max(curves, key=lambda c: (round(float(c.strain[-1]), 2), len(c.runs)))
    tail = f" Model {model.name}.{doubt}"
    return [map_figure(near, strain, tail), by_d2_figure(near, strain, tail),
            quantile_figure(far, tail), auc_figure(far, tail), conditions_figure(curves, tail),
            drop_figure(judged, model, tail)]


def _texts(values: Iterable[str]) -> AnyArray:
    return np.array(list(values), dtype=object)


def map_figure(curve: Curve, strain: float, tail: str) -> Figure:
    """2a: a slice through one glass."""
    parts = [part for part in curve.parts if part.run.structure is not None]
    if not parts:
        return Figure("2a", TITLES["2a"], missing="tables have no positions: give the dump of the "
                                                  "run, or its glass file")
    part = next((p for p in parts if p.loading.label == "z-compression"), parts[0])
    k = curve.at(strain)
    structure, n = part.run.structure, part.run.n
    assert structure is not None
    columns: dict[str, AnyArray] = {
        "id": np.arange(1, n + 1), "type": structure.types.astype(np.int64),
        **dict(zip("xyz", structure.positions.T)), "d_sq": part.scored.softness,
        "d_d2min": part.loading.d2min[part.frames[k]].astype(np.float64)}
    frame = Frame(0, structure.box, columns, part.run.path, np.zeros(3))
    found = slice_of(frame, component_of(part.loading.label))
    elements, here = structure.elements, float(curve.strain[k])

    def draw(canvas: Canvas) -> None:
        draw_map(canvas, canvas.add_subplot(), found, elements,
                 f"{part.run.name}, {part.loading.label}, strain {here:g}", LENGTHS)
    across, upright = "xyz"[found.across], "xyz"[found.upright]
    plane = f"D2min to strain {here:g} in the plane through the middle of the undeformed glass"
    return Figure(
        "2a", TITLES["2a"],
        f"{plane}, and the atoms within {found.thickness / 2:g} A of it with S^q above {SOFT:g} "
        f"(dots). {part.run.name} ({part.run.condition}), {part.loading.label}.{tail}",
        {"id": found.ids, "element": _texts(elements[t - 1] for t in found.types),
         f"{across}_A": found.x[:, 0], f"{upright}_A": found.x[:, 1], "d2min_A2": found.d2,
         "sq": found.softness}, draw, size=(4.6, 4.2))


def by_d2_figure(curve: Curve, strain: float, tail: str) -> Figure:
    """2b: share of the atoms called soft, against D2min."""
    k = curve.at(strain)
    d2, soft, blocks, of = [], [], [], {run.name: i for i, run in enumerate(curve.runs)}
    many = 1 + max(int(part.blocks.max()) for part in curve.parts)
    for part in curve.parts:
        ok = part.known(k)
        d2.append(part.loading.d2min[part.frames[k]][ok].astype(np.float64))
        soft.append(part.scored.softness[ok] > SOFT)
        blocks.append(part.blocks[ok] + many * of[part.run.name])
    found = shares_by_d2(np.concatenate(d2), np.concatenate(soft), np.concatenate(blocks), LENGTHS)
    low, high = found.low, found.high
    interval = "95 % by block bootstrap"
    if any(part.run.structure is None for part in curve.parts):
        low, high = np.full_like(low, np.nan), np.full_like(high, np.nan)
        interval = "no interval, since tables have no positions"
        found = found._replace(low=found.share, high=found.share)
    here = float(curve.strain[k])

    def draw(canvas: Canvas) -> None:
        upper, lower = stacked(canvas, canvas.add_gridspec(1, 1)[0, 0], (1.0, 2.2))
        draw_by_d2(upper, lower, found, f"{curve.condition}, strain {here:g}", LENGTHS)
    plastics, softs = (int(x[found.edges[:-1] >= THRESHOLD - 1e-9].sum())
                       for x in (found.atoms, found.soft))
    recall = f"{softs} of {plastics} plastic atoms are soft" + (
        f" ({100 * softs / plastics:.1f} %)" if plastics else "")
    return Figure(
        "2b", TITLES["2b"],
        f"Share of the atoms with S^q above {SOFT:g}, by their D2min ({interval}; bins of fewer than "
        f"{FEW_TO_SHARE} atoms are left out), and the distributions of D2min of soft and other "
        f"atoms. {recall}. {curve.of}.{tail}",
        {"d2min_from_A2": found.edges[:-1], "d2min_to_A2": found.edges[1:], "atoms": found.atoms,
         "soft": found.soft, "share_soft": found.share, "low95": low, "high95": high}, draw,
        size=(4.2, 3.8))


def quantile_figure(curve: Curve, tail: str) -> Figure:
    """3a: S^q of the plastic atoms."""
    m = len(curve.strain)
    quantiles, median, plastics = np.full((len(QUANTILES), m), np.nan), np.empty(m), np.empty(m, int)
    for k in range(m):
        values = np.concatenate([part.scored.softness[part.plastic(k)] for part in curve.parts])
        plastics[k] = len(values)
        if len(values) >= FEW_TO_SHARE:
            quantiles[:, k] = np.quantile(values, QUANTILES)
        median[k] = np.median(np.concatenate([part.scored.softness[part.known(k)]
                                              for part in curve.parts]))
    if np.isnan(quantiles[0]).all():
        return Figure("3a", TITLES["3a"], missing=f"{curve.of}: fewer than {FEW_TO_SHARE} plastic "
                                                  f"atoms at every strain to {curve.strain[-1]:g}")

    def draw(canvas: Canvas) -> None:
        ax = canvas.add_subplot()
        draw_quantiles(ax, curve.strain, quantiles, median)
        quantile_scale(ax, LENGTHS)
        ax.set_xlabel("strain")
        ax.set_xlim(0, 1.02 * curve.strain[-1])
        ax.set_title(curve.condition, loc="left")
        ax.legend(loc="lower left", ncols=2, handlelength=1.6)
    return Figure(
        "3a", TITLES["3a"],
        f"S^q (of the undeformed glass) of the atoms that are plastic at each strain. "
        f"{curve.of}.{tail}",
        {"strain": curve.strain, "plastic": plastics,
         **{f"sq_plastic_{100 * q:.0f}": row for q, row in zip(QUANTILES, quantiles)},
         "sq_all_50": median}, draw)


def auc_figure(curve: Curve, tail: str) -> Figure:
    """3b: AUC, growth of the share of plastic atoms and stress, and the stages."""
    numbers, strain, stress = curve.numbers(), curve.strain, curve.stress
    if np.isnan(numbers["auc"]).all():
        return Figure("3b", TITLES["3b"], missing=f"{curve.of}: too few plastic atoms at every "
                                                  f"strain to {strain[-1]:g} for an AUC")
    stages = stages_of(strain, curve.share, curve.auc, stress)
    begins = [(stages.onset, "yield"), (stages.peak, "overshoot"), (stages.band, "band")]

    def draw(canvas: Canvas) -> None:
        rows = 2 if stress is None else 3
        axes = canvas.subplots(rows, 1, sharex=True, gridspec_kw={
            "height_ratios": [2.0, 1.0, 1.0][:rows], "hspace": 0.03})
        top, middle = axes[:2]
        draw_auc(top, strain, *curve.band(), band="95 % (block bootstrap)")
        top.set_ylabel(f"AUC of {SQ}")
        auc_scale(top)
        top.legend(loc="lower left")
        top.set_title(curve.condition, loc="left")
        edges = np.append(0.0, strain)
        middle.stairs(stages.growth, edges, color=BLUE, baseline=None)
        middle.axhline(ONSET, color=GREY, lw=0.8, ls=":")
        middle.set_ylabel("growth of\nplastic share")
        middle.set_ylim(0.0, 1.2 * max(ONSET, stages.growth.max()))
        if stress is not None:
            lines = [x.loading.curve for x in curve.parts if x.loading.curve is not None]
            for line in lines:
                draw_stress(axes[2], line, LENGTHS, alpha=0.35, lw=0.6)
            draw_stress(axes[2], np.stack([edges, np.append(0.0, stress)], axis=1), LENGTHS,
                        marker="o", ms=2.0)
            axes[2].set_ylim(min(0.0, *(1.05 * x[:, 1].min() for x in lines)),
                             1.15 * max(x[:, 1].max() for x in lines))
        axes[-1].set_xlabel("strain")
        _mark(axes, begins, float(strain[-1]))
    told = [f"{word} from strain {begin:g}" for begin, word in begins if begin == begin]
    last = f"{strain[-1]:g}"
    if np.isnan(stages.onset):
        told.append(f"the share of plastic atoms grows by less than {ONSET:g} per unit strain up to "
                    f"{last}")
    if stress is None:
        told.append("no overshoot, since stress is not known")
    elif np.isnan(stages.peak):
        told.append(f"no overshoot up to {last}")
    if np.isnan(stages.band):
        told.append(f"no abrupt fall of the AUC up to {last}")
    return Figure(
        "3b", TITLES["3b"],
        f"AUC of S^q against the atoms that are plastic at each strain, mean of the loadings; "
        f"running derivative of the share of plastic atoms"
        f"{'' if stress is None else '; stress of each loading (thin) and its mean'}. "
        f"Stages: {'; '.join(told)}. Yield: this derivative passes {ONSET:g}; overshoot: from the "
        f"largest stress, if it falls by {100 * OVERSHOOT:g} % later; band: from there on, the AUC "
        f"falls more than {ABRUPT:g} times as fast over {WINDOW:g} of strain as over the {BEFORE:g} "
        f"before, beyond the 95 % interval of the difference. {curve.of}.{tail}",
        {"strain": strain, **numbers, "share_plastic": curve.share, "share_growth": stages.growth,
         "auc_slope": stages.slope,
         "stress_GPa": np.full(len(strain), np.nan) if stress is None else stress,
         "stage": _texts(stages.name(s) for s in strain)}, draw, size=(4.6, 5.0))


def _mark(axes: Sequence[Axes], begins: Sequence[tuple[float, str]], last: float) -> None:
    """Lines where the stages begin, and their names."""
    low, high = axes[0].get_ylim()
    axes[0].set_ylim(low, high + 0.1 * (high - low))         # room for the names
    known = [(begin, word) for begin, word in begins if begin == begin]
    # a stage that begins with, or after, the next one has no span of its own
    known = [(b, w) for k, (b, w) in enumerate(known) if all(b < later for later, _ in known[k + 1:])]
    # and room for that of a stage that has just begun
    limit = max(1.02 * last, 0.13 * last + max((begin for begin, _ in known), default=0.0))
    axes[-1].set_xlim(0, limit)
    spans = [(0.0, "elastic"), *known, (limit, "")]
    for (begin, word), (end, _) in zip(spans, spans[1:]):
        for ax in axes:
            if begin:
                ax.axvline(begin, color=GREY, lw=0.8, ls="--")
        axes[0].annotate(word, ((begin + end) / 2, 1), (0, -3), ("data", "axes fraction"),
                         "offset points", va="top", ha="center", fontsize=7.5, color=GREY,
                         bbox={"fc": "white", "ec": "none", "pad": 0.5})


def conditions_figure(curves: Sequence[Curve], tail: str) -> Figure:
    """4a: AUC against strain by composition and by rate, and the spread of S^q."""
    sigma = {c.condition: _sigma(c) for c in curves}
    columns: dict[str, list[Any]] = {}
    for curve in curves:
        numbers, one, run = curve.numbers(), sigma[curve.condition], curve.runs[0]
        for k, strain in enumerate(curve.strain):
            row = {"condition": curve.condition, "composition": run.composition,
                   "rate_K_per_s": np.nan if run.rate is None else run.rate,
                   "glasses": len(curve.runs), "loadings": len(curve.parts), "strain": strain,
                   **{key: values[k] for key, values in numbers.items()},
                   "share_plastic": curve.share[k], "sigma_s": one.value,
                   "sigma_s_low95": one.low, "sigma_s_high95": one.high}
            for key, value in row.items():
                columns.setdefault(key, []).append(value)
    kinds = [(one.runs[0].composition, _preparation(one)) for one in curves]
    composition = _most(kinds, 0)
    preparation = _most(kinds, 1)
    colour = {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(sigma)}

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots(1, 3, gridspec_kw={"width_ratios": [1.0, 1.0, 0.6]})
        last = max(float(c.strain[-1]) for c in curves)
        for ax, place, fixed in ((axes[0], 1, preparation), (axes[1], 0, composition)):
            named: set[str] = set()
            for curve, kind in zip(curves, kinds):
                if kind[place] == fixed:
                    name = kind[1 - place]
                    draw_auc(ax, curve.strain, *curve.band(),
                             colour=colour[curve.condition], label=None if name in named else name,
                             ls="--" if name in named else "-")
                    named.add(name)
            ax.set_title(fixed, loc="left")
            ax.set_xlabel("strain")
            ax.set_xlim(0, 1.05 * last)
            auc_scale(ax)
            # below: with several bands there is no free place in the axes
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18))
        low = min(ax.get_ylim()[0] for ax in axes[:2])
        high = max(ax.get_ylim()[1] for ax in axes[:2])
        for ax in axes[:2]:
            ax.set_ylim(low, high)
        axes[0].set_ylabel(f"AUC of {SQ}")
        axes[1].tick_params(labelleft=False)
        _draw_sigma(axes[2], sigma, colour)
    few = [] if len({k[0] for k in kinds}) > 1 else ["there is one composition"]
    few += [] if len({k[1] for k in kinds if k[0] == composition}) > 1 else [
        f"there is one quench rate of {composition}"]
    sizes = "; ".join(f"{c.condition}: {len(c.runs)} glass{'es' if len(c.runs) > 1 else ''}, "
                      f"{len(c.parts)} loadings to strain {c.strain[-1]:g}" for c in curves)
    return Figure(
        "4a", TITLES["4a"],
        f"AUC of S^q against strain: compositions of one preparation, preparations of one "
        f"composition; and sigma_S, the standard deviation of S^q over the atoms of the undeformed "
        f"glasses (95 % by block bootstrap). One model for all conditions, where the "
        f"paper has one for each. {sizes}."
        + (f" Here {' and '.join(few)}." if few else "") + tail, columns, draw,
        size=(7.2, 2.8 + 0.17 * max(len({k[1] for k in kinds}), len({k[0] for k in kinds}))))


def _preparation(curve: Curve) -> str:
    """What a condition says besides the composition."""
    return curve.condition.removeprefix(curve.runs[0].composition).lstrip(", ")


def _most(kinds: Sequence[tuple[str, str]], place: int) -> str:
    """The word at ``place`` with which most different ones at the other place go."""
    others: dict[str, set[str]] = {}
    for kind in kinds:
        others.setdefault(kind[place], set()).add(kind[1 - place])
    return max(others, key=lambda word: len(others[word]))


def _sigma(curve: Curve) -> Score:
    """Standard deviation of S^q over the atoms of all glasses."""
    found = {part.run.name: part for part in curve.parts}.values()
    again = spread_of(moments(p.scored.softness, p.blocks, p.run.name) for p in found)
    if any(part.run.structure is None for part in found):
        return Score(again.value, np.full(RESAMPLINGS, np.nan))
    return again


def _draw_sigma(ax: Axes, sigma: dict[str, Score], colour: dict[str, str]) -> None:
    names = sorted(sigma, reverse=True)
    for k, name in enumerate(names):
        one = sigma[name]
        bars = None if np.isnan(one.low) else np.maximum(
            [[one.value - one.low], [one.high - one.value]], 0.0)
        ax.errorbar([one.value], [k], xerr=bars, fmt="o", ms=4, color=colour[name], capsize=2)
    few = len(names) <= 7                    # more would stand on each other in two lines
    ax.set_yticks(range(len(names)), [name.replace(", ", "\n", 1) if few else name for name in names],
                  fontsize=7 if few else 6)
    ax.yaxis.tick_right()
    ax.locator_params(axis="x", nbins=3)
    ax.set_ylim(-0.5, len(names) - 0.5)
    ax.set_xlabel(f"$\\sigma_S$, spread of {SQ}")


def drop_figure(runs: Sequence[Run], model: SoftnessModel, tail: str) -> Figure:
    """4b: fall of the AUC against that of the stress, a point for each glass."""
    begin, end = DROP
    rows: list[dict[str, Any]] = []
    falls: list[Score] = []
    for run in runs:
        labels = common_loads([run])
        found = [x for x in run.loadings if x.label in labels and x.stress is not None and all(
            abs(x.strain[x.at(s)] - s) < NEAR for s in DROP)]
        known: dict[tuple[str, str, int], Score] = {}
        parts = [Part(run, x, np.array([x.at(s) for s in DROP]), scored(run, model, x))
                 for x in found]
        parts = [p for p in parts if min(int(p.plastic(k).sum()) for k in (0, 1)) >= LEAST]
        if not parts:
            continue
        fall = mean([_auc_at(p, 0, known) - _auc_at(p, 1, known) for p in parts])
        falls.append(fall)
        rows.append({"glass": run.name, "condition": run.condition, "loadings": len(parts),
                     "stress_fall_GPa": float(np.mean([_stress(p, 0) - _stress(p, 1)
                                                       for p in parts])),
                     "auc_fall": fall.value, "auc_fall_low95": fall.low,
                     "auc_fall_high95": fall.high})
    if len(rows) < GLASSES:
        there = _listed(row["glass"] for row in rows) or "none"
        return Figure("4b", TITLES["4b"], missing=(
            f"needs {GLASSES} unseen glasses or more that are loaded to strain {end:g}, with stress; "
            f"there {'are' if len(rows) > 1 else 'is'} {there}"))
    x = np.array([row["stress_fall_GPa"] for row in rows])
    y = np.array([fall.value for fall in falls])
    again = Score(_r2(x, y), np.array([_r2(x, one) for one in np.array([f.again for f in falls]).T]))
    names = list(dict.fromkeys(row["condition"] for row in rows))

    def draw(canvas: Canvas) -> None:
        ax = canvas.add_subplot()
        for k, name in enumerate(names):
            of = np.array([row["condition"] == name for row in rows])
            bars = np.maximum([y - [f.low for f in falls], [f.high for f in falls] - y], 0.0)
            ax.errorbar(x[of], y[of], bars[:, of], fmt="o", ms=4, capsize=2, elinewidth=0.8,
                        color=COLOURS[k % len(COLOURS)], label=name)
        slope, at = np.polyfit(x, y, 1)
        ends = np.array([x.min(), x.max()])
        ax.plot(ends, slope * ends + at, color=GREY, lw=0.9, ls="--")
        ax.axhline(0.0, color=GREY, lw=0.6)
        ax.set_xlabel(f"fall of the stress from strain {begin:g} to {end:g} (GPa)")
        ax.set_ylabel(f"fall of the AUC of {SQ}")
        ax.set_title(f"$R^2$ = {again.value:.2f} ({again.low:.2f} to {again.high:.2f})", loc="left")
        canvas.legend(loc="outside right upper")   # points and bars may lie anywhere
    return Figure(
        "4b", TITLES["4b"],
        f"Fall of the AUC from strain {begin:g} to {end:g} against that of the stress, a point for "
        f"each glass (mean of its loadings; 95 % by block bootstrap). R^2 = {again.value:.2f}, 95 % "
        f"between {again.low:.2f} and {again.high:.2f} by the same bootstrap, which takes these "
        f"{len(rows)} glasses as they are.{tail}",
        {**{key: _texts([row[key] for row in rows]) if key in ("glass", "condition") else
            np.array([row[key] for row in rows]) for key in rows[0]},
         "r2": np.full(len(rows), again.value)}, draw, size=(6.4, 3.4))


def _stress(part: Part, k: int) -> float:
    assert part.loading.stress is not None
    return float(part.loading.stress[part.frames[k]])


def _r2(x: Floats, y: Floats) -> float:
    if np.isnan(y).any() or not np.ptp(x) or not np.ptp(y):
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1] ** 2)
