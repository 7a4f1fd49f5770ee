"""Cost of all 746 site features offline, by stage, beside other programs for what they share.

    make bench        or        python benchmarks/features.py [--json FILE]

One core, one process, medians over the repeats; every program gets the same 32 000 atoms (copies of
the shipped glass, displaced at random by 0.02 A).  Memory is the growth of the peak of a process of
its own while it computes, the matrix (float32) included.
"""
import argparse
import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from time import perf_counter

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("PYSCAL_NUM_THREADS", "1")

import numpy as np  # noqa: E402

from lammps_mgml.api import sites  # noqa: E402
from lammps_mgml.features import resolve  # noqa: E402
from lammps_mgml.io.dump import read_data  # noqa: E402
from lammps_mgml.pipeline import PARAMETERS  # noqa: E402

GLASS = Path(__file__).resolve().parents[1] / "inputs" / "glass-13.data.gz"
AMLEARN = 6500         # us per atom for its cells alone, as reported to us; not run here
ORDERS = (4, 6, 8, 10)


def system(copies=(2, 2, 1)):
    frame = read_data(GLASS)
    edges = frame.box.edges
    shifts = np.stack(np.meshgrid(*map(np.arange, copies), indexing="ij"), -1).reshape(-1, 3)
    x = (frame.positions + (shifts @ edges)[:, None]).reshape(-1, 3)
    x += np.random.default_rng(1).normal(0, 0.02, x.shape)
    edges = edges * np.array(copies)[:, None]
    return x % np.diag(edges), np.tile(frame.types, len(shifts)), edges


def ours(x, types, edges, features):
    return sites(x, types, edges, (True,) * 3, resolve(features), ("Cu", "Zr"), PARAMETERS,
                 dtype=np.float32)


def memory_of_all():
    """Bytes by which the peak memory of a fresh process grows while it computes all features."""
    # VmHWM, since ru_maxrss begins with that of the process that started this one
    code = ("import re, sys; sys.path.insert(0, sys.argv[1]); import features as f; "
            "s = f.system(); f.ours(*(a[:500] for a in s[:2]), s[2], 'cn_voro'); "
            "peak = lambda: 1024 * int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status')"
            ".read())[1]); before = peak(); kept = f.ours(*s, 'all'); print(peak() - before)")
    done = subprocess.run([sys.executable, "-c", code, Path(__file__).parent], check=True,
                          capture_output=True, text=True)
    return int(done.stdout)


def peers(x, types, edges):
    """{label: (what it computes, function of no argument)} of the programs that are installed."""
    found = {}
    lengths = np.diag(edges)
    try:
        import ase
        import pyscal3

        atoms = ase.Atoms(numbers=np.where(types == 1, 29, 40), positions=x, cell=edges, pbc=True)

        def pyscal_boop():
            for averaged in (False, True):
                pyscal3.steinhardt_parameter(atoms, list(ORDERS), averaged=averaged)
                pyscal3.wigner_w_parameter(atoms, list(ORDERS), averaged=averaged)

        found["pyscal3 neighbours"] = lambda: pyscal3.find_neighbors(atoms, cutoff=4.0)
        found["pyscal3 q, w, averaged"] = pyscal_boop
    except ModuleNotFoundError:
        print("not run: pyscal3 is not installed")
    try:
        import freud

        freud.parallel.set_num_threads(1)
        box = freud.box.Box(*lengths)
        points = (x - lengths / 2).astype(np.float32)
        voronoi = freud.locality.Voronoi()
        query = freud.locality.AABBQuery(box, points)
        near = query.query(points, {"r_max": 4.0, "exclude_ii": True}).toNeighborList()

        def freud_boop():
            for order in ORDERS:
                for average in (False, True):
                    for w in (False, True):
                        freud.order.Steinhardt(order, average=average, wl=w, wl_normalize=w).compute(
                            (box, points), near)

        found["freud cells"] = lambda: voronoi.compute((box, points))
        found["freud q, w, averaged"] = freud_boop
    except ModuleNotFoundError:
        print("not run: freud is not installed")
    try:
        from ovito.data import DataCollection
        from ovito.modifiers import VoronoiAnalysisModifier

        data = DataCollection()
        data.create_cell(np.c_[edges.T, np.zeros(3)], pbc=(True,) * 3)
        particles = data.create_particles(count=len(x))
        particles.create_property("Position", data=x)
        found["OVITO cells, indices"] = lambda: data.clone().apply(
            VoronoiAnalysisModifier(compute_indices=True, generate_bonds=True))
    except ModuleNotFoundError:
        print("not run: OVITO is not installed")
    return found


def seconds(work):
    began = perf_counter()
    work()
    return perf_counter() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", help="file for the numbers")
    args = parser.parse_args()
    x, types, edges = system()
    n = len(x)
    others = peers(x, types, edges)
    rows = {}
    for _ in range(args.repeats):
        for name in ("all", "table3"):
            began = perf_counter()
            stages = ours(x, types, edges, name).seconds
            rows.setdefault(name, []).append(perf_counter() - began)
            for stage, s in stages.items() if name == "all" else ():
                rows.setdefault(f"  {stage}", []).append(s)
        for name, work in others.items():
            rows.setdefault(name, []).append(seconds(work))
    micro = {k: 1e6 * float(np.median(v)) / n for k, v in rows.items()}
    bytes_per_atom = memory_of_all() / n
    versions = {p: metadata.version(p) for p in ("pyscal3", "freud-analysis", "ovito")
                if any(p.split("-")[0] in k.lower() for k in others)}
    print(f"{n} atoms of Cu65Zr35, one core, Python {platform.python_version()}, "
          + ", ".join(f"{k} {v}" for k, v in versions.items()))
    print("                             us per atom")
    labels = {"all": "746 features", "table3": "the 13 of Table 3"}
    for name, value in micro.items():
        print(f"{labels.get(name, name):<28} {value:9.2f}")
    print(f"peak memory of all 746       {bytes_per_atom:9.0f} bytes per atom "
          f"(goal: below {746 * 4 + 2048})")
    print(f"amlearn's cells alone, {AMLEARN} us per atom as reported: {AMLEARN / micro['all']:.0f} "
          f"times all 746 here")
    ratios = {}
    for peer, mine in (("pyscal3 q, w, averaged", "  boop"), ("freud q, w, averaged", "  boop"),
                       ("freud cells", "  cells"), ("OVITO cells, indices", "  cells")):
        if peer in micro:
            # our bond order is over both kinds of neighbours, theirs over one
            half = 0.5 if mine == "  boop" else 1.0
            ratios[peer] = micro[peer] / (half * micro[mine])
            print(f"{peer}: {ratios[peer]:.1f} times ours")
    if args.json:
        Path(args.json).write_text(json.dumps(
            {"atoms": n, "microseconds_per_atom": micro, "bytes_per_atom": bytes_per_atom,
             "ratios": ratios, "versions": versions}, indent=1))


if __name__ == "__main__":
    main()
