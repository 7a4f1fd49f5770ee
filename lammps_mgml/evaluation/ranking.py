"""Where each of some values stands among all of them, over the ranks of a domain.

S^q of the reference does not change while the glass is deformed, so its order is found once.  The
AUC of any two classes of the atoms is then made of sums over the atoms: no scores travel, and none
are put into bins.
"""
import numpy as np

from ..system.arrays import Bools, Floats
from ..system.domain import Domain
from ..system.route import Route

_SAMPLES = 16             # values of each rank that tell how to share out the sorting


class Ranking:
    """The place of a value is the number of values below it, plus half of those that are equal to
    it, itself among them.  Places are exact, on any number of ranks.

    values : (n,) of this rank; NaN has no place.  Only those that count are ranked: each rank sorts
    one interval of the values, to which the others send 16 bytes for each different value of theirs.
    """

    def __init__(self, domain: Domain, values: Floats) -> None:
        self.domain, self.values = domain, values
        self.known = np.isfinite(values)
        self._counted = np.zeros(len(values), dtype=bool)
        self._place = np.empty(len(values))

    def rank(self, counted: Bools) -> None:
        """Find the places among the values that count.  Collective.  counted : (n,), known ones."""
        mine, inverse, count = np.unique(self.values[counted], return_inverse=True,
                                         return_counts=True)
        route = Route(self.domain.comm, np.arange(len(mine)),
                      np.searchsorted(self._bounds(mine), mine, side="right"))
        value, where = np.unique(route.push(mine), return_inverse=True)
        ties = np.bincount(where, route.push(count), len(value))
        below = self.domain.offset(int(ties.sum())) + np.cumsum(ties) - ties
        self._place[counted] = route.pull((below + 0.5 * ties)[where])[inverse]
        self._counted = counted.copy()

    def _bounds(self, mine: Floats) -> Floats:
        """(size - 1,) values that share out all of them evenly.  mine : (m,) sorted."""
        rank, size = self.domain.rank, self.domain.size
        table = np.full((size, _SAMPLES), -np.inf)
        if len(mine):
            at = (np.arange(_SAMPLES) + (rank + 0.5) / size) / _SAMPLES
            table[rank] = mine[(at * len(mine)).astype(np.int64)]
        found = np.sort(self.domain.max(table), axis=None)
        found = found[np.isfinite(found)]
        return found[np.arange(1, size) * len(found) // size] if len(found) else found

    def sums(self, counted: Bools, chosen: Bools) -> tuple[float, ...]:
        """What this rank adds to (values that count, chosen ones of them, places of these, ranks
        where other values count than when they were ranked).

        Where the last sum is not 0, the places are those of another set: ``rank`` it first.
        """
        return (float(np.count_nonzero(counted)), float(np.count_nonzero(chosen)),
                float(self._place[chosen].sum()),
                float(not np.array_equal(counted, self._counted)))


def area(sums: Floats) -> float:
    """AUC of the chosen values against the others, of the totals of ``Ranking.sums``; NaN if there
    are none of one kind.  Equal values count half."""
    n, chosen, places = sums[:3]
    if chosen == 0 or chosen == n:
        return float("nan")
    # pairs of two chosen ones add up to half of their number, whatever the order
    return float((places / chosen - 0.5 * chosen) / (n - chosen))
