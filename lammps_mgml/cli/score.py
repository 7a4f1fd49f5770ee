"""mgml score"""


def arguments(parser):
    parser.add_argument("model", help="a shipped model's name or a model file")
    parser.add_argument("loadings", nargs="+", help="dumps of inputs/in.aqs of unseen glasses")
    parser.add_argument("--strain", type=float, default=0.04)
    parser.add_argument("--json", action="store_true", help="print JSON")


def check_unseen(card, loadings):
    """ModelError if the model was trained on one of these glasses."""
    from ..errors import ModelError

    seen = sorted({x.glass for x in loadings} & set(card["training"]["glasses"]))
    if seen:
        raise ModelError(f"model {card['name']} was trained on {', '.join(seen)}: "
                         f"a score there says nothing; take another glass")


def score(model, loading, strain, training=()):
    """Scores of ``model`` and, if its training loadings are at hand, of the baselines."""
    from ..train.evaluate import auc, auc_with_error, summary
    from ..train.fit import baselines

    labels, features = loading.plastic(strain), loading.features
    softness = model.softness(features)
    out = summary(labels, softness, model.probability(softness),
                  model.forest.raw_scores(features), loading.blocks)
    out["by_type"] = {e: auc(labels[one], softness[one])
                      for k, e in enumerate(model.elements, start=1)
                      for one in [loading.types == k]}
    if training:
        out["baselines"] = {name: auc_with_error(labels, s, loading.blocks)[:2]
                            for name, s in baselines(training, loading, strain).items()}
    return out


def print_scores(scores):
    for name, s in scores.items():
        print(f"{name}: {s['plastic']} of {s['atoms']} atoms plastic "
              f"({100 * s['prevalence']:.1f} %)")
        print(f"  AUC {s['auc']:.3f} +- {s['auc_error']:.3f} (block bootstrap), average precision "
              f"{s['average_precision']:.3f}, MCC {s['mcc_at_half']:.3f}")
        print(f"  S^q > 0.5: recall {s['recall_at_half']:.2f}, precision "
              f"{s['precision_at_half']:.2f}; expected plastic {s['expected_plastic']:.0f}; "
              f"Brier {s['brier']:.4f}; "
              + ", ".join(f"AUC {e} {v:.3f}" for e, v in s["by_type"].items()))
        for base, (value, error) in s.get("baselines", {}).items():
            print(f"  baseline {base}: AUC {value:.3f} +- {error:.3f}")


def run(args):
    from ..model import load_model
    from ..train.dataset import read_loading

    model = load_model(args.model)
    loadings = [read_loading(p, model.elements) for p in args.loadings]
    check_unseen(model.card, loadings)
    scores = {x.name: score(model, x, args.strain) for x in loadings}
    if args.json:
        import json

        print(json.dumps(scores, indent=1))
    else:
        print_scores(scores)
