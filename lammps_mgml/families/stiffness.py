"""How stiff the place of an atom is: small harmonic problems in place of a watch of its vibrations.

The force constants of pairs are those of a model (``train.springs`` fits them to forces).  The
inverse of a sum of them is no sum over the neighbours: a regression on densities does not have it.
"""
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._kernels import stiffness as _stiffness
from ..errors import InputError
from ..system.arrays import Floats
from ..system.threads import threads
from .averages import NEAR, levels
from .densities import SPLINES
from .family import Family, Feature, Filling, Set, Work

INPUT = "force_constants"
MOST = 1e12            # in any unit of force
NOT_FINITE = 2         # what the kernel returns
# name: what it is.  The columns of the kernel, in its order.
OWN = {
    "stiffness_mean": "ln of the mean eigenvalue of D, the sum of the force constants on the atom",
    "stiffness_min": "ln of the lowest eigenvalue of D, at least a tenth of the mean",
    "compliance": "ln of the trace of D^-1: how far a force moves the atom while all others stay",
    "compliance_near": "ln of the trace of what the near neighbours' own compliance adds to that"}
AXIAL = {
    "stiffness_axial": "load : D / trace D",
    "compliance_axial": "the same of D^-1",
    "compliance_near_axial": "the same of what the near neighbours add"}
SECOND = "compliance_near", "compliance_near_axial"


class Stiffness(Family):
    """Beyond the paper.  Not normalised: another unit of force shifts the logarithms of all alike.

    D_i = sum over the atoms j within the reach of the densities of k(r) u u + t(r) 1, u the unit
    vector to j; k and t are cubic splines for each pair of elements.  An unknown type has the mean
    force constants of all elements.  NaN for open cells, and where nothing holds the atom (the
    mean eigenvalue of D is not above 0); compliance_near also where a near neighbour is not held.
    """

    order, title, stage = "ELASTIC", "stiffness of an atom's place, not in the paper", "stiffness"
    averaged = True
    measure_reads = ()
    inputs = {INPUT: "the force constants of pairs, which a model brings along"}
    sets = {"stiffness": Set("stiffness and compliance of an atom's place, and averages"),
            "stiffness_load": Set("the same along the axis of the load, and averages")}

    def features(self, elements: tuple[str, ...]) -> Iterator[Feature]:
        for group, names, needs in (("stiffness", OWN, (INPUT,)),
                                    ("stiffness_load", AXIAL, (INPUT, "load"))):
            yield from levels([self.site(name, group, "1", text, needs=needs)
                               for name, text in names.items()], one_set=True)

    def farthest(self, parameters: Any) -> float:
        return reach(parameters["density_first"], parameters["density_spacing"])

    def columns(self, asked: list[Feature], elements: tuple[str, ...]) -> list[str]:
        """All of the kernel's, without the axial ones if none is asked for."""
        if not asked:
            return []
        return [*OWN, *(AXIAL if any("load" in f.needs for f in asked) else ())]

    def plan(self, at: dict[str, int], asked: dict[int, Feature],
             elements: tuple[str, ...]) -> tuple[bool, bool]:
        """Whether the load, and whether the neighbours' compliance is asked for."""
        return (any("load" in f.needs for f in asked.values()),
                any(f.base in SECOND for f in asked.values()))

    def read_input(self, name: str, value: Any) -> Floats | None:
        if value is None or not np.size(value):
            return None
        try:
            constants = np.asarray(value, np.float64).ravel()
        except (TypeError, ValueError):
            raise InputError(f"{INPUT} are numbers, not {value!r:.60}") from None
        if not (abs(constants) <= MOST).all():          # NaN too
            raise InputError(f"{INPUT}: each is a number between {-MOST:g} and {MOST:g}")
        return constants

    def fill_reads(self, plan: tuple[bool, bool]) -> tuple[str, ...]:
        return (NEAR,) if plan[1] else ()

    def fill(self, work: Work, plan: tuple[bool, bool], table: Floats, sums: Floats) -> Filling:
        axial, second = plan
        load = work.inputs["load"] if axial else np.empty(0)
        yield from stiffness(work, work.atoms.positions, springs_of(work), load, second, table)
        return []


Springs = tuple[Floats, int, float, float]


def stiffness(work: Work, positions: Floats, springs: Springs, load: Floats, second: bool,
              table: Floats) -> Iterator[Floats]:
    """Fill the columns of OWN and, with a load, AXIAL, for atoms at ``positions`` (n_all, 3).

    Yields D^-1 (n_rows, 6), to be exchanged, if the neighbours' compliance (SECOND) is asked
    for; their lists are those of the cells.
    """
    atoms, inverse = work.atoms, np.empty((work.n_rows, 6))
    problem = _stiffness.places(positions, atoms.types, work.cells.is_open, *springs, load, inverse,
                                table, threads())
    if problem == NOT_FINITE:
        raise InputError(f"{INPUT} take an atom to a position that is no number")
    if problem:
        raise MemoryError("no memory for the grid of the force constants")
    if second:
        yield inverse
        start, count, neighbour = work.lists[NEAR]
        _stiffness.gives(positions, atoms.types, work.cells.is_open, start, count, neighbour,
                         work.rows[NEAR][2], *springs, load, inverse, table, threads())


def reach(first: float, spacing: float) -> float:
    """Beyond which no force constant acts."""
    return first + (SPLINES + 1) * spacing


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
