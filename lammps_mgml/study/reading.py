"""Runs from files: glass files, dumps, tables, and those of ``packed``."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..families.vibrations import watched_of
from ..io.dump import Frame, first_bytes, read_frames
from ..io.glass import read_glass
from ..io.packed import is_packed
from ..io.table import is_table, read_table, table_steps
from ..models.model import SoftnessModel
from ..plasticity.d2min import d2min
from ..progress import track
from ..report.facts import facts_of
from ..report.rows import (
    NO_STRAIN,
    NOT_EVALUATED,
    ZERO_D2,
    compare,
    left_out_of,
    strain_of,
    unflipped,
)
from ..system.arrays import AnyArray, Floats, Ints
from ..system.box import Box
from ..system.lengths import Lengths
from ..train.dataset import Structure
from .packed import unpack
from .runs import (
    LENGTHS,
    Loading,
    Run,
    composition_of,
    composition_text,
    condition_of,
    must_be_usual,
    must_fit,
    same_structure,
    seen_by,
)

HDF5 = b"\x89HDF\r\n\x1a\n"


def read(paths: Iterable[str | PathLike[str]], model: SoftnessModel | None = None,
         elements: Sequence[str] = ("Cu", "Zr")) -> list[Run]:
    """Runs of glass files, dumps and tables, in the order given.  Loadings of one glass in several
    files become one run.

    model : the one that is to score them; it tells which glasses it has seen.  elements : symbols of
    types 1, 2, ... in files that do not tell them; those of ``model`` if one is given.

    Raises
    ------
    InputError : none of these files; other elements than the model's; lengths other than ``LENGTHS``;
        a file or a loading twice; two glasses of one name; neither S^q nor a structure to evaluate;
        no D2min, no strain.
    """
    elements = model.elements if model is not None else tuple(elements)
    if model is not None:
        must_be_usual(f"model {model.name}", LENGTHS.differences(model.lengths))
    found: dict[str, Run] = {}
    for path in track([str(p) for p in paths], "reading", "files"):
        for run in each(path, elements):
            if model is not None:
                must_fit(run, model)
                run = replace(run, seen=seen_by(run, model))
            found[run.name] = _joined(found[run.name], run) if run.name in found else run
    return list(found.values())


# One file ----------------------------------------------------------------------------------------

def each(path: str, elements: Sequence[str]) -> list[Run]:
    """The runs of one file: several only of one of ``packed``."""
    try:
        head = first_bytes(path)
    except OSError as e:
        raise InputError(f"{path}: {e.strerror or e}") from None
    if not head.startswith(HDF5):
        return [_of_dump(path, tuple(elements))]
    if is_packed(path):
        return unpack(path)
    return [_of_table(path) if is_table(path) else _of_glass(path)]


def _of_glass(path: str) -> Run:
    glass = read_glass(path)
    must_be_usual(path, LENGTHS.differences(glass.lengths))
    if not glass.loadings:
        raise InputError(f"{path}: this glass has no loadings: mgml dataset make loads it")
    rate = _number(glass.made.get("rate"))
    structure = Structure(glass.name, glass.elements, glass.positions, glass.types,
                          Box.make(glass.box, (True,) * 3), glass.watched)
    loadings = []
    for x in glass.loadings:
        stress = -x.stress if x.sense == "compression" else x.stress
        loadings.append(Loading(x.name, x.strain, x.d2min.astype(np.float32), stress,
                                np.stack([x.strain, stress], axis=1)))
    condition = condition_of(glass.composition, rate, str(glass.made.get("age", "")))
    return Run(glass.name, path, glass.elements, glass.composition, rate, condition, structure,
               tuple(loadings), len(glass))


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def _stem(path: str) -> str:
    """Name of the glass in GLASS.AXIS-SENSE.dump, else the file's."""
    return Path(path).name.split(".")[0]


