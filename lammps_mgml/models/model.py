"""Softness models: one readable file of data, checked before use."""
from __future__ import annotations

import hashlib
import json
import math
import os
import re
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ..errors import InputError, ModelError
from ..families.pairs import INPUT as FORCE_CONSTANTS
from ..families.pairs import n_constants
from ..features import DEFINITION, by_name, needs
from ..pipeline import PARAMETERS
from ..system.arrays import Features, Floats
from ..system.lengths import NEAREST, STYLES, Lengths, scale_of
from . import forest, linear  # noqa: F401  a kind of model is registered by its import
from .calibration import Calibration
from .checks import (
    MAX_BYTES,
    MAX_CONTAINERS,
    MAX_VALUES,
    a_number,
    a_text,
    an_object,
    entry,
    fits,
    numbers,
    shown,
    texts,
    whole_card,
)
from .contributions import Contributions
from .forest import Forest
from .linear import Linear
from .scorers import KINDS, Explained, Scorer

__all__ = ["FORMAT", "MAX_BYTES", "SCHEMA", "SHIPPED", "Forest", "Linear", "SoftnessModel",
           "checksum_of", "from_card", "load_model", "save_model", "shipped_models",
           "with_envelope"]

FORMAT, SCHEMA = "mgml-model", 2
SHIPPED = Path(__file__).parent
MAX_ELEMENTS = 10
# A symbol is part of the names of features, whose parts "_" divides.
SYMBOL = re.compile(r"[A-Za-z][A-Za-z0-9]{0,7}")
# name: least, greatest, unit.  Atoms of metals are 2 to 4 A apart: below, none has a neighbour or all
# cells are open; far above, an evaluation would take minutes and gigabytes.  Lengths are for Cu-Zr;
# where the glass has another nearest distance, they are scaled by it.
RANGES = {"near_cutoff": (2.0, 8.0, "A"), "open_radius": (2.0, 8.0, "A"),
          "small_facet": (0.0, 0.5, "of a cell's mean facet area")}
# What the file of a model with Cu-Zr's lengths may leave out.
MORE_RANGES = {"density_first": (0.5, 4.0, "A"), "density_spacing": (0.05, 0.8, "A")}
CUTOFFS, THRESHOLDS = (2.0, 8.0, "A"), (1e-3, 1e3, "A^2")
NEAREST_RANGES = {"metal": (1.0, 6.0, "A"), "lj": (0.1, 10.0, "sigma")}
MASSES = (0.1, 1000.0)                 # g/mol
# What else a card may tell, for the commands that print it.
OPTIONAL: dict[str, Any] = {
    "units": str, "normalisation": str,
    "label": {"d2min": str, "cutoff": float, "threshold": float, "strain": float},
    "training": {"loadings": [str], "glasses": [str], "atoms": float, "plastic": float,
                 "auc_out_of_fold": float, "learner": str, "balance": str, "recipe": str},
    "scores": {"strain": float, "probabilities_at": float, "without_plastic": [str],
               "all": {"against": {}, str: float},
               "loadings": {str: {
                   "auc_interval95": [float], "calibration": [{str: float}],
                   "auc_by_type": {str: float}, "auc_by_strain": {str: float},
                   "baselines": {str: [float]}, str: float}}},
}
# If it tells of these, then whole.
WHOLE = {"label": ("d2min", "cutoff", "threshold", "strain"),
         "training": ("loadings", "glasses", "atoms", "auc_out_of_fold", "learner")}


