"""The panels of figures: what is known of some atoms, drawn on axes of matplotlib."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..system.arrays import Floats
from ..train.dataset import THRESHOLD
from .panels import PER_DECADE, ByD2, Slice
from .rows import FEW_TO_SHARE, SOFT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# of Okabe and Ito, told apart by colour-blind readers and in grey
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "0.45"
# A, Goldschmidt's radii of metals: what is drawn is their ratio
RADII = {"Li": 1.57, "Be": 1.12, "B": 0.98, "Na": 1.91, "Mg": 1.60, "Al": 1.43, "Si": 1.32, "P": 1.28,
         "Ca": 1.97, "Ti": 1.47, "V": 1.35, "Cr": 1.28, "Mn": 1.27, "Fe": 1.26, "Co": 1.25,
         "Ni": 1.25, "Cu": 1.28, "Zn": 1.37, "Y": 1.81, "Zr": 1.60, "Nb": 1.47, "Mo": 1.40,
         "Pd": 1.37, "Ag": 1.44, "Sn": 1.58, "La": 1.87, "Ce": 1.82, "Gd": 1.80, "Hf": 1.59,
         "Ta": 1.47, "W": 1.41, "Pt": 1.38, "Au": 1.44}
STYLE: Any = {"font.size": 8.5, "axes.titlesize": 8.5, "axes.labelsize": 8.5, "legend.fontsize": 7.5,
         "xtick.labelsize": 8, "ytick.labelsize": 8, "axes.linewidth": 0.7, "lines.linewidth": 1.3,
         "xtick.direction": "in", "ytick.direction": "in", "legend.frameon": False,
         "pdf.fonttype": 42, "svg.hashsalt": "lammps_mgml"}
D2 = "$D^2_\\mathrm{min}$"
SQ = "$S^q$"


def stacked(fig: Figure, place: Any, heights: tuple[float, float]) -> tuple[Axes, Axes]:
    """Two axes, one above the other, of one scale across."""
    parts = place.subgridspec(2, 1, height_ratios=heights, hspace=0.03)
    lower = fig.add_subplot(parts[1])
    upper = fig.add_subplot(parts[0], sharex=lower)
    upper.tick_params(labelbottom=False)
    return upper, lower


def letter(ax: Axes, letter: str) -> None:
    ax.annotate(letter, (0, 1), (-30, 4), "axes fraction", "offset points", fontsize=11,
                fontweight="bold", annotation_clip=False)


def say(ax: Axes, text: str) -> None:
    """A sentence in place of what cannot be drawn."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=GREY)


