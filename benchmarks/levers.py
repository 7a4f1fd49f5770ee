"""What tells more of the atoms that slip, and what does not: AUC out of fold, a row for each try.

    python benchmarks/levers.py [--only WORD,...] [--response] [--watch K:PS,...] [--work FOLDER]
    python benchmarks/levers.py --blind
    python benchmarks/levers.py --more FILE [FILE ...]

Training glasses 21 to 24, 24 loadings, strain 0.04; each glass is judged by what was learnt from the
other three.  The base is the recipe axial-strained-vibration.  The gain is over it, with its 95 %
interval (bootstrap of the same blocks).  One in five of the atoms that did not slip is learnt from,
with five times the weight: an eighth of the time.

--response : LAMMPS' own response to small strains of the inherent structure, in place of the
predicted one or beside it (minimisations, kept in --work; some 10 minutes).
--watch : MD of the undeformed glasses by inputs/in.vibrate with other velocities, as 300:40,500:20,
in place of the watch of 20 ps at 300 K of the glass files, and averaged with it (at 300 K) or beside
it (at others, about the inherent structure); kept in --work.
Without these two about 10 minutes.
--blind : for the recipe without an axis (stiff), what predicted strains of all directions tell it,
as means and extremes over them; a minute.
--more : what further glass files add to what is learnt from, for three recipes; some minutes.
"""
import argparse
import itertools
import os
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402
from measure import ROOT, lammps_of  # noqa: E402

from lammps_mgml.families import strained  # noqa: E402
from lammps_mgml.features import resolve  # noqa: E402
from lammps_mgml.io.dump import read_dump  # noqa: E402
from lammps_mgml.io.glass import read_glass, write_data  # noqa: E402
from lammps_mgml.models.model import Linear  # noqa: E402
from lammps_mgml.progress import track  # noqa: E402
from lammps_mgml.train.dataset import read_loadings  # noqa: E402
from lammps_mgml.train.evaluate import auc, together  # noqa: E402
from lammps_mgml.train.fit import balanced  # noqa: E402
from lammps_mgml.train.recipes import RECIPES  # noqa: E402
from lammps_mgml.train.springs import with_force_constants  # noqa: E402

STRAIN, KEPT, DRAWS = 0.04, 5, 100
GLASS_FILES = ROOT / "inputs" / "glasses"
GLASSES = "glass-21", "glass-22", "glass-23", "glass-24"
SMALL, HALF = 0.0005, 0.005            # strains of LAMMPS' own response
TREES = {"objective": "binary", "learning_rate": 0.03, "num_leaves": 8, "min_data_in_leaf": 400,
         "feature_fraction": 0.3, "lambda_l2": 10, "verbose": -1, "num_threads": 1, "seed": 1}


def kept_rows(y):
    """Rows to learn from, and their weights: both classes equal."""
    rows = np.flatnonzero(y | (np.random.default_rng(0).random(len(y)) < 1 / KEPT))
    return rows, (balanced(y) * np.where(y, 1, KEPT))[rows]


def logistic(x, d2, threshold, C=0.01):
    """Margins of new rows, learnt from x and from who is above the threshold."""
    from sklearn.linear_model import LogisticRegression

    def one(rows, scaled, y, weight):
        fitted = LogisticRegression(C=C, max_iter=300, tol=1e-3).fit(scaled, y[rows], weight)
        return fitted.coef_[0], fitted.intercept_[0]

    return by_element(x, d2 > threshold, one)


def ridge(x, d2, threshold):
    """A linear fit of ln D2min, cut off above e times and below e^-2 times the threshold."""
    from sklearn.linear_model import Ridge

    target = np.clip(np.log(np.maximum(d2, 1e-9) / threshold), -2, 1)

    def one(rows, scaled, y, weight):
        fitted = Ridge(alpha=100).fit(scaled, target[rows], weight)
        return fitted.coef_, fitted.intercept_

    return by_element(x, d2 > threshold, one)


