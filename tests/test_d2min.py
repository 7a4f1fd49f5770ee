"""D2min and strain against OVITO, matscipy and LAMMPS, each by its own definition."""
import numpy as np
import pytest

import lammps_mgml
from lammps_mgml.box import Box
from lammps_mgml.errors import InputError, OptionError
from lammps_mgml.reference import Reference

SHEAR = np.array([[1.0, 0, 0], [0.1, 1.0, 0], [0.02, -0.03, 0.97]])


@pytest.fixture(scope="module")
def deformed(glass):
    """(reference, its edges, positions, their edges): shear and random moves of the glass."""
    rng = np.random.default_rng(5)
    x, edges = glass.positions, glass.box.edges
    moved = x @ SHEAR + rng.normal(size=x.shape) * 0.25
    moved += rng.integers(-1, 2, size=x.shape) @ (edges @ SHEAR)
    return x, edges, moved, edges @ SHEAR


def ovito_strain(reference, edges0, positions, edges, cutoff):
    data = pytest.importorskip("ovito.data", reason="not run: ovito is not installed")
    from ovito.modifiers import AtomicStrainModifier
    from ovito.pipeline import Pipeline, StaticSource

    def collection(x, cell):
        out = data.DataCollection()
        particles = out.create_particles(count=len(x))
        particles.create_property("Position", data=x)
        out.create_cell(np.c_[cell.T, np.zeros(3)], pbc=(True,) * 3)
        return out
    modifier = AtomicStrainModifier(cutoff=cutoff, output_nonaffine_squared_displacements=True)
    modifier.reference = StaticSource(data=collection(reference, edges0))
    pipeline = Pipeline(source=StaticSource(data=collection(positions, edges)))
    pipeline.modifiers.append(modifier)
    found = pipeline.compute().particles
    return found["Nonaffine Squared Displacement"][...], found["Shear Strain"][...]


def test_sum_and_strain_like_ovito(deformed):
    found = lammps_mgml.d2min(*deformed)
    d2, eta = ovito_strain(*deformed, 4.5)
    np.testing.assert_allclose(found.d2min, d2, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(found.eta, eta, rtol=1e-8, atol=1e-8)


def test_paper_definition_is_the_mean(deformed):
    total, mean = (lammps_mgml.d2min(*deformed, definition=d) for d in ("ovito", "paper"))
    np.testing.assert_allclose(mean.d2min, total.d2min / total.partners, rtol=1e-14)
    assert 15 < total.partners.mean() < 25


def test_affine_motion_leaves_nothing(glass):
    x, edges = glass.positions, glass.box.edges
    shear = lammps_mgml.d2min(x, edges, x @ SHEAR, edges @ SHEAR)
    assert shear.d2min.max() < 1e-20
    c, s = np.cos(np.radians(10)), np.sin(np.radians(10))
    turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    rigid = lammps_mgml.d2min(x, edges, x @ turn, edges @ turn, pbc=(False,) * 3)
    assert rigid.d2min.max() < 1e-20
    assert rigid.eta.max() < 1e-12


def test_simple_shear_strain(glass):
    """gamma = 0.1: E_xy = gamma / 2, E_yy = gamma^2 / 2."""
    x, edges = glass.positions, glass.box.edges
    simple = np.array([[1.0, 0, 0], [0.1, 1.0, 0], [0, 0, 1.0]])
    found = lammps_mgml.d2min(x, edges, x @ simple, edges @ simple)
    np.testing.assert_allclose(found.eta, np.sqrt(0.05 ** 2 + 0.005 ** 2 / 3), rtol=1e-10)


def test_like_matscipy(glass):
    strain = pytest.importorskip("matscipy.atomic_strain",
                                 reason="not run: matscipy is not installed")
    from ase import Atoms
    rng = np.random.default_rng(7)
    x, edges = glass.positions, glass.box.edges
    moved = x + rng.normal(size=x.shape) * 0.1
    before, after = (Atoms("H8000", positions=p, cell=edges, pbc=True) for p in (x, moved))
    _, theirs = strain.atomic_strain(after, before, cutoff=4.5)
    found = lammps_mgml.d2min(x, edges, moved, edges, definition="matscipy")
    np.testing.assert_allclose(found.d2min, theirs, rtol=1e-8)


def test_like_lammps(quiet_lammps, glass, tmp_path):
    from decks import SYSTEM
    lmp = quiet_lammps()
    lmp.commands_string(SYSTEM.split("fix md")[0].replace("create 100", "create 3000") + """
fix md all nve
fix d2 all nonaffine/displacement 10 d2min custom 4.5 fixed 0
run 50
""")
    n = lmp.get_natoms()
    order = np.argsort(lmp.numpy.extract_atom("id", nelem=n))
    theirs = lmp.numpy.extract_fix("d2", 1, 2)[:n][order, 0].copy()
    low, high = (np.array(b) for b in lmp.extract_box()[:2])
    now = lmp.numpy.extract_atom("x", nelem=n)[order] - low
    lmp.close()
    found = lammps_mgml.d2min(glass.positions, glass.box.edges, now, np.diag(high - low),
                              definition="lammps")
    np.testing.assert_allclose(found.d2min, theirs, rtol=1e-8)


def test_small_box_like_its_replica(glass):
    rng = np.random.default_rng(0)
    x, edges = rng.uniform(size=(12, 3)) * 5.0, np.diag([5.0, 5.2, 4.4])
    y, now = x @ SHEAR + rng.normal(size=x.shape) * 0.1, edges @ SHEAR
    one = lammps_mgml.d2min(x, edges, y, now)
    copies = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), -1).reshape(-1, 1, 3)
    large = lammps_mgml.d2min((x + copies @ edges).reshape(-1, 3), 3 * edges,
                              (y + copies @ now).reshape(-1, 3), 3 * now)
    np.testing.assert_allclose(np.tile(one.d2min, 27), large.d2min, rtol=1e-10)
    np.testing.assert_array_equal(np.tile(one.partners, 27), large.partners)


