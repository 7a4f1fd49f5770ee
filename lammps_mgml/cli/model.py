"""mgml model"""


def arguments(parser):
    parser.add_argument("name", nargs="?", help="a shipped model's name or a model file; none: list")


def run(args):
    import json

    from ..model import load_model, shipped_models

    if args.name is None:
        print("\n".join(shipped_models()))
        return
    model = load_model(args.name)
    card = {k: v for k, v in model.card.items() if k != "calibration"}
    card["calibration"] = f"{model.knots.shape[1]} knots"
    card["trees"] = f"{len(model.forest.root)} trees, {len(model.forest.leaf)} leaves"
    print(json.dumps(card, indent=1))
