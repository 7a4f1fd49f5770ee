"""How far an atom of the undeformed glass vibrates: one number that tells of its surroundings what
no still picture of them does (H. Fan et al., Mater. Horiz. 2021; Ding et al., Nat. Commun. 7, 13733,
2016)."""
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..errors import InputError
from ..system.arrays import AnyArray, Bools, Floats, Int32s
from .averages import levels
from .family import Family, Feature, Set, Work

# feature: the input that it takes, of a watch of the undeformed glass
WATCHES = {"vibration": "msd", "vibration_hot": "msd_hot"}
Watched = Mapping[str, Any]          # {input: (n,) A^2}
SQUARE = "the mean square displacement (A^2) of each atom about its {}, of a {}run of the " \
         "undeformed glass"


def watched_of(columns: Mapping[str, AnyArray]) -> Watched:
    """{input: (n,) A^2} of the columns d_msd and d_msd_hot that are there."""
    return {name: np.asarray(columns[f"d_{name}"], np.float64) for name in WATCHES.values()
            if f"d_{name}" in columns}


class Vibrations(Family):
    """Beyond the paper, and beyond the structure: it takes an MD run of the undeformed glass, or two,
    the second at a higher temperature, where atoms hop: their displacements count from the inherent
    structure.

    ln of the mean square displacement over its mean for the element, all closed cells of all ranks
    counted, so that the temperature drops out as far as the glass is harmonic.  NaN for open
    cells, for unknown types, and where the displacement is not a positive number.
    """

    order, title, stage = "VIBRATION", "of the atoms' motion, not in the paper", "density"
    averaged = True
    measure_reads = ()
    inputs = {"msd": SQUARE.format("mean position", ""),
              "msd_hot": SQUARE.format("place in the inherent structure", "second, hotter ")}
    sets = {"vibration": Set("mean square displacement in MD of the undeformed glass, and averages"),
            "vibration_hot": Set("the same of a second, hotter run")}

    def features(self, elements: tuple[str, ...]) -> Iterator[Feature]:
        for name, needed in WATCHES.items():
            about = ("mean position" if needed == "msd" else
                     "place in the inherent structure, in a second, hotter run,")
            yield from levels([self.site(
                name, name, "1", f"ln of the mean square displacement about the atom's {about} over "
                "its mean for the element", needs=(needed,))], one_set=True)

    def measure(self, work: Work, plan: Any, table: Floats) -> Floats:
        return np.concatenate([self._sums(work, WATCHES[name]) for name in plan])

    def _sums(self, work: Work, name: str) -> Floats:
        msd, kinds, known, moved = _moved(work, name)
        sums = [np.bincount(kinds[known], some, len(work.elements) + 1)
                for some in (msd[known], np.ones(known.sum()))]
        return np.concatenate([*sums, [moved.sum(), len(msd)]])

    def fill_reads(self, plan: Any) -> tuple[str, ...]:
        return ()

    def fill(self, work: Work, plan: Any, table: Floats, sums: Floats) -> None:
        for (name, column), own in zip(plan.items(), np.split(sums, len(plan))):
            *each, n_moved, n = own
            if n and not n_moved:
                raise InputError(
                    "no atom has a mean square displacement above 0"
                    + ("" if name == "vibration" else f" ({WATCHES[name]})")
                    + ": measure it in a run of the undeformed glass at temperature")
            total, count = np.reshape(each, (2, -1))
            mean = total / np.maximum(count, 1)
            msd, kinds, known, _ = _moved(work, WATCHES[name])
            values = table[:work.atoms.n_own, column]
            values[:] = np.nan
            values[known] = np.log(msd[known] / mean[kinds[known]])


def _moved(work: Work, name: str) -> tuple[Floats, Int32s, Bools, Bools]:
    """(n_own,) of owned atoms: displacements, types, whether they count, whether they moved."""
    atoms = work.atoms
    kinds, msd = atoms.types[:atoms.n_own], np.asarray(work.inputs[name], dtype=np.float64)
    if msd.shape != kinds.shape:
        raise InputError(f"{name} must have shape {kinds.shape}, not {msd.shape}")
    moved = (msd > 0) & np.isfinite(msd)
    return msd, kinds, moved & (kinds > 0) & (work.cells.is_open == 0), moved
