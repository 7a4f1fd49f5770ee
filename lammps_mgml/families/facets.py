"""Facets of an atom's Voronoi cell: how many of which kind, how large, how far across."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from .._kernels import sro as _sro
from ..geometry.cells import Cells
from ..system.arrays import AnyArray, Bytes, Floats, Int32s
from ..system.atoms import Atoms
from ..system.threads import threads
from .family import NEIGHBOURS, STATISTICS, WORDS, Family, Feature, Set, Work, ratio

EDGES = (3, 4, 5, 6, 7)        # classes of facets; the last one takes all with 7 edges or more
AREA, VOLUME = "mean facet area", "mean sub-polyhedron volume"
DISTANCE = "mean voro distance"
SIZES = (("facet_area", "facet_area_stats", AREA, "A", "area"),
         ("subpoly_vol", "subpoly_vol_stats", VOLUME, "V", "volume"))

# Columns of the kernel, in its order.
COLUMNS = (
    "cn_voro", *(f"voronoi_idx_{k}" for k in EDGES),
    "motif_ico", "motif_z16", "motif_polytetrahedral", "motif_ico_or_z16",
    "voronoi_area", "voronoi_volume", *(f"symm_{k}fold" for k in EDGES),
    *(f"{w}_wt_symm_{k}fold" for w in ("area", "vol") for k in EDGES),
    *(name for w in ("facet_area", "subpoly_vol") for name in (
        *(f"{w}_{s}" for s in STATISTICS),
        *(f"{w}_{s}_{k}fold" for k in EDGES for s in ("sum", *STATISTICS)))),
    *(f"distance_voro_{s}" for s in STATISTICS))


# A statistic of facets: one value for each closed cell.
Of = Callable[["FacetTable"], AnyArray]


def _edges(k: int) -> str:
    return f"{k} edges" if k < EDGES[-1] else f"{k} or more edges"


class Facets(Family):
    """The kernel also drops the small facets, for good, and sums what the means are made of."""

    order, stage, always = "SRO", "sro", True
    measure_reads = ("voro", "facets")
    sets = {
        "cn": Set("coordination numbers", STATISTICS, True),
        "voronoi_idx": Set("facets with 3, 4, 5, 6, 7 or more edges", STATISTICS, True),
        "motifs": Set("characteristic cells: icosahedron, Z16, polytetrahedral",
                      ("sum", "mean", "std")),   # no difference: the only reading that gives 623
        "voronoi_area_volume": Set("surface and volume of the cell", STATISTICS, True),
        "symm_idx": Set("fractions of 3- to 7-fold facets", STATISTICS, True),
        "weighted_symm_idx": Set("fractions of 3- to 7-fold facets, weighted by area and by volume",
                                 STATISTICS, True),
        "facet_area_stats": Set("statistics of facet areas, in all and by edges", STATISTICS, True),
        "subpoly_vol_stats": Set("statistics of the pyramids on the facets, in all and by edges",
                                 STATISTICS, True),
        "distance_stats": Set("statistics of distances to neighbours", STATISTICS, True),
        "avg_symm_idx_nn": Set("fractions of 3- to 7-fold facets, of all neighbours' facets "
                               "together")}

    def statistics(self) -> Iterator[tuple[Feature, Of | None]]:
        """(Feature, None or function) of each number of an atom's facets.

        To add one, yield it here.  None: a column of the kernel, of the same name.  A function is
        given a FacetTable and returns (n,) values in A, not yet divided by means.
        """
        site = partial(self.site, neighbours="voro")
        yield site("cn_voro", "cn", "count", f"number of {NEIGHBOURS['voro']}"), None
        for k in EDGES:
            yield site(f"voronoi_idx_{k}", "voronoi_idx", "count",
                       f"n_{k}, facets with {_edges(k)}"), None
        for name, text in (("ico", "<n3 .. n7> is <0,0,12,0,0>"),
                           ("z16", "<n3 .. n7> is <0,0,12,4,0>"),
                           ("polytetrahedral", "2 n4 + n5 = 12, whatever n3, n6, n7"),
                           ("ico_or_z16", "either of motif_ico and motif_z16")):
            yield site(f"motif_{name}", "motifs", "0/1", f"1 if {text}, else 0"), None
        yield site("voronoi_area", "voronoi_area_volume", AREA, "sum of A_ij / <A>",
                   mean="area"), None
        yield site("voronoi_volume", "voronoi_area_volume", VOLUME,
                   "sum of V_ij / <V>, V_ij = A_ij r_ij / 6", mean="volume"), None
        for k in EDGES:
            yield site(f"symm_{k}fold", "symm_idx", "fraction", f"n_{k} / (n_3 + ... + n_7)"), None
        for prefix, letter in (("area", "A"), ("vol", "V")):
            for k in EDGES:
                yield site(f"{prefix}_wt_symm_{k}fold", "weighted_symm_idx", "fraction",
                           f"share of the facets with {_edges(k)} in the sum of {letter}_ij"), None
        for prefix, group, units, letter, mean in SIZES:
            for s in STATISTICS:
                yield site(f"{prefix}_{s}", group, units,
                           f"{WORDS[s]} of {letter}_ij / <{letter}>, all facets", mean=mean), None
            for k in EDGES:
                for s in ("sum", *STATISTICS):
                    yield site(f"{prefix}_{s}_{k}fold", group, units,
                               f"{WORDS[s]} of {letter}_ij / <{letter}>, facets with {_edges(k)}; "
                               f"0 if there are none", mean=mean), None
        for s in STATISTICS:
            yield site(f"distance_voro_{s}", "distance_stats", DISTANCE,
                       f"{WORDS[s]} of r_ij / <r> to {NEIGHBOURS['voro']}",
                       mean="distance_voro"), None

    def features(self, elements: tuple[str, ...]) -> Iterator[Feature]:
        for feature, _ in self.statistics():
            yield feature
        for k in EDGES:
            yield Feature(f"symm_{k}fold_avg_nn", "avg_symm_idx_nn", "MRO", "fraction",
                          f"n_{k} summed over {NEIGHBOURS['voro']}, over the same sum of all facets",
                          f"voronoi_idx_{k}", "pooled", "voro",
                          among=tuple(f"voronoi_idx_{k}" for k in EDGES))

    def plan(self, at: dict[str, int], asked: dict[int, Feature],
             elements: tuple[str, ...]) -> tuple[tuple[Int32s, Int32s], list[tuple[int, Of]]]:
        functions = [(at[f.name], of) for f, of in self.statistics() if of and f.name in at]
        return kernel_columns(COLUMNS, at), functions

    def measure(self, work: Work, plan: Any, table: Floats) -> Floats:
        columns, functions = plan
        sums = facet_statistics(work.atoms, work.cells, work.parameters["small_facet"],
                                work.counted, columns, table)
        if functions:
            facets = FacetTable(work.atoms, work.cells)
            for k, of in functions:
                table[:work.atoms.n_own, k] = facets.by_atom(of)
        return sums

    def means(self, sums: Floats) -> dict[str, float]:
        area, facets, distance, volume = sums
        return {"area": ratio(area, facets), "volume": ratio(volume, facets),
                "distance_voro": ratio(distance, facets)}


def kernel_columns(names: Iterable[str], at: dict[str, int]) -> tuple[Int32s, Int32s]:
    """(source, into): numbers of the kernel's columns ``names`` and where ``at`` wants them."""
    pairs = [(k, at[name]) for k, name in enumerate(names) if name in at]
    source, into = np.array(pairs, np.int32).reshape(-1, 2).T
    return np.ascontiguousarray(source), np.ascontiguousarray(into)


