"""All site features once more, in plain numpy from the raw facets: what the kernels must give.

Nothing here is shared with the catalogue, the planner or the kernels but the facets.  Bond order
comes without spherical harmonics.  With f(u) = (2 l + 1) / (4 pi) mean_j P_l(u . n_j) over an
atom's bonds n_j, the addition theorem gives  integral f^2 = sum_m |q_lm|^2  and
integral f^3 = sqrt((2 l + 1)^3 / 4 pi) (l l l; 0 0 0) W_l  over the sphere; both integrals are
exact sums over enough points.
"""
from math import factorial, pi

import numpy as np
from glasses import atoms_of, cells_of, facets_of
from scipy.sparse import csr_matrix, identity
from scipy.spatial import cKDTree

from lammps_mgml.geometry.cells import OPEN_RADIUS

ORDERS = (4, 6, 8, 10)


def spread(v):
    return {"mean": v.mean(), "std": v.std(), "min": v.min(), "max": v.max()}


def half_sphere():
    """(248, 3) points and their weights, exact over the sphere for even f up to degree 31."""
    z, weight = np.polynomial.legendre.leggauss(16)
    phi = 2 * pi * np.arange(31) / 31
    z, phi = (a.ravel() for a in np.meshgrid(z[8:], phi, indexing="ij"))
    s = np.sqrt(1 - z**2)
    return np.c_[s * np.cos(phi), s * np.sin(phi), z], np.repeat(2 * weight[8:] * 2 * pi / 31, 31)


POINTS, WEIGHTS = half_sphere()


def legendre(t):
    """P_4, P_6, P_8, P_10 of t."""
    before, here, out = np.ones_like(t), t, []
    for order in range(2, 11):
        before, here = here, ((2 * order - 1) * t * here - (order - 1) * before) / order
        if order in ORDERS:
            out.append(here)
    return np.stack(out)


