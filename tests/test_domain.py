"""A system on several ranks: ghosts and D2min are those of one process that holds everything.

``mpirun -np N python tests/test_domain.py CASE`` is what each test starts.
"""
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from decks import environment
from glasses import liquid, sheared

from lammps_mgml.system.box import Box
from lammps_mgml.system.domain import WholeDomain

REACH = 5.0
SYSTEMS = {
    "periodic": liquid,
    "tilted": lambda: sheared(liquid(), 0.3, -0.2, 0.4),
    # no vacuum: an image across a free face would be within reach
    "free x": lambda: liquid()._replace(pbc=(False, True, True)),
    "free": lambda: liquid()._replace(pbc=(False,) * 3),
}


def around(atoms, kinds, numbers):
    """(n_own, 4) of all others within REACH: how many, sums of distance, of number and of type."""
    from scipy.spatial import cKDTree

    own = atoms.positions[:atoms.n_own]
    out = np.zeros((atoms.n_own, 4))
    pairs = cKDTree(own).sparse_distance_matrix(cKDTree(atoms.positions), REACH,
                                                output_type="ndarray") if len(own) else []
    if len(pairs):
        i, j, d = pairs["i"], pairs["j"], pairs["v"]
        for k, weight in enumerate((np.ones(len(d)), d, numbers[j] * d, kinds[j] * d)):
            out[:, k] = np.bincount(i, weight, atoms.n_own)
    return out


def wrapped(positions, box):
    f = box.fractional(positions)
    return box.origin + box.vectors(f - np.where(box.periodic, np.floor(f), 0.0))


def moves(system, rank_of):
    """(what, positions, edges, rank of each atom): one after the other, as a run would have them."""
    x, edges, rng = system.positions, system.edges, np.random.default_rng(7)
    yield "first", x, edges, rank_of
    small = x + rng.uniform(-0.25, 0.25, x.shape)
    yield "moved a little", small, edges, rank_of
    towards = x.copy()
    towards[:, 0] += np.where(rank_of % 2, -0.98, 0.98)    # less than the skin
    yield "ranks moved towards each other", towards, edges, rank_of
    squeeze = np.diag([0.8, 1.0, 1.0])
    yield "box compressed", towards @ squeeze, edges @ squeeze, rank_of
    yield "back", x, edges, rank_of
    yield "other ranks", x, edges, (rank_of + 1) % (rank_of.max() + 1)
    yield "one rank has none", x, edges, np.minimum(rank_of, max(rank_of.max() - 1, 0))


def check_ghosts(comm):
    from lammps_mgml.system.mpi import MpiDomain

    for name, make in SYSTEMS.items():
        system = make()
        # wrapped once: an atom that goes through a face makes a new plan, which would hide an old one
        system = system._replace(positions=wrapped(system.positions, Box.make(system.edges, system.pbc)))
        f = system.positions @ np.linalg.inv(system.edges)
        rank_of = np.clip(((f[:, 0] - np.floor(f[:, 0])) * comm.size).astype(int), 0, comm.size - 1)
        domain, numbers = MpiDomain(comm), np.arange(1, len(system.positions) + 1)
        for what, x, edges, ranks in moves(system, rank_of):
            box = Box.make(edges, system.pbc, origin=(-3.0, 1.0, 7.0))
            x = x + box.origin
            mine = ranks == comm.rank
            atoms = domain.surround(numbers[mine], x[mine], system.types[mine], box, REACH)
            table = np.full((domain.n_rows, 1), np.nan)
            table[:mine.sum(), 0] = numbers[mine]
            domain.forward(table)
            found = around(atoms, atoms.types, table[domain.row_of, 0])
            whole = WholeDomain()
            everything = whole.surround(numbers, x, system.types, box, REACH)
            expected = around(everything, everything.types, numbers[whole.row_of])
            assert found[:, 0].min(initial=9) > 1
            np.testing.assert_allclose(found, expected[mine], rtol=1e-9, err_msg=f"{name}, {what}")
        domain.close()


def check_d2min(comm):
    import lammps_mgml
    from lammps_mgml.evaluation.evaluator import Evaluator, Request, Snapshot
    from lammps_mgml.evaluation.restart_state import Settings
    from lammps_mgml.pipeline import PARAMETERS
    from lammps_mgml.system.mpi import MpiDomain

    settings = Settings("none", "", "Cu Zr", "", 4.5)
    for name, make in SYSTEMS.items():
        system, rng = make(), np.random.default_rng(11)
        n = len(system.positions)
        domain = MpiDomain(comm)
        evaluator = Evaluator(domain, Request(settings, None, ("Cu", "Zr"), PARAMETERS,
                                              ("cn_voro",), (), None, True, 7.3))
        stretch = np.diag([1.0, 1.02, 0.96])
        after = (system.positions + rng.normal(0, 0.3, (n, 3))) @ stretch
        everyone = [np.zeros(n, np.int32), np.zeros((n, 3)), np.zeros(n, np.int32),
                    np.zeros(n, np.int32)]
        for step, (x, edges) in enumerate([(system.positions, system.edges),
                                           (after, system.edges @ stretch),
                                           (after, system.edges @ stretch)]):
            ranks = rng.integers(0, comm.size, n)         # an atom may be on any rank
            mine = np.flatnonzero(ranks == comm.rank)
            number, reference, partners, site = (a[mine] for a in everyone)
            box = Box.make(edges, system.pbc)
            out = evaluator.evaluate(Snapshot(step, box, mine + 1, wrapped(x[mine], box), x[mine],
                                              system.types[mine], number, reference, partners,
                                              site))
            found = np.full(n, np.nan)
            found[mine] = out.evaluated.d2min
            for all_of, some in zip(everyone, (number, reference, partners, site)):
                for where, values in comm.allgather((mine, some)):
                    all_of[where] = values
            if step == 0:
                assert np.nanmax(out.evaluated.d2min, initial=0.0) < 1e-20
                assert sorted(everyone[0]) == list(range(1, n + 1))
                continue
            expected = lammps_mgml.d2min(system.positions, system.edges, x, edges, system.pbc)
            np.testing.assert_allclose(found[mine], expected.d2min[mine], rtol=1e-8,
                                       atol=1e-20, err_msg=name)
            assert out.live["plastic"] == pytest.approx((expected.d2min > 5.0).mean(), abs=1e-12)
        domain.close()


def on_ranks(case, ranks):
    done = subprocess.run([Path(sys.executable).parent / "mpirun", "-np", str(ranks), sys.executable,
                           __file__, case], capture_output=True, text=True, env=environment(ranks), timeout=120)
    assert done.returncode == 0 and done.stdout.count("the same") == ranks, \
        done.stdout[-2000:] + done.stderr[-3000:]


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_ghosts_are_those_of_a_whole_system(ranks):
    on_ranks("ghosts", ranks)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_d2min_on_ranks_is_that_of_a_whole_system(ranks):
    on_ranks("d2min", ranks)


if __name__ == "__main__":
    from mpi4py import MPI

    try:
        {"ghosts": check_ghosts, "d2min": check_d2min}[sys.argv[1]](MPI.COMM_WORLD)
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
        MPI.COMM_WORLD.Abort(1)
    print("the same", flush=True)
