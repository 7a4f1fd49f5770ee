"""Voronoi cells with facet areas and edge counts of 32 000 atoms on one core: ours and others'.

    python benchmarks/cells.py [--repeats N] [--json FILE]

The atoms are those of features.py.  CPU time, medians over the repeats, all programs in turn.  Every
program gets positions in a periodic box; ours are also timed without the set-up of the periodic
images.  Voro++ is the program voropp.cpp, compiled here.  What each one computes:

    ours               neighbours, areas, edge counts, volumes, and the atoms within 4 A
    Voro++, OVITO      neighbours, areas, edge counts, volumes
    pyvoro             the same (edges as lists of vertices), in Python objects
    freud              neighbours, areas, volumes and vertices, from positions in single precision
    scipy (Qhull)      neighbours, areas, edge counts, also of the facets between images; no volumes

The first facets and volumes are compared with those of Voro++.
"""
import argparse
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OVITO_THREAD_COUNT", "1")

import numpy as np  # noqa: E402
from features import system  # noqa: E402
from measure import header, machine, medians, not_run, versions  # noqa: E402

from lammps_mgml.geometry.cells import NEAR_CUTOFF, OPEN_RADIUS, tessellate  # noqa: E402
from lammps_mgml.system.atoms import periodic_atoms  # noqa: E402
from lammps_mgml.system.box import Box  # noqa: E402

SOURCE = Path(__file__).with_name("voropp.cpp")
PACKAGES = ("scipy", "freud-analysis", "ovito", "pyvoro-mmalahe")
OURS, BARE = "ours", "ours, images given"


def voropp(folder, x, lengths):
    """Function that runs Voro++ once and returns its CPU seconds; None if it cannot be built."""
    places = [Path(p) / "voro++/voro++.hh" for p in ("/usr/include", "/usr/local/include")]
    if not any(p.exists() for p in places):
        return not_run("Voro++", "no voro++/voro++.hh: apt-get install voro++-dev")
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        return not_run("Voro++", "no C++ compiler")
    done = subprocess.run([compiler, "-O3", "-march=native", str(SOURCE), "-lvoro++", "-o",
                           str(folder / "voropp")], capture_output=True, text=True)
    if done.returncode:
        return not_run("Voro++", done.stderr)
    np.concatenate([[len(x)], lengths, x.ravel()]).tofile(folder / "in")

    def run():
        done = subprocess.run([folder / "voropp", folder / "in", folder / "out", "1"], check=True,
                              capture_output=True, text=True)
        return float(done.stdout)
    return run


def qhull(x, edges):
    """Pairs, areas and edge counts of all finite facets, images included."""
    from scipy.spatial import Voronoi

    atoms, _ = periodic_atoms(x, np.ones(len(x), np.int32), Box.make(edges), 2 * OPEN_RADIUS)
    diagram = Voronoi(atoms.positions)
    rings = [r for r in diagram.ridge_vertices if -1 not in r]
    count = np.array([len(r) for r in rings])
    first = np.r_[0, np.cumsum(count)[:-1]]
    v = diagram.vertices[np.concatenate(rings)]
    v -= np.repeat(v[first], count, axis=0)
    after = np.arange(len(v)) + 1
    after[first + count - 1] = first
    areas = 0.5 * np.linalg.norm(np.add.reduceat(np.cross(v, v[after]), first), axis=1)
    return diagram.ridge_points, areas, count