def by_element(x, y, one):
    from sklearn.preprocessing import StandardScaler

    rows, weight = kept_rows(y)
    weights, intercept = [], []
    for e in range(int(x[:, 0].max()) + 1):
        own = x[rows, 0] == e
        scaler = StandardScaler().fit(x[rows[own]])
        coef, constant = one(rows[own], scaler.transform(x[rows[own]]), y, weight[own])
        weights.append(coef / scaler.scale_)
        intercept.append(constant - weights[-1] @ scaler.mean_)
    return Linear(np.array(weights), np.array(intercept)).raw_scores


def graded(x, d2, threshold):
    """Mean of what is learnt with half, once and twice the threshold."""
    parts = [logistic(x, d2, threshold * times) for times in (0.5, 1, 2)]
    return lambda new: np.mean([part(new) for part in parts], axis=0)


def trees(x, d2, threshold):
    """Boosted trees that start from the margins of the logistic regression."""
    import lightgbm

    first, (rows, weight) = logistic(x, d2, threshold), kept_rows(d2 > threshold)
    booster = lightgbm.train(TREES, lightgbm.Dataset(
        x[rows], d2[rows] > threshold, weight=weight, init_score=first(x[rows])), 200)
    return lambda new: first(new) + booster.predict(new, raw_score=True)


class Judge:
    """Loadings with the features of the base; ``margins`` are out of fold."""

    def __init__(self, loadings, base):
        self.loadings = loadings
        self.threshold = loadings[0].lengths.d2_threshold
        self.base = [x.features(base, np.float32) for x in loadings]
        self.d2 = [x.at(STRAIN) for x in loadings]
        self.ok = [~(np.isnan(f).any(axis=1) | np.isnan(d2)) for f, d2 in zip(self.base, self.d2)]

    def rows(self, columns=None):
        """[(n, k)] of the atoms that count; ``columns`` of each loading in place of the base."""
        return [np.nan_to_num(f[ok]).astype(float)
                for f, ok in zip(self.base if columns is None else columns, self.ok)]

    def learnt(self, used, rows, learn=logistic):
        """What gives margins, learnt from these glasses."""
        some = [k for k, x in enumerate(self.loadings) if x.glass in used]
        return learn(np.concatenate([rows[k] for k in some]),
                     np.concatenate([self.d2[k][self.ok[k]] for k in some]), self.threshold)

    def margins(self, columns=None, learn=logistic):
        """Out of fold, for each loading."""
        rows = self.rows(columns)
        by = {out: self.learnt(set(GLASSES) - {out}, rows, learn) for out in GLASSES}
        return [by[x.glass](r) for x, r in zip(self.loadings, rows)]

    def told(self, margins, of):
        """(AUC, its gain over ``of``, 95 % interval of that)."""
        value, _, interval = together([
            (x.glass, d2[ok] > self.threshold, x.blocks[ok], (a, b)) for x, d2, ok, a, b
            in zip(self.loadings, self.d2, self.ok, margins, of)], DRAWS)
        return value[0], value[0] - value[1], interval


