"""mgml deck"""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--vibration", action="store_true",
                        help="the file that measures vibrations (export MGML_VIBRATION=...)")


def run(args: argparse.Namespace) -> None:
    from ..insitu.plugin import DECK, VIBRATION

    print(VIBRATION if args.vibration else DECK)
