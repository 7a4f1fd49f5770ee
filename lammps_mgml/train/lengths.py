"""The lengths of a glass, from its own radial distribution function.

Each glass of a system comes out a little different, and a model has one set of lengths: measure one
glass, and use what it gives for all (the files of glasses keep it; ``mgml train`` refuses others).
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..plasticity.d2min import partners_within
from ..system.arrays import Floats
from ..system.atoms import image_shell, with_images
from ..system.box import Box
from ..system.lengths import Lengths

LEAST_ATOMS = 200
BIN = 0.02             # of the nearest distance
SMOOTH = 0.03          # of the nearest distance, standard deviation: peaks are ten times as wide
FARTHEST = 2.6         # nearest distances: beyond the second peak
FIRST_SHELL = (1.0, 1.75)      # nearest distances: where the first minimum may be


class Shells(NamedTuple):
    """nearest : mean distance to the nearest neighbour.  peak, minimum, second : of g(r), the first
    maximum, the first minimum after it, the highest maximum beyond."""

    nearest: float
    peak: float
    minimum: float
    second: float


def shells(positions: Floats, box: Box) -> Shells:
    """Shells of a glass in a periodic box, lengths as given; averaged over all elements.

    The distances are those of all pairs.  Of a first shell that is split, as in alloys of small and
    large atoms, ``peak`` is the highest maximum and ``minimum`` the deepest place within 1.75
    nearest distances of zero.

    Raises
    ------
    InputError : too few atoms, a box that is not periodic, or no minimum where one must be.
    """
    n = len(positions)
    if n < LEAST_ATOMS or not box.periodic.all():
        raise InputError(f"lengths are measured in a periodic glass of {LEAST_ATOMS} atoms or more, "
                         f"not in {n} atoms, periodic {box.periodic.tolist()}")
    # close packed atoms would be this far apart, others less
    apart = (np.sqrt(2.0) * box.volume / n) ** (1.0 / 3.0)
    reach = FARTHEST * apart
    fractional, owner, shift = image_shell(box, positions, reach)
    x = with_images(box, fractional, owner, shift)
    start, partner = partners_within(x, n, reach)
    if (np.diff(start) == 0).any():
        raise InputError(f"an atom has no neighbour within {reach:.3g}: that is no glass")
    bond = x[partner] - x[np.repeat(np.arange(n), np.diff(start))]
    r = np.sqrt((bond * bond).sum(axis=1))
    nearest = float(np.minimum.reduceat(r, start[:-1]).mean())
    width = BIN * nearest
    edges = np.arange(0.5 * nearest, min(FARTHEST * nearest, reach), width)
    middle = 0.5 * (edges[1:] + edges[:-1])
    g = np.histogram(r, edges)[0] / middle**2
    k = np.arange(-round(4 * SMOOTH / BIN), round(4 * SMOOTH / BIN) + 1)
    kernel = np.exp(-0.5 * (k * BIN / SMOOTH) ** 2)
    g = np.convolve(g, kernel / kernel.sum(), "same")
    low, high = (f * nearest for f in FIRST_SHELL)
    inside = np.flatnonzero(middle < FIRST_SHELL[1] * nearest)
    top = int(inside[g[inside].argmax()])
    valley = np.flatnonzero((middle > max(middle[top], low)) & (middle < high))
    if not len(valley):
        raise InputError(_no_minimum(nearest))
    bottom = int(valley[g[valley].argmin()])
    beyond = np.flatnonzero((middle > middle[bottom]) & (middle < middle[-1] - 4 * SMOOTH * nearest))
    second = int(beyond[g[beyond].argmax()]) if len(beyond) else bottom
    if bottom == valley[-1] or not 1.5 * g[bottom] < g[top] or second == bottom:
        raise InputError(_no_minimum(nearest))
    return Shells(nearest, *(float(middle[k]) for k in (top, bottom, second)))


def measured(positions: Floats, box: Box, units: str = "metal", near_cutoff: float | None = None,
             open_radius: float | None = None, d2_cutoff: float | None = None,
             d2_threshold: float | None = None) -> Lengths:
    """Lengths of a glass: those given, the others measured.

    The near cutoff comes to the first minimum of g(r); that of D2min between it and the second peak,
    where Cu-Zr's would be if possible; all else is Cu-Zr's times the nearest distance over its own.

    positions : (n, 3) A (units lj: sigma).  units : metal or lj.

    Raises
    ------
    InputError : see ``shells``.
    OptionError : a length given is none.
    """
    found = shells(positions, box)
    nearest = _rounded(found.nearest)
    usual = Lengths.scaled(nearest, units)
    near = _rounded(found.minimum) if near_cutoff is None else near_cutoff
    far = min(max(usual.d2_cutoff, found.minimum), found.second)
    out = Lengths.scaled(nearest, units, near, _rounded(far) if d2_cutoff is None else d2_cutoff)
    more = {"open_radius": open_radius, "d2_threshold": d2_threshold}
    told = {k: _rounded(float(v)) if k in ("open_radius", "density_first", "density_spacing",
                                           "d2_threshold") else v
            for k, v in out.told().items()}
    return Lengths.read({**told, **{k: v for k, v in more.items() if v is not None}})


def _rounded(value: float) -> float:
    """To 3 digits: the last ones would differ from glass to glass."""
    return float(f"{value:.3g}")


def _no_minimum(nearest: float) -> str:
    return (f"g(r) has no clear minimum between {FIRST_SHELL[0] * nearest:.3g} and "
            f"{FIRST_SHELL[1] * nearest:.3g} (1 and 1.75 mean nearest distances): give near_cutoff "
            f"and d2_cutoff yourself")
