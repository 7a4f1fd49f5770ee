"""All site features against a plain reading of their definitions, and what must not matter."""
import csv
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from glasses import (
    ALL,
    System,
    atoms_of,
    cells_of,
    crystal,
    facets_of,
    glass,
    liquid,
    moved,
    other_edges,
    random_system,
    replicated,
    rotation,
    sheared,
    slab,
    wound,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import ORDERS, expected_features, neighbour_lists
from scipy.special import eval_legendre, sph_harm_y

from lammps_mgml import featurize
from lammps_mgml.api import sites
from lammps_mgml.errors import InputError, InternalError, MgmlError, OptionError
from lammps_mgml.families.bond_order import bond_order
from lammps_mgml.families.facets import COLUMNS, facet_statistics
from lammps_mgml.features import TABLE3, catalogue, resolve, set_names
from lammps_mgml.geometry.cells import tessellate
from lammps_mgml.pipeline import NO_FEATURES, OPEN_CELL, PARAMETERS, Means, site_features
from lammps_mgml.system.atoms import periodic_atoms
from lammps_mgml.system.box import Box
from lammps_mgml.system.domain import WholeDomain

CUZR = ("Cu", "Zr")
FOUR = ("Cu", "Zr", "Al", "Ni")
SMALL, NEAR = PARAMETERS["small_facet"], PARAMETERS["near_cutoff"]


def names_of(features="all", elements=CUZR):
    return resolve(features, elements)


def features_of(system, names="all", elements=CUZR, **parameters):
    return sites_of(system, names, elements, **parameters).features


def sites_of(system, names="all", elements=CUZR, means=None, dtype=np.float64, **parameters):
    return sites(system.positions, system.types, system.edges, system.pbc,
                 names_of(names, elements), elements, {**PARAMETERS, **parameters}, means=means,
                 dtype=dtype)


def by_name(system, **options):
    elements = options.get("elements", CUZR)
    return dict(zip(names_of("all", elements), features_of(system, **options).T))


# Names, sets, units


FIXTURE = list(csv.DictReader((Path(__file__).parent / "catalogue.csv").open()))


def test_catalogue_is_the_published_one():
    """catalogue.csv was written from the paper's tables, not from the catalogue."""
    found = [{"name": f.name, "set": f.set, "order": f.order, "units": f.units}
             for f in catalogue()]
    assert found == FIXTURE
    assert all(f.definition for f in catalogue())


def test_sets_have_the_papers_sizes():
    short = {"cn": 2, "voronoi_idx": 5, "motifs": 4, "voronoi_area_volume": 2, "symm_idx": 5,
             "weighted_symm_idx": 10, "boop_q": 8, "boop_w": 8, "csro": 13,
             "facet_area_stats": 29, "subpoly_vol_stats": 29, "distance_stats": 8}
    medium = {"cn_stats_nn": 8, "voronoi_idx_stats_nn": 20, "motifs_stats_nn": 12,
              "voronoi_area_volume_stats_nn": 8, "avg_symm_idx_nn": 5, "symm_idx_stats_nn": 20,
              "weighted_symm_idx_stats_nn": 40, "boop_q_stats_nn": 32, "boop_w_stats_nn": 32,
              "boop_q_coarse": 8, "boop_w_coarse": 8, "csro_stats_nn": 48,
              "facet_area_stats_stats_nn": 116, "subpoly_vol_stats_stats_nn": 116,
              "distance_stats_stats_nn": 32, "structural_difference": 118}
    assert sum(short.values()) == 123 and sum(medium.values()) == 623
    assert set_names()[:28] == (*short, *medium)
    for name, size in {**short, **medium, "sro": 123, "mro": 623, "all": 746, "table3": 13}.items():
        assert len(resolve(name)) == size, name


@pytest.mark.parametrize("n_elements, n_features", [(1, 710), (2, 746), (3, 782), (4, 818)])
def test_names_for_other_numbers_of_elements(n_elements, n_features):
    elements = FOUR[:n_elements]
    names = names_of("all", elements)
    assert len(names) == len(set(names)) == n_features
    tiny = random_system(40, 7.0, seed=1)._replace(types=np.arange(40) % n_elements + 1)
    assert expected_features(tiny, elements).keys() == set(names)


# The definitions


def coloured(system, n_types, seed=4):
    """Types 1 .. n_types at random, the later ones rarer."""
    rng = np.random.default_rng(seed)
    types = np.minimum(rng.geometric(0.4, len(system.positions)), n_types)
    return system._replace(types=types.astype(np.int32))


def with_void():
    """A piece of glass with a hole: open cells that still have near neighbours with closed ones."""
    system, middle = glass(), np.array([32.0, 14.0, 18.0])
    d = system.positions - middle
    keep = (np.abs(d) < 11.0).all(axis=1) & (np.linalg.norm(d, axis=1) > 3.7)
    return System(d[keep] + 11.0, system.types[keep], np.eye(3) * 22.0)


def laves(repeats=2, a=7.2):
    """Cu2Zr of type C15: each Cu in an icosahedron, each Zr in a Z16 polyhedron."""
    fcc = np.array([(0, 0, 0), (0, .5, .5), (.5, 0, .5), (.5, .5, 0)])
    zr = np.array([(0, 0, 0), (.25, .25, .25)])
    cu = np.array([(5, 5, 5), (5, 7, 7), (7, 5, 7), (7, 7, 5)]) / 8
    x = np.concatenate([(cu[:, None] + fcc).reshape(-1, 3), (zr[:, None] + fcc).reshape(-1, 3)])
    cell = System(x % 1.0 * a, np.repeat([1, 2], [16, 8]).astype(np.int32), np.eye(3) * a)
    return replicated(cell, (repeats,) * 3)


def icosahedron(r=2.6):
    """An atom in its 12 neighbours, and nothing else."""
    golden = (1 + 5**0.5) / 2
    corner = np.array([(0, s, t * golden) for s in (1, -1) for t in (1, -1)])
    x = np.concatenate([np.zeros((1, 3)), *(np.roll(corner, k, axis=1) for k in range(3))])
    x *= r / np.sqrt(1 + golden**2)
    return System(x + 20.0, np.ones(13, np.int32), np.eye(3) * 40.0, (False,) * 3)


CONFIGURATIONS = {
    "glass": glass, "liquid": liquid, "slab": lambda: slab(liquid()),
    "triclinic": lambda: sheared(liquid(), 0.3, -0.2, 0.4),
    "small box": lambda: random_system(60, (9.0, 8.5, 9.5), seed=9),
    "one atom": lambda: sheared(random_system(1, (2.5, 2.6, 2.7), seed=9), 0.3, 0.2),
    "void": with_void, "laves": laves,
    **{name: lambda name=name: crystal(name, 4, noise=1e-3) for name in ("fcc", "bcc", "hcp")},
}


@cache
def configuration(name):
    return CONFIGURATIONS[name]()


def check(found, expected, elements=CUZR, atol=1e-12):
    """Every number, and NaN where there is none; w_l is a quotient of what may be small."""
    for name, values in zip(names_of("all", elements), found.T):
        np.testing.assert_array_equal(np.isnan(values), np.isnan(expected[name]), err_msg=name)
        np.testing.assert_allclose(values, expected[name], rtol=1e-11, err_msg=name,
                                   atol=1e3 * atol if "boop_w" in name else atol)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_features_are_those_of_the_definitions(name):
    system = configuration(name)
    found = features_of(system)
    check(found, expected_features(system))
    if name != "one atom":                   # one of the elements is missing
        complete = (~np.isnan(found)).all(axis=1).mean()
        assert complete > {"slab": 0.4, "void": 0.8}.get(name, 0.999)


@pytest.mark.parametrize("n_elements", [1, 3, 4])
def test_features_of_other_numbers_of_elements(n_elements):
    elements, system = FOUR[:n_elements], coloured(liquid(), n_elements)
    found = features_of(system, elements=elements)
    assert not np.isnan(found).any()
    check(found, expected_features(system, elements), elements)


def test_an_element_that_is_not_there_has_no_order():
    system, elements = configuration("small box"), FOUR[:3]
    found = sites_of(system, elements=elements)
    check(found.features, expected_features(system, elements), elements)
    lacking = np.isnan(found.features).all(axis=0)
    assert {n for n, gone in zip(names_of("all", elements), lacking) if gone} == {
        n for n in names_of("all", elements) if n.startswith("csro_al")}
    assert (found.flags == NO_FEATURES).all()
    names = [n for n in names_of("all", elements) if not n.startswith("csro_al")]
    assert not sites_of(system, names, elements).flags.any()


@pytest.mark.parametrize("small_facet, near_cutoff", [(0.0, 3.0), (0.3, 5.5), (0.05, 1.0)])
def test_features_follow_the_parameters(small_facet, near_cutoff):
    system = configuration("small box")
    found = features_of(system, small_facet=small_facet, near_cutoff=near_cutoff)
    check(found, expected_features(system, CUZR, small_facet, near_cutoff))
    alone = found[:, names_of().index("cn_dist")] == 0       # no near neighbour at all
    assert alone.any() == (near_cutoff == 1.0) and not alone.all()


@pytest.mark.parametrize("name", ["fcc", "hcp"])
def test_features_of_nearly_perfect_crystals(name):
    """Neighbours nearly as near as each other: a distance must not be lost in a rounded order."""
    system = crystal(name, 4, noise=1e-7)
    check(features_of(system), expected_features(system))


def test_features_vary_in_a_glass():
    """All but 16: any atom has a neighbour without a triangle, or with one heptagon at most."""
    constant = {n for n, values in zip(names_of(), usual("glass").T) if np.ptp(values) == 0}
    least = [n for n in names_of() if n.endswith("min_nn")]
    assert constant == {n for n in least if "3fold" in n or "idx_3" in n} | {
        n for n in least if "std_7fold" in n}
    assert len(constant) == 16


@st.composite
def small_systems(draw):
    """(System, elements): 1 to 64 sites of a lattice, disturbed, some empty, in a box of any tilt.

    Covers crystals with vacancies, clusters, slabs, wires and gases.
    """
    mesh = np.array(draw(st.sampled_from([(1, 1, 1), (4, 4, 4), (1, 2, 3), (3, 3, 3), (2, 2, 2),
                                          (4, 4, 1), (4, 3, 4), (2, 3, 4), (1, 1, 4)])))
    spacing = draw(st.sampled_from([2.1, 2.3, 2.55, 2.9]))
    noise = draw(st.sampled_from([0.0, 1e-6, 0.05, 0.25]))
    filled = draw(st.sampled_from([1.0, 0.95, 0.85, 0.4]))
    tilts = draw(st.tuples(*[st.floats(-0.5, 0.5)] * 3))
    pbc = draw(st.sampled_from([ALL, (False, True, True), ALL, (True, False, False), ALL,
                                (False,) * 3]))
    elements = FOUR[:draw(st.sampled_from([2, 1, 3, 4]))]
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    x = np.stack(np.meshgrid(*map(np.arange, mesh), indexing="ij"), axis=-1).reshape(-1, 3)
    keep = rng.random(len(x)) < filled
    keep[rng.integers(len(x))] = True
    x = (x[keep] + 0.3 + rng.uniform(-noise, noise, (keep.sum(), 3))) * spacing
    system = System(x, rng.integers(1, len(elements) + 1, len(x)).astype(np.int32),
                    np.diag(mesh * spacing), pbc)
    return sheared(system, *tilts), elements


@settings(max_examples=60, deadline=None, derandomize=True)
@given(small_systems())
def test_features_of_any_small_system(case):
    system, elements = case
    found, expected = sites_of(system, elements=elements), expected_features(system, elements)
    is_open = cells_of(system)[0].is_open.astype(bool)
    if not expected:                         # no closed cell at all
        expected = dict.fromkeys(names_of("all", elements), np.full(len(is_open), np.nan))
        assert is_open.all()
    check(found.features, expected, elements)
    assert np.isnan(found.features[is_open]).all()
    assert not np.isinf(found.features).any()
    lacking = np.isnan(found.features).any(axis=1)
    np.testing.assert_array_equal(
        found.flags, np.where(is_open, OPEN_CELL, np.where(lacking, NO_FEATURES, 0)))
    number = names_of("all", elements).index("cn_voro")
    np.testing.assert_array_equal(found.coordination[~is_open], found.features[~is_open, number])


# Known answers


KNOWN = {                                    # l = 4, 6, 8, 10
    "icosahedron": ((0.0, .663325, 0.0, .362951), (0.0, -.169754, 0.0, -.093968)),
    "fcc": ((.190941, .574524, .403915, .012857), (-.159317, -.013161, .058455, -.090130)),
    "bcc": ((.036370, .510688, .429322, .195191), (.159317, .013161, .058455, -.090130)),
}


@pytest.mark.parametrize("name, neighbours, coarse", [
    ("icosahedron", 12, ""), ("fcc", 12, ""), ("fcc", 12, "cg_"), ("bcc", 14, ""),
    ("bcc", 14, "cg_")])
@pytest.mark.parametrize("x", ["voro", "dist"])
def test_bond_order_of_known_shells(name, neighbours, coarse, x):
    if name == "icosahedron":                # its neighbours have no cells
        found = {key: values[:1] for key, values in by_name(icosahedron()).items()}
    else:
        found = by_name(crystal(name, 4, noise=1e-9), near_cutoff=3.0 if name == "fcc" else NEAR)
    assert (found[f"cn_{x}"] == neighbours).all()
    for letter, values in zip("qw", KNOWN[name]):
        for order, value in zip(ORDERS, values):
            np.testing.assert_allclose(found[f"boop_{letter}{order}_{coarse}{x}"], value, rtol=0,
                                       atol=6e-7, err_msg=f"{letter}{order}")


def test_an_icosahedron_in_empty_space():
    found = sites_of(icosahedron())
    names = names_of()
    centre = dict(zip(names, found.features[0]))
    assert [centre[f"voronoi_idx_{k}"] for k in range(3, 8)] == [0, 0, 12, 0, 0]
    assert centre["motif_ico"] == centre["motif_polytetrahedral"] == 1 and centre["motif_z16"] == 0
    # w_4 and w_8 are quotients of zeros
    assert centre["boop_w4_voro"] == centre["boop_w8_dist"] == 0
    assert centre["facet_area_mean"] == pytest.approx(1) == centre["distance_dist_max"]
    # its neighbours are open: what needs them is undefined
    assert [n for n in names if np.isnan(centre[n])] == [
        n for n in names if n.endswith("_nn") or "_cg_" in n or n.startswith("csro_zr")]
    assert found.flags.tolist() == [NO_FEATURES] + 12 * [OPEN_CELL]


def test_a_laves_phase_by_hand():
    """Cu has 6 Cu and 6 Zr, Zr has 12 Cu and 4 Zr; c is 2/3 and 1/3."""
    system = laves()
    zr = system.types == 2
    found = by_name(system)
    expected = {                             # at Cu, at Zr
        **{f"voronoi_idx_{k}": (0, 0) for k in (3, 4, 7)}, "voronoi_idx_5": (12, 12),
        "voronoi_idx_6": (0, 4), "cn_voro": (12, 16), "cn_dist": (12, 16),
        "motif_ico": (1, 0), "motif_z16": (0, 1), "motif_ico_or_z16": (1, 1),
        "motif_polytetrahedral": (1, 1), "motif_ico_sum_nn": (6, 12),
        "motif_z16_mean_nn": (0.5, 0.25), "motif_z16_std_nn": (0.5, 3**.5 / 4),
        "motif_polytetrahedral_std_nn": (0, 0),
        "symm_5fold": (1, 0.75), "symm_5fold_mean_nn": (0.875, 15 / 16),
        "symm_5fold_avg_nn": (144 / 168, 192 / 208), "symm_6fold_max_nn": (0.25, 0.25),
        "cn_voro_diff_nn": (2, -3), "cn_dist_std_nn": (2, 3**.5),
        "number_zr_voro": (6, 4), "comp_cu_dist": (0.5, 0.75), "csro_zr_voro": (0.5, -0.25),
        "csro_cu_dist": (-0.25, 0.125), "csro_zr_dist_min_nn": (-0.25, -0.25),
        "element_type": (0, 1),
        # edges of sqrt(2) a / 4, sqrt(11) a / 8 and sqrt(3) a / 4
        "distance_voro_min_diff_nn": ((11**.5 - 8**.5) / 2, -0.75 * (11**.5 - 8**.5)),
    }
    mean = np.mean(16 * [8**.5] * 6 + 16 * [11**.5] * 12 + 8 * [12**.5] * 4)
    expected["distance_voro_min_diff_nn"] = tuple(
        v / mean for v in expected["distance_voro_min_diff_nn"])
    for name, (at_cu, at_zr) in expected.items():
        np.testing.assert_allclose(found[name], np.where(zr, at_zr, at_cu), rtol=1e-11, atol=1e-11,
                                   err_msg=name)


def test_bcc_counts_as_polytetrahedral():
    """<0,6,0,8,0>: the rule asks for 2 n4 + n5 = 12 and nothing else."""
    found = by_name(crystal("bcc", 4))
    assert [np.unique(found[f"voronoi_idx_{k}"]).tolist() for k in range(3, 8)] == [
        [0], [6], [0], [8], [0]]
    assert (found["motif_polytetrahedral"] == 1).all() and not found["motif_ico_or_z16"].any()


@pytest.mark.parametrize("name", ["glass", "triclinic"])
def test_raw_facets_close_the_cells(name):
    system = configuration(name)
    atoms, _ = atoms_of(system)
    cells, owner = cells_of(system)
    centre, _, area, edges, row = facets_of(cells, owner)
    # Euler: sum of (6 - e) over the facets is 12; a sliver below 1e-9 of the surface is left out
    whole = np.bincount(centre, 6 - edges.astype(int)) == 12
    assert whole.mean() > 0.998
    r = np.linalg.norm(atoms.positions[cells.neighbour[row]] - atoms.positions[centre], axis=1)
    np.testing.assert_allclose(np.bincount(centre, area * r / 6), cells.volume, rtol=1e-8)
    raw = sites_of(system, "voronoi_volume", means=Means(composition=(0.5, 0.5)), small_facet=0.0)
    assert raw.features.sum() == pytest.approx(system.volume, rel=1e-9)


# Other programs


def bonds_of(system):
    """For voro and dist: (offsets, owners, distances, unit vectors) of all neighbours."""
    is_open, *lists = neighbour_lists(system, SMALL, NEAR)
    assert not is_open.any()
    for x, neighbours in zip(("voro", "dist"), lists):
        *_, r, u, owner = zip(*neighbours)
        yield (x, np.r_[0, np.cumsum([len(v) for v in r])],
               *(np.concatenate(values) for values in (owner, r, u)))


@pytest.mark.parametrize("name", ["liquid", "triclinic", "small box"])
def test_bond_order_is_that_of_pyscal(name):
    pyscal = pytest.importorskip("pyscal3", reason="not run: pyscal3 is not installed")
    from ase import Atoms

    system = configuration(name)
    found = by_name(system)
    for x, offsets, neighbour, _, u in bonds_of(system):
        atoms = Atoms("Cu" * len(system.positions), system.positions, cell=system.edges, pbc=True)
        atoms.info.update({
            "pyscal_neighbors_found": True, "pyscal_bond_offsets": offsets,
            "pyscal_bond_neighbors": neighbour, "pyscal_bond_weight": np.ones(len(u)),
            "pyscal_bond_theta": np.arccos(u[:, 2]),
            "pyscal_bond_phi": np.arctan2(u[:, 1], u[:, 0])})
        for average in (False, True):
            q = pyscal.steinhardt_parameter(atoms, ORDERS, averaged=average)
            w = pyscal.wigner_w_parameter(atoms, ORDERS, averaged=average)
            for letter, values in (("q", q), ("w", w)):
                for order, theirs in zip(ORDERS, values):
                    ours = found[f"boop_{letter}{order}_{'cg_' * average}{x}"]
                    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-10)


