"""Models of one system on the glasses of another: which features carry over.

    python benchmarks/systems.py [--json FILE]

Each family of features is learnt on the training glasses of a system and judged on the unseen
glasses of all of them (mean AUC over compressions along x and z; its error is 0.01 to 0.02), beside
what the system's own model has there.  Lengths are each system's own, so that distances and
densities compare.  The atoms of a system of other elements pass for Cu and Zr in two ways: by role,
the more frequent element is the first one; by radius, the smaller one is.  The features are taken as
they are, or standardised within each glass and element, which asks for nothing but the glass
itself.  About 4 minutes.
"""
import argparse
import json
import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402
from measure import ROOT  # noqa: E402

from lammps_mgml.features import TABLE3, resolve  # noqa: E402
from lammps_mgml.plasticity.d2min import partners_within  # noqa: E402
from lammps_mgml.system.atoms import image_shell, with_images  # noqa: E402
from lammps_mgml.train.dataset import Loading, read_loadings  # noqa: E402
from lammps_mgml.train.evaluate import auc  # noqa: E402
from lammps_mgml.train.recipes import OURS, RECIPES, paper_learner  # noqa: E402

LOADS = ("x compression", "z compression")


@dataclass(frozen=True)
class Glasses:
    """folder : in inputs/.  strain : of the labels, where about 4 to 6 % of the atoms are plastic."""

    folder: str
    training: tuple[int, ...]
    unseen: tuple[int, ...]
    strain: float


SYSTEMS = {"cuzr": Glasses("glasses", (21, 22, 23, 24), (25, 26), 0.04),
           "fep": Glasses("fep", (3, 4, 5, 6), (1, 2), 0.04),
           "ka": Glasses("ka", (3, 4, 5, 6), (1, 2), 0.03)}
AREAS = ("element_type", *resolve("facet_area_stats,facet_area_stats_stats_nn"))
FAMILIES = {  # learner, names; None: interstices
    "Table 3, the paper's learner": (paper_learner(len(TABLE3)), TABLE3),
    "facet areas, logistic": (OURS, AREAS),
    "distances, logistic": (OURS, resolve("element_type,distance_stats,distance_stats_stats_nn")),
    "interstices, logistic": (OURS, None),
    "densities, logistic": (OURS, resolve(RECIPES["pair"])),
    "densities and vibrations, logistic": (OURS, resolve(RECIPES["vibration"]))}


def radii(structure):
    """(2,) radii from the first peaks of g(r): of the frequent element about itself, of the two.

    The rare element about itself tells less: in a mixture its atoms seldom touch.
    """
    i, j, r = near_pairs(structure)
    often = 1 + int(np.argmax(np.bincount(structure.types, minlength=3)[1:]))
    edges = np.linspace(0.5, 1.1, 61) * structure.lengths.near_cutoff
    middle = 0.5 * (edges[1:] + edges[:-1])
    smooth = np.hanning(9) / np.hanning(9).sum()
    alike, unlike = (
        middle[np.convolve(np.histogram(r[(structure.types[i] == often)
                                          & (structure.types[j] == other)], edges)[0] / middle**2,
                           smooth, "same").argmax()] for other in (often, 3 - often))
    out = np.empty(2)
    out[often - 1], out[2 - often] = alike / 2, unlike - alike / 2
    return out


def near_pairs(structure):
    """(i, j, r) of all pairs within 1.1 near cutoffs, both ways round."""
    box, x, n = structure.box, structure.positions, len(structure.types)
    fractional, owner, shift = image_shell(box, x, 1.1 * structure.lengths.near_cutoff)
    whole, who = with_images(box, fractional, owner, shift), np.concatenate([np.arange(n), owner])
    start, partner = partners_within(whole, n, 1.1 * structure.lengths.near_cutoff)
    i = np.repeat(np.arange(n), np.diff(start))
    return i, who[partner], np.linalg.norm(whole[partner] - whole[i], axis=1)


def interstices(structure, size):
    """Element, and statistics of r / (R_i + R_j) - 1 to the near neighbours, also averaged over them.

    size : (2,) radii.
    """
    n = len(structure.types)
    i, j, r = near_pairs(structure)
    on = r < structure.lengths.near_cutoff
    i, j, r = i[on], j[on], r[on]
    gap = r / (size[structure.types[i] - 1] + size[structure.types[j] - 1]) - 1.0
    count = np.bincount(i, minlength=n)
    mean = np.bincount(i, gap, n) / count
    std = np.sqrt(np.maximum(np.bincount(i, gap**2, n) / count - mean**2, 0.0))
    least, most = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(least, i, gap)
    np.maximum.at(most, i, gap)
    own = np.stack([mean, std, least, most], axis=1)
    around = np.stack([(np.bincount(i, c[j], n) + c) / (count + 1) for c in own.T], axis=1)
    return np.hstack([(structure.types - 1.0)[:, None], own, around])


