"""Names, sets, order, units and meaning of the site features: the one place that defines them.

123 short-range (SRO) and 623 medium-range (MRO) features for two elements, as Wang & Jain count
them in their Tables 1 and 2; for K elements 111 + 6 K and 563 + 30 K.
"""
from dataclasses import dataclass
from functools import lru_cache

from .errors import OptionError

DEFINITION = 1                 # rises whenever a feature's meaning changes; stored in every model

EDGES = (3, 4, 5, 6, 7)        # classes of facets; the last one takes all with 7 edges or more
ORDERS = (4, 6, 8, 10)         # l of the bond orientational order
LISTS = ("voro", "dist")       # neighbours that share a facet; neighbours within a distance
STATISTICS = ("mean", "std", "min", "max")

# Cubic B-splines of the two-body densities: centre of the first, spacing (A), number.
SPLINE_FIRST, SPLINE_SPACING, SPLINES = 2.0, 0.4, 9
DENSITY_REACH = SPLINE_FIRST + (SPLINES + 1) * SPLINE_SPACING
LEVELS = ("", "_avg", "_avg2")
_OVER = dict(zip(LEVELS, ("", ", mean over the atom and its near neighbours",
                          ", the same of that mean")))

AREA, VOLUME = "mean facet area", "mean sub-polyhedron volume"
DISTANCE = {"voro": "mean voro distance", "dist": "mean dist distance"}

_NEIGHBOURS = {"voro": "the Voronoi neighbours", "dist": "the neighbours within the near cutoff"}
_WORDS = {"sum": "sum", "mean": "mean", "std": "population standard deviation", "min": "minimum",
          "max": "maximum"}


@dataclass(frozen=True)
class Feature:
    """One site feature.

    order : "SRO", "MRO", "PAIR" or "VIBRATION".  base, statistic : the SRO feature and what is made
    of it over its neighbours ("" for itself).  neighbours : "voro", "dist" or "" (neither).
    """

    name: str
    set: str
    order: str
    units: str
    definition: str
    base: str
    statistic: str
    neighbours: str


# Table 3 of Wang & Jain, by importance.
TABLE3 = (
    "facet_area_std",
    "facet_area_std_mean_nn",
    "distance_dist_std",
    "distance_dist_std_mean_nn",
    "distance_voro_std",
    "distance_voro_min",
    "distance_voro_std_mean_nn",
    "number_zr_dist_mean_nn",
    "distance_voro_min_mean_nn",
    "area_wt_symm_5fold_mean_nn",
    "distance_dist_min_mean_nn",
    "distance_dist_min_min_nn",
    "area_wt_symm_5fold",
)


def _edges(k):
    return f"{k} edges" if k < EDGES[-1] else f"{k} or more edges"


