"""Repeats of one loading: the same undeformed glass, loaded again with other velocities.

What the structure decides, the repeats share; the rest is chance.  How well some repeats predict the
plastic atoms of another is therefore what a score of any model of the undeformed structure is to be
seen against.  It rises with the number of repeats, so that it is a lower bound of what can be known,
for this glass, load, rate and temperature.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, ModelError
from ..models.model import SoftnessModel
from ..progress import track
from ..report.drawing import BLUE, GREY, ORANGE, SQ
from ..system.arrays import AnyArray, Bools, Floats
from ..train.dataset import THRESHOLD, Structure
from ..train.evaluate import LEAST_BLOCKS, auc, resampled_auc
from . import reading
from .cases import RESAMPLINGS, Score, mean, seed_of
from .result import Figure
from .runs import LENGTHS, NEAR, Run, must_be_usual, same_structure, scored, seen_by

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

LEAST = 2              # repeats: one predicts the other
TINY = 1e-12           # A^2, added to D2min in logarithms: an atom may not have moved at all
NUMBER = "7"
TITLE = "what repeats of a run tell of each other"


@dataclass(frozen=True, eq=False)
class Repeats:
    """A glass loaded several times.

    run : the undeformed glass, with the first of the loadings.  strain : (m,) that all have frames
    at.  d2min : (r, m, n) A^2 of each.  sources : the files, of each.
    """

    run: Run
    strain: Floats
    d2min: AnyArray = field(repr=False)
    sources: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.run.name

    @property
    def label(self) -> str:
        return self.run.loadings[0].label

    @property
    def structure(self) -> Structure:
        assert self.run.structure is not None      # by ``read``
        return self.run.structure

    def __len__(self) -> int:
        return len(self.d2min)

    def at(self, strain: float) -> AnyArray:
        """(r, n) D2min at a strain; InputError if no frame is there."""
        k = int(abs(self.strain - strain).argmin())
        if abs(self.strain[k] - strain) > NEAR:
            raise InputError(f"{self.name}: the repeats have no frame at strain {strain:g}, but at "
                             f"{', '.join(f'{s:.3g}' for s in self.strain)}")
        values: AnyArray = self.d2min[:, k]
        return values


def read(paths: Iterable[str | PathLike[str]],
         elements: Sequence[str] = ("Cu", "Zr")) -> list[Repeats]:
    """Repeats of dumps, one a run, and of files of ``packed``; one for each glass and kind of load.

    What a file of ``packed`` has of one load is a set of its own: other files of the same glass may
    be of another temperature or rate, which neither tells.

    elements : symbols of types 1, 2, ... of dumps that do not tell them.

    Raises
    ------
    InputError : none of these files; a single run of a glass; a run twice; frames at other strains.
    """
    whole: list[list[Run]] = []
    single: list[Run] = []
    for path in track([str(p) for p in paths], "reading", "files"):
        found = reading.each(path, elements)
        if any(run.structure is None for run in found):
            raise InputError(f"{path}: a table has no positions, so nothing tells whether it is "
                             f"of the same glass: give the dump")
        ones = [replace(run, loadings=(x,)) for run in found for x in run.loadings]
        for group in _together(ones):
            if len(group) < LEAST:
                single += group
            else:
                whole.append(group)
    return [_grouped(group) for group in (*whole, *_together(single))]


def _together(runs: Sequence[Run]) -> list[list[Run]]:
    """Those of one glass and load, each."""
    groups: list[list[Run]] = []
    for run in runs:
        group = next((g for g in groups if _same(g[0], run)), None)
        if group is None:
            groups.append([run])
        else:
            group.append(run)
    return groups


def _same(one: Run, other: Run) -> bool:
    a, b = one.structure, other.structure
    return (a is not None and b is not None and one.loadings[0].label == other.loadings[0].label
            and same_structure(a, b))


def _grouped(group: Sequence[Run]) -> Repeats:
    first = group[0]
    if len(group) < LEAST:
        raise InputError(f"{first.path}: no other run of this glass and load is given (equal "
                         f"positions in the reference frame): repeats are two or more, and those in "
                         f"a file of mgml pack are a set of their own")
    strain = np.array([s for s in first.loadings[0].strain if all(
        abs(run.loadings[0].strain - s).min() < NEAR / 10 for run in group)])
    if not len(strain):
        raise InputError(f"{group[1].path}: has no frame at a strain of those of {first.path}: dump "
                         f"both at the same strains")
    d2min = np.stack([[run.loadings[0].d2min[run.loadings[0].at(s)] for s in strain]
                      for run in group]).astype(np.float32)
    for k in range(len(group)):
        for j in range(k):
            if np.array_equal(d2min[j], d2min[k], equal_nan=True):
                raise InputError(f"{group[k].path} and {group[j].path} are one run (all D2min are "
                                 f"equal): give each other velocities")
    # any model may be asked, not only the one that the runs had
    return Repeats(replace(first, name=first.glass, own=None), strain, d2min,
                   tuple(run.path for run in group))


# What they tell ----------------------------------------------------------------------------------

@dataclass(frozen=True, eq=False)
class Told:
    """Of one glass at one strain.  Each AUC is a mean over the repeats, each predicted in turn.

    plastic : (r,) atoms of each repeat.  by_others : AUC of the mean log D2min of 1, 2, ... r - 1
    other repeats.  model : AUC of the model's margins.  share : (model - 0.5) / (ceiling - 0.5).
    """

    repeats: Repeats
    strain: float
    plastic: list[int]
    by_others: list[Score]
    model: Score
    share: Score

    @property
    def ceiling(self) -> Score:
        """AUC by all other repeats."""
        return self.by_others[-1]


def told(repeats: Repeats, model: SoftnessModel, strain: float, threshold: float = THRESHOLD) -> Told:
    """What the repeats and the model say of each of the repeats.

    threshold : of D2min (A^2).

    Raises
    ------
    InputError : a model of other lengths than Cu-Zr's; no frame at ``strain``; a repeat without
        plastic atoms; what the model needs is not there.
    ModelError : the model was trained on this glass.
    """
    must_be_usual(f"model {model.name}", LENGTHS.differences(model.lengths))
    d2 = repeats.at(strain)
    if seen_by(repeats.run, model):
        raise ModelError(f"model {model.name} was trained on {repeats.name}: a score there says "
                         f"nothing; take another glass or model")
    found = scored(repeats.run, model, repeats.run.loadings[0])
    ok = ~np.isnan(d2).any(axis=0) & ~np.isnan(found.margin)
    blocks = repeats.structure.blocks()[ok]
    labels: Bools = d2[:, ok] > threshold
    for source, row in zip(repeats.sources, labels):
        if not row.any() or row.all():
            raise InputError(f"{source}: no atom is plastic at strain {strain:g}: nothing to "
                             f"predict; take a larger --strain")
    log = np.log(d2[:, ok].astype(np.float64) + TINY)
    r, seed = len(repeats), seed_of(repeats.name)
    enough = len(np.unique(blocks)) >= LEAST_BLOCKS

    def score(which: int, values: Floats) -> Score:
        again = (resampled_auc(labels[which], values, blocks, RESAMPLINGS, seed) if enough
                 else np.full(RESAMPLINGS, np.nan))
        return Score(auc(labels[which], values), again)

    by_others = [mean(score(k, log[[(k + j) % r for j in range(1, others + 1)]].mean(axis=0))
                      for k in range(r)) for others in range(1, r)]
    of_model = mean(score(k, found.margin[ok]) for k in range(r))
    return Told(repeats, strain, [int(row.sum()) for row in labels], by_others, of_model,
                _share(of_model, by_others[-1]))


def _share(model: Score, ceiling: Score) -> Score:
    half = Score(0.5, np.full(RESAMPLINGS, 0.5))
    return (model - half) / (ceiling - half)


def together(some: Sequence[Told]) -> tuple[Score, Score, Score]:
    """(ceiling, model, share) as means over glasses; the share is that of the means."""
    ceiling, model = mean(x.ceiling for x in some), mean(x.model for x in some)
    return ceiling, model, _share(model, ceiling)


def figure(some: Sequence[Repeats], model: SoftnessModel, strain: float) -> Figure:
    """Figure 7: AUC by the number of other repeats, and that of the model.

    Raises
    ------
    InputError, ModelError : see ``told``.
    """
    answers = [told(x, model, strain) for x in track(some, "repeats", "glasses")]
    rows: list[dict[str, Any]] = []
    for x in answers:
        for others, score in enumerate(x.by_others, start=1):
            rows.append({
                "glass": x.repeats.name, "load": x.repeats.label, "strain": strain,
                "repeats": len(x.repeats), "plastic": round(float(np.mean(x.plastic))),
                "by_others": others,
                "auc": score.value, "auc_low95": score.low, "auc_high95": score.high,
                "model_auc": x.model.value, "model_auc_low95": x.model.low,
                "model_auc_high95": x.model.high, "share": x.share.value,
                "share_low95": x.share.low, "share_high95": x.share.high})
    ceiling, ours, share = together(answers)
    most = max(len(x.by_others) for x in answers)

    def draw(canvas: Canvas) -> None:
        ax = canvas.add_subplot()
        for x in answers:
            ax.plot(range(1, len(x.by_others) + 1), [s.value for s in x.by_others], "o-", ms=3,
                    lw=0.9, color=BLUE, alpha=0.7)
            ax.plot([1, len(x.by_others)], [x.model.value] * 2, lw=0.9, color=ORANGE, alpha=0.7)
        ax.plot([], [], "o-", ms=3, color=BLUE, label="by other repeats, a line a glass")
        ax.plot([], [], color=ORANGE, label=f"by {SQ} of {model.name}")
        ax.axhline(0.5, color=GREY, lw=0.6)
        ax.set_xticks(range(1, most + 1))
        ax.set_ylim(0.45, 1.0)
        ax.set_xlabel("other repeats that predict")
        ax.set_ylabel("AUC for the plastic atoms of a repeat")
        ax.legend(loc="center right", bbox_to_anchor=(1.0, 0.66))
    return Figure(
        NUMBER, TITLE,
        f"How well other repeats of a loading predict the plastic atoms of one (mean log D2min of "
        f"the others, each repeat in turn), and how well {model.name} does, at strain {strain:g}. "
        f"All others: AUC {ceiling.value:.3f} ({ceiling.low:.3f} to {ceiling.high:.3f}); "
        f"{model.name}: {ours.value:.3f} ({ours.low:.3f} to {ours.high:.3f}), "
        f"{100 * share.value:.0f} % of the way from 0.5 to that; 95 % by block bootstrap. Means over "
        f"{len(answers)} "
        f"{'glass' if len(answers) == 1 else 'glasses'}.",
        {key: np.array([row[key] for row in rows]) for key in rows[0]}, draw)
