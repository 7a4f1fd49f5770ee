"""Why soft: what each family of features adds to the margin of the atoms that slip."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import MgmlError
from ..features import needs
from ..models.contributions import Contributions
from ..models.model import SoftnessModel
from ..progress import track
from ..system.arrays import AnyArray, Bools, Floats
from ..train.evaluate import drawn_blocks
from .result import Figure
from .runs import Loading, Run, plastic
from .stages import COLOURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

NUMBER, TITLE = "why", "why soft: what each family of features adds"
NEAR = 0.0025          # strain: a frame farther away is of another one
FEW = 20               # plastic atoms below which a mean says little
DRAWS = 300
TOTAL = "all together"


class Row(NamedTuple):
    """What a family adds to the margin of the plastic atoms, more than to that of all atoms.

    mean : over loadings.  low, high : 95 % interval by block bootstrap.  plastic : atoms, of all
    loadings.
    """

    condition: str
    family: str
    mean: float
    low: float
    high: float
    plastic: int
    loadings: int


def figures(runs: Sequence[Run], model: SoftnessModel, strain: float) -> list[Figure]:
    """The only figure of this module."""
    return [figure(runs, model, strain)]


def figure(runs: Sequence[Run], model: SoftnessModel, strain: float = 0.04) -> Figure:
    """Mean contribution by family over the atoms that are plastic at ``strain``, against that over
    all atoms, for each condition.  Only glasses that the training did not see count."""
    by_condition: dict[str, list[tuple[Run, Loading]]] = {}
    for run in runs:
        if run.structure is not None and run.seen is not True:
            for loading in run.loadings:
                by_condition.setdefault(run.condition, []).append((run, loading))
    rows: list[Row] = []
    why = "no run has positions, or the training of the model saw them all"
    try:
        for condition, pairs in by_condition.items():
            rows += _rows(condition, pairs, model, strain)
            why = f"no loading has a frame near strain {strain:g} with {FEW} plastic atoms or more"
    except MgmlError as e:
        rows, why = [], str(e)
    if not rows:
        return Figure(NUMBER, TITLE, missing=why)
    total = {row.condition: row for row in rows if row.family == TOTAL}
    caption = (
        f"What each family of features adds to the margin (log odds) of model {model.name}: mean "
        f"over the atoms plastic at strain {strain:g}, less the mean over all atoms, with 95 % "
        f"intervals by block bootstrap. The families add up to the last row, by which plastic atoms "
        f"stand above the average: " + ", ".join(
            f"{name} {row.mean:+.2f} ({row.plastic} plastic atoms, {row.loadings} loadings)"
            for name, row in total.items())
        + ". This explains the model, not the physics: features that tell the same share what they "
          "add.")
    columns = {name: np.array([getattr(row, name) for row in rows]) for name in Row._fields}
    families = len({row.family for row in rows})
    return Figure(NUMBER, TITLE, caption, columns, lambda canvas: _draw(canvas, rows),
                  size=(5.4, 1.1 + 0.1 * families * (1 + len(total)) + 0.1 * len(total)))


def contributions_of(run: Run, loading: Loading, model: SoftnessModel) -> Contributions:
    """Of the undeformed structure of a run; ``loading`` for models that go by the load."""
    structure = run.structure
    assert structure is not None
    if structure.elements != model.elements:
        number = np.array([0, *(model.elements.index(e) + 1 for e in structure.elements)], np.int32)
        structure = replace(structure, elements=model.elements, types=number[structure.types])
    load = loading.load if "load" in needs(model.features, model.elements) else None
    return model.contributions(structure.features(model.features, load, parameters=model.parameters))


def _rows(condition: str, pairs: Sequence[tuple[Run, Loading]], model: SoftnessModel,
          strain: float) -> list[Row]:
    """Of the loadings of one condition; empty if none has enough plastic atoms."""
    means, again, total = [], [], 0
    families: tuple[str, ...] = ()
    draws: dict[str, tuple[AnyArray, AnyArray]] = {}
    known: dict[tuple[str, str | None], Contributions] = {}
    by_load = "load" in needs(model.features, model.elements)
    for run, loading in track(pairs, "contributions", "loadings"):
        at = loading.at(strain)
        slipped: Bools = plastic(loading, at)
        if slipped.sum() < FEW or abs(loading.strain[at] - strain) > NEAR:
            continue
        key = run.name, loading.label if by_load else None
        if key not in known:
            known[key] = contributions_of(run, loading, model)
        found = known[key]
        families, values = found.families, found.by_family()
        ok = ~np.isnan(values).any(axis=1) & ~np.isnan(loading.d2min[at])
        if (slipped & ok).sum() < FEW:
            continue
        if run.name not in draws:            # the same blocks for all loadings of a glass
            blocks = run.blocks
            assert blocks is not None
            draws[run.name] = drawn_blocks(blocks, DRAWS, len(draws))
        total += int((slipped & ok).sum())
        one, resampled = _difference(values, slipped, ok, *draws[run.name])
        means.append(one)
        again.append(resampled)
    if not means:
        return []
    mean, drawn = np.mean(means, axis=0), np.mean(again, axis=0)
    low, high = np.nanquantile(drawn, (0.025, 0.975), axis=0)
    order = [*np.argsort(-mean[:-1], kind="stable"), len(families)]
    names = (*families, TOTAL)
    return [Row(condition, names[k], float(mean[k]), float(low[k]), float(high[k]), total, len(means))
            for k in order]


def _difference(values: Floats, slipped: Bools, ok: Bools, draws: AnyArray,
                block: AnyArray) -> tuple[Floats, Floats]:
    """(m + 1,) mean of ``values`` (n, m) over the plastic atoms less that over all, their sum last;
    and (n_draws, m + 1) the same of resampled blocks."""
    values = np.where(ok[:, None], np.column_stack([values, values.sum(axis=1)]), 0.0)
    n_blocks = draws.shape[1]

    def sums(mask: Bools) -> tuple[Floats, Floats]:
        count = np.bincount(block[mask], minlength=n_blocks).astype(np.float64)
        return count, np.stack([np.bincount(block[mask], column[mask], n_blocks)
                                for column in values.T], axis=1)

    (n_plastic, of_plastic), (n_all, of_all) = sums(ok & slipped), sums(ok)
    with np.errstate(invalid="ignore", divide="ignore"):
        again = (draws @ of_plastic) / (draws @ n_plastic)[:, None] - (
            draws @ of_all) / (draws @ n_all)[:, None]
    return of_plastic.sum(axis=0) / n_plastic.sum() - of_all.sum(axis=0) / n_all.sum(), again


def _draw(canvas: Canvas, rows: Sequence[Row]) -> None:
    ax = canvas.subplots()
    conditions = list(dict.fromkeys(row.condition for row in rows))
    first = [row.family for row in rows if row.condition == conditions[0]]
    place = {family: k for k, family in enumerate(first)}
    step = 0.8 / len(conditions)
    for c, condition in enumerate(conditions):
        own = [row for row in rows if row.condition == condition]
        y = [place[row.family] + (c - (len(conditions) - 1) / 2) * step for row in own]
        mean = np.array([row.mean for row in own])
        ends = np.array([[row.low, row.high] for row in own]).T
        ax.errorbar(mean, y, xerr=abs(ends - mean), fmt="o", markersize=4, capsize=2, linewidth=1,
                    color=COLOURS[c % len(COLOURS)], label=condition)
    ax.axvline(0.0, color="0.6", linewidth=0.8, zorder=0)
    ax.axhline(len(first) - 1.5, color="0.6", linewidth=0.8, zorder=0)
    ax.set_yticks(range(len(first)), first)
    ax.set_ylim(len(first) - 0.4, -0.6)
    ax.set_xlabel("margin of plastic atoms above that of all (log odds)")
    canvas.legend(loc="outside upper center", ncols=min(2, len(conditions)), frameon=False)
