"""LAMMPS text dumps and data files, plain or compressed (.gz, .bz2, .xz, .zst).

What cannot be told for sure is refused, with the line and the remedy, never guessed.
"""
from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from io import TextIOWrapper
from itertools import islice
from os import PathLike
from typing import IO, Any, NoReturn, cast

import numpy as np

from ..errors import InputError
from ..system.arrays import AnyArray, Floats, Int32s
from ..system.box import Box, times
from ..system.elements import MASSES, element_of_mass
from ..system.lengths import STYLES, kind_of

BINARY = ("binary dump or damaged file: write a text dump (a name without .bin; binary2txt of LAMMPS "
          "converts)")
MAX_TYPE = 100_000
FAR = 1e6                          # boxes; a coordinate farther out has lost its decimals
COORDINATES = (("x", "y", "z"), ("xu", "yu", "zu"), ("xs", "ys", "zs"), ("xsu", "ysu", "zsu"))
TEXT = ("element", "typelabel")    # columns of words
_FLAGS = re.compile("[pfsm]{2}")
# A line of the header of a data file, whose first line is a title.
_DATA = re.compile(rb"\n[^#\n]*\d[ \t]+(atoms|atom types|[xyz]lo [xyz]hi|[abc]vec)\s*(#|\n)")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)",
                     re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Frame:
    """One frame, atoms sorted by id.

    columns : name -> (n,) float64, as in the file; id and type: int64; text, as in the column
        element: str.
    box : its lower corner is the origin, from which ``positions`` are measured.
    origin : (3,) A, where the file has that corner.
    typed : False if the file has no types: they number the elements of the frame by alphabet.
    units : metal, if the file tells units of physics: lengths are in A then, and d_d2min, d_d2mean
        and d_msd in A^2, whatever the file had them in.  lj: all is in sigma.  None: not told.
    by_mass : symbols of types 1, 2, ... that the masses of a data file tell, None where no element
        or several have that mass; () without masses.
    """

    step: int
    box: Box
    columns: dict[str, AnyArray]
    where: str
    origin: Floats
    typed: bool = True
    units: str | None = None
    by_mass: tuple[str | None, ...] = ()

    def __len__(self) -> int:
        return len(self.columns["id"])

    @property
    def types(self) -> Int32s:
        return self.columns["type"].astype(np.int32)

    @property
    def elements(self) -> tuple[str, ...] | None:
        """Symbols of types 1, 2, ... by the column element, else by the masses of all types; None if
        neither tells.

        Raises
        ------
        InputError : atoms of one type have several symbols.
        """
        if "element" not in self.columns or not len(self):
            known = tuple(symbol for symbol in self.by_mass if symbol is not None)
            return known if known and len(known) == len(self.by_mass) else None
        symbols = ["X"] * int(self.types.max())
        for number, first in zip(*np.unique(self.types, return_index=True)):
            symbols[number - 1] = str(self.columns["element"][first])
        other = np.flatnonzero(np.array(symbols)[self.types - 1] != self.columns["element"])
        if other.size:
            k = other[0]
            raise InputError(f"{self.where}: atom {self.columns['id'][k]} of type {self.types[k]} is "
                             f"{self.columns['element'][k]}, others of this type are "
                             f"{symbols[self.types[k] - 1]}: give --elements, or mend the dump")
        if len(symbols) > 1 and self.typed and set(symbols) - {"X"} == {"C"}:
            raise InputError(f"{self.where}: all types are C, as LAMMPS writes where the deck names "
                             f"none: dump_modify ID element Cu Zr  , or give --elements")
        return tuple(symbols)

    def numbered_by(self, elements: Sequence[str]) -> Frame:
        """A frame without types of its own, its types numbered in the order of ``elements``.

        Raises
        ------
        InputError : an atom is none of them.
        """
        number = {symbol: k for k, symbol in reversed(list(enumerate(elements, start=1)))}
        for k, symbol in enumerate(self.columns["element"]):
            if symbol not in number:
                raise InputError(f"{self.where}: atom {self.columns['id'][k]} is {symbol}, none of "
                                 f"{' '.join(elements)}")
        types = np.array([number[s] for s in self.columns["element"]], dtype=np.int64)
        return replace(self, columns={**self.columns, "type": types}, typed=True)

    def must_not_be_numbered_otherwise(self, elements: Sequence[str]) -> None:
        """InputError if masses tell another order of ``elements``, the symbols of types 1, 2, ..."""
        for k, (symbol, by_mass) in enumerate(zip(elements, self.by_mass), start=1):
            if by_mass in elements and by_mass != symbol and symbol in MASSES:
                raise InputError(f"{self.where}: the mass of type {k} is that of {by_mass}, not of "
                                 f"{symbol}: give the symbols in the order of the types")

    @property
    def fractional(self) -> Floats:
        """(n, 3) positions as fractions of the box, not wrapped."""
        return times(self.positions, self.box.inverse)

    def must_have_atoms_of(self, first: Frame) -> None:
        """InputError if the ids are not those of ``first``."""
        if not np.array_equal(self.columns["id"], first.columns["id"]):
            raise InputError(f"{self.where}: other atoms than in the first frame")

    @property
    def positions(self) -> Floats:
        """(n, 3) A, from the box's lower corner, from x y z, xu yu zu, or scaled xs ys zs (xsu ...).

        Wrapped or not, as the file has them: image flags are not applied.
        """
        for names in COORDINATES:
            if all(n in self.columns for n in names):
                x = np.stack([self.columns[n] for n in names], axis=1)
                return x - self.origin if names in COORDINATES[:2] else self.box.vectors(x)
        raise InputError(f"{self.where}: no positions (columns x y z, xu yu zu or xs ys zs)")


