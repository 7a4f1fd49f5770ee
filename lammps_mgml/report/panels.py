"""The numbers that the panels of the figure show, and their tables."""
from __future__ import annotations

from itertools import islice
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..io.dump import Frame, read_frames
from ..io.whole import write_whole
from ..system.arrays import Bools, Floats, Ints
from ..system.atoms import image_shell, with_images
from ..system.box import Box
from ..system.lengths import Lengths
from ..train.evaluate import drawn_blocks
from .facts import Facts
from .files import csv
from .rows import FEW_TO_SHARE, QUANTILES, SOFT, Component, Report, Row, blocks_of, left_out_of

MOST_PIXELS = 800      # along an edge of the map
PER_DECADE = 6         # bins of D2min
LEAST_D2 = 1e-3        # A^2: what is below is in one bin with it
THICKNESS = 2.5        # A, of the slice.  This and the next one for Cu-Zr
BEYOND = 3.0           # A: a point farther from all atoms is outside of a free surface


class Slice(NamedTuple):
    """A plane through the middle of a frame's box, and the atoms next to it.

    upright, across, depth : axes of the picture.  d2min : (rows, columns) A^2, of the atom nearest to
    each point of the plane; NaN outside of the box, and where that atom has none.  inside : (rows,
    columns), whether the point is in the box.  extent : left, right, lower, upper edge of the map, A.
    x : (n, 2) A, across and upright, of the atoms within ``thickness`` / 2 (A) of the plane.
    softness, d2, types : (n,) of these atoms.  at : A, of the plane along ``depth``.
    """

    upright: int
    across: int
    depth: int
    d2min: Floats
    inside: Bools
    extent: tuple[float, float, float, float]
    x: Floats
    softness: Floats
    d2: Floats
    types: Ints
    ids: Ints
    thickness: float
    at: float


def frame_of(path: str | PathLike[str], row: Row) -> Frame:
    """The frame of ``row``, read again: not all frames of a dump fit into memory."""
    frame = next(islice(read_frames(path), row.number, None), None)
    if frame is None or frame.step != row.step:
        raise InputError(f"{path}: was changed while it was read: step {row.step} is not there now")
    return frame


def slice_of(frame: Frame, component: Component, scale: float = 1.0) -> Slice:
    """The plane through the middle of the box that shows the load (paper, Fig. 2a).

    scale : of the glass' lengths.
    """
    from scipy.spatial import cKDTree

    thickness, beyond = THICKNESS * scale, BEYOND * scale
    upright, across, depth = view_of(component)
    box = Box(np.zeros(3), frame.box.edges, frame.box.periodic)
    fractional, owner, shift = image_shell(box, frame.positions, 2 * beyond)
    x = with_images(box, fractional, owner, shift)
    own = np.concatenate([np.arange(len(frame)), owner])
    left_out = left_out_of(frame, False)
    d2 = np.where(np.any(list(left_out.values()), axis=0), np.nan, frame.columns["d_d2min"])
    corners = box.vectors(np.array(np.meshgrid(*[(0.0, 1.0)] * 3)).reshape(3, -1).T)
    low, high = corners.min(axis=0), corners.max(axis=0)
    middle = float(corners.mean(axis=0)[depth])
    n = np.maximum(MOST_PIXELS * (high - low) / (high - low)[[across, upright]].max(), 1).astype(int)
    points = np.empty((n[upright], n[across], 3))
    points[..., across] = low[across] + (np.arange(n[across]) + 0.5) * (
        high - low)[across] / n[across]
    points[..., upright] = (low[upright] + (np.arange(n[upright]) + 0.5) * (
        high - low)[upright] / n[upright])[:, None]
    points[..., depth] = middle
    place = box.fractional(points.reshape(-1, 3))
    around = abs(x[:, depth] - middle) < 2 * beyond
    far, nearest = cKDTree(x[around]).query(points.reshape(-1, 3))
    inside = ((place >= 0) & (place < 1)).all(axis=1) & (far < beyond)
    values = np.full(len(place), np.nan)
    values[inside] = d2[own[around][nearest[inside]]]
    near = np.flatnonzero(abs(x[:len(frame), depth] - middle) <= thickness / 2)
    near = near[np.argsort(x[near, depth])]
    shape = points.shape[:2]
    return Slice(upright, across, depth, values.reshape(shape), inside.reshape(shape),
                 (low[across], high[across], low[upright], high[upright]),
                 x[near][:, [across, upright]], frame.columns["d_sq"][near], d2[near],
                 frame.columns["type"][near], frame.columns["id"][near], thickness,
                 middle + float(frame.origin[depth]))


class ByD2(NamedTuple):
    """edges : (m + 1,) A^2 of the bins.  share : (m,) soft atoms among those of a bin; NaN in bins of
    few.  low, high : (m,) ends of its 95 % interval.  atoms, soft : (m,) how many.  overall : soft
    atoms among all."""

    edges: Floats
    share: Floats
    low: Floats
    high: Floats
    atoms: Ints
    soft: Ints
    overall: float


