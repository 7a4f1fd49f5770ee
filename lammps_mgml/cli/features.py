"""mgml features"""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from ..families.family import Feature


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("which", nargs="*", default=[],
                        help="sets and names: table3, sro, mro, all, boop_q, cn_voro ...; without "
                             "any, an overview of the sets")
    parser.add_argument("--set", dest="sets", default="", help="the same, separated by commas")
    parser.add_argument("--elements", help="symbols (the paper's: Cu Zr)")
    parser.add_argument("--csv", action="store_true",
                        help="name, set, order, units, neighbours, definition")


def run(args: argparse.Namespace) -> None:
    from ..features import PAPER_ELEMENTS, by_name, resolve, set_texts

    elements = _symbols(args.elements) if args.elements is not None else PAPER_ELEMENTS
    asked = [*args.which, *filter(None, args.sets.split(","))]
    if not asked and not args.csv:
        _overview(by_name(elements).values())
        return
    known = by_name(elements)
    features = [known[name] for name in resolve(",".join(asked) or "all", elements)]
    if args.csv:
        import csv
        import sys

        fields = ("name", "set", "order", "units", "neighbours", "definition")
        table = csv.writer(sys.stdout, lineterminator="\n")
        table.writerow(fields)
        table.writerows([getattr(f, field) for field in fields] for f in features)
        return
    width = max(len(f.name) for f in features)
    units = max(len(f.units) for f in features)
    starts = sum(f.set != before.set for before, f in zip(features, features[1:])) + 1
    grouped = starts == len({f.set for f in features})       # table3 goes to and fro between sets
    group, texts = None, set_texts()
    for f in features:
        if grouped and f.set != group:
            group = f.set
            print(f"{'' if f is features[0] else chr(10)}{group} ({f.order}): {texts[group]}")
        print(f"{'  ' * grouped}{f.name:<{width}}  {f.units:<{units}}  {f.definition}")


def _symbols(text: str) -> tuple[str, ...]:
    """Element symbols in ``text``, each once; OptionError if it is anything else."""
    import re

    from ..errors import OptionError

    symbols = tuple(dict.fromkeys(text.split()))
    if not symbols or not all(re.fullmatch("[A-Z][a-z]?", s) for s in symbols):
        raise OptionError(f"--elements {text!r}: write symbols with spaces between, "
                          f"as in --elements \"Cu Zr\"")
    return symbols


def _overview(features: Iterable[Feature]) -> None:
    from ..features import PAPER, set_texts, titles

    sets: dict[str, list[Feature]] = {}
    orders, texts = titles(), set_texts()
    for f in features:
        sets.setdefault(f.set, []).append(f)
    width = max(map(len, sets))
    for order, title in orders.items():
        print(f"{order}: {sum(f.order == order for f in features)} {title}")
        for name, members in sets.items():
            if members[0].order == order:
                print(f"  {name:<{width}} {len(members):4d}  {texts[name]}")
        print()
    words = ", ".join(order.lower() for order in orders if order.lower() not in sets)
    print(f"all: the paper's {sum(f.set in PAPER for f in features)}; table3: its 13; {words}.  "
          f"mgml features NAME ... lists those of a set; docs/features.md explains them.")
