"""Two-body densities against sums over pairs found by scipy, and what must not matter."""
import numpy as np
import pytest
from glasses import (
    crystal,
    glass,
    liquid,
    moved,
    other_edges,
    random_system,
    rotation,
    sheared,
    slab,
    wound,
)
from scipy.interpolate import BSpline
from scipy.spatial import cKDTree
from springs import constants

from lammps_mgml import feature_names, featurize
from lammps_mgml._kernels import cells
from lammps_mgml._kernels import density as kernel
from lammps_mgml.api import sites
from lammps_mgml.errors import OptionError
from lammps_mgml.families.densities import (
    DENSITY_REACH,
    SPLINE_FIRST,
    SPLINE_SPACING,
    SPLINES,
    load_tensor,
)
from lammps_mgml.families.pairs import pieces, with_unknown
from lammps_mgml.system.atoms import periodic_atoms
from lammps_mgml.system.box import Box


def text_of(vector):
    return " ".join(f"{v:.17g}" for v in vector)


AXIS = np.array([1.0, 2.0, -0.5]) / np.sqrt(5.25)
LOAD = text_of(AXIS)
NAMES = feature_names("pair")
SYSTEMS = {"glass": glass, "liquid": liquid, "slab": lambda: slab(liquid()),
           "triclinic": lambda: sheared(liquid(), 0.3, -0.2, 0.4),
           "small box": lambda: random_system(60, (9.0, 8.5, 9.5), seed=9),
           "fcc": lambda: crystal("fcc", 4, noise=1e-3)}


def densities_of(system, load=LOAD):
    return featurize(system.positions, system.types, system.edges, system.pbc, features="pair",
                     load=load)


def expected(system):
    """The same by numpy and scipy; open cells taken from the flags."""
    atoms, owner = periodic_atoms(system.positions, system.types,
                                  Box.make(system.edges, system.pbc), DENSITY_REACH)
    x, n = atoms.positions, atoms.n_own
    own = np.concatenate([np.arange(n), owner])
    pairs = cKDTree(x).query_pairs(DENSITY_REACH, output_type="ndarray")
    i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
    i, j = i[i < n], j[i < n]
    d = x[j] - x[i]
    r = np.linalg.norm(d, axis=1)
    p2 = 1.5 * (d @ AXIS / r) ** 2 - 0.5
    near = r < 4.0
    neighbours = np.bincount(i[near], minlength=n)
    is_open = sites(system.positions, system.types, system.edges, system.pbc, ("cn_voro",),
                    ("Cu", "Zr")).flags & 1 > 0
    columns = []
    for weight in (1.0, p2):
        for element in (1, 2):
            for k in range(SPLINES):
                middle = SPLINE_FIRST + k * SPLINE_SPACING
                spline = BSpline.basis_element(middle + SPLINE_SPACING * np.arange(-2, 3.0), False)
                values = np.nan_to_num(spline(r)) * weight * (atoms.types[j] == element)
                columns.append(np.where(is_open, np.nan, np.bincount(i, values, minlength=n)))
    levels = [np.array(columns)]
    for _ in range(2):
        levels.append(np.array([(np.bincount(i[near], c[own[j[near]]], minlength=n) + c)
                                / (neighbours + 1) for c in levels[-1]]))
    return np.concatenate(levels).T


@pytest.mark.parametrize("name", SYSTEMS)
def test_densities_are_those_of_the_definition(name):
    system = SYSTEMS[name]()
    found, wanted = densities_of(system), expected(system)
    assert found.shape == (len(system.positions), len(NAMES)) == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-12)
    assert np.isfinite(found).all(axis=1).mean() > (0.2 if name == "slab" else 0.99)


@pytest.mark.parametrize("load", [np.empty(0), load_tensor("0.3 1 0.2 tension")])
@pytest.mark.parametrize("density", [0.01, 0.06, 0.4])       # 0.4: more than one block of pairs
def test_avx512_gives_the_same_bits(density, load):
    if "avx512" not in cells.CUTTERS:
        pytest.skip("no AVX-512 here")
    rng = np.random.default_rng(7)
    n = 900
    x = np.ascontiguousarray(rng.random((n, 3)) * (n / density) ** (1 / 3))
    x[1] = x[0]                                    # two at one point
    types = rng.integers(0, 3, n).astype(np.int32)  # 0: an element that has no density
    is_open = (rng.random(n - 100) < 0.1).astype(np.uint8)
    known = pieces(with_unknown(constants())).ravel()
    width = (4 if len(load) else 2) * SPLINES
    for dense, stiff in ((True, True), (True, False), (False, True)):
        found = []
        for wide in (True, False):
            table, held = np.full((len(is_open) * dense, width), -1.0), np.full((len(is_open) * stiff, 6), -1.0)
            assert not kernel.pair_sums(x, types, is_open, 2, SPLINE_FIRST, SPLINE_SPACING, SPLINES, load,
                                        table, known, held, 1, wide)
            found.append(np.concatenate([table.ravel(), held.ravel()]))
        assert np.isfinite(found[0]).mean() > 0.8 and np.array_equal(*found, equal_nan=True)
        if dense and stiff:
            both = table, held
        alone = both[0] if dense else both[1]
        assert np.array_equal(table if dense else held, alone, equal_nan=True)


