"""Glasses enough for a model: made batch by batch, until more of them no longer help.

A folder holds work/ (where LAMMPS runs), glasses/ (one file a glass) and campaign.json: what was
asked for, the lengths that all glasses share, the time that was used, and the learning curve.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from ..errors import InputError, MgmlError, OptionError
from ..io.glass import Glass, write_glass
from ..io.whole import write_whole
from ..system.arrays import Bools, Floats, Ints
from ..systems import System
from .dataset import Loading, read_loadings
from .evaluate import LEAST_BLOCKS, auc, drawn_blocks
from .fit import Learner, mean_fold_auc, out_of_fold, share_of
from .make import TimeIsUpError, make
from .pack import glass_of
from .plan import Plan, work_of
from .record import check, is_done, is_ready
from .springs import with_force_constants
from .trial import trial

UNSEEN, TRAINING = 2, 2                # the least of each
LEAST_GAIN = 0.002                     # of the AUC by one more glass, below which it is not worth it
IN_A_ROW = 2                           # glasses that bring less than that, before it ends
RESERVE = 0.1                          # of the budget, for training and scoring
RESAMPLED = 200


@dataclass
class Campaign:
    """See the file.  unseen, training : seeds, in the order in which the glasses are made.

    command : the words that start LAMMPS.  budget : s, of this call.  recipe : name of what the
    learning curve is of.  tell : called with lines.
    """

    system: System
    folder: Path
    n: int
    unseen: list[int]
    training: list[int]
    decks: Path
    command: Sequence[str]
    jobs: int
    budget: float
    recipe: str
    tell: Callable[[str], object] = print
    others: dict[str, Any] = field(default_factory=dict)      # of ``Plan.of``

    def __post_init__(self) -> None:
        self._began = monotonic()
        self._state = self._remembered()

    # What it remembers -------------------------------------------------------------------------

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def curve(self) -> list[dict[str, Any]]:
        """[{"glasses", "auc" (out of fold), "gain" and "gain_interval95" (by the last glass, on the
        atoms of the others)}] of the recipe."""
        return list(self._state.get("curves", {}).get(self.recipe, []))

    def _asked(self) -> dict[str, Any]:
        return {"system": self.system.name, "settings": self.system.told(), "n": self.n,
                "cutoffs": self.system.cutoffs, "unseen": self.unseen, **self.others}

    def _remembered(self) -> dict[str, Any]:
        path = self.folder / "campaign.json"
        asked = json.loads(json.dumps(self._asked()))
        try:
            state = dict(json.loads(path.read_text()))
            was = state["asked"]
        except FileNotFoundError:
            return {"mgml_campaign": 1, "asked": asked}
        except (ValueError, KeyError, TypeError) as e:
            raise InputError(f"{path} is damaged ({e}): take another folder") from None
        for key in asked:
            a, b = was.get(key), asked[key]
            if key == "settings" and a != b and isinstance(a, dict):
                key = next(k for k in (*a, *b) if a.get(k) != b.get(k))
                a, b = a.get(key), b.get(key)
            if a != b:
                raise InputError(f"{self.folder} was begun with {key} {a}, now it is {b}: take "
                                 f"another folder (-o), or put it back")
        return state

    def _remember(self, **what: Any) -> None:
        self._state.update(what)
        write_whole(self.folder / "campaign.json", (json.dumps(self._state, indent=1)
                                                    + "\n").encode())

    # Time --------------------------------------------------------------------------------------

    @property
    def left(self) -> float:
        """s, of the budget."""
        return self.budget - (monotonic() - self._began)

    def _estimate(self, plans: Sequence[Plan]) -> float:
        """s that what is missing of ``plans`` will take."""
        each = [sum(work_of(p, s) for s in p.steps() if not is_done(self.work, s)) for p in plans]
        wide = max(sum(each) / self.jobs, max(each, default=0.0))
        return float(wide * self._state["seconds_each"])

    # Glasses -----------------------------------------------------------------------------------

    def plan(self, seed: int) -> Plan:
        return Plan.of(self.system, seed, self.n, **self.others)

    def run(self, learn: Callable[[Sequence[Loading]], tuple[Learner, Sequence[str]]],
            strain: float) -> tuple[list[Loading], list[Loading]]:
        """(training loadings, unseen loadings) of as many glasses as help and the budget allows.

        learn : (learner, features) for training loadings.  strain : of the labels.

        Raises
        ------
        OptionError : the budget is too short for the least.
        MgmlError : it was, as it turned out; or LAMMPS failed.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        first = [*self.unseen[:UNSEEN], *self.training[:TRAINING], *self.unseen[UNSEEN:]]
        for seed in (*first, *self.training):
            check(self.plan(seed), self.work)
        self._time_one_force()
        self._check_budget([self.plan(s) for s in first])
        self._remember()
        done = 0
        try:
            self._make(first)
            for done in range(TRAINING, len(self.training) + 1):
                self._pack([*self.unseen, *self.training[:done]])
                self._learn(self.training[:done], learn, strain)
                if self._is_enough():
                    self.tell(f"{done} glasses: the last {IN_A_ROW} raised the AUC out of fold by "
                              f"less than {LEAST_GAIN:g} each: enough")
                    break
                following = self.training[done:done + max(self.jobs, 1)]
                if not following:
                    break
                plans = [self.plan(s) for s in following[:1]]
                needed = self._estimate(plans)
                if needed > self.left - RESERVE * self.budget:
                    self.tell(f"{done} glasses: another one takes about {clock(needed)}, "
                              f"{clock(self.left)} of the budget are left: training with these")
                    break
                self._make(following)
        except TimeIsUpError:
            if done < TRAINING:
                ready = sum(is_ready(self.plan(s), self.work) for s in first)
                raise MgmlError(
                    f"the budget is over with {ready} of the {len(first)} glasses that are the least "
                    f"for training and scores: the same command goes on from here") from None
            self.tell(f"the budget is over: training with {done} glasses")
        finally:
            used = float(self._state.get("seconds", 0.0)) + monotonic() - self._began
            if self.folder.exists():
                self._remember(seconds=used)
        return self._loadings(self.training[:done]), self._loadings(self.unseen)

    def _time_one_force(self) -> None:
        if "seconds_each" not in self._state:
            found = trial(self.system, self.command)
            if found.wrong:
                raise MgmlError(f"system {self.system.name}: {found.wrong[0]} (mgml system check "
                                f"tells all)")
            self._state["seconds_each"] = found.seconds

    def _check_budget(self, plans: Sequence[Plan]) -> None:
        needed = self._estimate(plans)
        self.tell(f"{len(plans)} glasses of {self.n ** 3} atoms of {self.system.composition} are the "
                  f"least: about {clock(needed)} with -j {self.jobs}; the budget is "
                  f"{clock(self.budget)}")
        if needed > (1 - RESERVE) * self.budget:
            raise OptionError(f"the budget, {clock(self.budget)}, is too short for {len(plans)} "
                              f"glasses, which take about {clock(needed / (1 - RESERVE))}: give a "
                              f"longer --budget, a smaller --size, or the system a faster quench")

    def _make(self, seeds: Sequence[int]) -> None:
        plans = [self.plan(s) for s in seeds]
        work = sum(work_of(p, s) for p in plans for s in p.steps() if not is_done(self.work, s))
        if not work:
            return
        began = monotonic()
        make(plans, self.work, self.decks, self.command, self.jobs, self.tell,
             began + self.left - RESERVE * self.budget)
        # what the next ones will take is told by these
        wide = max(work / min(self.jobs, len(plans)), 1.0)
        self._remember(seconds_each=(monotonic() - began) / wide)

    def _pack(self, seeds: Sequence[int]) -> None:
        folder = self.folder / "glasses"
        folder.mkdir(exist_ok=True)
        for seed in seeds:
            plan = self.plan(seed)
            path = folder / f"{plan.name}.h5"
            if path.exists():
                continue
            glass: Glass = glass_of(plan, self.work, self.tell)
            write_glass(path, glass)
            self.tell(f"{plan.name}: {glass.energy:.6f} in energy an atom, {len(glass.loadings)} "
                      f"loadings; {clock(self.left)} of the budget left")

    def _loadings(self, seeds: Sequence[int]) -> list[Loading]:
        return read_loadings([self.folder / "glasses" / f"{self.plan(s).name}.h5" for s in seeds],
                             self.system.elements)

    # The learning curve ------------------------------------------------------------------------

    def _learn(self, seeds: Sequence[int], learn: Callable[[Sequence[Loading]], tuple[
            Learner, Sequence[str]]], strain: float) -> None:
        """One point more of the curve: what the glass that was added last is worth."""
        curve = self.curve
        if any(point["glasses"] == len(seeds) for point in curve):
            return
        loadings = self._loadings(seeds)
        learner, features = learn(loadings)
        loadings = with_force_constants(loadings, features)
        now = _folds_of(loadings, learner, features, strain)
        point: dict[str, Any] = {"glasses": len(seeds), "auc": now.auc}
        if len(seeds) > TRAINING:
            before = _folds_of([x for x in loadings if x.glass != self.plan(seeds[-1]).name],
                               learner, features, strain)
            point.update(zip(("gain", "gain_interval95"), _gain(before, now)))
        self._remember(curves={**self._state.get("curves", {}), self.recipe: [*curve, point]})
        told = f"{len(seeds)} glasses: AUC out of fold {now.auc:.3f}"
        if "gain" in point:
            low, high = point["gain_interval95"]
            told += f", {point['gain']:+.4f} by the last one on the atoms of the others" + (
                f" (95 % {low:+.4f} to {high:+.4f})" if low == low else "")
        self.tell(told)

    def _is_enough(self) -> bool:
        gains = [point["gain"] for point in self.curve if "gain" in point]
        return len(gains) >= IN_A_ROW and max(gains[-IN_A_ROW:]) < LEAST_GAIN


