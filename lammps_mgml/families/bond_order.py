"""Bond orientational order parameters (Steinhardt 1983; averaged: Lechner & Dellago 2008)."""
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from math import factorial, sqrt
from typing import Any

import numpy as np

from .._kernels import boop as _boop
from ..geometry.cells import Cells
from ..system.arrays import Floats, Int32s, Ints, Lists
from ..system.atoms import Atoms
from ..system.threads import threads
from .family import LISTS, NEIGHBOURS, STATISTICS, Family, Feature, Filling, Set, Work

ORDERS = (4, 6, 8, 10)         # l
WIDTH = _boop.WIDTH            # numbers that hold the q_lm of one atom, l = 4, 6, 8, 10, m >= 0


class BondOrder(Family):
    """Averaged ones need the q_lm of neighbours: half a kilobyte an atom, which is exchanged, used
    and freed, first over one kind of neighbours, then over the other."""

    order, stage, made_here = "SRO", "boop", ("coarse",)
    sets = {
        "boop_q": Set("bond orientational order q4 to q10", STATISTICS, True),
        "boop_w": Set("bond orientational order w4 to w10", STATISTICS, True),
        "boop_q_coarse": Set("q4 to q10 of q_lm averaged over the atom and its neighbours"),
        "boop_w_coarse": Set("w4 to w10 of q_lm averaged over the atom and its neighbours")}

    def features(self, elements: tuple[str, ...]) -> Iterator[Feature]:
        for letter, text in (
                ("q", "q_l = sqrt(4 pi / (2 l + 1) sum_m |q_lm|^2), l = {}, q_lm the mean of Y_lm "
                      "over {}"),
                ("w", "w_l = sum of (l l l; m1 m2 m3) q_lm1 q_lm2 q_lm3 over (sum_m |q_lm|^2)^1.5, "
                      "l = {}, over {}")):
            for x in LISTS:
                for order in ORDERS:
                    yield self.site(f"boop_{letter}{order}_{x}", f"boop_{letter}", "1",
                                    text.format(order, NEIGHBOURS[x]), x)
        for letter in "qw":
            for x in LISTS:
                for order in ORDERS:
                    yield Feature(f"boop_{letter}{order}_cg_{x}", f"boop_{letter}_coarse", "MRO",
                                  "1", f"{letter}_l of Q_lm = mean of q_lm over the atom and "
                                       f"{NEIGHBOURS[x]}, l = {order}",
                                  f"boop_{letter}{order}_{x}", "coarse", x)

    def plan(self, at: dict[str, int], asked: dict[int, Feature],
             elements: tuple[str, ...]) -> dict[str, tuple[Int32s, Ints, Ints]]:
        """{kind: (columns of q_l and w_l, which of their averages, features of these)}."""
        out = {}
        for x in LISTS:
            names = [f"boop_{letter}{order}_{x}" for letter in "qw" for order in ORDERS]
            into = np.array([at.get(name, -1) for name in names], np.int32)
            coarse = [(names.index(f.base), k) for k, f in asked.items()
                      if f.statistic == "coarse" and f.neighbours == x]
            if coarse or (into >= 0).any():
                out[x] = into, *np.array(coarse, np.int64).reshape(-1, 2).T
        return out

    def fill_reads(self, plan: Any) -> tuple[str, ...]:
        return tuple(plan)

    def fill(self, work: Work, plan: Any, table: Floats, sums: Floats) -> Filling:
        products = []
        for x, (into, which, numbers) in plan.items():
            qlm = bond_order(work.atoms, work.cells, work.lists[x], work.n_rows)
            order_parameters(qlm, work.atoms.n_own, into, table)
            if len(which):
                yield qlm
                products.append((numbers, averaged_order_parameters(qlm, work.rows[x]), which))
            del qlm
        return products


def wigner_3j(order: int, m1: int, m2: int) -> float:
    """Wigner's 3j symbol (l l l; m1 m2 -m1-m2) by Racah's formula in exact arithmetic."""
    m3 = -m1 - m2
    if max(abs(m1), abs(m2), abs(m3)) > order:
        return 0.0
    total = Fraction(0)
    for t in range(max(0, -m1, m2), min(order, order - m1, order + m2) + 1):
        total += Fraction((-1) ** t, factorial(t) * factorial(t + m1) * factorial(t - m2)
                          * factorial(order - t) * factorial(order - t - m1)
                          * factorial(order - t + m2))
    square = Fraction(factorial(order) ** 3, factorial(3 * order + 1)) * total ** 2
    for m in (m1, m2, m3):
        square *= factorial(order + m) * factorial(order - m)
    return float((-1) ** (m3 % 2)) * (1 if total >= 0 else -1) * sqrt(square)


@lru_cache(maxsize=1)
def terms() -> tuple[Int32s, Int32s, Int32s, Floats]:
    """(start (5,), m1, m2, weight): the terms of w_l with m1 >= m2 >= 0, for each l.

    The sum runs over m1 + m2 + m3 = 0.  For even l a 3j symbol is the same for all permutations
    and for all signs turned, and q_l,-m = (-1)^m conj(q_lm): so each term stands for all of these.
    """
    start: list[int] = [0]
    rows: list[tuple[int, int, float]] = []
    for order in ORDERS:
        for m1 in range(order + 1):
            for m2 in range(min(m1, order - m1) + 1):
                permutations = 6 // (1 + (m1 == m2) + 4 * (m1 == m2 == 0))
                mirrored = 2 if m2 > 0 else 1
                weight = permutations * mirrored * (-1) ** (m1 + m2) * wigner_3j(order, m1, m2)
                rows.append((m1, m2, weight))
        start.append(len(rows))
    first, second, weights = zip(*rows)
    return (np.array(start, np.int32), np.array(first, np.int32), np.array(second, np.int32),
            np.array(weights))


def bond_order(atoms: Atoms, cells: Cells, neighbours: Lists, n_rows: int) -> Floats:
    """q_lm (n_rows, WIDTH) of the owned atoms over ``neighbours`` (start, count, atom)."""
    qlm = np.empty((n_rows, WIDTH))
    _boop.bond_order(atoms.positions, cells.is_open, *neighbours, qlm, threads())
    return qlm


def order_parameters(qlm: Floats, n_own: int, into: Int32s, out: Floats) -> None:
    """Put q_4 .. q_10, w_4 .. w_10 of the owned atoms into the columns ``into`` of ``out``."""
    _boop.order_parameters(qlm, n_own, *terms(), into, out, threads())


def averaged_order_parameters(qlm: Floats, neighbours: Lists) -> Floats:
    """(n_own, 8), the same after averaging q_lm over each atom and its ``neighbours``.

    qlm : (n_rows, WIDTH), rows of other ranks' atoms filled; neighbours : start, count, row.
    """
    out = np.empty((len(neighbours[0]), 2 * len(ORDERS)))
    start, count, row = neighbours
    _boop.averaged_order_parameters(qlm, start, count, row, *terms(), out, threads())
    return out
