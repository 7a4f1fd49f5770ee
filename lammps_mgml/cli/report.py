"""mgml report"""


def arguments(parser):
    parser.add_argument("dump", help="dump of a loaded run with the columns d_sq and d_d2min")
    parser.add_argument("-o", "--output", default="softness.png", help="figure (softness.png)")
    parser.add_argument("--axis", default="z", choices="xyz", help="loading axis (z)")
    parser.add_argument("--strain", type=float, default=0.04, help="strain of the D2 slice (0.04)")


def run(args):
    from ..report import compare, draw, print_table

    frames, rows = compare(args.dump, "xyz".index(args.axis))
    print_table(rows)
    draw(frames, rows, args.strain, "xyz".index(args.axis), args.output)
    print(f"dump   {args.dump}\nfigure {args.output}")