def read_frames(path: str | PathLike[str], boundary: Sequence[bool] | None = None) -> Iterator[Frame]:
    """Frames of a dump, the one of a data file, or those of a file that ``others`` reads (extended
    XYZ, what ASE knows), compressed or not; the content tells which.

    boundary : 3 flags, True for periodic, of a file that tells none (data files, old dumps).  A data
    file is taken as periodic without it.

    Raises
    ------
    InputError : none of these, or one that is refused by its reader.
    """
    with reading(path):
        head = first_bytes(path)
    if head.startswith(b"ITEM:") or not head:
        return read_dump(path, boundary)
    from .others import is_xyz, read_others, read_xyz

    if is_xyz(head):
        return read_xyz(path, boundary)
    if _DATA.search(head):
        return iter([read_data(path, boundary)])
    return read_others(path, head, boundary)


def read_dump(path: str | PathLike[str], boundary: Sequence[bool] | None = None) -> Iterator[Frame]:
    """Frames of a text dump, one by one.

    boundary : 3 flags, True for periodic, of a dump that tells none (LAMMPS before 2010).

    Raises
    ------
    InputError : not a LAMMPS text dump, without frames, or cut off, damaged or ambiguous in a frame
        (named by its step and line).
    """
    with text_of(path) as text:
        lines, units, n = Lines(text), None, 0
        while (head := lines.peek()) is not None:
            if n and not head.strip():
                lines.must_be_blank()
                return
            frame, units = _frame(lines, str(path), units, boundary)
            yield frame
            n += 1
        if not n:
            raise InputError("it is empty")


@contextmanager
def reading(path: str | PathLike[str]) -> Iterator[None]:
    """What is wrong with the file as InputError that names it."""
    try:
        yield
    except InputError as e:
        if str(e).startswith((f"{path}:", f"{path},")):
            raise
        raise InputError(f"{path}: {e}") from None
    # mypy does not read a * there
    except (OSError, EOFError, UnicodeError, zlib.error,
            *_errors_of_packers()) as e:  # type: ignore[misc]
        raise InputError(f"{path}: {getattr(e, 'strerror', None) or e}") from None


@contextmanager
def text_of(path: str | PathLike[str]) -> Iterator[IO[str]]:
    """Its lines; what is wrong with the file or with them as InputError that names it."""
    with reading(path):
        if b"\0" in first_bytes(path):
            raise InputError(BINARY)
        # bytes that are no text may be in a title; as part of a number they are refused like a letter
        with TextIOWrapper(unpacked(path), encoding="utf-8", errors="surrogateescape") as lines:
            yield lines


