"""What a reference in thermal motion costs: scores by snapshots of the undeformed glass in MD.

    python benchmarks/thermal.py [--temps 50,300] [--glasses 25,26,27,28]

The glass runs for 3 ps at each temperature from its inherent structure; the models score the last
positions.  The labels are those of the athermal loadings, as always.  About 5 minutes.
"""
import argparse
import os
from dataclasses import replace

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402
from measure import ROOT, lammps_of  # noqa: E402

from lammps_mgml import load_model  # noqa: E402
from lammps_mgml.train.dataset import read_loadings  # noqa: E402
from lammps_mgml.train.evaluate import auc  # noqa: E402

MODELS = ("cuzr-wang13", "cuzr", "cuzr-axial")
STRAIN = 0.04


def snapshot(structure, temp):
    """``structure`` after 3 ps at ``temp`` K and the rms force there (eV/A); at 0 K as it is."""
    if temp == 0:
        return structure, 0.0
    n = len(structure.types)
    lmp = lammps_of(structure)
    lmp.commands_string(f"""
        velocity all create {2 * temp} 4711 mom yes dist gaussian
        fix md all nve
        run 1500""")
    order = np.argsort(lmp.numpy.extract_atom("id")[:n])
    x, f = (lmp.numpy.extract_atom(name)[:n] for name in "xf")
    moved, force = replace(structure, positions=x[order]), float(np.sqrt((f * f).sum() / n))
    lmp.close()
    return moved, force


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--temps", default="50,300", help="K, comma-separated")
    parser.add_argument("--glasses", default="25,26,27,28")
    args = parser.parse_args()
    models = [load_model(name) for name in MODELS]
    glasses = [read_loadings([ROOT / "inputs" / "glasses" / f"glass-{g}.h5"])
               for g in args.glasses.split(",")]
    print("| K | force, eV/A | model | mean AUC | expected plastic atoms | found |\n"
          "|---|---|---|---|---|---|")
    for temp in (0, *(float(t) for t in args.temps.split(","))):
        values = {m.name: [] for m in models}
        forces = []
        for loadings in glasses:
            structure, force = snapshot(loadings[0].structure, temp)
            forces.append(force)
            for loading in loadings:
                labels = loading.plastic(STRAIN)
                for m in models:
                    x = replace(loading, structure=structure).features(m.features)
                    s = m.softness(x)
                    values[m.name].append((auc(labels, m.margins(x)),
                                           m.probability(s, m.share_of(s)).sum(), labels.sum()))
        for name, found in values.items():
            score, expected, plastic = np.transpose(found)
            print(f"| {temp:g} | {np.mean(forces):.2f} | {name} | {score.mean():.3f} | "
                  f"{expected.sum():.0f} | {plastic.sum():.0f} |", flush=True)


if __name__ == "__main__":
    main()