def _of_dump(path: str, elements: tuple[str, ...]) -> Run:
    first = next(read_frames(path), None)
    if first is None:
        raise InputError(f"{path}: there is no frame in it")
    if "d_d2min" not in first.columns:
        if "d_sq" in first.columns:
            raise InputError(f"{path}: has d_sq but no d_d2min, so nothing tells which atoms "
                             f"slipped: dump d_d2min too")
        return _of_positions(path, elements)
    frames: list[AnyArray] = []
    ids: list[Ints] = []

    def keep(frame: Frame) -> None:
        left_out = np.any(list(left_out_of(frame, False).values()), axis=0)
        frames.append(np.where(left_out, np.nan, frame.columns["d_d2min"]).astype(np.float32))
        ids.append(frame.columns["id"])

    report = compare(path, each=keep, needed=("d_d2min",))
    reference = report.reference
    assert reference is not None             # without one compare() knows no strain
    if any(row.run for row in report.rows):
        raise InputError(f"{path}: has several references (frames whose D2min is 0), so several "
                         f"loadings: give one loading a dump")
    facts = facts_of(report, path, reference)
    strain = np.array([row.strain for row in report.rows])
    d2 = np.stack([_aligned(one, of, reference.columns["id"]) for one, of in zip(frames, ids)])
    keep_rows = _growing(path, strain)
    label = _label(report.component, report.sense, report.sign)
    curve = facts.stress
    stress = None if curve is None else np.interp(strain[keep_rows], *curve.T)
    own = reference.columns["d_sq"]
    return _run_of(path, reference, facts.elements or elements, facts.glass,
                   None if np.isnan(own).all() else own,
                   Loading(label, strain[keep_rows], d2[keep_rows], stress, curve),
                   () if facts.elements else (_granted(elements),))


def _granted(elements: Sequence[str]) -> str:
    return f"types taken as {' '.join(elements)}: the dump has no column element"


def _of_positions(path: str, elements: tuple[str, ...]) -> Run:
    """A dump without columns of this package: D2min against its first frame."""
    frames = track(read_frames(path), "reading", "frames")
    first = next(frames)
    strains, found, before = [], [], first.box.edges
    for frame in frames:
        frame.must_have_atoms_of(first)
        before = unflipped(frame.box.edges, before)
        shape = np.linalg.inv(first.box.edges) @ before - np.eye(3)
        if abs(shape).max() > NO_STRAIN:
            strains.append(shape)
            found.append(d2min(first.positions, first.box.edges, frame.positions, frame.box.edges,
                               first.box.periodic, Lengths.d2_cutoff).d2min.astype(np.float32))
    if not strains:
        raise InputError(f"{path}: no d_d2min, and no frame whose box differs from that of the first "
                         f"one: needs frames of a run that deforms its box")
    loading = _loading(path, np.array(strains), np.array(found))
    told = first.elements
    notes = (f"no d_d2min in it: D2min against its first frame, step {first.step}",
             *(() if told else (_granted(elements),)))
    return _run_of(path, first, told or elements, None, None, loading, notes)


def _run_of(path: str, reference: Frame, elements: tuple[str, ...], glass: str | None,
            own: Floats | None, loading: Loading, notes: tuple[str, ...]) -> Run:
    types = reference.types
    if types.max(initial=0) > len(elements):
        raise InputError(f"{path}: has type {types.max()}, but {len(elements)} elements "
                         f"({' '.join(elements)}): dump a column element (dump_modify ID element "
                         f"...)")
    unique = tuple(dict.fromkeys(elements))
    number = np.array([0, *(unique.index(e) + 1 for e in elements)], dtype=np.int32)
    types = number[types]
    composition = composition_of(unique, types)
    name = glass or _stem(path)
    box = Box(np.zeros(3), reference.box.edges, reference.box.periodic)
    structure = Structure(name, unique, reference.positions, types, box,
                          watched_of(reference.columns))
    return Run(name, path, unique, composition, None, condition_of(composition, None), structure,
               (loading,), len(types), own=own,
               named=glass is not None, notes=notes)


