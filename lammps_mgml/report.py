"""What a run's own D2min says about its softness: AUC strain by strain, and a picture."""
from __future__ import annotations

from os import PathLike
from typing import NamedTuple

import numpy as np

from .errors import InputError, OptionError
from .io.dump import Frame, read_frames
from .progress import track
from .system.arrays import AnyArray, Floats, Ints
from .system.box import Box
from .train.dataset import THRESHOLD, cubes
from .train.evaluate import auc_with_error

Component = tuple[int, int]

FEW = 50               # plastic atoms below which an AUC says little
NOT_EVALUATED, NOT_THERE = 16, 32            # bits of i_site
# A^2, and 1: D2min and strain of the reference against itself are rounding errors.
ZERO_D2, ZERO_ETA = 1e-12, 1e-7


class Row(NamedTuple):
    """A frame of the table.

    strain : of the box against the reference's, the component ``Report.component``; NaN: unknown.
    counted : atoms with d_sq and d_d2min.  plastic : those of them with D2min above the threshold.
    left_out : {reason: atoms}.
    """

    step: int
    strain: float
    counted: int
    plastic: int
    auc: float
    error: float
    left_out: dict[str, int]
    frame: Frame


class Report(NamedTuple):
    """component : (row, column) of the deformation of the box whose value is the strain.

    sense : "compression", "tension" or "shear".  reference : the frame of the undeformed structure,
    None if the dump has none.  box : the reference's box, None if it is unknown.  skipped : steps at
    which nothing was evaluated.  other : (component, value) of a larger one than was asked for.
    ranked : whether any atom has S^q.  leap : first step where a tilt has changed by more than a
    quarter of an edge since the frame before, so that flips of the box may have been missed.
    """

    rows: list[Row]
    component: Component
    sense: str
    reference: Frame | None
    box: Box | None
    skipped: list[int]
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
            reference: str | PathLike[str] | None = None) -> Report:
    """Report of a dump.

    axis : 0, 1, 2, the loading axis; None: the largest component of the box's deformation tells.
    reference : file whose (first) box is that of the reference, for dumps without its frame.

    Each frame's d_sq is that of the reference structure and rides with its atom: it is ranked
    against d_d2min of the same frame.

    Raises
    ------
    InputError : no such columns, or no frame with values in them.
    """
    box = None if reference is None else _first_box(reference)
    edges = before = None if box is None else box.edges
    first = last = None                      # frames of the reference
    found, skipped, ranked, leap = [], [], False, None
    for frame in track(read_frames(path), "reading", "frames"):
        missing = {"d_sq", "d_d2min"} - set(frame.columns)
        if missing:
            raise InputError(f"{frame.where}: needs the columns d_sq and d_d2min "
                             f"(missing: {', '.join(sorted(missing))})")
        if before is not None:
            now = unflipped(frame.box.edges, before)
            if (np.tril(abs(now - before), -1) > 0.25 * np.diag(now)).any():
                leap = leap or frame.step
            before = now
        if not _is_evaluated(frame):
            skipped.append(frame.step)
            continue
        ranked |= not np.isnan(frame.columns["d_sq"]).all()
        if _is_reference(frame):             # a dump of several runs may have several
            last, first, edges = frame, first or frame, frame.box.edges
            before = edges
            continue
        shape = np.full((3, 3), np.nan)
        if edges is not None and before is not None:
            shape = np.linalg.inv(edges) @ before - np.eye(3)
        found.append((frame, last, shape))
    if not found and first is None:
        raise InputError(f"{path}: {len(skipped)} frames, in none of which an atom has a value of "
                         f"d_d2min (i_site {NOT_EVALUATED}: not evaluated at that step): dump at "
                         f"the steps of fix python/invoke")
    if not found and first is not None:
        raise InputError(f"{path}: only the reference frame (step {first.step}) has values of "
                         f"d_d2min: needs a later frame")
    component, sense, other = _strain_of(np.array([shape for *_, shape in found]), axis)
    rows = [_row(frame, ref, abs(float(shape[component])), ranked)
            for frame, ref, shape in track(found, "ranking", "frames")]
    return Report(rows, component, sense, first, first.box if first else box, skipped, other, ranked,
                  leap)


