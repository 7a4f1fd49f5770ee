"""Lengths in other units than A are told, and nothing that may be condensed matter is refused."""
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from decks import BIN, environment
from glasses import System, crystal, glass, liquid, random_system, sheared, slab
from scipy.spatial import cKDTree

import lammps_mgml
from lammps_mgml import featurize
from lammps_mgml.errors import InputError, MgmlError
from lammps_mgml.system.atoms import periodic_atoms
from lammps_mgml.system.box import Box
from lammps_mgml.system.domain import WholeDomain
from lammps_mgml.system.units import check_cell, check_distances

HINT = "lengths must be in A"


def scaled(system, factor):
    return system._replace(positions=system.positions * factor, edges=system.edges * factor)


def cluster(system):
    return system._replace(pbc=(False,) * 3)


def check(system):
    box = Box.make(system.edges, system.pbc)
    check_cell(box, len(system.positions))
    atoms, owner = periodic_atoms(system.positions, system.types, box, 7.2)
    check_distances(atoms, WholeDomain(owner, atoms.n_own))


def featurized(system):
    return featurize(system.positions, system.types, system.edges, system.pbc, "cn_voro")


@pytest.mark.parametrize("shape", [lambda s: s, slab, cluster, lambda s: sheared(s, 0.3, -0.2, 0.4)])
@pytest.mark.parametrize("factor", [1e-3, 0.1, 0.3, 3.5, 4.0, 4.5, 100.0, 1e4])
def test_positions_in_other_units_are_refused(shape, factor):
    system = scaled(shape(liquid()), factor)
    with pytest.raises(InputError, match=HINT):
        featurized(system)


def test_the_message_tells_the_distance():
    nearest = np.median(cKDTree(liquid().positions).query(liquid().positions, 2)[0][:, 1])
    with pytest.raises(InputError, match=HINT) as e:
        check(scaled(cluster(liquid()), 0.1))
    told = float(str(e.value).split("about ")[1].split(" A")[0])
    assert told == pytest.approx(0.1 * nearest, rel=0.1)
    with pytest.raises(InputError, match="8000 atoms in 128.6 A.3: even close packed .* 0.283 A"):
        check(scaled(glass(), 0.1))
    with pytest.raises(InputError, match="none of the 1331 atoms has another within 7.2 A"):
        check(scaled(liquid(), 10.0))


@pytest.mark.parametrize("system", [
    glass, liquid, lambda: slab(liquid()), lambda: cluster(liquid()),
    *(lambda n=n: crystal(n, 3) for n in ("sc", "fcc", "bcc", "hcp")),
    lambda: scaled(liquid(), 0.55), lambda: scaled(liquid(), 2.2),
    lambda: crystal("fcc", 1), lambda: random_system(1, (2.5, 2.6, 2.7), 1),
    lambda: random_system(1, 50.0, 1), lambda: random_system(1, 50.0, 1, (False,) * 3),
    lambda: System(np.empty((0, 3)), np.empty(0, np.int32), np.eye(3) * 9.0)])
def test_what_can_be_condensed_is_not_refused(system):
    check(system())


def test_lone_atoms_beside_others_are_not_refused():
    """Nor if every atom of the sample happens to be alone."""
    few = liquid().positions[:200] * 0.9
    alone = np.arange(3000)[:, None] * [20.0, 0.0, 0.0] + [60.0, 0.0, 0.0]
    for x in (np.concatenate([few, alone]), np.concatenate([alone, few]),
              np.concatenate([alone[:1], few, alone[1:]])):
        check(System(x, np.ones(len(x), np.int32), np.eye(3) * 1e5, (False,) * 3))
    with pytest.raises(InputError, match="none of the 3000 atoms"):
        check(System(alone, np.ones(3000, np.int32), np.eye(3) * 1e5, (False,) * 3))


def test_two_atoms_at_one_point_are_still_that():
    system = cluster(liquid())
    x = np.concatenate([system.positions[:1], system.positions[:1]])
    with pytest.raises(InputError, match="same point"):
        featurize(x, [1, 1], (9.0, 9.0, 9.0))


