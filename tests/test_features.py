"""The 13 site features against a plain reading of their definitions, and what must not matter."""
import numpy as np
import pytest
from glasses import (
    ALL, atoms_of, cells_of, crystal, facets_of, glass, liquid, random_system, replicated,
    rotation, sheared, slab,
)
from scipy.spatial import cKDTree

from lammps_mgml import featurize
from lammps_mgml.api import sites
from lammps_mgml.catalogue import SITE_COLUMNS, TABLE3
from lammps_mgml.cells import tessellate
from lammps_mgml.errors import InputError, MgmlError, OptionError
from lammps_mgml.pipeline import NO_FEATURES, OPEN_CELL, PARAMETERS
from lammps_mgml.sro import site_statistics

ZR = 2
SMALL, NEAR = 0.05, 4.0


def features_of(system, names="table3"):
    return featurize(system.positions, system.types, system.edges, system.pbc, features=names)


def sites_of(system):
    return sites(system.positions, system.types, system.edges, system.pbc, TABLE3, ("Cu", "Zr"),
                 PARAMETERS)


def expected_features(system):
    """Table 3 in numpy, atom by atom, from the raw facets; NaN for open cells and beside them."""
    atoms, owner = atoms_of(system)
    cells, numbers = cells_of(system)
    centre, neighbour, area, edges, row = facets_of(cells, numbers)
    r = np.linalg.norm(atoms.positions[cells.neighbour[row]] - atoms.positions[centre], axis=1)
    n = atoms.n_own
    balls = cKDTree(atoms.positions).query_ball_point(atoms.positions[:n], 1.01 * NEAR)
    sro = {name: np.full(n, np.nan) for name in SITE_COLUMNS}
    voro, dist = [], []
    pooled = {"facet_area": [], "distance_voro": [], "distance_dist": []}
    for i in range(n):
        at = np.arange(*np.searchsorted(centre, [i, i + 1]))
        at = at[area[at] >= SMALL * area[at].mean()] if len(at) else at
        a, e, d, j = area[at], edges[at], r[at], neighbour[at]
        near = np.array([k for k in balls[i] if k != i], dtype=int)
        d_near = np.linalg.norm(atoms.positions[near] - atoms.positions[i], axis=1)
        near, d_near = near[d_near < NEAR], d_near[d_near < NEAR]
        voro.append(j)
        dist.append(numbers[near])
        if cells.is_open[i]:
            continue
        sro["facet_area_std"][i] = a.std()
        sro["area_wt_symm_5fold"][i] = a[e == 5].sum() / a.sum()
        sro["distance_voro_std"][i] = d.std()
        sro["distance_voro_min"][i] = d.min()
        sro["number_zr_dist"][i] = (atoms.types[near] == ZR).sum()
        if len(near):
            sro["distance_dist_std"][i] = d_near.std()
            sro["distance_dist_min"][i] = d_near.min()
        for name, values in (("facet_area", a), ("distance_voro", d), ("distance_dist", d_near)):
            pooled[name].append(values)
    for name, values in sro.items():
        for prefix, parts in pooled.items():
            if name.startswith(prefix):
                values /= np.concatenate(parts).mean()
    out = np.empty((n, len(TABLE3)))
    for k, name in enumerate(TABLE3):
        if name in sro:
            out[:, k] = sro[name]
            continue
        base, stat = name[:-3].rsplit("_", 1)
        statistic = {"mean": np.mean, "min": np.min}[stat]
        lists = dist if "_dist" in base else voro
        out[:, k] = [statistic(sro[base][j]) if len(j) else np.nan for j in lists]
    return out


CONFIGURATIONS = {
    "glass": glass, "liquid": liquid, "slab": lambda: slab(liquid()),
    "triclinic": lambda: sheared(liquid(), 0.3, -0.2, 0.4),
    "small box": lambda: random_system(60, (6.5, 6.0, 7.0), seed=9),
    **{name: lambda name=name: crystal(name, 4, noise=1e-3) for name in ("fcc", "bcc", "hcp")},
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_features_are_those_of_the_definitions(name):
    system = CONFIGURATIONS[name]()
    found, expected = features_of(system), expected_features(system)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    assert (~np.isnan(found)).all(axis=1).mean() > (0.4 if name == "slab" else 0.999)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ["fcc", "hcp"])
def test_features_of_nearly_perfect_crystals(name):
    """Neighbours nearly as near as each other: a distance must not be lost in a rounded order."""
    system = crystal(name, 4, noise=1e-7)
    np.testing.assert_allclose(features_of(system), expected_features(system), rtol=0, atol=1e-12)


