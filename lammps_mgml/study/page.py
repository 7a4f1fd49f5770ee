"""The report of a study: one HTML file with its figures, their numbers and a viewer of slices.

It holds all that it shows: no file beside it, no other host.  Its Content-Security-Policy lets the
browser run the one script that is in it, and fetch nothing.
"""
from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files as resources
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..io.whole import write_whole
from ..models.model import SoftnessModel
from ..report.drawing import RADII
from ..report.rows import SOFT
from ..train.dataset import THRESHOLD
from .result import Figure
from .runs import Run
from .slices import MOST_BYTES, THICKNESS, Slices, choose, facts, packed

NAME = "index.html"
DOTS = 115             # CSS pixels of an inch: letters of 8.5 points are as large as notes
LARGE = 6.0            # inches: a wider figure has its caption below
START = 0.04           # strain that the viewer shows first, as in the paper's Fig. 2
SCALES: dict[str, dict[str, Any]] = {
    "sq": {"title": [["S", 0], ["q", 1]], "map": "YlGnBu", "to": 0.8, "top": 1.0,
           "ticks": [0, 0.25, 0.5, 0.75, 1], "limit": SOFT, "more": False},
    "d2": {"title": [["D", 0], ["2", 1], ["min", -1], [" (Å", 0], ["2", 1], [")", 0]],
           "map": "YlOrBr", "to": 0.85, "top": 2 * THRESHOLD,
           "ticks": [0, 2.5, 5, 7.5, 10], "limit": THRESHOLD, "more": True}}
SQ, D2 = "S<sup>q</sup>", "D<sup>2</sup><sub>min</sub>"
SIGNS = {r"S\^q": SQ, r"R\^2": "R<sup>2</sup>", r"D\^?2_?min": D2, r"\bD2\b": D2,
         r"(?:\bA|Å)\^([23])": r"Å<sup>\1</sup>", r"(?<=\d )A\b": "Å"}


def write(folder: str | PathLike[str], figures: Iterable[Figure],
          files: Mapping[str, Mapping[str, bytes]], runs: Sequence[Run], model: SoftnessModel,
          most_bytes: float = MOST_BYTES) -> str:
    """Write ``index.html`` into ``folder``, which exists; returns its path.

    files : what ``result.write`` returned for ``figures``.  most_bytes : of slices, see ``choose``.

    Raises
    ------
    InputError : cannot write there, disk full; what ``scored`` says.
    """
    path = Path(folder) / NAME
    write_whole(path, page(figures, files, runs, model, most_bytes).encode())
    return str(path)


def page(figures: Iterable[Figure], files: Mapping[str, Mapping[str, bytes]], runs: Sequence[Run],
         model: SoftnessModel, most_bytes: float = MOST_BYTES) -> str:
    """Text of the report; see ``write``."""
    figures = list(figures)
    style, script = _part("page.css"), _part("page.js")
    policy = (f"default-src 'none'; img-src data: blob:; style-src {_hash(style)}; "
              f"script-src {_hash(script)}; base-uri 'none'; form-action 'none'")
    atoms = sum(run.n for run in runs)
    checksum = model.checksum.removeprefix("sha256:")[:12]
    title = f"Softness of {len(runs)} glass{'es' if len(runs) != 1 else ''}"
    lead = (f"The figures of the paper from {len(runs)} run{'s' if len(runs) != 1 else ''} of "
            f"{atoms} atoms in all, by model {model.name} ({checksum}).")
    chosen, notes = choose(runs, most_bytes)
    body = [_runs(runs, model), _viewer(chosen, notes, model),
            *(_figure(figure, files.get(figure.number, {})) for figure in figures)]
    return "\n".join([
        '<!DOCTYPE html>', '<html lang="en">', '<head>', '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<link rel="icon" href="data:,">',
        f"<title>{escape(title)}</title>", f"<style>{style}</style>", "</head>", "<body>",
        '<a class="skip" href="#runs">Skip to the report</a>', '<div class="frame">',
        f"<header><h1>{escape(title)}</h1>", f'<p class="lead">{_signs(lead)}</p></header>',
        _contents(figures), "<main>", *body, "</main>",
        f"<footer>Written by mgml study of lammps_mgml {escape(__version__)}. "
        f"The page needs no network.</footer>",
        "</div>", f"<script>{script}</script>", "</body>", "</html>", ""])


