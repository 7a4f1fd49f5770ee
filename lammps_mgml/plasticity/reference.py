"""D2min of a running, decomposed simulation, exact however far atoms move.

The reference configuration is cut into one brick for each rank.  An atom's *home* is the rank whose
brick holds its reference position: there its partners are found once, and never again.  At each
evaluation the present positions travel to the atoms' homes (in a solid nearly all are there
already), the fit is done there, and the results travel back.  So no partner is ever out of reach,
whichever rank owns it now, and ghosts play no part.
"""
import numpy as np

from ..system.atoms import wrap
from ..system.box import times
from .d2min import NonAffine, partners_within, residual
from ..system.route import Route


def brick_grid(size, heights):
    """(nx, ny, nz) bricks with the least surface for ``size`` ranks."""
    best = None
    for nx in (n for n in range(1, size + 1) if size % n == 0):
        for ny in (n for n in range(1, size // nx + 1) if (size // nx) % n == 0):
            grid = np.array([nx, ny, size // nx // ny])
            side = heights / grid
            surface = side[0] * side[1] + side[1] * side[2] + side[0] * side[2]
            if best is None or surface < best[0] - 1e-12:
                best = surface, grid
    return best[1]


class Reference:
    """The reference configuration, spread over the ranks of ``comm`` (None: one rank).

    box : Box of the reference.  Methods are collective.
    """

    def __init__(self, comm, box, cutoff):
        self.comm, self.box, self.cutoff = comm, box, cutoff
        self.grid = brick_grid(comm.size if comm is not None else 1, box.heights)
        self.margin = cutoff / box.heights
        self._most = int(np.ceil(self.margin).max()) + 1
        self._homes = self._copies = self._start = None

    def settle(self, tags, reference):
        """Tell the homes which rank owns which atom now; the first call also finds the partners.

        tags : (n,) int64 of the rank's atoms that have a reference.
        reference : (n, 3) unwrapped reference positions, A.
        """
        fractional = self.box.fractional(reference)
        self._whole = np.where(self.box.periodic, np.floor(fractional), 0.0)
        inside = wrap(self.box, fractional)
        home = np.clip((inside * self.grid).astype(np.int64), 0, self.grid - 1)
        everyone = np.arange(len(tags))
        rows, bricks, shifts = self._bricks_in_reach(inside)
        copy = (bricks != home[rows]).any(axis=1) | shifts.any(axis=1)
        rows, bricks, shifts = rows[copy], bricks[copy], shifts[copy]
        self._homes = Route(self.comm, everyone, self._rank(home))
        self._copies = Route(self.comm, rows, self._rank(bricks))
        packed = np.concatenate([shifts, tags[rows, None]], axis=1)
        home_tags = self._homes.push(tags)
        came = self._copies.push_each(packed)
        if self._start is None:
            x0 = self.box.origin + self.box.vectors(inside)
            own, ghost = self._homes.push(x0), self._copies.push(x0)
            self._tags, self._keys = home_tags, self._key(came)
            self._shift = came[:, :3]
            self._x0 = np.concatenate([own, ghost + self.box.vectors(came[:, :3])])
            self._start, self._partner = partners_within(self._x0, len(own), self.cutoff)
            self._by_tag, self._by_key = np.argsort(self._tags), np.argsort(self._keys)
        # where each row that comes belongs in the tables made at first
        self._home_slot = _slots(self._tags, self._by_tag, home_tags)
        self._copy_slot = _slots(self._keys, self._by_key, self._key(came))

    def measure(self, unwrapped, edges):
        """NonAffine of the rank's atoms, in the order given to ``settle``; NaN if a partner is lost.

        unwrapped : (n, 3) present unwrapped positions, A.  edges : (3, 3) present box edges.
        """
        x = unwrapped - times(self._whole, edges)
        table = np.full((len(self._x0), 3), np.nan)
        n_home = len(self._tags)
        table[self._home_slot] = self._homes.push(x)
        copies = self._copies.push(x) + times(self._shift[self._copy_slot], edges)
        table[n_home + self._copy_slot] = copies
        out = residual(self._x0, table, n_home, self._start, self._partner)
        lost = out.partners < np.diff(self._start)
        packed = np.stack([np.where(lost, np.nan, out.d2min), np.where(lost, np.nan, out.eta),
                           out.partners.astype(np.float64)], axis=1)
        back = self._homes.pull(packed[self._home_slot])
        return NonAffine(back[:, 0].copy(), back[:, 1].copy(), back[:, 2].astype(np.int32))

    def _rank(self, bricks):
        return (bricks[:, 0] * self.grid[1] + bricks[:, 1]) * self.grid[2] + bricks[:, 2]

    def _key(self, came):
        """One number for a tag and an image."""
        base = 2 * self._most + 1
        code = came[:, :3] + self._most
        return ((came[:, 3] * base + code[:, 0]) * base + code[:, 1]) * base + code[:, 2]

    def _bricks_in_reach(self, inside):
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


def _slots(keys, order, wanted):
    return order[np.searchsorted(keys[order], wanted)]
