"""What LAMMPS adds to the glass of a file: forces on its atoms after small moves (in.forces), and how
they vibrate at temperature (in.vibrate)."""
from __future__ import annotations

import subprocess
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ..errors import InputError, MgmlError
from ..io.dump import Frame, read_dump
from ..io.glass import Glass, read_glass, write_data
from ..system.arrays import Floats
from ..system.box import Box
from ..system.elements import MASSES
from ..systems import System, lammps_files

FORCES, VIBRATE = "in.forces", "in.vibrate"
LARGEST = 0.1          # of the nearest distance: of moves that are small, root mean square


def response_of(path: str | PathLike[str], system: System | None, decks: Path,
                command: Sequence[str]) -> Floats:
    """(2, n, 3): how far the atoms of the inherent structure were moved, and the forces on them then.

    system : whose potential it is; None for that of the decks as they stand, Cu-Zr.  command : the
    words that start LAMMPS.

    Raises
    ------
    InputError : no glass file; of other elements or units than the system; no deck in ``decks``.
    MgmlError : LAMMPS failed.
    """
    glass = _glass(path, system)
    frame = _dumped(path, glass, system, decks, command, FORCES, "forces")
    return of_frame(frame, glass.positions, glass.box, 1.0, glass.lengths.nearest, str(path))


def watch_of(path: str | PathLike[str], system: System | None, decks: Path, command: Sequence[str],
             temperature: str) -> Floats:
    """(n,) A^2 (lj: sigma^2), mean square displacements in MD at the higher temperature (K; lj: units
    of it), about the places in the inherent structure: msd_hot, as mgml dataset make has it.

    The rest, and errors, as of ``response_of``.
    """
    glass, watch = _glass(path, system), "msd_hot"
    frame = _dumped(path, glass, system, decks, command, VIBRATE, watch, what=watch,
                    temp=temperature, seed=str(int(glass.made.get("seed", 0)) + 1))
    if len(frame.types) != len(glass):
        raise MgmlError(f"{path}: of {len(glass)} atoms {VIBRATE} kept {len(frame.types)}")
    msd: Floats = frame.columns[f"d_{watch}"]
    return msd


def _glass(path: str | PathLike[str], system: System | None) -> Glass:
    """The glass, which must be one for the potential of ``system``."""
    glass = read_glass(path)
    elements = ("Cu", "Zr") if system is None else system.elements
    units = "metal" if system is None else system.units
    if glass.elements != tuple(elements):
        raise InputError(f"{path}: is of {' '.join(glass.elements)}, the potential of "
                         f"{' '.join(elements)}: give --system")
    if (units == "lj") != (glass.lengths.units == "lj") or (
            system is not None and system.unit_of_length != 1.0):
        raise InputError(f"{path}: has lengths in {glass.lengths.unit}, a deck in units {units} "
                         f"takes others")
    if glass.masses == () and any(e not in MASSES for e in glass.elements):
        raise InputError(f"{path}: the masses of {' '.join(glass.elements)} are unknown")
    return glass


def _dumped(path: str | PathLike[str], glass: Glass, system: System | None, decks: Path,
            command: Sequence[str], deck: str, ending: str, **variables: str) -> Frame:
    """What the deck dumps of the glass, NAME.ending."""
    if not (decks / deck).exists():
        raise InputError(f"no {deck} in {decks}: give --decks, a folder that has it")
    variables["name"] = "glass"
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder / "glass.data", glass)
        if system is not None:
            lammps_files(system, folder)
            variables["system"] = f"{system.name}.lmp"
        words = [word for key, value in variables.items() for word in ("-var", key, value)]
        done = subprocess.run(
            [*command, "-in", str((decks / deck).resolve()), "-log", "none", *words], cwd=folder,
            stdin=subprocess.DEVNULL, capture_output=True, text=True)
        frame = next(read_dump(folder / f"glass.{ending}"), None) if not done.returncode else None
        if frame is None:
            said = [x for x in (done.stdout + done.stderr).splitlines() if x.strip()]
            raise MgmlError(f"{deck} for {path} failed: {said[-1] if said else done.returncode}")
    return frame


def of_frame(frame: Frame, positions: Floats, edges: Floats, scale: float, nearest: float,
             where: str) -> Floats:
    """(2, n, 3) of the dump of in.forces.

    positions, edges : of the inherent structure, A (lj: sigma); ``scale`` of the dump's lengths makes
    them so.  nearest : mean distance to the nearest neighbour.  where : for messages.
    """
    box = Box.make(edges, (True,) * 3)
    away = (frame.positions * scale - positions) @ box.inverse
    moved = (away - np.round(away)) @ box.edges
    far = float(np.sqrt((moved**2).sum(axis=1).mean()))
    if not 0.0 < far < LARGEST * nearest:
        raise InputError(f"{where}: {FORCES} moved the atoms by {far:.3g} (root of the mean square), "
                         f"where the nearest are {nearest:.3g} apart: it is of another structure")
    forces = np.stack([frame.columns[c] for c in ("fx", "fy", "fz")], axis=1)
    return np.stack([moved, forces])