def test_bond_order_is_that_of_freud():
    """In single precision; freud averages over the neighbours and the atom, as we do."""
    freud = pytest.importorskip("freud", reason="not run: freud is not installed")
    system = configuration("liquid")
    found, n = by_name(system), len(system.positions)
    length = system.edges[0, 0]
    for x, offsets, neighbour, r, u in bonds_of(system):
        counts = np.diff(offsets)
        pairs = freud.locality.NeighborList.from_arrays(
            n, n, np.repeat(np.arange(n), counts), neighbour, r[:, None] * u)
        for average in (False, True):
            for order in ORDERS:
                for letter in "qw":
                    theirs = freud.order.Steinhardt(order, average=average, wl=letter == "w",
                                                    wl_normalize=letter == "w")
                    theirs.compute((freud.box.Box.cube(length), system.positions - length / 2),
                                   neighbors=pairs)
                    np.testing.assert_allclose(
                        found[f"boop_{letter}{order}_{'cg_' * average}{x}"],
                        theirs.particle_order, rtol=1e-4, atol=3e-5)


def test_bond_order_obeys_the_addition_theorem():
    """q_l^2 = mean over pairs of bonds of P_l(cos of their angle)."""
    system = configuration("liquid")
    found = by_name(system)
    for x, offsets, _, _, u in bonds_of(system):
        for i in range(0, len(system.positions), 7):
            cosine = u[offsets[i]:offsets[i + 1]] @ u[offsets[i]:offsets[i + 1]].T
            for order in ORDERS:
                assert found[f"boop_q{order}_{x}"][i]**2 == pytest.approx(
                    eval_legendre(order, cosine).mean(), abs=1e-14, rel=1e-12)


