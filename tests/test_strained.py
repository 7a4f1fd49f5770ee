"""Predicted strain and the places of the atoms after it, against numpy on all pairs."""
import numpy as np
import pytest
from decks import COMPRESS, frames
from glasses import crystal, liquid, moved, other_edges, random_system, rotation, sheared, slab, wound
from numpy.polynomial import Chebyshev, Polynomial
from springs import NEAR, REACH, Pairs, around, constants, inverse_of, open_cells, places, text_of

from lammps_mgml import feature_names, featurize, load_model
from lammps_mgml.families.densities import load_tensor
from lammps_mgml.features import reach
from lammps_mgml.pipeline import PARAMETERS
from lammps_mgml.system.threads import use_threads

NAMES = feature_names("strained")
AXIS = np.array([1.0, 2.0, -0.5]) / np.sqrt(5.25)
STRAIN, LONGEST, NEAREST, LOW, HIGH, DEGREE = 0.05, 0.08, 2.54, 0.08, 2.0, 6
SYSTEMS = {"liquid": liquid, "slab": lambda: slab(liquid()), "triclinic": lambda: sheared(liquid(), 0.3, -0.2, 0.4),
           "small box": lambda: random_system(60, (9.0, 8.5, 9.5), seed=9),
           "fcc": lambda: crystal("fcc", 4, noise=1e-3)}


def strained_of(system, load=None):
    return featurize(system.positions, system.types, system.edges, system.pbc, features="strained",
                     load=load or text_of(AXIS), force_constants=constants())


def tensor_of(load):
    xx, yy, zz, xy, xz, yz = load_tensor(load)
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def inverse_polynomial():
    """q of degree 5 with 1 - x q(x) = T6 of x, LOW .. HIGH taken to -1 .. 1, over its value at 0."""
    t = Chebyshev.basis(DEGREE, domain=[LOW, HIGH]).convert(kind=Polynomial, domain=[-1, 1])
    residual = (t / t(0.0)).coef
    return -residual[1:]


def displacements(near, e):
    """Non-affine displacements of the strain -e: q(D^-1 H) D^-1 f."""
    inverse, _ = inverse_of(near.total(near.b))
    inverse[np.isnan(inverse[:, 0, 0])] = 0.0

    def held(u):
        return near.total(np.einsum("pab,pb->pa", near.b, u[near.i] - u[near.j]))

    def times_inverse(f):
        return np.einsum("nab,nb->na", inverse, f)

    first = times_inverse(near.total(np.einsum("pab,pb->pa", near.b, -near.d @ e)))
    u, *coefficients = 0.0 * first, *inverse_polynomial()[::-1]
    for c in coefficients:                                        # Horner
        u = c * first + times_inverse(held(u))
    return u


def expected(system, load):
    e = tensor_of(load)
    atoms, own = around(system, 8.0)
    x, n = atoms.positions, atoms.n_own
    near = Pairs(x, own, n, atoms.types, NEAR)
    u = STRAIN * displacements(near, e)
    length = np.linalg.norm(u, axis=1)
    u *= np.minimum(1.0, LONGEST * NEAREST / np.maximum(length, 1e-300))[:, None]
    after = (x + u[own]) @ (np.eye(3) - STRAIN * e)
    d0, d = near.d, after[near.image] - after[near.i]
    d2 = np.full(n, np.nan)
    for i in range(n):
        a, b = d0[near.i == i], d[near.i == i]
        if np.linalg.matrix_rank(a, tol=1e-3) == 3:
            d2[i] = ((b - a @ np.linalg.lstsq(a, b, rcond=None)[0])**2).sum()
    far = Pairs(after, own, n, atoms.types, REACH)
    near.at(after, atoms.types)
    _, _, _, columns = places(far, near)
    columns.append(np.log(d2 / (STRAIN * NEAREST)**2 + 1e-6))
    columns[-1][np.isnan(columns[0])] = np.nan                    # nothing holds them
    is_open = open_cells(system)
    for column in columns:
        column[is_open] = np.nan
    return near.averages(columns).T


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("load", [text_of(AXIS), "x tension", "yz reversed shear"])
def test_places_after_a_strain_are_those_of_the_definition(name, load):
    system = SYSTEMS[name]()
    with np.errstate(all="ignore"):
        wanted = expected(system, load)
    found = strained_of(system, load)
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-8)
    assert np.isfinite(found).all(axis=1).mean() > {"slab": 0.2, "small box": 0.0}.get(name, 0.99)


@pytest.mark.parametrize("change", [moved, wound, other_edges])
def test_they_do_not_depend_on_the_frame(change):
    system = liquid()
    np.testing.assert_allclose(strained_of(change(system)), strained_of(system), rtol=1e-8, atol=1e-8)


def test_they_turn_with_the_axis_and_know_the_sense():
    system, r = liquid(), rotation()
    turned = system._replace(positions=system.positions @ r, edges=system.edges @ r)
    found = strained_of(system)
    np.testing.assert_allclose(strained_of(turned, text_of(AXIS @ r)), found, rtol=1e-8, atol=1e-8)
    assert abs(strained_of(turned) - found).max() > 0.1
    other = strained_of(system, text_of(AXIS) + " tension")
    own = [NAMES.index(f"strained_{what}") for what in ("stiffness_mean", "compliance")]
    assert (abs(other - found)[:, own] > 1e-3).mean() > 0.9