# First bytes of compressed files, and the module that reads them.
PACKED = {".gz": (b"\x1f\x8b", "gzip"), ".bz2": (b"BZh", "bz2"), ".xz": (b"\xfd7zXZ\0", "lzma"),
          ".zst": (b"\x28\xb5\x2f\xfd", "zstandard")}


def packer(path: str | PathLike[str]) -> str | None:
    """Module that reads a compressed file; None if it is none."""
    with open(path, "rb") as file:
        head = file.read(8)
    return next((module for magic, module in PACKED.values() if head.startswith(magic)), None)


def unpacked(path: str | PathLike[str]) -> IO[bytes]:
    """The file, open to read what it holds, compressed or not; its first bytes tell.

    Raises
    ------
    InputError : a package is missing, or the name says compressed and the content does not.
    """
    module = packer(path)
    try:
        if module == "zstandard":            # several in one file, as pzstd writes
            return cast("IO[bytes]", import_module(module).ZstdDecompressor().stream_reader(
                open(path, "rb"), read_across_frames=True))
        if module is not None:
            return cast("IO[bytes]", import_module(module).open(path, "rb"))
    except ModuleNotFoundError as e:
        raise InputError("zstd files need the package zstandard: pip install zstandard"
                         if e.name == "zstandard" else
                         f"this Python has no module {e.name}: decompress it") from None
    if str(path).endswith(tuple(PACKED)):
        raise InputError("not compressed, or damaged at its start")
    return open(path, "rb")


def first_bytes(path: str | PathLike[str]) -> bytes:
    """Up to 4096 bytes of what the file holds."""
    with unpacked(path) as file:
        return file.read(4096)


def _errors_of_packers() -> tuple[type[Exception], ...]:
    """The errors of damaged .xz and .zst files, where the modules that read them are there."""
    found = []
    for module, name in (("lzma", "LZMAError"), ("zstandard", "ZstdError")):
        try:
            found.append(getattr(import_module(module), name))
        except ModuleNotFoundError:
            pass
    return tuple(found)


