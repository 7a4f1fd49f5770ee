"""mgml model"""


def arguments(parser):
    parser.add_argument("words", nargs="*", metavar="[show] NAME",
                        help="a shipped model's name or a model file; none: list the shipped ones")
    parser.add_argument("--json", action="store_true", help="the whole card but the trees, as JSON")


def run(args):
    import json

    from ..errors import OptionError
    from ..models.model import load_model, shipped_models

    words = args.words[1:] if args.words[:1] == ["show"] else args.words
    if len(words) > 1:
        raise OptionError("one model at a time: mgml model show NAME")
    if not words:
        print("\n".join(shipped_models()))
        return
    model = load_model(words[0])
    if args.json:
        print(json.dumps(model.card, indent=1))
        return
    card, training = model.card, model.card["training"]
    label = card["label"]
    by_load = any(name.startswith("axial_") for name in model.features)
    vibrates = any(name.startswith("vibration") for name in model.features)
    lines = {
        "model": f"{model.name}, for {' '.join(model.elements)}",
        "features": f"{len(model.features)}: " + ", ".join(model.features[:13])
                    + (" ..." if len(model.features) > 13 else ""),
        "goes by the load": "yes: variable mgml_load" if by_load else "no",
        "by vibrations": "yes: column d_msd, by include ${vibration}" if vibrates else "no",
        "parameters": ", ".join(f"{k} {v:g}" for k, v in model.parameters.items()),
        "positions": card["positions"],
        "label": f"D2min ({label['d2min']}, within {label['cutoff']} A) above {label['threshold']} "
                 f"A^2 at strain {label['strain']}",
        "learner": f"{training['learner']}, classes balanced by {training.get('balance', 'weights')}",
        "calibration": f"{card['calibration']['method']}; {model.knots.shape[1]} knots",
        "natural share": f"{100 * model.natural_share:.2f} % plastic",
        "trained on": f"{', '.join(training['glasses'])} ({len(training['loadings'])} loadings, "
                      f"{training['atoms']} rows)",
        "AUC out of fold": f"{training['auc_out_of_fold']:.3f}",
        "checksum": model.checksum,
    }
    for key, value in lines.items():
        print(f"{key:<17} {value}")
    if "loadings" in card.get("scores", {}):
        from .score import print_scores

        print("\nglasses that no step of training saw:")
        print_scores(card["scores"])
