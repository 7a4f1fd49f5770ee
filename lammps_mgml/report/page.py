"""A model's page: how it was made and what it is worth, in one HTML file."""
from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from io import StringIO
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..io.glass import Glass, read_glass
from ..io.whole import write_whole
from .drawing import BLUE, GREEN, GREY, ORANGE, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..train.dataset import Loading

LEAST_SHARE, MOST_SHARE = 0.005, 0.15     # of plastic atoms; the paper's glasses have 4 to 6 %
CSS = """body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;
color:#222}table{border-collapse:collapse;margin:.6rem 0}td{white-space:nowrap}
.how td{white-space:normal;text-align:left}
th,td{padding:.2rem .7rem;text-align:right;
border-bottom:1px solid #ddd}th:first-child,td:first-child{text-align:left}h1{font-size:1.5rem}
h2{font-size:1.15rem;margin-top:1.6rem}div{overflow-x:auto}.small{color:#555;font-size:.9em}
svg{max-width:100%;height:auto}"""


def write_page(path: str | PathLike[str], card: dict[str, Any], training: Sequence[Loading],
               unseen: Sequence[Loading], glasses: Iterable[str | PathLike[str]]) -> None:
    """Write the page of the model of ``card``, which has scores.

    training, unseen : the loadings that it was trained and judged on.  glasses : their files.

    Raises
    ------
    InputError : it cannot be written.
    """
    seen = {x.glass for x in training}
    known = seen | {x.glass for x in unseen}
    read = [g for g in map(read_glass, glasses) if g.name in known]
    told, scores = card["training"], card["scores"]
    w = scores["all"]
    parts = [
        f"<h1>Softness model {_(card['name'])}</h1>",
        f"<p>{_(told.get('about', ''))}. Elements {_(' '.join(card['elements']))}, units "
        f"{_(told.get('units', card.get('units', '')))}; {len(seen)} glasses to train on, "
        f"{len(known - seen)} for the scores, {len(read[0]) if read else 0} atoms each.</p>",
        "<h2>What it is worth</h2>", _summary(w, scores["strain"]), _warning(card),
        _picture(card, read, seen), "<h2>Each loading of a glass that it never saw</h2>",
        _loadings(scores), "<h2>The glasses</h2>", _glasses(read, seen),
        "<h2>How it was made</h2>", _how(card)]
    text = (f"<!DOCTYPE html><html lang=en><meta charset=utf-8><meta name=viewport "
            f"content='width=device-width'><title>{_(card['name'])}</title><style>{CSS}</style>"
            + "\n".join(parts) + "</html>\n")
    write_whole(path, text.encode())


def _(value: object) -> str:
    return html.escape(str(value))


def _number(value: Any, form: str = ".3f") -> str:
    return "-" if value is None or value != value else format(value, form)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["".join(f"<th>{_(h)}</th>" for h in head)] if any(head) else []
    lines += ["".join(f"<td>{_(c)}</td>" for c in row) for row in rows]
    return "<div><table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table></div>"


def _summary(w: dict[str, Any], strain: float) -> str:
    base = w["against"]
    low, high = base["interval95"]
    better = "better than" if low > 0 else "worse than" if high < 0 else "not told apart from"
    error = f"± {_number(w['auc_error'])} (block bootstrap)"
    interval = f", 95 % between {low:+.3f} and {high:+.3f}, on the same blocks"
    if low != low:                       # NaN
        error = interval = ""
        better = "not compared (its glasses are too small for an error bar) with"
    return (f"<p>Mean AUC at strain {strain:g}: <b>{_number(w['auc'])}</b> {error}. It is "
            f"<b>{better}</b> {_(base['model'])}, whose AUC is {_number(base['auc'])}: difference "
            f"{base['difference']:+.3f}{interval}. Average precision "
            f"{_number(w['average_precision'])}; {w['plastic']} atoms were plastic, "
            f"{w['expected_plastic']:.0f} were expected.</p>")


def _warning(card: dict[str, Any]) -> str:
    """On labels that cannot be of single events."""
    text = strange_share(card["natural_share"], card["label"]["strain"])
    return f"<p><b>{_(text[0].upper() + text[1:])}.</b></p>" if text else ""


def strange_share(share: float, strain: float) -> str:
    """What is to be said of this share of plastic atoms at ``strain``; "" of a usual one."""
    if LEAST_SHARE <= share <= MOST_SHARE:
        return ""
    return (f"{100 * share:.1f} % of the atoms are plastic at strain {strain:g}, "
            + ("so few that scores say little: take a larger strain" if share < LEAST_SHARE else
               "the glasses have yielded: a smaller strain (--strain) or a slower quench gives "
               "labels of single events"))


