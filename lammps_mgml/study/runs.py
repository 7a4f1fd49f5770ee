"""Runs as the study takes them: an undeformed structure, what slipped under each load, and how the
glass was made."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, ModelError, OptionError
from ..families.densities import load_tensor
from ..features import needs
from ..models.model import SoftnessModel
from ..system.arrays import AnyArray, Floats, Ints
from ..system.box import Box
from ..system.lengths import Lengths
from ..train.dataset import THRESHOLD, Structure

LENGTHS = Lengths()    # those of all glasses of a study
SAME_SOFTNESS = 0.02   # largest median difference of S^q in a file from that of the model
SAME_PLACE = 1e-3      # A: positions in two files of one glass
NEAR = 0.0025          # strain: a frame that is farther from the strain asked for is of another one


@dataclass(frozen=True, eq=False)
class Loading:
    """A glass loaded once.

    label : "z-compression", "xy-shear", "xy-reversed-shear" ...  strain : (m,) of the box, above
    0 and growing.  d2min : (m, n) A^2 against the undeformed structure, NaN where unknown.  stress :
    (m,) GPa at these strains, positive in the sense of the load, or None.  curve : (k, 2) strain and
    stress (GPa) at all strains where it is known, or None.
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
    def glass(self) -> str:
        """Its name, or that of the folder where the file does not tell the glass."""
        return self.name if self.named else Path(self.path).resolve().parent.name

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


def scored(run: Run, model: SoftnessModel, loading: Loading | None = None) -> Scored:
    """S^q, probability and margin of the undeformed structure; computed once for each model.

    loading : for models that go by the load.  A run's own S^q is taken as it is, and must agree with
    that of the model where this can be evaluated.

    Raises
    ------
    InputError : elements that the model does not know; what its features need is not there; the run's
        own S^q are those of another model.
    """
    load = None
    if loading is not None and "load" in needs(model.features, model.elements):
        try:
            load_tensor(loading.load)
            load = loading.load
        except OptionError:                  # a glass file may call its loadings anything
            pass
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


def composition_of(elements: Sequence[str], types: AnyArray) -> str:
    """Text such as "Cu65Zr35"."""
    return composition_text(elements, np.bincount(types, minlength=len(elements) + 1)[1:]
                        / max(len(types), 1))


def composition_text(elements: Sequence[str], shares: Iterable[float]) -> str:
    """Text such as "Cu65Zr35", of shares that need not be those of whole atoms."""
    return "".join(f"{e}{100 * s:.0f}" for e, s in zip(elements, shares) if s > 0)


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


def must_be_usual(what: str, differences: str) -> None:
    """InputError if a file or a model has lengths that are not ``LENGTHS``."""
    if differences:
        raise InputError(f"{what}: a study goes by the lengths of Cu-Zr, and these are others: "
                         f"{differences}")


def must_fit(run: Run, model: SoftnessModel) -> None:
    """InputError if the run has elements that the model does not know."""
    strangers = [e for e in run.elements if e not in model.elements]
    if strangers:
        raise InputError(f"{run.path}: has {strangers[0]} ({' '.join(run.elements)}), but model "
                         f"{model.name} knows {' '.join(model.elements)}: give --model, one of these "
                         f"elements")


# With a model ------------------------------------------------------------------------------------

def seen_by(run: Run, model: SoftnessModel) -> bool | None:
    """Whether the model's training saw the glass; None where that is not known."""
    training = model.card.get("training")
    if training is None:
        return None
    if run.name in training["glasses"]:
        return True
    return False if run.named else None


def _score(run: Run, model: SoftnessModel, load: str | None) -> Scored:
    must_fit(run, model)
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
    margin = model.margins(structure.features(model.features, load, parameters=model.parameters))
    softness = model.calibration.softness(margin)
    return Scored(softness, model.probability(softness, model.share_of(softness)), margin)


def plastic(loading: Loading, frame: int) -> AnyArray:
    """(n,) whether an atom is plastic at a frame; False where its D2min is not known."""
    out: AnyArray = loading.d2min[frame] > THRESHOLD
    return out
