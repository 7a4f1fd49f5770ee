"""mgml features"""

MEANINGS = {
    "cn": "coordination numbers",
    "voronoi_idx": "facets with 3, 4, 5, 6, 7 or more edges",
    "motifs": "characteristic cells: icosahedron, Z16, polytetrahedral",
    "voronoi_area_volume": "surface and volume of the cell",
    "symm_idx": "fractions of 3- to 7-fold facets",
    "weighted_symm_idx": "fractions of 3- to 7-fold facets, weighted by area and by volume",
    "boop_q": "bond orientational order q4 to q10",
    "boop_w": "bond orientational order w4 to w10",
    "csro": "element, numbers and fractions of elements around, chemical short-range order",
    "facet_area_stats": "statistics of facet areas, in all and by edges",
    "subpoly_vol_stats": "statistics of the pyramids on the facets, in all and by edges",
    "distance_stats": "statistics of distances to neighbours",
    "cn_stats_nn": "neighbours' statistics of cn",
    "voronoi_idx_stats_nn": "neighbours' statistics of voronoi_idx",
    "motifs_stats_nn": "neighbours' statistics of motifs",
    "voronoi_area_volume_stats_nn": "neighbours' statistics of voronoi_area_volume",
    "avg_symm_idx_nn": "fractions of 3- to 7-fold facets, of all neighbours' facets together",
    "symm_idx_stats_nn": "neighbours' statistics of symm_idx",
    "weighted_symm_idx_stats_nn": "neighbours' statistics of weighted_symm_idx",
    "boop_q_stats_nn": "neighbours' statistics of boop_q",
    "boop_w_stats_nn": "neighbours' statistics of boop_w",
    "boop_q_coarse": "q4 to q10 of q_lm averaged over the atom and its neighbours",
    "boop_w_coarse": "w4 to w10 of q_lm averaged over the atom and its neighbours",
    "csro_stats_nn": "neighbours' statistics of csro",
    "facet_area_stats_stats_nn": "neighbours' statistics of facet_area_stats",
    "subpoly_vol_stats_stats_nn": "neighbours' statistics of subpoly_vol_stats",
    "distance_stats_stats_nn": "neighbours' statistics of distance_stats",
    "structural_difference": "neighbours' mean minus the atom's own value",
    "density": "atoms of each element by distance, in cubic splines",
    "axial": "the same weighted by the angle to the axis of the load",
    "density_avg": "density averaged over the atom and its near neighbours",
    "axial_avg": "axial averaged over the atom and its near neighbours",
    "density_avg2": "density averaged twice",
    "axial_avg2": "axial averaged twice",
    "vibration": "mean square displacement in MD of the undeformed glass, and averages",
}


def arguments(parser):
    parser.add_argument("which", nargs="*", default=[],
                        help="sets and names: table3, sro, mro, all, boop_q, cn_voro ...; without "
                             "any, an overview of the sets")
    parser.add_argument("--set", dest="sets", default="", help="the same, separated by commas")
    parser.add_argument("--elements", default="Cu Zr", help="symbols (Cu Zr)")
    parser.add_argument("--csv", action="store_true",
                        help="name, set, order, units, neighbours, definition")


def run(args):
    from ..catalogue import by_name, resolve

    elements = _symbols(args.elements)
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
    group = None
    for f in features:
        if grouped and f.set != group:
            group = f.set
            print(f"{'' if f is features[0] else chr(10)}{group} ({f.order}): {MEANINGS[group]}")
        print(f"{'  ' * grouped}{f.name:<{width}}  {f.units:<{units}}  {f.definition}")


def _symbols(text):
    """Element symbols in ``text``, each once; OptionError if it is anything else."""
    import re

    from ..errors import OptionError

    symbols = tuple(dict.fromkeys(text.split()))
    if not symbols or not all(re.fullmatch("[A-Z][a-z]?", s) for s in symbols):
        raise OptionError(f"--elements {text!r}: write symbols with spaces between, "
                          f"as in --elements \"Cu Zr\"")
    return symbols


def _overview(features):
    sets = {}
    for f in features:
        sets.setdefault(f.set, []).append(f)
    width = max(map(len, sets))
    orders = {"SRO": "short-range features of the paper", "MRO": "medium-range features of the paper",
              "PAIR": "two-body densities, not in the paper",
              "VIBRATION": "of the atoms' motion, not in the paper"}
    counts = {order: sum(f.order == order for f in features) for order in orders}
    for order, text in orders.items():
        print(f"{order}: {counts[order]} {text}")
        for name, members in sets.items():
            if members[0].order == order:
                print(f"  {name:<{width}} {len(members):4d}  {MEANINGS[name]}")
        print()
    print(f"all: the paper's {counts['SRO'] + counts['MRO']}; table3: its 13; sro, mro, pair.  "
          f"mgml features NAME ... lists those of a set; docs/features.md explains them.")
