"""What a run's own D2min says about its softness: AUC strain by strain, and a picture."""
import numpy as np

from .errors import InputError
from .io.dump import read_dump
from .train.dataset import THRESHOLD, cubes
from .train.evaluate import auc_with_error

FEW = 50               # plastic atoms below which an AUC says little


def compare(path, axis):
    """Frames of a dump and, for each after the first, (strain, plastic atoms, AUC, error).

    The score is d_sq of the first frame, of the undeformed structure, whatever the later ones say.
    """
    frames = list(read_dump(path))
    missing = {"d_sq", "d_d2min"} - set(frames[0].columns if frames else ())
    if missing or len(frames) < 2:
        raise InputError(f"{path}: needs two frames or more with columns d_sq and d_d2min"
                         + (f" (missing: {', '.join(sorted(missing))})" if frames else ""))
    first = frames[0]
    score, blocks = first.columns["d_sq"], cubes(first.box, first.positions)
    length = first.box.edges[axis, axis]
    rows = []
    for frame in frames[1:]:
        frame.must_have_atoms_of(first)
        d2 = frame.columns["d_d2min"]
        ok = ~(np.isnan(d2) | np.isnan(score))
        plastic = d2[ok] > THRESHOLD
        strain = abs(frame.box.edges[axis, axis] / length - 1.0)
        value, error = (auc_with_error(plastic, score[ok], blocks[ok], 100)[:2]
                        if plastic.sum() >= FEW else (np.nan, np.nan))
        rows.append((strain, int(plastic.sum()), value, error, frame.step))
    return frames, rows


def print_table(rows):
    print("strain   plastic atoms   AUC of S^q against the D2min of this run (+- block bootstrap)")
    for strain, n, value, error, _ in rows:
        print(f"{strain:6.4f}   {n:13d}   "
              + (f"{value:.3f} +- {error:.3f}" if n >= FEW else f"- (fewer than {FEW} plastic)"))


def draw(frames, rows, strain, axis, path, slab=5.0):
    """PNG: a slice of S^q above, of D2min at ``strain`` below (paper, Fig. 2a), AUC beside."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    first = frames[0]
    nearest = int(np.argmin([abs(r[0] - strain) for r in rows]))
    later = frames[1 + nearest]
    across, depth = [k for k in range(3) if k != axis]
    x = first.fractional % 1.0 @ first.box.edges
    half = 0.5 * first.box.edges[depth, depth]
    cut = np.flatnonzero(abs(x[:, depth] - half) < slab)
    cut = cut[np.argsort(x[cut, depth])]
    fig = plt.figure(figsize=(11, 8.4), layout="constrained")
    grid = fig.add_gridspec(2, 2, width_ratios=(1.0, 1.15))
    pictures = (("S$^q$ of the undeformed glass", first.columns["d_sq"], (0.0, 1.0), "viridis"),
                (f"D$^2$ at strain {rows[nearest][0]:.3f} (Å$^2$)", later.columns["d_d2min"],
                 (0.0, 2 * THRESHOLD), "magma"))
    for k, (title, values, limits, colours) in enumerate(pictures):
        ax = fig.add_subplot(grid[k, 0])
        with_grey = matplotlib.colormaps[colours].with_extremes(bad="0.9")   # undefined at surfaces
        dots = ax.scatter(x[cut, across], x[cut, axis], c=values[cut], s=52, cmap=with_grey,
                          vmin=limits[0], vmax=limits[1], edgecolors="0.3", linewidths=0.3,
                          plotnonfinite=True)
        ax.set_aspect("equal")
        ax.set_xlabel(f"{'xyz'[across]} (Å)")
        ax.set_ylabel(f"{'xyz'[axis]} (Å), loading axis")
        ax.set_title(f"{title}, slice of {2 * slab:.0f} Å", fontsize=10)
        fig.colorbar(dots, ax=ax, shrink=0.85)
    strains = np.array([r[0] for r in rows])
    ax = fig.add_subplot(grid[0, 1])
    ax.axhline(0.5, color="0.7", lw=1)
    ax.errorbar(strains, [r[2] for r in rows], [r[3] for r in rows], fmt="o-", ms=4, capsize=2)
    ax.set_ylabel("AUC of S$^q$")
    ax.set_title("S$^q$ of the undeformed glass against this run's D$^2$ > 5 Å$^2$", fontsize=10)
    ax = fig.add_subplot(grid[1, 1], sharex=ax)
    ax.plot(strains, [100 * r[1] / len(first) for r in rows], "s-", ms=4, color="firebrick")
    ax.set_ylabel("plastic atoms (%)")
    ax.set_xlabel("compressive strain")
    fig.savefig(path, dpi=110)
    plt.close(fig)