def _of_table(path: str) -> Run:
    frames = []
    for step in track(table_steps(path), "reading", "frames"):
        frame = read_table(path, step)
        del frame["features"]                # the bulk of it, and not needed
        frames.append(frame)
    if not frames:
        raise InputError(f"{path}: there is no frame in it")
    told = frames[0]["attributes"]           # tables of before do not tell these
    units, nearest = told.get("unit_style", LENGTHS.units), told.get("nearest", LENGTHS.nearest)
    if (units, nearest) != (LENGTHS.units, LENGTHS.nearest):
        must_be_usual(path, f"units {LENGTHS.units} and {units}, nearest {LENGTHS.nearest:g} and "
                             f"{nearest:g}")
    for name, remedy in (("d_d2min", "take that of a loaded run (mgml_features_file)"),
                         ("d_sq", "it has no positions to evaluate S^q from; give the dump")):
        if name not in frames[0]:
            raise InputError(f"{path}: this table has no column {name}: {remedy}")
    d2, reference = [], None
    for frame in frames:
        off = (frame["i_site"] & NOT_EVALUATED) != 0
        d2.append(np.where(off, np.nan, frame["d_d2min"]).astype(np.float32))
        known = d2[-1][~np.isnan(d2[-1])]
        if reference is None and len(known) and (known < ZERO_D2).all():
            reference = frame
    if reference is None:
        raise InputError(f"{path}: the strain is unknown, since no frame is the reference (none has "
                         f"d_d2min 0): give the dump")
    if np.isnan(reference["d_sq"]).all():
        raise InputError(f"{path}: no atom has d_sq, and a table has no positions to evaluate it "
                         f"from: give the dump")
    before = undeformed = reference["attributes"]["box"]
    shapes, found = [], []
    for frame, values in zip(frames, d2):
        before = unflipped(frame["attributes"]["box"], before)
        shape = np.linalg.inv(undeformed) @ before - np.eye(3)
        if frame is not reference and abs(shape).max() > NO_STRAIN and not np.isnan(values).all():
            shapes.append(shape)
            found.append(_aligned(values, frame["id"], reference["id"]))
    if not shapes:
        raise InputError(f"{path}: no frame is strained and has d_d2min: needs the table of a run "
                         f"that deforms its box")
    elements = tuple(map(str, reference["attributes"]["elements"]))
    composition = composition_text(elements, reference["attributes"].get("composition", ()))
    return Run(_stem(path), path, elements, composition or "unknown", None,
               condition_of(composition or "unknown", None), None,
               (_loading(path, np.array(shapes), np.array(found)),), len(reference["id"]),
               own=reference["d_sq"].astype(np.float64),
               named=False, notes=("a table has no positions: AUC without interval",))


def _loading(path: str, shapes: Floats, found: AnyArray) -> Loading:
    """Loading of (m, 3, 3) F - 1 of the box and (m, n) D2min."""
    component, sense, sign, _ = strain_of(shapes, None)
    strain = abs(shapes[:, component[0], component[1]])
    keep = _growing(path, strain)
    return Loading(_label(component, sense, sign), strain[keep], found[keep])


def _label(component: tuple[int, int], sense: str, sign: int) -> str:
    """As "z-compression", "xy-shear" or, where the tilt falls, "xy-reversed-shear"."""
    row, column = component
    if sense != "shear":
        return f"{'xyz'[row]}-{sense}"
    return f"{'xyz'[column]}{'xyz'[row]}-{'reversed-' if sign < 0 else ''}{sense}"


def _growing(path: str, strain: Floats) -> Ints:
    """Frames whose strain is new; InputError if it goes back."""
    steps = np.diff(strain)
    if (steps < -NO_STRAIN).any():
        k = int(np.flatnonzero(steps < -NO_STRAIN)[0])
        raise InputError(f"{path}: the strain goes back from {strain[k]:.4f} to {strain[k + 1]:.4f}: "
                         f"give a dump of one loading")
    keep: Ints = np.flatnonzero(np.append(True, steps > NO_STRAIN))
    return keep


def _aligned(values: AnyArray, ids: Ints, of: Ints) -> AnyArray:
    """``values`` of atoms ``ids`` (sorted) at the places of atoms ``of``; NaN for those not there."""
    at = np.minimum(np.searchsorted(ids, of), len(ids) - 1)
    return np.where(ids[at] == of, values[at], np.float32(np.nan))


# Several files -----------------------------------------------------------------------------------

def _joined(one: Run, other: Run) -> Run:
    """Two files of one glass as one run."""
    twice = {x.label for x in one.loadings} & {x.label for x in other.loadings}
    if twice and Path(one.path).resolve() == Path(other.path).resolve():
        raise InputError(f"{other.path}: is given twice, or has repeats of {sorted(twice)[0]}: for "
                         f"these there is mgml repeats")
    if twice:
        raise InputError(f"{other.path}: {other.name} {sorted(twice)[0]} is in {one.path} too: give "
                         f"one of them, or rename the other")
    a, b = one.structure, other.structure
    if a is None or b is None or not same_structure(a, b):
        raise InputError(f"{other.path}: its glass is called {other.name} like that of {one.path}, "
                         f"but is another one: rename it")
    return replace(one, loadings=one.loadings + other.loadings,
                   own=other.own if one.own is None else one.own,
                   notes=tuple(dict.fromkeys(one.notes + other.notes)))


