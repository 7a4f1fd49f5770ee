"""Instructions per atom of the kernels, counted by valgrind --tool=callgrind.

    python benchmarks/instructions.py [--json FILE]

It starts itself under valgrind.  Of each kernel, after a first call, one call is counted and then two
more; the difference over the 8000 atoms of the shipped glass is told, so that whatever does not
belong to a call cancels.  The Python around a kernel (checks, allocation of results) is in it, the
preparation of its arguments is not.  Two runs on one machine gave the same numbers.

Valgrind shows a processor without AVX-512: kernels compiled for several instruction sets take a
narrower path there (AVX2 at best) and need more instructions than on a processor with it.
"""
import argparse
import copy
import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from measure import header, machine, not_run  # noqa: E402

REQUESTS = r"""
#include <valgrind/callgrind.h>
extern "C" void begin() { CALLGRIND_START_INSTRUMENTATION; CALLGRIND_ZERO_STATS; }
extern "C" void end(const char* name) {
    CALLGRIND_DUMP_STATS_AT(name);
    CALLGRIND_STOP_INSTRUMENTATION;
}
"""


def kernels():
    """{name: function that prepares n arguments, and the kernel that takes one}, and the atoms."""
    import numpy as np
    from features import system

    import lammps_mgml
    from lammps_mgml.api import sites
    from lammps_mgml.families.averages import averaged
    from lammps_mgml.families.bond_order import BondOrder, bond_order
    from lammps_mgml.families.densities import Densities, load_tensor
    from lammps_mgml.families.family import LISTS, Means, Work
    from lammps_mgml.families.neighbours import neighbour_statistics
    from lammps_mgml.features import plan as plan_of
    from lammps_mgml.features import reach, resolve
    from lammps_mgml.geometry.cells import tessellate
    from lammps_mgml.pipeline import PARAMETERS
    from lammps_mgml.plasticity.d2min import CUTOFF, partners_within, residual
    from lammps_mgml.system.atoms import image_shell, periodic_atoms, with_images
    from lammps_mgml.system.box import Box
    from lammps_mgml.system.domain import WholeDomain

    x, types, edges = system((1, 1, 1))
    n, box, elements = len(x), Box.make(edges), ("Cu", "Zr")
    atoms, owner = periodic_atoms(x, types, box, reach(("density_cu_0",), elements, PARAMETERS))
    domain, counted = WholeDomain(owner, n), np.ones(n, np.uint8)
    whole = tessellate(atoms)
    density, both = np.empty((n, 36)), np.empty((n, 72))

    def work(cells):
        return Work(atoms, cells, elements, PARAMETERS, counted, {"load": load_tensor("z")}, n,
                    domain.row_of, Means(composition=(0.65, 0.35)))

    def densities(axial, out):
        Densities().measure(work(whole), axial, out)
    near = work(whole).rows["dist"]
    out = {
        "cells": (lambda: None, lambda _: tessellate(atoms)),
        "densities": (lambda: None, lambda _: densities(False, density)),
        "densities, axial too": (lambda: None, lambda _: densities(True, both)),
        "densities averaged": (lambda: None, lambda _: averaged(density, near, n))}
    for features in ("table3", "all"):
        plan = plan_of(resolve(features, elements), elements)
        cells, values = copy.deepcopy(whole), np.zeros((n, len(plan.columns)))

        def statistics(cells, plan=plan, values=values):
            here = work(cells)
            tasks = [task for task in plan.tasks if not isinstance(task.family, BondOrder)]
            for task in tasks:
                task.family.measure(here, task.plan, values)
            for task in tasks:
                task.family.fill(here, task.plan, values, ())
        statistics(cells)
        rows = dict(zip(LISTS, map(work(cells).rows.__getitem__, LISTS)))

        filled = values.copy()

        def medium(result, plan=plan, values=filled, rows=rows):
            neighbour_statistics(values, plan.lists, rows, result)

        label = "13 features" if features == "table3" else "all"
        out[f"SRO, {label}"] = (lambda: copy.deepcopy(whole), statistics)
        out[f"MRO, {label}"] = (
            lambda plan=plan: np.empty((n, len(plan.names)), np.float64), medium)
    cells = copy.deepcopy(whole)
    facets = (cells.facet_start, cells.facet_count, cells.neighbour)
    out["q_lm (facets)"] = (lambda: None, lambda _: bond_order(atoms, cells, facets, n))
    fractional, image_of, shift = image_shell(box, x, CUTOFF)
    a = with_images(box, fractional, image_of, shift)
    b = a + np.random.default_rng(2).normal(0, 0.1, x.shape)[np.r_[np.arange(n), image_of]]
    start, partner = partners_within(a, n, CUTOFF)
    out["D2min"] = (lambda: None, lambda _: residual(a, b, n, start, partner))
    for name in ("cuzr-wang13", "cuzr"):
        model = lammps_mgml.load_model(name)
        rows = sites(x, types, edges, (True,) * 3, model.features, elements,
                     model.parameters).features
        kind = f"model {name} ({'weights' if 'linear' in model.card else 'trees'})"
        out[kind] = (lambda: None, lambda _, m=model, r=rows: m.scorer.raw_scores(r))
    return out, n


def counted(library):
    """Call each kernel under valgrind, which dumps a file for one and one for two calls."""
    requests = ctypes.CDLL(library)
    found, n = kernels()
    for name, (prepare, kernel) in found.items():
        kernel(prepare())
        for calls in (1, 2):
            ready = [prepare() for _ in range(calls)]
            requests.begin()
            for arguments in ready:
                kernel(arguments)
            requests.end(f"{name}|{calls}|{n}".encode())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", help="file for the numbers")
    parser.add_argument("--count", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.count:
        return counted(args.count)
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if shutil.which("valgrind") is None or compiler is None:
        return not_run("instructions", "valgrind or a C++ compiler is missing: "
                       "apt-get install valgrind g++")
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "requests.cpp", Path(folder) / "requests.so"
        source.write_text(REQUESTS)
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", source, "-o", library], check=True)
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--error-exitcode=0",
             f"--callgrind-out-file={folder}/out", sys.executable, __file__, "--count", library],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise SystemExit(done.stdout)
        counts = {}
        for path in Path(folder).glob("out.*"):
            text = path.read_text()
            told = re.search(r"^desc: Trigger: Client Request: (.*)\|(\d)\|(\d+)$", text, re.M)
            if told:
                size = int(re.search(r"^(?:totals|summary): (\d+)", text, re.M)[1])
                number = int(path.suffix[1:])
                counts.setdefault(told[1], {"at": number})[int(told[2])] = size
                atoms = int(told[3])
    found = {name: (c[2] - c[1]) / atoms
             for name, c in sorted(counts.items(), key=lambda item: item[1]["at"])}
    version = subprocess.run(["valgrind", "--version"], capture_output=True, text=True).stdout.strip()
    header(f"{atoms} atoms of Cu65Zr35, {version}, which has no AVX-512")
    print("                              instructions per atom   times our cells")
    for name, value in found.items():
        print(f"{name:<28} {value:18.0f} {value / found['cells']:15.2f}")
    if args.json:
        Path(args.json).write_text(json.dumps(
            {"atoms": atoms, "instructions_per_atom": found, "valgrind": version, **machine()},
            indent=1))


if __name__ == "__main__":
    main()