def _loadings(scores: dict[str, Any]) -> str:
    rows = []
    for name, s in scores["loadings"].items():
        low, high = s["auc_interval95"]
        rows.append([name, f"{s['plastic']} of {s['atoms']}", f"{s['expected_plastic']:.0f}",
                     f"{_number(s['auc'])} ({_number(low)} to {_number(high)})",
                     _number(s["average_precision"]), _number(s["rank_score"]),
                     *(_number(v[0]) for v in s.get("baselines", {}).values())])
    names = next((list(s.get("baselines", {})) for s in scores["loadings"].values()), [])
    left = scores.get("without_plastic", [])
    return _table(["loading", "plastic", "expected", "AUC (95 %)", "AP", "rank score",
                   *(f"AUC of {n}" for n in names)], rows) + (
        f"<p class=small>Left out, no plastic atom: {_(', '.join(left))}.</p>" if left else "")


def _glasses(glasses: Sequence[Glass], seen: set[str]) -> str:
    rows = [[g.name, "training" if g.name in seen else "scores", g.composition, str(len(g)),
             str(g.made.get("rate", "?")), f"{g.energy:.5f}", g.provenance["potential"],
             g.provenance["lammps"]] for g in glasses]
    return _table(["glass", "for", "composition", "atoms", "rate", "energy an atom", "potential",
                   "LAMMPS"], rows)


def _how(card: dict[str, Any]) -> str:
    told, label = card["training"], card["label"]
    rows = [["learner", told["learner"]], ["recipe", str(told.get("recipe", "-"))],
            ["features", str(len(card["features"]))],
            ["lengths", ", ".join(f"{k} {v:g}" for k, v in card["parameters"].items())],
            ["label", f"D2min ({label['d2min']}) within {label['cutoff']:g} above "
                      f"{label['threshold']:g} at strain {label['strain']:g}"],
            ["rows", f"{told['atoms']}, {100 * card['natural_share']:.2f} % plastic"],
            ["AUC out of fold", _number(told["auc_out_of_fold"])], ["lammps_mgml", __version__]]
    return f"<div class=how>{_table(['', ''], rows)}</div>"


# The figure ----------------------------------------------------------------------------------------

def _picture(card: dict[str, Any], glasses: Sequence[Glass], seen: set[str]) -> str:
    """SVG of four panels."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(8.4, 5.6), layout="constrained")
        FigureCanvasSVG(figure)
        a, b, c, d = figure.subplots(2, 2).ravel()
        _draw_curve(a, card["training"].get("curve", []), card["scores"]["all"])
        _draw_strains(b, card["scores"])
        _draw_calibration(c, card["scores"])
        _draw_stress(d, glasses, seen)
        out = StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg"):]


def _draw_curve(ax: Axes, curve: Sequence[dict[str, Any]], w: dict[str, Any]) -> None:
    n = [point["glasses"] for point in curve]
    ax.plot(n, [point["auc"] for point in curve], "o-", color=BLUE, label="out of fold")
    error = 0.0 if w["auc_error"] != w["auc_error"] else w["auc_error"]
    ax.errorbar([n[-1] if n else 0], [w["auc"]], [1.96 * error], fmt="s", color=ORANGE,
                capsize=3, label="unseen glasses")
    ax.set(xlabel="glasses trained on", ylabel="AUC", title="what more glasses bring")
    ax.set_xticks(n)
    ax.margins(0.15)
    ax.legend()


def _draw_strains(ax: Axes, scores: dict[str, Any]) -> None:
    each = [s["auc_by_strain"] for s in scores["loadings"].values()]
    for one in each:
        x = sorted(one, key=float)
        ax.plot([float(k) for k in x], [one[k] for k in x], color=GREY, lw=0.6)
    strains = sorted({k for one in each for k in one}, key=float)
    ax.plot([float(k) for k in strains], [np.mean([one[k] for one in each if k in one])
                                          for k in strains], "o-", color=BLUE)
    ax.set(xlabel="strain", ylabel="AUC", title="unseen glasses: each loading, and their mean")


def _draw_calibration(ax: Axes, scores: dict[str, Any]) -> None:
    bins = [s["calibration"] for s in scores["loadings"].values()]
    x = [np.mean([one[k]["predicted"] for one in bins]) for k in range(len(bins[0]))]
    y = [np.mean([one[k]["found"] for one in bins]) for k in range(len(bins[0]))]
    top = 1.1 * max(*x, *y, 1e-6)
    ax.plot([0, top], [0, top], color=GREY, lw=0.7)
    ax.plot(x, y, "o", color=GREEN)
    ax.set(xlabel="expected share of plastic atoms", ylabel="found", xlim=(0, top), ylim=(0, top),
           title="tenths of the atoms, by probability")


def _draw_stress(ax: Axes, glasses: Sequence[Glass], seen: set[str]) -> None:
    for g in glasses:
        for x in g.loadings:
            ax.plot(np.r_[0, x.strain], np.r_[np.nan, np.abs(x.stress)], lw=0.9,
                    color=GREY if g.name in seen else ORANGE)
    unit = "units of pressure" if any(g.lengths.units == "lj" for g in glasses) else "GPa"
    ax.set(xlabel="strain", ylabel=f"stress, {unit}", title="loadings: training grey, unseen orange")
