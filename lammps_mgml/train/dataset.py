"""Labelled glasses: an undeformed structure, and the D2min of each of its loadings."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..api import sites
from ..errors import InputError, OptionError
from ..families.densities import load_tensor
from ..families.vibrations import WATCHES, Watched, watched_of
from ..features import needs, resolve
from ..io.dump import read_dump
from ..io.glass import read_glass
from ..plasticity.d2min import d2min
from ..progress import track
from ..system.arrays import Bools, Features, Floats, Int32s, Ints
from ..system.box import Box
from ..system.lengths import Lengths

THRESHOLD = Lengths.d2_threshold       # A^2, plain sum: plastic above (paper, Results 1)
SIDE = 15.0                            # A, for Cu-Zr


def cubes(box: Box, positions: Floats, side: float = SIDE) -> Ints:
    """(n,) number of the cube of about ``side`` (A) that holds each atom, for error bars."""
    n = np.maximum(np.round(box.heights / side), 1).astype(int)
    place = np.minimum(((positions @ box.inverse % 1.0) * n).astype(int), n - 1)
    number: Ints = (place[:, 0] * n[1] + place[:, 1]) * n[2] + place[:, 2]
    return number


@dataclass(frozen=True)
class Structure:
    """The undeformed structure of one glass; features are computed once for each load.

    watched : {input: (n,) A^2} of what is known of ``families.vibrations.WATCHES``: mean square
    displacements about the mean positions at temperature.
    lengths : of the glass, in the units of the positions.  masses : of the elements, g/mol (lj:
    LAMMPS' own).  response : (2, n, 3), how far its atoms were moved (A) and the forces on them then
    (eV/A), or None.  force_constants : of pairs, fitted to these; for the features that take them.
    """

    glass: str
    elements: tuple[str, ...]
    positions: Floats
    types: Int32s
    box: Box
    watched: Watched = field(default_factory=dict, repr=False)
    lengths: Lengths = field(default_factory=Lengths)
    masses: tuple[float, ...] = ()
    response: Floats | None = field(default=None, repr=False)
    force_constants: tuple[float, ...] = ()
    _known: dict[Any, Features] = field(           # not of a copy
        default_factory=dict, init=False, repr=False)

    def features(self, names: str | Iterable[str], load: str | None = None,
                 dtype: DTypeLike = np.float64,
                 parameters: Mapping[str, Any] | None = None) -> Features:
        """(n, len(names)) features; ``load`` as for ``featurize``, for those that go by it.

        parameters : those of a model, if they are not to be the glass' own.
        """
        parameters = {**self.lengths.parameters, "force_constants": self.force_constants,
                      **(parameters or {})}
        resolved = resolve(names, self.elements)
        needed = needs(resolved, self.elements)
        for name in WATCHES.values():
            if name in needed and name not in self.watched:
                raise InputError(f"{self.glass} comes without the vibrations of its atoms "
                                 f"(d_{name}): mgml dataset make measures them")
        key = (resolved, load if "load" in needed else None, np.dtype(dtype).name,
               tuple(parameters.items()))
        if key not in self._known:
            self._known[key] = sites(
                self.positions, self.types, self.box.edges, self.box.periodic,
                resolved, self.elements, parameters, load=load, dtype=dtype,
                **self.watched).features
        return self._known[key]

    def blocks(self) -> Ints:
        return cubes(self.box, self.positions, SIDE * self.lengths.scale)


@dataclass(frozen=True)
class Loading:
    """One glass, loaded once.  load : "z compression" ...  d2min : {strain: (n,) A^2}."""

    structure: Structure
    load: str
    d2min: dict[float, Floats]

    @property
    def glass(self) -> str:
        return self.structure.glass

    @property
    def name(self) -> str:
        return f"{self.glass}.{self.load.replace(' ', '-')}"

    @property
    def types(self) -> Int32s:
        return self.structure.types

    @property
    def blocks(self) -> Ints:
        return self.structure.blocks()

    @property
    def lengths(self) -> Lengths:
        return self.structure.lengths

    def features(self, names: str | Iterable[str], dtype: DTypeLike = np.float64,
                 parameters: Mapping[str, Any] | None = None) -> Features:
        return self.structure.features(names, self.load, dtype, parameters)

    def plastic(self, strain: float) -> Bools:
        return self.at(strain) > self.lengths.d2_threshold

    def at(self, strain: float) -> Floats:
        for s, values in self.d2min.items():
            if abs(s - strain) < 1e-9:
                return values
        raise InputError(f"{self.name} has no frame at strain {strain}; it has "
                         f"{', '.join(f'{s:g}' for s in self.d2min)}")


def read_loadings(paths: Iterable[str | PathLike[str]], elements: Sequence[str] | None = None,
                  lengths: Lengths | None = None) -> list[Loading]:
    """Loadings of glass files (.h5) and of dumps of inputs/in.aqs, in the order given.

    elements : symbols of types 1, 2, ...; lengths : of the dumps.  Without, those of the first glass
    file, or of a dump's own column element; lengths Cu-Zr's if there is no glass file.

    Raises
    ------
    InputError : none of these, glasses of different elements or lengths, or a dump whose elements
    nothing tells.
    """
    files = [str(p) for p in paths]
    out: list[Loading] = []
    # the glass files first: they tell what dumps do not
    order = sorted(range(len(files)), key=lambda k: not files[k].endswith(".h5"))
    found: dict[int, list[Loading]] = {}
    for k in track(order, "reading", "files"):
        path, first = files[k], next((x for one in found.values() for x in one), None)
        own = lengths or (first.lengths if first else Lengths())
        known = elements or (first.structure.elements if first else None)
        found[k] = _of_glass(path, known) if path.endswith(".h5") else [_of_dump(path, known, own)]
        for x in found[k]:
            differ = (first or x).lengths.differences(x.lengths)
            if differ:
                raise InputError(f"{path}: its lengths are not those of {(first or x).glass} "
                                 f"({differ}): glasses of one model have the same; give them in "
                                 f"[cutoffs] of the system file")
    for k in range(len(files)):
        out += found[k]
    return out


def _of_glass(path: str, elements: Sequence[str] | None) -> list[Loading]:
    glass = read_glass(path)
    if elements and glass.elements != tuple(elements):
        raise InputError(f"{path}: elements {' '.join(glass.elements)}, not {' '.join(elements)}")
    structure = Structure(glass.name, glass.elements, glass.positions, glass.types,
                          Box.make(glass.box, (True,) * 3), glass.watched, glass.lengths,
                          glass.masses, glass.response)
    return [Loading(structure, x.load, dict(zip(x.strain.tolist(), x.d2min)))
            for x in glass.loadings]


def _of_dump(path: str, elements: Sequence[str] | None, lengths: Lengths,
             step: float = 0.001) -> Loading:
    """Loading from GLASS.AXIS-SENSE.dump, or that with .SEED, whose step number counts increments
    of ``step``."""
    frames = read_dump(path)
    first = next(frames, None)
    if first is None:
        raise InputError(f"{path}: there is no frame in it")
    elements = elements or first.elements
    if elements is None:
        raise InputError(f"{path} does not tell the elements of its types: give a glass file (.h5) "
                         f"of this glass, as mgml dataset packs it, or --elements")
    if first.elements not in (None, tuple(elements)):
        raise InputError(f"{path}: elements {' '.join(first.elements)}, not {' '.join(elements)}")
    words = path.rsplit("/", 1)[-1].removesuffix(".gz").removesuffix(".dump").split(".")
    labels = {}
    for frame in frames:
        frame.must_have_atoms_of(first)
        labels[round(frame.step * step, 9)] = d2min(
            first.positions, first.box.edges, frame.positions, frame.box.edges,
            first.box.periodic, lengths.d2_cutoff).d2min
    structure = Structure(words[0], tuple(elements), first.positions, first.types, first.box,
                          watched_of(first.columns), lengths)
    return Loading(structure, _load_of(words), labels)


def _load_of(words: Sequence[str]) -> str:
    """The load among the words of a dump's name, of which a repeat has one more at its end."""
    loads = [word.replace("-", " ") for word in words]
    for load in reversed(loads):
        try:
            load_tensor(load)
            return load
        except OptionError:
            continue
    return loads[-1]
