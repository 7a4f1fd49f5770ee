"""The page of the claims, in Markdown."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike

import numpy as np

from ..io.whole import write_whole
from ..models.model import SoftnessModel
from .claims import CLAIMS, SECTIONS, VERDICTS, MissingFigure, Study, in_row
from .repeats import NUMBER
from .result import Figure
from .runs import Run

SLIPS = (
    "345 600 atoms do not fit into 120 x 24 x 240 Å: each length is short by about 2.",
    "\"81 pairs\": 9 + 18 + 18 + 45 is 90; pairs that differ in both composition and rate are 36.",
    "The strain rate is 2.5e7 /s in the Methods and 5e7 /s in the Discussion.",
    "Eq. 4 takes r(t - dt), Eq. 2 the undeformed frame. Here the reference is the undeformed glass.",
    "Eq. 4 divides by N, OVITO does not. The threshold of 5 Å² fits the plain sum only.",
    "S^q = 0.5 is no probability of one half: both classes were made equal. It means \"as likely as "
    "the average atom\".",
    "The version in Nat. Commun. 10, 5537 (2019) has other features and other alloys: its numbers "
    "are not those of this page.")


def page(figures: Iterable[Figure], runs: Sequence[Run], model: SoftnessModel, strain: float) -> str:
    """The page in Markdown: each claim with the paper's number, ours, and the verdict."""
    study = Study({figure.number: figure for figure in figures}, runs, model, strain)
    answers = {name: claim.answered(study) for name, claim in CLAIMS.items()}
    counts = {verdict: sum(a.verdict == verdict for a in answers.values()) for verdict in VERDICTS}
    lines = [
        "# Reproduction", "",
        "Every numbered claim of Wang & Jain beside what this package finds, by one command "
        "(`make study`, from the glasses in `inputs`). Each number of ours is in a table "
        "(`figure-NUMBER.csv`) of that study. In parentheses: 95 % intervals from resampling whole "
        "15 Å cubes, the same ones for both sides of a difference on the same atoms. They do not "
        "tell how much another quench, or another choice of training glasses, would change a number.",
        "",
        f"Of {len(answers)} claims: " + ", ".join(f"{n} {v}" for v, n in counts.items()) + ".", "",
        *_table(("verdict", "meaning"), VERDICTS.items())]
    for title, claims in SECTIONS.items():
        rows = []
        for claim in claims:
            a = answers[claim.id]
            verdict = f"**{a.verdict}**" + (f": {a.why}" if a.why else "")
            rows.append((claim.id, claim.text, claim.paper, a.ours or "-", a.basis or "-", verdict))
        lines += ["", f"## {title}", "", *_table(
            ("", "claim", "paper", "ours", "preparation and size", "verdict"), rows)]
    lines += known_lines(study)
    lines += ["", "## Slips in the paper", "",
              "Not reproduced, on purpose:", "", *(f"- {text}" for text in SLIPS),
              "", "## The runs", "", *_table(
                  ("glass", "condition", "atoms", "loads, to strain", "model"),
                  [(run.name, run.condition, str(run.n), "; ".join(
                      f"{x.label} {x.strain[-1]:g}" for x in run.loadings),
                    {True: "seen", False: "unseen", None: "not known"}[run.seen]) for run in runs]),
              "", f"Model: {model.name} ({model.checksum[:15]}). Labels at strain {strain:g}.", ""]
    return "\n".join(lines)


def known_lines(study: Study) -> list[str]:
    """What repeats tell of how much can be known, which the paper does not ask; [] without them."""
    try:
        t = study.table(NUMBER)
    except MissingFigure:
        return []
    last = [k for k in range(len(t["glass"])) if t["by_others"][k] == t["repeats"][k] - 1]
    first = [k for k in range(len(t["glass"])) if t["by_others"][k] == 1]
    rows = [(str(t["glass"][k]), str(t["load"][k]), str(t["repeats"][k]), str(t["plastic"][k]),
             in_row(t, "auc", one), in_row(t, "auc", k), in_row(t, "model_auc", k),
             in_row(t, "share", k, 2))
            for one, k in zip(first, last)]
    ceiling = float(np.mean(t["auc"][last]))
    lines = ["", "## What can be known", "",
            "Not in the paper: glasses that were loaded several times at 50 K and 1e9 per second, "
            "with other velocities each time. All other repeats together predict the plastic atoms "
            f"of one with a mean AUC of {ceiling:.3f} at strain {study.strain:g}, where chance is "
            "0.5: the rest is not in the undeformed structure, at this rate and temperature. More "
            "repeats would say a little more, so it is a lower bound. The last column is (AUC of the "
            "model - 0.5) / (AUC by all others - 0.5).", "",
            *_table(("glass", "load", "repeats", "plastic atoms", "by one other", "by all others",
                     f"by {study.model.name}", "share"), rows)]
    try:
        scores = study.table("2c")
    except MissingFigure:
        return lines
    shares = "; ".join(
        f"{name}: {(auc - 0.5) / (ceiling - 0.5):.2f}"
        for name, auc in zip(scores["condition"], np.asarray(scores["auc"], float)))
    return [*lines, "", "The AUCs of this study, most of them of athermal loadings, as such shares: "
            f"{shares}."]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [_line(head), _line(["---"] * len(head)), *map(_line, rows)]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(str(c).replace("|", "\\|") for c in cells) + " |"


def write_page(path: str | PathLike[str], figures: Iterable[Figure], runs: Sequence[Run],
               model: SoftnessModel, strain: float) -> None:
    """Write the page, whole or not at all; InputError if it cannot be."""
    write_whole(path, page(figures, runs, model, strain).encode())
