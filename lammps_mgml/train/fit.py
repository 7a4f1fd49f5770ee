"""The paper's learner on the 13 features: boosted trees, balanced, with isotonic calibration.

Scores for the calibration are out of fold, a fold being a glass: atoms of one glass share their
neighbours' features, so that a split within it would leak.
"""
import numpy as np

from ..catalogue import TABLE3
from ..errors import InputError
from ..nonaffine import CUTOFF
from ..pipeline import PARAMETERS
from .dataset import THRESHOLD
from .evaluate import auc

MASSES = {"Cu": 63.546, "Zr": 91.224}
TREES = 120
BOOSTER = {"objective": "binary", "learning_rate": 0.05, "num_leaves": 4, "max_depth": 2,
           "min_data_in_leaf": 100, "feature_fraction": 0.5, "bagging_fraction": 0.7,
           "bagging_freq": 1, "lambda_l2": 1.0, "seed": 2019, "deterministic": True,
           "force_row_wise": True, "num_threads": 1, "verbose": -1}


def rows(loadings, strain, matrix=lambda x: x.features):
    """(features, labels, glass number) of all atoms with defined features and labels."""
    glasses = sorted({x.glass for x in loadings})
    parts = []
    for x in loadings:
        f = matrix(x)
        ok = ~(np.isnan(f).any(axis=1) | np.isnan(x.at(strain)))
        parts.append((f[ok], x.plastic(strain)[ok], np.full(ok.sum(), glasses.index(x.glass))))
    return tuple(np.concatenate(a) for a in zip(*parts))


def balanced(labels):
    """Weights that give both classes half of the sum; InputError if there is only one."""
    share = labels.mean()
    if not 0 < share < 1:
        raise InputError("the training glasses have no plastic atoms at this strain, or only such")
    return np.where(labels, 0.5 / share, 0.5 / (1 - share))


def fit_booster(features, labels, params=BOOSTER, trees=TREES):
    """LightGBM booster with the two classes weighted equally."""
    import lightgbm

    data = lightgbm.Dataset(features, labels.astype(int), weight=balanced(labels))
    return lightgbm.train(params, data, trees)


def out_of_fold(features, labels, glass):
    """Margins of each glass from trees that the other glasses made."""
    margins = np.empty(len(labels))
    for g in np.unique(glass):
        out = glass == g
        margins[out] = fit_booster(features[~out], labels[~out]).predict(
            features[out], raw_score=True, num_threads=1)
    return margins


def train(loadings, strain, name, elements=("Cu", "Zr")):
    """Card of a new model (see ``model``), without scores; InputError with fewer than 2 glasses."""
    from sklearn.isotonic import IsotonicRegression

    features, labels, glass = rows(loadings, strain)
    if len(np.unique(glass)) < 2:
        raise InputError("calibration needs at least two training glasses, each of its own melt")
    margins = out_of_fold(features, labels, glass)
    isotonic = IsotonicRegression(y_min=0.0, y_max=1.0).fit(margins, labels, balanced(labels))
    booster = fit_booster(features, labels)
    knots = np.array([isotonic.X_thresholds_, isotonic.y_thresholds_], dtype=np.float64)
    keep = np.r_[True, np.diff(knots[0]) > 0]
    return {
        "name": name, "elements": list(elements), "masses": [MASSES[e] for e in elements],
        "units": "metal", "features": list(TABLE3), "parameters": PARAMETERS,
        "normalisation": "means over all pairs of the reference configuration",
        "positions": "inherent structure",
        "label": {"d2min": "sum over neighbours in the reference", "cutoff": CUTOFF,
                  "threshold": THRESHOLD, "strain": strain},
        "natural_share": float(labels.mean()),
        "calibration": {"method": "isotonic on out-of-fold margins, classes weighted equally",
                        "margin": knots[0][keep].tolist(),
                        "probability": knots[1][keep].tolist()},
        "training": {"loadings": [x.name for x in loadings],
                     "glasses": sorted({x.glass for x in loadings}),
                     "atoms": len(labels), "plastic": int(labels.sum()),
                     "auc_out_of_fold": auc(labels, margins),
                     "learner": f"LightGBM, {TREES} trees", "parameters": BOOSTER},
        "trees": booster.model_to_string(),
    }


def baselines(training, unseen, strain):
    """AUC margins of what any model must beat: {name: scores on ``unseen``}."""
    def type_and_cn(x):
        return np.stack([x.types, x.coordination], axis=1).astype(np.float64)
    features, labels, _ = rows(training, strain, type_and_cn)
    booster = fit_booster(features, labels)
    return {"type + CN": booster.predict(type_and_cn(unseen), raw_score=True, num_threads=1),
            "facet-area std alone": unseen.features[:, TABLE3.index("facet_area_std")]}
