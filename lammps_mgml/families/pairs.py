"""What all pairs within the reach of the densities give an atom: its densities, and the force
constants that hold it.  The atoms around it are found once for both."""
import numpy as np
from numpy.typing import ArrayLike

from .._kernels import cells as _cells
from .._kernels import density as _density
from ..errors import InputError
from ..system.arrays import Floats
from ..system.threads import threads
from .family import Work

INPUT = "force_constants"
SPLINES = 9            # of the densities, and of each force constant
HELD = "sums of force constants"         # in ``Work.made``
NOT_FINITE = 2         # what the kernel returns
Springs = tuple[Floats, int, float, float]     # pieces, elements with the unknown one, first, spacing


def reach(first: float, spacing: float) -> float:
    """Beyond which no pair counts."""
    return first + (SPLINES + 1) * spacing


def densities(work: Work, load: Floats, table: Floats) -> None:
    """Fill ``table`` (n_rows, n): for each element SPLINES densities and, with a load (6,), as many
    along it.  If features ask for force constants, what they sum up to is left for ``held``."""
    springs = springs_of(work) if work.inputs.get(INPUT) is not None else None
    sums = np.empty((work.n_rows if springs else 0, 6))
    _pair_sums(work, work.atoms.positions, load, table, springs, sums)
    if springs:
        work.made[HELD] = sums


def held(work: Work, positions: Floats, springs: Springs) -> Floats:
    """(n_rows, 6) xx yy zz xy xz yz of D, the sum of the force constants on an owned atom, for atoms
    at ``positions`` (n_all, 3); it is the caller's."""
    if positions is work.atoms.positions and HELD in work.made:
        return work.made.pop(HELD)
    sums = np.empty((work.n_rows, 6))
    _pair_sums(work, positions, np.empty(0), np.empty((0, 0)), springs, sums)
    return sums


def _pair_sums(work: Work, positions: Floats, load: Floats, table: Floats, springs: Springs | None,
               sums: Floats) -> None:
    first, spacing = work.parameters["density_first"], work.parameters["density_spacing"]
    problem = _density.pair_sums(
        positions, work.atoms.types, work.cells.is_open, len(work.elements), first, spacing, SPLINES,
        load, table, springs[0] if springs else np.empty(0), sums, threads(),
        _cells.CUTTER == "avx512")
    if problem == NOT_FINITE:
        raise InputError(f"{INPUT} take an atom to a position that is no number")
    if problem:
        raise MemoryError("no memory for the grid of the densities")


def n_constants(n_elements: int) -> int:
    return n_elements**2 * SPLINES * 2


def springs_of(work: Work) -> Springs:
    """What the kernels take of them.  InputError : not as many numbers as the elements need."""
    constants, n = work.inputs[INPUT], len(work.elements)
    if len(constants) != n_constants(n):
        raise InputError(f"{INPUT}: {len(constants)} numbers, {n_constants(n)} are needed for {n} "
                         f"elements")
    whole = with_unknown(np.reshape(constants, (n, n, SPLINES, 2)))
    return (pieces(whole).ravel(), n + 1, work.parameters["density_first"],
            work.parameters["density_spacing"])


def with_unknown(constants: Floats) -> Floats:
    """(K + 1, K + 1, ...): the last element, that of unknown types, is the mean of the others."""
    rows = np.concatenate([constants, constants.mean(axis=0, keepdims=True)])
    return np.concatenate([rows, rows.mean(axis=1, keepdims=True)], axis=1)


def pieces(constants: ArrayLike) -> Floats:
    """(K, K, SPLINES + 3, 8) powers 0 to 3 of k, then of t, between two knots.

    constants : (K, K, SPLINES, 2), weights of the cubic B-splines."""
    weights = np.asarray(constants, np.float64)
    n = len(weights)
    padded = np.zeros((n, n, SPLINES + 6, 2))
    padded[:, :, 3:-3] = weights
    # of the four B-splines that overlap between two knots, in the order of their centres
    powers = np.array([[1, -3, 3, -1], [4, 0, -6, 3], [1, 3, 3, -3], [0, 0, 0, 1]]) / 6.0
    out = np.zeros((n, n, SPLINES + 3, 2, 4))
    for m in range(4):
        out += padded[:, :, m:m + SPLINES + 3, :, None] * powers[m]
    return np.ascontiguousarray(out.reshape(n, n, SPLINES + 3, 8))
