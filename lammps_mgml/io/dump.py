"""LAMMPS text dumps and data files, plain or compressed (.gz, .zst)."""
import gzip
from dataclasses import dataclass

import numpy as np

from ..system.box import Box, times
from ..errors import InputError


@dataclass(frozen=True)
class Frame:
    """One frame, atoms sorted by id.

    columns : name -> (n,) float64; id and type: int64; text, as in the column element: str.
    """

    step: int
    box: Box
    columns: dict
    where: str

    def __len__(self):
        return len(self.columns["id"])

    @property
    def types(self):
        return self.columns["type"].astype(np.int32)

    @property
    def elements(self):
        """Symbols of types 1, 2, ... by the column element; None without it."""
        if "element" not in self.columns or not len(self):
            return None
        symbols = ["X"] * int(self.types.max())
        for number, first in zip(*np.unique(self.types, return_index=True)):
            symbols[number - 1] = str(self.columns["element"][first])
        return tuple(symbols)

    @property
    def fractional(self):
        """(n, 3) positions as fractions of the box, not wrapped."""
        return times(self.positions, self.box.inverse)

    def must_have_atoms_of(self, first):
        """InputError if the ids are not those of ``first``."""
        if not np.array_equal(self.columns["id"], first.columns["id"]):
            raise InputError(f"{self.where}: other atoms than in the first frame")

    @property
    def positions(self):
        """(n, 3) A, from the box's origin, from x y z, xu yu zu, or scaled xs ys zs (xsu ...)."""
        for names in (("x", "y", "z"), ("xu", "yu", "zu")):
            if all(n in self.columns for n in names):
                return np.stack([self.columns[n] for n in names], axis=1) - self.box.origin
        for names in (("xs", "ys", "zs"), ("xsu", "ysu", "zsu")):
            if all(n in self.columns for n in names):
                return self.box.vectors(np.stack([self.columns[n] for n in names], axis=1))
        raise InputError(f"{self.where}: no positions (columns x y z, xu yu zu or xs ys zs)")


def read_dump(path):
    """Frames of a text dump, one by one.

    Raises
    ------
    InputError : not a LAMMPS dump, or cut off in the middle of a frame (named by its step).
    """
    try:
        with _open(path) as lines:
            yield from _frames(lines, str(path))
    except (OSError, EOFError, UnicodeDecodeError, *_zstd_error()) as e:
        raise InputError(f"{path}: {e}") from None


def _open(path):
    if str(path).endswith(".gz"):
        return gzip.open(path, "rt")
    if str(path).endswith(".zst"):
        try:
            import zstandard
        except ModuleNotFoundError:
            raise InputError(f"{path}: .zst files need the package zstandard: "
                             f"pip install zstandard") from None
        return zstandard.open(path, "rt")
    return open(path)


def _zstd_error():
    """The error of a damaged .zst file, if the package that reads them is there."""
    try:
        from zstandard import ZstdError
    except ModuleNotFoundError:
        return ()
    return (ZstdError,)


def _frames(lines, path):
    step = None
    for line in lines:
        if not line.startswith("ITEM: TIMESTEP"):
            raise InputError(f"{path} is not a LAMMPS text dump: {line[:40]!r}")
        where = path
        try:
            step = int(next(lines))
            where = f"{path}, step {step}"
            line = next(lines)
            while not line.startswith("ITEM: NUMBER OF ATOMS"):
                line = next(lines)
            n = int(next(lines))
            box = _box(next(lines), [next(lines) for _ in range(3)])
            names = next(lines).split()[2:]
            body = [next(lines) for _ in range(n)]
            if body and not body[-1].endswith("\n"):
                raise ValueError
            columns = _columns(names, body)
        except (StopIteration, RuntimeError, ValueError, IndexError):
            raise InputError(f"{where}: the frame is cut off or damaged") from None
        if "id" not in names or "type" not in names:
            raise InputError(f"{where}: columns id and type are needed, found {' '.join(names)}")
        order = np.argsort(columns["id"], kind="stable")
        columns = {k: np.ascontiguousarray(v[order]) for k, v in columns.items()}
        for name in ("id", "type"):
            columns[name] = columns[name].astype(np.int64)
        yield Frame(step, box, columns, where)