def _short_range(elements):
    def site(name, group, units, definition, neighbours="voro"):
        return Feature(name, group, "SRO", units, definition, name, "", neighbours)

    for x in LISTS:
        yield site(f"cn_{x}", "cn", "count", f"number of {_NEIGHBOURS[x]}", x)
    for k in EDGES:
        yield site(f"voronoi_idx_{k}", "voronoi_idx", "count", f"n_{k}, facets with {_edges(k)}")
    for name, text in (("ico", "<n3 .. n7> is <0,0,12,0,0>"), ("z16", "<n3 .. n7> is <0,0,12,4,0>"),
                       ("polytetrahedral", "2 n4 + n5 = 12, whatever n3, n6, n7"),
                       ("ico_or_z16", "either of motif_ico and motif_z16")):
        yield site(f"motif_{name}", "motifs", "0/1", f"1 if {text}, else 0")
    yield site("voronoi_area", "voronoi_area_volume", AREA, "sum of A_ij / <A>")
    yield site("voronoi_volume", "voronoi_area_volume", VOLUME,
               "sum of V_ij / <V>, V_ij = A_ij r_ij / 6")
    for k in EDGES:
        yield site(f"symm_{k}fold", "symm_idx", "fraction", f"n_{k} / (n_3 + ... + n_7)")
    for prefix, letter in (("area", "A"), ("vol", "V")):
        for k in EDGES:
            yield site(f"{prefix}_wt_symm_{k}fold", "weighted_symm_idx", "fraction",
                       f"share of the facets with {_edges(k)} in the sum of {letter}_ij")
    for x in LISTS:
        for order in ORDERS:
            yield site(f"boop_q{order}_{x}", "boop_q", "1",
                       f"q_l = sqrt(4 pi / (2 l + 1) sum_m |q_lm|^2), l = {order}, q_lm the mean of "
                       f"Y_lm over {_NEIGHBOURS[x]}", x)
    for x in LISTS:
        for order in ORDERS:
            yield site(f"boop_w{order}_{x}", "boop_w", "1",
                       f"w_l = sum of (l l l; m1 m2 m3) q_lm1 q_lm2 q_lm3 over (sum_m |q_lm|^2)^1.5, "
                       f"l = {order}, over {_NEIGHBOURS[x]}", x)
    yield site("element_type", "csro", "label", "0, 1, ... in the order of the elements", "")
    for x in LISTS:
        for e in elements:
            yield site(f"number_{e.lower()}_{x}", "csro", "count",
                       f"number of {e} among {_NEIGHBOURS[x]}", x)
        for e in elements:
            yield site(f"comp_{e.lower()}_{x}", "csro", "fraction",
                       f"x, fraction of {e} among {_NEIGHBOURS[x]}", x)
        for e in elements:
            yield site(f"csro_{e.lower()}_{x}", "csro", "1",
                       f"(x - c) / c, x of {e} among {_NEIGHBOURS[x]}, c in the whole system", x)
    for prefix, group, units, letter in (("facet_area", "facet_area_stats", AREA, "A"),
                                         ("subpoly_vol", "subpoly_vol_stats", VOLUME, "V")):
        for s in STATISTICS:
            yield site(f"{prefix}_{s}", group, units,
                       f"{_WORDS[s]} of {letter}_ij / <{letter}>, all facets")
        for k in EDGES:
            for s in ("sum", *STATISTICS):
                yield site(f"{prefix}_{s}_{k}fold", group, units,
                           f"{_WORDS[s]} of {letter}_ij / <{letter}>, facets with {_edges(k)}; "
                           f"0 if there are none")
    for x in LISTS:
        for s in STATISTICS:
            yield site(f"distance_{x}_{s}", "distance_stats", DISTANCE[x],
                       f"{_WORDS[s]} of r_ij / <r> to {_NEIGHBOURS[x]}", x)


def _medium_range(short):
    def over_neighbours(group, into, statistics=STATISTICS):
        for f in short:
            if f.set == group and f.neighbours:
                for s in statistics:
                    yield Feature(f"{f.name}_{s}_nn", into, "MRO", f.units,
                                  f"{_WORDS[s]} of {f.name} over {_NEIGHBOURS[f.neighbours]}",
                                  f.name, s, f.neighbours)

    def coarse(letter, into):
        for x in LISTS:
            for order in ORDERS:
                yield Feature(f"boop_{letter}{order}_cg_{x}", into, "MRO", "1",
                              f"{letter}_l of Q_lm = mean of q_lm over the atom and "
                              f"{_NEIGHBOURS[x]}, l = {order}",
                              f"boop_{letter}{order}_{x}", "coarse", x)

    yield from over_neighbours("cn", "cn_stats_nn")
    yield from over_neighbours("voronoi_idx", "voronoi_idx_stats_nn")
    yield from over_neighbours("motifs", "motifs_stats_nn", ("sum", "mean", "std"))
    yield from over_neighbours("voronoi_area_volume", "voronoi_area_volume_stats_nn")
    for k in EDGES:
        yield Feature(f"symm_{k}fold_avg_nn", "avg_symm_idx_nn", "MRO", "fraction",
                      f"n_{k} summed over {_NEIGHBOURS['voro']}, over the same sum of all facets",
                      f"voronoi_idx_{k}", "pooled", "voro")
    for group in ("symm_idx", "weighted_symm_idx", "boop_q", "boop_w"):
        yield from over_neighbours(group, f"{group}_stats_nn")
    yield from coarse("q", "boop_q_coarse")
    yield from coarse("w", "boop_w_coarse")
    for group in ("csro", "facet_area_stats", "subpoly_vol_stats", "distance_stats"):
        yield from over_neighbours(group, f"{group}_stats_nn")
    for f in short:
        if f.neighbours and f.set != "motifs":       # 118, the only reading that gives 623
            yield Feature(f"{f.name}_diff_nn", "structural_difference", "MRO", f.units,
                          f"{f.name}_mean_nn - {f.name}", f.name, "diff", f.neighbours)


