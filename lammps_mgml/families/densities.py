"""Two-body densities of a site, isotropic and along the load."""
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..errors import OptionError
from ..system.arrays import Floats
from ..system.lengths import Lengths
from .averages import levels
from .family import Family, Feature, Set, Work
from .pairs import SPLINES, densities, reach

# Where the first cubic B-spline is centred, and their spacing, are parameters; these are Cu-Zr's.
SPLINE_FIRST, SPLINE_SPACING = Lengths.density_first, Lengths.density_spacing
DENSITY_REACH = reach(SPLINE_FIRST, SPLINE_SPACING)
KINDS = {"density": "", "axial": ", weighted by P2(cos) to the axis of the load, minus that in "
                                 "tension"}

AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
SENSES = {"compression": 1.0, "tension": -1.0}
PLANES = {"xy": (0, 1), "xz": (0, 2), "yz": (1, 2)}
SHEARS = {"shear": 1.0, "reversed shear": -1.0}


def load_tensor(load: object) -> Floats:
    """(6,) xx yy zz xy xz yz of the tensor that stands for a uniaxial load or a simple shear.

    load : text of an axis (x, y, z or three numbers) and, perhaps, of a sense: "z", "x tension",
    "0 1 1 compression"; or of a tilt of LAMMPS' box, "xy shear", "xz reversed shear" (the tilt
    falls).  The tensor is 3/2 n n - 1/2 (P2 of the angle to n), minus that in tension; in shear minus
    the strain, scaled to the same sum of squares, 3/2: deviatoric strains that are equal but for a
    rotation have equal tensors but for it.

    Raises
    ------
    OptionError : it is none of these.
    """
    words = str(load).split()
    plane, rest = "".join(sorted(words[0])) if words else "", " ".join(words[1:])
    if plane in PLANES and rest in SHEARS:
        e = np.zeros((3, 3))
        i, j = PLANES[plane]
        e[i, j] = -SHEARS[rest] * np.sqrt(0.75)
        return six_of(e)
    sign = SENSES[words.pop()] if words and words[-1] in SENSES else 1.0
    try:
        n = np.array(AXES[words[0]] if len(words) == 1 else words, dtype=np.float64)
        length = np.linalg.norm(n)
        if n.shape == (3,) and np.isfinite(length) and length > 0:
            e = sign * (1.5 * np.outer(n, n) / length**2 - 0.5 * np.eye(3))
            return six_of(e)
    except (KeyError, ValueError, IndexError):
        pass
    raise OptionError(f"load {load!r}: give x, y, z or three numbers, then compression (the "
                      f"default) or tension; or xy, xz, yz, then shear or reversed shear")


def six_of(e: Floats) -> Floats:
    """(6,) xx yy zz xy xz yz of a symmetric (3, 3)."""
    six: Floats = e[(0, 1, 2, 0, 0, 1), (0, 1, 2, 1, 2, 2)]
    return six


class Densities(Family):
    """Beyond the paper.  Not normalised; averaged over near neighbours, once and twice."""

    order, title, stage = "PAIR", "two-body densities, not in the paper", "density"
    averaged = True
    measure_reads = ()
    inputs = {"load": "the axis and the sense of the load, as \"z compression\" or \"xy shear\""}
    sets = {
        "density": Set("atoms of each element by distance, in cubic splines"),
        "axial": Set("the same weighted by the angle to the axis of the load"),
        "density_avg": Set("density averaged over the atom and its near neighbours"),
        "axial_avg": Set("axial averaged over the atom and its near neighbours"),
        "density_avg2": Set("density averaged twice"),
        "axial_avg2": Set("axial averaged twice")}

    def features(self, elements: tuple[str, ...]) -> Iterator[Feature]:
        return levels([
            self.site(name, kind, "1",
                      f"{e} atoms by the cubic spline about {SPLINE_FIRST + k * SPLINE_SPACING:.1f} "
                      f"A{KINDS[kind]}", needs=("load",) if kind == "axial" else ())
            for kind in KINDS for e in elements for k, name in enumerate(_columns(kind, [e]))])

    def farthest(self, parameters: Mapping[str, float]) -> float:
        return reach(parameters["density_first"], parameters["density_spacing"])

    def columns(self, asked: list[Feature], elements: tuple[str, ...]) -> list[str]:
        """All of the kernel's: one call makes the isotropic ones or both kinds."""
        kinds = KINDS if any(f.needs for f in asked) else ("density",)
        return [name for kind in kinds for name in _columns(kind, elements)] if asked else []

    def plan(self, at: dict[str, int], asked: dict[int, Feature], elements: tuple[str, ...]) -> bool:
        return any(f.needs for f in asked.values())

    def read_input(self, name: str, value: Any) -> Floats:
        return load_tensor(value)

    def measure(self, work: Work, axial: bool, table: Floats) -> None:
        densities(work, work.inputs["load"] if axial else np.empty(0), table)


def _columns(kind: str, elements: Iterable[str]) -> list[str]:
    return [f"{kind}_{e.lower()}_{k}" for e in elements for k in range(SPLINES)]