def _columns(names, body):
    """{name: values} of the lines of atoms; ValueError if they are not all there."""
    if not body:
        return {name: np.empty(0) for name in names}
    words = body[0].split()
    text = [k for k, word in enumerate(words[:len(names)]) if not _is_number(word)]
    numbers = [k for k in range(len(names)) if k not in text]
    table = np.loadtxt(body, ndmin=2, usecols=numbers)
    if len(words) < len(names) or table.shape != (len(body), len(numbers)):
        raise ValueError
    columns = dict(zip((names[k] for k in numbers), table.T))
    for k in text:
        columns[names[k]] = np.array([line.split()[k] for line in body])
    return columns


def _box(header, rows):
    words = header.split()
    numbers = np.array([[float(w) for w in row.split()] for row in rows])
    low, high = numbers[:, 0].copy(), numbers[:, 1].copy()
    xy = xz = yz = 0.0
    if "xy" in words:
        xy, xz, yz = numbers[:, 2]
        low[0] -= min(0.0, xy, xz, xy + xz)
        high[0] -= max(0.0, xy, xz, xy + xz)
        low[1] -= min(0.0, yz)
        high[1] -= max(0.0, yz)
    periodic = [w == "pp" for w in words if w in ("pp", "ff", "ss", "mm", "fs", "sf", "fm", "mf",
                                                  "sm", "ms")] or [True] * 3
    return Box.from_lammps(high - low, (xy, xz, yz), periodic, low)


# Columns of type and x in the Atoms section of a data file.
ATOM_STYLES = {"atomic": (1, 2), "charge": (1, 3), "molecular": (2, 3), "full": (2, 4)}


def read_data(path):
    """The one Frame of a LAMMPS data file.

    Raises
    ------
    InputError : not such a file, or none of the atom styles atomic, charge, molecular, full.
    """
    try:
        with _open(path) as f:
            lines = f.read().splitlines()
        header = {" ".join(w for w in line.split() if not _is_number(w)): line.split()
                  for line in lines[1:40] if line.strip()}
        n = int(header["atoms"][0])
        low, high = (np.array([float(header[f"{a}lo {a}hi"][k]) for a in "xyz"]) for k in (0, 1))
        xy, xz, yz = map(float, header.get("xy xz yz", [0, 0, 0])[:3])
        at = next(k for k, line in enumerate(lines) if line.split("#")[0].strip() == "Atoms")
        style = (lines[at].split("#")[1:] or ["atomic"])[0].strip()
        if style not in ATOM_STYLES:
            raise ValueError(f"atom style {style!r} is none of {', '.join(ATOM_STYLES)}")
        kind, x = ATOM_STYLES[style]
        table = np.loadtxt(lines[at + 2:at + 2 + n], ndmin=2, usecols=(0, kind, x, x + 1, x + 2))
        if len(table) != n:
            raise ValueError(f"{n} atoms are announced, {len(table)} are there")
    except (OSError, EOFError, KeyError, ValueError, IndexError, StopIteration,
            *_zstd_error()) as e:
        raise InputError(f"{path} is not a LAMMPS data file: {e}") from None
    table = table[np.argsort(table[:, 0])]
    box = Box.from_lammps(high - low, (xy, xz, yz), origin=low)
    return Frame(0, box, {"id": table[:, 0].astype(np.int64), "type": table[:, 1].astype(np.int64),
                          "x": table[:, 2], "y": table[:, 3], "z": table[:, 4]}, str(path))


def _is_number(word):
    try:
        float(word)
    except ValueError:
        return False
    return True


def read_frames(path):
    """Frames of a dump, or the one of a data file (.data, .lmp), compressed or not."""
    name = str(path).removesuffix(".gz").removesuffix(".zst")
    if name.endswith((".data", ".lmp")):
        return iter([read_data(path)])
    return read_dump(path)
