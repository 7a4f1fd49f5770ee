"""Runs as the study takes them: an undeformed structure, what slipped under each load, and how the
glass was made."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, ModelError
from ..features import needs
from ..io.dump import Frame, first_bytes, read_frames
from ..io.glass import read_glass
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
from ..train.dataset import THRESHOLD, Structure

HDF5 = b"\x89HDF\r\n\x1a\n"
LENGTHS = Lengths()    # those of all glasses of a study
SAME_SOFTNESS = 0.02   # largest median difference of S^q in a file from that of the model
SAME_PLACE = 1e-3      # A: positions in two files of one glass


@dataclass(frozen=True, eq=False)
class Loading:
    """A glass loaded once.

    label : "z-compression", "xy-shear" ...  strain : (m,) of the box, above 0 and growing.
    d2min : (m, n) A^2 against the undeformed structure, NaN where unknown.  stress : (m,) GPa at
    these strains, positive in the sense of the load, or None.  curve : (k, 2) strain and stress
    (GPa) at all strains where it is known, or None.
    """

    label: str
    strain: Floats
    d2min: AnyArray = field(repr=False)
    stress: Floats | None = None
    curve: Floats | None = field(default=None, repr=False)

    @property
    def load(self) -> str:
        """As features take it: "z compression"."""
        return self.label.replace("-", " ")

    def at(self, strain: float) -> int:
        """Number of the frame next to ``strain``."""
        return int(abs(self.strain - strain).argmin())


@dataclass(frozen=True, eq=False)
class Run:
    """One glass and its loadings.

    name : of the glass.  path : the file, the first of several.  composition : "Cu65Zr35".
    rate : K/s of the quench, None where it is not known.  condition : "Cu65Zr35, 5e12 K/s".
    structure : the undeformed one; None for a table, which has no positions.  n : atoms.
    own : (n,) S^q that the run brought along (d_sq), or None.
    seen : whether the model's training saw the glass; None where the model does not tell, or the file
    does not tell which glass it is.  named : whether the file, or its log, tells the glass, so that
    ``name`` is not that of the file.  notes : what was taken for granted.
    """

    name: str
    path: str
    elements: tuple[str, ...]
    composition: str
    rate: float | None
    condition: str
    structure: Structure | None
    loadings: tuple[Loading, ...]
    n: int
    seen: bool | None = None
    own: Floats | None = field(default=None, repr=False)
    named: bool = True
    notes: tuple[str, ...] = ()
    _known: dict[Any, Scored] = field(default_factory=dict, init=False, repr=False)

    @property
    def blocks(self) -> Ints | None:
        """(n,) number of the cube of 15 A of each atom, for error bars; None without positions."""
        return None if self.structure is None else self.structure.blocks()


@dataclass(frozen=True, eq=False)
class Scored:
    """What a model says of an undeformed structure, (n,) each, NaN where undefined.

    softness : S^q.  probability : at the natural share of plastic atoms.  margin : what is ranked;
    S^q itself where a run brought its own.
    """

    softness: Floats
    probability: Floats
    margin: Floats

    @property
    def defined(self) -> AnyArray:
        return ~np.isnan(self.softness)


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
        _must_be_usual(f"model {model.name}", LENGTHS.differences(model.lengths))
    found: dict[str, Run] = {}
    for path in track([str(p) for p in paths], "reading", "files"):
        run = _read(path, elements)
        if model is not None:
            _must_fit(run, model)
            run = replace(run, seen=seen_by(run, model))
        found[run.name] = _joined(found[run.name], run) if run.name in found else run
    return list(found.values())


def scored(run: Run, model: SoftnessModel, loading: Loading | None = None) -> Scored:
    """S^q, probability and margin of the undeformed structure; computed once for each model.

    loading : for models that go by the load.  A run's own S^q is taken as it is, and must agree with
    that of the model where this can be evaluated.

    Raises
    ------
    InputError : elements that the model does not know; what its features need is not there; the run's
        own S^q are those of another model.
    """
    load = loading.load if loading is not None and loading.label.count("-") == 1 else None
    if "load" not in needs(model.features, model.elements):
        load = None
    key = model.checksum, load
    if key not in run._known:
        run._known[key] = _score(run, model, load)
    return run._known[key]


def component_of(label: str) -> tuple[int, int]:
    """(row, column) of the deformation of the box that a loading's label names, such as
    "z-compression" or "xy-shear"; z for one that names none."""
    word = label.partition("-")[0]
    if not word or set(word) - set("xyz"):   # a glass file may call its loadings anything
        word = "z"
    return "xyz".index(word[-1]), "xyz".index(word[0])


def condition_of(composition: str, rate: float | None, age: str | None = None) -> str:
    """Text such as "Cu65Zr35, 5e12 K/s, aged 100 ps"."""
    speed = "rate unknown" if rate is None else f"{rate:.3g} K/s".replace("e+", "e")
    return f"{composition}, {speed}" + (f", aged {age} ps" if age else "")


# One file ----------------------------------------------------------------------------------------

def _read(path: str, elements: tuple[str, ...]) -> Run:
    try:
        head = first_bytes(path)
    except OSError as e:
        raise InputError(f"{path}: {e.strerror or e}") from None
    if not head.startswith(HDF5):
        return _of_dump(path, elements)
    return _of_table(path) if is_table(path) else _of_glass(path)


def _of_glass(path: str) -> Run:
    glass = read_glass(path)
    _must_be_usual(path, LENGTHS.differences(glass.lengths))
    if not glass.loadings:
        raise InputError(f"{path}: this glass has no loadings: mgml dataset make loads it")
    rate = _number(glass.made.get("rate"))
    structure = Structure(glass.name, glass.elements, glass.positions, glass.types,
                          Box.make(glass.box, (True,) * 3), glass.msd)
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
    label = f"{report.name if report.sense == 'shear' else report.name[0]}-{report.sense}"
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
                          reference.columns.get("d_msd"))
    return Run(name, path, unique, composition, None, condition_of(composition, None), structure,
               (loading,), len(types), own=own,
               named=glass is not None, notes=notes)


def composition_of(elements: Sequence[str], types: AnyArray) -> str:
    """Text such as "Cu65Zr35"."""
    return _composition(elements, np.bincount(types, minlength=len(elements) + 1)[1:]
                        / max(len(types), 1))


def _composition(elements: Sequence[str], shares: Iterable[float]) -> str:
    return "".join(f"{e}{100 * s:.0f}" for e, s in zip(elements, shares) if s > 0)


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
        _must_be_usual(path, f"units {LENGTHS.units} and {units}, nearest {LENGTHS.nearest:g} and "
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
    composition = _composition(elements, reference["attributes"].get("composition", ()))
    return Run(_stem(path), path, elements, composition or "unknown", None,
               condition_of(composition or "unknown", None), None,
               (_loading(path, np.array(shapes), np.array(found)),), len(reference["id"]),
               own=reference["d_sq"].astype(np.float64),
               named=False, notes=("a table has no positions: AUC without interval",))


def _loading(path: str, shapes: Floats, found: AnyArray) -> Loading:
    """Loading of (m, 3, 3) F - 1 of the box and (m, n) D2min."""
    component, sense, _, _ = strain_of(shapes, None)
    strain = abs(shapes[:, component[0], component[1]])
    keep = _growing(path, strain)
    row, column = component
    name = f"{'xyz'[column]}{'xyz'[row]}" if sense == "shear" else "xyz"[row]
    return Loading(f"{name}-{sense}", strain[keep], found[keep])


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
    if Path(one.path).resolve() == Path(other.path).resolve():
        raise InputError(f"{other.path}: is given twice")
    twice = {x.label for x in one.loadings} & {x.label for x in other.loadings}
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


def same_structure(a: Structure, b: Structure) -> bool:
    """Whether these are the same atoms at the same places, nearly."""
    return (a.elements == b.elements and np.array_equal(a.types, b.types)
            and np.allclose(a.box.edges, b.box.edges, atol=SAME_PLACE)
            and _near(a.box, a.positions - b.positions))


def _near(box: Box, away: Floats) -> bool:
    """Whether vectors (n, 3) are those of the lattice of a box, nearly."""
    fractional = away @ box.inverse
    fractional -= np.where(box.periodic, np.round(fractional), 0.0)
    return bool((abs(fractional) * box.heights < SAME_PLACE).all())


# With a model ------------------------------------------------------------------------------------

def _must_be_usual(what: str, differences: str) -> None:
    """InputError if a file or a model has lengths that are not ``LENGTHS``."""
    if differences:
        raise InputError(f"{what}: a study goes by the lengths of Cu-Zr, and these are others: "
                         f"{differences}")


def _must_fit(run: Run, model: SoftnessModel) -> None:
    strangers = [e for e in run.elements if e not in model.elements]
    if strangers:
        raise InputError(f"{run.path}: has {strangers[0]} ({' '.join(run.elements)}), but model "
                         f"{model.name} knows {' '.join(model.elements)}: give --model, one of these "
                         f"elements")


def seen_by(run: Run, model: SoftnessModel) -> bool | None:
    """Whether the model's training saw the glass; None where that is not known."""
    training = model.card.get("training")
    if training is None:
        return None
    if run.name in training["glasses"]:
        return True
    return False if run.named else None


