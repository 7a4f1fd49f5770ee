"""Cells against invariants, known crystals, LAMMPS' compute voronoi/atom, and Qhull."""
import numpy as np
import pytest
from conftest import configuration
from hypothesis import given, settings
from hypothesis import strategies as st

from lammps_mgml.atoms import Atoms, periodic_atoms
from lammps_mgml.box import Box
from lammps_mgml.cells import OPEN_RADIUS, tessellate
from lammps_mgml.errors import InputError


def cells_of(positions, box, open_radius=OPEN_RADIUS):
    atoms, owner = periodic_atoms(positions, np.ones(len(positions), int), box, 2.01 * open_radius)
    return tessellate(atoms, open_radius=open_radius), np.r_[np.arange(len(positions)), owner]


def facets(cells, owner, i):
    at = slice(cells.facet_start[i], cells.facet_start[i] + cells.facet_count[i])
    return owner[cells.neighbour[at]], cells.area[at], cells.edges[at]


def crystal(kind, n=4, a=3.6, noise=1e-6, seed=0):
    basis = {"fcc": [[0, 0, 0], [0, .5, .5], [.5, 0, .5], [.5, .5, 0]],
             "bcc": [[0, 0, 0], [.5, .5, .5]],
             "hcp": [[0, 0, 0], [.5, .5, 0], [.5, 5 / 6, .5], [0, 1 / 3, .5]]}[kind]
    edge = np.array([1, 3 ** .5, (8 / 3) ** .5]) * 2.6 if kind == "hcp" else np.full(3, a)
    if kind == "bcc":
        edge *= 0.85
    grid = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), -1).reshape(-1, 1, 3)
    x = ((grid + np.array(basis)) * edge).reshape(-1, 3)
    return x + np.random.default_rng(seed).normal(size=x.shape) * noise, Box.make(n * edge)


@pytest.mark.parametrize("kind, neighbours", [("fcc", 12), ("bcc", 14), ("hcp", 12)])
@pytest.mark.parametrize("noise", [0.0, 1e-6])
def test_known_crystals(kind, neighbours, noise):
    x, box = crystal(kind, noise=noise)
    cells, owner = cells_of(x, box)
    np.testing.assert_allclose(cells.volume, box.volume / len(x), rtol=1e-5)
    large = [(facets(cells, owner, i)[1] > 1e-3).sum() for i in range(len(x))]
    assert set(large) == {neighbours}


def test_glass_fills_the_box_and_its_facets_pair_up(glass):
    cells, owner = cells_of(glass.positions, glass.box)
    assert abs(cells.volume.sum() / glass.box.volume - 1) < 1e-12
    assert not cells.is_open.any()
    pairs, euler = {}, []
    for i in range(len(glass)):
        j, area, edges = facets(cells, owner, i)
        euler.append((6 - edges.astype(int)).sum())
        for k, a, e in zip(j, area, edges):
            pairs.setdefault((min(i, k), max(i, k)), []).append((a, e))
    # Euler: all vertices of a simple polyhedron have three edges, so sum(6 - e) = 12; a triangle
    # below the facet floor (1e-9 of the surface) takes 3 away
    assert set(euler) <= {12, 9} and euler.count(9) < 10
    unpaired = [p for p, v in pairs.items() if len(v) % 2]
    assert all(v[0][0] < 1e-6 for p, v in pairs.items() if p in set(unpaired))
    for v in pairs.values():
        if len(v) == 2:
            assert abs(v[0][0] - v[1][0]) < 1e-9 and (v[0][1] == v[1][1] or v[0][0] < 1e-6)


def voronoi_of_lammps(quiet_lammps, x, box, boundary="p p p", extra=""):
    """Volumes, and (i, j) -> sorted areas, by compute voronoi/atom in the same process."""
    lmp = quiet_lammps()
    e = box.edges
    lmp.commands_string(f"""units metal
boundary {boundary}
atom_modify map yes sort 0 0
region b prism 0 {e[0, 0]!r} 0 {e[1, 1]!r} 0 {e[2, 2]!r} {e[1, 0]!r} {e[2, 0]!r} {e[2, 1]!r}
box tilt large
create_box 1 b
mass 1 1.0
pair_style zero 9.0
pair_coeff * *
""".replace("np.float64(", "").replace(")", ""))
    lmp.create_atoms(len(x), list(range(1, len(x) + 1)), [1] * len(x),
                     np.ascontiguousarray(x).ravel().tolist())
    assert lmp.get_natoms() == len(x)
    lmp.commands_string("compute v all voronoi/atom neighbors yes\nfix 1 all nve\nrun 0 post no\n")
    wrapped, _, _ = configuration(lmp)
    n = len(x)
    ids = lmp.numpy.extract_atom("id", nelem=n)
    volume = np.empty(n)
    volume[ids - 1] = lmp.numpy.extract_compute("v", 1, 2)[:n, 0]
    table = lmp.numpy.extract_compute("v", 2, 2)
    areas = {}
    for i, j, area in table:
        areas.setdefault((int(i) - 1, int(j) - 1), []).append(area)
    lmp.close()
    return wrapped, volume, areas


