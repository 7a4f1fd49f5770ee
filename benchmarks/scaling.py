"""What each rank sends, and keeps in memory, on 1 to 16 ranks; and what follows for 10 000 ranks.

    python benchmarks/scaling.py [--ranks "1 2 4 8 16"] [--model NAME] [--json FILE]

It starts itself under mpirun, more ranks than cores if need be: counted are messages and bytes,
which do not depend on the cores, and no times.  Every call that lammps_mgml makes to MPI goes through
a communicator that counts.  Strong: 32 000 atoms on all ranks together; weak: 4000 atoms a rank (not
on one).  An evaluation is one with the exchange plans in place; a set-up is what an evaluation adds
to this when they are made anew.  Counted is what leaves a rank for another: messages, and of Alltoall
and Allgather one for each other rank; sums over all ranks (Allreduce) are told as calls.  Of the
ranks, the one with most is shown.

Memory: growth of the peak of a rank by the include line and its first evaluation (reference, plans,
working arrays), per owned atom.  LAMMPS' own arrays of the columns are in it.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from measure import glass_in_motion, header, machine, not_run

STRONG, WEAK = "strong, 32 000 atoms", "weak, 4000 atoms a rank"
COPIES = {2: "1 1 1", 4: "2 1 1", 8: "2 2 1", 16: "2 2 2"}        # of 8000 atoms, 4000 a rank
LARGE_RANKS, LARGE_ATOMS = 10**4, 10**5                           # extrapolated: ranks, atoms a rank
# assumed, to turn counts into time: seconds for each message and for each byte
LATENCY, PER_BYTE = 2e-6, 1e-10


# --- on each rank -------------------------------------------------------------------------------

def memory(field):
    """VmRSS or VmHWM of this process, bytes."""
    text = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"{field}:\s+(\d+)", text)[1])


class Counter:
    """Messages, bytes and calls, by the part of the program that makes them."""

    def __init__(self):
        self.part, self.found = "sums", {}

    def add(self, call, messages, size):
        row = self.found.setdefault(f"{self.part}: {call}", [0, 0, 0])
        for k, value in enumerate((1, int(messages), int(size))):
            row[k] += value

    def taken(self):
        found, self.found = self.found, {}
        return found

    def within(self, part, function):
        """``function``, whose calls count as those of ``part``."""
        def counted(*a, **k):
            before, self.part = self.part, part
            try:
                return function(*a, **k)
            finally:
                self.part = before
        return counted


def counting(MPI, counter):
    """The class of a communicator that counts; the original one is its argument."""

    class Counting(MPI.Intracomm):
        def Isend(self, values, dest, tag):
            counter.add("neighbours", 1, values.nbytes)
            return super().Isend(values, dest=dest, tag=tag)

        def Alltoall(self, send, receive):
            counter.add("Alltoall", self.size - 1, send.itemsize * (self.size - 1))
            return super().Alltoall(send, receive)

        def Allgather(self, send, receive):
            counter.add("Allgather", self.size - 1, send.nbytes * (self.size - 1))
            return super().Allgather(send, receive)

        def Allreduce(self, send, receive, op=MPI.SUM):
            counter.add("Allreduce", 0, 0)
            return super().Allreduce(send, receive, op)

    return Counting


def count(copies, model, out):
    """Run one system on the ranks of this job; rank 0 writes what was counted on each."""
    from mpi4py import MPI

    from lammps import lammps
    from lammps_mgml.insitu import callbacks
    from lammps_mgml.insitu import session as sessions
    from lammps_mgml.plasticity import reference
    from lammps_mgml.system import mpi

    counter = Counter()
    counted, original = counting(MPI, counter), mpi.MpiDomain.__init__

    def counted_domain(self, comm):
        original(self, comm)
        self.comm = counted(self.comm)

    mpi.MpiDomain.__init__ = counted_domain
    for owner, name, part in ((mpi.MpiDomain, "surround", "ghosts"),
                              (mpi.MpiDomain, "_make_plan", "ghosts' plan"),
                              (mpi.MpiDomain, "forward", "ghosts"),
                              (reference.Reference, "settle", "D2min's plan"),
                              (reference.Reference, "measure", "D2min")):
        setattr(owner, name, counter.within(part, getattr(owner, name)))
    comm = MPI.COMM_WORLD
    lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
    for line in f"""
{glass_in_motion(copies)}
run 0
variable mgml_model string {model}
variable mgml_load string z
variable mgml getenv MGML_DECK
""".strip().splitlines():
        lmp.command(line)
    sessions.load_model(model)
    Path("/proc/self/clear_refs").write_text("5")        # the peak begins again
    before = memory("VmRSS")
    lmp.command("include ${mgml}")
    lmp.command("run 0")
    peak, kept = memory("VmHWM") - before, memory("VmRSS") - before
    session = next(iter(callbacks._sessions.values()))
    lmp.command("run 5")                                 # atoms leave the places of the reference
    session.evaluate()
    counter.taken()
    session.evaluate()
    evaluation = counter.taken()
    session.domain.forget_plan()
    session.evaluator.forget_plan()
    session.evaluate()
    setup = counter.taken()
    for key, row in evaluation.items():
        setup[key] = [max(a - b, 0) for a, b in zip(setup.get(key, row), row)]
    domain, box = session.domain, session.adapter.box()
    rows = comm.gather({
        "own": domain.n_own, "ghosts": len(domain.row_of) - domain.n_own,
        "surface": domain.n_rows - domain.n_own, "neighbours": domain.n_neighbours,
        "ghost_cutoff": session.evaluator.request.reach + mpi.SKIN, "volume": box.volume,
        "peak": peak, "kept": kept,
        "evaluation": evaluation, "setup": {k: v for k, v in setup.items() if any(v)}})
    if comm.rank == 0:
        Path(out).write_text(json.dumps(rows))
    lmp.close()


# --- the job that starts the others ---------------------------------------------------------------

def launched(ranks, copies, model):
    """What ``count`` found on each of ``ranks`` ranks."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "counts.json"
        subprocess.run([shutil.which("mpirun"), "-np", str(ranks), sys.executable, __file__,
                        "--copies", copies, "--model", model, "--count", out], check=True,
                       env={**os.environ, "OMP_NUM_THREADS": "1"})
        return json.loads(out.read_text())


