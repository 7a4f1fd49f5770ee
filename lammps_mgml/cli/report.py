"""mgml report"""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dump", help="dump of a loaded run with the columns d_sq and d_d2min, and "
                                     "better d_eta and i_site")
    parser.add_argument("-o", "--output", default="softness.png", help="figure (softness.png)")
    parser.add_argument("--axis", choices="xyz",
                        help="loading axis (the largest component of the box's deformation tells, "
                             "shear too)")
    parser.add_argument("--reference", metavar="FILE",
                        help="dump or data file whose first box is the reference's, if the dump "
                             "lacks that frame")
    parser.add_argument("--strain", type=float, default=0.04, help="strain of the D2 slice (0.04)")


def run(args: argparse.Namespace) -> None:
    from ..report import check_picture, compare, draw, print_table
    from . import check_output

    check_output(args.output)
    check_picture(args.output)
    report = compare(args.dump, None if args.axis is None else "xyz".index(args.axis),
                     args.reference)
    print_table(report)
    draw(report, args.strain, args.output)
    print(f"dump   {args.dump}\nfigure {args.output}")
