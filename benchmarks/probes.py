"""What the surroundings and small probes of an undeformed glass tell beyond the best recipe.

    python benchmarks/probes.py [--temps 300,500] [--glasses 11,12,21,22,23,24] [--work FOLDER]

The out-of-fold margins of the recipe axial-stiff-vibration are one feature of a second logistic
regression for each element; what is tried is the others.  AUC out of fold at strain 0.04, mean over
the training glasses, and the gain over the margins alone with its 95 % interval (bootstrap of the
same blocks).  The margins of a glass come from models that saw the others, so that the second fit is
not wholly blind; all rows are so to the same degree.

probe       non-affine displacement under 0.2 % of strain of the inherent structure, along and in the
            sense of the load (two minimisations)
stress      virial of each atom on the axis of the load, its pressure and shear, and its energy
neighbours  margins averaged over the surroundings, and their P2 and P4 about the axis
watch T     20 ps of MD at T: mean squares of displacement, of displacement against neighbours, of
            local strain, D2min, the largest D2min, and kurtosis

Each is taken as it is and averaged over the surroundings.  What LAMMPS found is kept in --work.
About two hours with six glasses.
"""
import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402
from measure import ROOT, lammps_of  # noqa: E402
from scipy.spatial import cKDTree  # noqa: E402

from lammps_mgml import api  # noqa: E402
from lammps_mgml.progress import track  # noqa: E402
from lammps_mgml.train.dataset import read_loadings  # noqa: E402
from lammps_mgml.train.evaluate import together  # noqa: E402
from lammps_mgml.train.fit import Logistic, out_of_fold  # noqa: E402
from lammps_mgml.train.recipes import recipe  # noqa: E402
from lammps_mgml.train.springs import with_force_constants  # noqa: E402

STRAIN, PROBE = 0.04, 0.002
TINY = 1e-9
WIDTHS = 1.5, 3.0                      # A, of Gaussian averages
SECOND = Logistic(C=0.05)
STEPS, EVERY = 10_000, 50


def by_id(lmp, name):
    n = lmp.extract_global("nlocal")
    return lmp.numpy.extract_atom(name)[:n][np.argsort(lmp.numpy.extract_atom("id")[:n])].copy()


def probed(structure, axis, sign):
    """(n, 2) log D2min and log square of the non-affine displacement, under a small strain."""
    lmp = lammps_of(structure, "-sf", "opt")
    lmp.command("minimize 0 1e-4 1000 10000")
    before, edges = by_id(lmp, "x"), np.diag(structure.box.edges)
    a, (b, c) = "xyz"[axis], ["xyz"[k] for k in range(3) if k != axis]
    stretch = 1 + sign * PROBE
    lmp.commands_string(f"""
        change_box all {a} scale {stretch} {b} scale {stretch**-0.38} {c} scale {stretch**-0.38} remap
        min_modify dmax 0.05
        fix relax all box/relax {b} 0 {c} 0 vmax 0.0002
        minimize 0 1e-4 200 2000
        unfix relax
        minimize 0 1e-4 1000 10000""")
    after = by_id(lmp, "x")
    low, high = lmp.extract_box()[:2]
    lmp.close()
    now = np.array(high) - np.array(low)
    u = (after - np.array(low)) * edges / now - before
    u -= edges * np.round(u / edges)
    u -= u.mean(axis=0)
    d2 = api.d2min(before, np.diag(edges), after, np.diag(now)).d2min
    return np.log(np.stack([d2, (u * u).sum(axis=1)], axis=1) + TINY)


def stressed(structure):
    """(n, 6) virials xx yy zz xy xz yz and (n,) energy less its mean of the element."""
    lmp = lammps_of(structure, "-sf", "opt")
    lmp.commands_string("""
        compute e all pe/atom
        compute s all stress/atom NULL virial
        run 0""")
    order = np.argsort(lmp.numpy.extract_atom("id")[:len(structure.types)])
    virial = lmp.numpy.extract_compute("s", 1, 2)[:len(order)][order].copy()
    energy = lmp.numpy.extract_compute("e", 1, 1)[:len(order)][order].copy()
    lmp.close()
    for kind in np.unique(structure.types):
        energy[structure.types == kind] -= energy[structure.types == kind].mean()
    return virial, energy


