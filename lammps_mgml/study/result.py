"""A figure of the study: how it is drawn, and the numbers that it shows."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError, InternalError
from ..io.whole import write_whole
from ..report.drawing import STYLE
from ..report.files import csv, picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

KINDS = ("png", "svg", "csv")


def _nothing(canvas: Canvas) -> None:
    raise InternalError("this figure cannot be drawn: see why it is missing")


@dataclass(frozen=True)
class Figure:
    """number : that of the paper's figure, as "2a".  title : a few words.  caption : sentences that
    tell what is drawn, of which runs, and with what intervals.

    columns : {name: (m,)} numbers or texts, the columns of the CSV; NaN for what is not known.
    draw : draws on an empty matplotlib figure of ``size`` (inches).
    missing : why the figure cannot be drawn, one sentence; then it has neither columns nor files.
    """

    number: str
    title: str
    caption: str = ""
    columns: Mapping[str, ArrayLike] = field(default_factory=dict, repr=False)
    draw: Callable[[Canvas], None] = field(default=_nothing, repr=False)
    missing: str | None = None
    size: tuple[float, float] = (4.6, 3.4)

    @property
    def stem(self) -> str:
        """Name of its files, without the suffix."""
        return f"figure-{self.number}"


def rendered(figure: Figure) -> dict[str, bytes]:
    """{kind: bytes} of a figure's files, one for each of ``KINDS``.

    Raises
    ------
    InternalError : columns of different lengths.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure as Canvas

    columns = [np.asarray(values) for values in figure.columns.values()]
    lengths = {name: np.shape(values) for name, values in figure.columns.items()}
    if len(set(lengths.values())) > 1 or any(column.ndim != 1 for column in columns):
        raise InternalError(f"figure {figure.number}: columns of different lengths: {lengths}")
    rows = zip(*(column.tolist() for column in columns))
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=figure.size, layout="constrained")
        figure.draw(canvas)
        return {"png": picture(canvas, "png"), "svg": picture(canvas, "svg"),
                "csv": csv(figure.columns, rows)}


def write(figures: Iterable[Figure], folder: str | PathLike[str]) -> dict[str, dict[str, bytes]]:
    """Write figure-NUMBER.png, .svg and .csv of each figure into ``folder``, which is made.

    A figure that is missing has no files; those that an earlier study left under its name go.

    Returns
    -------
    {number: {kind: bytes}} of the files, without the figures that are missing.

    Raises
    ------
    InputError : cannot write there, disk full; files are whole or not there.
    """
    folder, out = Path(folder), {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise InputError(f"{folder}: cannot write: {e.strerror or e}") from None
    for figure in figures:
        paths = {kind: folder / f"{figure.stem}.{kind}" for kind in KINDS}
        if figure.missing is not None:
            for path in paths.values():
                path.unlink(missing_ok=True)
            continue
        out[figure.number] = rendered(figure)
        for kind, data in out[figure.number].items():
            write_whole(paths[kind], data)
    return out
