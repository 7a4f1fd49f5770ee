"""D2min of a running, decomposed simulation, exact however far atoms move.

The reference configuration is cut into one brick for each rank.  An atom's *home* is the rank whose
brick holds its reference position: there its partners are found once, and never again.  At each
evaluation the present positions travel to the atoms' homes (in a solid nearly all are there
already), the fit is done there, and the results travel back.  So no partner is ever out of reach,
whichever rank owns it now, and ghosts play no part.
"""
import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ..system.arrays import AnyArray, Floats, Int32s, Ints, least
from ..system.atoms import wrap
from ..system.box import Box, times
from ..system.domain import Domain
from ..system.route import Picked, Route
from ..system.scratch import Scratch
from .d2min import NonAffine, partners_within, residual

ATOMS_AT_ONCE = 1 << 15     # so that what is known of an atom for a moment takes little memory


def brick_grid(size: int, heights: Floats) -> Ints:
    """(nx, ny, nz) bricks with the least surface for ``size`` ranks."""
    least, best = np.inf, np.ones(3, np.int64)
    for nx in (n for n in range(1, size + 1) if size % n == 0):
        for ny in (n for n in range(1, size // nx + 1) if (size // nx) % n == 0):
            grid = np.array([nx, ny, size // nx // ny])
            side = heights / grid
            surface = side[0] * side[1] + side[1] * side[2] + side[0] * side[2]
            if surface < least - 1e-12:
                least, best = surface, grid
    return best


class Reference:
    """The reference configuration, spread over the ranks of a domain.

    box : Box of the reference.  cutoff : A.  Methods are collective.
    """

    def __init__(self, domain: Domain, box: Box, cutoff: float) -> None:
        self.domain, self.comm, self.box, self.cutoff = domain, domain.comm, box, cutoff
        self.grid = brick_grid(domain.size, box.heights)
        self.margin = cutoff / box.heights
        self._most = int(np.ceil(self.margin).max()) + 1
        self._start: Ints | None = None           # until ``settle`` was called
        self._homes: Route
        self._copies: Route
        self._whole: AnyArray         # (n, 3) box edges from an atom's place in the box to it
        self.d2min = np.empty(0)                  # A^2, of the atoms that have their home here

    def settle(self, numbers: Ints | Int32s, reference: Floats,
               expected: ArrayLike | None = None) -> Int32s:
        """Tell the homes which rank owns which atom now; the first call also finds the partners.

        numbers : (n,) own numbers of the rank's atoms that are in the reference.
        reference : (n, 3) unwrapped reference positions, A.
        expected : (n,) partners that each atom had when the reference was taken, None if it is
        taken now.  An atom of which fewer are there is undefined for good.
        Returns (n,) int32, the partners found by the first call.

        Raises
        ------
        InputError : two atoms carry one number.
        """
        own_numbers: AnyArray = np.asarray(numbers)
        first = self._start is None
        x0 = np.empty((len(numbers) if first else 0, 3))
        home_ranks = np.empty(len(numbers), np.int32)
        wholes, near, insides = [np.empty((0, 3), np.int8)], [], []
        for start in range(0, len(numbers), ATOMS_AT_ONCE):
            at = slice(start, start + ATOMS_AT_ONCE)
            fractional = self.box.fractional(reference[at])
            wholes.append(least(np.where(self.box.periodic, np.floor(fractional), 0.0)))
            inside = wrap(self.box, fractional)
            if first:
                x0[at] = self.box.origin + self.box.vectors(inside)
            home = self._home(inside)
            home_ranks[at] = self._rank(home)
            # nearly all others are known in their home alone
            rows = np.unique(self._copied(inside, home)[0])
            near.append(rows + start)
            insides.append(inside[rows])
        self._whole = np.concatenate(wholes)
        rows, bricks, shifts = np.empty(0, np.int64), *np.empty((2, 0, 3), np.int64)
        if near:
            inside = np.concatenate(insides)
            rows, bricks, shifts = self._copied(inside, self._home(inside))
            rows = np.concatenate(near)[rows]
        self._homes = Route(self.comm, np.arange(len(numbers), dtype=np.int32), home_ranks)
        self._copies = Route(self.comm, rows, self._rank(bricks))
        packed = np.concatenate([shifts, own_numbers[rows, None]], axis=1).astype(np.int64)
        home_numbers: AnyArray = self._homes.push(own_numbers).copy()
        came = self._copies.push_each(packed)
        with self.domain.raise_on_all():
            twice = np.sort(home_numbers)
            if (twice[1:] == twice[:-1]).any():
                raise InputError("two atoms are copies of one that is in the reference: replicate "
                                 "the system before the reference is taken, or take a new one:  "
                                 "variable mgml_reference string now")
        if self._start is None:
            own, ghost = self._homes.push(x0), self._copies.push(x0)
            self._numbers, self._keys = home_numbers, self._key(came)
            self._shift = least(came[:, :3])
            self._x0 = np.concatenate([own, ghost + self.box.vectors(came[:, :3])])
            del x0, own, ghost
            self._start, self._partner = partners_within(self._x0, len(home_numbers), self.cutoff)
            self._by_number = np.argsort(self._numbers).astype(np.int32)
            self._by_key = np.argsort(self._keys).astype(np.int32)
            there = np.diff(self._start).astype(np.int32)
            self._expected = there if expected is None else self._homes.push(
                np.asarray(expected, dtype=np.int32)).copy()
        # where each row that comes belongs in the tables made at first
        self._home_slot = _slots(self._numbers, self._by_number, home_numbers)
        self._copy_slot = _slots(self._keys, self._by_key, self._key(came))
        return self._homes.pull(np.diff(self._start)[self._home_slot].astype(np.int32))

    def measure(self, unwrapped: Floats, edges: Floats, room: Scratch | None = None) -> NonAffine:
        """NonAffine of the rank's atoms, in the order given to ``settle``; NaN if a partner is lost.

        unwrapped : (n, 3) present unwrapped positions, A.  edges : (3, 3) present box edges.
        room : for the tables; None for fresh memory.
        """
        assert self._start is not None            # ``settle`` was called
        room = room if room is not None else Scratch()
        x, table = room.take(unwrapped.shape), room.take(self._x0.shape)
        for start in range(0, len(x), ATOMS_AT_ONCE):
            at = slice(start, start + ATOMS_AT_ONCE)
            np.subtract(unwrapped[at], times(self._whole[at], edges), out=x[at])
        table.fill(np.nan)
        n_home = len(self._numbers)
        table[:n_home][self._home_slot] = self._homes.push(x)
        table[n_home:][self._copy_slot] = self._copies.push(x) + times(
            self._shift[self._copy_slot], edges)
        out = residual(self._x0, table, n_home, self._start, self._partner)
        room.give(x, table)
        lost = out.partners < self._expected
        packed = room.take((n_home, 3))
        packed[:, 0], packed[:, 1], packed[:, 2] = out
        packed[lost, :2] = np.nan
        self.d2min = packed[:, 0].copy()
        back = self._homes.pull(packed[self._home_slot])
        out = NonAffine(back[:, 0].copy(), back[:, 1].copy(), back[:, 2].astype(np.int32))
        room.give(packed)
        return out

    def _home(self, inside: Floats) -> Ints:
        """(n, 3) bricks that hold the atoms at ``inside``, fractions of the box."""
        home: Ints = np.clip((inside * self.grid).astype(np.int64), 0, self.grid - 1)
        return home

    def _copied(self, inside: Floats, home: Ints) -> tuple[Ints, Ints, Ints]:
        """Rows, bricks and image shifts as ``_bricks_in_reach``, but for the atoms' homes."""
        rows, bricks, shifts = self._bricks_in_reach(inside)
        copy = (bricks != home[rows]).any(axis=1) | shifts.any(axis=1)
        return rows[copy], bricks[copy], shifts[copy]

    def at_home(self, values: Floats) -> Floats:
        """Values of the rank's atoms, in the order given to ``settle``, at their homes: in the order
        of ``d2min``, NaN where an atom is gone."""
        out = np.full(len(self._numbers), np.nan)
        out[self._home_slot] = self._homes.push(values)
        return out

    def _rank(self, bricks: Ints) -> Ints:
        rank: Ints = (bricks[:, 0] * self.grid[1] + bricks[:, 1]) * self.grid[2] + bricks[:, 2]
        return rank

    def _key(self, came: Ints) -> Ints:
        """One key for an atom's number and an image."""
        base = 2 * self._most + 1
        code = came[:, :3] + self._most
        key: Ints = ((came[:, 3] * base + code[:, 0]) * base + code[:, 1]) * base + code[:, 2]
        return key

    def _bricks_in_reach(self, inside: Floats) -> tuple[Ints, Ints, Ints]:
        """Rows, bricks (m, 3) and image shifts (m, 3) of all atoms a brick must see."""
        rows = np.arange(len(inside))
        bricks = np.empty((len(inside), 0), dtype=np.int64)
        shifts = np.empty((len(inside), 0), dtype=np.int64)
        for axis in range(3):
            n, m = int(self.grid[axis]), self.margin[axis]
            reach = int(np.ceil(m)) if self.box.periodic[axis] else 0
            found = []
            for shift in range(-reach, reach + 1):
                at = inside[rows, axis] + shift
                for brick in range(n):
                    # outermost bricks also hold what lies outside a box that is not periodic
                    low = -np.inf if brick == 0 and not reach else brick / n - m
                    high = np.inf if brick == n - 1 and not reach else (brick + 1) / n + m
                    take = np.flatnonzero((at >= low) & (at <= high))
                    if take.size:
                        found.append((rows[take],
                                      np.c_[bricks[take], np.full(take.size, brick)],
                                      np.c_[shifts[take], np.full(take.size, shift)]))
            if not found:
                return rows[:0], np.empty((0, 3), np.int64), np.empty((0, 3), np.int64)
            rows, bricks, shifts = (np.concatenate(a) for a in zip(*found))
        return rows, bricks, shifts


def _slots(keys: AnyArray, order: Int32s, wanted: AnyArray) -> Picked:
    """Place of each of ``wanted`` among ``keys``, all of which are there."""
    if np.array_equal(keys, wanted):
        return slice(None)
    slots: Int32s = order[np.searchsorted(keys[order], wanted)]
    if not np.array_equal(keys[slots], wanted):
        raise RuntimeError("an atom came that is not in the reference")
    return slots
