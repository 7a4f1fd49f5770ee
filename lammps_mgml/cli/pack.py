"""mgml pack"""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN",
                        help="dumps of loaded runs of one glass, as mgml study takes them, and files "
                             "of this command")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the file (.h5)")
    parser.add_argument("--elements", default="Cu Zr",
                        help='of types 1, 2, ... in dumps that do not tell them ("Cu Zr")')
    parser.add_argument("--name", help="of the glass (as the first run's log tells it, else the name "
                                       "of its folder)")
    parser.add_argument("--rate", type=float, help="K/s of the quench, for the figures of mgml study")
    parser.add_argument("--made", default="", metavar="TEXT",
                        help="how the runs were made, to be kept in the file")
    parser.add_argument("--strains", metavar="LIST",
                        help="strains of the frames to keep, as 0.02,0.04 (all)")
    parser.add_argument("--vibrations", metavar="FILE",
                        help="glass file, or dump with d_msd (and d_msd_hot), of the same glass: "
                             "keep how its atoms vibrate (that of the first run, if it tells)")


def run(args: argparse.Namespace) -> None:
    import os

    from ..errors import OptionError
    from ..progress import track
    from ..study.packed import pack
    from ..study.reading import each
    from . import check_output

    check_output(args.output)
    strains = None
    if args.strains is not None:
        try:
            strains = [float(word) for word in args.strains.split(",")]
        except ValueError:
            raise OptionError(f"--strains {args.strains!r}: write it as 0.02,0.04") from None
    if args.rate is not None and not args.rate > 0:
        raise OptionError(f"--rate {args.rate:g}: K/s, above 0")
    runs = [run for path in track(args.runs, "reading", "files")
            for run in each(path, args.elements.split())]
    watched = each(args.vibrations, args.elements.split())[0] if args.vibrations else None
    pack(args.output, runs, args.rate, args.made, strains, args.name, watched)
    loadings = sum(len(run.loadings) for run in runs)
    print(f"wrote {args.output}: {args.name or runs[0].glass}, {runs[0].n} atoms, {loadings} runs, "
          f"{os.path.getsize(args.output) / 1e6:.1f} MB")
