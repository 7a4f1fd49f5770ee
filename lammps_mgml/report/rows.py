"""What a run's own D2min says about its softness, strain by strain."""
from __future__ import annotations

from collections.abc import Callable, Collection
from os import PathLike
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..io.dump import Frame, read_frames
from ..progress import track
from ..system.arrays import Bools, Floats, Ints
from ..system.box import Box
from ..train.dataset import THRESHOLD, cubes
from ..train.evaluate import auc_with_error

Component = tuple[int, int]

FEW = 50               # plastic atoms below which an AUC says little
FEW_TO_SHARE = 20      # atoms below which quantiles of S^q, or a share of soft atoms, say little
SOFT = 0.5             # S^q above: as likely to slip as the average atom, or more
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
NOT_EVALUATED, NOT_THERE = 16, 32            # bits of i_site
# A^2, and 1: D2min and strain of the reference against itself are rounding errors.
ZERO_D2, ZERO_ETA = 1e-12, 1e-7
NO_STRAIN = 1e-6       # a box that deforms less does not


class Row(NamedTuple):
    """A frame of the table.

    number : of the frame in the dump, from 0.  strain : of the box against the reference's, the
    component ``Report.component``.  run : number of the reference that it goes by, from 0.
    counted : atoms with d_sq and d_d2min.  plastic : those of them with D2min above the threshold.
    error, interval : of ``auc``, standard error and 95 %, by block bootstrap.
    quantiles : (5,) S^q of the plastic atoms at ``QUANTILES``; NaN where these are too few.  median :
    S^q of all counted atoms.
    left_out : {reason: atoms}.  edges : (3, 3) A.
    """

    number: int
    step: int
    strain: float
    run: int
    counted: int
    plastic: int
    auc: float
    error: float
    interval: tuple[float, float]
    quantiles: Floats
    median: float
    ranked: bool
    left_out: dict[str, int]
    edges: Floats


class Report(NamedTuple):
    """component : (row, column) of the deformation of the box whose value is the strain.

    sense : "compression", "tension" or "shear".  sign : of the component where it is largest.
    reference : the frame of the undeformed structure, None if the dump has none.  skipped :
    (number, step, reason) of the frames without a row.  other : (component, value) of a larger one
    than was asked for.  ranked : whether any atom has S^q.  leap : first step where a tilt has
    changed by more than a quarter of an edge since the frame before, so that flips of the box may
    have been missed.
    """

    rows: list[Row]
    component: Component
    sense: str
    sign: int
    reference: Frame | None
    skipped: list[tuple[int, int, str]]
    other: tuple[Component, float] | None
    ranked: bool
    leap: int | None

    @property
    def name(self) -> str:
        """As LAMMPS names components: zz, or xy for a displacement along x that grows with y."""
        return name_of(self.component)


def name_of(component: Component) -> str:
    row, column = component
    return "xyz"[column] + "xyz"[row]


def compare(path: str | PathLike[str], axis: int | None = None,
            reference: str | PathLike[str] | None = None,
            each: Callable[[Frame], None] | None = None,
            needed: Collection[str] = ("d_sq", "d_d2min")) -> Report:
    """Report of a dump.

    axis : 0, 1, 2, the loading axis; None: the largest component of the box's deformation tells.
    reference : file whose (first) box is that of the reference, for dumps without its frame.
    each : called with the frame of each row, in their order.  needed : columns without which a dump
    is refused; where d_sq is not among them it may be missing, as if no atom had one.

    Each frame's d_sq is that of the reference structure and rides with its atom: it is ranked
    against d_d2min of the same frame.

    Raises
    ------
    InputError : no such columns, no frame with values in them, or no strain: the box of the reference
        is not known, or no frame's box differs from it.
    """
    box = None if reference is None else _first_box(reference)
    edges = before = None if box is None else box.edges
    first = last = None                      # frames of the reference
    run = 0
    found: list[tuple[Row, Floats]] = []
    skipped, leap = [], None
    for number, frame in enumerate(track(read_frames(path), "reading", "frames")):
        missing = set(needed) - set(frame.columns)
        if missing:
            raise InputError(f"{frame.where}: needs the columns {' and '.join(needed)} "
                             f"(missing: {', '.join(sorted(missing))})")
        frame.columns.setdefault("d_sq", np.full(len(frame), np.nan))
        if before is not None:
            now = unflipped(frame.box.edges, before)
            if (np.tril(abs(now - before), -1) > 0.25 * np.diag(now)).any():
                leap = leap or frame.step
            before = now
        if not _is_evaluated(frame):
            skipped.append((number, frame.step, "left out: not evaluated at that step"))
            continue
        if _is_reference(frame):             # a dump of several runs may have several
            run += first is not None
            last, first, edges = frame, first or frame, frame.box.edges
            before = edges
            skipped.append((number, frame.step, "the reference"))
            continue
        if edges is None or before is None:
            skipped.append((number, frame.step, "left out: no reference before it, so no strain"))
            continue
        found.append((_row(number, frame, last, run), np.linalg.inv(edges) @ before - np.eye(3)))
        if each is not None:
            each(frame)
    if not found and any("no strain" in why for *_, why in skipped) and first is None:
        raise InputError(f"{path}: the strain is unknown, since no frame is the reference (none has "
                         f"d_d2min 0): give --reference, a dump or data file with its box")
    if not found and first is None:
        raise InputError(f"{path}: {len(skipped)} frames, in none of which an atom has a value of "
                         f"d_d2min (i_site {NOT_EVALUATED}: not evaluated at that step): dump at "
                         f"the steps of fix python/invoke")
    if not found and first is not None:
        raise InputError(f"{path}: no frame after the reference (step {first.step}) has values of "
                         f"d_d2min: needs a later one")
    shapes = np.array([shape for _, shape in found])
    if abs(shapes).max() < NO_STRAIN:
        raise InputError(f"{path}: there is no strain, since no frame's box differs from that of the "
                         f"reference: needs a run that deforms its box (fix deform, change_box)")
    component, sense, sign, other = strain_of(shapes, axis)
    rows = [row._replace(strain=abs(float(shape[component]))) for row, shape in found]
    return Report(rows, component, sense, sign, first, skipped, other,
                  any(row.ranked for row in rows), leap)