@dataclass(frozen=True)
class SoftnessModel:
    """A trained model and all that one must know to use it.

    elements : symbols of types 1, 2, ...  features : names, in the order of the columns that the
    methods get.  parameters : as ``pipeline.PARAMETERS``, and the force constants of pairs if a
    feature takes them.  lengths : Lengths of its glasses, with the
    units that they are in.  scorer : makes the
    margins (see ``scorers``).  card : the file, without what a scorer leaves out of it.
    """

    name: str
    elements: tuple[str, ...]
    features: tuple[str, ...]
    parameters: dict[str, Any]
    calibration: Calibration
    scorer: Scorer
    checksum: str
    card: dict[str, Any] = field(repr=False)
    lengths: Lengths = field(default_factory=Lengths)

    @property
    def knots(self) -> Floats:
        """(2, n): margins and the probabilities (balanced prior) at them, linear in between."""
        return self.calibration.knots

    @property
    def natural_share(self) -> float:
        """Share of plastic atoms among all."""
        return self.calibration.natural_share

    def margins(self, features: Features) -> Floats:
        """(n,) scores before calibration of ``features`` (n, n_features); NaN where one is NaN.

        Raises
        ------
        InputError : another number of features.
        ModelError : an element_type that is none of the model's elements.
        """
        features = np.asarray(features)
        if features.ndim != 2 or features.shape[1] != len(self.features):
            raise InputError(f"model {self.name} takes features of shape (n, {len(self.features)}), "
                             f"not {features.shape}")
        defined = ~np.isnan(features).any(axis=1)
        if defined.all():
            return self.scorer.raw_scores(features)
        out = np.full(len(features), np.nan)
        out[defined] = self.scorer.raw_scores(features[defined])
        return out

    def softness(self, features: Features) -> Floats:
        """(n,) S^q in [0, 1], balanced prior; NaN where a feature is NaN.  Errors as ``margins``."""
        return self.calibration.softness(self.margins(features))

    def contributions(self, features: Features,
                      background: Features | None = None) -> Contributions:
        """What each feature adds to the margins of ``features`` (n, n_features).

        background : (m, n_features), the sites that these are compared with (None: themselves).
        Linear models go by their means; trees by the rows that they were trained on.

        Raises
        ------
        InputError : another number of features; an element without a site in the background.
        ModelError : this kind of model, or this file, does not tell.
        """
        if not isinstance(self.scorer, Explained):
            raise ModelError(f"model {self.name}: {type(self.scorer).__name__} does not tell what "
                             f"each feature adds to a margin")
        margins = self.margins(features)
        features = np.asarray(features)
        among = features if background is None else np.asarray(background)
        if among.ndim != 2 or among.shape[1] != len(self.features):
            raise InputError(f"model {self.name} takes a background of shape (m, "
                             f"{len(self.features)}), not {among.shape}")
        values = np.full(features.shape, np.nan)
        defined, compared = ~np.isnan(margins), ~np.isnan(among).any(axis=1)
        try:
            values[defined], base = self.scorer.contributions(features[defined], among[compared])
        except ModelError as e:
            raise ModelError(f"model {self.name}: {e}") from None
        return Contributions(self.features, self.elements, values, base)

    def share_of(self, softness: Floats) -> float:
        """Share of plastic atoms that a whole glass will have, from the S^q (n,) of all its atoms.

        That of the training glasses, if the model does not tell more (``models.calibration``).
        """
        return self.calibration.share_of(*self.calibration.count_soft(np.asarray(softness)))

    def probability(self, softness: Floats, share: float | None = None) -> Floats:
        """S^q moved from equal classes to a share of plastic atoms (Dal Pozzolo 2015).

        share : of the glass, as ``share_of`` gives it; None: that of the training glasses.
        """
        return self.calibration.probability(softness, share)

    def entry(self, key: str) -> Any:
        """Entry ``key`` of the card; ModelError if its maker left it out."""
        if key not in self.card:
            raise ModelError(f"model {self.name}: its file has no {key}, which this command needs; "
                             f"mgml train writes it")
        return self.card[key]


def checksum_of(card: dict[str, Any]) -> str:
    """"sha256:..." of a card's content, whatever the white space and order of its file."""
    payload = {k: v for k, v in card.items() if k != "checksum"}
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def with_envelope(card: dict[str, Any]) -> dict[str, Any]:
    """``card`` with format, versions and checksum.

    Numbers of "training" and "scores" that are not finite (such as the AUC of one class) could not
    be computed: they become None, null in the file.
    """
    card = {k: _finite(v) if k in ("training", "scores") else v for k, v in card.items()}
    card |= {"format": FORMAT, "schema": SCHEMA, "feature_definition": DEFINITION}
    return {**card, "checksum": checksum_of(card)}


def save_model(path: str | os.PathLike[str], card: dict[str, Any]) -> None:
    """Write ``card`` (with the entry of one scorer) and its checksum, whole or not at all.

    Raises
    ------
    ModelError : it could not be read again, or the file cannot be written.
    """
    card = with_envelope(card)
    from_card(card, str(path))
    text, part = json.dumps(card, indent=1), Path(f"{path}.part")
    _check_size(text.encode(), str(path))
    try:
        part.write_text(text)
        os.replace(part, path)
    except OSError as e:
        part.unlink(missing_ok=True)
        raise ModelError(f"{path}: cannot be written: {e.strerror or e}") from None


