"""What a LAMMPS log tells of a run: its thermo output, its time step, the glass and the model."""
from __future__ import annotations

import re
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..system.arrays import Floats
from ..system.lengths import STYLES, Lengths, kind_of

# "lammps_mgml 0.2.0: model cuzr (sha256:777ca223), types Cu Zr, D2min within 4.5 A; ..."
_BANNER = re.compile(r"^lammps_mgml (?P<version>\S+): (?:no model|model (?P<model>\S+) "
                     r"\((?P<checksum>[^)]*)\)), types (?P<types>[^,;]+)", re.MULTILINE)
_PLASTIC = re.compile(r"^lammps_mgml .*, plastic above (\S+) (\S+)\^2 "
                      r"\(nearest neighbours (\S+) ", re.MULTILINE)
# Commands as LAMMPS echoes them, once their variables have got values.
_READ = re.compile(r"^\s*read_(?:data|restart)\s+(?!CPU\s*=)([^\s$]+)(?=\s|$)", re.MULTILINE)
_RUN = re.compile(r"^\s*(run|minimize|rerun)\s+[^\s$]+(?=\s|$)")
_TIMESTEP = re.compile(r"^\s*timestep\s+([^\s$]+)\s*(?:#.*)?$")
_VARIABLE_STEP = re.compile(r"^\s*fix\s+\S+\s+\S+\s+dt/reset\s")


@dataclass(frozen=True)
class Thermo:
    """Thermo output of one run or minimisation.

    command : "run", "minimize" or "rerun"; None if the log does not tell.
    timestep : of a run, in the log's units; None if the log does not tell, or if it varies.
    columns : {keyword: (m,) values}.
    """

    command: str | None
    timestep: float | None
    columns: dict[str, Floats]


@dataclass(frozen=True)
class RunLog:
    """A log.  What it does not tell is None.

    units : LAMMPS' name of them.  glass : stem of the last data or restart file that was read.
    version, model, checksum, elements : those of lammps_mgml in that run; elements: symbols of
    types 1, 2, ... (NULL for none).  tables : in the order of the log.  lengths : Lengths of that run
    as far as nearest distance and threshold of D2min tell them.
    """

    path: str
    units: str | None
    glass: str | None
    version: str | None
    model: str | None
    checksum: str | None
    elements: tuple[str, ...] | None
    tables: tuple[Thermo, ...]
    lengths: Lengths | None = None

    def values(self, *names: str, run: bool = False) -> Floats:
        """(m, len(names)) thermo values of the tables that have them all, in their order.

        run : only tables of runs, not of minimisations.
        """
        rows = [np.stack([t.columns[name] for name in names], axis=1) for t in self.tables
                if all(name in t.columns for name in names) and (t.command == "run" or not run)]
        return np.concatenate(rows) if rows else np.empty((0, len(names)))


def read_log(path: str | PathLike[str]) -> RunLog:
    """What ``path``, a log of LAMMPS, tells (thermo_style one, custom or yaml).

    Of a log that is cut off, what it has.

    Raises
    ------
    InputError : no such file, or not a log of LAMMPS.
    """
    try:
        text = Path(path).read_text(errors="replace")
    except OSError as e:
        raise InputError(f"{path}: {e.strerror or e}") from None
    tables = tuple(_tables(text.splitlines()))
    if not tables and not text.startswith("LAMMPS ("):
        raise InputError(f"{path}: not a log of LAMMPS")
    units = re.findall(r"^(?:  Unit style    : |\s*units\s+)(\w+)", text, re.MULTILINE)
    banners = list(_BANNER.finditer(text))
    banner = banners[-1] if banners else None
    read = _READ.findall(text)
    return RunLog(
        str(path), units[-1] if units else None, _stem(read[-1]) if read else None,
        banner and banner["version"], banner and banner["model"], banner and banner["checksum"],
        tuple(banner["types"].split()) if banner else None, tables,
        _lengths(text) if banner else None)


def _lengths(text: str) -> Lengths:
    told = _PLASTIC.findall(text)
    if not told:
        return Lengths()
    factor = {style.name: (style.length, kind_of(units)) for units, style in STYLES.items()}
    value, unit, nearest = told[-1]
    length, kind = factor[unit]
    return replace(Lengths.scaled(float(nearest) * length, kind),
                   d2_threshold=float(value) * length**2)


def _stem(path: str) -> str:
    name = path.rsplit("/", 1)[-1]
    for ending in (".gz", ".zst", ".data", ".restart"):
        name = name.removesuffix(ending)
    return name.removeprefix("data.").removeprefix("restart.")


def _tables(lines: list[str]) -> list[Thermo]:
    tables: list[Thermo] = []
    command: str | None = None
    timestep: float | None = None
    varies = False
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if found := _RUN.match(line):
            command = found[1]
        elif found := _TIMESTEP.match(line):
            timestep = _number(found[1])
        elif _VARIABLE_STEP.match(line):
            varies = True
        elif line.startswith("Per MPI rank memory allocation") and at < len(lines):
            names, rows, at = _rows(lines, at)
            if rows:
                columns = dict(zip(names, np.array(rows).T))
                tables.append(Thermo(command, None if varies else timestep, columns))
            command = None
    return tables


def _rows(lines: list[str], at: int) -> tuple[list[str], list[list[float]], int]:
    """(keywords, rows of numbers, line after them) of the table whose header is line ``at``.

    Lines in between that are no row, as warnings, are passed over.
    """
    yaml = lines[at].startswith("---") and not lines[at].startswith("-----")
    names = re.findall(r"[^\s,\[\]'\"]+", lines[at + 1].partition(":")[2]) \
        if yaml and at + 1 < len(lines) else lines[at].split()
    rows: list[list[float]] = []
    for end in range(at + 1, len(lines)):
        if lines[end].startswith(("Loop time of", "Per MPI rank memory")):
            return names, rows, end
        words = lines[end].replace(",", " ").strip(" -[]").split() if yaml else lines[end].split()
        if yaml and not lines[end].startswith("  - ["):
            continue
        values = [_number(word) for word in words]
        if len(values) == len(names) and None not in values:
            rows.append([v for v in values if v is not None])
    return names, rows, len(lines)


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None
