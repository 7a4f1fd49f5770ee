"""All shipped models on all glasses that none of them saw: the tables of docs/models.md.

    python benchmarks/scores.py [--strain 0.04] [--senses compression,tension]

AUC of one-direction labels, mean over the loadings of a group; +- and the 95 % interval of the
difference from cuzr-wang13 by bootstrap of blocks, the same ones for both models.  Then the models of
other systems on their own unseen glasses, beside facet-area std alone.  About 7 minutes.
"""
import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402
from measure import ROOT  # noqa: E402

from lammps_mgml import load_model  # noqa: E402
from lammps_mgml.cli.score import against_facet_area, check_unseen, score_all  # noqa: E402
from lammps_mgml.io.glass import read_glass  # noqa: E402
from lammps_mgml.train.dataset import read_loadings  # noqa: E402

FIRST = "cuzr-wang13"
MODELS = (FIRST, "cuzr", "cuzr-axial", "cuzr-vibration", "cuzr-axial-vibration", "cuzr-axial-hot")
GROUPS = {"Cu65Zr35, 5e12 K/s": ("glasses", "25", "26", "27", "28"),
          "the same, fresh": ("fresh", "71", "72", "73", "74"),
          "the same, aged": ("glasses", "51-aged", "52-aged", "53-aged"),
          "Cu50Zr50, 5e12 K/s": ("glasses", "31", "32"),
          "Cu80Zr20, 5e12 K/s": ("glasses", "41", "42")}
# Models of other systems: folder in inputs/, unseen glasses
OTHERS = {"fep": ("1", "2"), "ka": ("1", "2")}


def of_other_systems():
    print("\n| model | unseen glasses, loadings | strain | plastic, expected | AUC | "
          "facet-area std alone | difference, 95 % |\n|---|---|---|---|---|---|---|")
    for name, glasses in OTHERS.items():
        model = load_model(name)
        strain = model.entry("label")["strain"]
        loadings = read_loadings([ROOT / "inputs" / name / f"glass-{g}.h5" for g in glasses])
        check_unseen(model.card, loadings)
        found = score_all(model, loadings, strain)["all"]
        other = against_facet_area(model, loadings, strain)
        low, high = other["interval95"]
        print(f"| `{name}` | {len(glasses)}, {len(loadings)} | {strain:g} | {found['plastic']} of "
              f"{sum(len(x.types) for x in loadings)}, {found['expected_plastic']:.0f} | "
              f"{found['auc']:.3f} ± {found['auc_error']:.3f} | {other['auc']:.3f} ± "
              f"{other['auc_error']:.3f} | {other['difference']:+.3f} ({low:+.3f} to {high:+.3f}) |",
              flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--strain", type=float, default=0.04)
    parser.add_argument("--senses", default="compression,tension")
    args = parser.parse_args()
    models = [load_model(name) for name in MODELS]
    head = ["glasses", "loadings", "plastic", "eV per atom", *MODELS]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    details = []
    for group, (folder, *names) in GROUPS.items():
        paths = [ROOT / "inputs" / folder / f"glass-{name}.h5" for name in names]
        loadings = [x for x in read_loadings(paths) if x.load.split()[1] in args.senses.split(",")]
        energy = np.mean([read_glass(p).energy for p in paths])
        cells = []
        for model in models:
            check_unseen(model.card, loadings)
            found = score_all(model, loadings, args.strain, other=models[0])["all"]
            cells.append(f"{found['auc']:.3f} ± {found['auc_error']:.3f}")
            low, high = found["against"]["interval95"]
            details.append(f"{group}, {model.name}: {found['against']['difference']:+.3f} "
                           f"({low:+.3f} to {high:+.3f}), expected "
                           f"{found['expected_plastic']:.0f} of {found['plastic']}, average "
                           f"precision {found['average_precision']:.3f}, recall at 0.5 "
                           f"{found['recall_at_half']:.2f}, precision at 0.5 "
                           f"{found['precision_at_half']:.3f}")
        row = [group, str(len(loadings)), str(found["plastic"]), f"{energy:.4f}", *cells]
        print(f"| {' | '.join(row)} |", flush=True)
    print("\n" + "\n".join(details))
    of_other_systems()


if __name__ == "__main__":
    main()
