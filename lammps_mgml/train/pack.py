"""The glass file of what LAMMPS left in a folder."""
from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..system.elements import MASSES, element_of_mass
from ..system.lengths import STYLES, Lengths, kind_of
from ..systems import System
from .plan import STEP, Plan, rounded
from .record import check, curve_of, inherent_lines, one_potential
from .response import of_frame

if TYPE_CHECKING:
    from ..io.dump import Frame
    from ..io.glass import Glass, Loaded
    from ..system.arrays import Floats

# of a mass: eam and other styles take those of the potential's file, which rounds them
SAME_MASS = 1e-3


def glass_of(plan: Plan, folder: Path, tell: Callable[[str], object] = print) -> Glass:
    """Glass of what is ready.  tell : called with a line for each loading that is not.

    Raises
    ------
    InputError : files that do not fit each other or the options, or elements that are unknown.
    """

    from ..io.dump import read_data, read_dump
    from ..io.glass import Glass

    check(plan, folder)
    data = folder / f"{plan.name}.data"
    inherent, quenched = (read_data(folder / f"{plan.name}{kind}.data") for kind in ("", ".50K"))
    run = one_potential(folder, plan)
    elements = elements_of(data, run["symbols"], plan.system)
    option = f"--zr {plan.shares[1]:g}" if plan.system is None else (
        f"--shares {','.join(f'{x:g}' for x in plan.shares)}")
    for kind, share in enumerate(plan.shares[1:], start=2):
        found, asked = int((inherent.types == kind).sum()), rounded(share * len(inherent.types))
        if found != asked:
            symbol = elements[kind - 1] if len(elements) >= kind else f"type {kind}"
            raise InputError(f"{data}: {found} {symbol} atoms of {len(inherent.types)}, where "
                             f"{option} means {asked}: give the composition that it has")
    energy = next((w[-1] for w in inherent_lines(folder) if w[0] == plan.name), None)
    if energy is None:
        raise InputError(f"{folder / 'inherent.txt'} has no line for {plan.name}: in.quench and "
                         f"in.age write them")
    scale = 1.0 if plan.system is None else plan.system.unit_of_length
    (positions, edges), before = (_in_angstrom(frame, scale) for frame in (inherent, quenched))
    lengths = lengths_of(plan, folder, positions, edges)
    loadings = []
    for axis, sense in plan.loadings:
        loaded = _loaded(folder, plan.name, axis, sense, float(plan.strain), scale, lengths)
        if loaded is None:
            tell(f"{plan.name}.{axis}-{sense}: not at strain {plan.strain}, left out")
        else:
            loadings.append(loaded)
    watched = {}
    for what in plan.watches:
        path = folder / f"{plan.name}.{what}"
        if path.exists():
            frame = next(read_dump(path), None)
            if frame is None or f"d_{what}" not in frame.columns:
                raise InputError(f"{path} has no column d_{what}")
            frame.must_have_atoms_of(inherent)
            watched[what] = frame.columns[f"d_{what}"] * (scale**2 if frame.units is None else 1.0)
    response, path = None, folder / f"{plan.name}.forces"
    if path.exists():
        moved = next(read_dump(path), None)
        if moved is None or "fx" not in moved.columns:
            raise InputError(f"{path} has no column fx")
        moved.must_have_atoms_of(inherent)
        response = of_frame(moved, positions, edges, scale if moved.units is None else 1.0,
                            lengths.nearest, str(path))
    with data.open() as file:
        version = re.search(r"version ([^,]+)", file.readline())
    provenance = {"lammps": version[1] if version else run["lammps"], "potential": run["potential"],
                  "potential_sha256": run["potential_sha256"]}
    if plan.system is not None and not run["potential_sha256"]:        # no file: these are all of it
        commands = plan.system["potential.commands"]
        provenance.update(potential=next(line.split(maxsplit=1)[1] for line in commands.splitlines()
                                         if line.split()[:1] == ["pair_style"]),
                          potential_sha256=hashlib.sha256(commands.encode()).hexdigest())
    masses = () if plan.system is None else tuple(
        m * STYLES[plan.system.units].mass for m in plan.system.masses)
    return Glass(plan.name, elements, inherent.types, positions, edges, before, float(energy),
                 tuple(loadings), plan.made, provenance, watched, lengths, masses,
                 response)


def _in_angstrom(frame: Frame, scale: float) -> tuple[Floats, Floats]:
    """(positions, edges of the box) in A (lj: sigma).  scale : of a file that tells no units."""
    factor = scale if frame.units is None else 1.0
    return frame.positions * factor, frame.box.edges * factor


