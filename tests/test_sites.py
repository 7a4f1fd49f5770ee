"""The 13 site features against plain numpy, and their invariances."""
import numpy as np
import pytest

import lammps_mgml
from lammps_mgml.api import sites
from lammps_mgml.atoms import periodic_atoms
from lammps_mgml.catalogue import TABLE3
from lammps_mgml.cells import tessellate
from lammps_mgml.errors import InputError, OptionError
from lammps_mgml.pipeline import NO_FEATURES, OPEN_CELL, PARAMETERS

ELEMENTS = ("Cu", "Zr")


def by_numpy(x, types, box):
    """Table 3 from the raw facets, one atom at a time, straight from the definitions."""
    atoms, owner = periodic_atoms(x, types, box, 8.0)
    owner = np.r_[np.arange(len(x)), owner]
    cells = tessellate(atoms)
    kept, near, area, five, r_voro, r_dist = [], [], [], [], [], []
    for i in range(len(x)):
        at = slice(cells.facet_start[i], cells.facet_start[i] + cells.facet_count[i])
        a, e, j = cells.area[at], cells.edges[at], cells.neighbour[at]
        keep = a >= 0.05 * a.mean()
        kept.append(owner[j[keep]])
        area.append(a[keep])
        five.append(a[keep & (e == 5)].sum() / a[keep].sum())
        r_voro.append(np.linalg.norm(atoms.positions[j[keep]] - atoms.positions[i], axis=1))
        r = np.linalg.norm(atoms.positions - atoms.positions[i], axis=1)
        r[i] = np.inf
        near.append(owner[np.flatnonzero(r < 4.0)])
        r_dist.append(r[r < 4.0])
    mean = {k: np.concatenate(v).mean() for k, v in
            (("area", area), ("voro", r_voro), ("dist", r_dist))}
    own = {
        "facet_area_std": np.array([a.std() for a in area]) / mean["area"],
        "area_wt_symm_5fold": np.array(five),
        "distance_voro_std": np.array([r.std() for r in r_voro]) / mean["voro"],
        "distance_voro_min": np.array([r.min() for r in r_voro]) / mean["voro"],
        "distance_dist_std": np.array([r.std() for r in r_dist]) / mean["dist"],
        "distance_dist_min": np.array([r.min() for r in r_dist]) / mean["dist"],
        "number_zr_dist": np.array([(types[n] == 2).sum() for n in near])}
    out = []
    for name in TABLE3:
        if name in own:
            out.append(own[name])
            continue
        base, stat = name.removesuffix("_nn").rsplit("_", 1)
        lists = near if "_dist" in base else kept
        out.append([getattr(own[base][n], stat)() for n in lists])
    return np.array(out).T


def test_equal_to_numpy(glass):
    x, types, box = glass.positions, glass.types, glass.box
    found = lammps_mgml.featurize(x, types, box.edges)
    np.testing.assert_allclose(found, by_numpy(x, types, box), rtol=1e-11, atol=1e-13)


def test_names_select_and_order_columns(glass):
    system = glass.positions, glass.types, glass.box.edges
    both = lammps_mgml.featurize(*system, features=["distance_voro_min", "facet_area_std"])
    whole = lammps_mgml.featurize(*system)
    np.testing.assert_array_equal(both, whole[:, [TABLE3.index("distance_voro_min"), 0]])


def rotation(seed):
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.diag(r))


def test_invariances(glass):
    x, types, edges = glass.positions, glass.types, glass.box.edges
    reference = lammps_mgml.featurize(x, types, edges)
    turn = rotation(1)

    def close(found, expected=reference):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-11)
    close(lammps_mgml.featurize(x @ turn, types, edges @ turn))
    close(lammps_mgml.featurize(x + [3.3, -71.0, 1e3], types, edges))
    images = np.random.default_rng(2).integers(-3, 4, size=x.shape)
    close(lammps_mgml.featurize(x + images @ edges, types, edges))
    order = np.random.default_rng(3).permutation(len(x))
    close(lammps_mgml.featurize(x[order], types[order], edges), reference[order])
    close(lammps_mgml.featurize(np.concatenate([x, x + edges[0]]), np.tile(types, 2),
                                edges * [[2], [1], [1]]), np.tile(reference, (2, 1)))
    # the same lattice by other edge vectors
    close(lammps_mgml.featurize(x, types, edges + np.array([[0, 0, 0], edges[0], [0, 0, 0]])))


def test_slab_is_undefined_at_its_faces_only(glass):
    edges = glass.box.edges.copy()
    edges[0, 0] += 30.0
    for pbc in ((True,) * 3, (False, True, True)):
        found = sites(glass.positions, glass.types, edges, pbc, TABLE3, ELEMENTS, PARAMETERS)
        face = np.minimum(glass.positions[:, 0], glass.box.edges[0, 0] - glass.positions[:, 0])
        assert (found.flags[face > 8.0] == 0).all()
        assert (found.flags[face < 0.5] & OPEN_CELL).all()
        undefined = np.isnan(found.features).any(axis=1)
        np.testing.assert_array_equal(undefined, found.flags & (OPEN_CELL | NO_FEATURES) > 0)


def test_frozen_means_normalise_another_frame(glass):
    x, types, edges = glass.positions, glass.types, glass.box.edges
    means = sites(x, types, edges, (True,) * 3, TABLE3, ELEMENTS, PARAMETERS).means
    larger = sites(1.01 * x, types, 1.01 * edges, (True,) * 3, ("facet_area_std",), ELEMENTS,
                   PARAMETERS, means).features
    own = lammps_mgml.featurize(x, types, edges, features="facet_area_std")
    np.testing.assert_allclose(larger, 1.01 ** 2 * own, rtol=1e-10)


@pytest.mark.parametrize("change, error, text", [
    (dict(positions=np.zeros((5, 2))), InputError, r"\(n, 3\)"),
    (dict(types=np.ones(7, int)), InputError, "types must have shape"),
    (dict(types=np.full(8000, 3)), OptionError, "types must be 1 to 2"),
    (dict(features="facet_area_stdd"), OptionError, "unknown feature 'facet_area_stdd'"),
    (dict(cell=[1.0, 2.0]), InputError, "3 lengths or a 3 x 3 matrix"),
])
def test_wrong_input(glass, change, error, text):
    good = dict(positions=glass.positions, types=glass.types, cell=glass.box.edges)
    with pytest.raises(error, match=text):
        lammps_mgml.featurize(**{**good, **change})
