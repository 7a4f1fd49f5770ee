"""Threads inside a rank: used when asked for, and without a trace in the numbers."""
import os
import subprocess
import sys

import numpy as np
import pytest
from decks import BIN, COMPRESS, ROOT, frames
from glasses import glass, liquid, slab

import lammps_mgml
from lammps_mgml.system.threads import threads, use_threads


@pytest.fixture
def many():
    """Three threads, one again afterwards."""
    before = threads()
    use_threads(3)
    yield
    use_threads(before)


def everything(system):
    moved = system.positions + 0.1 * np.sin(np.arange(len(system.positions) * 3)).reshape(-1, 3)
    found = lammps_mgml.d2min(system.positions, system.edges, moved, system.edges, system.pbc)
    return [lammps_mgml.featurize(system.positions, system.types, system.edges, system.pbc,
                                  features="all,pair", load="0 1 2 tension"), *found]


@pytest.mark.parametrize("system", [glass, liquid, lambda: slab(liquid())])
def test_same_bits_on_one_and_three_threads(request, system):
    one = everything(system())
    request.getfixturevalue("many")
    assert threads() == 3
    for a, b in zip(one, everything(system())):
        np.testing.assert_array_equal(a, b)


def stages_on(threads):
    """{stage: (threads of the process, digest of the numbers)} by tests/stages.py."""
    done = subprocess.run([sys.executable, ROOT / "tests" / "stages.py", str(threads)],
                          capture_output=True, text=True,
                          env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: (int(n), digest) for name, n, digest in (
        line.split("\t") for line in done.stdout.splitlines())}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts the threads in /proc")
def test_every_stage_is_shared_out_to_the_threads_and_gives_the_same_bits():
    one, three = map(stages_on, (1, 3))
    assert list(one) == list(three)
    kernels = {"cells", "facets", "distances", "element statistics", "densities", "averages",
               "neighbour statistics", "partners", "D2min", "model cuzr", "model cuzr-wang13"}
    assert kernels <= set(one)
    for name, (n, digest) in one.items():
        assert (n, three[name][0]) == (1, 3), name
        assert digest == three[name][1], name


@pytest.mark.parametrize("told, expected", [("", 1), ("4", 4), ("2,3", 2), ("many", 1), ("0", 1)])
def test_number_is_that_of_the_environment(told, expected):
    code = "from lammps_mgml.system.threads import threads; print(threads())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={**os.environ, "OMP_NUM_THREADS": told})
    assert int(done.stdout) == expected


def test_number_in_a_run_is_that_of_lammps():
    code = ("from mpi4py import MPI; from lammps import lammps\n"
            "from lammps_mgml.insitu.adapter import Adapter\n"
            "lmp = lammps(cmdargs=['-screen', 'none', '-log', 'none'])\n"
            "first = Adapter(lmp).threads; lmp.command('package omp 2')\n"
            "print(first, Adapter(lmp).threads)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={**os.environ, "OMP_NUM_THREADS": "3",
                               "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"})
    assert done.stdout.split() == ["3", "2"]


def test_columns_of_a_hybrid_run_are_the_same(tmp_path):
    runs = []
    for k, head in enumerate(("", "package omp 2\n")):
        folder = tmp_path / str(k)
        folder.mkdir()
        runs.append(frames(folder, head + COMPRESS, ranks=2))
    for a, b in zip(*runs, strict=True):
        for name in a.columns:
            np.testing.assert_array_equal(a.columns[name], b.columns[name], err_msg=name)
