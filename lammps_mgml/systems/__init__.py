"""What is simulated, and how its glasses are made: one TOML file a system.

    name, units, about      units: LAMMPS' word; all numbers of the file are in them.  Rates are in
                            temperature per second (lj: per unit of time).
    [[elements]]            symbol, mass, share; types 1, 2, ... in this order
    [potential]             commands (LAMMPS' pair_style, pair_coeff ...), skin
    [dynamics]              timestep, temperature_damping, pressure_damping, pressure, atom_style
    [quench]                spacing of the simple cubic start, melt, end, high, low, rate, fast, hold,
                            settle
    [vibration]             temperature, hot (of a second watch, if there is to be one), time,
                            settle, skin
    [loading]               axes, senses, strain, step, force
    [ageing]                temperature, rate, monte_carlo ...
    [cutoffs]               lengths that replace those found from g(r); with nearest, all of them

What the decks of inputs/ get of it are three files of LAMMPS commands (``lammps_files``).
"""
from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..system.lengths import STYLES, Lengths

toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
SHIPPED = Path(__file__).parent
MAX_ELEMENTS = 6
SYMBOL = re.compile(r"[A-Za-z][A-Za-z0-9]{0,7}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,39}")
# Of a unit style: seconds of a unit of time, GPa of a unit of pressure.
# lj has no seconds and no GPa: rates are per unit of time, stress is in units of pressure.
SECONDS = {"metal": "1e-12", "real": "1e-15", "electron": "1e-15", "nano": "1e-9", "lj": "1.0"}
GPA = {"metal": "1e-4", "real": "1.01325e-4", "electron": "1e-9", "nano": "1e-3", "lj": "1.0"}
MONTE_CARLO = ("none", "variance")
CUTOFFS = ("nearest", "near_cutoff", "open_radius", "d2_cutoff", "d2_threshold")

# Sections and what each may have: (kind, default).  A default that is a function gets what was read
# of the file; REQUIRED has none.
REQUIRED = object()
SECTIONS: dict[str, dict[str, tuple[type, Any]]] = {
    "potential": {"commands": (str, REQUIRED), "skin": (float, lambda s: s["_skin"])},
    "dynamics": {
        "timestep": (float, REQUIRED), "atom_style": (str, "atomic"), "pressure": (float, 0.0),
        "temperature_damping": (float, lambda s: 50 * s["dynamics.timestep"]),
        "pressure_damping": (float, lambda s: 500 * s["dynamics.timestep"])},
    "quench": {
        "spacing": (float, REQUIRED), "melt": (float, REQUIRED), "end": (float, REQUIRED),
        "rate": (float, REQUIRED), "high": (float, lambda s: s["quench.melt"]),
        "low": (float, lambda s: s["quench.end"]), "fast": (float, lambda s: s["quench.rate"]),
        "hold": (float, lambda s: 5000 * s["dynamics.timestep"]),
        "settle": (float, lambda s: 1000 * s["dynamics.timestep"]),
        "force": (float, 1e-6)},
    "vibration": {
        "temperature": (float, REQUIRED), "hot": (float, None),
        "skin": (float, lambda s: s["potential.skin"]),
        "time": (float, lambda s: 10000 * s["dynamics.timestep"]),
        "settle": (float, lambda s: 1500 * s["dynamics.timestep"])},
    "loading": {
        "axes": (str, "xyz"), "senses": (list, ["compression", "tension"]), "strain": (float, 0.04),
        "step": (float, 0.001), "force": (float, 1e-2),
        "largest_move": (float, lambda s: 0.02 * s["quench.spacing"])},
    "ageing": {
        "temperature": (float, lambda s: s["quench.low"]),
        "rate": (float, lambda s: s["quench.rate"]),
        "monte_carlo": (str, "none"), "potential_difference": (list, [0.0, 0.0])},
    "cutoffs": dict.fromkeys(CUTOFFS, (float, None)),
}
POSITIVE = {f"{section}.{key}" for section, keys in SECTIONS.items()
            for key, (kind, _) in keys.items() if kind is float} - {"dynamics.pressure"}
