"""Pictures and movies of a dump by OVITO, without a display.

In OVITO itself, or in a script of your own, ``scene`` gives the pipeline:

    from lammps_mgml.ovito.picture import scene
    pipeline = scene("run.dump", colour="d_sq", plastic=True)
"""
from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from ovito.data import DataCollection
from ovito.io import import_file
from ovito.modifiers import (
    AssignColorModifier,
    ColorCodingModifier,
    DeleteSelectedModifier,
    ExpressionSelectionModifier,
    SliceModifier,
)
from ovito.pipeline import Pipeline
from ovito.vis import ColorLegendOverlay, CoordinateTripodOverlay, TachyonRenderer, Viewport

from ..errors import InputError, OptionError
from .modifier import THRESHOLD, QuenchInSoftness

IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
MOVIES = (".mp4", ".mov", ".avi", ".gif")
VULKAN = ("OVITO draws through Vulkan, which needs a library and a driver (no display, no GPU): "
          "apt install libvulkan1 mesa-vulkan-drivers, or vulkan-loader mesa-vulkan-drivers on Red "
          "Hat")
GREY = (0.75, 0.75, 0.75)
# column: (lower end, upper end, gradient, title)
SCALES: dict[str, tuple[float, float, Callable[[], Any], str]] = {
    **{name: (0.0, 1.0, ColorCodingModifier.Viridis, "S<sup>q</sup>") for name in ("d_sq", "d_s")},
    "d_d2min": (0.0, 2 * THRESHOLD, ColorCodingModifier.Magma, "D<sup>2</sup><sub>min</sub> (Å²)")}


class Cut(NamedTuple):
    """A slice: normal to ``axis`` (0, 1, 2) of the coordinates.

    at : A, in the coordinates of the dump; None: the middle of the cell.  thickness : A.
    """

    axis: int
    at: float | None
    thickness: float


def scene(dump: str | PathLike[str], colour: str = "d_sq", plastic: bool = False,
          cut: Cut | None = None, elements: Sequence[str] | None = None,
          compute: dict[str, Any] | None = None, threshold: float = THRESHOLD) -> Pipeline:
    """OVITO's pipeline of a dump: its atoms coloured by a column, grey where that is NaN.

    plastic : only atoms with d_d2min above the threshold (A^2).  elements : symbols of types 1, 2,
    ... of a dump without the column element.  compute : arguments of ``QuenchInSoftness``, for a dump
    without the columns of a run.

    Raises
    ------
    InputError : not a file that OVITO reads.
    """
    try:
        pipeline = import_file(str(dump))
    except (RuntimeError, OSError) as e:
        raise InputError(f"{dump}: {e}") from None

    def name_types(frame: int, data: DataCollection) -> None:
        types = data.particles_.particle_types_
        for number, symbol in enumerate(elements or (), start=1):
            if types.type_by_id(number, require=False) is not None:
                kind = types.type_by_id_(number)
                kind.name = symbol
                kind.load_defaults()
        data.particles_.vis.scaling = 0.9

    pipeline.modifiers.append(name_types)
    if compute is not None:
        pipeline.modifiers.append(QuenchInSoftness(**compute))
    if plastic:
        pipeline.modifiers.append(ExpressionSelectionModifier(
            expression=f"d_d2min <= {threshold} || d_d2min != d_d2min"))       # or NaN
        pipeline.modifiers.append(DeleteSelectedModifier())
    if cut is not None:
        normal = tuple(float(k == cut.axis) for k in range(3))
        pipeline.modifiers.append(_slice(pipeline, cut, normal))
    low, high, gradient, _ = SCALES.get(colour, (0.0, 0.0, ColorCodingModifier.Viridis, ""))
    if colour == "d_d2min":
        high = 2 * threshold
    coding = ColorCodingModifier(property=colour, gradient=gradient())
    if high > low:
        coding.start_value, coding.end_value = low, high
    pipeline.modifiers.append(coding)
    pipeline.modifiers.append(ExpressionSelectionModifier(expression=f"{colour} != {colour}"))
    pipeline.modifiers.append(AssignColorModifier(color=GREY, keep_selection=False))
    return pipeline


