"""Files that LAMMPS' users get from elsewhere: extended XYZ, and by ASE whatever it knows.

Lengths are in A there, by the conventions of these formats.
"""
from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from io import BytesIO, TextIOWrapper
from os import PathLike
from typing import Any

import numpy as np

from ..errors import InputError
from ..system.arrays import AnyArray, Floats
from ..system.box import Box
from ..system.lengths import kind_of
from .dump import (
    BINARY,
    PACKED,
    Frame,
    Lines,
    checked_box,
    columns_of,
    is_number,
    make_frame,
    must_be_complete,
    packer,
    reading,
    text_of,
    unpacked,
    whole_number,
)

UNKNOWN = "neither a LAMMPS text dump or data file nor extended XYZ"
NO_CELL = ("give one (Lattice=... in extended XYZ), or --boundary \"f f f\" if all atoms are there "
           "and none repeats")
NEEDS_ASE = "other formats need the package ase: pip install 'lammps-mgml[ase]'"
# Formats of ASE that tell which directions are periodic; of others ASE takes a default.
TELL_PERIODIC = ("traj", "json", "db")
STEPS = ("timestep", "step")       # keys that hold the number of a frame's step, in any case

# A number alone, then a line that names columns, or any line and one of a word and 3 numbers.
_XYZ = re.compile(rb"\s*\d+[ \t]*\r?\n(.*Properties *=|.*\n[ \t]*\S+([ \t]+[-+]?[.\d]\S*){3})",
                  re.IGNORECASE)
_PAIR = re.compile(r"""(?<!\S)([A-Za-z_][\w:.-]*)\s*=\s*"""
                   r"""("[^"]*"|'[^']*'|\{[^}]*\}|\[\[.*?\]\]|\[[^]]*\]|\S+)""")
_PROPERTIES = {"species": ("element",), "element": ("element",), "pos": ("x", "y", "z")}


def is_xyz(head: bytes) -> bool:
    """Whether a file that begins so is XYZ, extended or not."""
    return _XYZ.match(head) is not None


# Extended XYZ ------------------------------------------------------------------------------------

def read_xyz(path: str | PathLike[str], boundary: Sequence[bool] | None = None) -> Iterator[Frame]:
    """Frames of an (extended) XYZ file, one by one.

    boundary : 3 flags, True for periodic, of frames that tell no pbc; without it those that have a
    Lattice are periodic, and others are refused.  Atoms are numbered by the column id, else in the
    file's order; frames by Timestep or step, else 0, 1, ...

    Raises
    ------
    InputError : cut off, damaged or ambiguous in a frame (named by its number and line).
    """
    with text_of(path) as text:
        lines, n = Lines(text), 0
        while (head := lines.peek()) is not None:
            if n and not head.strip():
                lines.must_be_blank()
                return
            yield _xyz_frame(lines, f"{path}, frame {n}", n, boundary)
            n += 1


def _xyz_frame(lines: Lines, where: str, k: int, boundary: Sequence[bool] | None) -> Frame:
    try:
        n = whole_number(lines.take().strip(), "the number of atoms", lines.number)
        told = _comment(lines.take(), lines.number)
        units = told.get("units")
        if units not in (None, "metal", "real", "lj"):
            raise InputError(f"units {units}: positions must be in A (units metal or real), or lj")
        step = next((whole_number(told[key], "the step", lines.number) for key in STEPS
                     if key in told), k)
        at = lines.number + 1
        body = lines.block(n)
        columns = columns_of(_names(told, body), body, n, at)
        if body and not body[-1].endswith("\n") and lines.peek() is None:
            must_be_complete([line.split()[-1] for line in body], lines.number)
        columns["element"] = _symbols(columns["element"], at)
        columns.setdefault("id", np.arange(1.0, n + 1))
        x = np.stack([columns[name] for name in "xyz"], axis=1)
        cell, corner = _numbers(told, "lattice", 9).reshape(3, 3), _numbers(told, "origin", 3)
        box, origin = _box(x, cell, _periodic(told, boundary), corner)
        return replace(make_frame(step, box, columns, where, origin, at),
                       units=None if units is None else kind_of(units))
    except InputError as e:
        raise InputError(f"{where}: {e}") from None


def _comment(line: str, number: int) -> dict[str, str]:
    """{key in small letters: value without its quotes} of the second line of a frame."""
    found: dict[str, str] = {}
    if '"' in _PAIR.sub("", line):
        raise InputError(f"line {number}: a quote outside of KEY=\"...\": {line.strip()[:60]!r}")
    for key, value in _PAIR.findall(line):
        key = key.lower()
        if key in found:
            raise InputError(f"line {number}: {key} comes twice")
        if value[0] in "\"'" and (len(value) < 2 or value[-1] != value[0]):
            raise InputError(f"line {number}: {key}={value[:40]} begins with {value[0]} that nothing "
                             f"closes")
        found[key] = value.strip("\"'")
    return found