@pytest.mark.parametrize("count", range(1, 10))
def test_spherical_harmonics_of_any_bonds(count):
    """The q_lm, for bonds along the axes too: an azimuth of atan(0 / 0) would be none."""
    rng = np.random.default_rng(count)
    u = rng.normal(size=(40, count, 3))
    u[:6, 0] = np.concatenate([np.eye(3), -np.eye(3)])
    u /= np.linalg.norm(u, axis=-1, keepdims=True)
    x = np.concatenate([np.zeros((40, 3)), (2.7 * u).reshape(-1, 3)])
    qlm = bond_order(SimpleNamespace(positions=x), SimpleNamespace(is_open=np.zeros(40, np.uint8)),
                     (np.arange(40) * count, np.full(40, count, np.int32),
                      np.arange(40, len(x), dtype=np.int32)), 40)
    theta, phi = np.arccos(u[..., 2]), np.arctan2(u[..., 1], u[..., 0])
    expected = np.stack([sph_harm_y(order, m, theta, phi).mean(axis=1)
                         for order in ORDERS for m in range(order + 1)], axis=1)
    np.testing.assert_allclose(qlm, np.c_[expected.real, expected.imag], rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["glass", "liquid", "triclinic", "bcc", "laves"])
def test_voronoi_indices_are_those_of_ovito(name):
    pytest.importorskip("ovito", reason="not run: ovito is not installed")
    from ovito.data import DataCollection
    from ovito.modifiers import VoronoiAnalysisModifier
    from ovito.pipeline import Pipeline, StaticSource

    system = configuration(name)
    data = DataCollection()
    data.create_particles(count=len(system.positions)).create_property(
        "Position", data=system.positions)
    data.create_cell(np.c_[system.edges.T, np.zeros(3)], pbc=system.pbc)
    pipeline = Pipeline(source=StaticSource(data=data))
    pipeline.modifiers.append(VoronoiAnalysisModifier(
        compute_indices=True, use_radii=False, edge_threshold=0.0, face_threshold=0.0,
        relative_face_threshold=0.0))
    index = pipeline.compute().particles["Voronoi Index"][:]       # facets of 1, 2, ... edges
    theirs = np.c_[index[:, 2:6], index[:, 6:].sum(axis=1)]
    ours = features_of(system, "voronoi_idx", small_facet=0.0)
    # a sliver below 1e-9 of the surface is no facet here
    assert (ours == theirs).all(axis=1).mean() > 0.998


