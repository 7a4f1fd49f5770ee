"""What a reference in thermal motion costs: scores by snapshots of the undeformed glass in MD.

    python benchmarks/thermal.py [--temps 50,300] [--glasses 25,26,27,28]

The glass runs for 3 ps at each temperature from its inherent structure; the models score the last
positions.  The labels are those of the athermal loadings, as always.  About 10 minutes.
"""
import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402
from mpi4py import MPI  # noqa: E402,F401  (loads the MPI library that LAMMPS needs)

from lammps import lammps  # noqa: E402
from lammps_mgml import load_model  # noqa: E402
from lammps_mgml.api import sites  # noqa: E402
from lammps_mgml.io.glass import read_glass  # noqa: E402
from lammps_mgml.train.dataset import read_loadings  # noqa: E402
from lammps_mgml.train.evaluate import auc  # noqa: E402

GLASSES = Path(__file__).resolve().parents[1] / "inputs" / "glasses"
MODELS = ("cuzr-wang13", "cuzr", "cuzr-axial")
STRAIN = 0.04


def snapshot(glass, temp):
    """Positions (n, 3) and rms force (eV/A) of ``glass`` after 3 ps at ``temp`` K; at 0 K its own."""
    if temp == 0:
        return glass.positions, 0.0
    lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
    a, b, c = np.diag(glass.box)
    lmp.commands_string(f"""
        units metal
        atom_modify map yes
        region all block 0 {a} 0 {b} 0 {c}
        create_box {len(glass.elements)} all""")
    lmp.create_atoms(len(glass), np.arange(1, len(glass) + 1).tolist(), glass.types.tolist(),
                     (glass.positions % np.diag(glass.box)).ravel().tolist())
    lmp.commands_string(f"""
        pair_style eam/fs
        pair_coeff * * CuZr_mm.eam.fs {" ".join(glass.elements)}
        timestep 0.002
        velocity all create {2 * temp} 4711 mom yes dist gaussian
        fix md all nve
        run 1500""")
    order = np.argsort(lmp.numpy.extract_atom("id")[:len(glass)])
    x, f = (lmp.numpy.extract_atom(name)[:len(glass)] for name in "xf")
    out = x[order].copy(), float(np.sqrt((f * f).sum() / len(f)))
    lmp.close()
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--temps", default="50,300", help="K, comma-separated")
    parser.add_argument("--glasses", default="25,26,27,28")
    args = parser.parse_args()
    models = [load_model(name) for name in MODELS]
    paths = [GLASSES / f"glass-{g}.h5" for g in args.glasses.split(",")]
    print("| K | force, eV/A | model | mean AUC | expected plastic atoms | found |\n"
          "|---|---|---|---|---|---|")
    for temp in (0, *(float(t) for t in args.temps.split(","))):
        values = {m.name: [] for m in models}
        forces = []
        for path in paths:
            glass = read_glass(path)
            positions, force = snapshot(glass, temp)
            forces.append(force)
            for loading in read_loadings([path]):
                labels = loading.plastic(STRAIN)
                for m in models:
                    x = sites(positions, glass.types, glass.box, (True,) * 3, m.features,
                              glass.elements, load=loading.load).features
                    values[m.name].append((auc(labels, m.margins(x)),
                                           m.probability(m.softness(x)).sum(), labels.sum()))
        for name, found in values.items():
            score, expected, plastic = np.transpose(found)
            print(f"| {temp:g} | {np.mean(forces):.2f} | {name} | {score.mean():.3f} | "
                  f"{expected.sum():.0f} | {plastic.sum():.0f} |", flush=True)


if __name__ == "__main__":
    main()
