"""Forces on the atoms of a glass after small moves, by LAMMPS with the deck in.forces."""
from __future__ import annotations

import subprocess
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ..errors import InputError, MgmlError
from ..io.dump import Frame, read_dump
from ..io.glass import read_glass, write_data
from ..system.arrays import Floats
from ..system.box import Box
from ..system.elements import MASSES
from ..systems import System, lammps_files

DECK = "in.forces"
LARGEST = 0.1          # of the nearest distance: of moves that are small, root mean square


def response_of(path: str | PathLike[str], system: System | None, decks: Path,
                command: Sequence[str]) -> Floats:
    """(2, n, 3): how far the atoms of the inherent structure were moved, and the forces on them then.

    system : whose potential it is; None for that of the decks as they stand, Cu-Zr.  command : the
    words that start LAMMPS.

    Raises
    ------
    InputError : no glass file; of other elements or units than the system; no in.forces in ``decks``.
    MgmlError : LAMMPS failed.
    """
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
    if not (decks / DECK).exists():
        raise InputError(f"no {DECK} in {decks}: give --decks, a folder that has it")
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder / "glass.data", glass)
        words = ["-var", "name", "glass"]
        if system is not None:
            lammps_files(system, folder)
            words += ["-var", "system", f"{system.name}.lmp"]
        done = subprocess.run(
            [*command, "-in", str((decks / DECK).resolve()), "-log", "none", *words], cwd=folder,
            stdin=subprocess.DEVNULL, capture_output=True, text=True)
        frame = next(read_dump(folder / "glass.forces"), None) if not done.returncode else None
        if frame is None:
            said = [x for x in (done.stdout + done.stderr).splitlines() if x.strip()]
            raise MgmlError(f"{DECK} for {path} failed: {said[-1] if said else done.returncode}")
    return of_frame(frame, glass.positions, glass.box, 1.0, glass.lengths.nearest, str(path))


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
        raise InputError(f"{where}: {DECK} moved the atoms by {far:.3g} (root of the mean square), "
                         f"where the nearest are {nearest:.3g} apart: it is of another structure")
    forces = np.stack([frame.columns[c] for c in ("fx", "fy", "fz")], axis=1)
    return np.stack([moved, forces])
