"""Chemical short-range order: which elements are around an atom."""
from collections.abc import Iterator
from typing import Any

import numpy as np

from .._kernels import sro as _sro
from ..system.arrays import Floats, Int32s, Ints
from ..system.threads import threads
from .family import LISTS, NEIGHBOURS, STATISTICS, Family, Feature, Set, Work, ratio

QUANTITIES = ("number", "comp", "csro")         # rows of the kernel's ``into``


class Composition(Family):
    order, stage, always = "SRO", "sro", True
    measure_reads = ()
    sets = {"csro": Set("element, numbers and fractions of elements around, chemical short-range "
                        "order", STATISTICS, True)}

    def features(self, elements: tuple[str, ...]) -> Iterator[Feature]:
        yield self.site("element_type", "csro", "label", "0, 1, ... in the order of the elements")
        for x in LISTS:
            around = NEIGHBOURS[x]
            for e in elements:
                yield self.site(f"number_{e.lower()}_{x}", "csro", "count",
                                f"number of {e} among {around}", x)
            for e in elements:
                yield self.site(f"comp_{e.lower()}_{x}", "csro", "fraction",
                                f"x, fraction of {e} among {around}", x)
            for e in elements:
                yield self.site(f"csro_{e.lower()}_{x}", "csro", "1",
                                f"(x - c) / c, x of {e} among {around}, c in the whole system", x)

    def plan(self, at: dict[str, int], asked: dict[int, Feature],
             elements: tuple[str, ...]) -> tuple[int | None, dict[str, Int32s]]:
        into = {x: np.array([[at.get(f"{what}_{e.lower()}_{x}", -1) for e in elements]
                             for what in QUANTITIES], np.int32) for x in LISTS}
        return at.get("element_type"), into

    def fill_reads(self, plan: Any) -> list[str]:
        return [x for x, into in plan[1].items() if (into >= 0).any()]

    def measure(self, work: Work, plan: Any, table: Floats) -> Ints:
        n_own = work.atoms.n_own
        return np.bincount(work.atoms.types[:n_own], minlength=len(work.elements) + 1)[1:]

    def means(self, sums: Floats) -> dict[str, tuple[float, ...]]:
        total = sum(sums)
        return {"composition": tuple(ratio(n, total) for n in sums)}

    def fill(self, work: Work, plan: Any, table: Floats, sums: Floats) -> None:
        own_column, lists = plan
        atoms, is_open = work.atoms, work.cells.is_open
        share = np.array(work.means.composition, dtype=np.float64)
        for x in self.fill_reads(plan):
            _sro.element_statistics(atoms.types, is_open, *work.lists[x], share, lists[x], table,
                                    threads())
        if own_column is not None:
            own = table[:atoms.n_own, own_column]
            own[:] = atoms.types[:atoms.n_own] - 1
            own[is_open != 0] = np.nan
