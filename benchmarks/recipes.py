"""Ways to a model side by side: which features, which learner, and what they cost.

    python benchmarks/recipes.py --training GLASS.h5 ... --unseen GLASS.h5 ... [--costs]

Every one is trained on the same glasses and scored on the same unseen ones (mean AUC of their
loadings, strain 0.04), the differences from the first by bootstrap of the same blocks; beside that
the AUC for atoms whose D2min is above the threshold in the mean over a glass's loadings.  Cost is
that of the features, offline, one core, beside that of the cells alone.  Some rows add what the
package does not compute, to see what it would be worth: for these no cost.  That of vibrations
does not hold the MD run which measures them.
Half an hour with six training glasses.
"""
import argparse
import json
import os
from dataclasses import replace
from pathlib import Path
from time import perf_counter

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402

from lammps_mgml.api import sites  # noqa: E402
from lammps_mgml.families.densities import AXES, SENSES  # noqa: E402
from lammps_mgml.features import TABLE3, resolve  # noqa: E402
from lammps_mgml.geometry.cells import tessellate  # noqa: E402
from lammps_mgml.system.atoms import image_shell, periodic_atoms, with_images  # noqa: E402
from lammps_mgml.train.dataset import Loading, read_loadings  # noqa: E402
from lammps_mgml.train.evaluate import auc, together  # noqa: E402
from lammps_mgml.train.fit import Boosting  # noqa: E402
from lammps_mgml.train.recipes import OURS, RECIPES, paper_learner  # noqa: E402
from lammps_mgml.train.springs import with_force_constants  # noqa: E402