def softness_by_d2(frame: Frame, reference: Frame | None, lengths: Lengths) -> ByD2:
    """Share of the atoms called soft, by their D2min (paper, Fig. 2b).

    Bins are even in log D2min, but for a first one from 0 where there is less than ``LEAST_D2``;
    one of them begins at the threshold of plastic atoms.  Errors as
    those of the AUC, and at least those of independent atoms, for bins where all or none are soft.
    """
    d2, score = frame.columns["d_d2min"], frame.columns["d_sq"]
    ok = ~np.any(list(left_out_of(frame, True).values()), axis=0)
    blocks = blocks_of(frame, reference, lengths.scale)
    return shares_by_d2(d2[ok], score[ok] > SOFT, blocks[ok], lengths)


def shares_by_d2(d2: Floats, soft: Bools, blocks: Ints, lengths: Lengths) -> ByD2:
    """As ``softness_by_d2``.  d2 : (n,).  soft : (n,).  blocks : (n,), drawn again as a whole."""
    threshold, least = lengths.d2_threshold, LEAST_D2 * lengths.scale**2
    place = np.floor(PER_DECADE * np.log10(np.maximum(d2, least) / threshold)).astype(int)
    first = int(place.min(initial=0))
    m = int(place.max(initial=0)) - first + 1
    draws, column = drawn_blocks(blocks)
    table = np.zeros((2, draws.shape[1], m))
    number = column * m + place - first
    for k, counted in enumerate((np.ones_like(soft), soft)):
        table[k] = np.bincount(number[counted], minlength=table[k].size).reshape(-1, m)
    atoms, softs = table.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(atoms >= FEW_TO_SHARE, softs / atoms, np.nan)
        again = (draws @ table[1]) / (draws @ table[0])
    known = ~np.isnan(share)
    low, high = np.full(m, np.nan), np.full(m, np.nan)
    low[known], high[known] = np.nanquantile(again[:, known], (0.025, 0.975), axis=0)
    single = _of_single_atoms(share, atoms)
    low, high = np.minimum(low, single[0]), np.maximum(high, single[1])
    edges = threshold * 10.0 ** ((first + np.arange(m + 1)) / PER_DECADE)
    if d2.min(initial=np.inf) < edges[0]:
        edges[0] = 0.0
    return ByD2(edges, share, low, high, atoms.astype(np.int64), softs.astype(np.int64),
                float(soft.mean()))


def view_of(component: Component) -> tuple[int, int, int]:
    """(upright axis, axis across, axis of depth) of the slice that shows a load."""
    row, column = component
    if row != column:                        # shear: displacements across, their gradient upright
        return row, column, 3 - row - column
    across, depth = (k for k in range(3) if k != row)
    return row, across, depth


def _of_single_atoms(share: Floats, atoms: Floats) -> tuple[Floats, Floats]:
    """95 % interval (Wilson) of a ``share`` of independent ``atoms``."""
    z2 = 1.96 ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = (share + z2 / (2 * atoms)) / (1 + z2 / atoms)
        half = np.sqrt(z2 * share * (1 - share) / atoms + (z2 / (2 * atoms)) ** 2) / (1 + z2 / atoms)
    return middle - half, middle + half


def write_tables(path: str | PathLike[str], report: Report, shown: Row, frame: Frame,
                 facts: Facts) -> list[str]:
    """CSV files of the panels' numbers, named after ``path``; returns their names.

    STEM-map.csv: the atoms of the slice.  STEM-d2min.csv: the bins of panel b.  STEM-strain.csv:
    panels c and d, a line a frame.  STEM-stress.csv: where there is a stress.  Empty: unknown.
    """
    part, unit = slice_of(frame, report.component, report.lengths.scale), report.lengths.unit
    elements = facts.elements
    tables: dict[str, tuple[str, list[tuple[object, ...]]]] = {
        "map": (f"id,{'type' if elements is None else 'element'},{'xyz'[part.across]}_{unit},"
                f"{'xyz'[part.upright]}_{unit},d2min_{unit}2,sq",
                [(i, t if elements is None else elements[t - 1], *x, d, s) for i, t, x, d, s in zip(
                    part.ids.tolist(), part.types.tolist(), part.x.tolist(), part.d2.tolist(),
                    part.softness.tolist())]),
        "strain": ("step,strain,atoms,plastic,auc,auc_error,auc_low95,auc_high95,"
                   + ",".join(f"sq_plastic_{100 * q:.0f}" for q in QUANTILES),
                   [(r.step, r.strain, r.counted, r.plastic, r.auc, r.error, *r.interval,
                     *r.quantiles.tolist()) for r in report.rows])}
    if shown.ranked:
        b = softness_by_d2(frame, report.reference, report.lengths)
        tables["d2min"] = (f"d2min_from_{unit}2,d2min_to_{unit}2,atoms,soft,share_soft,low95,high95",
                           list(zip(b.edges[:-1].tolist(), b.edges[1:].tolist(), b.atoms.tolist(),
                                    b.soft.tolist(), b.share.tolist(), b.low.tolist(),
                                    b.high.tolist())))
    if facts.stress is not None:
        gpa = "_GPa" if report.lengths.units == "metal" else ""
        tables["stress"] = (f"strain,stress{gpa}", [tuple(pair) for pair in facts.stress.tolist()])
    stem, written = Path(path), []
    for name, (header, rows) in sorted(tables.items()):
        file = str(stem.with_name(f"{stem.stem}-{name}{stem.suffix or '.csv'}"))
        write_whole(file, csv(header.split(","), rows))
        written.append(file)
    return written
