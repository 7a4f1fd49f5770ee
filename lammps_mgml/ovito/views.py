"""The study's views of a run: panels of one slice side by side, as a picture or a movie.

    plastic   S^q of the undeformed glass, and the atoms that have slipped, coloured by it
    2a        D2min, with a dot on each soft atom (after Fig. 2a of the paper)
    why       what each family of features adds to the margin

In a script of your own, ``arranged`` gives the pipeline and ``render`` draws it.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
from ovito.data import DataCollection
from ovito.modifiers import (
    AssignColorModifier,
    ColorCodingModifier,
    DeleteSelectedModifier,
    ExpressionSelectionModifier,
    ReplicateModifier,
)
from ovito.pipeline import Pipeline
from ovito.qt_compat import QtCore
from ovito.vis import ColorLegendOverlay, TextLabelOverlay, Viewport

from ..errors import InputError
from ..system.arrays import AnyArray, Bools, Floats
from .modifier import FLIPPED, THRESHOLD
from .picture import (
    GREY,
    VULKAN,
    Cut,
    ends_of,
    frame_shown,
    look_along,
    opened,
    scale_of,
    sliced,
    write,
)

SOFT = 0.5                     # S^q above: as likely to slip as the average atom, or more
SMALL = 0.35                   # of an atom's radius: atoms that a panel passes over
DOT = 0.5                      # A, radius of a dot on a soft atom
GAP = 1.08, 1.18               # widths, and heights, of a panel from one to the next
# Of the height of a picture is that of its panels, in one row and in two; above and below them is
# room for titles, strain and scale.
HIGH = 0.74, 0.80
LOWER = 0.04, 0.03             # of the height: the middle of the panels is that far above the middle
WIDER = 1.06                   # a box under compression gets wider than the first frame's
BEYOND = 2.5                   # A, by which atoms stick out at either side
PASSED_OVER = (0.82, 0.82, 0.82)
DOTTED = (0.1, 0.9, 0.9)


class Panel(NamedTuple):
    """title : above it.  column : colours its atoms.  slipped : whether only atoms with D2min above
    the threshold are shown at full size and in colour.  dots : whether soft atoms have a dot."""

    title: str
    column: str
    slipped: bool = False
    dots: bool = False


@dataclass
class Arranged:
    """pipeline : with all panels.  coding : its colours.  shape : edges (A) of a panel, to the right
    and up, in the first frame.  middle : (3,) A of the first panel."""

    pipeline: Pipeline
    panels: Sequence[Panel]
    coding: ColorCodingModifier
    axis: int
    shape: tuple[float, float]
    middle: Floats


VIEWS = {"plastic": (Panel("S<sup>q</sup> of the undeformed glass", "d_sq"),
                     Panel("slipped atoms, by their S<sup>q</sup>", "d_sq", slipped=True)),
         "2a": (Panel("D<sup>2</sup><sub>min</sub>, soft atoms dotted", "d_d2min", dots=True),),
         "why": ()}            # the families of the model


def arranged(dump: str | PathLike[str], view: str, cut: Cut | None = None,
             elements: Sequence[str] | None = None,
             compute: dict[str, Any] | None = None, threshold: float = THRESHOLD) -> Arranged:
    """OVITO's pipeline of one of ``VIEWS``; arguments as for ``picture.scene``.

    cut : None for 3 A at mid cell, normal to y.

    Raises
    ------
    InputError : not a file that OVITO reads; columns that are not there (``compute`` makes them).
    """
    cut = Cut(1, None, 3.0) if cut is None else cut
    if compute is not None and view == "why":
        compute = {**compute, "contributions": True}
    pipeline = opened(dump, elements, compute)
    try:
        first = pipeline.compute(0)
    except RuntimeError as e:
        raise InputError(str(e)) from None
    there = list(first.particles.keys())
    panels = list(VIEWS[view]) or [Panel(name[2:], name) for name in there
                                   if name.startswith("c_")]
    if not panels:
        raise InputError("the dump has no columns c_FAMILY: --model NAME computes them")
    needed = {p.column for p in panels} | {"d_d2min" for p in panels if p.slipped} | {
        "d_sq" for p in panels if p.dots}
    missing = sorted(needed - set(there))
    if missing:
        raise InputError(f"the dump has no column {', '.join(missing)}; it has {', '.join(there)}: "
                         f"--model NAME computes them")
    cell = np.array(first.cell[...])
    horizontal, vertical = look_along(Viewport(), cut.axis)
    extent = abs(cell[:, :3]).sum(axis=1)
    shape = float(extent[horizontal]), float(extent[vertical])
    shifts = np.zeros((len(panels), 3))
    for k, (column_of, row_of) in enumerate(_places(len(panels))):
        shifts[k, horizontal] = column_of * GAP[0] * shape[0]
        shifts[k, vertical] = -row_of * GAP[1] * shape[1]
    pipeline.modifiers.append(_telling(cell, threshold))
    pipeline.modifiers.append(sliced(cut))
    pipeline.modifiers.append(_side_by_side(panels, shifts, cut.axis, threshold))
    pipeline.modifiers.append(DeleteSelectedModifier())
    column = panels[0].column
    low, high, gradient, _ = scale_of(column, threshold)
    if high <= low:
        low, high = ends_of(column, np.concatenate([first.particles[p.column][...] for p in panels]))
    coding = ColorCodingModifier(property="shown", gradient=gradient())
    coding.start_value, coding.end_value = low, high
    pipeline.modifiers.append(coding)
    for kind, colour in enumerate((GREY, PASSED_OVER, DOTTED), start=1):
        pipeline.modifiers.append(ExpressionSelectionModifier(expression=f"kind == {kind}"))
        pipeline.modifiers.append(AssignColorModifier(color=colour, keep_selection=False))
    return Arranged(pipeline, panels, coding, cut.axis, shape,
                    cell[:, 3] + cell[:, :3].sum(axis=1) / 2)


def _places(m: int) -> list[tuple[int, int]]:
    """(column, row) of each of m panels: up to three in one row, more in two."""
    columns = m if m <= 3 else (m + 1) // 2
    return [(k % columns, k // columns) for k in range(m)]


def _telling(cell: Floats, threshold: float) -> Any:
    """Modifier that says strain and share of plastic atoms, of all atoms: attribute mgml.said."""
    def modify(frame: int, data: DataCollection) -> None:
        change = np.array(data.cell[:, :3]) - cell[:, :3]
        edge = np.diag(cell[:, :3])
        text = []
        # LAMMPS turns a box over at half an edge, after which its tilt is not the strain
        if (abs(change[[0, 0, 1], [1, 2, 2]]) < FLIPPED * edge[[0, 0, 1]]).all():
            shape = np.linalg.solve(cell[:, :3].T, change.T)
            text.append(f"strain {abs(shape).max():.3f}")
        if "d_d2min" in data.particles:
            d2 = np.array(data.particles["d_d2min"])
            known = np.isfinite(d2)
            if known.any():
                text.append(f"{100 * (d2[known] > threshold).mean():.1f} % of all slipped")
        data.attributes["mgml.said"] = ", ".join(text) or "no strain known"

    return modify


def _side_by_side(panels: Sequence[Panel], shifts: Floats, axis: int, threshold: float) -> Any:
    """Modifier that puts copies of the atoms beside each other, moved by ``shifts`` (m, 3) A, and
    those that are to be dots in front.

    Properties: shown, what colours; kind, 0 or 1 undefined, 2 passed over, 3 a dot."""
    copies = [(k, panel, False) for k, panel in enumerate(panels)] + [
        (k, panel, True) for k, panel in enumerate(panels) if panel.dots]

    def modify(frame: int, data: DataCollection) -> None:
        particles = data.particles
        x, n = np.array(particles.positions), particles.count
        types = particles.particle_types
        radii = {t.id: t.radius or particles.vis.radius for t in types.types}
        radius = np.array([radii.get(int(t), particles.vis.radius) for t in types[...]])
        columns = {name: np.array(particles[name], dtype=np.float64) for name in
                   {"d_sq", "d_d2min", *(p.column for p in panels)} & set(particles.keys())}
        shown, kind, away, size, gone = [], [], [], [], []
        for k, panel, is_dot in copies:
            value = columns[panel.column]
            shift = shifts[k].copy()
            small: Bools = np.zeros(n, dtype=bool)
            if panel.slipped:
                small = ~(columns["d_d2min"] > threshold)
            which: AnyArray = np.where(np.isnan(value), 1, np.where(small, 2, 0))
            if is_dot:                       # nearer to the camera than any atom of the slice
                shift[axis] += 4.0 if axis != 1 else -4.0
                which = np.full(n, 3)
            shown.append(np.where(np.isnan(value), 0.0, value))
            kind.append(which)
            away.append(shift)
            size.append(np.full(n, DOT) if is_dot else radius * np.where(small, SMALL, 1.0))
            gone.append(~(columns["d_sq"] > SOFT) if is_dot else np.zeros(n, dtype=bool))
        data.cell_.vis.enabled = False
        data.apply(ReplicateModifier(num_x=len(copies), adjust_box=False, unique_ids=False))
        particles = data.particles_
        particles.create_property("Position", data=np.concatenate([x + shift for shift in away]))
        particles.create_property("Radius", data=np.concatenate(size))
        particles.create_property("shown", data=np.concatenate(shown))
        particles.create_property("kind", data=np.concatenate(kind).astype(np.int32))
        particles.create_property("Selection", data=np.concatenate(gone).astype(np.int8))

    return modify


def render(view: Arranged, path: str | PathLike[str], frame: int = -1, every: int = 1,
           size: tuple[int, int] | None = None) -> int:
    """Write a picture of a frame, or a movie of every so many; returns the number of frames drawn.

    Arguments and errors as for ``picture.render``.  size : None for one that fits the panels.
    """
    pipeline, m = view.pipeline, len(view.panels)
    shown, n = frame_shown(pipeline, path, frame), pipeline.source.num_frames
    places = _places(m)
    columns, rows = (max(place) + 1 for place in zip(*places))
    width, height = view.shape
    across = width * (1 + GAP[0] * (columns - 1))
    upward = height * (1 + GAP[1] * (rows - 1))
    wide = WIDER * across + 2 * BEYOND
    if size is None:
        pixels = 900 if m == 1 else 1600
        size = pixels, 2 * round(pixels * (upward / HIGH[rows - 1]) / wide / 2)
    aspect = size[0] / size[1]
    port = Viewport(type=Viewport.Type.Ortho)
    horizontal, vertical = look_along(port, view.axis)
    port.fov = max(upward / HIGH[rows - 1], wide / aspect) / 2
    middle = view.middle.copy()
    middle[horizontal] += (across - width) / 2
    middle[vertical] -= (upward - height) / 2 + LOWER[rows - 1] * 2 * port.fov
    port.camera_pos = tuple(middle - 500.0 * np.array(port.camera_dir))
    align, font = QtCore.Qt.AlignmentFlag, 0.032 if m <= 3 else 0.024
    for panel, (column, row) in zip(view.panels, places):
        right = (column - (columns - 1) / 2) * GAP[0] * width / (2 * port.fov * aspect)
        # upper edge of the panel, from the upper edge of the picture; atoms stick out by their radius
        top = 0.5 - LOWER[rows - 1] - (upward / 2 - row * GAP[1] * height + 2.0) / (2 * port.fov)
        port.overlays.append(TextLabelOverlay(
            text=f"<span style='font-family:sans-serif'>{panel.title}</span>",
            text_color=(0.0, 0.0, 0.0), font_size=font, offset_x=right,
            offset_y=-max(top - 1.7 * font, 0.0), alignment=align.AlignHCenter | align.AlignTop))
    port.overlays.append(TextLabelOverlay(
        text="[mgml.said]", text_color=(0.0, 0.0, 0.0),
        font_size=0.018 if m == 1 else 0.028, offset_x=0.02,
        offset_y=0.03, alignment=align.AlignLeft | align.AlignBottom))
    shown_column = view.panels[0].column
    title = "added to the margin" if shown_column.startswith("c_") else scale_of(shown_column)[3]
    port.overlays.append(ColorLegendOverlay(
        modifier=view.coding, title=title, orientation=QtCore.Qt.Orientation.Horizontal,
        legend_size=0.28, font_size=0.09, format_string="%.2g",
        alignment=align.AlignRight | align.AlignBottom, offset_x=-0.05, offset_y=0.02))
    pipeline.add_to_scene()
    try:
        return write(port, path, shown, range(0, n, every), size)
    except RuntimeError as e:                # of OVITO, as of a frame that cannot be read
        raise InputError(VULKAN if "Vulkan" in str(e) else str(e)) from None
    finally:
        pipeline.remove_from_scene()