def test_every_feature_varies_in_a_glass():
    assert (features_of(glass()).std(axis=0) > 1e-3).all()


def turned(system):
    r = rotation()
    return system._replace(positions=system.positions @ r, edges=system.edges @ r)


def moved(system):
    return system._replace(positions=system.positions + [13.7, -101.1, 55.5])


def wound(system):
    """Every atom some whole boxes away from where it was."""
    boxes = np.random.default_rng(2).integers(-3, 4, system.positions.shape) * np.array(system.pbc)
    return system._replace(positions=system.positions + boxes @ system.edges)


def other_edges(system):
    """The same lattice of boxes, spanned by other vectors."""
    edges = system.edges.copy()
    edges[1] += edges[2]
    return system._replace(edges=edges)


@pytest.mark.parametrize("name", ["glass", "liquid", "triclinic", "slab", "fcc"])
@pytest.mark.parametrize("change", [turned, moved, wound, other_edges])
def test_features_do_not_depend_on_the_frame(name, change):
    system = CONFIGURATIONS[name]()
    if change is moved and name == "slab":
        change = lambda s: s._replace(positions=s.positions + [0, 13.7, -101.1])  # noqa: E731
    np.testing.assert_allclose(features_of(change(system)), features_of(system),
                               rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["glass", "slab"])
def test_features_do_not_depend_on_the_order_of_the_atoms(name):
    system = CONFIGURATIONS[name]()
    mixed = np.random.default_rng(6).permutation(len(system.positions))
    other = system._replace(positions=system.positions[mixed], types=system.types[mixed])
    np.testing.assert_allclose(features_of(other), features_of(system)[mixed], rtol=1e-10)


@pytest.mark.parametrize("name", ["liquid", "small box", "triclinic"])
@pytest.mark.parametrize("repeats", [(2, 1, 1), (1, 2, 3)])
def test_features_do_not_depend_on_periodic_replication(name, repeats):
    system = CONFIGURATIONS[name]()
    copies = np.prod(repeats)
    np.testing.assert_allclose(features_of(replicated(system, repeats)),
                               np.tile(features_of(system), (copies, 1)), rtol=1e-10, atol=1e-10)


def test_features_do_not_depend_on_the_scale():
    system = glass()
    larger = 1.01
    found = sites(system.positions * larger, system.types, system.edges * larger, ALL, TABLE3,
                  ("Cu", "Zr"), {**PARAMETERS, "near_cutoff": NEAR * larger})
    np.testing.assert_allclose(found.features, features_of(system), rtol=1e-10)