def _names(told: dict[str, str], body: list[str]) -> list[str]:
    """Names of the columns; InputError if there are no symbols and positions among them."""
    if "properties" not in told:             # plain XYZ; other programs add columns to it
        width = len(body[0].split()) if body else 4
        if width > 4 and told:
            raise InputError(f"{width} columns and no Properties=species:S:1:pos:R:3:... that names "
                             f"them")
        return ["element", "x", "y", "z", *(f"column_{k}" for k in range(5, width + 1))]
    words, names = told["properties"].split(":"), []
    for name, kind, count in zip(words[::3], words[1::3], words[2::3]):
        n = int(count) if count.isdigit() else 0
        known = _PROPERTIES.get(name.lower(), (name,) if n == 1 else
                                tuple(f"{name}_{k}" for k in range(1, n + 1)))
        if len(known) != n or kind not in "SRIL" or len(kind) != 1:
            raise InputError(f"Properties: {name}:{kind}:{count} is no column, or not of that kind")
        # a number of a type says nothing of the element, which is there
        names += ["file_type" if one == "type" else one for one in known]
    if len(words) % 3 or not {"element", "x", "y", "z"} <= set(names):
        raise InputError(f"Properties={told['properties'][:80]}: species:S:1 and pos:R:3 are needed")
    if len(set(names)) < len(names):
        raise InputError(f"a column comes twice: {' '.join(names)}")
    return names


def _symbols(words: AnyArray, at: int) -> AnyArray:
    """(n,) symbols such as Cu; InputError if one is none."""
    unique, inverse = np.unique(words, return_inverse=True)
    for word in unique:
        if not re.fullmatch("[A-Za-z]{1,2}", word):
            raise InputError(f"line {at + int(np.flatnonzero(words == word)[0])}: {word[:40]!r} is "
                             f"no symbol of an element: write these (LAMMPS: dump_modify ID "
                             f"element Cu Zr)")
    return np.array([word.capitalize() for word in unique], dtype=str)[inverse.reshape(-1)]


def _numbers(told: dict[str, str], key: str, n: int) -> Floats:
    """(n,) numbers of ``key``; 0 without it."""
    if key not in told:
        return np.zeros(n)
    words = re.split(r"[\s,;\[\]{}]+", told[key].strip(" ,;[]{}\t"))
    if len(words) != n or not all(map(is_number, words)):
        raise InputError(f"{key}={told[key][:80]!r} must be {n} numbers")
    return np.array(words, dtype=np.float64)


def _periodic(told: dict[str, str], boundary: Sequence[bool] | None) -> Sequence[bool]:
    if "pbc" in told:
        words = told["pbc"].strip("[]{}").replace(",", " ").split()
        flags = [w.lower() in ("t", "true", "1") for w in words]
        if len(flags) != 3 or not all(w.lower() in ("t", "true", "1", "f", "false", "0")
                                      for w in words):
            raise InputError(f"pbc={told['pbc'][:40]!r} must be 3 flags, as \"T T F\"")
        return _agreed(flags, boundary)
    if "lattice" not in told and boundary is None:
        raise InputError(f"it tells no cell: {NO_CELL}")
    return boundary if boundary is not None else (True,) * 3


def _agreed(periodic: Sequence[bool], boundary: Sequence[bool] | None) -> Sequence[bool]:
    """``periodic`` as the file tells it; InputError if --boundary does not agree."""
    if boundary is not None and list(boundary) != list(periodic):
        raise InputError(f"--boundary does not agree with the file: "
                         f"{' '.join('p' if p else 'f' for p in periodic)}")
    return periodic


def _box(x: Floats, cell: Floats, periodic: Sequence[bool], origin: Floats) -> tuple[Box, Floats]:
    """(Box with its corner at 0, that corner); edges that are 0 become free ones around the atoms."""
    missing = ~np.any(cell, axis=1)
    for axis in np.flatnonzero(missing & np.asarray(periodic, dtype=bool)):
        raise InputError(f"periodic along edge {axis + 1} of the cell, which has none there "
                         f"(Lattice of extended XYZ)")
    if missing.any() and np.isfinite(cell).all():
        # the last rows of the decomposition lie across all edges that are there
        across = np.eye(3) if missing.all() else np.linalg.svd(cell)[2][::-1]
        cell = cell.copy()
        cell[missing] = across[:missing.sum()]
        if np.linalg.det(cell) < 0:
            cell[np.flatnonzero(missing)[0]] *= -1
        sound = x[np.isfinite(x).all(axis=1)]
        for axis in np.flatnonzero(missing):
            along = (sound - origin) @ cell[axis]
            low, high = (along.min(), along.max()) if len(sound) else (0.0, 0.0)
            origin = origin + low * cell[axis]
            cell[axis] *= max(high - low, 1.0)
    if np.isfinite(cell).all() and np.linalg.det(cell) < 0:
        raise InputError("the edges of the cell are left-handed: exchange two of them")
    return checked_box(cell, periodic, origin)