def strain_of(shapes: Floats,
              axis: int | None) -> tuple[Component, str, int, tuple[Component, float] | None]:
    """(component, sense, sign, larger component and its value or None) of (m, 3, 3) F - 1."""
    largest = np.abs(shapes).max(axis=0)
    row, column = np.unravel_index(largest.argmax(), (3, 3))
    component = int(row), int(column)
    other = None
    if axis is not None:
        if largest[component] > largest[axis, axis] + 1e-6:
            other = component, float(largest[component])
        component = axis, axis
    values = shapes[:, component[0], component[1]]
    sign = 1 if values[abs(values).argmax()] > 0 else -1
    sense = ("shear" if component[0] != component[1] else
             "tension" if sign > 0 else "compression")
    return component, sense, sign, other


def _row(number: int, frame: Frame, reference: Frame | None, run: int) -> Row:
    """Row of a frame, its strain still unknown; ``reference``: the frame that it goes by, or None."""
    d2, score = frame.columns["d_d2min"], frame.columns["d_sq"]
    ranked = not bool(np.isnan(score).all())
    left_out = left_out_of(frame, ranked)
    ok = ~np.any(list(left_out.values()), axis=0)
    counts = {reason: int(mask.sum()) for reason, mask in left_out.items()}
    if reference is not None:
        counts["gone"] = len(np.setdiff1d(reference.columns["id"], frame.columns["id"]))
    plastic = d2[ok] > THRESHOLD
    value, error, interval = np.nan, np.nan, [np.nan, np.nan]
    quantiles = np.full(len(QUANTILES), np.nan)
    if ranked and plastic.sum() >= FEW and not plastic.all():
        value, error, interval = auc_with_error(plastic, score[ok], blocks_of(frame, reference)[ok])
    if ranked and plastic.sum() >= FEW_TO_SHARE:
        quantiles = np.quantile(score[ok][plastic], QUANTILES)
    return Row(number, frame.step, np.nan, run, int(ok.sum()), int(plastic.sum()), value, error,
               (interval[0], interval[1]), quantiles,
               float(np.median(score[ok])) if ranked and ok.any() else np.nan, ranked,
               {reason: n for reason, n in counts.items() if n}, frame.box.edges)


def left_out_of(frame: Frame, ranked: bool) -> dict[str, Bools]:
    """{reason: (n,) atoms}, each atom for one reason; ranked : whether S^q is asked of them."""
    d2, score = frame.columns["d_d2min"], frame.columns["d_sq"]
    site = frame.columns.get("i_site", np.zeros(len(frame))).astype(np.int64)
    left_out = {"not evaluated": (site & NOT_EVALUATED) != 0, "new": (site & NOT_THERE) != 0}
    left_out["new"] &= ~left_out["not evaluated"]
    undefined = np.isnan(d2) | (np.isnan(score) if ranked else False)
    left_out["undefined"] = undefined & ~left_out["not evaluated"] & ~left_out["new"]
    return left_out


