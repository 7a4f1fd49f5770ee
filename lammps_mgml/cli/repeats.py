"""mgml repeats"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ..study.cases import Score
    from ..study.repeats import Told


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN",
                        help="dumps of runs of one glass under one load that differ in their "
                             "velocities; or files of mgml pack")
    parser.add_argument("--model", default="cuzr",
                        help="a shipped model's name or a model file (cuzr)")
    parser.add_argument("--strain", type=float, default=0.04,
                        help="of the plastic atoms: the frames next to it (0.04)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> None:
    from ..models.model import load_model
    from ..progress import track
    from ..study.repeats import read, told

    model = load_model(args.model)
    found = read(args.runs, model.elements)
    some = [told(x, model, args.strain) for x in track(found, "repeats", "glasses")]
    if args.json:
        import json

        print(json.dumps([_told(x) for x in some], indent=1))
    else:
        _print(some)


def _told(x: Told) -> dict[str, Any]:
    def number(score: Score) -> dict[str, float]:
        return {"value": score.value, "low95": score.low, "high95": score.high}

    return {"glass": x.repeats.name, "load": x.repeats.label, "strain": x.strain,
            "plastic": x.plastic, "auc_by_others": [number(s) for s in x.by_others],
            "auc_by_model": number(x.model), "share": number(x.share)}


def _print(some: Sequence[Told]) -> None:
    from ..study.repeats import together

    print(f"{'glass':<16} {'load':<15} repeats plastic  AUC by one other        by all others        "
          f"   by the model            share of the way from 0.5")
    for x in some:
        print(f"{x.repeats.name:<16} {x.repeats.label:<15} {len(x.repeats):<7} "
              f"{sum(x.plastic) / len(x.plastic):<8.0f} {_text(x.by_others[0]):<23} "
              f"{_text(x.ceiling):<23} {_text(x.model):<23} {_text(x.share)}")
    if len(some) > 1:
        ceiling, ours, share = together(some)
        print(f"mean of {len(some):<57}{_text(ceiling):<23} {_text(ours):<23} {_text(share)}")


def _text(x: Score) -> str:
    return f"{x.value:.3f} ({x.low:.3f} to {x.high:.3f})" if x.low == x.low else f"{x.value:.3f}"
