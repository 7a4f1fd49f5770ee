"""mgml score"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ..models.model import SoftnessModel
    from ..train.dataset import Loading

SAME_LABEL = 0.01      # relative: a cutoff or threshold of D2min that is nearer labels the same atoms


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a shipped model's name or a model file")
    parser.add_argument("loadings", nargs="+",
                        help="glass files (.h5) or dumps of inputs/in.aqs, of unseen glasses")
    parser.add_argument("--strain", type=float, default=0.04)
    parser.add_argument("--against", help="another model, compared on the same resampled blocks")
    parser.add_argument("--json", action="store_true", help="print JSON")


def check_unseen(card: dict[str, Any], loadings: Sequence[Loading]) -> None:
    """ModelError if the model was trained on one of these glasses, or does not tell on which."""
    from ..errors import ModelError

    if "training" not in card:
        raise ModelError(f"model {card['name']} does not tell the glasses that it was trained on: a "
                         f"score says nothing if these are among them")
    seen = sorted({x.glass for x in loadings} & set(card["training"]["glasses"]))
    if seen:
        raise ModelError(f"model {card['name']} was trained on {', '.join(seen)}: "
                         f"a score there says nothing; take another glass")


def check_system(model: SoftnessModel, loadings: Sequence[Loading]) -> None:
    """ModelError if the glasses are of other elements than the model, in other units, or labelled by
    another D2min."""
    from ..errors import ModelError

    for x in loadings:
        if x.structure.elements != model.elements:
            raise ModelError(f"model {model.name} is of {' '.join(model.elements)}, {x.glass} of "
                             f"{' '.join(x.structure.elements)}")
        ours, theirs = model.lengths, x.lengths
        differ = ["units"] if ours.units != theirs.units else []
        # of another campaign's glasses they are measured anew, and differ by some 0.1 %
        differ += [what for what in ("d2_cutoff", "d2_threshold") if abs(
            getattr(ours, what) - getattr(theirs, what)) > SAME_LABEL * getattr(ours, what)]
        if differ:
            raise ModelError(f"{differ[0]} of model {model.name} is {getattr(ours, differ[0])}, of "
                             f"{x.glass} {getattr(theirs, differ[0])}: its plastic atoms are not "
                             f"those that the model was trained for")


def score(model: SoftnessModel, loading: Loading, strain: float, known: Any = None) -> dict[str, Any]:
    """Scores of ``model`` and of the baselines ``known``."""
    import numpy as np

    from ..train.evaluate import REACH, auc, auc_with_error, event_ranks, summary

    features = loading.features(model.features, parameters=model.parameters)
    softness = model.softness(features)
    ok = ~np.isnan(softness)
    labels, softness, blocks = loading.plastic(strain)[ok], softness[ok], loading.blocks[ok]
    margin = model.margins(features[ok])
    out = summary(labels, softness, model.probability(softness, model.share_of(softness)),
                  margin, blocks)
    out["auc_by_type"] = {e: auc(labels[one], margin[one])
                          for k, e in enumerate(model.elements, start=1)
                          for one in [loading.types[ok] == k]}
    out["auc_by_strain"] = {f"{s:g}": auc(d[ok] > loading.lengths.d2_threshold, margin)
                            for s, d in loading.d2min.items()}
    # at small strains a loading may have no plastic atom yet, and so no AUC
    for part in ("auc_by_type", "auc_by_strain"):
        out[part] = {key: value for key, value in out[part].items() if not np.isnan(value)}
    ranks = event_ranks(labels, loading.at(strain)[ok], margin, loading.structure.positions[ok],
                        loading.structure.box, REACH * loading.lengths.scale)
    out["events"], out["rank_score"] = len(ranks), float(1.0 - 2.0 * np.mean(ranks))
    if known:
        out["baselines"] = {name: auc_with_error(labels, scores(loading)[ok], blocks)[:2]
                            for name, scores in known.items()}
    return out


def score_all(model: SoftnessModel, loadings: Sequence[Loading], strain: float,
              training: Sequence[Loading] = (), other: SoftnessModel | None = None) -> dict[str, Any]:
    """{"loadings": {name: scores}, "all": what they say together}.

    training : the model's loadings, if they are at hand: then the baselines are scored too.
    Loadings without a plastic atom at ``strain`` cannot be ranked: they are left out and named in
    "without_plastic".  "probabilities_at" is the strain that the model was trained for, if it is
    another one: expected plastic atoms, calibration and Brier score are then of no use.

    Raises
    ------
    InputError : no loading has a plastic atom.
    """
    import numpy as np

    from ..errors import InputError
    from ..progress import track
    from ..train.evaluate import together
    from ..train.fit import baselines

    still = [x.name for x in loadings if not x.plastic(strain).any()]
    loadings = [x for x in loadings if x.name not in still]
    if not loadings:
        raise InputError(f"no atom is plastic at strain {strain:g} in {', '.join(still)}: nothing to "
                         f"rank; take a larger --strain")
    known = baselines(training, strain) if training else {}
    single = {x.name: score(model, x, strain, known)
              for x in track(loadings, "scoring", "loadings")}
    sets = []
    for x in track(loadings, "comparing", "loadings"):
        features = [x.features(m.features, parameters=m.parameters)
                    for m in filter(None, (model, other))]
        ok = ~np.any([np.isnan(f).any(axis=1) for f in features], axis=0)
        margins = [m.margins(f[ok]) for m, f in zip((model, other), features) if m]
        sets.append((x.glass, x.plastic(strain)[ok], x.blocks[ok], margins))
    value, error, interval = together(sets)
    whole = {"glasses": len({x.glass for x in loadings}), "auc": value[0], "auc_error": error[0],
             "plastic": sum(s["plastic"] for s in single.values()),
             "expected_plastic": sum(s["expected_plastic"] for s in single.values())}
    for key in ("average_precision", "mcc_at_half", "recall_at_half", "precision_at_half", "brier",
                "rank_score", "sigma_softness"):
        whole[key] = float(np.mean([s[key] for s in single.values()]))
    if other:
        whole["against"] = {"model": other.name, "auc": value[1], "auc_error": error[1],
                            "difference": value[0] - value[1], "interval95": interval}
    out = {"strain": strain, "all": whole, "loadings": single}
    if still:
        out["without_plastic"] = still
    if model.entry("label")["strain"] != strain:
        out["probabilities_at"] = model.entry("label")["strain"]
    return out


def against_facet_area(model: SoftnessModel, unseen: Sequence[Loading],
                       strain: float) -> dict[str, Any]:
    """The model beside facet-area std alone, the paper's best feature, on the same resampled blocks.

    Loadings without a plastic atom are left out.
    """
    import numpy as np

    from ..train.evaluate import together

    sets = []
    for x in unseen:
        if not x.plastic(strain).any():
            continue
        mine = x.features(model.features, parameters=model.parameters)
        alone = x.features(("facet_area_std",))[:, 0]
        ok = ~(np.isnan(mine).any(axis=1) | np.isnan(alone) | np.isnan(x.at(strain)))
        sets.append((x.glass, x.plastic(strain)[ok], x.blocks[ok],
                     [model.margins(mine[ok]), alone[ok]]))
    value, error, interval = together(sets)
    return {"model": "facet-area std alone", "auc": value[1], "auc_error": error[1],
            "difference": value[0] - value[1], "interval95": interval}


def print_scores(scores: dict[str, Any]) -> None:
    print(f"strain {scores['strain']:<19g} plastic expected AUC (block bootstrap) AP   MCC    recall "
          f"precision Brier rank score by element")
    for name, s in scores["loadings"].items():
        print(f"{name:<26} {s['plastic']:5d} {s['expected_plastic']:7.0f}  {s['auc']:.3f} +- "
              f"{s['auc_error']:.3f}  {s['average_precision']:.3f} {s['mcc_at_half']:.3f}  "
              f"{s['recall_at_half']:.2f}  {s['precision_at_half']:.3f}  {s['brier']:.4f}  "
              f"{s['rank_score']:.3f}  "
              + ", ".join(f"{e} {v:.3f}" for e, v in s["auc_by_type"].items()))
        for base, (value, error) in s.get("baselines", {}).items():
            print(f"  baseline {base}: AUC {value:.3f} +- {error:.3f}")
    if "without_plastic" in scores:
        print(f"left out, no plastic atom: {', '.join(scores['without_plastic'])}")
    if "probabilities_at" in scores:
        print(f"the model's probabilities are of strain {scores['probabilities_at']:g}: expected, "
              "Brier and calibration do not apply here, the rest does")
    w = scores["all"]
    print(f"all of {w['glasses']} glasses: {w['plastic']} plastic, "
          f"{w['expected_plastic']:.0f} expected; mean AUC {w['auc']:.4f} +- "
          f"{w['auc_error']:.4f}, AP {w['average_precision']:.3f}, rank score {w['rank_score']:.3f}")
    strains = sorted({k for s in scores["loadings"].values() for k in s["auc_by_strain"]}, key=float)
    print("mean AUC by strain: " + ", ".join(
        f"{k}: {sum(v) / len(v):.3f}" for k in strains
        for v in [[s["auc_by_strain"][k] for s in scores["loadings"].values()
                   if k in s["auc_by_strain"]]]))
    bins = [s["calibration"] for s in scores["loadings"].values()]
    print("calibration, tenths of the atoms by d_p: " + "  ".join(
        f"{sum(b[k]['predicted'] for b in bins) / len(bins):.3f}->"
        f"{sum(b[k]['found'] for b in bins) / len(bins):.3f}" for k in range(len(bins[0]))))
    if "against" in w:
        a = w["against"]
        print(f"against {a['model']}: {a['auc']:.4f} +- {a['auc_error']:.4f}; difference "
              f"{a['difference']:+.4f}, 95 % between {a['interval95'][0]:+.4f} and "
              f"{a['interval95'][1]:+.4f} (the same blocks for both)")


def run(args: argparse.Namespace) -> None:
    from ..models.model import load_model
    from ..train.dataset import read_loadings

    model = load_model(args.model)
    other = load_model(args.against) if args.against else None
    loadings = read_loadings(args.loadings, model.elements, model.lengths)
    for one in filter(None, (model, other)):
        check_unseen(one.card, loadings)
        check_system(one, loadings)
    scores = score_all(model, loadings, args.strain, other=other)
    if args.json:
        import json

        print(json.dumps(scores, indent=1))
    else:
        print_scores(scores)