def _densities(elements):
    """Beyond the paper: two-body densities, isotropic and along the load."""
    for suffix, over in _OVER.items():
        for kind, text in (("density", ""), ("axial", ", weighted by P2(cos) to the axis of the "
                                                      "load, minus that in tension")):
            for e in elements:
                for k in range(SPLINES):
                    r = SPLINE_FIRST + k * SPLINE_SPACING
                    yield Feature(
                        f"{kind}_{e.lower()}_{k}{suffix}", kind + suffix, "PAIR", "1",
                        f"{e} atoms by the cubic spline about {r:.1f} A{text}{over}",
                        f"{kind}_{e.lower()}_{k}", suffix, "dist")


def _vibrations():
    """Beyond the paper, and beyond the structure: it takes an MD run of the undeformed glass."""
    for suffix, over in _OVER.items():
        yield Feature(f"vibration{suffix}", "vibration", "VIBRATION", "1",
                      f"ln of the mean square displacement about the atom's mean position over its "
                      f"mean for the element{over}", "vibration", suffix, "dist")


@lru_cache(maxsize=32)
def catalogue(elements=("Cu", "Zr")):
    """All features for these element symbols, in the catalogue's order: a tuple of Feature."""
    short = tuple(_short_range(elements))
    return short + tuple(_medium_range(short))


@lru_cache(maxsize=32)
def by_name(elements=("Cu", "Zr")):
    """{name: Feature} of ``catalogue`` and of what the paper has not: pair densities, vibrations."""
    return {f.name: f for f in (*catalogue(elements), *_densities(elements), *_vibrations())}


def set_names(elements=("Cu", "Zr")):
    """Names of the paper's 28 sets, in the catalogue's order, then the others."""
    return tuple(dict.fromkeys(f.set for f in by_name(elements).values()))


def resolve(features, elements=("Cu", "Zr")):
    """Tuple of feature names from sets and names: one text with commas, or a sequence.

    Besides the sets there are ``table3`` (the paper's 13), ``sro``, ``mro``, ``all`` (the
    paper's 746) and ``pair`` (the densities).

    Raises
    ------
    OptionError : a name is neither, one comes twice, or none is given.
    """
    elements = tuple(elements)
    known = by_name(elements)
    asked = features.split(",") if isinstance(features, str) else features
    names = []
    for word in (str(word).strip() for word in asked):
        if word == "table3":
            names += TABLE3
        elif word == "all":
            names += [f.name for f in catalogue(elements)]
        elif word in ("sro", "mro", "pair"):
            names += [f.name for f in known.values() if f.order.lower() == word]
        elif word in set_names(elements):
            names += [f.name for f in known.values() if f.set == word]
        else:
            names.append(word)
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        like = _like(unknown, (*known, *set_names(elements), "table3"))
        raise OptionError(f"unknown feature {', '.join(map(repr, unknown)) or '(none given)'} for "
                          f"elements {' '.join(elements)}{like}; mgml features lists them all, "
                          f"by set")
    return tuple(dict.fromkeys(names))


def _like(unknown, words):
    from difflib import get_close_matches

    near = get_close_matches(unknown[0], words, 3) if unknown else []
    return f": did you mean {' or '.join(near)}?" if near else ""
