"""The lines of docs/roads/cluster.md for the LAMMPS of a site, on the system's LAMMPS."""
import os
import re
import shutil
import subprocess

import numpy as np
import pytest
from decks import ROOT, site_lammps
from pages import block, runs

import lammps_mgml
from lammps_mgml.io.dump import read_dump

pytestmark = [pytest.mark.slow, pytest.mark.skipif(
    not site_lammps(), reason="no LAMMPS with the PYTHON package here")]

SYSTEM = """units metal
read_data glass.data
mass 1 63.546
mass 2 91.224
pair_style eam/fs
pair_coeff * * CuZr_mm.eam.fs Cu Zr
timestep 0.002
velocity all create 300 1
fix move all nve
fix load all deform 10 z erate -0.1 remap x
"""


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    """Runs lines in a shell that has nothing but the system's programs, in a copy of the sources."""
    folder = tmp_path_factory.mktemp("road") / "lammps_mgml"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(
        ".git", ".venv", "build", "*.so", "__pycache__", "*.egg-info", "glasses", "built", ".pytest*",
        "demo-output", ".hypothesis", "site"))
    env = {k: v for k, v in os.environ.items() if k.startswith("PIP_") or k == "HOME"}
    env.update(PATH="/usr/bin:/bin", OMP_NUM_THREADS="1", OMPI_ALLOW_RUN_AS_ROOT="1",
               OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", LAMMPS_POTENTIALS="/usr/share/lammps/potentials")

    def run(lines):
        script = "set -e\nmodule() { :; }\n" + "\n".join(lines) + "\n"
        done = subprocess.run(["bash", "-c", script], cwd=folder, env=env, text=True,
                              capture_output=True, timeout=600)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    run.folder = folder
    return run


def same_as_offline(folder):
    """The dump's softness and D2min are those of the Python API for its first frame."""
    frames = list(read_dump(folder / "out.dump"))
    assert len(frames) == 2
    first, last = frames
    sq = lammps_mgml.softness(first.positions, first.types, first.box.edges, model="cuzr")
    np.testing.assert_allclose(last.columns["d_sq"], sq, atol=1e-9)
    assert np.median(last.columns["d_d2min"]) > 0.01 and not last.columns["i_site"].any()


@runs("roads/cluster.md", "site", "site-doctor", "slurm")
def test_the_lines_for_a_site(road):
    deck = [line.replace("1000 out.dump", "100 out.dump")
            for line in block("roads/deck.md", "four-lines").splitlines()]
    shutil.copy(ROOT / "inputs" / "glass-13.data.gz", road.folder / "glass.data.gz")
    subprocess.run(["gunzip", "-f", "glass.data.gz"], cwd=road.folder, check=True)
    (road.folder / "in.deck").write_text(SYSTEM + "\n".join(deck)
                                         + "\ndump_modify out format float %.17g\nrun 100\n")
    lines = block("roads/cluster.md", "site").splitlines()
    *install, job = lines
    job = job.replace("-np 64", "-np 2")
    run = [line for line in install if line.startswith("export")] + [job]
    road(lines[:-1] + [job])
    same_as_offline(road.folder)

    # mpi4py of the system until here; now the newest one before it, for the same LAMMPS
    versions = []
    for mpi4py in ("system", "pip"):
        if mpi4py == "pip":
            road(["site/bin/pip install -q --ignore-installed --no-deps 'mpi4py>=4'"])
        (road.folder / "out.dump").unlink(missing_ok=True)
        road(run)
        same_as_offline(road.folder)
        told = road([*run[:-1], block("roads/cluster.md", "site-doctor")])
        assert re.search(r"^ok  job ", told, re.M), told
        versions.append(road(["site/bin/python -c 'import mpi4py; print(mpi4py.__version__)'"]).strip())
    assert versions[0].startswith("3.") and versions[1].startswith("4."), versions

    # the batch script: the site's scheduler is not here, so that srun is mpirun on two ranks
    (road.folder / "out.dump").unlink()
    script = block("roads/cluster.md", "slurm")
    assert script.startswith("#!/bin/bash\n#SBATCH")
    road(['srun() { mpirun -np 2 "$@"; }', "SLURM_CPUS_PER_TASK=1 SLURM_SUBMIT_DIR=$PWD", script])
    same_as_offline(road.folder)