# What must not matter


def turned(system):
    r = rotation()
    return system._replace(positions=system.positions @ r, edges=system.edges @ r)


def same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@cache
def usual(name):
    return features_of(configuration(name))


@pytest.mark.parametrize("name", ["glass", "liquid", "triclinic", "slab", "void", "fcc"])
@pytest.mark.parametrize("change", [turned, moved, wound, other_edges])
def test_features_do_not_depend_on_the_frame(name, change):
    same(features_of(change(configuration(name))), usual(name))


@pytest.mark.parametrize("name", ["glass", "slab", "void"])
def test_features_do_not_depend_on_the_order_of_the_atoms(name):
    system = configuration(name)
    mixed = np.random.default_rng(6).permutation(len(system.positions))
    other = system._replace(positions=system.positions[mixed], types=system.types[mixed])
    same(features_of(other), usual(name)[mixed])


@pytest.mark.parametrize("name", ["liquid", "small box", "triclinic", "slab"])
@pytest.mark.parametrize("repeats", [(2, 1, 1), (1, 2, 3)])
def test_features_do_not_depend_on_periodic_replication(name, repeats):
    system = configuration(name)
    if not all(system.pbc):
        repeats = (1, *repeats[:0:-1])
    same(features_of(replicated(system, repeats)), np.tile(usual(name), (np.prod(repeats), 1)))