def _strain_of(shapes: Floats,
               axis: int | None) -> tuple[Component, str, tuple[Component, float] | None]:
    """(component, sense, larger component and its value or None) of (m, 3, 3) F - 1."""
    largest = np.nan_to_num(np.abs(shapes)).max(axis=0)
    row, column = np.unravel_index(largest.argmax(), (3, 3))
    component = int(row), int(column)
    if not largest.any():
        component = (2, 2)
    other = None
    if axis is not None:
        if largest[component] > largest[axis, axis] + 1e-6:
            other = component, float(largest[component])
        component = axis, axis
    if component[0] != component[1]:
        return component, "shear", other
    values = np.nan_to_num(shapes[:, component[0], component[1]])
    return component, "tension" if values[abs(values).argmax()] > 0 else "compression", other


def _row(frame: Frame, reference: Frame | None, strain: float, ranked: bool) -> Row:
    """Row of a frame; ``reference``: the frame that it goes by, or None."""
    d2, score = frame.columns["d_d2min"], frame.columns["d_sq"]
    site = frame.columns.get("i_site", np.zeros(len(frame))).astype(np.int64)
    left_out = {"not evaluated": (site & NOT_EVALUATED) != 0, "new": (site & NOT_THERE) != 0}
    left_out["new"] &= ~left_out["not evaluated"]
    undefined = np.isnan(d2) | (np.isnan(score) if ranked else False)
    left_out["undefined"] = undefined & ~left_out["not evaluated"] & ~left_out["new"]
    ok = ~np.any(list(left_out.values()), axis=0)
    counts = {reason: int(mask.sum()) for reason, mask in left_out.items()}
    if reference is not None:
        counts["gone"] = len(np.setdiff1d(reference.columns["id"], frame.columns["id"]))
    plastic = d2[ok] > THRESHOLD
    value, error = np.nan, np.nan
    if ranked and plastic.sum() >= FEW and not plastic.all():
        value, error = auc_with_error(plastic, score[ok], _blocks(frame, reference)[ok], 100)[:2]
    return Row(frame.step, strain, int(ok.sum()), int(plastic.sum()), value, error,
               {reason: n for reason, n in counts.items() if n}, frame)


def _blocks(frame: Frame, reference: Frame | None) -> Ints:
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


def print_table(report: Report) -> None:
    """The rows on the screen; what is left out or unknown is said."""
    if report.box is None:
        print("strain: unknown, since no frame of the dump is the reference (none has d_d2min 0): "
              "give --reference, a dump or data file with its box")
    else:
        since = (f"the reference, step {report.reference.step}" if report.reference is not None
                 else "the box of --reference")
        print(f"strain: component {report.name} ({report.sense}) of the box against {since}")
    if report.other:
        print(f"note: the box deforms most in {name_of(report.other[0])} ({report.other[1]:.4f}); "
              f"without --axis the strain is that")
    if report.leap is not None:
        print(f"note: a tilt of the box changed by more than a quarter of an edge up to step "
              f"{report.leap}: if it was flipped, the strain may lack a whole edge; dump more often")
    print("strain   plastic atoms   AUC of S^q against the D2min of this run (+- block bootstrap)")
    for row in report.rows:
        strain = "unknown" if np.isnan(row.strain) else f"{row.strain:6.4f} "
        if not report.ranked:
            text = "- (no atom has d_sq)"
        elif row.plastic < FEW:
            text = f"- (fewer than {FEW} plastic)"
        elif np.isnan(row.auc):
            text = "- (all are plastic)"
        else:
            text = f"{row.auc:.3f} +- {row.error:.3f}"
        left = ", ".join(f"{n} {reason}" for reason, n in row.left_out.items())
        print(f"{strain}  {row.plastic:13d}   {text}" + (f"   left out: {left}" if left else ""))
    if report.skipped:
        shown = ", ".join(map(str, report.skipped[:5])) + (" ..." if len(report.skipped) > 5 else "")
        print(f"frames left out, not evaluated at that step: {len(report.skipped)} ({shown})")


def check_picture(path: str | PathLike[str]) -> None:
    """OptionError if matplotlib does not write files of that name."""
    from pathlib import Path

    from matplotlib.backends.backend_agg import FigureCanvasAgg

    kind = Path(path).suffix.lstrip(".").lower()
    known = FigureCanvasAgg.filetypes
    if kind and kind not in known:
        raise OptionError(f"--output {path}: a figure ends in {', '.join(sorted(known))}, "
                          f"not in .{kind}")