def _slice(pipeline: Pipeline, cut: Cut, normal: tuple[float, ...]) -> Callable[..., None]:
    def modify(frame: int, data: DataCollection) -> None:
        at = cut.at
        if at is None:
            cell = data.cell[...]
            at = float(cell[cut.axis, 3] + cell[cut.axis, :3].sum() / 2)
        data.apply(SliceModifier(normal=normal, distance=at, slab_width=cut.thickness))

    return modify


def check_output(path: str | PathLike[str]) -> bool:
    """Whether ``path`` is to be a movie; OptionError if OVITO writes no such files."""
    kind = Path(path).suffix.lower()
    if kind not in IMAGES + MOVIES:
        raise OptionError(f"--output {path}: a picture ends in {', '.join(IMAGES)}, a movie in "
                          f"{', '.join(MOVIES)}")
    return kind in MOVIES


def render(pipeline: Pipeline, path: str | PathLike[str], colour: str, cut: Cut | None = None,
           frame: int = -1, every: int = 1, size: tuple[int, int] = (1200, 900)) -> int:
    """Write a picture of a frame, or a movie of every so many; returns the number of frames drawn.

    frame : from 0; negative: from the end.  size : pixels.  The file is whole or is not there.

    Raises
    ------
    InputError : no such frame, a column that the dump does not have, or what the modifier says.
    """
    movie, n = check_output(path), pipeline.source.num_frames
    if not movie and not -n <= frame < n:
        raise InputError(f"--frame {frame}: there are frames 0 to {n - 1}")
    shown = 0 if movie else frame % n
    data = _computed(pipeline, shown, colour)
    low, high, *_ = SCALES.get(colour, (0.0, 0.0))
    coding = next(m for m in pipeline.modifiers if isinstance(m, ColorCodingModifier))
    if high <= low:                          # the same scale for all frames
        values = data.particles[colour][...]
        finite = values[abs(values) < math.inf]
        coding.start_value, coding.end_value = (
            (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0))
    pipeline.add_to_scene()
    try:
        view = Viewport(type=Viewport.Type.Ortho)
        if cut is None:
            view.camera_dir, view.camera_up = (-2.0, 3.0, -1.0), (0.0, 0.0, 1.0)
        else:
            view.camera_dir = tuple(float(k == cut.axis) * (1 if cut.axis == 1 else -1)
                                    for k in range(3))
            view.camera_up = (0.0, 1.0, 0.0) if cut.axis == 2 else (0.0, 0.0, 1.0)
        view.zoom_all(size)
        view.fov *= 1.12                     # room for the legend
        title = SCALES[colour][3] if colour in SCALES else colour
        view.overlays.append(ColorLegendOverlay(modifier=coding, title=title, legend_size=0.35,
                                                font_size=0.11, format_string="%g"))
        view.overlays.append(CoordinateTripodOverlay(size=0.07))
        with TemporaryDirectory(dir=Path(path).parent or None, prefix=".mgml-") as folder:
            part = Path(folder) / f"picture{Path(path).suffix}"
            drawn = 1
            if movie:
                drawn = len(range(0, n, every))
                view.render_anim(str(part), size=size, fps=10, renderer=TachyonRenderer(),
                                 every_nth=every, background=(1.0, 1.0, 1.0))
            else:
                view.render_image(filename=str(part), size=size, frame=shown,
                                  renderer=TachyonRenderer(), background=(1.0, 1.0, 1.0))
            os.replace(part, path)
        return drawn
    except RuntimeError as e:                # of OVITO, as of a frame that cannot be read
        raise InputError(VULKAN if "Vulkan" in str(e) else str(e)) from None
    finally:
        pipeline.remove_from_scene()


def _computed(pipeline: Pipeline, frame: int, colour: str) -> DataCollection:
    names = list(pipeline.source.compute(frame).particles.keys())
    # OVITO wraps a modifier that is written in Python
    ours = any(isinstance(getattr(m, "delegate", m), QuenchInSoftness) for m in pipeline.modifiers)
    wanted = {colour, *(("d_d2min",) if any(
        isinstance(m, DeleteSelectedModifier) for m in pipeline.modifiers) else ())}
    missing = [] if ours else sorted(wanted - set(names))
    if missing:
        raise InputError(f"the dump has no column {', '.join(missing)}; it has {', '.join(names)}: "
                         f"--model NAME computes them")
    try:
        return pipeline.compute(frame)
    except RuntimeError as e:
        raise InputError(str(e)) from None