def blocks_of(frame: Frame, reference: Frame | None) -> Ints:
    """(n,) cubes for error bars: those of the reference where its atoms are still these."""
    if reference is not None:
        ids = reference.columns["id"]
        at = np.minimum(np.searchsorted(ids, frame.columns["id"]), len(ids) - 1)
        here = ids[at] == frame.columns["id"]
        both = reference.columns["d_sq"][at][here], frame.columns["d_sq"][here]
        # new atoms have no d_sq; another d_sq is that of another atom: ids were given anew
        if np.array_equal(*both, equal_nan=True) and np.isnan(frame.columns["d_sq"][~here]).all():
            return cubes(reference.box, reference.positions)[at]
    return cubes(frame.box, frame.positions)


def _first_box(path: str | PathLike[str]) -> Box:
    frame = next(read_frames(path), None)
    if frame is None:
        raise InputError(f"{path}: no frame, so no box of the reference")
    return frame.box


def _is_evaluated(frame: Frame) -> bool:
    """Whether any atom has D2min.  Version 0.1.0 left 0 in all columns that were not evaluated."""
    d2, score = frame.columns["d_d2min"], frame.columns["d_sq"]
    site = frame.columns.get("i_site", np.zeros(len(frame))).astype(np.int64)
    return bool((~np.isnan(d2) & ((site & NOT_EVALUATED) == 0)).any() and (d2.any() or score.any()))


def _is_reference(frame: Frame) -> bool:
    """Whether D2min and strain of all atoms are 0: the frame is compared with itself."""
    d2 = frame.columns["d_d2min"]
    eta = frame.columns.get("d_eta", np.zeros(1))
    return bool((d2[~np.isnan(d2)] < ZERO_D2).all() and (eta[~np.isnan(eta)] < ZERO_ETA).all())


def unflipped(edges: Floats, before: Floats) -> Floats:
    """Edges (3, 3) of the same lattice as ``edges``, without the flips of a tilted box.

    LAMMPS adds whole edges to another one when a tilt passes half the box.  ``before`` : edges of the
    frame before, without flips; from there no tilt may have changed by half an edge.
    """
    if np.triu(edges, 1).any():              # a general box: LAMMPS does not flip it
        return edges
    edges = edges.copy()
    for row in (1, 2):
        for column in range(row - 1, -1, -1):
            turns = np.round((before[row, column] - edges[row, column]) / edges[column, column])
            edges[row] += turns * edges[column]
    return edges


def next_to(report: Report, strain: float) -> Row:
    """The row whose strain is nearest to ``strain``."""
    return min(report.rows, key=lambda row: abs(row.strain - strain))


def print_table(report: Report, shown: Row | None = None) -> None:
    """A line for each frame of the dump: what it is used for, or why it is left out.

    shown : the row whose atoms are drawn.
    """
    since = (f"the reference, step {report.reference.step}" if report.reference is not None
             else "the box of --reference")
    print(f"strain: component {report.name} ({report.sense}) of the box against {since}")
    if report.other:
        print(f"note: the box deforms most in {name_of(report.other[0])} ({report.other[1]:.4f}); "
              f"without --axis the strain is that")
    if report.leap is not None:
        print(f"note: a tilt of the box changed by more than a quarter of an edge up to step "
              f"{report.leap}: if it was flipped, the strain may lack a whole edge; dump more often")
    print("    step strain plastic atoms  AUC of S^q against the D2min of this run (+- block "
          "bootstrap), panels")
    lines = {number: f"{step:8d}    -           -   {why}" for number, step, why in report.skipped}
    for row in report.rows:
        lines[row.number] = (f"{row.step:8d} {row.strain:6.4f} {row.plastic:9d}   "
                            f"{_said_of(row, row is shown)}")
    print("\n".join(line for _, line in sorted(lines.items())))


def _said_of(row: Row, shown: bool) -> str:
    if not row.ranked:
        text = "- (no atom has d_sq)"
    elif row.plastic < FEW:
        text = f"- (fewer than {FEW} plastic)"
    elif np.isnan(row.auc):
        text = "- (all are plastic)"
    else:
        text = f"{row.auc:.3f} +- {row.error:.3f}"
    panels = [*("ab" if shown and row.ranked else "a" if shown else ""),
              *("c" if not np.isnan(row.quantiles[0]) else ""), *("d" if row.auc == row.auc else "")]
    left = ", ".join(f"{n} {reason}" for reason, n in row.left_out.items())
    return (text + (f"  {' '.join(panels)}" if panels else "")
            + (f"   atoms left out: {left}" if left else ""))