def draw_map(fig: Figure, ax: Axes, part: Slice, elements: tuple[str, ...] | None,
             title: str) -> None:
    """D2min in a plane, and the soft atoms next to it (paper, Fig. 2a).

    elements : symbols of types 1, 2, ...  title : a line above that which tells of the plane.
    """
    import matplotlib
    from matplotlib.colors import ListedColormap

    # light enough at its upper end for dots to stand out, grey where there is no D2min
    colours = ListedColormap(matplotlib.colormaps["YlOrBr"](np.linspace(0.0, 0.85, 256)))
    colours.set_extremes(bad="0.75")
    values = np.ma.masked_invalid(part.d2min)
    shown_map = ax.imshow(values, origin="lower", extent=part.extent, cmap=colours, vmin=0.0,
                          vmax=2 * THRESHOLD, interpolation="none")
    # white outside of the box
    outside = np.where(part.inside[..., None], 0.0, 1.0) * np.ones(4)
    outside[..., :3] = 1.0
    ax.imshow(outside, origin="lower", extent=part.extent, interpolation="none")
    left, right, low, high = part.extent
    rim = np.pad(part.inside, 1).astype(float)
    across, up = (np.linspace(a - (b - a) / 2 / n, b + (b - a) / 2 / n, n + 2) for (a, b), n in zip(
        ((left, right), (low, high)), part.inside.shape[::-1]))
    ax.contour(across, up, rim, levels=[0.5], colors="0.4", linewidths=0.6)
    # dots of 60 % of the atoms' radius, in points
    inches = 2.45 / max(right - left, high - low)
    radii = _radii(part, elements)
    soft = part.softness > SOFT
    for number in np.unique(part.types):
        of_type = part.types == number
        size = (0.6 * radii[number] * inches * 72) ** 2 * 4
        name = elements[number - 1] if elements else f"type {number}"
        x, y = part.x[of_type & soft].T
        ax.scatter(x, y, s=size, c="black", linewidths=0.4, edgecolors="white", label=name, zorder=3)
    ax.set_xticks([])
    ax.set_yticks([])
    for side in ax.spines.values():
        side.set_visible(False)
    ax.set_xlim(left, right)
    ax.set_ylim(low - 0.11 * (high - low), high)
    bar = _round_length(0.25 * (right - left))
    y = low - 0.05 * (high - low)
    ax.plot([left, left + bar], [y, y], color="black", lw=2.5, solid_capstyle="butt")
    ax.text(left + bar + 0.02 * (right - left), y, f"{bar:g} Å", va="center")
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(handles, labels, loc="lower right", bbox_to_anchor=(1.02, -0.02), ncols=len(labels),
              columnspacing=0.6, handletextpad=0.0, borderpad=0.0, title=None)
    axes = "xyz"
    ax.set_title(f"{title}\nslice of {part.thickness:g} Å at mid {axes[part.depth]}; dots: {SQ} > "
                 f"{SOFT:g}", loc="left")
    ax.annotate(axes[part.upright], (0, 0.5), (-8, 0), "axes fraction", "offset points",
                fontstyle="italic", ha="right", va="center")
    ax.annotate(axes[part.across], (0.5, 0), (0, 4), "axes fraction", "offset points",
                fontstyle="italic", ha="center", va="bottom")
    bar_of_colours = fig.colorbar(shown_map, ax=ax, shrink=0.8, extend="max", pad=0.02, aspect=18)
    bar_of_colours.set_label(f"{D2} (Å$^2$)")
    bar_of_colours.ax.axhline(THRESHOLD, color="black", lw=0.8)
    ax.set_anchor("W")


def _radii(part: Slice, elements: tuple[str, ...] | None) -> dict[int, float]:
    """{type: A}; those of unknown elements grow a little from type to type."""
    return {int(number): RADII.get(elements[number - 1] if elements else "", 1.1 + 0.2 * number)
            for number in np.unique(part.types)}


