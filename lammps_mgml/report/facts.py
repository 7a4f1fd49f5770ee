"""What a figure says of the run under it: from the dump, and from LAMMPS' log beside it."""
from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import __version__
from ..errors import InputError, OptionError
from ..io.dump import Frame, read_frames
from ..io.log import RunLog, read_log
from ..system.arrays import Floats
from ..system.atoms import periodic_atoms
from ..system.lengths import Lengths
from ..system.units import LEAST
from .rows import Report

LOG = "log.lammps"     # LAMMPS' own name for it
GPA = {"metal": 1e-4, "real": 1.01325e-4}    # of a unit of pressure (bar, atm)
STRESS = {**GPA, "lj": 1.0}                  # its own unit stays
OWN_STRESS = "v_stress_GPa"  # of a deck that computes it itself, positive in the sense of the load
PS = {"metal": 1.0, "real": 1e-3}            # of a unit of time
SAME_BOX = 1e-5        # relative; thermo output has 8 digits
STEADY = 0.02          # of the largest strain: deviation from a constant rate


class Facts(NamedTuple):
    """What is known of a run; None: it is not known.

    log : the file.  elements : symbols of types 1, 2, ...  temperature : (lowest, mean, highest) K of
    the thermo output while the box deformed.  rate : 1/s.  stress : (m, 2) strain, and stress in GPa
    (units lj: epsilon/sigma^3) that is positive in the sense of the load.  pressure : thermo keyword
    that it is from.
    version : of lammps_mgml in the run.  notes : sentences on what there is and what is missing.
    """

    log: str | None
    elements: tuple[str, ...] | None
    glass: str | None
    model: str | None
    temperature: tuple[float, float, float] | None
    rate: float | None
    stress: Floats | None
    pressure: str | None
    version: str | None
    notes: tuple[str, ...]

    def line(self, frame: Frame) -> str:
        """One line of what is known, as matplotlib sets it; ``frame`` : a frame of the dump."""
        parts = []
        if self.model:
            parts.append(f"model {self.model}")
        glass = f"{len(frame)} atoms"
        if self.elements:
            glass = f"{composition(frame, self.elements)}, {glass}"
        parts.append(f"{self.glass}: {glass}" if self.glass else glass)
        if self.temperature:
            low, mean, high = self.temperature
            parts.append(f"{mean:.0f} K" if high - low < 0.3 * mean or high < 1.0 else
                         f"{low:.0f} to {high:.0f} K")
        if self.rate:
            parts.append(f"strain rate {_power(self.rate)} s$^{{-1}}$")
        ours = f"lammps_mgml {__version__}"
        parts.append(ours if self.version in (None, __version__) else
                     f"run by lammps_mgml {self.version}, drawn by {__version__}")
        return "; ".join(parts)


def _power(value: float) -> str:
    """Text such as 2.5 × 10$^9$."""
    factor, _, exponent = f"{value:.1e}".partition("e")
    factor = factor.removesuffix(".0")
    power = f"10$^{{{int(exponent)}}}$"
    return power if factor == "1" else f"{factor} × {power}"


def composition(frame: Frame, elements: tuple[str, ...]) -> str:
    """Text such as Cu65Zr35."""
    shares: dict[str, float] = {}
    for number, element in enumerate(elements, start=1):
        shares[element] = shares.get(element, 0.0) + float((frame.types == number).mean())
    return "".join(f"{e}{100 * s:.3g}" for e, s in shares.items() if s > 0)


def lengths_of(dump: str | PathLike[str], log: str | PathLike[str] | None = None,
               threshold: float | None = None) -> Lengths | None:
    """Lengths of the run of ``dump`` as its log tells them, or by a threshold of D2min that is given.

    None: nothing tells.  log : as for ``facts_of``.

    Raises
    ------
    InputError : ``log`` is given and is no log.
    OptionError : a threshold that is none.
    """
    found = None
    path = Path(log) if log is not None else Path(dump).parent / LOG
    if log is not None or path.exists():
        try:
            found = read_log(path).lengths
        except InputError:
            if log is not None:
                raise
    if threshold is None:
        return found
    if not 0.0 < threshold < 1e6:
        raise OptionError(f"--threshold must be above 0, not {threshold:g}")
    if found is None:
        frame = next(read_frames(dump), None)
        nearest = _nearest(frame) if frame is not None else Lengths.nearest
        lj = frame is not None and frame.units == "lj" or nearest < LEAST
        found = Lengths.scaled(nearest, "lj") if lj else Lengths()
    return replace(found, d2_threshold=threshold)


def _nearest(frame: Frame) -> float:
    """Mean distance to the nearest neighbour; that of Cu-Zr for a lone atom."""
    from scipy.spatial import cKDTree

    if len(frame) < 2:
        return Lengths.nearest
    reach = 3.0 * (frame.box.volume / len(frame)) ** (1.0 / 3.0)
    atoms, _ = periodic_atoms(frame.positions, frame.types, frame.box, reach)
    found = cKDTree(atoms.positions).query(atoms.positions[:len(frame)], 2)[0][:, 1]
    return float(found.mean())


