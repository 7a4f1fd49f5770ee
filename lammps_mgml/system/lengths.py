"""Lengths that a glass sets: cutoffs, shells of the densities, thresholds; and units of LAMMPS.

All that is computed is in A for the unit styles of physics, whatever the deck's own unit of length,
and in sigma for ``units lj``.  The paper's lengths are those of Cu-Zr; a glass whose atoms are
farther apart, or are told in sigma, has its own (``train.lengths`` measures them).
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, NamedTuple

from ..errors import InputError, OptionError

if TYPE_CHECKING:
    from typing import Self

NEAREST = 2.54         # A, mean distance to the nearest neighbour in Cu65Zr35 glasses
SMALL_FACET = 0.05     # of the cell's mean facet area: smaller facets are no neighbours
_GRAM_PER_MOL = 6.02214076e23          # in a gram


class UnitStyle(NamedTuple):
    """length : its unit in A (lj: in sigma).  name : of that unit.  force : name of that unit, and
    ``thermal`` in it, the force that tells an inherent structure from one at temperature.  mass : its
    unit in g/mol (lj: in LAMMPS' own)."""

    length: float
    name: str
    force: str
    thermal: float
    mass: float = 1.0


_THERMAL = 0.1                         # eV/A, rms of the atoms' forces in a Cu-Zr glass at 6 K
_NEWTON = 1.602176634e-9               # of 1 eV/A
# Those of LAMMPS: https://docs.lammps.org/units.html
STYLES = {
    "metal": UnitStyle(1.0, "A", "eV/A", _THERMAL),
    "real": UnitStyle(1.0, "A", "kcal/mol/A", _THERMAL * 23.060548),
    "lj": UnitStyle(1.0, "sigma", "epsilon/sigma", 1.0),
    "electron": UnitStyle(0.529177210903, "Bohr", "Hartree/Bohr",
                          _THERMAL * 0.529177210903 / 27.211386),
    "nano": UnitStyle(10.0, "nm", "ag nm/ns^2", _THERMAL * _NEWTON * 1e12, 1e-18 * _GRAM_PER_MOL),
    "micro": UnitStyle(1e4, "um", "pg um/us^2", _THERMAL * _NEWTON * 1e9, 1e-12 * _GRAM_PER_MOL),
    "si": UnitStyle(1e10, "m", "N", _THERMAL * _NEWTON, 1e3 * _GRAM_PER_MOL),
    "cgs": UnitStyle(1e8, "cm", "dyn", _THERMAL * _NEWTON * 1e5, _GRAM_PER_MOL),
}


def kind_of(units: str) -> str:
    """Units that lengths are computed in: metal (A) for all styles of physics, or lj (sigma).

    Raises
    ------
    InputError : no unit style of LAMMPS.
    """
    if units not in STYLES:
        raise InputError(f"units {units}: lammps_mgml knows {', '.join(STYLES)}")
    return "lj" if units == "lj" else "metal"


@dataclass(frozen=True)
class Lengths:
    """The default is Cu-Zr's, and the paper's.

    units : metal (all in A) or lj (all in sigma).
    nearest : mean distance to the nearest neighbour in the glasses that these lengths are for.
    near_cutoff : of the near neighbours, at the first minimum of g(r).
    open_radius : a cell that reaches farther is that of a surface or a void.
    density_first, density_spacing : centre of the first spline of the densities, and from each to
    the next.
    d2_cutoff : neighbours in the reference within it enter D2min.
    d2_threshold : D2min above which an atom is plastic, A^2 (sigma^2).
    """

    units: str = "metal"
    nearest: float = NEAREST
    near_cutoff: float = 4.0       # the paper's distance-based neighbours for Cu-Zr
    open_radius: float = 3.6       # Cu-Zr at 2000 K: cells reach about 3 at most
    density_first: float = 2.0
    density_spacing: float = 0.4
    d2_cutoff: float = 4.5         # the paper's
    d2_threshold: float = 5.0      # the paper's, of the plain sum

    @classmethod
    def scaled(cls, nearest: float, units: str = "metal", near_cutoff: float | None = None,
               d2_cutoff: float | None = None) -> Self:
        """Cu-Zr's lengths for a glass of another ``nearest``; of the two cutoffs those given.

        Raises
        ------
        OptionError : a length that is none.
        """
        for name, value in (("nearest", nearest), ("near_cutoff", near_cutoff),
                            ("d2_cutoff", d2_cutoff)):
            if value is not None and not _is_length(value):
                raise OptionError(f"{name} must be a length above 0, not {value:g}")
        s, c = scale_of(nearest), cls()
        return cls(kind_of(units), nearest,
                   c.near_cutoff * s if near_cutoff is None else near_cutoff, c.open_radius * s,
                   c.density_first * s, c.density_spacing * s,
                   c.d2_cutoff * s if d2_cutoff is None else d2_cutoff, c.d2_threshold * s * s)

    @property
    def scale(self) -> float:
        """By which Cu-Zr's lengths are multiplied; exactly 1 for Cu-Zr."""
        return scale_of(self.nearest)

    @property
    def unit(self) -> str:
        return STYLES[self.units].name

    @property
    def parameters(self) -> dict[str, float]:
        """What features take, as ``pipeline.PARAMETERS``."""
        return {"near_cutoff": self.near_cutoff, "open_radius": self.open_radius,
                "small_facet": SMALL_FACET, "density_first": self.density_first,
                "density_spacing": self.density_spacing, "nearest": self.nearest}

    def told(self) -> dict[str, str | float]:
        """As files keep them."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def read(cls, told: Mapping[str, object]) -> Self:
        """From what ``told`` gave.  ValueError for anything else."""
        known = {f.name for f in fields(cls)}
        if set(told) != known:
            raise ValueError(f"lengths must be {', '.join(sorted(known))}, not "
                             f"{', '.join(sorted(told))}")
        numbers = {k: float(str(v)) for k, v in told.items() if k != "units"}
        if told["units"] not in ("metal", "lj") or not all(map(_is_length, numbers.values())):
            raise ValueError(f"lengths must be positive, in units metal or lj: {dict(told)}")
        return cls(str(told["units"]), **numbers)

    def differences(self, other: Self) -> str:
        """Text of what differs in ``other``, as "near_cutoff 4 and 1.4"; "" if nothing does."""
        mine, theirs = self.told(), other.told()
        return ", ".join(f"{k} {_shown(mine[k])} and {_shown(theirs[k])}" for k in mine
                         if mine[k] != theirs[k])


def parameters_of(given: Mapping[str, float]) -> dict[str, float]:
    """All parameters of features: those given, the others Cu-Zr's, scaled if ``nearest`` is given.

    Raises
    ------
    OptionError : a length is not above 0, or ``density_spacing`` below a hundredth of
    ``density_first``; ``small_facet`` is negative.
    """
    usual = Lengths.scaled(given["nearest"]) if "nearest" in given else Lengths()
    whole = {**usual.parameters, **given}
    for name, value in whole.items():
        if not (0.0 <= value < 1.0 if name == "small_facet" else _is_length(value)):
            raise OptionError(f"{name} is {value:g}: " + (
                "a share of the mean facet area, 0 or more" if name == "small_facet"
                else "a length above 0"))
    if whole["density_spacing"] < 0.01 * whole["density_first"]:
        raise OptionError(f"density_spacing is {whole['density_spacing']:g}: a hundredth of "
                          f"density_first ({whole['density_first']:g}) or more")
    return whole


def scale_of(nearest: float) -> float:
    """``nearest`` over that of Cu-Zr."""
    return nearest / NEAREST


def _is_length(value: float) -> bool:
    return 0.0 < value < 1e6


def _shown(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"