def test_all_ranks_refuse_alike():
    """Also a rank without atoms, and where each atom's only neighbour is another rank's."""
    env = {**environment(3), "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([BIN / "mpirun", "-np", "3", sys.executable, __file__], env=env,
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    told = ("apart: refused", "glass: taken", "nm: refused", "pairs: taken")
    # lines of several ranks may come out side by side
    assert [done.stdout.count(words) for words in told] == [3, 3, 3, 3]


def on_ranks():
    from mpi4py import MPI

    from lammps_mgml.system.mpi import MpiDomain

    comm, g = MPI.COMM_WORLD, glass()
    k = np.arange(300)
    pairs = np.stack([k // 2 * 30.0 + k % 2 * 3.0 + 1.0, 0.0 * k, 0.0 * k], axis=1)
    cases = {"glass": (g.positions, g.edges, (True,) * 3), "nm": (g.positions / 10.0, g.edges / 10.0,
                                                                  (True, True, False)),
             "pairs": (pairs, np.eye(3) * 9e3, (False,) * 3),
             "apart": (pairs[::2], np.eye(3) * 9e3, (False,) * 3)}
    for name, (x, edges, pbc) in cases.items():
        box, domain = Box.make(edges, pbc), MpiDomain(comm)
        own = np.flatnonzero(np.arange(len(x)) % 2 == comm.rank)        # the third rank has none
        atoms = domain.surround(own + 1, x[own], np.ones(len(own), np.int32), box, 7.2)
        try:
            check_distances(atoms, domain)
            print(f"{name}: taken", flush=True)
        except MgmlError as e:
            assert HINT in str(e) and e.on_all_ranks
            print(f"{name}: refused", flush=True)
        domain.close()


if __name__ == "__main__":
    on_ranks()


@pytest.mark.parametrize("scale, words", [(0.1, "by 10 if they are in nm"), (1 / 0.529177, "")])
def test_d2min_of_lengths_in_other_units(scale, words):
    """With the default cutoff, which is in A; another may be in any unit."""
    system = glass()
    x, edges = system.positions, system.edges
    expected = lammps_mgml.d2min(x, edges, 1.01 * x, 1.01 * edges, cutoff=4.0)
    args = [scale * a for a in (x, edges, 1.01 * x, 1.01 * edges)]
    found = lammps_mgml.d2min(*args, cutoff=4.0 * scale)
    np.testing.assert_array_equal(found.partners, expected.partners)
    if words:
        with pytest.raises(InputError, match=words):
            lammps_mgml.d2min(*args)
        with pytest.raises(InputError, match=words):
            lammps_mgml.d2min(*args, pbc=(False, True, False))


@pytest.mark.parametrize("where", [1e300, -1e19, 1.1e9])
def test_positions_beyond_any_sample(where):
    """On an open axis nothing wraps them; kernels and numpy would overflow."""
    system = glass()
    x = system.positions.copy()
    x[3, 0] = where
    for call in (lambda: featurize(x, system.types, system.edges, (False,) * 3, "density_cu_0"),
                 lambda: lammps_mgml.d2min(x, system.edges, x, system.edges, (False,) * 3)):
        with pytest.raises(InputError, match=r"atom 4 of \d+ is at .*, beyond 1e\+09 A"):
            call()


def test_a_structure_that_a_model_does_not_know_is_refused_with_both_distances(tmp_path):
    """Its nearest neighbours are too near or too far, though they could be those of some matter."""
    for factor in (0.6, 1.45):
        system = scaled(liquid(), factor)
        nearest = np.median(cKDTree(system.positions).query(system.positions, 2)[0][:, 1])
        with pytest.raises(InputError, match="model cuzr knows they are 2.54 A.*mgml train") as e:
            lammps_mgml.softness(system.positions, system.types, system.edges)
        told = float(str(e.value).split("about ")[1].split(" A")[0])
        assert told == pytest.approx(nearest, rel=0.1)
        assert np.isfinite(featurized(system)).any()
    for factor in (0.9, 1.0, 1.1):          # Cu50 to Cu80 differ by 0.03
        system = scaled(glass(), factor)
        assert len(lammps_mgml.softness(system.positions, system.types, system.edges))
