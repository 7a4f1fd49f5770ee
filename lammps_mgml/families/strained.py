"""How an atom's place answers the load: its stiffness after a small strain, and the non-affine
displacements of that strain, both by the force constants of a model.

What slips depends on the direction of the load; stiffness and densities hardly do.  The linear
response of the whole neighbourhood does (D. Richard et al., Phys. Rev. Materials 4, 113609, 2020,
compare structural predictors of plasticity).  It is taken here to a few steps of an iteration, and
the place of the atom is then judged where that field has taken it.
"""
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np

from .._kernels import d2min as _d2min
from .._kernels import response as _response
from .._kernels import stiffness as _stiffness
from ..system.arrays import Floats
from ..system.threads import threads
from .averages import NEAR, levels
from .family import Family, Feature, Filling, Set, Work
from .pairs import INPUT, Springs, reach, springs_of
from .stiffness import OWN, PAIRS, stiffness

STRAIN = 0.05          # of the load; 0.03 and 0.08 tell a little less
LONGEST = 0.08         # in distances of nearest neighbours: no non-affine displacement is longer
SWEEPS = 5             # after the first step; three more tell no more
EIGENVALUES = 0.08, 2.0    # of D^-1 H, between which the iteration takes them to be
FLAT = 1e-6            # D2min over (strain times nearest distance)^2 below which it does not count
NAMES = {f"strained_{name}": f"{text}, where the predicted strain has taken the atoms"
         for name, text in OWN.items()}
D2 = "nonaffine_d2"


class Strained(Family):
    """Beyond the paper.  Not normalised; NaN as the stiffness is, and D2min with fewer than 3 near
    neighbours or all of them in a plane."""

    order, title, stage = "STRAINED", "an atom's place under a predicted strain, not in the paper", \
        "strained"
    averaged = True
    measure_reads = ()
    sets = {"strained": Set("stiffness and compliance after a predicted strain along the load, the "
                            "non-affine displacements of it, and averages")}

    def features(self, elements: tuple[str, ...]) -> Iterator[Feature]:
        texts = {**NAMES, D2: "ln of D2min of the predicted strain, over its square and that of the "
                              "distance of nearest neighbours"}
        return levels([self.site(name, "strained", "1", text, needs=(INPUT, "load"))
                       for name, text in texts.items()], one_set=True)

    def farthest(self, parameters: Any) -> float:
        """Who is within the reach of the force constants after the strain was so near before it."""
        moved = 2.0 * LONGEST * parameters["nearest"] * (1.0 + STRAIN)
        far = reach(parameters["density_first"], parameters["density_spacing"])
        return float((far + moved) / (1.0 - STRAIN))

    def columns(self, asked: list[Feature], elements: tuple[str, ...]) -> list[str]:
        return [*NAMES, D2] if asked else []

    def fill_reads(self, plan: Any) -> tuple[str, ...]:
        return (NEAR,)

    def fill(self, work: Work, plan: Any, table: Floats, sums: Floats) -> Filling:
        atoms, springs, nearest = work.atoms, springs_of(work), work.parameters["nearest"]
        start, count, neighbour = work.lists[NEAR]
        u = yield from _response_of(work, springs)
        places = np.empty_like(atoms.positions)
        _response.strained(atoms.positions, work.row_of, u, work.inputs["load"], STRAIN,
                           LONGEST * nearest, places, threads())
        d2, eta, used = np.empty(atoms.n_own), np.empty(atoms.n_own), np.empty(atoms.n_own, np.int32)
        _d2min.affine_residual(atoms.positions, places, atoms.n_own, start, start + count, neighbour,
                               d2, eta, used, threads())
        own = table[:atoms.n_own]
        own[:, -1] = np.log(d2 / (STRAIN * nearest)**2 + FLAT)
        del u, d2, eta, used
        yield from stiffness(work, places, springs, np.empty(0), True, table)
        own[np.isnan(own[:, 0]), -1] = np.nan         # open cells, and atoms that nothing holds
        return []


def _response_of(work: Work, springs: Springs) -> Generator[Floats, None, Floats]:
    """Non-affine displacements (n_rows, 3), A per unit of the load; yields what is exchanged."""
    atoms, (low, high) = work.atoms, EIGENVALUES
    start, count, neighbour = work.lists[NEAR]
    row, pairs = work.rows[NEAR][2], np.empty((len(neighbour), 2))
    _stiffness.near(atoms.positions, atoms.types, start, count, neighbour, *springs, pairs, threads())
    work.made[PAIRS] = pairs                      # the stiffness takes them, too
    inverse, left = np.empty((atoms.n_own, 6)), np.empty((atoms.n_own, 3))
    _response.loaded(atoms.positions, start, count, neighbour, pairs, work.inputs["load"], inverse,
                     left, threads())
    step, u = np.zeros((work.n_rows, 3)), np.zeros((work.n_rows, 3))
    # Chebyshev's iteration between these eigenvalues (Saad, Iterative Methods, 12.3.2)
    middle, half = (high + low) / 2, (high - low) / 2
    _response.advance(inverse, 0.0, 1.0 / middle, left, step, u, threads())
    rho = half / middle
    for _ in range(SWEEPS):
        yield step
        _response.sweep(atoms.positions, start, count, neighbour, row, pairs, step, left, threads())
        following = 1.0 / (2.0 * middle / half - rho)
        _response.advance(inverse, following * rho, 2.0 * following / half, left, step, u, threads())
        rho = following
    del work.made[PAIRS]                          # and has by now
    yield u
    return u