class Lines:
    """Lines of a file with their numbers; the next one can be seen before it is taken."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._next: str | None = None
        self.number = 0                       # of the line taken last

    def peek(self) -> str | None:
        if self._next is None:
            self._next = next(self._lines, None)
        return self._next

    def take(self) -> str:
        """The next line; InputError at the end of the file."""
        line = self.peek()
        if line is None:
            raise InputError("cut off at the end of the file")
        self._next = None
        self.number += 1
        return line

    def block(self, n: int) -> list[str]:
        """The next ``n`` lines, or as many as there are."""
        out = [self.take()] if n and self.peek() is not None else []
        out += islice(self._lines, min(n - len(out), sys.maxsize))
        self.number += max(len(out) - 1, 0)
        return out

    def must_be_blank(self) -> None:
        while self.peek() is not None:
            if self.take().strip():
                raise InputError(f"line {self.number}: text after blank lines")


def _frame(lines: Lines, path: str, units: str | None,
           boundary: Sequence[bool] | None) -> tuple[Frame, str | None]:
    """The next frame, and the units of it and of those that follow."""
    items: dict[str, Any] = {}
    where = path
    try:
        while True:
            head = lines.take()
            if not head.startswith("ITEM: "):
                raise InputError(_no_item(lines.number, head, first=lines.number == 1))
            name = head[6:].strip()
            if name.split()[:1] == ["ATOMS"]:
                break
            words = name.split()
            key = "BOX BOUNDS" if words[:2] == ["BOX", "BOUNDS"] else name
            if key in items:
                raise InputError(f"line {lines.number}: a second ITEM: {key} in one frame")
            if key == "BOX BOUNDS":
                items[key] = (words[2:], [lines.take() for _ in range(3)])
            elif key in ("TIMESTEP", "NUMBER OF ATOMS", "UNITS", "TIME"):
                items[key] = lines.take().strip()
            else:
                raise InputError(f"line {lines.number}: no dump of atoms: ITEM: {key[:40]}")
            if key == "TIMESTEP":
                step = whole_number(items[key], "the step", lines.number)
                where = f"{path}, step {step}"
        for key in ("TIMESTEP", "NUMBER OF ATOMS", "BOX BOUNDS"):
            if key not in items:
                raise InputError(f"line {lines.number}: no ITEM: {key} in this frame")
        units = items.get("UNITS", units)
        kind, factor = _kind(units)
        words, rows = items["BOX BOUNDS"]
        box, origin = _box(words, rows, boundary, factor)
        n = whole_number(items["NUMBER OF ATOMS"], "the number of atoms", lines.number)
        names = name.split()[1:]
        if not names:
            raise InputError("ITEM: ATOMS names no columns, as in LAMMPS before 2009: write them "
                             "there, e.g.  ITEM: ATOMS id type xs ys zs  , if these are they")
        if len(set(names)) < len(names):
            raise InputError(f"a column comes twice: {' '.join(names)}")
        if "id" not in names or not {"type", "element"} & set(names):
            raise InputError(f"columns id and type (or element) are needed, found {' '.join(names)}")
        at = lines.number + 1
        body = lines.block(n)
        columns = _in_A(columns_of(names, body, n, at), factor)
        if body and not body[-1].endswith("\n") and lines.peek() is None:
            must_be_complete([line.split()[-1] for line in body], lines.number)
        following = lines.peek()
        if following is not None and following.strip() and not following.startswith("ITEM: "):
            lines.take()
            raise InputError(_no_item(lines.number, following, n))
        return replace(make_frame(step, box, columns, where, origin, at), units=kind), units
    except InputError as e:
        raise InputError(f"{where}: {e}") from None


def _kind(units: str | None) -> tuple[str | None, float]:
    """(metal, lj or None, factor to A) of the units that a file tells; InputError if there are none
    such."""
    if units is None:
        return None, 1.0
    return kind_of(units), STYLES[units].length


def _in_A(columns: dict[str, AnyArray], factor: float) -> dict[str, AnyArray]:  # noqa: N802
    """``columns`` with lengths and their squares turned into A and A^2."""
    if factor == 1.0:
        return columns
    powers = {**dict.fromkeys(sum(COORDINATES[:2], ()), 1),
              **dict.fromkeys(("d_d2min", "d_d2mean", "d_msd", "d_msd_hot"), 2)}
    return {k: v * factor ** powers[k] if k in powers else v for k, v in columns.items()}


def _no_item(number: int, line: str, n: int | None = None, first: bool = False) -> str:
    if first:
        return f"not a LAMMPS text dump: {line[:40]!r}"
    more = "" if n is None else f"; more atoms than the {n} announced?"
    return f"line {number}: damaged: ITEM: ... must come here, found {line[:40]!r}{more}"


def make_frame(step: int, box: Box, columns: dict[str, AnyArray], where: str, origin: Floats,
               at: int | None, n_types: int | None = None) -> Frame:
    """Frame of the columns as read, sorted by id, once they have been found sound.

    at : number of the line of the first atom; None: the file is not one of lines.
    """
    def place(*rows: int) -> str:
        """What begins a message about these rows."""
        words = ("row", 0) if at is None else ("line", at)
        return f"{words[0]}{'s' * (len(rows) > 1)} {' and '.join(str(words[1] + k) for k in rows)}: "

    def refuse(bad: AnyArray, what: Callable[[int], str]) -> NoReturn:
        k = int(np.flatnonzero(bad)[0])
        raise InputError(f"{place(k)}{what(k)}")

    ids = columns["id"]
    with np.errstate(invalid="ignore"):
        wrong = ~((ids == np.floor(ids)) & (ids >= 1) & (ids < 2.0 ** 53))
        if wrong.any():
            refuse(wrong, lambda k: f"atom id {ids[k]:.17g}, must be 1, 2, ...")
        if "type" in columns:
            types, most = columns["type"], MAX_TYPE if n_types is None else n_types
            wrong = ~((types == np.floor(types)) & (types >= 1) & (types <= most))
            if wrong.any():
                refuse(wrong, lambda k: f"atom {ids[k]:.0f} has type {types[k]:.17g}, must be 1, 2, "
                                        f"... {most}")
    order = np.argsort(ids, kind="stable")
    twice = np.flatnonzero(ids[order][1:] == ids[order][:-1])
    if twice.size:
        first, second = order[twice[0]:twice[0] + 2]
        raise InputError(f"{place(first, second)}atom {ids[first]:.0f} comes twice")
    for names in COORDINATES:
        if not all(name in columns for name in names):
            continue
        x = np.stack([columns[name] for name in names], axis=1)
        with np.errstate(invalid="ignore", over="ignore"):
            away = x if names in COORDINATES[2:] else (x - origin) / box.heights
            wrong = np.asarray(~(np.abs(away) < FAR).all(axis=1))
        if wrong.any():
            refuse(wrong, partial(_far_out, ids, x))
    columns = {k: np.ascontiguousarray(v[order]) for k, v in columns.items()}
    typed = "type" in columns
    if not typed:
        _, number = np.unique(columns["element"], return_inverse=True)
        columns["type"] = number.reshape(-1) + 1
    for name in ("id", "type"):
        columns[name] = columns[name].astype(np.int64)
    return Frame(step, box, columns, where, origin, typed)


def _far_out(ids: AnyArray, x: Floats, k: int) -> str:
    return (f"atom {ids[k]:.0f} is at {' '.join(format(v, 'g') for v in x[k])}, not finite or far "
            f"outside the box")


def columns_of(names: Sequence[str], body: list[str], n: int, at: int) -> dict[str, AnyArray]:
    """{name: values} of the lines of ``n`` atoms, the first of them line ``at``."""
    if len(body) < n:
        raise InputError(f"cut off: {n} atoms are announced, {len(body)} lines follow")
    if not n:
        return {name: np.empty(0, str if name in TEXT else float) for name in names}
    words = body[0].split()
    text = [k for k, name in enumerate(names) if name in TEXT or (
        _used(name) is False and k < len(words) and not is_number(words[k]))]
    numbers = [k for k in range(len(names)) if k not in text]
    codes: dict[str, int] = {}               # of the words, which are few

    def code(word: str) -> int:
        return codes.setdefault(word, len(codes))

    try:
        table = np.loadtxt(body, ndmin=2, comments=None, converters=dict.fromkeys(text, code) or None,
                           encoding=None)
        if table.shape != (n, len(names)):
            raise ValueError
    except (ValueError, IndexError):
        raise _culprit(names, numbers, body, at) from None
    known = np.array(list(codes))
    return {name: known[table[:, k].astype(np.int64)] if k in text else table[:, k]
            for k, name in enumerate(names)}


def _used(name: str) -> bool:
    """Whether a column means something to this package, and so must hold numbers."""
    return name in ("id", "type") or any(name in c for c in COORDINATES) or name[:2] in ("d_", "i_")


def _culprit(names: Sequence[str], numbers: Iterable[int], body: list[str], at: int) -> InputError:
    """InputError that names the first line of ``body`` that is not what it must be."""
    for number, line in enumerate(body, start=at):
        words = line.split()
        if line.startswith("ITEM:"):
            return InputError(f"cut off: {len(body)} atoms are announced, {number - at} follow")
        if len(words) != len(names):
            return InputError(f"line {number}: cut off or damaged: {len(words)} words for "
                              f"{len(names)} columns")
        for k in numbers:
            if not is_number(words[k]):
                return InputError(f"line {number}: column {names[k]}: {words[k][:40]!r} is no number")
    return InputError(f"line {at}: damaged")


def must_be_complete(words: list[str], number: int) -> None:
    """InputError if the last of the ``words`` of a column may be the beginning of a longer one.

    A file that ends without a newline may be whole, or cut within its last word.
    """
    last, others = words[-1], words[:-1]
    if all(is_number(w) for w in words):
        shapes = {_shape(w) for w in others if w.lower().strip("+-") != "nan"}
        decimals = {s[1:] for s in shapes}
        digits = [s[0] for s in shapes]
        whole = last.lower().strip("+-") in ("nan", "inf") or (
            bool(shapes) and decimals == {_shape(last)[1:]} and (
                _shape(last)[1] is not None or last in others))
        if not whole and len(others) >= 20 and not any(s[2] for s in shapes):
            # as %g writes: many words of the most digits, and none has more
            most = max(digits)
            whole = _shape(last)[0] == most and not _shape(last)[2] \
                and sum(_shape(w)[0] == most for w in others) >= len(others) // 4
    else:
        whole = last in others
    if not whole or any(w != last and w.startswith(last) for w in others):
        raise InputError(f"line {number}: the last line does not end with a newline and may be cut: "
                         f"if it is whole, add one, e.g. by  echo >> FILE")


def _shape(word: str) -> tuple[int, int | None, int]:
    """(significant digits, decimals or None, digits of the exponent) of a number."""
    mantissa, _, exponent = word.lower().partition("e")
    before, point, after = mantissa.strip("+-").partition(".")
    return (len((before + after).lstrip("0")), len(after) if point else None,
            len(exponent.strip("+-")))


def _box(words: list[str], rows: list[str], boundary: Sequence[bool] | None,
         factor: float = 1.0) -> tuple[Box, Floats]:
    """(Box with its corner at 0, that corner) of the words of ITEM: BOX BOUNDS and its 3 lines.

    factor : from their unit to A.
    """
    kind = tuple(w for w in words if not _FLAGS.fullmatch(w))
    flags = [w for w in words if _FLAGS.fullmatch(w)]
    wide = {(): 2, ("xy", "xz", "yz"): 3, ("abc", "origin"): 4}
    if kind not in wide or len(flags) not in (0, 3):
        raise InputError(f"ITEM: BOX BOUNDS {' '.join(words)[:60]}: unknown kind of box")
    split = [row.split() for row in rows]
    for row in split:
        if len(row) != wide[kind] or not all(is_number(w) for w in row):
            raise InputError(f"BOX BOUNDS: {' '.join(row)[:80]!r} must be {wide[kind]} numbers"
                             + (", a tilted box says  BOX BOUNDS xy xz yz" if not kind else ""))
    numbers = np.array(split, dtype=np.float64) * factor
    periodic: Sequence[bool] = [w == "pp" for w in flags]
    if not flags and boundary is None:
        raise InputError("BOX BOUNDS tells no boundaries: write them there, e.g.  ITEM: BOX BOUNDS "
                         "pp pp pp  , or give --boundary \"p p p\"")
    if not flags and boundary is not None:
        periodic = boundary
    elif boundary is not None and list(boundary) != periodic:
        raise InputError(f"--boundary does not agree with the dump: BOX BOUNDS {' '.join(flags)}")
    if wide[kind] == 4:
        return checked_box(numbers[:, :3], periodic, numbers[:, 3])
    low, high = numbers[:, 0].copy(), numbers[:, 1].copy()
    tilts = xy, xz, yz = numbers[:, 2] if kind else (0.0, 0.0, 0.0)
    low[0] -= min(0.0, xy, xz, xy + xz)
    high[0] -= max(0.0, xy, xz, xy + xz)
    low[1] -= min(0.0, yz)
    high[1] -= max(0.0, yz)
    return checked_box(_edges(high - low, tilts), periodic, low)


def _edges(lengths: Iterable[float], tilts: Iterable[float]) -> Floats:
    if not (np.asarray(lengths) > 0).all():
        raise InputError(f"the box has lengths {' '.join(format(v, 'g') for v in lengths)}")
    return Box.from_lammps(lengths, tilts).edges


def checked_box(edges: Floats, periodic: Sequence[bool], origin: Floats) -> tuple[Box, Floats]:
    with np.errstate(over="ignore", invalid="ignore"):
        volume = np.linalg.det(edges)
    if not (np.isfinite(origin).all() and np.isfinite(edges).all() and 0 < volume < np.inf):
        raise InputError(f"the box has no volume or is not finite: {edges.tolist()}, "
                         f"from {origin.tolist()}")
    return Box.make(edges, periodic), origin


_TOPOLOGY = ("atom", "bond", "angle", "dihedral", "improper")
HEADER = {*(f"{x}s" for x in _TOPOLOGY), *(f"{x} types" for x in _TOPOLOGY), "ellipsoids", "lines",
          "triangles", "bodies", *(f"extra {x} per atom" for x in (*_TOPOLOGY[1:], "special")),
          "crossterms", "xlo xhi", "ylo yhi", "zlo zhi", "xy xz yz", "avec", "bvec", "cvec",
          "abc origin"}
# Columns of type and x in the Atoms section of a data file, and words without the image flags.
ATOM_STYLES = {"atomic": (1, 2, 5), "charge": (1, 3, 6), "bond": (2, 3, 6), "angle": (2, 3, 6),
               "molecular": (2, 3, 6), "full": (2, 4, 7)}


def read_data(path: str | PathLike[str], boundary: Sequence[bool] | None = None) -> Frame:
    """The one Frame of a LAMMPS data file.

    boundary : 3 flags, True for periodic; a data file does not tell them.  Periodic without it.

    Raises
    ------
    InputError : not such a file; an atom style that is none of ``ATOM_STYLES``, or not told and
        not clear; other atoms than announced; ids, types or masses out of range.
    """
    with text_of(path) as file:
        lines = list(_needed(file))
        if not lines or lines[0].startswith("ITEM:"):
            raise InputError("not a LAMMPS data file" + (": a dump" if lines else ": it is empty"))
        return _data(str(path), lines, boundary)


def _needed(file: Iterable[str]) -> Iterator[str]:
    """Its lines; those of sections that nobody reads, as Velocities, are empty: they may be many."""
    section = None
    for k, line in enumerate(file):
        if k and line.lstrip()[:1].isalpha():
            section = _bare(line)
            yield line
        else:
            yield line if section in (None, "Atoms", "Masses") else "\n"


def _data(path: str, lines: list[str], boundary: Sequence[bool] | None) -> Frame:
    header, at = _header(lines)
    units = re.search(r"units = (\w+)", lines[0])
    told, factor = _kind(units[1] if units else None)
    n, n_types = (whole_number(" ".join(header[key]), f"the number of {key}", 1)
                  if key in header else None for key in ("atoms", "atom types"))
    if n is None or n_types is None:
        raise InputError("not a LAMMPS data file: its header must tell atoms and atom types")
    box, origin = _data_box(header, (True,) * 3 if boundary is None else boundary, factor)
    headings = [k for k in range(at, len(lines)) if lines[k].lstrip()[:1].isalpha()]
    sections: dict[str, tuple[int, int]] = {}
    for k, end in zip(headings, (*headings[1:], len(lines))):
        name = _bare(lines[k])
        if name in sections and name in ("Atoms", "Masses", "Atom Type Labels"):
            raise InputError(f"line {k + 1}: a second section {name}")
        sections[name] = (k, end)
    symbols: tuple[str | None, ...] = ()
    if "Masses" in sections:
        masses = _checked_masses(lines, *sections["Masses"], n_types)
        if told != "lj":
            unit = STYLES[units[1]].mass if units else 1.0
            symbols = tuple(element_of_mass(mass * unit) for mass in masses)
    if "Atoms" not in sections:
        raise InputError("not a LAMMPS data file: it has no section Atoms")
    first, body = _rows(lines, *sections["Atoms"])
    if len(body) != n:
        raise InputError(f"{n} atoms are announced, {len(body)} lines follow Atoms (line {first})")
    names = ("id", "type", "x", "y", "z")
    if n == 0:
        return replace(make_frame(0, box, {name: np.empty(0) for name in names}, path, origin, 1),
                       units=told)
    width = len(_bare(body[0]).split())
    try:
        table = np.loadtxt(body, ndmin=2)
        if table.shape != (n, width):
            raise ValueError
    except ValueError:
        raise _culprit([f"{k + 1}" for k in range(width)], range(width),
                       [_bare(line) for line in body], first) from None
    kind, x, flags = _style(lines[sections["Atoms"][0]], table, first)
    if not body[-1].endswith("\n") and lines[-1] is body[-1] and not flags:
        must_be_complete([_bare(line).split()[-1] for line in body], len(lines))
    columns = _in_A(dict(zip(names, table[:, [0, kind, x, x + 1, x + 2]].T)), factor)
    return replace(make_frame(0, box, columns, path, origin, first, n_types), units=told,
                   by_mass=symbols)


def _header(lines: list[str]) -> tuple[dict[str, list[str]], int]:
    """{keyword: its numbers as words}, and the index of the first line behind the header."""
    header: dict[str, list[str]] = {}
    k = 1
    while k < len(lines):
        words = _bare(lines[k]).split()
        values = []
        while words and is_number(words[0]):
            values.append(words.pop(0))
        key = " ".join(words)
        if key and not values and key[0].isalpha():
            break                             # a section
        if values and key not in HEADER or key and not values:
            raise InputError(f"line {k + 1}: unknown line in the header: "
                             f"{lines[k].strip()[:60]!r}")
        if values and key in header:
            raise InputError(f"line {k + 1}: a second {key!r} in the header")
        if values:
            header[key] = values
        k += 1
    return header, k


def _data_box(header: dict[str, list[str]], periodic: Sequence[bool],
              factor: float) -> tuple[Box, Floats]:
    def values(key: str, n: int) -> Floats:
        if key not in header or len(header[key]) != n:
            raise InputError(f"the header must have a line with {n} numbers and {key}")
        return np.array(header[key], dtype=np.float64) * factor

    if "avec" in header:
        edges = np.array([values(key, 3) for key in ("avec", "bvec", "cvec")])
        return checked_box(edges, periodic, values("abc origin", 3))
    bounds = np.array([values(f"{a}lo {a}hi", 2) for a in "xyz"])
    tilts = values("xy xz yz", 3) if "xy xz yz" in header else (0.0, 0.0, 0.0)
    return checked_box(_edges(bounds[:, 1] - bounds[:, 0], tilts), periodic, bounds[:, 0].copy())


def _rows(lines: list[str], heading: int, end: int) -> tuple[int, list[str]]:
    """Number of the first line of a section's rows, and these: up to a blank line."""
    k = heading + 1
    while k < end and not _bare(lines[k]):
        k += 1
    last = k
    while last < end and lines[last].strip():
        last += 1
    for other in range(last, end):
        if lines[other].strip():
            raise InputError(f"line {other + 1}: text after a blank line within the section "
                             f"{_bare(lines[heading])}")
    return k + 1, lines[k:last]


