"""Near neighbours of an atom: how many are within the cutoff, and how far away."""
from collections.abc import Iterator

import numpy as np

from .._kernels import sro as _sro
from ..system.arrays import Floats, Int32s
from ..system.threads import threads
from .facets import Facets, kernel_columns
from .family import NEIGHBOURS, STATISTICS, WORDS, Family, Feature, Work, ratio

COLUMNS = ("cn_dist", *(f"distance_dist_{s}" for s in STATISTICS))      # of the kernel
DISTANCE = "mean dist distance"


class Distances(Family):
    """The same sets as those of the facets' numbers and distances, over other neighbours."""

    order, stage, always = "SRO", "sro", True
    measure_reads = ("dist",)
    sets = {name: Facets.sets[name] for name in ("cn", "distance_stats")}

    def features(self, elements: tuple[str, ...]) -> Iterator[Feature]:
        yield self.site("cn_dist", "cn", "count", f"number of {NEIGHBOURS['dist']}", "dist")
        for s in STATISTICS:
            yield self.site(f"distance_dist_{s}", "distance_stats", DISTANCE,
                            f"{WORDS[s]} of r_ij / <r> to {NEIGHBOURS['dist']}", "dist",
                            mean="distance_dist")

    def plan(self, at: dict[str, int], asked: dict[int, Feature],
             elements: tuple[str, ...]) -> tuple[Int32s, Int32s]:
        return kernel_columns(COLUMNS, at)

    def measure(self, work: Work, plan: tuple[Int32s, Int32s], table: Floats) -> Floats:
        sums, cells = np.zeros(2), work.cells          # pairs, their distances
        _sro.near_statistics(work.atoms.positions, cells.is_open, work.counted, cells.near_start,
                             cells.near_count, cells.near, *plan, table, sums, threads())
        return sums

    def means(self, sums: Floats) -> dict[str, float]:
        pairs, distance = sums
        return {"distance_dist": ratio(distance, pairs)}