@dataclass(frozen=True)
class _Folds:
    """Out-of-fold margins, labels, blocks (numbered over all glasses) and glass of each row."""

    margins: Floats
    labels: Bools
    blocks: Ints
    glass: Ints
    names: list[str]
    auc: float


def _folds_of(loadings: Sequence[Loading], learner: Learner, features: Sequence[str],
              strain: float) -> _Folds:
    names = sorted({x.glass for x in loadings})
    rows, labels, blocks, glass = [], [], [], []
    for x in loadings:
        f = x.features(features)
        ok = ~(np.isnan(f).any(axis=1) | np.isnan(x.at(strain)))
        rows.append(f[ok])
        labels.append(x.plastic(strain)[ok])
        blocks.append(x.blocks[ok] + 100_000 * names.index(x.glass))
        glass.append(np.full(int(ok.sum()), names.index(x.glass)))
    y, number = np.concatenate(labels), np.concatenate(glass)
    share_of(y)
    margins = out_of_fold(learner, np.concatenate(rows), y, number)
    return _Folds(margins, y, np.concatenate(blocks), number, names,
                  mean_fold_auc(margins, y, number))


def _gain(before: _Folds, now: _Folds) -> tuple[float, list[float]]:
    """(how much higher the AUC is on the atoms of ``before``, 95 % interval by paired blocks)."""
    same = np.isin(now.glass, [now.names.index(name) for name in before.names])
    scores = (now.margins[same], before.margins)
    labels, glass = before.labels, before.glass

    def difference(weights: Floats | None) -> float:
        each = []
        for g in range(len(before.names)):
            one = glass == g
            w = None if weights is None else weights[one]
            each.append(auc(labels[one], scores[0][one], w) - auc(labels[one], scores[1][one], w))
        return float(np.nanmean(each))

    if any(len(np.unique(before.blocks[glass == g])) < LEAST_BLOCKS
           for g in range(len(before.names))):
        return difference(None), [float("nan")] * 2
    draws, inverse = drawn_blocks(before.blocks, RESAMPLED)
    again = [difference(draw[inverse].astype(np.float64)) for draw in draws]
    return difference(None), [float(v) for v in np.nanquantile(again, (0.025, 0.975))]


def seconds(text: str) -> float:
    """s of 2h, 1h30m, 45m, 90s or 600; OptionError for anything else."""
    import re

    found = re.fullmatch(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s?)?", text.strip())
    try:
        parts = [float(x) if x else 0.0 for x in found.groups()] if found and text.strip() else []
    except ValueError:
        parts = []
    total = sum(x * unit for x, unit in zip(parts, (3600, 60, 1)))
    if not total > 0:
        raise OptionError(f"--budget {text!r}: write it as 2h, 1h30m, 45m or 600 (s)")
    return total


def clock(s: float) -> str:
    """12 -> 0:00:12, 4000 -> 1:06:40."""
    s = max(round(s), 0)
    return f"{s // 3600}:{s % 3600 // 60:02}:{s % 60:02}"


