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

import numpy as np
from ovito.data import DataCollection
from ovito.io import import_file
from ovito.modifiers import (
    AssignColorModifier,
    ColorCodingModifier,
    DeleteSelectedModifier,
    ExpressionSelectionModifier,
    SliceModifier,
    WrapPeriodicImagesModifier,
)
from ovito.pipeline import Pipeline
from ovito.vis import ColorLegendOverlay, CoordinateTripodOverlay, TachyonRenderer, Viewport

from ..errors import InputError, OptionError
from ..system.arrays import AnyArray
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


def scale_of(colour: str,
             threshold: float = THRESHOLD) -> tuple[float, float, Callable[[], Any], str]:
    """(lower end, upper end, gradient, title) of a column; both ends 0: they go by its values.

    threshold : of D2min.
    """
    if colour.startswith("c_"):
        return 0.0, 0.0, ColorCodingModifier.BlueWhiteRed, f"{colour[2:]} adds"
    if colour == "d_d2min":
        return (0.0, 2 * threshold, *SCALES[colour][2:])
    return SCALES.get(colour, (0.0, 0.0, ColorCodingModifier.Viridis, colour))


def ends_of(colour: str, values: AnyArray) -> tuple[float, float]:
    """Ends of the scale of a column that has none of its own; what adds or takes away: about 0."""
    finite = values[abs(values) < math.inf]
    if not len(finite):
        return 0.0, 1.0
    if colour.startswith("c_"):
        end = float(np.quantile(abs(finite), 0.98)) or 1.0
        return -end, end
    return float(finite.min()), float(finite.max())


class Cut(NamedTuple):
    """A slice: normal to ``axis`` (0, 1, 2) of the coordinates.

    at : A, in the coordinates of the dump; None: the middle of the cell.  thickness : A.
    """

    axis: int
    at: float | None
    thickness: float


def opened(dump: str | PathLike[str], elements: Sequence[str] | None = None,
           compute: dict[str, Any] | None = None) -> Pipeline:
    """OVITO's pipeline of a dump, its types named after their elements; arguments as for ``scene``.

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
    pipeline.modifiers.append(WrapPeriodicImagesModifier())        # of columns xu yu zu
    return pipeline


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
    pipeline = opened(dump, elements, compute)
    if plastic:
        pipeline.modifiers.append(ExpressionSelectionModifier(
            expression=f"d_d2min <= {threshold} || d_d2min != d_d2min"))       # or NaN
        pipeline.modifiers.append(DeleteSelectedModifier())
    if cut is not None:
        pipeline.modifiers.append(sliced(cut))
    low, high, gradient, _ = scale_of(colour, threshold)
    coding = ColorCodingModifier(property=colour, gradient=gradient())
    if high > low:
        coding.start_value, coding.end_value = low, high
    pipeline.modifiers.append(coding)
    pipeline.modifiers.append(ExpressionSelectionModifier(expression=f"{colour} != {colour}"))
    pipeline.modifiers.append(AssignColorModifier(color=GREY, keep_selection=False))
    return pipeline


def sliced(cut: Cut) -> Callable[..., None]:
    """Modifier that leaves a slice."""
    normal = tuple(float(k == cut.axis) for k in range(3))

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


def frame_shown(pipeline: Pipeline, path: str | PathLike[str], frame: int) -> int:
    """Number, from 0, of the frame of a picture; 0 for a movie; InputError if there is none."""
    n = int(pipeline.source.num_frames)
    if check_output(path) or "*" in Path(path).name:
        return 0
    if not -n <= frame < n:
        raise InputError(f"--frame {frame}: there are frames 0 to {n - 1}")
    return frame % n


def render(pipeline: Pipeline, path: str | PathLike[str], colour: str, cut: Cut | None = None,
           frame: int = -1, every: int = 1, size: tuple[int, int] = (1200, 900)) -> int:
    """Write a picture of a frame, or a movie of every so many; returns the number of frames drawn.

    path : a * in the name of a picture stands for the number of each frame.  frame : from 0;
    negative: from the end.  size : pixels.  The file is whole or is not there.

    Raises
    ------
    InputError : no such frame, a column that the dump does not have, or what the modifier says.
    """
    shown, n = frame_shown(pipeline, path, frame), pipeline.source.num_frames
    data = _computed(pipeline, shown, colour)
    low, high, _, title = scale_of(colour)
    coding = next(m for m in pipeline.modifiers if isinstance(m, ColorCodingModifier))
    if high <= low:                          # the same scale for all frames
        coding.start_value, coding.end_value = ends_of(colour, data.particles[colour][...])
    pipeline.add_to_scene()
    try:
        view = Viewport(type=Viewport.Type.Ortho)
        if cut is None:
            view.camera_dir, view.camera_up = (-2.0, 3.0, -1.0), (0.0, 0.0, 1.0)
        else:
            look_along(view, cut.axis)
        view.zoom_all(size)
        view.fov *= 1.12                     # room for the legend
        view.overlays.append(ColorLegendOverlay(modifier=coding, title=title, legend_size=0.35,
                                                font_size=0.11, format_string="%g"))
        view.overlays.append(CoordinateTripodOverlay(size=0.07))
        return write(view, path, shown, range(0, n, every), size)
    except RuntimeError as e:                # of OVITO, as of a frame that cannot be read
        raise InputError(VULKAN if "Vulkan" in str(e) else str(e)) from None
    finally:
        pipeline.remove_from_scene()


def look_along(view: Viewport, axis: int) -> tuple[int, int]:
    """Turn a view along the normal of a slice; returns the axes that are to the right, and up."""
    view.camera_dir = tuple(float(k == axis) * (1 if axis == 1 else -1) for k in range(3))
    view.camera_up = (0.0, 1.0, 0.0) if axis == 2 else (0.0, 0.0, 1.0)
    return int(axis == 0), 1 if axis == 2 else 2


def write(view: Viewport, path: str | PathLike[str], shown: int, movie: range,
          size: tuple[int, int]) -> int:
    """Write what ``view`` shows; returns the number of frames drawn.

    shown : the frame of a picture; movie : those of a movie, or of the pictures of frames that a *
    in ``path`` stands for.  Files are whole or not there.
    """
    path = Path(path)
    look = {"size": size, "renderer": TachyonRenderer(), "background": (1.0, 1.0, 1.0)}
    is_movie = check_output(path)
    frames = movie if is_movie or "*" in path.name else range(shown, shown + 1)
    with TemporaryDirectory(dir=path.parent or None, prefix=".mgml-") as folder:
        part = Path(folder) / f"picture{path.suffix}"
        if is_movie:
            view.render_anim(str(part), fps=10, range=(0, movie[-1]), every_nth=movie.step, **look)
            os.replace(part, path)
            return len(frames)
        for frame in frames:
            view.render_image(filename=str(part), frame=frame, **look)
            os.replace(part, path.with_name(path.name.replace("*", f"{frame:04d}")))
    return len(frames)


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