def _round_length(length: float) -> float:
    """1, 2 or 5 times a power of ten, at most ``length``."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(max(n * power for n in (1, 2, 5) if n * power <= length))


def draw_by_d2(upper: Axes, lower: Axes, found: ByD2 | None, title: str) -> None:
    """Densities of soft and other atoms, and the share of soft ones, by D2min (paper, Fig. 2b)."""
    lower.set_xlabel(f"{D2} (Å$^2$)")
    lower.set_ylabel(f"share with {SQ} > {SOFT:g}")
    upper.set_ylabel("density")
    upper.set_title(title, loc="left")
    if found is None:
        say(lower, f"no atom has {SQ}")
        return
    edges = found.edges.copy()
    if not edges[0]:                         # on a logarithmic scale
        edges[0] = edges[1] / 10 ** (1 / PER_DECADE)
    middle, width = np.sqrt(edges[1:] * edges[:-1]), 1 / PER_DECADE
    for counts, colour, name in ((found.soft, ORANGE, f"{SQ} > {SOFT:g}"),
                                 (found.atoms - found.soft, BLUE, f"{SQ} ≤ {SOFT:g}")):
        if counts.sum():
            upper.stairs(counts / counts.sum() / width, edges, color=colour, lw=1.3, label=name)
    upper.set_yticks([])
    upper.legend(loc="upper right", handlelength=1.2)
    known = ~np.isnan(found.share)
    if not known.any():
        say(lower, f"fewer than {FEW_TO_SHARE} atoms\nin every bin")
        return
    lower.axhline(found.overall, color=GREY, lw=0.8, ls="--")
    lower.annotate("all atoms", (0, found.overall), (4, 3), ("axes fraction", "data"),
                   "offset points", color=GREY, fontsize=7.5)
    lower.errorbar(middle[known], found.share[known],
                   np.maximum([found.share[known] - found.low[known],
                               found.high[known] - found.share[known]], 0.0),
                   fmt="o", ms=3.5, color="black", elinewidth=0.8, capsize=1.5)
    for ax in (upper, lower):
        ax.axvline(THRESHOLD, color=GREY, lw=0.8, ls=":")
    lower.annotate("plastic", (THRESHOLD, 0), (3, 4), ("data", "axes fraction"), "offset points",
                   color=GREY, fontsize=7.5, rotation=90)
    lower.set_xscale("log")
    shown_edges = edges[[np.flatnonzero(known)[0], np.flatnonzero(known)[-1] + 1]]
    lower.set_xlim(shown_edges[0] / 1.1, shown_edges[1] * 1.1)
    lower.set_ylim(0.0, min(1.05, 1.15 * float(np.nanmax(found.high))))


def draw_quantiles(ax: Axes, strain: Floats, quantiles: Floats, median: Floats,
                   named: bool = True) -> None:
    """S^q of the plastic atoms against strain (paper, Fig. 3a).

    strain : (m,).  quantiles : (5, m) at ``QUANTILES``.  median : (m,) of all atoms.  named : whether
    the legend tells of them.
    """
    names = ("5 to 95 %", "25 to 75 %", "median", "median of all atoms") if named else (None,) * 4
    for low, alpha, name in ((0, 0.18, names[0]), (1, 0.35, names[1])):
        ax.fill_between(strain, quantiles[low], quantiles[4 - low], color=BLUE, alpha=alpha, lw=0,
                        label=name)
    ax.plot(strain, quantiles[2], "o-", ms=2.5, color=BLUE, label=names[2])
    ax.plot(strain, median, color=GREY, lw=0.9, ls="--", label=names[3])


def quantile_scale(ax: Axes) -> None:
    ax.set_ylabel(f"{SQ} of the plastic atoms ({D2} > {THRESHOLD:g} Å$^2$)")
    ax.set_ylim(0, 1)


def draw_auc(ax: Axes, strain: Floats, auc: Floats, low: Floats, high: Floats,
             colour: str = ORANGE, band: str | None = None, **line: Any) -> None:
    """AUC (m,) against strain with its interval (paper, Fig. 3b); band : name of that."""
    ax.fill_between(strain, low, high, color=colour, alpha=0.25, lw=0, label=band)
    known = np.pad(~np.isnan(low), 1)
    alone = known[1:-1] & ~known[:-2] & ~known[2:]            # a single frame has no band
    ax.vlines(strain[alone], low[alone], high[alone], color=colour, lw=3.0, alpha=0.25)
    ax.plot(strain, auc, **{"marker": "o", "ms": 2.5, "color": colour, **line})


def auc_scale(ax: Axes) -> None:
    """The scale of an AUC: at least 0.6 to 0.8, and a line where it says nothing."""
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, 0.6), max(high, 0.8))
    if ax.get_ylim()[0] < 0.5:
        ax.axhline(0.5, color=GREY, lw=0.8, ls="--")


def draw_stress(ax: Axes, stress: Floats, **line: Any) -> None:
    """stress : (k, 2) strain and GPa."""
    ax.plot(*stress.T, **{"color": GREEN, "lw": 1.0, **line})
    ax.set_ylabel("stress (GPa)")
    ax.set_ylim(min(0.0, 1.05 * stress[:, 1].min()), 1.15 * max(stress[:, 1].max(), 1e-3))