SKINS = {"metal": 1.0, "real": 1.0, "electron": 2.0, "lj": 0.3, "nano": 0.1}


@dataclass(frozen=True)
class System:
    """A system file.  settings : {"quench.melt": 2000.0, ...}, complete, in the file's units."""

    name: str
    units: str
    about: str
    elements: tuple[str, ...]
    masses: tuple[float, ...]
    shares: tuple[float, ...]
    settings: Mapping[str, Any] = field(repr=False)
    path: Path = field(repr=False, compare=False, default=SHIPPED)

    def __getitem__(self, key: str) -> Any:
        return self.settings[key]

    @property
    def cutoffs(self) -> dict[str, float]:
        """Those that the file gives, lengths in its units; {} for those of the glass itself."""
        return {k: self[f"cutoffs.{k}"] for k in CUTOFFS if self[f"cutoffs.{k}"] is not None}

    @property
    def unit_of_length(self) -> float:
        """Of the file's units, in A (lj: 1, a sigma)."""
        return STYLES[self.units].length

    @property
    def lengths(self) -> Lengths | None:
        """What the file says of lengths, in A (lj: sigma); None if they are to be measured."""
        given = self.given_lengths
        if "nearest" not in given:
            return None
        usual = Lengths.scaled(given["nearest"], self.units)
        return Lengths.read({**usual.told(), **given})

    @property
    def given_lengths(self) -> dict[str, float]:
        """``cutoffs`` in A (lj: sigma), d2_threshold in A^2."""
        return {k: v * self.unit_of_length ** (2 if k == "d2_threshold" else 1)
                for k, v in self.cutoffs.items()}

    @property
    def composition(self) -> str:
        """Text such as Cu65Zr35."""
        return "".join(f"{e}{100 * s:.4g}" for e, s in zip(self.elements, self.shares))

    @property
    def senses(self) -> tuple[str, ...]:
        return tuple(self["loading.senses"])

    @property
    def per_second(self) -> float:
        """1/s in 1/(unit of time); 1 in units lj, whose rates are per unit of time."""
        return float(SECONDS[self.units])

    def told(self) -> dict[str, Any]:
        """All that decides how a glass is made, as JSON can hold it."""
        return {"units": self.units, "elements": list(self.elements), "masses": list(self.masses),
                **{k: v for k, v in self.settings.items()
                   if not k.startswith("cutoffs.") and v is not None}}


def shipped_systems() -> list[str]:
    """Names of the systems that come with the package."""
    return sorted(p.stem for p in SHIPPED.glob("*.toml"))


def read_system(name: str | PathLike[str]) -> System:
    """System of a shipped name, or of a file by path.

    Raises
    ------
    InputError : no such system or file; what is wrong in it, by section and key.
    """
    path = SHIPPED / f"{name}.toml" if str(name) in shipped_systems() else Path(name)
    try:
        text = path.read_text()
        content = toml.loads(text)
    except OSError as e:
        raise InputError(f"system {str(name)!r}: {e.strerror}; shipped systems: "
                         f"{', '.join(shipped_systems())}, or give a file's path (mgml system new "
                         f"writes one)") from None
    except (toml.TOMLDecodeError, UnicodeDecodeError) as e:
        raise InputError(f"{path} is not TOML: {e}") from None
    try:
        return _system(content, path)
    except InputError as e:
        raise InputError(f"{path}: {e}") from None


def _system(content: dict[str, Any], path: Path) -> System:
    known = {"name", "units", "about", "elements", *SECTIONS}
    for key in content:
        if key not in known:
            raise InputError(f"unknown entry {key}: there are {', '.join(sorted(known))}")
    name, units = (_text(content, key) for key in ("name", "units"))
    if not NAME.fullmatch(name):
        raise InputError(f"name = {name!r}: it is part of files' names: up to 40 letters, digits and "
                         f"_ . + -")
    if units not in SECONDS:
        raise InputError(f"units = {units!r}: glasses are made in {', '.join(SECONDS)}" + (
            "; in others lengths of atoms are tiny numbers" if units in STYLES else ""))
    elements, masses, shares = _elements(content.get("elements"))
    found: dict[str, Any] = {"_skin": SKINS[units]}
    for section, keys in SECTIONS.items():
        given = content.get(section, {})
        if not isinstance(given, dict):
            raise InputError(f"{section} must be a section, [{section}]")
        for key in given:
            if key not in keys:
                raise InputError(f"[{section}] has no {key}: there are {', '.join(keys)}")
        for key, (kind, default) in keys.items():
            whole = f"{section}.{key}"
            if key in given:
                found[whole] = _value(given[key], kind, whole)
            elif default is REQUIRED:
                raise InputError(f"[{section}] needs {key}")
            else:
                found[whole] = default(found) if callable(default) else default
    del found["_skin"]
    _fits(found, len(elements))
    return System(name, units, str(content.get("about", "")).strip(), elements, masses, shares, found,
                  path)


