"""What must be computed for the features that are asked for: nothing else, and each thing once."""
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .catalogue import EDGES, LEVELS, LISTS, ORDERS, SPLINES, STATISTICS, by_name
from .catalogue import AREA, DISTANCE, VOLUME

# Columns of the kernels, in their order.
FACET_COLUMNS = (
    "cn_voro", *(f"voronoi_idx_{k}" for k in EDGES),
    "motif_ico", "motif_z16", "motif_polytetrahedral", "motif_ico_or_z16",
    "voronoi_area", "voronoi_volume", *(f"symm_{k}fold" for k in EDGES),
    *(f"{w}_wt_symm_{k}fold" for w in ("area", "vol") for k in EDGES),
    *(name for w in ("facet_area", "subpoly_vol") for name in (
        *(f"{w}_{s}" for s in STATISTICS),
        *(f"{w}_{s}_{k}fold" for k in EDGES for s in ("sum", *STATISTICS)))),
    *(f"distance_voro_{s}" for s in STATISTICS))
NEAR_COLUMNS = ("cn_dist", *(f"distance_dist_{s}" for s in STATISTICS))
VIBRATION = ("vibration",)
NEIGHBOUR_STATISTICS = ("", "sum", "mean", "std", "min", "max", "diff")
_MEANS = {AREA: "area", VOLUME: "volume", DISTANCE["voro"]: "distance_voro",
          DISTANCE["dist"]: "distance_dist"}


@dataclass(frozen=True)
class ListPlan:
    """What is made of the features over one kind of neighbours.

    first, into : first column of ``values`` and, for each statistic and column from there on, the
    feature's number or -1.  pooled, into_pooled : columns that make a pooled ratio.
    boop_into : columns of ``values`` for q_l, w_l; coarse_into : features for their averages.
    element_into (3, K) : columns of ``values`` for numbers, fractions, csro of each element.
    """

    first: int
    into: np.ndarray
    pooled: np.ndarray
    into_pooled: np.ndarray
    boop_into: np.ndarray
    coarse_into: np.ndarray
    element_into: np.ndarray


@dataclass(frozen=True)
class Plan:
    """names : features asked for.  columns : SRO features to compute, Voronoi ones first.

    facets, near : (source, into) of the two kernels.  element_type : its column, or None.
    means : for each column the attribute of Means that normalises it, or None.
    shells : columns of the sites that are averaged: densities, axial ones, vibration, if asked for.
    shells_into : for each level of averaging, (columns of ``shells``, features) to put there.
    axial : whether any of them goes by the load.
    """

    names: tuple
    columns: tuple
    facets: tuple
    near: tuple
    element_type: int | None
    means: tuple
    lists: dict
    uses_neighbours: bool
    shells: tuple
    shells_into: tuple
    axial: bool

    @property
    def densities(self):
        return self.shells not in ((), VIBRATION)

    @property
    def vibration(self):
        return self.shells[-1:] == VIBRATION


@lru_cache(maxsize=64)
def make_plan(names, elements):
    """Plan for a tuple of feature names of ``catalogue(elements)``."""
    known = by_name(elements)
    everything = [known[name] for name in names]
    asked = [f for f in everything if f.order in ("SRO", "MRO")]
    number_of = {f.name: k for k, f in enumerate(everything)}
    needed = set()
    for f in asked:
        if f.statistic == "pooled":
            needed.update(f"voronoi_idx_{k}" for k in EDGES)
        elif f.statistic != "coarse":
            needed.add(f.base)
    columns = tuple(sorted((n for n in known if n in needed),
                           key=lambda n: known[n].neighbours == "dist"))
    at = {name: k for k, name in enumerate(columns)}
    n_voro = sum(known[n].neighbours != "dist" for n in columns)
    lists = {}
    for x in LISTS:
        first, last = (0, n_voro) if x == "voro" else (n_voro, len(columns))
        into = np.full((len(NEIGHBOUR_STATISTICS), last - first), -1, np.int32)
        coarse = np.full(2 * len(ORDERS), -1, np.int32)
        into_pooled = np.full(len(EDGES), -1, np.int32)
        for f in asked:
            number = number_of[f.name]
            if (f.neighbours or "voro") != x:
                continue
            if f.statistic == "coarse":
                coarse[_boop_columns(x).index(f.base)] = number
            elif f.statistic == "pooled":
                into_pooled[EDGES.index(int(f.base[-1]))] = number
            else:
                into[NEIGHBOUR_STATISTICS.index(f.statistic), at[f.base] - first] = number
        pooling = (into_pooled >= 0).any()
        lists[x] = ListPlan(
            first, into,
            np.array([at[f"voronoi_idx_{k}"] for k in EDGES] if pooling else [], np.int32),
            into_pooled if pooling else into_pooled[:0],
            np.array([at.get(n, -1) for n in _boop_columns(x)], np.int32), coarse,
            np.array([[at.get(f"{what}_{e.lower()}_{x}", -1) for e in elements]
                      for what in ("number", "comp", "csro")], np.int32))
    shells = _shells([f for f in everything if f.order not in ("SRO", "MRO")], elements)
    return Plan(names, columns, _sources(FACET_COLUMNS, at), _sources(NEAR_COLUMNS, at),
                at.get("element_type"), tuple(_MEANS.get(known[n].units) for n in columns), lists,
                any(f.statistic not in ("", "coarse") for f in asked),
                shells, _shells_into(everything, shells),
                any(f.set.startswith("axial") for f in everything))


def _shells(asked, elements):
    kinds = {f.set.split("_")[0] for f in asked}
    if "axial" in kinds:
        kinds.add("density")             # one kernel makes both
    densities = tuple(f"{kind}_{e.lower()}_{k}" for kind in ("density", "axial") if kind in kinds
                      for e in elements for k in range(SPLINES))
    return densities + (VIBRATION if VIBRATION[0] in kinds else ())


def _shells_into(everything, shells):
    out = []
    for level in LEVELS:
        pairs = [(shells.index(f.base), k) for k, f in enumerate(everything)
                 if f.base in shells and f.statistic == level]
        out.append(np.array(pairs, np.int64).reshape(-1, 2).T)
    return tuple(out)


def _boop_columns(x):
    return [f"boop_{letter}{order}_{x}" for letter in "qw" for order in ORDERS]


def _sources(kernel_columns, at):
    pairs = [(k, at[name]) for k, name in enumerate(kernel_columns) if name in at]
    source, into = np.array(pairs, np.int32).reshape(-1, 2).T
    return np.ascontiguousarray(source), np.ascontiguousarray(into)
