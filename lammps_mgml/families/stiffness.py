"""How stiff the place of an atom is: small harmonic problems in place of a watch of its vibrations.

The force constants of pairs are those of a model (``train.springs`` fits them to forces).  The
inverse of a sum of them is no sum over the neighbours: a regression on densities does not have it.
"""
from collections.abc import Iterator
from typing import Any

import numpy as np

from .._kernels import stiffness as _stiffness
from ..errors import InputError
from ..system.arrays import Floats
from ..system.threads import threads
from .averages import NEAR, levels
from .family import Family, Feature, Filling, Set, Work
from .pairs import INPUT, Springs, held, reach, springs_of

PAIRS = "springs of near neighbours"      # in ``Work.made``, of the atoms at their own positions
NONE = np.empty((0, 2))
MOST = 1e12            # in any unit of force
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


def stiffness(work: Work, positions: Floats, springs: Springs, load: Floats, second: bool,
              table: Floats) -> Iterator[Floats]:
    """Fill the columns of OWN and, with a load, AXIAL, for atoms at ``positions`` (n_all, 3).

    Yields D^-1 (n_rows, 6), to be exchanged, if the neighbours' compliance (SECOND) is asked
    for; their lists are those of the cells.
    """
    is_open, inverse = work.cells.is_open, held(work, positions, springs)
    _stiffness.places(inverse, is_open, load, table, threads())
    if second:
        yield inverse
        at_rest = positions is work.atoms.positions
        pairs = work.made.get(PAIRS, NONE) if at_rest else NONE
        start, count, neighbour = work.lists[NEAR]
        _stiffness.gives(positions, work.atoms.types, is_open, start, count, neighbour,
                         work.rows[NEAR][2], *springs, pairs, load, inverse, table, threads())