# By ASE ------------------------------------------------------------------------------------------

def read_others(path: str | PathLike[str], head: bytes,
                boundary: Sequence[bool] | None = None) -> Iterator[Frame]:
    """Frames of a file that ASE reads.

    head : its first bytes.  boundary : 3 flags, True for periodic, of formats that do not tell.

    Raises
    ------
    InputError : ASE is missing, does not know the file or cannot read it.
    """
    with reading(path):
        kind, n = _format(path, head), 0
        if kind in ("xyz", "extxyz"):        # empty or damaged, of which read_xyz tells more
            yield from read_xyz(path, boundary)
            return
        for n, atoms in enumerate(_images(path, kind), start=1):
            where = f"{path}, frame {n - 1}"
            try:
                yield _frame_of(atoms, where, n - 1, boundary, kind in TELL_PERIODIC)
            except InputError as e:
                raise InputError(f"{where}: {e}") from None
        if not n:
            raise InputError(f"ASE finds no atoms in it ({kind})")


def _format(path: str | PathLike[str], head: bytes) -> str:
    """ASE's name of the format; InputError if it has none."""
    binary = b"\0" in head
    try:
        from ase.io.formats import UnknownFileTypeError, filetype
    except ModuleNotFoundError:
        raise InputError(f"{BINARY if binary else UNKNOWN}; {NEEDS_ASE}") from None
    name = str(path)
    for end in PACKED:
        name = name.removesuffix(end)
    file = BytesIO(head)
    file.name = name
    try:
        kind = str(filetype(file, guess=False))
    except UnknownFileTypeError:
        kind = ""
    if not kind or kind.startswith("lammps"):
        raise InputError(BINARY if binary else f"{UNKNOWN}, and ASE does not know it")
    return kind


def _images(path: str | PathLike[str], kind: str) -> Iterator[Any]:
    """The ase.Atoms of each frame; what ASE raises as InputError."""
    from ase.io import iread
    from ase.io.formats import ioformats

    source: Any = str(path)
    with ExitStack() as stack:
        if packer(path) is not None:
            if not ioformats[kind].acceptsfd:
                raise InputError(f"ASE reads no compressed files of this format ({kind}): "
                                 f"decompress it")
            source = stack.enter_context(unpacked(path))
            if not ioformats[kind].isbinary:
                source = stack.enter_context(TextIOWrapper(source))
        try:
            # parallel: a broadcast of its own, in which the other ranks here take no part
            yield from iread(source, ":", kind, parallel=False, do_not_split_by_at_sign=True)
        except Exception as e:               # each of its readers has errors of its own
            said = (str(e).splitlines() or [""])[0][:200]
            raise InputError(f"ASE cannot read it ({kind}): {type(e).__name__}: {said}") from None


def _frame_of(atoms: Any, where: str, k: int, boundary: Sequence[bool] | None, tells: bool) -> Frame:
    """Frame of an ase.Atoms; ``tells`` : its pbc come from the file."""
    n = len(atoms)
    skip = ("numbers", "positions", "id", "type", "element", "x", "y", "z")
    columns = {"id": np.asarray(atoms.arrays.get("id", np.arange(1, n + 1)), dtype=np.float64),
               "element": np.array(atoms.get_chemical_symbols(), dtype=str),
               **dict(zip("xyz", np.array(atoms.positions, dtype=np.float64).T)),
               **{name: np.asarray(values, dtype=np.float64) for name, values in atoms.arrays.items()
                  if values.ndim == 1 and values.dtype.kind in "fiub" and name not in skip}}
    pbc = [bool(p) for p in atoms.pbc]
    if not tells and boundary is None and not atoms.cell.any():
        raise InputError(f"it tells no cell: {NO_CELL}")
    periodic = _agreed(pbc, boundary) if tells else pbc if boundary is None else boundary
    told = {str(key).lower(): value for key, value in atoms.info.items()}
    step = next((int(told[key]) for key in STEPS if isinstance(told.get(key), (int, np.integer))), k)
    origin = np.asarray(told.get("origin", np.zeros(3)), dtype=np.float64)
    if origin.shape != (3,):
        raise InputError(f"its origin must be 3 numbers, not {origin.tolist()}")
    cell = np.array(atoms.cell.array, dtype=np.float64)
    box, corner = _box(atoms.positions, cell, periodic, origin)
    return make_frame(step, box, columns, where, corner, None)