def facts_of(report: Report, dump: str | PathLike[str], frame: Frame,
             log: str | PathLike[str] | None = None) -> Facts:
    """What is known of the run of ``dump``.

    frame : one of its frames.  log : of the run; None: ``log.lammps`` in the folder of the dump, if
    its thermo output shows that it belongs to the dump.

    Raises
    ------
    InputError : ``log`` is given and is no log, or that of another run.
    """
    given = log is not None
    path = Path(log) if log is not None else Path(dump).parent / LOG
    elements = frame.elements if "element" in frame.columns else None
    nothing = Facts(None, elements, None, None, None, None, None, None, None, ())
    if not given and not path.exists():
        return nothing._replace(notes=(
            f"none: no {LOG} beside the dump, so no stress, and model, temperature and rate are not "
            f"told; give --log FILE",))
    try:
        found = read_log(path)
        doubt = _doubt(report, found)
        if doubt:
            raise InputError(f"{path}: {doubt}")
    except InputError as e:
        if given:
            raise
        return nothing._replace(notes=(f"none used: {e}",))
    notes: list[str] = []
    if elements is None and found.elements and "NULL" not in found.elements and (
            frame.types.max(initial=0) <= len(found.elements)):
        elements = found.elements
    stress, pressure = _stress(report, found, notes)
    model = f"{found.model} ({found.checksum})" if found.model else None
    return Facts(str(path), elements, found.glass, model, _temperature(report, found),
                 _rate(report, found), stress, pressure, found.version, tuple(notes))


def _doubt(report: Report, log: RunLog) -> str | None:
    """Why ``log`` is not, or may not be, that of the dump; None if it is."""
    lengths = log.values("Step", "Lx", "Ly", "Lz")
    if not len(lengths):
        lengths = log.values("Step", "Volume")
    known = {int(step): rest for step, *rest in lengths.tolist()}
    if not known:
        return ("its thermo output has neither lx ly lz nor vol, which would show that it belongs to "
                "this dump: add them to thermo_style custom")
    rows = [row for row in report.rows if row.step in known]
    if not rows:
        return "its thermo output has none of the steps of this dump"
    for row in rows:
        here = np.diag(row.edges)
        there = np.array(known[row.step])
        if len(there) == 1:
            here = here.prod(keepdims=True)
        if (abs(there - here) > SAME_BOX * here).any():
            return (f"the log of another run: at step {row.step} its box is "
                    f"{' '.join(f'{v:.6g}' for v in there)}, the dump's "
                    f"{' '.join(f'{v:.6g}' for v in here)} (A{'^3' if len(there) == 1 else ''})")
    return None


def _span(report: Report) -> tuple[Floats, Floats] | None:
    """(steps, strains) of the frames, with the reference as the first; None if steps go back."""
    reference = report.reference
    pairs = [(reference.step, 0.0)] if reference is not None else []
    pairs += [(row.step, row.strain) for row in report.rows]
    steps, strains = np.array(pairs, dtype=float).T
    if (np.diff(steps) <= 0).any() or any(row.run for row in report.rows):
        return None
    return steps, strains


def _loaded(report: Report, log: RunLog, *names: str, run: bool = False) -> Floats:
    """(m, 1 + len(names)) thermo values within the steps of the frames, first of them the step."""
    span, values = _span(report), log.values("Step", *names, run=run)
    if span is None:
        return values[:0]
    values = values[(values[:, 0] >= span[0][0]) & (values[:, 0] <= span[0][-1])]
    # a run that goes on where another ended prints that step again
    if len(values):
        values = values[np.append(np.diff(values[:, 0]) != 0, True)]
    return np.asarray(values)


def _stress(report: Report, log: RunLog, notes: list[str]) -> tuple[Floats | None, str | None]:
    keyword = "P" + "".join(sorted(report.name))
    if log.units not in STRESS:
        notes.append("no stress: the log does not tell its units" if log.units is None else
                     f"no stress: units {log.units}")
        return None, None
    span, own = _span(report), _loaded(report, log, OWN_STRESS)
    if span is None:
        notes.append("no stress: the dump has several runs, or steps that go back")
        return None, None
    if len(own) >= 2 and not (np.diff(own[:, 0]) < 0).any():
        strain = np.interp(own[:, 0], span[0], span[1])
        return np.stack([strain, own[:, 1]], axis=1), OWN_STRESS
    if report.reference is not None and not report.reference.box.periodic.all():
        notes.append(f"no stress: with free surfaces {keyword.lower()} is that of the box with its "
                     f"vacuum; a thermo column {OWN_STRESS} tells that of the glass (in.compress)")
        return None, None
    values = _loaded(report, log, keyword)
    if len(values) < 2 or (np.diff(values[:, 0]) < 0).any():
        notes.append(f"no stress: the thermo output has no {keyword.lower()} (thermo_style custom "
                     f"step temp {keyword.lower()} lx ly lz ...)" if len(values) < 2 else
                     "no stress: the log has several runs with the same steps")
        return None, None
    strain = np.interp(values[:, 0], span[0], span[1])
    stress = -report.sign * STRESS[log.units] * values[:, 1]
    return np.stack([strain, stress], axis=1), keyword.lower()


def _temperature(report: Report, log: RunLog) -> tuple[float, float, float] | None:
    values = _loaded(report, log, "Temp", run=True)[:, 1]
    if log.units not in GPA or len(values) < 3:
        return None
    later = values[len(values) // 10:]       # the first ones may still come to temperature
    return float(later.min()), float(later.mean()), float(later.max())


def _rate(report: Report, log: RunLog) -> float | None:
    """1/s of the box's strain; None if it is not constant, or the log does not tell the time step."""
    span = _span(report)
    if span is None or log.units not in PS:
        return None
    steps, strains = span
    tables = [t for t in log.tables if "Step" in t.columns and t.columns["Step"][0] < steps[-1]
              and t.columns["Step"][-1] > steps[0]]
    timesteps = {t.timestep for t in tables}
    timestep = timesteps.pop() if len(timesteps) == 1 else None
    if timestep is None or any(t.command != "run" for t in tables):
        return None
    time = (steps - steps[0]) * timestep * PS[log.units]
    if report.reference is None or not time[-1]:
        return None
    rate = float(time @ strains / (time @ time))
    if abs(rate * time - strains).max() > STEADY * strains.max():
        return None
    return rate * 1e12