def test_some_columns_are_those_of_all():
    system, whole = liquid(), strained_of(liquid())
    for some in (("strained_compliance_avg2",), ("nonaffine_d2", "strained_stiffness_min_avg")):
        found = featurize(system.positions, system.types, system.edges, features=some, load=text_of(AXIS),
                          force_constants=constants())
        np.testing.assert_array_equal(found, whole[:, [NAMES.index(name) for name in some]])


@pytest.mark.parametrize("name", ["liquid", "slab"])
def test_what_the_families_share_is_what_each_finds_alone(name):
    """Densities and stiffness take one search, stiffness and strain the same force constants of near pairs."""
    system, sets = SYSTEMS[name](), ("density", "axial_avg", "stiffness", "stiffness_load", "strained")

    def found(*some):
        return featurize(system.positions, system.types, system.edges, system.pbc, features=",".join(some),
                         load=text_of(AXIS), force_constants=constants())

    alone = {one: found(one) for one in sets}
    for some in (sets, ("density", "strained"), ("stiffness", "strained"), ("axial_avg", "stiffness_load")):
        np.testing.assert_array_equal(found(*some), np.hstack([alone[one] for one in some]))
    assert np.isfinite(alone["strained"]).all(axis=1).mean() > 0.2


def test_bits_do_not_depend_on_threads():
    system, found = liquid(), strained_of(liquid())
    try:
        use_threads(3)
        np.testing.assert_array_equal(strained_of(system), found)
    finally:
        use_threads(1)


def test_no_number_for_atoms_that_nothing_holds():
    system = crystal("fcc", 4, noise=0.3)
    wrong = constants().copy()
    wrong[1] *= -1                                                # Zr is pushed off by all
    found = featurize(system.positions, system.types, system.edges, features="strained", load="z",
                      force_constants=wrong)
    zr = system.types == 2
    own = [NAMES.index(name) for name in ("strained_stiffness_mean", "nonaffine_d2")]
    assert 0 < zr.sum() < len(zr)
    np.testing.assert_array_equal(np.isnan(found[:, own]), np.stack([zr, zr], axis=1))


def test_a_lattice_answers_by_the_affine_map():
    """Every atom of a lattice is a centre of symmetry: no forces, no non-affine displacements."""
    system = crystal("fcc", 4, noise=0.0)
    system = system._replace(types=np.ones_like(system.types))
    found = strained_of(system, "z compression")
    np.testing.assert_allclose(found[:, NAMES.index("nonaffine_d2")], np.log(1e-6), atol=1e-6)
    assert np.ptp(found, axis=0).max() < 1e-6


def test_ghosts_reach_far_enough():
    """A pair that the strain brings within the reach was no farther apart before it than that."""
    wanted = (REACH + 2 * LONGEST * NEAREST * (1 + STRAIN)) / (1 - STRAIN)
    assert reach(("strained_compliance",), ("Cu", "Zr"), {**PARAMETERS, "open_radius": 1.0}) >= wanted


COLUMNS = "strained_stiffness_min", "strained_compliance_near_avg", "nonaffine_d2", "nonaffine_d2_avg2"
RUN = ("variable mgml_model string cuzr-axial\nvariable mgml_load string '0 1 2 tension'\n"
       f"variable mgml_columns string '{' '.join('d_' + n for n in COLUMNS)}'\n" + COMPRESS.replace(
           "i_site\n", "i_site " + " ".join("d_" + n for n in COLUMNS) + "\n"))


@pytest.mark.parametrize("ranks, layout", [(1, ""), (2, ""), (4, "processors 1 1 4\n"), (3, "comm_style tiled\n")])
def test_in_a_run_on_any_number_of_ranks(tmp_path, ranks, layout):
    many = frames(tmp_path, RUN.replace("read_data", f"{layout}read_data"), ranks=ranks)
    constants_of_model = load_model("cuzr-axial").parameters["force_constants"]
    for frame in (many[0], many[-1]):
        offline = featurize(frame.positions, frame.types, frame.box.edges, features=COLUMNS,
                            load="0 1 2 tension", force_constants=constants_of_model)
        for name, wanted in zip(COLUMNS, offline.T):
            np.testing.assert_allclose(frame.columns[f"d_{name}"], wanted, rtol=1e-7, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("ranks", [2, 4])
def test_slab_with_an_unknown_type_on_ranks(tmp_path, ranks):
    deck = RUN.replace("mgml_model", "mgml_elements string 'Cu NULL'\nvariable mgml_model")
    deck = deck.replace("fix md all nve", "change_box all x delta -15 15\nfix md all nve")
    assert "change_box" in deck
    one, many = (frames(tmp_path, deck, f"{n}.dump", ranks=n) for n in (1, ranks))
    for a, b in zip(one, many):
        assert 0.2 < np.isfinite(a.columns["d_nonaffine_d2"]).mean() < 0.9
        for name in ("d_s", *(f"d_{n}" for n in COLUMNS)):
            np.testing.assert_allclose(a.columns[name], b.columns[name], rtol=1e-9, atol=1e-9, err_msg=name)