def facet_statistics(atoms: Atoms, cells: Cells, small_facet: float, counted: Bytes,
                     columns: tuple[Int32s, Int32s], values: Floats) -> Floats:
    """Fill the columns (source, into) of ``values`` (n_rows, n), not normalised.

    Drops the small facets from ``cells`` for good (the paper's neighbours are those that remain).
    Returns sums over the atoms ``counted``: facet area, facets, their distances, their volume.
    """
    sums = np.zeros(4)
    _sro.facet_statistics(atoms.positions, cells.is_open, counted, cells.facet_start,
                          cells.facet_count, cells.neighbour, cells.area, cells.edges, small_facet,
                          *columns, values, sums, threads())
    return sums


class FacetTable:
    """The facets of all closed cells, one after the other, without the small ones.

    area (A^2), distance (A), volume (A^3), edges : (n_facets,).  ``sum``, ``mean``, ``min`` and
    ``max`` of such an array give one value for each closed cell.
    """

    def __init__(self, atoms: Atoms, cells: Cells) -> None:
        self._closed = np.flatnonzero(cells.is_open == 0)
        self._n_own = atoms.n_own
        self.count = cells.facet_count[self._closed].astype(np.int64)
        self._first = np.cumsum(self.count) - self.count
        row = np.arange(self.count.sum()) + np.repeat(
            cells.facet_start[self._closed] - self._first, self.count)
        centre = np.repeat(self._closed, self.count)
        bond = atoms.positions[cells.neighbour[row]] - atoms.positions[centre]
        self.area, self.edges = cells.area[row], cells.edges[row]
        self.distance = np.sqrt((bond * bond).sum(axis=1))
        self.volume = self.area * self.distance / 6.0

    def sum(self, values: AnyArray) -> AnyArray:
        return np.add.reduceat(values, self._first)

    def mean(self, values: AnyArray) -> AnyArray:
        return self.sum(values) / self.count

    def min(self, values: AnyArray) -> AnyArray:
        return np.minimum.reduceat(values, self._first)

    def max(self, values: AnyArray) -> AnyArray:
        return np.maximum.reduceat(values, self._first)

    def by_atom(self, of: Of) -> Floats:
        """(n_own,) values of the function ``of`` this table, NaN for open cells."""
        out = np.full(self._n_own, np.nan)
        if len(self._closed):
            out[self._closed] = of(self)
        return out