@pytest.mark.parametrize("name", ["glass", "slab"])
def test_features_do_not_depend_on_the_scale(name):
    system, larger = configuration(name), 1.01
    other = system._replace(positions=system.positions * larger, edges=system.edges * larger)
    same(features_of(other, near_cutoff=NEAR * larger,
                     open_radius=PARAMETERS["open_radius"] * larger), usual(name))


def test_elements_have_no_order():
    """Other numbers of the types, and the elements to match: only the label changes."""
    system = liquid()
    swapped = by_name(system._replace(types=3 - system.types), elements=("Zr", "Cu"))
    for name, values in by_name(system).items():
        np.testing.assert_array_equal(swapped[name],
                                      1 - values if name == "element_type" else values)


def test_small_facets_go_by_one_threshold_whatever_their_order():
    system = glass()
    atoms, owner = atoms_of(system)
    every = np.arange(len(COLUMNS), dtype=np.int32)
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
        columns = np.zeros((atoms.n_own, len(every)))
        sums = facet_statistics(atoms, cells, SMALL, np.ones(atoms.n_own, np.uint8),
                                (every, every), columns)
        np.testing.assert_array_equal(cells.facet_count, expected)
        centre, neighbour, *_ = facets_of(cells, np.arange(atoms.n_all))
        tables.append((columns, sums, sorted(zip(centre.tolist(), neighbour.tolist()))))
    assert expected.sum() < 0.99 * len(area)
    for columns, sums, kept in tables[1:]:
        np.testing.assert_allclose(columns, tables[0][0], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(sums, tables[0][1], rtol=1e-13)
        assert kept == tables[0][2]


def test_input_is_left_as_it_was():
    system = wound(liquid())
    before = system.positions.copy(), system.types.copy(), system.edges.copy()
    features_of(system)
    for a, b in zip(before, system):
        np.testing.assert_array_equal(a, b)


# What follows from what


EDGES = range(3, 8)
DEPENDENCES = {
    "ico or z16": lambda f: [(f["motif_ico_or_z16"], f["motif_ico"] + f["motif_z16"])],
    "facets by edges": lambda f: [(f["cn_voro"], sum(f[f"voronoi_idx_{k}"] for k in EDGES)),
                                  *((f[f"symm_{k}fold"], f[f"voronoi_idx_{k}"] / f["cn_voro"])
                                    for k in EDGES)],
    "numbers": lambda f: [(f[f"number_cu_{x}"] + f[f"number_zr_{x}"], f[f"cn_{x}"])
                          for x in ("voro", "dist")],
    "fractions": lambda f: [(f[f"comp_cu_{x}"] + f[f"comp_zr_{x}"], 1.0) for x in ("voro", "dist")]
    + [(f[f"comp_{e}_{x}"] * f[f"cn_{x}"], f[f"number_{e}_{x}"])
       for e in ("cu", "zr") for x in ("voro", "dist")],
    "order is affine in the fraction": lambda f: [
        (f[f"comp_{e}_{x}"], c * (1 + f[f"csro_{e}_{x}"]))
        for e, c in (("cu", np.mean(f["element_type"] == 0)), ("zr", np.mean(f["element_type"])))
        for x in ("voro", "dist")],
    "sums over facets": lambda f: [
        pair for whole, what in (("voronoi_area", "facet_area"), ("voronoi_volume", "subpoly_vol"))
        for pair in ((f[whole], f[f"{what}_mean"] * f["cn_voro"]),
                     (f[whole], sum(f[f"{what}_sum_{k}fold"] for k in EDGES)),
                     *((f[f"{what}_sum_{k}fold"],
                        f[f"{what}_mean_{k}fold"] * f[f"voronoi_idx_{k}"]) for k in EDGES))],
    "weighted symmetry": lambda f: [
        (f[f"{w}_wt_symm_{k}fold"], f[f"{what}_sum_{k}fold"] / f[whole])
        for w, what, whole in (("area", "facet_area", "voronoi_area"),
                               ("vol", "subpoly_vol", "voronoi_volume")) for k in EDGES]
    + [(sum(f[f"{w}_wt_symm_{k}fold"] for k in EDGES), 1.0) for w in ("area", "vol")],
    "differences": lambda f: [(f[n], f[n[:-8] + "_mean_nn"] - f[n[:-8]])
                              for n in f if n.endswith("_diff_nn")],
    "neighbours of a motif": lambda f: [
        pair for n in f if n.startswith("motif") and n.endswith("_sum_nn")
        for pair in ((f[n], f[n[:-7] + "_mean_nn"] * f["cn_voro"]),
                     (f[n[:-7] + "_std_nn"]**2,
                      f[n[:-7] + "_mean_nn"] * (1 - f[n[:-7] + "_mean_nn"])))],
    "pooled symmetry": lambda f: [
        (f[f"symm_{k}fold_avg_nn"] * f["cn_voro_mean_nn"], f[f"voronoi_idx_{k}_mean_nn"])
        for k in EDGES],
    "the nearest atom shares a facet": lambda f: [
        tuple(f[f"distance_{x}_min"] / f[f"distance_{x}_min"][0] for x in ("voro", "dist"))],
    "the mean over all pairs is the unit": lambda f: [
        (np.sum(f[mean] * f[cn]), np.sum(f[cn])) for mean, cn in (
            ("facet_area_mean", "cn_voro"), ("subpoly_vol_mean", "cn_voro"),
            ("distance_voro_mean", "cn_voro"), ("distance_dist_mean", "cn_dist"))],
}


@pytest.mark.parametrize("name", ["glass", "liquid"])
@pytest.mark.parametrize("rule", DEPENDENCES)
def test_exact_dependences(rule, name):
    pairs = DEPENDENCES[rule](dict(zip(names_of(), usual(name).T)))
    assert len(pairs) == {"differences": 118, "neighbours of a motif": 8}.get(rule, len(pairs)) > 0
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", ["glass", "slab"])
def test_statistics_are_in_order(name):
    f = dict(zip(names_of(), usual(name).T))
    triples = 0
    for n in f:
        own = "_nn" not in n and "_std" in n
        at = n.rfind("_std")
        if not (own or n.endswith("_std_nn")) or n.startswith("motif"):
            continue
        least, mean, most = (f[n[:at] + s + n[at + 4:]] for s in ("_min", "_mean", "_max"))
        ok = ~np.isnan(f[n])
        assert (least <= mean + 1e-12)[ok].all() and (mean <= most + 1e-12)[ok].all(), n
        assert ((f[n] >= 0) & (f[n] <= (most - least) / 2 + 1e-12))[ok].all(), n
        triples += 1
    assert triples == 12 + 2 + 118           # of facets and of distances; of 118 over neighbours


# The planner


@pytest.mark.parametrize("pbc", [ALL, (False, True, True)])
def test_each_feature_alone_is_the_same_number(pbc):
    system = crystal("bcc", 4, noise=0.3, seed=5)._replace(pbc=pbc)
    whole = features_of(system)
    assert np.isnan(whole).any() == (pbc != ALL)
    assert (~np.isnan(whole)).any(axis=0).all()
    for name, values in zip(names_of(), whole.T):
        found = sites_of(system, name)
        np.testing.assert_array_equal(found.features[:, 0], values, err_msg=name)
        np.testing.assert_array_equal(found.flags != 0, np.isnan(values), err_msg=name)


def test_each_set_alone_is_the_same_numbers():
    system = slab(liquid())
    whole = dict(zip(names_of(), features_of(system).T))
    for name in (*set_names()[:28], "sro", "mro", "table3"):
        expected = np.stack([whole[n] for n in resolve(name)], axis=1)
        np.testing.assert_array_equal(features_of(system, name), expected, err_msg=name)


def test_features_come_in_the_order_asked_for():
    system = liquid()
    whole = dict(zip(names_of(), features_of(system).T))
    mixed = np.random.default_rng(3).permutation(names_of())
    for names in (mixed, mixed[:200], mixed[200:210], ("boop_w4_cg_dist", "cn_voro")):
        expected = np.stack([whole[n] for n in names], axis=1)
        np.testing.assert_array_equal(features_of(system, names), expected)
        np.testing.assert_array_equal(features_of(system, ", ".join(names)), expected)
    assert resolve("table3") == TABLE3
    # a name that comes twice is given once, at its first place
    assert resolve("cn_voro,cn,cn_voro,table3,facet_area_std") == ("cn_voro", "cn_dist", *TABLE3)


@pytest.mark.parametrize("name", ["liquid", "slab"])
def test_single_precision_is_the_rounded_double(name):
    found = sites_of(configuration(name), dtype=np.float32).features
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, usual(name).astype(np.float32))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("names", ["all", "boop_q,boop_w_coarse", "csro", "symm_3fold_avg_nn"])
def test_memory_is_written_before_it_is_read(names, monkeypatch):
    """Fresh memory holds anything: here what NumPy complains of as soon as it is touched."""
    system = liquid()
    expected = features_of(system, names)
    empty = np.empty

    def poisoned(*args, **options):
        out = empty(*args, **options)
        if out.dtype == np.float64:
            out.view(np.uint64)[...] = 0x7FF4000000000001      # a NaN that signals
        return out
    monkeypatch.setattr(np, "empty", poisoned)
    np.testing.assert_array_equal(features_of(system, names), expected)


