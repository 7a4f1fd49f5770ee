"""How many atoms will be plastic: what of a whole glass tells it, each kind left out in turn.

    python benchmarks/shares.py [--model cuzr] [--json FILE]

A model's probabilities hold for glasses like those that it was trained on.  Here the share of plastic
atoms that it expects in another kind of glass is corrected by one number of the whole glass,

    log(found / expected) = a + b log(number)

fitted on all kinds but one, and tried on that one.  Kinds are Cu65Zr35 of two quench rates and aged,
Cu50Zr50 and Cu80Zr20; loads are compressions along x and z.  Some numbers come from the run itself
(stress, plastic atoms so far): these ask for the run to be under way.  About 3 minutes.
"""
import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402
from measure import ROOT  # noqa: E402

from lammps_mgml import load_model  # noqa: E402
from lammps_mgml.io.glass import read_glass  # noqa: E402
from lammps_mgml.train.dataset import read_loadings  # noqa: E402

KINDS = {"Cu65, 1e13 K/s": ("11", "12", "13"), "Cu65, 5e12 K/s": ("21", "22", "23", "24"),
         "Cu50": ("31", "32"), "Cu80": ("41", "42"), "aged": ("51-aged", "52-aged", "53-aged")}
LEFT_OUT = ("aged", "Cu50", "Cu80")
LOADS = ("x compression", "z compression")
STRAIN, FLOOR = 0.04, 1e-4
SOFT = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9)


def numbers_of(glass, loadings, model):
    """(found share, expected share, {name: number}) of a glass, means over its loadings."""
    sq = [model.softness(x.features(model.features, parameters=model.parameters))
          for x in loadings]
    sq = np.concatenate([s[~np.isnan(s)] for s in sq])
    stress = {s: np.mean([abs(x.stress[np.argmin(abs(x.strain - s))]) for x in glass.loadings
                          if x.load in LOADS]) for s in (0.01, 0.02)}
    plastic = {s: max(np.mean([x.plastic(s).mean() for x in loadings]), FLOOR)
               for s in (0.02, 0.03, STRAIN)}
    out = {f"share of S^q > {s:g}": (sq > s).mean() for s in SOFT}
    out["mean S^q"] = sq.mean()
    out["mean vibration"] = glass.watched["msd"].mean()
    out.update({f"stress at {s:g}": v for s, v in stress.items()})
    out.update({f"plastic atoms at {s:g}": plastic[s] for s in (0.02, 0.03)})
    return plastic[STRAIN], model.probability(sq).mean(), out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="cuzr")
    parser.add_argument("--json")
    args = parser.parse_args()
    model, kinds = load_model(args.model), {}
    for kind, seeds in KINDS.items():
        each = []
        for seed in seeds:
            path = ROOT / "inputs" / "glasses" / f"glass-{seed}.h5"
            loadings = [x for x in read_loadings([path]) if x.load in LOADS]
            each.append(numbers_of(read_glass(path), loadings, model))
        found, expected = (float(np.mean([x[k] for x in each])) for k in (0, 1))
        mean = {name: float(np.mean([x[2][name] for x in each])) for name in each[0][2]}
        kinds[kind] = found, expected, mean
        print(f"{kind}: {100 * found:.2f} % plastic at {STRAIN:g}, {100 * expected:.2f} % expected; "
              + ", ".join(f"{name} {value:.4g}" for name, value in mean.items()), flush=True)
    print(f"\nmodel {model.name}: expected over found in the kind that is left out\n\n"
          f"| number | {' | '.join(LEFT_OUT)} | b |\n|{'---|' * (2 + len(LEFT_OUT))}")
    plain = [kinds[k][1] / kinds[k][0] for k in LEFT_OUT]
    print(f"| none | {' | '.join(f'{x:.2f}' for x in plain)} | |")
    rows = {"none": plain}
    for name in next(iter(kinds.values()))[2]:
        rows[name] = []
        for left in LEFT_OUT:
            a, b = fit([v for k, v in kinds.items() if k != left], name)
            found, expected, mean = kinds[left]
            rows[name].append(expected * np.exp(a + b * np.log(mean[name])) / found)
        b = fit(list(kinds.values()), name)[1]
        print(f"| {name} | {' | '.join(f'{x:.2f}' for x in rows[name])} | {b:+.2f} |")
    if args.json:
        Path(args.json).write_text(json.dumps({"kinds": kinds, "ratios": rows}, indent=1) + "\n")


def fit(kinds, name):
    """(a, b) by least squares over kinds."""
    x = np.array([[1.0, np.log(mean[name])] for _, _, mean in kinds])
    y = np.array([np.log(found / expected) for found, expected, _ in kinds])
    return np.linalg.lstsq(x, y, rcond=None)[0]


if __name__ == "__main__":
    main()