STRAIN = 0.04
MEASURE = "Table 3, the paper's learner"
REACH, FIRST, SPACING, SPLINES = 6.0, 2.0, 0.4, 9
TREES = {"learning_rate": 0.1, "num_leaves": 4, "min_data_in_leaf": 200, "feature_fraction": 0.3,
         "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 5.0}
SMALL, LARGE = Boosting(120, TREES), Boosting(300, {**TREES, "learning_rate": 0.05, "num_leaves": 8})
ISO, AXIAL = resolve("element_type,density,density_avg,density_avg2"), resolve("element_type,pair")
RADIUS = np.array([1.26, 1.58])        # A, Cu and Zr (Miracle 2006)

AVERAGED = "isotropic densities, logistic, trained on averaged labels"

_extras = {}


def pairs_of(structure):
    """(i, j, unit vectors, distances) of all pairs within REACH, both ways round."""
    from scipy.spatial import cKDTree

    box, n = structure.box, len(structure.types)
    x = structure.positions
    fractional, owner, shift = image_shell(box, x, REACH)
    whole = with_images(box, fractional, owner, shift)
    who = np.concatenate([np.arange(n), owner])
    near = cKDTree(whole).query_ball_point(whole[:n], REACH, return_sorted=False)
    i = np.repeat(np.arange(n), [len(a) for a in near])
    j = np.concatenate(near)
    i, j = i[i != j], j[i != j]
    d = whole[j] - whole[i]
    r = np.linalg.norm(d, axis=1)
    return i, who[j], d / r[:, None], r


def spread(structure, weights):
    """(n, 2 SPLINES) densities of a structure with pairs weighted by ``weights(unit vectors)``."""
    key = (structure.glass, "pairs")
    if key not in _extras:
        _extras[key] = pairs_of(structure)
    i, j, u, r = _extras[key]
    t = (r - FIRST) / SPACING
    out = np.empty((len(structure.types), 2 * SPLINES))
    for k in range(SPLINES):
        s = abs(t - k)
        b = np.where(s < 1, (4 - 6 * s**2 + 3 * s**3) / 6, np.clip(2 - s, 0, None) ** 3 / 6)
        on = b > 0
        for e in (1, 2):
            rows = on & (structure.types[j] == e)
            out[:, (e - 1) * SPLINES + k] = np.bincount(
                i[rows], (b * weights(u))[rows], minlength=len(out))
    return out


def means(structure, values, levels=3):
    """``values`` beside their averages over near neighbours, ``levels`` in all."""
    import scipy.sparse as sparse

    key = (structure.glass, "average")
    if key not in _extras:
        i, j, _, r = _extras[(structure.glass, "pairs")]
        n, near = len(structure.types), r < 4.0
        a = sparse.csr_matrix((np.ones(near.sum()), (i[near], j[near])), (n, n)) + sparse.eye(n)
        _extras[key] = sparse.diags(1 / np.asarray(a.sum(axis=1)).ravel()) @ a
    out = [values]
    for _ in range(levels - 1):
        out.append(_extras[key] @ out[-1])
    return np.hstack(out)


def axis_of(loading):
    """(axis, +1 in compression, -1 in tension)"""
    axis, sense = loading.load.split()
    return np.array(AXES[axis]), SENSES[sense]


def along_fourth(loading):
    """P4 of the angle to the load's axis instead of P2."""
    n, sign = axis_of(loading)

    def p4(u):
        c = (u @ n) ** 2
        return sign * (35 * c * c - 30 * c + 3) / 8
    return means(loading.structure, spread(loading.structure, p4))


def invariant(loading):
    """Length of the l = 2 part of the densities, whatever the axis."""
    s = loading.structure
    parts = [spread(s, lambda u, a=a, b=b: u[:, a] * u[:, b] - (a == b) / 3)
             for a in range(3) for b in range(3)]
    return means(s, np.sqrt(np.sum(np.square(parts), axis=0)))


def unlike(loading):
    """Variance of the densities over the near neighbours."""
    s = loading.structure
    d = spread(s, lambda u: np.ones(len(u)))
    k = d.shape[1]
    return means(s, d * d, 2)[:, k:] - means(s, d, 2)[:, k:] ** 2


def interstices(loading):
    """Statistics of r / (R_i + R_j) - 1 to the near neighbours."""
    s = loading.structure
    spread(s, lambda u: u[:, 0])
    i, j, _, r = _extras[(s.glass, "pairs")]
    i, j, r = (a[r < 4.0] for a in (i, j, r))
    gap, n = r / (RADIUS[s.types[i] - 1] + RADIUS[s.types[j] - 1]) - 1.0, len(s.types)
    count = np.bincount(i, minlength=n)
    mean = np.bincount(i, gap, n) / count
    ends = [np.full(n, limit) for limit in (np.inf, -np.inf)]
    np.minimum.at(ends[0], i, gap)
    np.maximum.at(ends[1], i, gap)
    std = np.sqrt(np.maximum(np.bincount(i, gap**2, n) / count - mean**2, 0.0))
    return means(s, np.stack([mean, std, *ends], axis=1))


def fabric(loading):
    """Facet area weighted by P2 of its normal's angle to the axis, by the neighbour's element."""
    s, (n, sign) = loading.structure, axis_of(loading)
    atoms, owner = periodic_atoms(s.positions, s.types, s.box, 7.3)
    cells = tessellate(atoms)
    i = np.repeat(np.arange(atoms.n_own), cells.facet_count)
    at = np.concatenate([np.arange(a, a + c) for a, c in zip(cells.facet_start, cells.facet_count)])
    j, area = cells.neighbour[at], cells.area[at]
    d = atoms.positions[j] - atoms.positions[i]
    p2 = sign * (1.5 * (d @ n) ** 2 / (d * d).sum(axis=1) - 0.5)
    out = np.stack([np.bincount(i, area * w * (atoms.types[j] == e), atoms.n_own)
                    for e in (1, 2) for w in (p2, np.ones(len(p2)))], axis=1)
    spread(s, lambda u: u[:, 0])
    return means(s, out)


def candidates(own=None):
    """{name: (learner, names, extra features of a loading or None)}; the first is the measure."""
    out = {MEASURE: (paper_learner(len(TABLE3)), TABLE3, None)}
    if own:
        out["recipe's own 13, the paper's learner"] = (paper_learner(len(own)), own, None)
    return {**out, "Table 3, logistic": (OURS, ("element_type", *TABLE3), None),
            "all 746, trees 300 x 8": (LARGE, resolve("all"), None),
            "isotropic densities, trees 120 x 4": (SMALL, ISO, None),
            "isotropic densities, trees 300 x 8": (LARGE, ISO, None),
            "isotropic densities, logistic": (OURS, ISO, None),
            "stiffness alone, logistic": (OURS, resolve("element_type,stiffness"), None),
            "isotropic densities, stiffness, logistic (cuzr)": (
                OURS, resolve(RECIPES["stiff"]), None),
            AVERAGED: (OURS, ISO, None),
            "axial too, trees 120 x 4": (SMALL, AXIAL, None),
            "axial too, trees 300 x 8": (LARGE, AXIAL, None),
            "axial too, logistic": (OURS, AXIAL, None),
            "axial too, stiffness, logistic": (OURS, resolve(RECIPES["axial-stiff"]), None),
            "axial too, stiffness, predicted strain, logistic (cuzr-axial)": (
                OURS, resolve(RECIPES["axial-strained"]), None),
            "axial too, Table 3, logistic": (OURS, (*AXIAL, *TABLE3), None),
            "axial too, P4, logistic": (OURS, AXIAL, along_fourth),
            "axial too, l = 2 invariants, logistic": (OURS, AXIAL, invariant),
            "axial too, variance, logistic": (OURS, AXIAL, unlike),
            "axial too, facet fabric, logistic": (OURS, AXIAL, fabric),
            "axial too, interstices, logistic": (OURS, AXIAL, interstices),
            "vibration alone, logistic": (OURS, resolve("element_type,vibration"), None),
            "Table 3 and vibration, the paper's learner": (
                paper_learner(16), (*TABLE3, *resolve("vibration")), None),
            "isotropic densities, vibration, logistic": (OURS, resolve(RECIPES["vibration"]), None),
            "isotropic densities, stiffness, vibration, logistic (cuzr-vibration)": (
                OURS, resolve(RECIPES["stiff-vibration"]), None),
            "axial too, vibration, logistic": (OURS, resolve(RECIPES["axial-vibration"]), None),
            "axial too, stiffness, vibration, logistic": (
                OURS, resolve(RECIPES["axial-stiff-vibration"]), None),
            "axial too, stiffness, predicted strain, vibration, logistic (cuzr-axial-vibration)": (
                OURS, resolve(RECIPES["axial-strained-vibration"]), None)}


def averaged(loadings):
    """For each glass a loading of no direction: the mean D2min of all that it has."""
    by_glass = {}
    for one in loadings:
        by_glass.setdefault(one.glass, []).append(one)
    return [Loading(some[0].structure, "mean",
                    {STRAIN: np.mean([x.at(STRAIN) for x in some], axis=0)})
            for some in by_glass.values()]


def rows_of(loading, names, extra, dtype):
    known = loading.features(names, dtype)
    return known if extra is None else np.hstack([known, extra(loading)])


def costs(loading, every, rounds=5):
    """{features: us per atom}, medians of rounds through all of ``every``."""
    s, times = loading.structure, {names: [] for names in every}
    for _ in range(rounds):
        for names in every:
            start = perf_counter()
            sites(s.positions, s.types, s.box.edges, s.box.periodic, names, s.elements,
                  load=loading.load, **s.watched, force_constants=s.force_constants)
            times[names].append(1e6 * (perf_counter() - start) / len(s.types))
    return {names: float(np.median(some)) for names, some in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--training", nargs="+", required=True)
    parser.add_argument("--unseen", nargs="+", required=True)
    parser.add_argument("--own", help="the 13 names of the paper's recipe, comma-separated")
    parser.add_argument("--only", help="candidates whose name holds this text, and the first")
    parser.add_argument("--costs", action="store_true", help="nothing but the costs")
    parser.add_argument("--json")
    args = parser.parse_args()
    training = with_force_constants(read_loadings(args.training), resolve("stiffness"))
    known, held = training[0].structure.force_constants, {}
    unseen = [replace(x, structure=held.setdefault(x.glass, replace(
        x.structure, force_constants=known))) for x in read_loadings(args.unseen)]
    every = {name: it for name, it in candidates(args.own.split(",") if args.own else None).items()
             if not args.only or args.only in name or name == MEASURE}
    cell = ("cn_voro",)
    us = costs(unseen[0], dict.fromkeys(
        [cell, *(tuple(names) for _, names, extra in every.values() if extra is None)]))
    if args.costs:
        print("\n".join([f"cells alone: {us[cell]:.1f} us per atom", *(
            f"{name}: {us[tuple(names)]:.1f}" for name, (_, names, extra) in every.items()
            if extra is None)]))
        return
    print(f"{len(training)} loadings to train on, {len(unseen)} unseen with "
          f"{sum(int(x.plastic(STRAIN).sum()) for x in unseen)} plastic atoms; cells alone "
          f"{us[cell]:.1f} us per atom\n\n"
          "| features, learner | number | AUC | difference, 95 % | AUC, averaged label "
          "| us per atom |\n"
          "|---|---|---|---|---|---|")
    first, found = None, {}
    for name, (learner, names, extra) in every.items():
        dtype = np.float32 if len(names) > 700 else np.float64
        x, y = [], []
        for one in averaged(training) if name == AVERAGED else training:
            f = rows_of(one, names, extra, dtype)
            ok = ~(np.isnan(f).any(axis=1) | np.isnan(one.at(STRAIN)))
            x.append(f[ok])
            y.append(one.plastic(STRAIN)[ok])
        fitted = learner.fit(np.concatenate(x), np.concatenate(y))
        n = x[0].shape[1]
        del x
        margins = [learner.margins(fitted, rows_of(one, names, extra, dtype)) for one in unseen]
        if first is None:
            first = margins
        value, error, interval = together([
            (one.glass, one.plastic(STRAIN), one.blocks, [m, base])
            for one, m, base in zip(unseen, margins, first)])
        mean = np.mean([auc(whole.plastic(STRAIN), np.mean(
            [m for one, m in zip(unseen, margins) if one.glass == whole.glass], axis=0))
            for whole in averaged(unseen)])
        spent = us[tuple(names)] if extra is None else None
        found[name] = {"features": n, "auc": value[0], "auc_error": error[0], "us_per_atom": spent,
                       "difference": value[0] - value[1], "interval95": interval,
                       "auc_averaged_label": float(mean)}
        print(f"| {name} | {n} | {value[0]:.4f} ± {error[0]:.4f} | {value[0] - value[1]:+.4f} "
              f"({interval[0]:+.4f} to {interval[1]:+.4f}) | {mean:.4f} | "
              f"{'' if spent is None else f'{spent:.1f}'} |", flush=True)
    if args.json:
        Path(args.json).write_text(json.dumps(
            {"training": sorted({x.name for x in training}), "unseen": [x.name for x in unseen],
             "cells_us_per_atom": us[cell], "candidates": found}, indent=1))


if __name__ == "__main__":
    main()