def _finite(value: Any) -> Any:
    """``value`` with None for numbers that are not finite."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def shipped_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(p.stem for p in SHIPPED.glob("*.mgml"))


def load_model(name: str | os.PathLike[str]) -> SoftnessModel:
    """Load a shipped model by name, or a model file by path.

    Raises
    ------
    ModelError : no such model, not a model file, damaged, or of another feature definition; or an
    entry of the file is missing or out of its range.  The message names file and entry.
    """
    name = str(name)
    path = SHIPPED / f"{name}.mgml" if name in shipped_models() else Path(name)
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            raise ModelError(f"{path} is no regular file: not a model file")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except ModelError:
        raise
    except OSError as e:
        raise ModelError(f"model {name!r}: {e.strerror or e}; shipped models: "
                         f"{', '.join(shipped_models()) or 'none'}, or give a file's path") from None
    except ValueError:                              # a name with a null character
        raise ModelError(f"{name!r} is no file's name: not a model file") from None
    _check_size(raw, str(path))
    try:
        card = json.loads(raw, object_pairs_hook=_without_doubles)
    except ModelError as e:
        raise ModelError(f"{path}: {e}") from None
    except (ValueError, RecursionError):
        raise ModelError(f"{path} is not a model file (JSON is expected)") from None
    return from_card(card, str(path))


def _check_size(raw: bytes, where: str) -> None:
    """ModelError if these bytes are more than reading may take."""
    if len(raw) > MAX_BYTES:
        raise ModelError(f"{where} is larger than {MAX_BYTES >> 20} MiB: not a model file")
    if raw.count(b"{") + raw.count(b"[") > MAX_CONTAINERS or raw.count(b",") > MAX_VALUES:
        raise ModelError(f"{where} has more than {MAX_CONTAINERS} objects and lists or {MAX_VALUES} "
                         f"values: not a model file")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        seen: set[str] = set()
        # add returns None: the first key that is there already
        double = next(k for k, _ in pairs
                      if k in seen or seen.add(k))  # type: ignore[func-returns-value]
        raise ModelError(f"the key {shown(double)} comes twice: the file is damaged or was edited")
    return out


def from_card(card: Any, where: str) -> SoftnessModel:
    """SoftnessModel from the content of a model file.

    where : the file's name, for messages.

    Raises
    ------
    ModelError : ``where`` and what is wrong, whatever the content is.
    """
    try:
        return _model(card)
    except ModelError as e:
        raise ModelError(f"{where}: {e}") from None


def _wrong(what: str) -> NoReturn:
    raise ModelError(what)


def _model(card: Any) -> SoftnessModel:
    """``from_card``, without the file's name in the messages."""
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        _wrong(f"not a model file ({FORMAT} is expected)")
    not_finite = whole_card(card)
    if _no_number(card, "schema", SCHEMA):
        _wrong(f"schema {shown(card.get('schema'))}; this version reads {SCHEMA}: install the "
               f"version that wrote it")
    if card.get("checksum") != checksum_of(card):
        _wrong("checksum does not match: the file is damaged or was edited; fetch it again")
    if _no_number(card, "feature_definition", DEFINITION):
        _wrong(f"trained on feature definition {shown(card.get('feature_definition'))}, this "
               f"version computes {DEFINITION}: train it again")
    name = a_text(entry(card, "name"), "name")
    elements = _elements(entry(card, "elements"))
    _masses(entry(card, "masses"), len(elements))
    features = _features(entry(card, "features"), elements)
    units = _units(card.get("units", "metal"))
    parameters = _parameters(entry(card, "parameters"), units)
    constants = _force_constants(card, features, elements)
    if constants:
        parameters[FORCE_CONSTANTS] = constants
    a_text(entry(card, "positions"), "positions")
    for key, form in OPTIONAL.items():
        if key in card:
            fits(card[key], form, key)
            for part in WHOLE.get(key, ()):
                entry(card[key], part, f"{key}.")
    lengths = _lengths(card, units, parameters)
    calibration = Calibration.from_card(entry(card, "calibration"), entry(card, "natural_share"),
                                        card.get("share_by_soft_atoms"))
    scorer = _scorer(card, features, len(elements))
    if not_finite:
        _wrong(f"{not_finite} is not finite")
    return SoftnessModel(
        name, elements, features, parameters, calibration, scorer, card["checksum"],
        {k: v for k, v in card.items() if k not in KINDS or KINDS[k].in_card}, lengths)


def _no_number(card: dict[str, Any], key: str, expected: int) -> bool:
    # True and 1.0 are equal to 1
    return type(card.get(key)) is not int or card[key] != expected