@contextmanager
def other(**values):
    """Constants of the predicted strain, or functions of it, are other ones for a while."""
    before = {name: getattr(strained, name) for name in values}
    for name, value in values.items():
        setattr(strained, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(strained, name, value)


def predicted(loadings, **values):
    """[(n, 15)] of ``strained``, with other constants."""
    with other(**values):                    # of copies, which know no features yet
        return [replace(x.structure).features("strained", x.load, np.float32) for x in loadings]


def densities_there(loadings):
    """[(n, k)] densities where the predicted strain has taken the atoms."""
    from lammps_mgml.families.stiffness import stiffness
    from lammps_mgml.system.box import Box

    out, places = [], []

    def noted(work, positions, *rest):
        places.append(positions[:work.atoms.n_own].copy())
        return stiffness(work, positions, *rest)

    for x in loadings:
        predicted([x], stiffness=noted)
        axis, sign = "xyz".index(x.load[0]), 1 if x.load.endswith("tension") else -1
        stretch = np.where(np.arange(3) == axis, 1 + sign * strained.STRAIN,
                           1 - sign * strained.STRAIN / 2)
        there = replace(x.structure, positions=places.pop(),
                        box=Box.make(np.diag(x.structure.box.edges) * stretch, (True,) * 3))
        out.append(there.features("density", dtype=np.float32))
    return out


def responses(structure, folder):
    """{"z 0.0005": (n, 3)} non-affine displacements by LAMMPS, A per unit of compression."""
    path = folder / f"{structure.glass}-response.npz"
    if not path.exists():
        lmp = lammps_of(structure, "-sf", "opt")

        def by_id():
            n = lmp.extract_global("nlocal")
            order = np.argsort(lmp.numpy.extract_atom("id")[:n])
            low, high = lmp.extract_box()[:2]
            return lmp.numpy.extract_atom("x")[:n][order] - low, np.array(high) - low

        lmp.command("minimize 0 1e-6 5000 50000")
        before, edges = by_id()
        found = {}
        for axis, strain in itertools.product("xyz", (SMALL, HALF, -HALF)):
            b, c = set("xyz") - {axis}
            along, across = 1 - strain, (1 - strain)**-0.5
            lmp.commands_string(f"""
                change_box all {axis} scale {along} {b} scale {across} {c} scale {across} remap
                minimize 0 1e-5 3000 30000""")
            after, now = by_id()
            u = after * edges / now - before
            u -= edges * np.round(u / edges)
            found[f"{axis} {strain}"] = ((u - u.mean(axis=0)) / strain).astype(np.float32)
            lmp.close()
            lmp = lammps_of(structure, "-sf", "opt")
            lmp.command("minimize 0 1e-6 5000 50000")
        lmp.close()
        np.savez(path, **found)
    with np.load(path) as file:
        return dict(file)


def by_lammps(loadings, folder, strain):
    """[(n, 15)] of ``strained`` with displacements by LAMMPS in place of the predicted ones."""
    out = []
    for x in track(loadings, f"LAMMPS' response, {strain:g}", "loadings"):
        sign = -1 if x.load.endswith("tension") else 1
        key = f"{x.load[0]} {strain if strain == SMALL else sign * strain}"
        u = sign * responses(x.structure, folder)[key].astype(float)

        def given(work, springs, u=u):
            whole = np.zeros((work.n_rows, 3))
            whole[:len(u)] = u
            yield whole
            return whole

        out += predicted([x], _response_of=given)
    return out


def watched(structure, folder, temp, ps):
    """(n,) A^2 mean square displacements, of another watch with other velocities."""
    name, what = f"{structure.glass}-{temp:g}-{ps:g}", "msd" if temp == 300 else "msd_hot"
    if not (folder / f"{name}.{what}").exists():
        write_data(folder / f"{name}.data", read_glass(GLASS_FILES / f"{structure.glass}.h5"))
        subprocess.run(["lmp", "-sf", "opt", "-in", ROOT / "inputs" / "in.vibrate", "-screen", "none",
                        "-log", f"{name}.log", "-var", "name", name, "-var", "temp", str(temp),
                        "-var", "time", str(ps), "-var", "what", what, "-var", "seed", "5"],
                       cwd=folder, check=True)
    (frame,) = read_dump(folder / f"{name}.{what}")
    return frame.columns[f"d_{what}"]


def by_watch(loadings, msd):
    """[(n, 3)] of ``vibration`` with the displacements that ``msd`` gives for a structure."""
    of = {x.glass: replace(x.structure, watched={"msd": msd(x.structure)}) for x in loadings}
    return [of[x.glass].features("vibration", dtype=np.float32) for x in loadings]


ALL_WAYS = tuple(f"{axis} {sense}" for axis in "xyz" for sense in ("compression", "tension")) + tuple(
    f"{plane} {sense}" for plane in ("xy", "xz", "yz") for sense in ("shear", "reversed shear"))


def own_loadings():
    return read_loadings([GLASS_FILES / f"{g}.h5" for g in GLASSES])


def blind():
    """Rows of what predicted strains tell a model that knows no axis."""
    loadings = own_loadings()
    names = resolve(RECIPES["stiff"], loadings[0].structure.elements)
    judge = Judge(with_force_constants(loadings, names), names)
    base, known = judge.margins(), {}
    for x in track(judge.loadings, "predicted strains", "loadings"):
        if x.glass not in known:
            known[x.glass] = np.array([x.structure.features("strained", way, np.float32)
                                       for way in ALL_WAYS])
    d2 = [n.startswith("nonaffine") for n in resolve("strained", loadings[0].structure.elements)]
    tries = {
        "mean D2min of the predicted strains of all directions": lambda f: f.mean(axis=0)[:, d2],
        "mean and largest": lambda f: np.hstack([f.mean(axis=0)[:, d2], f.max(axis=0)[:, d2]]),
        "means and extremes of all 15 features": lambda f: np.hstack(
            [f.mean(axis=0), f.min(axis=0), f.max(axis=0)])}
    print("| recipe stiff | AUC out of fold | gain | 95 % |\n|---|---|---|---|")
    print(f"| as it is | {judge.told(base, base)[0]:.4f} | | |", flush=True)
    for name, of in tries.items():
        columns = [np.column_stack([f, of(known[x.glass])])
                   for x, f in zip(judge.loadings, judge.base)]
        row(name, judge.told(judge.margins(columns), base))


def more_glasses(files):
    """Rows of what further glasses to learn from add."""
    own = own_loadings()
    others = read_loadings(files)
    again = {x.glass for x in others} & set(GLASSES)
    if again:
        raise SystemExit(f"levers: --more: {', '.join(sorted(again))} is judged")
    print("| recipe | glasses learnt from | AUC out of fold | gain | 95 % |\n|---|---|---|---|---|")
    for recipe in ("stiff", "axial-strained", "axial-strained-hot"):
        names = resolve(RECIPES[recipe], own[0].structure.elements)
        known = with_force_constants(own, names)
        constants = known[0].structure.force_constants
        structures = {x.glass: replace(x.structure, force_constants=constants) for x in others}
        judge = Judge(known + [replace(x, structure=structures[x.glass]) for x in others], names)
        rows, base = judge.rows(), None
        for n in sorted({0, len(structures) // 2, len(structures)}):
            with_these = set(list(structures)[:n])
            by = {out: judge.learnt(set(GLASSES) - {out} | with_these, rows) for out in GLASSES}
            margins = [by[x.glass](r) for x, r in zip(known, rows)]
            base = base or margins
            row(f"{recipe} | {3 + n}", judge.told(margins, base))


def row(name, told):
    value, gain, (low, high) = told
    print(f"| {name} | {value:.4f} | {gain:+.4f} | {low:+.4f} to {high:+.4f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="rows with one of these words")
    parser.add_argument("--response", action="store_true")
    parser.add_argument("--watch", default="", metavar="K:PS,...")
    parser.add_argument("--blind", action="store_true")
    parser.add_argument("--more", type=Path, nargs="+", default=[], metavar="FILE")
    parser.add_argument("--work", type=Path, default=Path("levers-work"))
    args = parser.parse_args()
    if args.blind:
        blind()
    if args.more:
        more_glasses(args.more)
    if args.blind or args.more:
        return
    loadings = own_loadings()
    names = resolve(RECIPES["axial-strained-vibration"], loadings[0].structure.elements)
    loadings = with_force_constants(loadings, names)
    judge = Judge(loadings, names)
    still = [k for k, name in enumerate(names) if "vibration" not in name]
    unstrained = [k for k, name in enumerate(names) if not name.startswith(("strained", "nonaffine"))]

    def of(columns, more=None):
        """The base's columns of these numbers, with more beside them."""
        more = [()] * len(loadings) if more is None else more
        return [np.column_stack([f[:, columns], *([m] if len(m) else [])])
                for f, m in zip(judge.base, more)]

    def beside(more):
        return of(range(len(names)), more)

    def instead(more):
        return of(unstrained, more)

    def densities_alone():
        plain = set(resolve(RECIPES["axial"], loadings[0].structure.elements))
        return of([k for k, name in enumerate(names) if name in plain or "vibration" in name])

    rows = {
        "without the predicted strain": lambda: judge.margins(of(unstrained)),
        "without it and the stiffness": lambda: judge.margins(densities_alone()),
        "predicted strain of 0.03": lambda: judge.margins(instead(
            predicted(loadings, STRAIN=0.03))),
        "predicted strain of 0.08": lambda: judge.margins(instead(
            predicted(loadings, STRAIN=0.08, LONGEST=0.13))),
        "the reverse strain beside it": lambda: judge.margins(beside(
            predicted(loadings, STRAIN=-strained.STRAIN))),
        "two sweeps in place of five": lambda: judge.margins(instead(
            predicted(loadings, SWEEPS=2))),
        "ten sweeps": lambda: judge.margins(instead(predicted(loadings, SWEEPS=10))),
        "densities at the strained places": lambda: judge.margins(beside(
            densities_there(loadings))),
        "C = 0.003": lambda: judge.margins(learn=lambda *rest: logistic(*rest, C=0.003)),
        "C = 0.03": lambda: judge.margins(learn=lambda *rest: logistic(*rest, C=0.03)),
        "linear fit of ln D2min": lambda: judge.margins(learn=ridge),
        "labels at 0.5, 1 and 2 times the threshold": lambda: judge.margins(learn=graded),
        "trees on the margins": lambda: judge.margins(learn=trees),
        "the second watch of the glass files, 500 K, beside it": lambda: judge.margins(beside(
            [x.features("vibration_hot", dtype=np.float32) for x in loadings]))}
    if args.watch or args.response:
        args.work.mkdir(exist_ok=True)
    for watch in filter(None, args.watch.split(",")):
        temp, ps = map(float, watch.split(":"))

        def other_watch(structure, temp=temp, ps=ps):
            return watched(structure, args.work, temp, ps)

        def both(structure, ps=ps, again=other_watch):
            return (20 * structure.watched["msd"] + ps * again(structure)) / (20 + ps)

        rows[f"watch of {ps:g} ps at {temp:g} K in place of 20 ps at 300 K"] = (
            lambda one=other_watch: judge.margins(of(still, by_watch(loadings, one))))
        if temp == 300:
            rows[f"the same averaged with 20 ps, {ps:g} ps"] = (
                lambda one=both: judge.margins(of(still, by_watch(loadings, one))))
        else:
            rows[f"the same beside it, {temp:g} K, {ps:g} ps"] = (
                lambda one=other_watch: judge.margins(beside(by_watch(loadings, one))))
    if args.response:
        rows |= {
            "LAMMPS' response to 0.05 % in its place": lambda: judge.margins(instead(
                by_lammps(loadings, args.work, SMALL))),
            "LAMMPS' response to 0.5 % in its place": lambda: judge.margins(instead(
                by_lammps(loadings, args.work, HALF))),
            "LAMMPS' response to 0.5 % beside it": lambda: judge.margins(beside(
                by_lammps(loadings, args.work, HALF)))}
    base = judge.margins()
    print("| | AUC out of fold | gain | 95 % |\n|---|---|---|---|")
    print(f"| axial-strained-vibration | {judge.told(base, base)[0]:.4f} | | |", flush=True)
    no_watch = judge.margins(of(still))
    rows = {"no watch": lambda: no_watch, **rows}
    for name, margins in rows.items():
        if not args.only or any(word in name for word in args.only.split(",")):
            row(name, judge.told(margins(), base))
    if not args.only:
        print()
        learning_curve(judge)


def learning_curve(judge):
    """Mean AUC by the number of glasses learnt from, over all ways to take them; and how far S^q of
    an atom goes from one such model to another."""
    rows = judge.rows()
    labels = [d2[ok] > judge.threshold for d2, ok in zip(judge.d2, judge.ok)]
    print("| glasses learnt from | AUC | S^q of an atom, rms between models | S^q, between atoms |\n"
          "|---|---|---|---|")
    for n in (1, 2, 3):
        found, margins = [], {}
        for used in itertools.combinations(GLASSES, n):
            model = judge.learnt(used, rows)
            for k, x in enumerate(judge.loadings):
                if x.glass not in used:
                    margins.setdefault(k, []).append(model(rows[k]))
                    found.append(auc(labels[k], margins[k][-1]))
        softness = [1 / (1 + np.exp(-np.array(m))) for m in margins.values()]
        among = np.sqrt(np.mean([s.var(axis=0).mean() for s in softness]))
        atoms = np.mean([s.mean(axis=0).std() for s in softness])
        print(f"| {n} | {np.mean(found):.4f} | {f'{among:.3f}' if n < 3 else '-'} | {atoms:.3f} |",
              flush=True)


if __name__ == "__main__":
    main()