def assert_like_lammps(quiet_lammps, x, box, boundary="p p p"):
    x, volume, areas = voronoi_of_lammps(quiet_lammps, x, box, boundary)
    cells, owner = cells_of(x, box)
    closed = cells.is_open == 0
    np.testing.assert_allclose(cells.volume[closed], volume[closed], rtol=1e-9)
    theirs = {}
    for (i, j), a in areas.items():
        theirs.setdefault(i, []).extend((j, v) for v in a)
    for i in np.flatnonzero(closed):
        j, area, _ = facets(cells, owner, i)
        floor = 1e-6 * area.sum()
        ours = sorted((k, a) for k, a in zip(j, area) if a > floor)
        other = sorted((k, a) for k, a in theirs[i] if a > floor)
        assert [k for k, _ in ours] == [k for k, _ in other], i
        np.testing.assert_allclose([a for _, a in ours], [a for _, a in other], atol=1e-9, rtol=1e-9)
    return cells, x


def test_glass_like_lammps(quiet_lammps, glass):
    cells, _ = assert_like_lammps(quiet_lammps, glass.positions, glass.box)
    assert not cells.is_open.any()


def test_liquid_like_lammps(quiet_lammps, liquid):
    x, _, box = liquid
    cells, _ = assert_like_lammps(quiet_lammps, x, box)
    assert not cells.is_open.any()


def test_triclinic_like_lammps(quiet_lammps, glass):
    edges = glass.box.edges.copy()
    edges[1, 0], edges[2, 0], edges[2, 1] = 0.4 * edges[0, 0], -0.3 * edges[0, 0], 0.2 * edges[1, 1]
    sheared = glass.box.fractional(glass.positions + glass.box.origin) @ edges
    cells, _ = assert_like_lammps(quiet_lammps, sheared, Box.make(edges))
    assert not cells.is_open.any()


def test_slab_like_lammps_where_closed(quiet_lammps, glass):
    edges = glass.box.edges.copy()
    edges[0, 0] += 20.0
    box = Box.make(edges, (False, True, True))
    cells, x = assert_like_lammps(quiet_lammps, glass.positions + [10.0, 0, 0], box, "f p p")
    face = np.minimum(x[:, 0] - x[:, 0].min(), x[:, 0].max() - x[:, 0])
    assert not cells.is_open[face > 5.0].any()
    assert cells.is_open[face < 0.5].all()


@pytest.mark.parametrize("kind", ["fcc", "bcc", "hcp"])
def test_noisy_crystals_like_lammps(quiet_lammps, kind):
    assert_like_lammps(quiet_lammps, *crystal(kind, n=5))


def test_random_gas_like_qhull():
    spatial = pytest.importorskip("scipy.spatial")
    x = np.random.default_rng(3).uniform(size=(300, 3)) * 20
    box = Box.make([20.0] * 3)
    atoms, _ = periodic_atoms(x, np.ones(300, int), box, 16.0)
    cells = tessellate(atoms, open_radius=8.0)
    diagram = spatial.Voronoi(atoms.positions)
    volume = [spatial.ConvexHull(diagram.vertices[diagram.regions[diagram.point_region[i]]]).volume
              for i in range(300)]
    np.testing.assert_allclose(cells.volume, volume, rtol=1e-9)
    assert abs(cells.volume.sum() / box.volume - 1) < 1e-12


@settings(max_examples=120, deadline=None)
@given(st.integers(1, 40), st.integers(0, 2 ** 32 - 1),
       st.tuples(*[st.floats(3.0, 14.0)] * 3), st.tuples(*[st.floats(-0.5, 0.5)] * 3),
       st.tuples(*[st.booleans()] * 3))
def test_any_small_box(n, seed, lengths, tilts, pbc):
    edges = np.diag(lengths)
    edges[1, 0], edges[2, 0], edges[2, 1] = (t * lengths[0] for t in tilts)
    box = Box.make(edges, pbc)
    x = np.random.default_rng(seed).uniform(size=(n, 3)) @ edges
    cells, owner = cells_of(x, box, open_radius=9.0)
    assert np.isfinite(cells.volume).all() and (cells.volume > 0).all()
    assert (cells.neighbour >= 0).all()
    np.testing.assert_array_equal(cells.is_open.astype(bool), cells.reach > 9.0)
    if all(pbc) and not cells.is_open.any():
        assert abs(cells.volume.sum() / box.volume - 1) < 1e-10
    if not any(pbc):
        assert cells.is_open.all() or n > 4


def test_other_order_of_atoms_and_ghosts_gives_the_same_cells(glass):
    atoms, _ = periodic_atoms(glass.positions, glass.types, glass.box, 8.0)
    order = np.random.default_rng(1).permutation(atoms.n_own)
    ghosts = atoms.n_own + np.random.default_rng(2).permutation(atoms.n_all - atoms.n_own)
    all_ = np.r_[order, ghosts]
    mixed = Atoms(atoms.positions[all_], atoms.types[all_], atoms.n_own, atoms.box,
                  atoms.tags[order])
    a, b = tessellate(atoms), tessellate(mixed)
    np.testing.assert_allclose(b.volume, a.volume[order], rtol=1e-12)
    np.testing.assert_array_equal(b.facet_count, a.facet_count[order])


def test_bad_positions_name_the_atom():
    x, box = crystal("fcc", noise=0.05)
    x[7, 2] = np.nan
    with pytest.raises(InputError, match="atom 8 of 256"):
        cells_of(x, box)
    x[7] = x[9]
    with pytest.raises(InputError, match="atoms with id (8 and with id 10|10 and with id 8)"):
        cells_of(x, box)
    with pytest.raises(InputError, match="no volume"):
        Box.make([3.0, 0.0, 3.0])