# Means, surfaces, wrong input


def test_frozen_means_normalise_another_frame():
    system, larger = glass(), 1.01
    means = sites_of(system, "table3").means
    other = system._replace(positions=system.positions * larger, edges=system.edges * larger)
    found = sites_of(other, means=means, near_cutoff=NEAR * larger)
    assert found.means == means
    power = np.array([2 if "area" in row["units"] else 3 if "volume" in row["units"] else
                      1 if "distance" in row["units"] else 0 for row in FIXTURE])
    assert np.bincount(power).tolist() == [338, 48, 180, 180]
    np.testing.assert_allclose(found.features, larger**power * usual("glass"), rtol=1e-9,
                               atol=1e-9)


def test_slab_lacks_features_only_at_its_faces():
    system = slab(glass())
    found = sites_of(system, "table3")
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
    whole = sites_of(glass(), "table3")
    deep = depth > 10
    number = TABLE3.index("number_zr_dist_mean_nn")
    np.testing.assert_array_equal(found.features[deep, number], whole.features[deep, number])
    ratio = found.features[deep, 0] / whole.features[deep, 0]
    np.testing.assert_allclose(ratio, whole.means.area / found.means.area, rtol=1e-10)
    np.testing.assert_array_equal(found.coordination[deep], whole.coordination[deep])