def as_cu_zr(loadings, by):
    """The loadings with types 1 and 2 of the same meaning in all systems, named Cu and Zr."""
    structures = {}
    sizes = radii(loadings[0].structure)
    often = np.bincount(loadings[0].types, minlength=3)[1:]
    swap = often[0] < often[1] if by == "role" else sizes[0] > sizes[1]
    for x in loadings:
        s = x.structure
        if s.glass not in structures:
            structures[s.glass] = replace(
                s, elements=("Cu", "Zr"), masses=(),
                types=(3 - s.types if swap else s.types).astype(np.int32))
    return [Loading(structures[x.glass], x.load, x.d2min) for x in loadings]


class Rows:
    """Features and labels of the loadings of one system, each structure's features once."""

    def __init__(self, loadings, strain):
        self.loadings, self.strain = loadings, strain
        self.sizes = radii(loadings[0].structure)
        self._known = {}

    def of(self, loading, names, standard):
        key = (loading.glass, names, standard)
        if key not in self._known:
            s = loading.structure
            x = interstices(s, self.sizes) if names is None else loading.features(names)
            if standard:
                x = x.copy()
                for kind in (1, 2):
                    on = s.types == kind
                    x[on] = (x[on] - np.nanmean(x[on], axis=0)) / (np.nanstd(x[on], axis=0) + 1e-12)
                if names is None or names[0] == "element_type":
                    x[:, 0] = s.types - 1.0
            self._known[key] = x
        return self._known[key]

    def table(self, names, standard):
        x, y = [], []
        for one in self.loadings:
            f = self.of(one, names, standard)
            ok = ~(np.isnan(f).any(axis=1) | np.isnan(one.at(self.strain)))
            x.append(f[ok])
            y.append(one.plastic(self.strain)[ok])
        return np.concatenate(x), np.concatenate(y)

    def auc(self, margins, names, standard):
        """Mean over the loadings."""
        found = []
        for one in self.loadings:
            f = self.of(one, names, standard)
            ok = ~(np.isnan(f).any(axis=1) | np.isnan(one.at(self.strain)))
            found.append(auc(one.plastic(self.strain)[ok], margins(f[ok])))
        return float(np.mean(found))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json")
    args = parser.parse_args()
    raw = {}
    for name, system in SYSTEMS.items():
        parts = []
        for seeds in (system.training, system.unseen):
            paths = [ROOT / "inputs" / system.folder / f"glass-{s}.h5" for s in seeds]
            parts.append([x for x in read_loadings(paths) if x.load in LOADS])
        raw[name] = parts
        print(f"{name}: radii of its elements {np.round(radii(parts[0][0].structure), 3)} "
              f"({parts[0][0].lengths.unit}); "
              f"{sum(int(x.plastic(system.strain).sum()) for x in parts[1])} plastic of "
              f"{sum(len(x.types) for x in parts[1])} atoms in {len(parts[1])} unseen loadings, "
              f"strain {system.strain:g}")
    names = list(raw)
    pairs = [(a, b) for b in names for a in names]
    head = ["features, learner", "elements by", "form", *(f"{a} on {b}" for a, b in pairs)]
    print(f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    found = []
    for by in ("role", "radius"):
        rows = {name: [Rows(as_cu_zr(part, by), SYSTEMS[name].strain) for part in parts]
                for name, parts in raw.items()}
        for family, (learner, features) in FAMILIES.items():
            for standard in (False, True):
                scorer = {}
                for name, (training, _) in rows.items():
                    fitted = learner.fit(*training.table(features, standard))
                    scorer[name] = partial(learner.margins, fitted)
                cells = []
                for a, b in pairs:
                    value = rows[b][1].auc(scorer[a], features, standard)
                    cells.append(f"**{value:.3f}**" if a == b else f"{value:.3f}")
                    found.append({"family": family, "elements_by": by, "standardised": standard,
                                  "trained_on": a, "tested_on": b, "auc": value})
                form = "standardised" if standard else "as they are"
                print(f"| {family} | {by} | {form} | {' | '.join(cells)} |", flush=True)
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
