"""mgml model"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from ..models.model import SoftnessModel

# What features may take besides the structure: what the card says, and where a run gets it from.
INPUTS = {"load": ("goes by the load", "variable mgml_load"),
          "msd": ("by vibrations", "column d_msd, by include ${vibration}"),
          "msd_hot": ("by hotter ones", "column d_msd_hot, by include ${vibration}")}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="[show] NAME",
                        help="a shipped model's name or a model file; none: list the shipped ones")
    parser.add_argument("--json", action="store_true", help="the whole card but the trees, as JSON")


def run(args: argparse.Namespace) -> None:
    import json

    from ..errors import ModelError, OptionError
    from ..families.pairs import INPUT as FORCE_CONSTANTS
    from ..features import needs
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
    card, training, label = model.card, model.entry("training"), model.entry("label")
    auc = training["auc_out_of_fold"]
    needed, unit = needs(model.features, model.elements), model.lengths.unit
    lines = {
        "model": f"{model.name}, for {' '.join(model.elements)}",
        "features": f"{len(model.features)}: " + ", ".join(model.features[:13])
                    + (" ..." if len(model.features) > 13 else ""),
        **{label: f"yes: {where}" if need in needed else "no"
           for need, (label, where) in INPUTS.items()},
        **{f"takes {need}": "yes" for need in sorted(needed - {*INPUTS, FORCE_CONSTANTS})},
        "units": f"{model.lengths.units}, lengths in {unit}",
        "parameters": ", ".join(f"{k} {v:g}" for k, v in model.parameters.items()
                                if k != FORCE_CONSTANTS),
        "positions": card["positions"],
        "label": f"D2min ({label['d2min']}, within {label['cutoff']} {unit}) above "
                 f"{label['threshold']} {unit}^2 at strain {label['strain']}",
        "learner": f"{training['learner']}, classes balanced by {training.get('balance', 'weights')}",
        "calibration": f"{card['calibration'].get('method', 'unknown')}; "
                       f"{model.knots.shape[1]} knots",
        "natural share": f"{100 * model.natural_share:.2f} % plastic" + _by_soft_atoms(model),
        "trained on": f"{', '.join(training['glasses'])} ({len(training['loadings'])} loadings, "
                      f"{training['atoms']} rows)",
        "AUC out of fold": "undefined" if auc is None else f"{auc:.3f}",
        "checksum": model.checksum,
    }
    for key, value in lines.items():
        print(f"{key:<17} {value}")
    if "loadings" in card.get("scores", {}):
        from .score import print_scores

        print("\nglasses that no step of training saw:")
        try:
            print_scores(_with_nan(card["scores"]))
        except (LookupError, TypeError, ValueError):
            raise ModelError(f"model {model.name}: the scores in its file are not those that mgml "
                             f"train writes") from None


def _by_soft_atoms(model: SoftnessModel) -> str:
    soft = model.calibration.soft_atoms
    if soft is None:
        return ", whatever the glass"
    return (f" in the training glasses; in a glass with a share x of atoms of S^q > {soft.above:g}, "
            f"{soft.factor:.3g} x^{soft.power:.3g} times that, x within {soft.least:.2g} and "
            f"{soft.most:.2g}")


def _with_nan(scores: Any) -> Any:
    """``scores`` with NaN for null, which a file has for what could not be computed."""
    if isinstance(scores, dict):
        return {k: _with_nan(v) for k, v in scores.items()}
    if isinstance(scores, list):
        return [_with_nan(v) for v in scores]
    return float("nan") if scores is None else scores