def _part(name: str) -> str:
    return resources(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _signs(text: str) -> str:
    """HTML of a sentence, with the symbols of the figures set as such."""
    text = escape(text)
    for pattern, sign in SIGNS.items():
        text = re.sub(pattern, sign, text)
    return text


def _json(value: Any) -> str:
    """JSON that may stand in a script element."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")


def _anchor(figure: Figure) -> str:
    return escape(re.sub(r"[^\w-]+", "-", figure.stem))


def _heading(figure: Figure) -> str:
    number, title = figure.number, figure.title[:1].upper() + figure.title[1:]
    if re.fullmatch(r"t\d.*", number):
        number = f"Table {number[1:]}"
    elif number[:1].isdigit():
        number = f"Fig. {number}"
    else:
        return _signs(title)
    return f'<span class="tag">{escape(number)}</span> {_signs(title)}'


def _contents(figures: Sequence[Figure]) -> str:
    entries = ['<li><a href="#runs">Runs</a></li>', '<li><a href="#viewer">Slices</a></li>']
    for figure in figures:
        missing = figure.missing is not None
        entries.append(f'<li{" class=missing" * missing}><a href="#{_anchor(figure)}">'
                       f'{_heading(figure)}</a>{" (missing)" * missing}</li>')
    return (f'<nav aria-label="Contents"><details open><summary>Contents</summary>'
            f'<ul>{"".join(entries)}</ul></details></nav>')


# Runs --------------------------------------------------------------------------------------------

def _runs(runs: Sequence[Run], model: SoftnessModel) -> str:
    head = ("Glass", "Composition", "Quench, K/s", "Atoms", "Loadings", "To strain", "In training",
            "File")
    number = {2, 3, 5}
    rows = []
    for run in runs:
        last = max((float(loading.strain[-1]) for loading in run.loadings), default=float("nan"))
        words = (run.name, run.composition,
                 "unknown" if run.rate is None else f"{run.rate:.3g}".replace("e+", "e"),
                 f"{run.n}", _loads(run), f"{last:.3f}",
                 {True: "seen", False: "unseen", None: "unknown"}[run.seen],
                 Path(run.path).name)
        rows.append("<tr>" + "".join(f"<td{_class(k, number)}>{escape(word)}</td>"
                                     for k, word in enumerate(words)) + "</tr>")
    notes = "".join(f'<p class="note">{escape(run.name)}: {_signs("; ".join(run.notes))}.</p>'
                    for run in runs if run.notes)
    heads = "".join(f'<th scope="col"{_class(k, number)}>{escape(word)}</th>'
                    for k, word in enumerate(head))
    return (f'<section id="runs"><h2>Runs</h2><div class="scroll" tabindex="0" role="region" '
            f'aria-label="Table of the runs"><table><thead><tr>{heads}</tr></thead>'
            f'<tbody>{"".join(rows)}</tbody></table></div>'
            f'{notes}<p class="note">In training: whether the training of {escape(model.name)} saw '
            f'the glass. Figures that judge the model are of unseen glasses.</p></section>')


def _loads(run: Run) -> str:
    """Text such as "compression along x, z; tension along x"."""
    senses: dict[str, list[str]] = {}
    for loading in run.loadings:
        axis, _, sense = loading.label.partition("-")
        senses.setdefault(sense, []).append(axis)
    return "; ".join(f"{sense} along {', '.join(axes)}" for sense, axes in senses.items())


def _class(column: int, numbers: set[int]) -> str:
    return ' class="number"' if column in numbers else ' class="wide"' if column in (4, 7) else ""


# Figures -----------------------------------------------------------------------------------------

def _figure(figure: Figure, files: Mapping[str, bytes]) -> str:
    head = f'<h2>{_heading(figure)}</h2>'
    if figure.missing is not None or not files:
        why = figure.missing or "It was not drawn."
        return (f'<section id="{_anchor(figure)}">{head}<p class="empty">Not drawn: {_signs(why)}</p>'
                f"</section>")
    kind = min(("svg", "png"), key=lambda k: len(files[k]))
    media = {"svg": "image/svg+xml", "png": "image/png"}[kind]
    width, height = figure.size
    large = " large" if width > LARGE else ""
    return (
        f'<figure id="{_anchor(figure)}">{head}<div class="body{large}"><div class="paper">'
        f'<img src="{_data(media, files[kind])}" alt="{escape(figure.title)}" '
        f'width="{DOTS * width:.0f}" height="{DOTS * height:.0f}"></div>'
        f'<figcaption><p>{_signs(figure.caption)}</p>'
        f'<p><a class="button" download="{escape(figure.stem)}.csv" '
        f'href="{_data("text/csv", files["csv"])}">Numbers (CSV)</a></p></figcaption></div></figure>')


def _data(media: str, content: bytes) -> str:
    return f"data:{media};base64,{b64encode(content).decode()}"


# Slices ------------------------------------------------------------------------------------------

def _viewer(chosen: Sequence[Slices], notes: Sequence[str], model: SoftnessModel) -> str:
    told = "".join(f'<p class="note">{_signs(note)}</p>' for note in notes)
    head = '<section id="viewer"><h2>Slices</h2>'
    if not chosen:
        return (f'{head}<p class="empty">No run has positions, so there is nothing to show.</p>'
                f"{told}</section>")
    elements = sorted({e for x in chosen for e in x.run.elements})
    about = {"threshold": THRESHOLD, "soft": SOFT, "start": START,
             "radii": {e: RADII[e] for e in elements if e in RADII},
             "scales": {key: _scale(scale) for key, scale in SCALES.items()},
             "items": [facts(x) for x in chosen]}
    slabs = "\n".join(
        f'<script type="text/plain" id="slab-{k}-{j}">'
        f'{b64encode(packed(x, slab, model)).decode()}</script>'
        for k, x in enumerate(chosen) for j, slab in enumerate(x.slabs))
    return (
        f'{head}<p class="lead">Atoms within {THICKNESS / 2:g} Å of a plane, at their places in the '
        f"undeformed glass. {SQ} is that of the undeformed glass, {D2} that of the strain. An atom "
        f"is called plastic where {D2} &gt; {THRESHOLD:g} Å<sup>2</sup>, soft where {SQ} &gt; "
        f"{SOFT:g}; grey: not known.</p>"
        f'{VIEWER}{told}<script type="application/json" id="slices">{_json(about)}</script>\n{slabs}'
        f"</section>")


def _scale(scale: Mapping[str, Any]) -> dict[str, Any]:
    """What the viewer has to know of a colour scale."""
    import matplotlib
    from matplotlib.colors import to_hex

    colours = matplotlib.colormaps[scale["map"]](np.linspace(0.0, scale["to"], 64))
    stops = [to_hex(colour) for colour in colours]
    return {**{k: scale[k] for k in ("title", "top", "ticks", "limit", "more")}, "stops": stops}


VIEWER = """
<noscript><p>The viewer of slices needs JavaScript.</p></noscript>
<div class="viewer">
<div class="stage">
<canvas id="canvas" tabindex="0" role="img" aria-label="Slice" aria-describedby="atom"></canvas>
<div class="strain">
<label for="slider">Strain <output id="strain" for="slider"></output></label>
<button type="button" id="play">Play</button>
<input type="range" id="slider" min="0" max="0" step="1" value="0">
</div>
</div>
<div class="controls">
<div class="whole"><label for="run">Glass</label><select id="run"></select></div>
<div><label for="loading">Loading</label><select id="loading"></select></div>
<div><label for="depth">Depth</label><select id="depth"></select></div>
<fieldset><legend>Colour</legend><div class="choice">
<label><input type="radio" name="colour" value="sq" checked><span><b>S<sup>q</sup></b></span></label>
<label><input type="radio" name="colour" value="d2">
<span><b>D<sup>2</sup><sub>min</sub></b></span></label>
</div></fieldset>
<div><label for="dots">Black dots</label><select id="dots">
<option value="plastic">Plastic atoms</option><option value="soft">Soft atoms</option>
<option value="none">None</option></select></div>
<dl class="whole">
<dt>Atoms in the slab</dt><dd id="count"></dd>
<dt>Plastic</dt><dd id="plastic"></dd>
<dt>Soft</dt><dd id="called"></dd>
<dt>Soft among the plastic</dt><dd id="both"></dd>
<dt>Stress</dt><dd id="stress"></dd>
</dl>
<dl class="whole" id="atom" aria-live="polite">
<dt>Atom</dt><dd id="which"></dd>
<dt>S<sup>q</sup></dt><dd id="sq"></dd>
<dt>D<sup>2</sup><sub>min</sub></dt><dd id="d2"></dd>
</dl>
<p class="whole note">Point at an atom, or move to it by the arrow keys while the picture has the
focus.</p>
<p class="whole"><button type="button" id="save">Numbers of this slab (CSV)</button></p>
</div>
</div>
"""