def total(counts, column, *parts):
    """Sum of a column (0 calls, 1 messages, 2 bytes) over the keys that hold one of ``parts``."""
    return sum(row[column] for key, row in counts.items()
               if not parts or any(p in key for p in parts))


def show(label, ranks, rows):
    """One line: of each column the rank with most."""
    def most(f):
        return max(f(r) for r in rows)
    print(f"{label} {ranks:5} {most(lambda r: r['own']):7} {most(lambda r: r['surface']):8} "
          f"{most(lambda r: r['neighbours']):10} "
          f"{most(lambda r: total(r['evaluation'], 1)):9} "
          f"{most(lambda r: total(r['evaluation'], 2)) / 1e3:9.0f} "
          f"{most(lambda r: total(r['evaluation'], 0, 'Allreduce')):10} "
          f"{most(lambda r: total(r['setup'], 1)):9} "
          f"{most(lambda r: total(r['setup'], 2)) / 1e3:7.0f} "
          f"{most(lambda r: r['peak'] / r['own']):9.0f}", flush=True)


def proportion(xs, ys):
    """c of y = c x by least squares, and the largest relative deviation."""
    x, y = np.array(xs, float), np.array(ys, float)
    c = float(x @ y / (x @ x))
    return c, float(abs(y / (c * x) - 1).max())


