"""The figure: panels a to d after Figs. 2a, 2b, 3a and 3b of the paper."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import OptionError
from ..io.dump import Frame
from ..io.whole import write_whole
from .drawing import (
    SQ,
    STYLE,
    auc_scale,
    draw_auc,
    draw_by_d2,
    draw_map,
    draw_quantiles,
    draw_stress,
    letter,
    quantile_scale,
    say,
    stacked,
)
from .facts import Facts
from .files import picture
from .panels import slice_of, softness_by_d2, view_of
from .rows import FEW, FEW_TO_SHARE, Report, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 7.2, 6.6                 # inches: two columns of a journal


def check_picture(path: str | PathLike[str]) -> str:
    """The format of a figure of that name; OptionError if matplotlib does not write it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    kind = Path(path).suffix.lstrip(".").lower()
    known = FigureCanvasAgg.filetypes
    if kind and kind not in known:
        raise OptionError(f"--output {path}: a figure ends in {', '.join(sorted(known))}, "
                          f"not in .{kind}")
    return kind or "png"


def draw(report: Report, shown: Row, frame: Frame, facts: Facts,
         paths: Iterable[str | PathLike[str]]) -> None:
    """Write the figure to each of ``paths``, in the format of its suffix; a file is whole or is not
    there.

    shown : the row of ``frame``, whose atoms are drawn in panels a and b.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        fig = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        fig.get_layout_engine().set(w_pad=0.06, h_pad=0.06)  # type: ignore[union-attr, call-arg]
        grid = fig.add_gridspec(2, 2, height_ratios=(1.25, 1.0))
        ax = fig.add_subplot(grid[0, 0])
        draw_map(fig, ax, slice_of(frame, report.component), facts.elements, _title(report, shown))
        letter(ax, "a")
        upper, lower = stacked(fig, grid[0, 1], (1.0, 2.2))
        letter(upper, "b")
        draw_by_d2(upper, lower, softness_by_d2(frame, report.reference) if shown.ranked else None,
                   f"strain {shown.strain:.3f}")
        _plastic(fig.add_subplot(grid[1, 0]), report)
        if facts.stress is None:
            _auc(fig.add_subplot(grid[1, 1]), report)
        else:
            upper, lower = stacked(fig, grid[1, 1], (2.2, 1.0))
            _auc(upper, report)
            upper.set_xlabel("")
            draw_stress(lower, facts.stress)
            lower.set_xlabel(_strain_label(report))
        fig.supxlabel(facts.line(frame), fontsize=7, color="0.3")
        for path in paths:
            write_whole(path, picture(fig, check_picture(path)))


def _runs(report: Report) -> Iterator[list[Row]]:
    """The rows of each reference: no line goes from one to the next."""
    for _, rows in groupby(report.rows, key=lambda row: row.run):
        yield list(rows)


def _strain_label(report: Report) -> str:
    return f"strain {report.name} ({report.sense})"


def _title(report: Report, shown: Row) -> str:
    upright, across, _ = view_of(report.component)
    load = (f"shear along {'xyz'[across]}, gradient along {'xyz'[upright]}"
            if report.sense == "shear" else f"{report.sense} along {'xyz'[report.component[0]]}")
    return f"{load}, strain {shown.strain:.3f}"


def _plastic(ax: Axes, report: Report) -> None:
    letter(ax, "c")
    ax.set_xlabel(_strain_label(report))
    quantile_scale(ax)
    ax.set_xlim(0, 1.02 * max(row.strain for row in report.rows))
    if all(np.isnan(row.quantiles[0]) for row in report.rows):
        say(ax, f"fewer than {FEW_TO_SHARE} plastic atoms\nin every frame" if report.ranked else
            f"no atom has {SQ}")
        return
    for k, rows in enumerate(_runs(report)):
        strain = np.array([row.strain for row in rows])
        draw_quantiles(ax, strain, np.array([row.quantiles for row in rows]).T,
                       np.array([row.median for row in rows]), not k)
    ax.legend(loc="lower left", handlelength=1.6)


def _auc(ax: Axes, report: Report) -> None:
    letter(ax, "d")
    ax.set_xlabel(_strain_label(report))
    ax.set_ylabel(f"AUC of {SQ}")
    ax.set_xlim(0, 1.02 * max(row.strain for row in report.rows))
    if all(np.isnan(row.auc) for row in report.rows):
        say(ax, f"fewer than {FEW} plastic atoms in every frame" if report.ranked else
            f"no atom has {SQ}")
        return
    for k, rows in enumerate(_runs(report)):
        strain, auc, low, high = np.array([(row.strain, row.auc, *row.interval) for row in rows]).T
        draw_auc(ax, strain, auc, low, high, band=None if k else "95 % (block bootstrap)")
    auc_scale(ax)
    ax.legend(loc="lower right")
