"""How far an atom of the undeformed glass vibrates: one number that tells of its surroundings what
no still picture of them does (H. Fan et al., Mater. Horiz. 2021; Ding et al., Nat. Commun. 7, 13733,
2016)."""
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import InputError
from ..system.arrays import Bools, Floats, Int32s
from .averages import levels
from .family import Family, Feature, Set, Work


class Vibrations(Family):
    """Beyond the paper, and beyond the structure: it takes an MD run of the undeformed glass.

    ln of the mean square displacement over its mean for the element, all closed cells of all ranks
    counted, so that the temperature drops out as far as the glass is harmonic.  NaN for open
    cells, for unknown types, and where the displacement is not a positive number.
    """

    order, title, stage = "VIBRATION", "of the atoms' motion, not in the paper", "density"
    averaged = True
    measure_reads = ()
    inputs = {"msd": "the mean square displacement (A^2) of each atom about its mean position, of "
                     "a run of the undeformed glass"}
    sets = {"vibration": Set("mean square displacement in MD of the undeformed glass, and averages")}

    def features(self, elements: tuple[str, ...]) -> Iterator[Feature]:
        return levels([self.site(
            "vibration", "vibration", "1", "ln of the mean square displacement about the atom's "
            "mean position over its mean for the element", needs=("msd",))], one_set=True)

    def measure(self, work: Work, plan: Any, table: Floats) -> Floats:
        msd, kinds, known, moved = _moved(work)
        sums = [np.bincount(kinds[known], some, len(work.elements) + 1)
                for some in (msd[known], np.ones(known.sum()))]
        return np.concatenate([*sums, [moved.sum(), len(msd)]])

    def fill_reads(self, plan: Any) -> tuple[str, ...]:
        return ()

    def fill(self, work: Work, plan: Any, table: Floats, sums: Floats) -> None:
        *each, n_moved, n = sums
        if n and not n_moved:
            raise InputError("no atom has a mean square displacement above 0: measure it in a run of "
                             "the undeformed glass at temperature")
        total, count = np.reshape(each, (2, -1))
        mean = total / np.maximum(count, 1)
        msd, kinds, known, _ = _moved(work)
        own = table[:work.atoms.n_own, 0]
        own[:] = np.nan
        own[known] = np.log(msd[known] / mean[kinds[known]])


def _moved(work: Work) -> tuple[Floats, Int32s, Bools, Bools]:
    """(n_own,) of owned atoms: displacements, types, whether they count, whether they moved."""
    atoms = work.atoms
    kinds, msd = atoms.types[:atoms.n_own], np.asarray(work.inputs["msd"], dtype=np.float64)
    if msd.shape != kinds.shape:
        raise InputError(f"msd must have shape {kinds.shape}, not {msd.shape}")
    moved = (msd > 0) & np.isfinite(msd)
    return msd, kinds, moved & (kinds > 0) & (work.cells.is_open == 0), moved
