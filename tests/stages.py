"""Each stage of an evaluation for itself, on a given number of threads, in a process of its own.

    python tests/stages.py THREADS     prints, for each stage: name, threads of the process, SHA-256
                                       of all numbers that the stage made
"""
import hashlib
import os
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from glasses import crystal, slab  # noqa: E402

import lammps_mgml  # noqa: E402
from lammps_mgml.families import (  # noqa: E402
    averages,
    bond_order,
    composition,
    densities,
    facets,
    stiffness,
    strained,
)
from lammps_mgml.families.distances import Distances  # noqa: E402
from lammps_mgml.families.family import Means, Work  # noqa: E402
from lammps_mgml.families.neighbours import neighbour_statistics  # noqa: E402
from lammps_mgml.features import plan, resolve  # noqa: E402
from lammps_mgml.geometry.cells import tessellate  # noqa: E402
from lammps_mgml.models.model import shipped_models  # noqa: E402
from lammps_mgml.pipeline import PARAMETERS  # noqa: E402
from lammps_mgml.plasticity.d2min import partners_within, residual  # noqa: E402
from lammps_mgml.system.atoms import periodic_atoms  # noqa: E402
from lammps_mgml.system.box import Box, times  # noqa: E402
from lammps_mgml.system.domain import WholeDomain  # noqa: E402
from lammps_mgml.system.threads import use_threads  # noqa: E402

ELEMENTS = ("Cu", "Zr")


def stages():
    """{name: function without arguments that returns arrays}; all of the evaluation's kernels."""
    system = slab(crystal("bcc", 10, noise=0.3))
    n, box = len(system.positions), Box.make(system.edges, system.pbc)
    atoms, owner = periodic_atoms(system.positions, system.types, box, 7.3)
    row_of = WholeDomain(owner, n).row_of
    names = resolve("all", ELEMENTS)
    wanted = plan(names, ELEMENTS)
    plans = {task.family.__class__: task.plan for task in wanted.tasks}
    rng = np.random.default_rng(3)
    springs = np.exp(-np.arange(4 * 18) % 18 / 4.0)

    def work(cells=None):
        return Work(atoms, cells or tessellate(atoms), ELEMENTS, PARAMETERS, np.ones(n, np.uint8),
                    {"load": densities.load_tensor("0 1 2 tension"), "force_constants": springs}, n, row_of,
                    Means(composition=(0.65, 0.35)))
    ready = work()
    near = ready.rows["dist"]
    values = rng.normal(size=(n, len(wanted.columns)))
    qlm = bond_order.bond_order(atoms, ready.cells, ready.lists["voro"], n)
    moved = atoms.positions + rng.normal(0, 0.1, atoms.positions.shape)
    start, partner = partners_within(atoms.positions, n, 4.5)

    def table(family, width, step="measure"):
        # the facets change their lists: cells of their own, made on one thread
        here = work(cells_of_its_own.pop()) if family is facets.Facets else ready
        out = np.zeros((n, width))
        plan_of = True if family is densities.Densities else plans[family]
        sums = (family().measure(here, plan_of, out) if step == "measure"
                else family().fill(here, plan_of, out, np.zeros(0)))
        return out, *([] if sums is None else [sums])

    def stiff():
        out = np.zeros((n, 7))
        filling = stiffness.Stiffness().fill(ready, (True, True), out, np.zeros(0))
        inverse = next(filling).copy()
        list(filling)
        return out, inverse

    def strain():
        out = np.zeros((n, 5))
        seen = [sent.copy() for sent in strained.Strained().fill(ready, True, out, np.zeros(0))]
        return out, *seen

    def lists():
        cells = tessellate(atoms)
        at = [np.concatenate([np.arange(s, s + c) for s, c in zip(start_, count)])
              for start_, count in ((cells.facet_start, cells.facet_count),
                                    (cells.near_start, cells.near_count))]
        return (cells.facet_count, cells.neighbour[at[0]], cells.area[at[0]], cells.edges[at[0]],
                cells.near_count, cells.near[at[1]], cells.volume, cells.reach, cells.is_open)

    def rows():
        here = work(ready.cells)
        return [row for *_, row in (here.rows["voro"], here.rows["dist"])]

    def statistics():
        out = np.zeros((n, len(names)))
        neighbour_statistics(values, wanted.lists, ready.rows, out)
        return [out]

    def parameters():
        out = np.zeros((n, 8))
        bond_order.order_parameters(qlm, n, np.arange(8, dtype=np.int32), out)
        return [out]

    cells_of_its_own = [tessellate(atoms)]
    found = {
        "cells": lists,
        "rows": rows,
        "facets": lambda: table(facets.Facets, len(wanted.columns)),
        "distances": lambda: table(Distances, len(wanted.columns)),
        "element statistics": lambda: table(composition.Composition, len(wanted.columns), "fill"),
        "densities": lambda: table(densities.Densities, 72),
        "stiffness": stiff,
        "predicted strain": strain,
        "averages": lambda: [averages.averaged(values, near, n)],
        "neighbour statistics": statistics,
        "bond order": lambda: [bond_order.bond_order(atoms, ready.cells, ready.lists["voro"], n)],
        "order parameters": parameters,
        "averaged order parameters": lambda: [bond_order.averaged_order_parameters(qlm, near)],
        "partners": lambda: partners_within(atoms.positions, n, 4.5),
        "D2min": lambda: residual(atoms.positions, moved, n, start, partner),
        "box vectors": lambda: [times(moved, box.edges)]}
    for name in shipped_models():
        model = lammps_mgml.load_model(name)
        kinds = np.zeros((n, len(model.features)))
        kinds[:] = rng.normal(size=kinds.shape)
        kinds[:, 0] = (atoms.types[:n] - 1 if model.features[0] == "element_type" else kinds[:, 0])
        found[f"model {name}"] = lambda m=model, k=kinds: [m.softness(k)]
    return found


def main():
    use_threads(1)
    for name, stage in stages().items():
        # a child for each: the threads of one stage stay for the next
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            use_threads(int(sys.argv[1]))
            arrays = stage()
            digest = hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays))
            print(name, len(os.listdir("/proc/self/task")), digest.hexdigest(), sep="\t", flush=True)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0, name


if __name__ == "__main__":
    main()