def _score(run: Run, model: SoftnessModel, load: str | None) -> Scored:
    _must_fit(run, model)
    try:
        computed = None if run.structure is None else _computed(run.structure, model, load)
    except InputError:
        if run.own is None:
            raise
        computed = None
    if run.own is None:
        if computed is None:
            raise InputError(f"{run.path}: neither S^q nor positions to evaluate it from")
        return computed
    if computed is not None:
        far = float(np.nanmedian(abs(computed.softness - run.own)))
        if far > SAME_SOFTNESS:
            raise ModelError(f"{run.path}: its d_sq are not those of model {model.name} (median "
                             f"difference {far:.2f}): give --model, the one of this run")
    return Scored(run.own, model.probability(run.own, model.share_of(run.own)), run.own)


def _computed(structure: Structure, model: SoftnessModel, load: str | None) -> Scored:
    if structure.elements != model.elements:
        number = np.array([0, *(model.elements.index(e) + 1 for e in structure.elements)], np.int32)
        structure = replace(structure, elements=model.elements, types=number[structure.types])
    margin = model.margins(structure.features(model.features, load))
    softness = model.calibration.softness(margin)
    return Scored(softness, model.probability(softness, model.share_of(softness)), margin)


def plastic(loading: Loading, frame: int) -> AnyArray:
    """(n,) whether an atom is plastic at a frame; False where its D2min is not known."""
    out: AnyArray = loading.d2min[frame] > THRESHOLD
    return out