@pytest.mark.parametrize("name", ["slab", "void"])
def test_open_cells_have_no_features_at_all(name):
    found = sites_of(configuration(name))
    is_open = found.flags == OPEN_CELL
    assert 0 < is_open.sum() < len(is_open)
    assert np.isnan(found.features[is_open]).all()


def test_a_gas_has_no_features():
    pairs = random_system(5, 40.0, seed=8)
    x = np.concatenate([pairs.positions, pairs.positions + [0.0, 3.0, 3.0]])
    found = sites_of(pairs._replace(positions=x, types=np.tile(pairs.types, 2)))
    assert np.isnan(found.features).all() and (found.flags == OPEN_CELL).all()


@pytest.mark.parametrize("reach, periodic", [(4.5, ALL), (4.5, (True, True, False))])
def test_too_few_images_are_found_by_the_volume(reach, periodic):
    """Cells cut by too few atoms are too large; where a cell is open or a face free, they may be."""
    system = configuration("liquid")._replace(pbc=periodic)
    atoms, owner = periodic_atoms(system.positions, system.types,
                                  Box.make(system.edges, system.pbc), reach)
    domain = WholeDomain(owner, atoms.n_own)
    if all(periodic):
        with pytest.raises(InternalError, match="volumes add up to 1[.]0[0-9]* of the box"):
            site_features(atoms, domain, ("cn_voro",), CUZR)
    else:
        assert (site_features(atoms, domain, ("cn_voro",), CUZR).flags == OPEN_CELL).any()