def test_small_facets_go_by_one_threshold_whatever_their_order():
    system = glass()
    atoms, owner = atoms_of(system)
    tables = []
    for seed in (None, 1, 2):
        cells = tessellate(atoms)
        rng = np.random.default_rng(seed)
        for start, count in zip(cells.facet_start, cells.facet_count):
            order = start + (rng.permutation(count) if seed else np.arange(count))
            row = slice(start, start + count)
            for values in (cells.neighbour, cells.area, cells.edges):
                values[row] = values[order]
        centre, _, area, *_ = facets_of(cells, np.arange(atoms.n_all))
        threshold = SMALL * np.bincount(centre, area) / np.bincount(centre)
        expected = np.bincount(centre, area >= threshold[centre]).astype(int)
        columns, sums = site_statistics(atoms, cells, ZR, SMALL)
        np.testing.assert_array_equal(cells.facet_count, expected)
        centre, neighbour, *_ = facets_of(cells, np.arange(atoms.n_all))
        tables.append((columns, sums, sorted(zip(centre.tolist(), neighbour.tolist()))))
    assert expected.sum() < 0.99 * len(area)
    for columns, sums, kept in tables[1:]:
        np.testing.assert_allclose(columns, tables[0][0], rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(sums, tables[0][1], rtol=1e-13)
        assert kept == tables[0][2]


def test_slab_lacks_features_only_at_its_faces():
    system = slab(glass())
    found = sites_of(system)
    undefined = np.isnan(found.features)
    # all of an atom's features or none: what lacks some is beside an open cell
    np.testing.assert_array_equal(found.flags & OPEN_CELL > 0, undefined[:, 0])
    np.testing.assert_array_equal(found.flags != 0, undefined.any(axis=1))
    assert set(np.unique(found.flags)) == {0, OPEN_CELL, NO_FEATURES}
    x = system.positions[:, 0]
    depth = np.minimum(x - x.min(), x.max() - x)
    assert not found.flags[depth > 10].any()
    assert (found.flags[depth < 1] == OPEN_CELL).all()
    # far from the faces an atom does not know of them, but for the means that normalise
    whole = sites_of(glass())
    deep = depth > 10
    number = TABLE3.index("number_zr_dist_mean_nn")
    np.testing.assert_array_equal(found.features[deep, number], whole.features[deep, number])
    ratio = found.features[deep, 0] / whole.features[deep, 0]
    np.testing.assert_allclose(ratio, whole.means.area / found.means.area, rtol=1e-10)
    np.testing.assert_array_equal(found.coordination[deep], whole.coordination[deep])


def test_a_gas_has_no_features():
    found = sites_of(random_system(5, 40.0, seed=8))
    assert np.isnan(found.features).all() and (found.flags == OPEN_CELL).all()


def test_features_come_in_the_order_asked_for():
    system = liquid()
    whole = features_of(system)
    names = ("distance_dist_min_min_nn", "facet_area_std", "facet_area_std_mean_nn")
    columns = [TABLE3.index(name) for name in names]
    np.testing.assert_array_equal(features_of(system, names), whole[:, columns])
    np.testing.assert_array_equal(features_of(system, ", ".join(names)), whole[:, columns])
    np.testing.assert_array_equal(features_of(system, "facet_area_std"), whole[:, :1])


def test_elements_choose_the_type_that_is_zirconium():
    system = liquid()
    swapped = featurize(system.positions, 3 - system.types, system.edges, elements=("Zr", "Cu"))
    np.testing.assert_array_equal(swapped, features_of(system))


def test_input_is_left_as_it_was():
    system = wound(liquid())
    before = system.positions.copy(), system.types.copy(), system.edges.copy()
    features_of(system)
    for a, b in zip(before, system):
        np.testing.assert_array_equal(a, b)


def call(positions=None, types=None, cell=(9.0, 9.0, 9.0), **options):
    system = random_system(40, 9.0, seed=3)
    x = system.positions if positions is None else positions(system.positions.copy())
    return featurize(x, system.types if types is None else types(system.types.copy()), cell,
                     **options)


def put(value, *at):
    def change(array):
        array[at] = value
        return array
    return change


@pytest.mark.parametrize("arguments, error, message", [
    ({"positions": lambda x: x[:, :2]}, InputError, r"positions must have shape \(n, 3\).*40, 2"),
    ({"positions": lambda x: x.ravel()}, InputError, r"positions must have shape.*120"),
    ({"positions": put(np.nan, 4, 1)}, InputError, "atom 5 of 40 .* not finite"),
    ({"positions": put(np.inf, 39, 0)}, InputError, "atom 40 of 40 .* not finite"),
    ({"positions": lambda x: x[np.r_[0:39, 0]]}, InputError, "id (1|40) .*same point"),
    ({"types": lambda t: t[:-1]}, InputError, r"types must have shape \(40,\)"),
    ({"types": put(0, 7)}, MgmlError, r"types must be 1 to 2 \(Cu, Zr\), found 0"),
    ({"types": put(3, 7)}, MgmlError, r"types must be 1 to 2 \(Cu, Zr\), found 1 to 3"),
    ({"cell": (9.0, 9.0)}, InputError, "cell must be 3 lengths or a 3 x 3 matrix"),
    ({"cell": np.zeros((3, 3))}, InputError, "no volume"),
    ({"cell": (9.0, np.nan, 9.0)}, InputError, "not finite"),
    ({"pbc": (True, True)}, InputError, "pbc 3 flags"),
    ({"features": "facet_area_sdt"}, OptionError, "facet_area_sdt.*table3.*facet_area_std"),
    ({"features": ("facet_area_std", "cn_voro")}, OptionError, "'cn_voro'"),
    ({"features": ()}, OptionError, "none given"),
])
def test_wrong_input_is_refused_with_its_cause(arguments, error, message):
    with pytest.raises(error, match=message):
        call(**arguments)
    assert call().shape == (40, 13)


def test_frozen_means_normalise_another_frame():
    system = glass()
    means = sites(system.positions, system.types, system.edges, ALL, TABLE3, ("Cu", "Zr"),
                  PARAMETERS).means
    larger = sites(1.01 * system.positions, system.types, 1.01 * system.edges, ALL,
                   ("facet_area_std",), ("Cu", "Zr"), PARAMETERS, means).features
    own = featurize(system.positions, system.types, system.edges, features="facet_area_std")
    np.testing.assert_allclose(larger, 1.01**2 * own, rtol=1e-10)


def test_types_must_be_whole_numbers():
    system = glass()
    with pytest.raises(InputError, match="whole numbers, found 1.5"):
        featurize(system.positions, system.types * 1.5, system.edges)