def _checked_masses(lines: list[str], heading: int, end: int, n_types: int) -> list[float]:
    """[mass of type 1, 2, ...] of the section Masses."""
    masses: dict[int, float] = {}
    first, rows = _rows(lines, heading, end)
    if len(rows) != n_types:
        raise InputError(f"line {first}: {n_types} atom types are announced, "
                         f"{len(rows)} masses follow")
    for number, row in enumerate(rows, start=first):
        words = _bare(row).split()
        if len(words) != 2 or words[0] not in map(str, range(1, n_types + 1)) \
                or not is_number(words[1]) or not 0 < float(words[1]) < np.inf:
            raise InputError(f"line {number}: {_bare(row)[:60]!r} must be a type, 1 to {n_types}, "
                             f"and its mass")
        masses[int(words[0])] = float(words[1])
    if len(masses) < n_types:
        raise InputError(f"line {first}: a type has two masses, another none")
    return [masses[k] for k in sorted(masses)]


def _style(heading: str, table: Floats, first: int) -> tuple[int, int, bool]:
    """Columns of type and x of the rows of Atoms, and whether image flags follow."""
    known = ", ".join(ATOM_STYLES)
    style = heading.partition("#")[2].strip()
    width = table.shape[1]
    if style and style not in ATOM_STYLES:
        raise InputError(f"atom style {style!r} is none of {known}")
    flags = width > 5 and bool((table[:, -3:] == np.floor(table[:, -3:])).all())
    if not style:
        # 5 words are atomic whatever they are, 8 if the last are image flags; else several fit
        if width != 5 and not (width == 8 and flags):
            raise InputError(f"the section Atoms does not tell its atom style, and {width} columns "
                             f"fit several: write it there, e.g.  Atoms # charge  (one of {known})")
        style = "atomic"
    kind, x, n = ATOM_STYLES[style]
    if width != n and not (width == n + 3 and flags):
        raise InputError(f"line {first}: {width} columns, atom style {style} has {n}, or {n + 3} "
                         f"with whole image flags")
    return kind, x, width == n + 3


def _bare(line: str) -> str:
    """A line without its comment."""
    return line.partition("#")[0].strip()


def is_number(word: str) -> bool:
    return _NUMBER.fullmatch(word) is not None


def whole_number(word: str, what: str, number: int) -> int:
    """``word`` as a whole number from 0 on; InputError if it is none."""
    if not re.fullmatch(r"\+?\d{1,18}", word, re.ASCII):
        raise InputError(f"line {number}: {what} must be a whole number, not {word[:40]!r}")
    return int(word)
