"""Slices of runs for the viewer of the page: planes of atoms, with S^q and D2min at each strain."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..models.model import SoftnessModel
from ..report.panels import view_of
from ..report.rows import SOFT
from ..system.arrays import AnyArray, Floats, Ints
from ..system.atoms import wrap
from ..system.box import Box
from ..train.dataset import THRESHOLD
from .runs import Loading, Run, component_of, scored

THICKNESS = 2.5        # A, as in the paper's Fig. 2a
MOST_BYTES = 12e6      # of all slices of a page, before they become text (4/3 of it)
# (depths, strains) of a loading, from many to few: the first that fit
CHOICES = ((5, 20), (3, 20), (3, 10), (1, 10), (1, 5))
PER_ATOM, PER_STRAIN = 11, 2               # bytes: number, place, type and S^q; D2min


class Slab(NamedTuple):
    """The atoms within ``THICKNESS`` / 2 of a plane, the nearest to the viewer last.

    at : A, of the plane, from the lowest corner of the box.  atoms : (k,) places in the run.
    x : (k, 2) A, across and upright, from the lowest corner.  outline : (c, 2) A, corners of the box
    cut by the plane, in their order.
    """

    at: float
    atoms: Ints
    x: Floats
    outline: Floats


class Slices(NamedTuple):
    """Planes of one loading.

    axes : across, upright, depth (0, 1, 2).  size : (3,) A, of the box along these axes.
    frames : numbers of the strains that are kept.
    """

    run: Run
    loading: Loading
    axes: tuple[int, int, int]
    size: Floats
    slabs: tuple[Slab, ...]
    frames: Ints

    @property
    def bytes(self) -> int:
        each = PER_ATOM + PER_STRAIN * len(self.frames)
        return each * sum(len(slab.atoms) for slab in self.slabs)


def axes_of(label: str) -> tuple[int, int, int]:
    """(across, upright, depth) axes of a view of a loading, such as "z-compression", "xy-shear"."""
    upright, across, depth = view_of(component_of(label))
    return across, upright, depth


def cut(box: Box, positions: Floats, axes: tuple[int, int, int], most: int) -> tuple[
        Floats, tuple[Slab, ...]]:
    """(size of the box along ``axes``, slabs at even distances), at most ``most`` of them."""
    corners = box.vectors(np.array(np.meshgrid(*[(0.0, 1.0)] * 3)).reshape(3, -1).T)
    low = corners.min(axis=0)
    size = (corners.max(axis=0) - low)[list(axes)]
    x = (box.vectors(wrap(box, box.fractional(positions))) - low)[:, axes]
    # no planes in the vacuum beyond a free surface
    least, largest = (0.0, size[2]) if box.periodic[axes[2]] else (x[:, 2].min(), x[:, 2].max())
    n = int(np.clip((largest - least) // THICKNESS, 1, most))
    toward = float(np.cross(np.eye(3)[axes[0]], np.eye(3)[axes[1]])[axes[2]])
    slabs = []
    for k in range(n):
        at = float(least + (k + 0.5) / n * (largest - least))
        atoms = np.flatnonzero(abs(x[:, 2] - at) <= THICKNESS / 2)
        atoms = atoms[np.argsort(toward * x[atoms, 2], kind="stable")]
        slabs.append(Slab(at, atoms, x[atoms, :2], _outline((corners - low)[:, axes], at)))
    return size, tuple(slabs)


def _outline(corners: Floats, at: float) -> Floats:
    """(c, 2) corners of the plane at depth ``at`` within the convex hull of ``corners`` (8, 3)."""
    from scipy.spatial import ConvexHull

    a, b = (corners[k] for k in np.triu_indices(len(corners), 1))
    through = (a[:, 2] - at) * (b[:, 2] - at) < 0
    a, b = a[through], b[through]
    points = a + ((at - a[:, 2]) / (b[:, 2] - a[:, 2]))[:, None] * (b - a)
    outline: Floats = points[ConvexHull(points[:, :2]).vertices, :2]
    return outline


def kept_frames(m: int, most: int) -> Ints:
    """Numbers of at most ``most`` of ``m`` frames: every so many, the last one among them."""
    return np.arange(m - 1, -1, -max(-(-m // most), 1))[::-1]


def choose(runs: Sequence[Run], most_bytes: float = MOST_BYTES) -> tuple[list[Slices], list[str]]:
    """(slices of the runs, sentences on what is left out).

    All loadings have the same number of depths and of strains, the largest of ``CHOICES`` that keeps
    the page within ``most_bytes``; where the fewest do not, the last loadings are left out.
    """
    with_atoms = [run for run in runs if run.structure is not None]
    notes = [f"{run.name} has no positions, so no slices." for run in runs if run.structure is None]
    known = {(run, axes): cut(run.structure.box, run.structure.positions, axes, CHOICES[0][0])
             for run in with_atoms if run.structure is not None
             for axes in dict.fromkeys(axes_of(x.label) for x in run.loadings)}

    def slices(depths: int, strains: int) -> list[Slices]:
        out = []
        for run in with_atoms:
            for loading in run.loadings:
                axes = axes_of(loading.label)
                size, slabs = known[run, axes]
                take = np.unique(np.round((np.arange(depths) + 0.5) / depths * len(slabs) - 0.5)
                                 .astype(int).clip(0, len(slabs) - 1))
                out.append(Slices(run, loading, axes, size, tuple(slabs[k] for k in take),
                                  kept_frames(len(loading.strain), strains)))
        return out

    for depths, strains in CHOICES:
        found = slices(depths, strains)
        if sum(x.bytes for x in found) <= most_bytes:
            break
    kept: list[Slices] = []
    total = 0
    for x in found:
        total += x.bytes
        if total <= most_bytes or not kept:
            kept.append(x)
    if kept:
        notes.insert(0, _told(kept, depths, strains))
    if len(kept) < len(found):
        notes.append(f"{len(found) - len(kept)} of {len(found)} loadings are left out, to keep the "
                     f"page light: run the study on fewer runs to see them.")
    return kept, notes


def _told(kept: Sequence[Slices], depths: int, strains: int) -> str:
    shown = sum(len(slab.atoms) for x in kept for slab in x.slabs)
    share = 100.0 * shown / sum(x.run.n for x in kept)
    text = (f"Only atoms in slabs of {THICKNESS:g} Å at up to {depths} depth{'s' * (depths > 1)} of "
            f"a loading are in this page, {share:.2g} % of all; the figures are of all atoms.")
    if any(len(x.frames) < len(x.loading.strain) for x in kept):
        text += f" At most {strains} strains of a loading are kept."
    return text


# As bytes ----------------------------------------------------------------------------------------

def half(values: AnyArray, limit: float) -> AnyArray:
    """Half-precision numbers (3 digits) on the side of ``limit`` where ``values`` are."""
    with np.errstate(over="ignore"):
        out = np.asarray(values).astype(np.float16)
    out = np.where(np.isinf(out), np.finfo(np.float16).max, out)
    above = (values > limit) & (out <= limit)           # limit itself is such a number
    halves: AnyArray = np.where(above, np.nextafter(np.float16(limit), np.float16(np.inf)), out)
    return halves.astype("<f2")


def packed(x: Slices, slab: Slab, model: SoftnessModel) -> bytes:
    """The k atoms of a slab: number (uint32, from 1 in the order of ids), across and upright (uint16,
    of 65535 parts of the size), S^q (float16), D2min of each strain (float16, A^2), type (uint8)."""
    place = np.round(slab.x / x.size[:2] * 65535).clip(0, 65535)
    structure = x.run.structure
    assert structure is not None
    softness = scored(x.run, model, x.loading).softness[slab.atoms]
    d2 = x.loading.d2min[np.ix_(x.frames, slab.atoms)]
    parts = ((slab.atoms + 1).astype("<u4"), place[:, 0].astype("<u2"), place[:, 1].astype("<u2"),
             half(softness, SOFT), half(d2, THRESHOLD),
             structure.types[slab.atoms].astype(np.uint8))
    return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)


def facts(x: Slices) -> dict[str, Any]:
    """What the viewer has to know of the slices besides their atoms, for JSON."""
    strain, stress = x.loading.strain[x.frames], x.loading.stress
    return {
        "run": x.run.name, "seen": x.run.seen, "label": x.loading.label.replace("-", " "),
        "axes": ["xyz"[k] for k in x.axes], "size": [float(v) for v in x.size.round(3)],
        "strains": [float(f"{v:.6g}") for v in strain],
        "stress": None if stress is None else [float(f"{v:.4g}") if np.isfinite(v) else None
                                               for v in stress[x.frames]],
        "elements": list(x.run.elements),
        "slabs": [{"at": round(slab.at, 2), "atoms": len(slab.atoms),
                   "outline": slab.outline.round(2).tolist()} for slab in x.slabs]}
