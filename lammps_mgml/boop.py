"""Bond orientational order parameters (Steinhardt 1983; averaged: Lechner & Dellago 2008)."""
from fractions import Fraction
from functools import lru_cache
from math import factorial, sqrt

import numpy as np

from ._kernels import boop as _boop
from .catalogue import ORDERS
from .system.threads import threads

WIDTH = _boop.WIDTH            # numbers that hold the q_lm of one atom, l = 4, 6, 8, 10, m >= 0


def wigner_3j(order, m1, m2):
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
    return (-1) ** (m3 % 2) * (1 if total >= 0 else -1) * sqrt(square)


@lru_cache(maxsize=1)
def terms():
    """(start (5,), m1, m2, weight): the terms of w_l with m1 >= m2 >= 0, for each l.

    The sum runs over m1 + m2 + m3 = 0.  For even l a 3j symbol is the same for all permutations
    and for all signs turned, and q_l,-m = (-1)^m conj(q_lm): so each term stands for all of these.
    """
    start, rows = [0], []
    for order in ORDERS:
        for m1 in range(order + 1):
            for m2 in range(min(m1, order - m1) + 1):
                permutations = 6 // (1 + (m1 == m2) + 4 * (m1 == m2 == 0))
                mirrored = 2 if m2 > 0 else 1
                weight = permutations * mirrored * (-1) ** (m1 + m2) * wigner_3j(order, m1, m2)
                rows.append((m1, m2, weight))
        start.append(len(rows))
    m1, m2, weight = zip(*rows)
    return (np.array(start, np.int32), np.array(m1, np.int32), np.array(m2, np.int32),
            np.array(weight))


def bond_order(atoms, cells, neighbours, n_rows):
    """q_lm (n_rows, WIDTH) of the owned atoms over ``neighbours`` (start, count, atom)."""
    qlm = np.empty((n_rows, WIDTH))
    _boop.bond_order(atoms.positions, cells.is_open, *neighbours, qlm, threads())
    return qlm


def order_parameters(qlm, n_own, into, out):
    """Put q_4 .. q_10, w_4 .. w_10 of the owned atoms into the columns ``into`` of ``out``."""
    _boop.order_parameters(qlm, n_own, *terms(), into, out, threads())


def averaged_order_parameters(qlm, neighbours):
    """(n_own, 8), the same after averaging q_lm over each atom and its ``neighbours``.

    qlm : (n_rows, WIDTH), rows of other ranks' atoms filled; neighbours : start, count, row.
    """
    out = np.empty((len(neighbours[0]), 2 * len(ORDERS)))
    _boop.averaged_order_parameters(qlm, *neighbours, *terms(), out, threads())
    return out