def _elements(value: Any) -> tuple[str, ...]:
    elements = texts(value, "elements", MAX_ELEMENTS)
    for symbol in elements:
        if not SYMBOL.fullmatch(symbol):
            _wrong(f"elements must be symbols of a letter and up to 7 letters or digits more, not "
                   f"{shown(symbol)}")
    if not elements or len({e.lower() for e in elements}) != len(elements):
        _wrong(f"elements must be 1 to {MAX_ELEMENTS} different symbols")
    return elements


def _masses(value: Any, n_elements: int) -> None:
    masses = numbers(value, "masses", MAX_ELEMENTS, *MASSES)
    if len(masses) != n_elements:
        _wrong(f"{len(masses)} masses do not fit {n_elements} elements")


def _features(value: Any, elements: tuple[str, ...]) -> tuple[str, ...]:
    known = by_name(elements)
    features = texts(value, "features", len(known))
    unknown = [name for name in features if name not in known]
    if unknown:
        _wrong(f"it asks for features that this version does not compute: {shown(unknown[0])}")
    if not features or len(set(features)) != len(features):
        _wrong("features must be one or more different names")
    return features


def _units(value: Any) -> str:
    if value not in ("metal", "lj"):
        _wrong(f"units must be metal or lj, not {shown(value)}")
    return str(value)


def _parameters(value: Any, units: str) -> dict[str, Any]:
    an_object(value, "parameters")
    unknown = [key for key in value if key not in PARAMETERS]
    if unknown:
        _wrong(f"parameters has {shown(unknown[0])}, which this version does not know: there are "
               f"{', '.join(PARAMETERS)}")
    if "nearest" in value or units != "metal":
        nearest = a_number(entry(value, "nearest", "parameters."), "parameters.nearest",
                           *NEAREST_RANGES[units])
    else:
        nearest = NEAREST
    out = {**PARAMETERS, "nearest": nearest}
    for key, allowed in (RANGES | MORE_RANGES).items():
        if key in RANGES or key in value or nearest != NEAREST:
            out[key] = a_number(entry(value, key, "parameters."), f"parameters.{key}",
                                *_scaled(allowed, nearest, units))
    return out


def _force_constants(card: dict[str, Any], features: tuple[str, ...],
                     elements: tuple[str, ...]) -> tuple[float, ...]:
    """Of the pairs, () if no feature takes them."""
    if FORCE_CONSTANTS not in needs(features, elements):
        if FORCE_CONSTANTS in card:
            _wrong(f"{FORCE_CONSTANTS} is there, but no feature takes it")
        return ()
    n = n_constants(len(elements))
    values = numbers(entry(card, FORCE_CONSTANTS), FORCE_CONSTANTS, n)
    if len(values) != n:
        _wrong(f"{FORCE_CONSTANTS} has {len(values)} numbers: {len(elements)} elements take {n}")
    return tuple(values.tolist())


def _scaled(allowed: tuple[float, float, str], nearest: float,
            units: str) -> tuple[float, float, str]:
    """A range for Cu-Zr as it is for a glass of this ``nearest``."""
    least, most, unit = allowed
    power = {"A": 1, "A^2": 2}.get(unit, 0)
    if not power or nearest == NEAREST and units == "metal":
        return allowed
    scale = scale_of(nearest) ** power
    # a whole digit or two, and never a narrower range
    return (float(f"{0.99 * least * scale:.2g}"), float(f"{1.01 * most * scale:.2g}"),
            unit.replace("A", STYLES[units].name))


def _lengths(card: dict[str, Any], units: str, parameters: dict[str, Any]) -> Lengths:
    """Lengths of a card whose parts have been read; a card without a label tells no D2min."""
    usual = Lengths.scaled(parameters["nearest"], units)
    label = card.get("label", {})
    found: dict[str, Any] = {k: v for k, v in parameters.items()
                             if k not in ("small_facet", FORCE_CONSTANTS)}
    for key, name, allowed in (("cutoff", "d2_cutoff", CUTOFFS),
                               ("threshold", "d2_threshold", THRESHOLDS)):
        found[name] = getattr(usual, name) if key not in label else a_number(
            label[key], f"label.{key}", *_scaled(allowed, parameters["nearest"], units))
    return replace(usual, **found)


def _scorer(card: dict[str, Any], features: tuple[str, ...], n_elements: int) -> Scorer:
    there = [key for key in KINDS if card.get(key) is not None]
    if not there:
        _wrong(f"it has none of {', '.join(KINDS)}: nothing makes scores")
    if len(there) > 1:
        _wrong(f"it has both {there[0]} and {there[1]}: one is expected")
    return KINDS[there[0]].from_card(card[there[0]], features, n_elements)
