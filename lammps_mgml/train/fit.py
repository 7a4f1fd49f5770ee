"""From labelled glasses to a model: a learner, both classes equal, isotonic calibration.

Scores for the calibration are out of fold, a fold being whole glasses: atoms of one glass share
their neighbours' features, so that a split within it would leak.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from ..errors import InputError
from ..families.pairs import INPUT as FORCE_CONSTANTS
from ..features import needs
from ..models.calibration import Calibration
from ..pipeline import PARAMETERS
from ..progress import track
from ..system.arrays import AnyArray, Bools, Features, Floats, Ints
from ..system.elements import MASSES
from ..system.lengths import NEAREST, Lengths
from .dataset import Loading, Structure
from .evaluate import auc
from .springs import with_force_constants

if TYPE_CHECKING:
    from ..models.model import Linear

FOLDS = 5
COMMON = {"objective": "binary", "seed": 2019, "deterministic": True, "force_row_wise": True,
          "num_threads": 1, "verbose": -1, "boost_from_average": False}


class Learner(Protocol):
    """What makes a scorer of labelled sites: ``Boosting`` or ``Logistic``."""

    def fit(self, features: Features, labels: Bools) -> Any: ...
    def margins(self, fitted: Any, /, features: Features) -> Floats: ...
    def content(self, fitted: Any, /) -> dict[str, Any]: ...
    def told(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Boosting:
    """Gradient-boosted trees: LightGBM's parameters and number of trees.

    draws : balance the classes by an equal random draw for every tree (the paper's), not by
    weights.
    """

    trees: int
    parameters: dict[str, Any]
    draws: bool = False

    def fit(self, features: Features, labels: Bools) -> Any:
        """LightGBM booster, both classes equal."""
        import lightgbm

        if self.draws:
            share = share_of(labels)
            small = min(share, 1 - share)
            balance = {"pos_bagging_fraction": small / share, "bagging_freq": 1,
                       "neg_bagging_fraction": small / (1 - share)}
            data = lightgbm.Dataset(features, labels.astype(int))
        else:
            balance = {}
            data = lightgbm.Dataset(features, labels.astype(int), weight=balanced(labels))
        return lightgbm.train({**COMMON, **self.parameters, **balance}, data, self.trees)

    def margins(self, booster: Any, features: Features) -> Floats:
        margins: Floats = booster.predict(features, raw_score=True, num_threads=1)
        return margins

    def content(self, booster: Any) -> dict[str, Any]:
        """The part of a model file that makes margins."""
        return {"trees": booster.model_to_string()}

    def told(self) -> dict[str, Any]:
        """What a model's card tells of the learner."""
        return {"learner": f"LightGBM, {self.trees} trees",
                "balance": "an equal draw for every tree" if self.draws else "weights",
                "parameters": {**COMMON, **self.parameters}}


@dataclass(frozen=True)
class Logistic:
    """Logistic regression for each element's own sites, on standardised features.

    C : inverse strength of the L2 penalty, as in scikit-learn.  The first feature must be
    element_type.
    """

    C: float

    def fit(self, features: Features, labels: Bools) -> Linear:
        """``model.Linear``, both classes equal in the sum over all elements."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        from ..models.model import Linear

        kind, weight = features[:, 0], balanced(labels)
        weights, intercept = [], []
        for e in range(int(kind.max()) + 1):
            rows = kind == e
            share_of(labels[rows], f"of element {e + 1}")
            scaler = StandardScaler().fit(features[rows])
            fitted = LogisticRegression(C=self.C, max_iter=1000).fit(
                scaler.transform(features[rows]), labels[rows], weight[rows])
            weights.append(fitted.coef_[0] / scaler.scale_)
            intercept.append(fitted.intercept_[0] - weights[-1] @ scaler.mean_)
        return Linear(np.array(weights), np.array(intercept))

    def margins(self, linear: Linear, features: Features) -> Floats:
        return linear.raw_scores(features)

    def content(self, linear: Linear) -> dict[str, Any]:
        """The part of a model file that makes margins."""
        return {"linear": {"weights": linear.weights.tolist(),
                           "intercept": linear.intercept.tolist()}}

    def told(self) -> dict[str, Any]:
        """What a model's card tells of the learner."""
        return {"learner": "logistic regression for each element", "balance": "weights",
                "parameters": {"C": self.C, "features": "standardised"}}


def table(loadings: Sequence[Loading], strain: float, names: str | Sequence[str],
          dtype: DTypeLike = np.float64) -> tuple[Features, Bools, Ints]:
    """(features, labels, glass number) of all atoms with defined features and labels."""
    glasses = sorted({x.glass for x in loadings})
    parts = []
    for x in track(loadings, "features", "loadings"):
        f = x.features(names, dtype)
        ok = ~(np.isnan(f).any(axis=1) | np.isnan(x.at(strain)))
        parts.append((f[ok], x.plastic(strain)[ok], np.full(ok.sum(), glasses.index(x.glass))))
    features, labels, number = zip(*parts)
    return np.concatenate(features), np.concatenate(labels), np.concatenate(number)


def share_of(labels: Bools, which: str = "") -> float:
    """Share of plastic atoms; InputError if there is only one class.  which : as "of element 2"."""
    share = float(labels.mean()) if len(labels) else 0.0
    if not 0 < share < 1:
        raise InputError(f"the training glasses have no plastic atoms {which}{which and ' '}at this "
                         f"strain, or only such")
    return share


def balanced(labels: Bools) -> Floats:
    """Weights that give both classes half of the sum."""
    share = share_of(labels)
    return np.where(labels, 0.5 / share, 0.5 / (1 - share))


def folds(glass: AnyArray) -> list[tuple[Bools, Bools]]:
    """(training, left out) row masks: whole glasses, in at most FOLDS folds."""
    glasses = np.unique(glass)
    if len(glasses) < 2:
        raise InputError("calibration needs at least two training glasses, each of its own melt")
    number = {g: k % FOLDS for k, g in enumerate(glasses)}
    fold = np.array([number[g] for g in glasses])[np.searchsorted(glasses, glass)]
    return [(fold != k, fold == k) for k in range(min(FOLDS, len(glasses)))]


def out_of_fold(learner: Learner, features: Features, labels: Bools, glass: AnyArray) -> Floats:
    """Margins of each row from what is made of other glasses only."""
    margins = np.empty(len(labels))
    for rest, out in track(folds(glass), "learning", "folds"):
        fitted = learner.fit(features[rest], labels[rest])
        margins[out] = learner.margins(fitted, features[out])
    return margins


def calibrated(margins: Floats, labels: Bools) -> Calibration:
    """Isotonic calibration, both classes equal, of margins by models that saw none of these rows."""
    from sklearn.isotonic import IsotonicRegression

    isotonic = IsotonicRegression(y_min=0.0, y_max=1.0).fit(margins, labels, balanced(labels))
    knots = np.array([isotonic.X_thresholds_, isotonic.y_thresholds_], dtype=np.float64)
    return Calibration(knots[:, np.r_[True, np.diff(knots[0]) > 0]], share_of(labels))


def train(loadings: Sequence[Loading], strain: float, name: str, learner: Learner,
          features: Sequence[str], recipe: dict[str, Any] | None = None) -> dict[str, Any]:
    """Card of a new model (see ``model``), without scores.

    recipe : what else the card shall tell of how it was made.

    Raises
    ------
    InputError : fewer than 2 glasses, or one class only; glasses of different elements or lengths;
        features that take force constants, and no glass with forces.
    """
    elements, masses, lengths = one_system(loadings)
    loadings = with_force_constants(loadings, features)
    x, labels, glass = table(loadings, strain, features)
    margins = out_of_fold(learner, x, labels, glass)
    calibration = calibrated(margins, labels)
    fitted = learner.fit(x, labels)
    return {
        "name": name, "elements": list(elements), "masses": list(masses),
        "units": lengths.units, "features": list(features), "parameters": card_parameters(lengths),
        "normalisation": "means over all pairs of the reference configuration",
        "positions": "inherent structure",
        "label": {"d2min": "sum over neighbours in the reference", "cutoff": lengths.d2_cutoff,
                  "threshold": lengths.d2_threshold, "strain": strain},
        "natural_share": calibration.natural_share,
        "calibration": {"method": "isotonic on out-of-fold margins, classes weighted equally",
                        "margin": calibration.knots[0].tolist(),
                        "probability": calibration.knots[1].tolist()},
        "training": {"loadings": [x.name for x in loadings],
                     "glasses": sorted({x.glass for x in loadings}),
                     "atoms": len(labels), "plastic": int(labels.sum()),
                     "auc_out_of_fold": mean_fold_auc(margins, labels, glass),
                     **learner.told(), **(recipe or {})},
        **({FORCE_CONSTANTS: list(loadings[0].structure.force_constants)}
           if FORCE_CONSTANTS in needs(features, elements) else {}),
        **learner.content(fitted),
    }


def one_system(loadings: Sequence[Loading]) -> tuple[tuple[str, ...], tuple[float, ...], Lengths]:
    """(elements, masses, lengths) of glasses that one model can be of.

    Raises
    ------
    InputError : they differ, an element has no atoms, or its mass is unknown.
    """
    first = loadings[0].structure
    for one in (x.structure for x in loadings):
        if one.elements != first.elements:
            raise InputError(f"{one.glass} is of {' '.join(one.elements)}, {first.glass} of "
                             f"{' '.join(first.elements)}: one model has one list of elements")
        differ = first.lengths.differences(one.lengths)
        if differ:
            raise InputError(f"the lengths of {first.glass} and {one.glass} differ: {differ}; make "
                             f"both in one folder, or with [cutoffs] in the system file")
        if (one.masses or first.masses) and masses_of(one) != masses_of(first):
            raise InputError(f"the masses of {first.glass} and {one.glass} differ: "
                             f"{masses_of(first)} and {masses_of(one)}")
    for k, e in enumerate(first.elements, start=1):
        if not any((x.structure.types == k).any() for x in loadings):
            raise InputError(f"no glass has an atom of {e}: leave it out of the elements")
    return first.elements, masses_of(first), first.lengths


def masses_of(structure: Structure) -> tuple[float, ...]:
    """Masses of the elements: the glass' own, else those of the periodic table."""
    if structure.masses:
        return structure.masses
    strange = [e for e in structure.elements if e not in MASSES]
    if strange or structure.lengths.units == "lj":
        raise InputError(f"{structure.glass}: the mass of {(strange or structure.elements)[0]} is "
                         f"unknown: give a glass file with masses, as mgml dataset packs it")
    return tuple(MASSES[e] for e in structure.elements)


def card_parameters(lengths: Lengths) -> dict[str, float]:
    """Those of a card.  What is Cu-Zr's goes without saying, as in files of before."""
    if lengths.nearest == NEAREST and lengths.units == "metal" and all(
            lengths.parameters[k] == PARAMETERS[k] for k in ("density_first", "density_spacing")):
        return {k: lengths.parameters[k] for k in ("near_cutoff", "open_radius", "small_facet")}
    return lengths.parameters


def mean_fold_auc(margins: Floats, labels: Bools, glass: AnyArray) -> float:
    """Mean over the folds of the AUC of their own out-of-fold margins."""
    return float(np.mean([auc(labels[out], margins[out]) for _, out in folds(glass)]))


def baselines(training: Sequence[Loading], strain: float) -> dict[str, Callable[[Loading], Floats]]:
    """What any model must beat: {name: function of a loading, its atoms' scores}."""
    learner = Boosting(120, {"learning_rate": 0.05, "num_leaves": 4, "min_data_in_leaf": 100})
    names = ("element_type", "cn_voro")
    x, labels, _ = table(training, strain, names)
    booster = learner.fit(x, labels)
    return {"type + CN": lambda one: learner.margins(booster, one.features(names)),
            "facet-area std alone": lambda one: one.features(("facet_area_std",))[:, 0]}