def _text(content: dict[str, Any], key: str) -> str:
    value = content.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"it needs {key} = \"...\"")
    return value.strip()


def _elements(rows: Any) -> tuple[tuple[str, ...], tuple[float, ...], tuple[float, ...]]:
    if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_ELEMENTS:
        raise InputError(f"it needs 1 to {MAX_ELEMENTS} sections [[elements]], of types 1, 2, ...")
    symbols: list[str] = []
    masses: list[float] = []
    shares: list[float] = []
    for k, row in enumerate(rows, start=1):
        if not isinstance(row, dict) or set(row) != {"symbol", "mass", "share"}:
            raise InputError(f"[[elements]] {k} must have symbol, mass and share, and nothing else")
        symbol = row["symbol"]
        if not isinstance(symbol, str) or not SYMBOL.fullmatch(symbol):
            raise InputError(f"[[elements]] {k}: symbol = {symbol!r}: a letter and up to 7 letters "
                             f"or digits more")
        symbols.append(symbol)
        for key, out in (("mass", masses), ("share", shares)):
            out.append(_value(row[key], float, f"[[elements]] {k}: {key}"))
            if not out[-1] > 0:
                raise InputError(f"[[elements]] {k}: {key} = {row[key]} must be above 0")
    if len({s.lower() for s in symbols}) < len(symbols):
        raise InputError(f"[[elements]] have the same symbol twice: {' '.join(symbols)}")
    if abs(sum(shares) - 1) > 1e-6:
        raise InputError(f"[[elements]]: the shares must have the sum 1, not {sum(shares):g}")
    return tuple(symbols), tuple(masses), tuple(shares)


def _value(value: Any, kind: type, where: str) -> Any:
    if kind is float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not (
                float("-inf") < value < float("inf")):
            raise InputError(f"{where} = {value!r} must be a number")
        return float(value)
    if not isinstance(value, kind):
        raise InputError(f"{where} = {value!r} must be {'a text' if kind is str else 'a list'}")
    return value.strip() if isinstance(value, str) else value


def _fits(s: dict[str, Any], n_elements: int) -> None:
    """InputError if settings are out of range or deny each other."""
    for key in sorted(POSITIVE):
        if s[key] is not None and not s[key] > 0:
            raise InputError(f"{key} = {s[key]:g} must be above 0")
    if not s["quench.melt"] >= s["quench.high"] >= s["quench.low"] >= s["quench.end"]:
        raise InputError("quench: melt, high, low and end must fall in this order, not {:g}, {:g}, "
                         "{:g}, {:g}".format(*(s[f"quench.{k}"] for k in
                                               ("melt", "high", "low", "end"))))
    if not any(line.split()[:1] == ["pair_style"] for line in s["potential.commands"].splitlines()):
        raise InputError("potential.commands have no pair_style")
    if not s["loading.axes"] or not set(s["loading.axes"]) <= set("xyz"):
        raise InputError(f"loading.axes = {s['loading.axes']!r}: some of xyz, as in xz")
    senses = s["loading.senses"]
    if not senses or not all(x in ("compression", "tension") for x in senses):
        raise InputError(f"loading.senses = {senses!r}: compression, tension or both")
    if s["ageing.monte_carlo"] not in MONTE_CARLO:
        raise InputError(f"ageing.monte_carlo = {s['ageing.monte_carlo']!r}: "
                         f"{' or '.join(MONTE_CARLO)}")
    if s["ageing.monte_carlo"] != "none" and n_elements != 2:
        raise InputError(f"ageing.monte_carlo = {s['ageing.monte_carlo']!r} is for two elements, "
                         f"not {n_elements}: write none")
    line = s["ageing.potential_difference"]
    if len(line) != 2 or not all(isinstance(x, (int, float)) for x in line):
        raise InputError("ageing.potential_difference must be two numbers: that of type 2 less that "
                         "of type 1 is the first + the second times the share of type 2")


