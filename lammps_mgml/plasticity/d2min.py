"""Non-affine displacement D2min and strain against a reference configuration.

The paper's quantity is the *sum* over the neighbours in the reference (Falk & Langer 1998, OVITO):
its threshold of 5.0 A^2 means nothing for the mean.  Other tools mean other numbers by the same
word; ``definition`` selects one:

=========== ===================== ===========================
definition  neighbours within     value
=========== ===================== ===========================
ovito       reference             sum |d - F d0|^2
paper       reference             mean (Eq. 4 as printed)
matscipy    present configuration sum
lammps      present configuration root of the mean
=========== ===================== ===========================
"""
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._kernels import d2min as _d2min
from ..errors import InputError, OptionError
from ..system.arrays import Floats, Int32s, Ints
from ..system.atoms import Atoms, checked_positions, image_shell, with_images
from ..system.box import Box
from ..system.domain import WholeDomain
from ..system.threads import threads
from ..system.units import check_cell, check_distances

CUTOFF = 4.5                                  # A, the paper's
DEFINITIONS = ("ovito", "paper", "matscipy", "lammps")


class NonAffine(NamedTuple):
    """d2min (n,) A^2 (A for ``lammps``), eta (n,) von Mises strain, partners (n,) int32.

    NaN where an atom has fewer than 3 partners, or all of them in a plane.
    """

    d2min: Floats
    eta: Floats
    partners: Int32s


def partners_within(x: Floats, n_own: int, cutoff: float) -> tuple[Ints, Int32s]:
    """CSR (start, partner) of the atoms within ``cutoff`` (A) of the first ``n_own`` of ``x``."""
    low = x.min(axis=0) if len(x) else np.zeros(3)
    span = (x.max(axis=0) - low) if len(x) else np.zeros(3)
    # at most about one grid cell for each atom, so that an almost empty box costs no memory
    width = max(cutoff, float(np.prod(span + cutoff) / (8 * max(len(x), 1))) ** (1 / 3))
    shape = np.maximum((span // width).astype(int), 1)
    cell = np.minimum(((x - low) / np.maximum(span / shape, width)).astype(np.int32), shape - 1)
    flat = (cell[:, 2] * shape[1] + cell[:, 1]) * shape[0] + cell[:, 0]
    order = np.argsort(flat, kind="stable").astype(np.int32)
    first = np.searchsorted(flat[order], np.arange(np.prod(shape) + 1))
    start = np.empty(n_own + 1, dtype=np.int64)
    nx, ny, nz = map(int, shape)
    partner = _d2min.pairs_within(x, n_own, cutoff, first, order, cell.astype(np.int32), nx, ny, nz,
                                  start, threads())
    return start, partner


def residual(x0: Floats, x: Floats, n_own: int, start: Ints, partner: Int32s) -> NonAffine:
    """Sum definition for the first ``n_own`` atoms; see the kernel ``affine_residual``."""
    out = NonAffine(np.empty(n_own), np.empty(n_own), np.empty(n_own, dtype=np.int32))
    _d2min.affine_residual(x0, x, n_own, start[:-1], start[1:], partner, *out, threads())
    return out


def d2min(reference: ArrayLike, reference_cell: ArrayLike, positions: ArrayLike, cell: ArrayLike,
          pbc: ArrayLike = (True,) * 3, cutoff: float = CUTOFF,
          definition: str = "ovito") -> NonAffine:
    """D2min and strain of every atom.

    Parameters
    ----------
    reference, positions : (n, 3) float, A
        The same atoms in the same order; wrapped or not.
    reference_cell, cell : 3 lengths or (3, 3) row vectors, A
    pbc : 3 flags
    cutoff : float, A; another than the default may be in other units, with all other lengths
    definition : one of ``DEFINITIONS``

    Returns
    -------
    NonAffine

    Raises
    ------
    InputError : arrays or cells that cannot be used; lengths that cannot be in A.
    OptionError : an unknown definition, a cutoff that is no length.
    """
    if definition not in DEFINITIONS:
        raise OptionError(f"unknown D2min definition {definition!r}: "
                          f"take one of {', '.join(DEFINITIONS)}")
    if not 0 < cutoff < np.inf:
        raise OptionError(f"cutoff must be a positive length, not {cutoff}")
    x0 = checked_positions(reference, name="reference")
    x = checked_positions(positions, n=len(x0))
    if len(x0) == 0:
        raise InputError("there are no atoms")
    boxes = Box.make(reference_cell, pbc), Box.make(cell, pbc)
    present = definition in ("matscipy", "lammps")
    frames = ((x, boxes[1]), (x0, boxes[0])) if present else ((x0, boxes[0]), (x, boxes[1]))
    (x_search, box_search), (x_other, box_other) = frames
    if cutoff == CUTOFF:
        check_cell(box_search, len(x))
    fractional, owner, shift = image_shell(box_search, x_search, cutoff)
    other = box_other.fractional(x_other)
    # the other frame's positions continue those of the searched one: nearest image
    other -= np.where(box_other.periodic, np.round(other - fractional), 0.0)
    a = with_images(box_search, fractional, owner, shift)
    b = with_images(box_other, other, owner, shift)
    if cutoff == CUTOFF:
        check_distances(Atoms(positions=a, types=np.ones(len(a), np.int32), n_own=len(x),
                              box=box_search, tags=np.arange(len(x))), WholeDomain(owner, len(x)))
    start, partner = partners_within(a, len(x), cutoff)
    out = residual(b, a, len(x), start, partner) if present else residual(
        a, b, len(x), start, partner)
    if definition in ("paper", "lammps"):
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = out.d2min / out.partners
        out = out._replace(d2min=np.sqrt(mean) if definition == "lammps" else mean)
    return out
