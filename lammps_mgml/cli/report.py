"""mgml report"""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

DEFAULT = "softness.png"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dump", help="dump of a loaded run with the columns d_sq and d_d2min, and "
                                     "better d_eta and i_site")
    parser.add_argument("-o", "--output", action="append", metavar="FILE",
                        help=f"figure, .png, .svg or .pdf; may be given several times ({DEFAULT})")
    parser.add_argument("--csv", metavar="FILE",
                        help="also write the numbers of the panels: a.csv gives a-map.csv, "
                             "a-d2min.csv, a-strain.csv, a-stress.csv")
    parser.add_argument("--log", metavar="FILE",
                        help="log of the run, for stress, temperature, rate and model (log.lammps "
                             "beside the dump)")
    parser.add_argument("--axis", choices="xyz",
                        help="loading axis (the largest component of the box's deformation tells, "
                             "shear too)")
    parser.add_argument("--reference", metavar="FILE",
                        help="dump or data file whose first box is the reference's, if the dump "
                             "lacks that frame")
    parser.add_argument("--threshold", type=float, metavar="D2",
                        help="D2min above which an atom is plastic, A^2 or sigma^2 (as the log "
                             "tells, else 5 A^2)")
    parser.add_argument("--strain", type=float, default=0.04,
                        help="strain of the atoms in panels a and b: the frame next to it (0.04)")


def run(args: argparse.Namespace) -> None:
    from ..errors import InputError
    from ..report.facts import facts_of, lengths_of
    from ..report.figure import check_picture, draw
    from ..report.panels import frame_of, write_tables
    from ..report.rows import compare, next_to, print_table
    from ..system.lengths import Lengths
    from . import check_output

    outputs = args.output or [DEFAULT]
    for path in outputs:
        check_output(path)
        check_picture(path)
    if args.csv:
        check_output(args.csv, "--csv")
    report = compare(args.dump, None if args.axis is None else "xyz".index(args.axis),
                     args.reference, lengths_of(args.dump, args.log, args.threshold))
    shown = next_to(report, args.strain)
    frame = frame_of(args.dump, shown)
    facts = facts_of(report, args.dump, frame, args.log)
    if facts.log is None and args.threshold is None and report.lengths != Lengths():
        raise InputError(f"{'; '.join(facts.notes)}: so the threshold of D2min is not known: give "
                         f"the run's own --log, or --threshold")
    print_table(report, shown)
    draw(report, shown, frame, facts, outputs)
    print(f"dump   {args.dump}")
    print(f"log    {'; '.join(filter(None, (facts.log, *facts.notes)))}")
    for path in outputs:
        print(f"figure {path}")
    if args.csv:
        for table in write_tables(args.csv, report, shown, frame, facts):
            print(f"table  {table}")