# What the decks get --------------------------------------------------------------------------------

def lammps_files(system: System, folder: Path) -> Path:
    """Write the files that the decks of inputs/ include; the one for ``-var system``.

    NAME.lmp sets the decks' variables, NAME.atoms.lmp the types, masses and shares, and
    NAME.potential.lmp the potential.  Files that its commands name are looked for beside the system
    file; LAMMPS itself looks in the folder where it runs and in LAMMPS_POTENTIALS.
    """
    n = system.name
    told = f"# Made of the system file of {n} by lammps_mgml: change that one.\n"
    variables = told + "".join(f"variable {key} index {value}\n"
                               for key, value in _variables(system).items())
    atoms = [f"mass {k} {mass!r}" for k, mass in enumerate(system.masses, start=1)]
    # of those that are still of type 1
    atoms[:0] = [f"set {'group all' if k == 2 else 'type 1'} type/subset {k} $(round(v_x{k}*v_n^3)) "
                 f"$(v_seed+{1000 * (k - 2)})" for k in range(2, len(system.masses) + 1)]
    potential = re.sub(r"\S+", lambda word: _beside(system.path, word[0]),
                       system["potential.commands"])
    for ending, text in ((".lmp", variables), (".atoms.lmp", told + "\n".join(atoms) + "\n"),
                         (".potential.lmp", f"{told}{potential}\n")):
        path = folder / f"{n}{ending}"
        part = path.with_name(f"{path.name}.part")
        part.write_text(text)
        part.replace(path)
    return folder / f"{n}.lmp"


def _beside(path: Path, word: str) -> str:
    """The word, with its whole path if it names a file in the folder of ``path``."""
    here = path.resolve().parent
    if here == SHIPPED.resolve() or not (here / word).is_file():
        return word
    return f'"{here / word}"' if " " in str(here / word) else str(here / word)


def _variables(system: System) -> dict[str, str]:
    """{variable of the decks: its text}; all that is not given to a run by its own words."""
    names = {
        "quench.spacing": "spacing", "quench.melt": "tmelt", "quench.end": "tend",
        "quench.high": "high", "quench.low": "low", "quench.hold": "tau",
        "quench.settle": "settle", "quench.force": "fmin", "dynamics.timestep": "dt",
        "dynamics.temperature_damping": "tdamp", "dynamics.pressure_damping": "pdamp",
        "dynamics.pressure": "pressure", "dynamics.atom_style": "style", "potential.skin": "skin",
        "vibration.skin": "vskin", "vibration.settle": "vsettle", "vibration.time": "vtime",
        "loading.step": "step", "loading.force": "ftol", "loading.largest_move": "dmax"}
    out = {"units": system.units, "types": str(len(system.elements)),
           "elements": f'"{" ".join(system.elements)}"', "persec": SECONDS[system.units],
           "gpa": GPA[system.units],
           "composition": ",".join(f"{s:g}" for s in system.shares),
           **{f"x{k}": repr(s) for k, s in enumerate(system.shares, start=1)}}
    out |= {name: repr(system[key]) for key, name in names.items() if name != "style"}
    out |= {"style": system["dynamics.atom_style"], "atoms": f"{system.name}.atoms.lmp",
            "potential": f"{system.name}.potential.lmp",
            "mc": "yes" if system["ageing.monte_carlo"] == "variance" else "no"}
    if system.units == "lj":                 # there LAMMPS' lattice command takes a density
        out["spacing"] = repr(system["quench.spacing"] ** -3)
    for key, value in zip(("dmu0", "dmu1"), system["ageing.potential_difference"]):
        out[key] = repr(float(value))
    return out