@pytest.mark.parametrize("change", [moved, wound, other_edges])
def test_densities_do_not_depend_on_the_frame(change):
    system = liquid()
    np.testing.assert_allclose(densities_of(change(system)), densities_of(system), rtol=1e-9,
                               atol=1e-10)


def test_densities_turn_with_the_axis():
    system, r = liquid(), rotation()
    turned = system._replace(positions=system.positions @ r, edges=system.edges @ r)
    np.testing.assert_allclose(densities_of(turned, text_of(AXIS @ r)), densities_of(system),
                               rtol=1e-9, atol=1e-10)
    same = densities_of(turned)
    axial = np.array(["axial" in name for name in NAMES])
    np.testing.assert_allclose(same[:, ~axial], densities_of(system)[:, ~axial], rtol=1e-9)
    assert abs(same[:, axial] - densities_of(system)[:, axial]).max() > 0.1


def test_axial_densities_of_three_axes_cancel():
    system = liquid()
    axial = [featurize(system.positions, system.types, system.edges, features="axial", load=a)
             for a in "xyz"]
    np.testing.assert_allclose(sum(axial), 0.0, atol=1e-12)
    for load, sign in (("0 0 5 compression", 1), ("z tension", -1)):
        np.testing.assert_array_equal(axial[2], sign * featurize(
            system.positions, system.types, system.edges, features="axial", load=load))


@pytest.mark.parametrize("load, stretched, shortened", [
    ("xy shear", (1, 1, 0), (1, -1, 0)), ("zx shear", (1, 0, 1), (1, 0, -1)),
    ("yz reversed shear", (0, 1, -1), (0, 1, 1))])
def test_shear_is_tension_and_compression_under_45_degrees(load, stretched, shortened):
    """Minus the strain, as large as that of an axis: (compression - tension along the two) / sqrt 3."""
    n = np.array([stretched, shortened]) / np.sqrt(2)
    along = [1.5 * np.outer(v, v) - np.eye(3) / 2 for v in n]
    e = (along[1] - along[0]) / np.sqrt(3)
    xx, yy, zz, xy, xz, yz = load_tensor(load)
    np.testing.assert_allclose([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]], e, atol=1e-12)
    assert (e * e).sum() == pytest.approx((along[0] * along[0]).sum())
    system = liquid()
    words = " ".join(map(str, shortened)), " ".join(map(str, stretched))
    one, other, found = (featurize(system.positions, system.types, system.edges, features="axial", load=x)
                         for x in (*words, load))
    np.testing.assert_allclose(found, (one - other) / np.sqrt(3), rtol=1e-9, atol=1e-10)


def test_some_columns_are_those_of_all():
    system = liquid()
    whole = densities_of(system)
    some = ("axial_zr_3_avg", "density_cu_0", "facet_area_std", "density_zr_8_avg2")
    found = featurize(system.positions, system.types, system.edges, features=some, load=LOAD)
    for k in (0, 1, 3):
        np.testing.assert_array_equal(found[:, k], whole[:, NAMES.index(some[k])])
    isotropic = featurize(system.positions, system.types, system.edges, features="density_avg2")
    at = [NAMES.index(name) for name in feature_names("density_avg2")]
    np.testing.assert_array_equal(isotropic, whole[:, at])


@pytest.mark.parametrize("load", ["w", "", "x y", "1 2", "0 0 0", "nan 0 1", "1 2 three", "tension",
                                  "z shear"])
def test_wrong_load_is_refused(load):
    with pytest.raises(OptionError, match="load .*give x, y, z"):
        densities_of(liquid(), load)


def test_axial_features_need_a_load():
    with pytest.raises(OptionError, match="feature axial_cu_0 takes load, .*z compression"):
        densities_of(liquid(), None)