def draw(report: Report, strain: float, path: str | PathLike[str], slab: float = 5.0) -> Row:
    """A slice of S^q above, of D2min at ``strain`` below (paper, Fig. 2a), AUC beside.

    Atoms without a value are grey.  Returns the Row whose D2min is drawn: the one next to
    ``strain``, or the last one where strains are unknown.
    """
    from pathlib import Path

    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = report.rows
    strains = np.array([row.strain for row in rows])
    known = ~np.isnan(strains)
    later = rows[int(np.nanargmin(abs(strains - strain))) if known.any() else -1]
    first = report.reference if report.reference is not None else later.frame
    axis, across, depth = _view(report.component)
    box = first.box
    place = first.fractional
    place = place - np.where(box.periodic, np.floor(place), 0.0)
    x = place @ box.edges
    cut = np.flatnonzero(abs(place[:, depth] - 0.5) * box.edges[depth, depth] < slab)
    cut = cut[np.argsort(x[cut, depth])]
    fig = plt.figure(figsize=(11, 8.4), layout="constrained")
    grid = fig.add_gridspec(2, 2, width_ratios=(1.0, 1.15))
    at = f"strain {later.strain:.3f}" if known.any() else f"step {later.step}"
    pictures = (("S$^q$ of the undeformed glass", first.columns["d_sq"], (0.0, 1.0), "viridis"),
                (f"D$^2$ at {at} (Å$^2$)", _of_atoms(later.frame, "d_d2min", first),
                 (0.0, 2 * THRESHOLD), "magma"))
    for k, (title, values, limits, colours) in enumerate(pictures):
        ax = fig.add_subplot(grid[k, 0])
        with_grey = matplotlib.colormaps[colours].with_extremes(bad="0.9")   # undefined at surfaces
        dots = ax.scatter(x[cut, across], x[cut, axis], c=values[cut], s=52, cmap=with_grey,
                          vmin=limits[0], vmax=limits[1], edgecolors="0.3", linewidths=0.3,
                          plotnonfinite=True)
        ax.set_aspect("equal")
        ax.set_xlabel(f"{'xyz'[across]} (Å)")
        ax.set_ylabel(f"{'xyz'[axis]} (Å)" + (", loading axis" if report.sense != "shear" else ""))
        ax.set_title(f"{title}, slice of {2 * slab:.0f} Å", fontsize=10)
        fig.colorbar(dots, ax=ax, shrink=0.85)
    along = strains if known.any() else np.array([row.step for row in rows])
    ax = fig.add_subplot(grid[0, 1])
    ax.axhline(0.5, color="0.7", lw=1)
    ax.errorbar(along, [row.auc for row in rows], [row.error for row in rows], fmt="o-", ms=4,
                capsize=2)
    ax.set_ylabel("AUC of S$^q$")
    ax.set_title("S$^q$ of the undeformed glass against this run's D$^2$ > 5 Å$^2$", fontsize=10)
    ax = fig.add_subplot(grid[1, 1], sharex=ax)
    ax.plot(along, [100 * row.plastic / max(row.counted, 1) for row in rows], "s-", ms=4,
            color="firebrick")
    ax.set_ylabel("plastic atoms (%)")
    ax.set_xlabel(f"strain {report.name} ({report.sense})" if known.any()
                  else "step (strain unknown: no frame is the reference)")
    fig.savefig(path, dpi=110, format=Path(path).suffix.lstrip(".").lower() or "png")
    plt.close(fig)
    return later


def _view(component: Component) -> tuple[int, int, int]:
    """(upright axis, axis across, axis of depth) of the slice."""
    row, column = component
    if row != column:                        # shear: displacements across, their gradient upright
        return row, column, 3 - row - column
    across, depth = (k for k in range(3) if k != row)
    return row, across, depth


def _of_atoms(frame: Frame, name: str, first: Frame) -> AnyArray:
    """(n,) column ``name`` of the atoms of ``first``; NaN for those that are gone."""
    ids = frame.columns["id"]
    at = np.minimum(np.searchsorted(ids, first.columns["id"]), max(len(ids) - 1, 0))
    return np.where(ids[at] == first.columns["id"], frame.columns[name][at], np.nan)