def peers(folder, x, edges):
    """{name: function} of the programs that are here."""
    lengths = np.diag(edges)
    found = {"Voro++ (C++)": voropp(folder, x, lengths)}
    try:
        import pyvoro

        points, limits = x.tolist(), [[0.0, float(a)] for a in lengths]
        found["pyvoro"] = lambda: (pyvoro.compute_voronoi(points, limits, 3.4, periodic=[True] * 3),
                                   None)[1]
    except ImportError as e:
        not_run("pyvoro", e)
    try:
        import scipy.spatial  # noqa: F401

        found["scipy (Qhull)"] = lambda: qhull(x, edges)
    except ImportError as e:
        not_run("scipy", e)
    try:
        import freud

        freud.parallel.set_num_threads(1)
        box, points = freud.box.Box(*lengths), (x - lengths / 2).astype(np.float32)
        found["freud"] = lambda: freud.locality.Voronoi().compute((box, points))
    except ImportError as e:
        not_run("freud", e)
    try:
        from ovito.data import DataCollection
        from ovito.modifiers import VoronoiAnalysisModifier

        data = DataCollection()
        data.create_cell(np.c_[edges.T, np.zeros(3)], pbc=(True,) * 3)
        data.create_particles(count=len(x)).create_property("Position", data=x)
        found["OVITO"] = lambda: data.clone().apply(
            VoronoiAnalysisModifier(compute_indices=True, generate_bonds=True))
    except ImportError as e:
        not_run("OVITO", e)
    return {name: work for name, work in found.items() if work is not None}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", help="file for the numbers")
    args = parser.parse_args()
    x, types, edges = system()
    box = Box.make(edges)

    def atoms():
        return periodic_atoms(x, types, box, max(2 * OPEN_RADIUS, NEAR_CUTOFF))[0]

    ready = atoms()
    with tempfile.TemporaryDirectory() as folder:
        works = {BARE: lambda: tessellate(ready), OURS: lambda: tessellate(atoms()),
                 **peers(Path(folder), x, edges)}
        seconds = medians(works, args.repeats)
        theirs = np.fromfile(Path(folder) / "out").reshape(-1, 4) if "Voro++ (C++)" in works else None
    micro = {name: 1e6 * s / len(x) for name, s in seconds.items()}
    header(f"{len(x)} atoms of Cu65Zr35, {ready.n_all - len(x)} periodic images, one core", PACKAGES)
    print("                         us per atom   times ours   times ours, images given")
    for name, value in micro.items():
        print(f"{name:<24} {value:11.2f} {value / micro[OURS]:12.1f} {value / micro[BARE]:18.1f}")
    cells, check = tessellate(ready), {}
    check["volume_off"] = float(cells.volume.sum() / box.volume - 1)
    print(f"our volumes add up to the box's within {abs(check['volume_off']):.1e}")
    if theirs is not None:
        count = cells.facet_count
        first = cells.facet_start - (np.cumsum(count) - count)
        edges = cells.edges[np.repeat(first, count) + np.arange(count.sum())]
        edges_of = np.bincount(np.repeat(np.arange(len(x)), count), edges)
        check.update(
            volume_sum=float(abs(cells.volume.sum() / theirs[:, 0].sum() - 1)),
            volume_each=float(abs(cells.volume / theirs[:, 0] - 1).max()),
            facets=int(cells.facet_count.sum()), facets_theirs=int(theirs[:, 1].sum()),
            facets_theirs_beyond_rounding=int(theirs[:, 2].sum()),
            atoms_with_other_facets=int((cells.facet_count != theirs[:, 2]).sum()),
            atoms_with_other_edges=int((edges_of != theirs[:, 3]).sum()))
        print(f"against Voro++: sum of volumes within {check['volume_sum']:.1e}, each volume within "
              f"{check['volume_each']:.1e}\n"
              f"facets: {check['facets']} ours, {check['facets_theirs']} of Voro++, "
              f"{check['facets_theirs_beyond_rounding']} without those below 1e-9 of their cell;\n"
              f"of {len(x)} atoms {check['atoms_with_other_facets']} have another number of facets, "
              f"{check['atoms_with_other_edges']} another number of edges")
        if check["volume_each"] > 1e-8 or check["atoms_with_other_facets"] > len(x) // 10000:
            raise SystemExit("the cells are not those of Voro++")
    if args.json:
        Path(args.json).write_text(json.dumps(
            {"atoms": len(x), "microseconds_per_atom": micro, "check": check, **machine(),
             "versions": versions(*PACKAGES),
             "times_ours": {k: v / micro[OURS] for k, v in micro.items()}}, indent=1))


if __name__ == "__main__":
    main()