def test_too_few_partners_are_undefined():
    x = np.array([[0.0, 0, 0], [2, 0, 0], [0, 2, 0], [50, 50, 50]])
    found = lammps_mgml.d2min(x, [100.0] * 3, x + 0.1, [100.0] * 3, pbc=(False,) * 3)
    assert np.isnan(found.d2min).all()
    flat = np.array([[i * 2.0, j * 2.0, 0.0] for i in range(4) for j in range(4)])
    assert np.isnan(lammps_mgml.d2min(flat, [100.0] * 3, flat, [100.0] * 3, (False,) * 3).d2min).all()


def test_in_situ_road_on_one_rank(deformed, glass):
    """Reference.settle and measure take unwrapped positions, however far atoms moved."""
    x, edges, _, now = deformed
    rng = np.random.default_rng(9)
    moved = x @ SHEAR + rng.normal(size=x.shape) * 0.25
    moved[::50] += [40.0, 0.0, 0.0]                    # almost a box: no nearest image finds that
    reference = Reference(None, Box.make(edges), 4.5)
    tags = np.arange(1, len(x) + 1)
    reference.settle(tags, x)
    found = reference.measure(moved, now)
    near = lammps_mgml.d2min(x, edges, moved, now)
    assert (abs(found.d2min - near.d2min) > 1.0).any()
    still = lammps_mgml.d2min(np.concatenate([x, x + edges[0]]), edges * [[2], [1], [1]],
                              np.concatenate([moved, moved + now[0]]), now * [[2], [1], [1]])
    np.testing.assert_allclose(found.d2min, still.d2min[:len(x)], rtol=1e-8)
    order = rng.permutation(len(x))                    # other owners, other order
    reference.settle(tags[order], x[order])
    np.testing.assert_allclose(reference.measure(moved[order], now).d2min, found.d2min[order],
                               rtol=1e-12)


@pytest.mark.parametrize("change, error, text", [
    (dict(definition="falk"), OptionError, "unknown D2min definition"),
    (dict(cutoff=-1.0), OptionError, "cutoff"),
    (dict(positions=np.zeros((3, 3))), InputError, "positions must have shape"),
])
def test_wrong_input(deformed, change, error, text):
    names = ("reference", "reference_cell", "positions", "cell")
    with pytest.raises(error, match=text):
        lammps_mgml.d2min(**{**dict(zip(names, deformed)), **change})