def extrapolate(found):
    """Print, and return, what the counts mean for LARGE_RANKS ranks of LARGE_ATOMS atoms."""
    rows = [r for runs in found.values() for rank_rows in runs.values() for r in rank_rows
            if len(rank_rows) > 1]
    surface = [r["surface"] for r in rows]
    c, off = proportion(surface, [total(r["evaluation"], 2) for r in rows])
    s, setup_off = proportion(surface, [total(r["setup"], 2, "neighbours") for r in rows])
    everyone = [r for r in rows if r["neighbours"]]
    per_neighbour = max(total(r["evaluation"], 1, "neighbours") / r["neighbours"] for r in everyone)
    counts = total(rows[0]["setup"], 0, "Alltoall")
    bounds = total(rows[0]["setup"], 0, "Allgather")
    big = max((r for runs in found.values() for k in runs.values() for r in k),
              key=lambda r: r["own"])
    atoms = sum(r["own"] for r in next(iter(found[STRONG].values())))
    per_atom = big["volume"] / atoms
    reach = max(r["ghost_cutoff"] for r in rows)
    side = (LARGE_ATOMS * per_atom) ** (1 / 3)
    ghosts = ((side + 2 * reach) ** 3 - side**3) / per_atom
    # memory: of the process, of owned atoms and of the surface
    sizes = np.array([(1, r["own"], r["surface"], r["peak"]) for r in rows + [big]], float)
    m, *_ = np.linalg.lstsq(sizes[:, :3], sizes[:, 3], rcond=None)
    memory_off = float(abs(sizes[:, 3] / (sizes[:, :3] @ m) - 1).max())
    P = LARGE_RANKS
    out = {
        "bytes_per_surface_atom": c, "deviation": off,
        "setup_bytes_per_surface_atom": s, "setup_deviation": setup_off,
        "memory_of_process_owned_and_surface_atom": m.tolist(), "memory_deviation": memory_off,
        "surface": ghosts, "evaluation_bytes": c * ghosts,
        "evaluation_messages": 26 * per_neighbour, "setup_bytes": s * ghosts,
        "count_bytes": (8 * counts + 48 * bounds) * P, "count_calls": counts, "bound_calls": bounds,
        "memory": float(m @ [1, LARGE_ATOMS, ghosts])}
    out["evaluation_seconds"] = (out["evaluation_messages"] * LATENCY
                                 + out["evaluation_bytes"] * PER_BYTE)
    # small Alltoall and Allgather: as MPI libraries do them, in log2(P) rounds of half of the data
    rounds = (counts + bounds) * int(np.ceil(np.log2(P)))
    out["setup_seconds"] = (out["setup_bytes"] * PER_BYTE + rounds * LATENCY
                            + out["count_bytes"] * PER_BYTE * np.log2(P))
    print(f"""
bytes of an evaluation = {c:.0f} x atoms of other ranks within reach (the surface), within {off:.0%}
bytes of a set-up = {s:.0f} x the same, within {setup_off:.0%}
{P} ranks, {P * LARGE_ATOMS:.0e} atoms, {LARGE_ATOMS} a rank, 26 neighbours:
  surface         {ghosts:8.0f} atoms, all within {reach:.1f} A
  an evaluation   {out['evaluation_bytes'] / 1e6:8.1f} MB in {out['evaluation_messages']:.0f} messages
  a set-up        {out['setup_bytes'] / 1e6:8.1f} MB
  memory          {out['memory'] / 1e6:8.0f} MB a rank at the peak
                  ({m[0] / 1e6:.1f} MB, and {m[1]:.0f} bytes an owned and {m[2]:.0f} a surface atom; \
within {memory_off:.0%})
what grows with the number of ranks, in the set-up only:
  counts          {counts} Alltoall of 8 bytes a rank, {bounds} Allgather of 48: \
{out['count_bytes'] / 1e3:.0f} kB
at an assumed {LATENCY * 1e6:.0f} us a message and {1e-9 / PER_BYTE:.0f} GB/s: \
{out['evaluation_seconds'] * 1e3:.1f} ms an evaluation, {out['setup_seconds'] * 1e3:.0f} ms a set-up
(sums over all ranks, an Allreduce each, go by the logarithm of the ranks and are not in it)""")
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", default="1 2 4 8 16")
    parser.add_argument("--model", default="cuzr", help="a shipped model's name (cuzr)")
    parser.add_argument("--json", help="file for the numbers")
    parser.add_argument("--copies", help=argparse.SUPPRESS)
    parser.add_argument("--count", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.count:
        return count(args.copies, args.model, args.count)
    if shutil.which("mpirun") is None:
        return not_run("scaling", "no mpirun on the PATH")
    ranks = [int(r) for r in args.ranks.split()]
    header(f"what each rank sends, model {args.model}", ("mpi4py", "mpich"))
    print("                        of a rank:                      an evaluation:"
          "                  set-up:           peak\n"
          "                        ranks   owned  surface neighbours  messages        kB "
          "Allreduces  messages      kB    B/atom")
    found = {STRONG: {}, WEAK: {}}
    for label, runs in found.items():
        for p in ranks:
            if label == STRONG or p in COPIES:
                runs[p] = launched(p, "2 2 1" if label == STRONG else COPIES[p], args.model)
                show(f"{label:<23}", p, runs[p])
    most = max(ranks)
    if most > 1:
        print(f"\non {most} ranks, {STRONG}, of rank 0:        calls  messages        kB")
        first = found[STRONG][most][0]
        for what in ("evaluation", "setup"):
            for key, (calls, messages, size) in sorted(first[what].items()):
                print(f"  {what:<11} {key:<32} {calls:8} {messages:9} {size / 1e3:9.1f}")
    large = extrapolate(found) if most > 1 else None
    if args.json:
        Path(args.json).write_text(json.dumps({"runs": found, "large": large, "model": args.model,
                                               **machine()}, indent=1))


if __name__ == "__main__":
    main()
