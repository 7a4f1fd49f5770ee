"""A LAMMPS with KOKKOS on a GPU beside the same LAMMPS on the CPU: columns, and cost of evaluations.

    make gpu        or, for the LAMMPS of a site,
    MGML_LMP="mpirun -np 1 lmp" MGML_KOKKOS="-k on g 1 -sf kk" python benchmarks/gpu.py

The same atoms are evaluated on both at the first step, and after steps too few for the two
trajectories to part: largest difference of each column.  Then one run without lammps_mgml, and one
each with an evaluation every 100 and every 1000 steps: share of the run's time.

Without a GPU, or a LAMMPS that was built for one, it says "not run".  --host runs the same with
KOKKOS on the CPU ("-k on t 1 -sf kk"): no measure of a GPU, but a check of this script.
"""
import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from measure import glass_in_motion, not_run

from lammps_mgml.cli.doctor import packages_of
from lammps_mgml.insitu.plugin import DECK
from lammps_mgml.io.dump import read_frames

COLUMNS = ("d_sq", "d_s", "d_d2min", "d_eta")
APIS = ("cuda", "hip", "sycl")

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--replicate", default="4 4 4", help="copies of the 8000-atom glass (4 4 4)")
parser.add_argument("--steps", type=int, default=2000, help="of the runs that are timed (2000)")
parser.add_argument("--host", action="store_true", help="KOKKOS on the CPU")
args = parser.parse_args()

program = shlex.split(os.environ.get("MGML_LMP", "lmp"))
switches = shlex.split(os.environ.get("MGML_KOKKOS", "-k on t 1 -sf kk" if args.host else
                                      "-k on g 1 -sf kk"))
env = {**os.environ, "MGML_DECK": os.environ.get("MGML_DECK", str(DECK)), "OMP_PROC_BIND": "false"}


def lammps(folder, deck, more):
    """Text that LAMMPS writes while it runs ``deck`` in ``folder``."""
    (folder / "in.gpu").write_text(deck)
    done = subprocess.run([*program, "-in", "in.gpu", "-log", "none", *more], cwd=folder, env=env,
                          capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"{shlex.join([*program, *more])} ends with {done.returncode}:\n"
                 f"{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def with_columns(every, steps, dump=""):
    softness = f"""
variable mgml getenv MGML_DECK
include ${{mgml}}
fix sq all python/invoke {every} end_of_step softness
""" if every else ""
    return f"{glass_in_motion(args.replicate)}\n{softness}{dump}\nrun {steps}\n"


def columns(folder, more):
    """{step: (n, 4) COLUMNS by atom ID} of the first step and the tenth."""
    lammps(folder, with_columns(10, 10, f"dump out all custom 10 out.dump id type x y z i_site "
                                        f"{' '.join(COLUMNS)}\n"
                                        "dump_modify out sort id format float %.17g"), more)
    return {frame.step: np.column_stack([frame.columns[name] for name in COLUMNS])
            for frame in read_frames(folder / "out.dump")}


def seconds(folder, every, more):
    text = lammps(folder, with_columns(every, args.steps), more)
    return float(re.search(r"Loop time of (\S+)", text)[1])


def why_not():
    """What is missing, or None."""
    if shutil.which(program[-1]) is None:
        return f"no {program[-1]} on PATH"
    text = subprocess.run([program[-1], "-h"], env=env, capture_output=True, text=True).stdout
    if "KOKKOS" not in packages_of(text):
        return f"{program[-1]} has no KOKKOS package"
    api = re.search(r"KOKKOS package API:(.*)", text)
    if not args.host and not any(name in (api[1].lower() if api else "") for name in APIS):
        return f"{program[-1]} has KOKKOS for{api[1] if api else ' nothing'}, not for a GPU"
    if not args.host and not any(map(shutil.which, ("nvidia-smi", "rocm-smi", "xpu-smi"))):
        return "no GPU here"
    return None


if reason := why_not():
    not_run("KOKKOS on a " + ("CPU" if args.host else "GPU"), reason)
    sys.exit(0)
with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    plain, fast = columns(folder, []), columns(folder, switches)
    for step in plain:
        undefined = (np.isnan(plain[step]) != np.isnan(fast[step])).sum()
        worst = np.nanmax(np.abs(plain[step] - fast[step]), axis=0)
        print(f"step {step:2}, {len(plain[step])} atoms, largest difference: "
              + ", ".join(f"{c} {w:.1e}" for c, w in zip(COLUMNS, worst))
              + f"; {undefined} values defined on one only")
    print(f"{' '.join(switches)}, {args.steps} steps:")
    alone = np.median([seconds(folder, 0, switches) for _ in range(3)])
    for every in (100, 1000):
        spent = np.median([seconds(folder, every, switches) for _ in range(3)])
        print(f"  an evaluation every {every} steps: {1 - alone / spent:.1%} of the run's time "
              f"({spent:.1f} s, without {alone:.1f} s)")