def watched(structure, temp):
    """What MD at ``temp`` K tells, {name: (n, 3, 3), (n, 3) or (n,)}."""
    lmp = lammps_of(structure, "-sf", "opt")
    edges = np.diag(structure.box.edges)
    lmp.commands_string(f"""
        velocity all create {2 * temp} 4711 mom yes dist gaussian
        fix md all npt temp {temp} {temp} 0.1 iso 0 0 1.0
        run 1500
        unfix md
        fix md all nvt temp {temp} {temp} 0.1
        run 0 post no""")               # "pre no" does not set the new fix up
    low, high = lmp.extract_box()[:2]
    edges = np.array(high) - np.array(low)
    first, frames = by_id(lmp, "x"), []
    for _ in range(STEPS // EVERY):
        lmp.command(f"run {EVERY} pre no post no")
        u = by_id(lmp, "x") - first
        u -= edges * np.round(u / edges)
        frames.append((u - u.mean(axis=0)).astype(np.float32))
    lmp.close()
    mean = np.mean(frames, axis=0, dtype=np.float64)
    place, n = first + mean, len(first)
    tree = cKDTree(place % edges, boxsize=edges)
    pairs = tree.query_pairs(4.5, output_type="ndarray")
    i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
    order = np.argsort(i, kind="stable")
    i, j = i[order], j[order]
    start, count = np.searchsorted(i, np.arange(n)), np.bincount(i, minlength=n)[:, None]
    d0 = place[j] - place[i]
    d0 -= edges * np.round(d0 / edges)

    def summed(values):
        return np.add.reduceat(values, start, axis=0)

    def outer(d):
        return summed((d[:, :, None] * d0[:, None, :]).reshape(-1, 9)).reshape(-1, 3, 3)

    inverse = np.linalg.inv(outer(d0))
    out = {name: 0.0 for name in ("u2", "u4", "relative", "strain", "strain2", "d2")}
    largest = np.zeros(n)
    for frame in frames:
        u = frame - mean
        du = u[j] - u[i]
        d = d0 + du
        x = outer(d)
        f = x @ inverse
        d2 = summed((d * d).sum(axis=1)[:, None])[:, 0] - np.einsum("nab,nab->n", f, x)
        e = (f + f.transpose(0, 2, 1)) / 2 - np.eye(3)
        e -= np.trace(e, axis1=1, axis2=2)[:, None, None] / 3 * np.eye(3)
        for name, value in (("u2", u * u), ("u4", u**4), ("relative", summed(du * du) / count),
                            ("strain", e), ("strain2", e * e), ("d2", d2)):
            out[name] = out[name] + value / len(frames)
        largest = np.maximum(largest, d2)
    return {**out, "strain2": out["strain2"] - out["strain"]**2, "largest": largest}


class Surroundings:
    """Gaussian averages over the surroundings of each atom, and their P2 and P4 about an axis."""

    def __init__(self, structure):
        edges = np.diag(structure.box.edges)
        x = structure.positions % edges
        pairs = cKDTree(x, boxsize=edges).query_pairs(3 * max(WIDTHS), output_type="ndarray")
        self.i, self.j = np.concatenate([pairs, pairs[:, ::-1]]).T
        d = x[self.j] - x[self.i]
        d -= edges * np.round(d / edges)
        self.r = np.linalg.norm(d, axis=1)
        self.cosine = d / self.r[:, None]

    def mean(self, values, width, order=0, axis=0):
        w = np.exp(-(self.r / width)**2 / 2)
        n, c = len(values), self.cosine[:, axis]
        total = 1 + np.bincount(self.i, w, n)
        legendre = {0: 1.0, 2: (3 * c**2 - 1) / 2, 4: (35 * c**4 - 30 * c**2 + 3) / 8}[order]
        own = values if order == 0 else 0.0
        return (own + np.bincount(self.i, w * legendre * values[self.j], n)) / total

    def all(self, columns):
        """The columns and their averages of each width."""
        return np.stack([*columns, *(self.mean(c, w) for c in columns for w in WIDTHS)], axis=1)


def kept(folder, name, make):
    """{name: array} of ``make``, from the folder if it is there."""
    path = folder / f"{name}.npz"
    if not path.exists():
        np.savez(path, **make())
    with np.load(path) as file:
        return dict(file)


def columns_of(x, margins, what, folder, near):
    """(n, k) features of one loading, of the kind ``what``."""
    axis, sign = "xyz".index(x.load[0]), 1 if x.load.endswith("tension") else -1
    b, c = (k for k in range(3) if k != axis)
    if what == "neighbours":
        m = np.where(np.isnan(margins), np.nanmean(margins), margins)
        return np.stack([near.mean(m, w, order, axis) for w in WIDTHS for order in (0, 2, 4)],
                        axis=1)
    if what == "probe":
        found = kept(folder, f"{x.glass}-{axis}{sign}", lambda: {
            "probe": probed(x.structure, axis, sign)})["probe"]
        return near.all(found.T)
    if what == "stress":
        found = kept(folder, f"{x.glass}-stress", lambda: dict(zip(
            ("virial", "energy"), stressed(x.structure))))
        s = found["virial"]
        pressure = s[:, :3].mean(axis=1)
        shear = np.sqrt(((s[:, :3] - pressure[:, None])**2).sum(axis=1)
                        + 2 * (s[:, 3:]**2).sum(axis=1))
        return near.all([-sign * (s[:, axis] - pressure), pressure, shear, found["energy"]])
    temp = int(what.split()[1])
    f = kept(folder, f"{x.glass}-{temp}K", lambda: watched(x.structure, temp))
    u2, relative, e = f["u2"], f["relative"], f["strain2"]
    return near.all([np.log(v + TINY) for v in (
        u2.sum(axis=1), u2[:, axis], relative.sum(axis=1), relative[:, axis], e[:, axis, axis],
        e[:, axis, b] + e[:, axis, c], e[:, b, c], e[:, b, b] + e[:, c, c], f["d2"], f["largest"],
        f["u4"].sum(axis=1) / u2.sum(axis=1)**2)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--temps", default="300,500", help="K, comma-separated")
    parser.add_argument("--glasses", default="11,12,21,22,23,24",
                        help="of training, never unseen ones")
    parser.add_argument("--work", type=Path, default=Path("probes-work"))
    args = parser.parse_args()
    args.work.mkdir(exist_ok=True)
    loadings = read_loadings([ROOT / "inputs" / "glasses" / f"glass-{g}.h5"
                              for g in args.glasses.split(",")])
    names = sorted({x.glass for x in loadings})
    learner, features, _ = recipe("axial-stiff-vibration", loadings, STRAIN)
    loadings = with_force_constants(loadings, features)
    ok = [~(np.isnan(x.features(features)).any(axis=1) | np.isnan(x.at(STRAIN))) for x in loadings]
    labels = [x.plastic(STRAIN)[one] for x, one in zip(loadings, ok)]
    y = np.concatenate(labels)
    glass = np.concatenate([np.full(one.sum(), names.index(x.glass))
                            for x, one in zip(loadings, ok)])
    ends = np.cumsum([len(one) for one in labels])[:-1]
    first = np.split(out_of_fold(learner, np.concatenate(
        [x.features(features)[one] for x, one in zip(loadings, ok)]), y, glass), ends)
    near = {x.glass: Surroundings(x.structure) for x in loadings}

    def second(kinds):
        rows = []
        told = ", ".join(kinds) or "margins"
        for x, one, margin in track(list(zip(loadings, ok, first)), told, "loadings"):
            whole = np.full(len(one), np.nan)
            whole[one] = margin
            parts = [columns_of(x, whole, what, args.work, near[x.glass]) for what in kinds]
            rows.append(np.column_stack([x.types - 1, whole, *parts])[one])
        return np.split(out_of_fold(SECOND, np.concatenate(rows), y, glass), ends)

    alone = second(())
    watches = [f"watch {t}" for t in args.temps.split(",")]
    print("| beside the margins of axial-stiff-vibration | AUC out of fold | gain | 95 % |\n"
          "|---|---|---|---|")
    for kinds in ((), ("probe",), ("stress",), ("neighbours",), *((w,) for w in watches), watches,
                  ("probe", "stress", "neighbours", *watches)):
        found = alone if not kinds else second(kinds)
        value, _, (low, high) = together([
            (x.glass, label, x.blocks[one], (a, b))
            for x, label, one, a, b in zip(loadings, labels, ok, found, alone)])
        print(f"| {', '.join(kinds) or 'nothing'} | {value[0]:.4f} | {value[0] - value[1]:+.4f} | "
              + (f"{low:+.4f} to {high:+.4f} |" if kinds else "- |"), flush=True)


if __name__ == "__main__":
    main()
