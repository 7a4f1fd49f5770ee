"""Whether the axial models know in which load an atom slips, not only that it is soft.

    python benchmarks/directions.py [--models NAME,...]

Unseen glasses 25 to 28, six loadings each, strain 0.04.  "pairs": of an atom that slipped in one of
two loadings and not in the other, how often S^q is higher in the first.  "weakest": of an atom that
slipped in one loading only, how often S^q is highest in that one (by chance one in six).
"""
import argparse
import itertools

import numpy as np
from measure import ROOT

from lammps_mgml import load_model
from lammps_mgml.train.dataset import read_loadings

STRAIN = 0.04
GLASSES = ("25", "26", "27", "28")


def told(model, loadings):
    """(pairs right, pairs, weakest right, atoms that slipped once)."""
    pairs, once = np.zeros(2), np.zeros(2)
    for _, one in itertools.groupby(loadings, lambda x: x.glass):
        some = list(one)
        softness = np.array([model.softness(x.features(model.features, parameters=model.parameters))
                             for x in some])
        slipped = np.array([x.plastic(STRAIN) for x in some])
        known = ~np.isnan(softness).any(axis=0)
        for a, b in itertools.permutations(range(len(some)), 2):
            these = slipped[a] & ~slipped[b] & known
            more = softness[a, these] - softness[b, these]
            pairs += [(more > 0).sum() + (more == 0).sum() / 2, these.sum()]
        alone = (slipped.sum(axis=0) == 1) & known
        once += [(softness[:, alone].argmax(axis=0) == slipped[:, alone].argmax(axis=0)).sum(),
                 alone.sum()]
    return (*pairs, *once)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", default="cuzr-axial,cuzr-axial-vibration,cuzr-axial-hot")
    args = parser.parse_args()
    loadings = read_loadings([ROOT / "inputs" / "glasses" / f"glass-{g}.h5" for g in GLASSES])
    print("| model | pairs | right | slipped once | weakest there |\n|---|---|---|---|---|")
    for name in args.models.split(","):
        right, pairs, there, once = told(load_model(name), loadings)
        print(f"| `{name}` | {pairs:.0f} | {right / pairs:.3f} | {once:.0f} | {there / once:.3f} |",
              flush=True)


if __name__ == "__main__":
    main()