def test_inputs_that_no_feature_knows_are_refused():
    system = configuration("small box")
    with pytest.raises(OptionError, match="unknown input laod: there are load, msd"):
        sites(system.positions, system.types, system.edges, system.pbc, ("cn_voro",), CUZR, laod="z")
    with pytest.raises(OptionError, match="unknown parameter laod"):
        featurize(system.positions, system.types, system.edges, features="cn_voro", laod="z")


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
    ({"types": lambda t: (t + 1) / 2}, InputError, "whole numbers, found 1.5"),
    ({"cell": (9.0, 9.0)}, InputError, "cell must be 3 lengths or a 3 x 3 matrix"),
    ({"cell": np.zeros((3, 3))}, InputError, "no volume"),
    ({"cell": (9.0, np.nan, 9.0)}, InputError, "not finite"),
    ({"pbc": (True, True)}, InputError, "pbc 3 flags"),
    ({"features": "facet_area_sdt"}, OptionError,
     "^unknown feature 'facet_area_sdt' for elements Cu Zr: did you mean facet_area_std or .* or "
     ".*[?]; mgml features lists them all, by set$"),
    ({"features": ("facet_area_std", "number_al_voro")}, OptionError, "'number_al_voro'"),
    ({"features": "cn,no,facet"}, OptionError, "'no', 'facet'"),
    ({"features": ()}, OptionError, "none given"),
    ({"features": ""}, OptionError, "unknown feature"),
])
def test_wrong_input_is_refused_with_its_cause(arguments, error, message):
    with pytest.raises(error, match=message):
        call(**arguments)
    assert call().shape == (40, 13)