def bond_functions(bonds, counts):
    """f (n, 4, points) of each atom's unit vectors ``bonds``, ``counts`` of them; NaN for none."""
    out = np.full((len(counts), len(ORDERS), len(POINTS)), np.nan)
    start = np.cumsum(counts) - counts
    for some in np.array_split(np.flatnonzero(counts), max(1, len(counts) // 50)):
        if len(some):
            rows = np.concatenate([np.arange(start[i], start[i] + counts[i]) for i in some])
            sums = np.add.reduceat(legendre(bonds[rows] @ POINTS.T),
                                   np.cumsum(counts[some]) - counts[some], axis=1)
            out[some] = (sums / counts[some, None]).swapaxes(0, 1)
    return out * ((2 * np.array(ORDERS) + 1) / (4 * pi))[:, None]


def invariants(f):
    """q_l and w_l (n, 4) of functions f (n, 4, points)."""
    q, w = np.empty((2, len(f), len(ORDERS)))
    for k, order in enumerate(ORDERS):
        square, cube = f[:, k]**2 @ WEIGHTS, f[:, k]**3 @ WEIGHTS
        half = order // 2
        wigner = ((-1)**(3 * half) * factorial(3 * half) / factorial(half)**3
                  * (factorial(order)**3 / factorial(3 * order + 1))**0.5)
        q[:, k] = np.sqrt(4 * pi / (2 * order + 1) * square)
        with np.errstate(invalid="ignore", divide="ignore"):
            w[:, k] = cube * (4 * pi / (2 * order + 1)**3)**0.5 / wigner / square**1.5
        w[square < 1e-14, k] = 0.0
    return q, w


def neighbour_lists(system, small_facet, near_cutoff):
    """(is_open, facets of each atom, near neighbours of each atom), small facets left out.

    Facets are areas, edges, distances, unit vectors, owners; neighbours the last three.
    """
    atoms, _ = atoms_of(system, OPEN_RADIUS, near_cutoff)
    cells, numbers = cells_of(system, OPEN_RADIUS, near_cutoff)
    centre, neighbour, area, edges, row = facets_of(cells, numbers)
    tree = cKDTree(atoms.positions)

    def bonds(i, j):
        d = atoms.positions[j] - atoms.positions[i]
        r = np.linalg.norm(d, axis=1)
        return r, d / r[:, None]
    facets, near = [], []
    for i, ball in enumerate(tree.query_ball_point(atoms.positions[:atoms.n_own],
                                                   1.01 * near_cutoff)):
        at = np.arange(*np.searchsorted(centre, [i, i + 1]))
        if len(at):
            at = at[area[at] >= small_facet * area[at].mean()]
        facets.append((area[at], edges[at], *bonds(i, cells.neighbour[row[at]]), neighbour[at]))
        j = np.array([k for k in ball if k != i], dtype=int)
        r, u = bonds(i, j)
        j, r, u = j[r < near_cutoff], r[r < near_cutoff], u[r < near_cutoff]
        near.append((r, u, numbers[j]))
    return cells.is_open.astype(bool), facets, near


def expected_features(system, elements=("Cu", "Zr"), small_facet=0.05, near_cutoff=4.0):
    """{name: (n,) array} of all features; NaN where undefined.  Empty if all cells are open."""
    is_open, facets, near = neighbour_lists(system, small_facet, near_cutoff)
    n = len(is_open)
    closed = np.flatnonzero(~is_open)
    if not len(closed):
        return {}
    lists = {"voro": [f[-1] for f in facets], "dist": [f[-1] for f in near]}
    share = [(system.types == e + 1).mean() for e in range(len(elements))]
    sro = {}

    def put(name, i, value):
        if name not in sro:
            sro[name] = np.full(n, np.nan)
        sro[name][i] = value

    for i in closed:
        area, edges, r, _, _ = facets[i]
        volume = area * r / 6
        kind = np.minimum(edges, 7)
        index = {k: (kind == k).sum() for k in range(3, 8)}
        put("cn_voro", i, len(area))
        put("cn_dist", i, len(near[i][0]))
        ico, z16 = ([index[k] for k in range(3, 8)] == [0, 0, 12, n6, 0] for n6 in (0, 4))
        put("motif_ico", i, ico)
        put("motif_z16", i, z16)
        put("motif_ico_or_z16", i, ico or z16)
        put("motif_polytetrahedral", i, 2 * index[4] + index[5] == 12)
        put("voronoi_area", i, area.sum())
        put("voronoi_volume", i, volume.sum())
        put("element_type", i, system.types[i] - 1)
        for k in range(3, 8):
            here = kind == k
            put(f"voronoi_idx_{k}", i, index[k])
            put(f"symm_{k}fold", i, index[k] / len(area))
            put(f"area_wt_symm_{k}fold", i, area[here].sum() / area.sum())
            put(f"vol_wt_symm_{k}fold", i, volume[here].sum() / volume.sum())
            for what, v in (("facet_area", area), ("subpoly_vol", volume)):
                put(f"{what}_sum_{k}fold", i, v[here].sum())
                for s, value in spread(v[here] if here.any() else np.zeros(1)).items():
                    put(f"{what}_{s}_{k}fold", i, value)
        for what, v in (("facet_area", area), ("subpoly_vol", volume), ("distance_voro", r),
                        ("distance_dist", near[i][0])):
            for s, value in spread(v if len(v) else np.full(1, np.nan)).items():
                put(f"{what}_{s}", i, value)
        for x, neighbours in lists.items():
            types = system.types[neighbours[i]]
            for e, element in enumerate(elements):
                number = (types == e + 1).sum()
                fraction = number / len(types) if len(types) else np.nan
                put(f"number_{element.lower()}_{x}", i, number)
                put(f"comp_{element.lower()}_{x}", i, fraction)
                put(f"csro_{element.lower()}_{x}", i,
                    fraction / share[e] - 1 if share[e] else np.nan)

    def pooled(values):
        values = np.concatenate([*values, []])
        return values.mean() if len(values) else np.nan
    means = {"facet_area": pooled(facets[i][0] for i in closed),
             "subpoly_vol": pooled(facets[i][0] * facets[i][2] / 6 for i in closed),
             "distance_voro": pooled(facets[i][2] for i in closed),
             "distance_dist": pooled(near[i][0] for i in closed)}
    means["voronoi_area"], means["voronoi_volume"] = means["facet_area"], means["subpoly_vol"]
    for name in sro:
        for prefix, mean in means.items():
            if name.startswith(prefix):
                sro[name] /= mean

    mro = {}
    for x, at in (("voro", 3), ("dist", 1)):
        bonds = [f[at] if not o else f[at][:0] for f, o in zip((facets, near)[x == "dist"], is_open)]
        counts = np.array([len(b) for b in bonds], dtype=int)
        f = bond_functions(np.concatenate([*bonds, np.empty((0, 3))]), counts)
        neighbours = [j if not o else j[:0] for j, o in zip(lists[x], is_open)]
        # an image of a neighbour counts as another neighbour: csr_matrix adds them up
        pairs = csr_matrix((np.ones(counts.sum()), np.concatenate([*neighbours, []]).astype(int),
                            np.r_[0, np.cumsum(counts)]), shape=(n, n))
        coarse = ((pairs + identity(n)) @ f.reshape(n, -1)).reshape(f.shape)
        coarse /= (counts + 1)[:, None, None]
        for out, form, values in ((sro, "boop_{}{}_{}", f), (mro, "boop_{}{}_cg_{}", coarse)):
            for letter, columns in zip("qw", invariants(values)):
                for order, column in zip(ORDERS, columns.T):
                    out[form.format(letter, order, x)] = column

    for x, neighbours in lists.items():
        names = [name for name in sro
                 if name != "element_type" and ("_dist" in name) == (x == "dist")]
        table = np.array([sro[name] for name in names]).T
        over = np.full((5, n, len(names)), np.nan)
        for i in closed:
            if len(neighbours[i]):
                v = table[neighbours[i]]
                over[:, i] = v.sum(0), v.mean(0), v.std(0), v.min(0), v.max(0)
        total, mean, *_ = over
        for k, name in enumerate(names):
            for s, column in zip(("sum", "mean", "std", "min", "max"), over[:, :, k]):
                if s in (("sum", "mean", "std") if name.startswith("motif")
                         else ("mean", "std", "min", "max")):
                    mro[f"{name}_{s}_nn"] = column
            if not name.startswith("motif"):
                mro[f"{name}_diff_nn"] = mean[:, k] - sro[name]
        if x == "voro":
            index = total[:, [names.index(f"voronoi_idx_{k}") for k in range(3, 8)]]
            for k, column in zip(range(3, 8), (index / index.sum(axis=1, keepdims=True)).T):
                mro[f"symm_{k}fold_avg_nn"] = column
    return {**sro, **mro}