def lengths_of(plan: Plan, folder: Path, positions: Floats, edges: Floats) -> Lengths:
    """Lengths of all glasses of a folder: those of the system file, else what the first glass gave.

    positions, edges : of the inherent structure, A (lj: sigma).

    Raises
    ------
    InputError : the folder's file of lengths is damaged, or g(r) has no clear minimum.
    """
    if plan.system is None:
        return Lengths()
    if plan.system.lengths is not None:
        return plan.system.lengths
    from ..io.whole import write_whole
    from ..system.box import Box
    from .lengths import measured

    given, path = plan.system.given_lengths, folder / f"{plan.system.name}.lengths.json"
    try:
        known = Lengths.read(json.loads(path.read_text()))
    except FileNotFoundError:
        known = measured(positions, Box.make(edges, (True,) * 3), kind_of(plan.system.units), **given)
        write_whole(path, (json.dumps(known.told(), indent=1) + "\n").encode())
    except (ValueError, TypeError) as e:
        raise InputError(f"{path} is damaged ({e}): remove it, and pack all glasses again") from None
    for key, value in given.items():
        if getattr(known, key) != value:
            raise InputError(f"{path} has {key} {getattr(known, key):g}, system {plan.system.name} "
                             f"{value:g}: remove it, and pack all glasses again")
    return known


def _loaded(folder: Path, name: str, axis: str, sense: str, last: float, scale: float,
            lengths: Lengths) -> Loaded | None:
    """Loaded from the dump and curve of in.aqs; None if it has not come to the strain ``last``.

    scale : A in the dump's unit of length.
    """
    import numpy as np

    from ..io.dump import read_dump
    from ..io.glass import Loaded
    from ..plasticity.d2min import d2min

    path = folder / f"{name}.{axis}-{sense}.dump"
    if not path.exists():
        return None
    frames = read_dump(path)
    first = next(frames, None)
    if first is None:
        return None
    curve = curve_of(path.with_suffix(".curve"))
    log = path.with_suffix(".log")
    told = re.search(r"^variable\s+step\s+index\s+([\d.eE+-]+)",
                     log.read_text(errors="replace") if log.exists() else "", re.MULTILINE)
    step, at = float(told[1]) if told else STEP, {}
    for frame in frames:
        frame.must_have_atoms_of(first)
        strain = round(step * frame.step, 4)
        if strain not in curve:
            raise InputError(f"{path.with_suffix('.curve')} has no line for strain {strain:g}, of "
                             f"the frame {frame.step} of {path.name}")
        # a run that was killed before its checkpoint writes the frame once more: the later counts
        at[strain] = d2min(*_in_angstrom(first, scale), *_in_angstrom(frame, scale),
                           first.box.periodic, lengths.d2_cutoff)
    strains = sorted(at)
    if not strains or strains[-1] < last - 1e-9:
        return None
    return Loaded(axis, sense, np.array(strains), np.array([curve[s] for s in strains]),
                  np.array([at[s].d2min for s in strains]), np.array([at[s].eta for s in strains]))


def elements_of(data: Path, symbols: Sequence[str], system: System | None = None) -> tuple[str, ...]:
    """Symbols of types 1, 2, ... of a data file: those of the system, of pair_coeff, or by masses.

    Raises
    ------
    InputError : neither tells, or they say different things.
    """
    masses = _masses(data)
    if not masses:
        raise InputError(f"{data} has no masses: the elements of its types are unknown")
    if system is not None:
        if len(masses) != len(system.masses) or any(
                abs(a - b) > SAME_MASS * b for a, b in zip(masses, system.masses)):
            raise InputError(f"{data} has masses {' '.join(f'{m:g}' for m in masses)}, system "
                             f"{system.name} has {' '.join(f'{m:g}' for m in system.masses)}")
        return system.elements
    if symbols and len(symbols) != len(masses):
        raise InputError(f"{data} has {len(masses)} types, pair_coeff names {len(symbols)} elements "
                         f"({' '.join(symbols)})")
    out = []
    for k, mass in enumerate(masses, start=1):
        symbol = symbols[k - 1] if symbols else element_of_mass(mass)
        if symbol is None or symbol == "NULL":
            raise InputError(f"{data}: the element of type {k} is unknown: pair_coeff names none, "
                             f"and its mass {mass:g} is that of no element or of several; name the "
                             f"elements in pair_coeff of the deck")
        if abs(MASSES[symbol] - mass) > 0.01 * MASSES[symbol]:
            raise InputError(f"{data}: type {k} has mass {mass:g}, but pair_coeff names it {symbol} "
                             f"({MASSES[symbol]:g})")
        out.append(symbol)
    return tuple(out)


def _masses(data: Path) -> list[float]:
    """[mass of type 1, 2, ...] of the section Masses; [] without it."""
    masses, inside = {}, False
    with data.open() as lines:
        for line in lines:
            words = line.split("#")[0].split()
            if words[:1] == ["Atoms"]:
                break
            if words == ["Masses"]:
                inside = True
            elif inside and len(words) == 2 and words[0].isdigit():
                masses[int(words[0])] = float(words[1])
            elif inside and words:
                inside = False
    return [masses[k] for k in sorted(masses)]
