"""What the columns of a dump must be, from its positions alone.

D2min and strain are computed here in plain numpy and scipy, without lammps_mgml.  Softness is that
of the offline Python API on the dumped positions.  Every value of a dump is then one of: right,
NaN with a flag that explains it, or a silent difference.
"""
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

OPEN, NO_FEATURES, NO_D2, UNKNOWN, NOT_EVALUATED, NEW = 1, 2, 4, 8, 16, 32
EXPLAINS = {                       # the bits that explain a NaN of each column
    "d_sq": OPEN | NO_FEATURES | UNKNOWN | NEW | NOT_EVALUATED,
    "d_p": OPEN | NO_FEATURES | UNKNOWN | NEW | NOT_EVALUATED,
    "d_s": OPEN | NO_FEATURES | UNKNOWN | NOT_EVALUATED,
    "d_d2min": NO_D2 | NOT_EVALUATED | NEW,
    "d_eta": NO_D2 | NOT_EVALUATED | NEW,
}
COLUMNS = tuple(EXPLAINS)
CUTOFF = 4.5


class Frame(NamedTuple):
    """One frame of a dump; positions (n, 3) A from the box's origin, edges (3, 3) rows, A."""

    step: int
    edges: np.ndarray
    periodic: np.ndarray
    positions: np.ndarray
    images: np.ndarray
    columns: dict

    @property
    def names(self):
        """(n,) number of each atom that no command of LAMMPS renews: column q, else the id."""
        return self.columns["q" if "q" in self.columns else "id"].astype(int)

    @property
    def types(self):
        return self.columns["type"].astype(np.int32)

    @property
    def unwrapped(self):
        return self.positions + self.images @ self.edges


def read(path):
    """List of Frame of a text dump with columns x y z (ix iy iz); atoms sorted by id."""
    with open(path) as lines:
        text = lines.read().split("ITEM: TIMESTEP\n")[1:]
    return [_frame(part.split("\n")) for part in text]


def _frame(lines):
    n = int(lines[2])
    words = lines[3].split()[3:]
    periodic = np.array([w[0] == "p" for w in words[-3:]])
    bounds = np.array([[float(v) for v in line.split()] for line in lines[4:7]])
    xy, xz, yz = bounds[:, 2] if bounds.shape[1] == 3 else (0.0, 0.0, 0.0)
    low = bounds[:, 0] - [min(0, xy, xz, xy + xz), min(0, yz), 0]
    high = bounds[:, 1] - [max(0, xy, xz, xy + xz), max(0, yz), 0]
    edges = np.diag(high - low)
    edges[1, 0], edges[2, 0], edges[2, 1] = xy, xz, yz
    names = lines[7].split()[2:]
    if len(lines) < 8 + n or (n and len(lines) == 8 + n):
        raise ValueError("the frame is cut off")
    table = np.array([line.split() for line in lines[8:8 + n]], dtype=float).reshape(n, len(names))
    table = table[np.argsort(table[:, names.index("id")], kind="stable")]
    columns = dict(zip(names, table.T))
    positions = np.stack([columns[k] for k in "xyz"], axis=1) - low
    images = np.stack([columns.get("i" + k, np.zeros(n)) for k in "xyz"], axis=1)
    return Frame(int(lines[0]), edges, periodic, positions, images, columns)


class Pairs(NamedTuple):
    """Neighbours in a reference: i, j (m,), edges between the unwrapped atoms' images, vectors."""

    i: np.ndarray
    j: np.ndarray
    edge: np.ndarray
    d0: np.ndarray


def neighbours(frame, cutoff=CUTOFF):
    """Pairs of the reference ``frame``, images of an atom included."""
    inverse = np.linalg.inv(frame.edges)
    heights = 1.0 / np.linalg.norm(inverse, axis=0)
    fraction = frame.positions @ inverse
    low, high = fraction.min(axis=0), fraction.max(axis=0)
    most = [int(np.ceil(cutoff / h + b - a)) if p else 0
            for h, a, b, p in zip(heights, low, high, frame.periodic)]
    shells = np.stack(np.meshgrid(*[np.arange(-m, m + 1) for m in most], indexing="ij"),
                      axis=-1).reshape(-1, 3)
    n = len(fraction)
    images = (fraction[None] + shells[:, None]).reshape(-1, 3)
    owner, shift = np.tile(np.arange(n), len(shells)), np.repeat(shells, n, axis=0)
    margin = cutoff / heights * (1 + 1e-9)
    near = ((images >= low - margin) & (images <= high + margin)).all(axis=1)
    images, owner, shift = images[near] @ frame.edges, owner[near], shift[near]
    found = cKDTree(images).query_ball_point(frame.positions, cutoff)
    i = np.repeat(np.arange(n), [len(f) for f in found])
    k = np.concatenate([np.array(f, dtype=int) for f in found] or [np.empty(0, int)])
    d0 = images[k] - frame.positions[i]
    keep = np.linalg.norm(d0, axis=1) > 1e-9
    i, k, d0 = i[keep], k[keep], d0[keep]
    edge = shift[k] - frame.images[owner[k]] + frame.images[i]
    return Pairs(i, owner[k], edge, d0)


def residual(pairs, n, unwrapped, edges):
    """(d2min, eta, doubtful), each (n,), of atoms now at ``unwrapped`` (NaN: not there)."""
    d = unwrapped[pairs.j] - unwrapped[pairs.i] + pairs.edge @ edges
    v, w = np.zeros((n, 3, 3)), np.zeros((n, 3, 3))
    np.add.at(v, pairs.i, pairs.d0[:, :, None] * pairs.d0[:, None, :])
    np.add.at(w, pairs.i, pairs.d0[:, :, None] * d[:, None, :])
    count = np.bincount(pairs.i, minlength=n)
    with np.errstate(all="ignore"):
        spectrum = np.linalg.eigvalsh(v)
        share = np.where(spectrum[:, 2] > 0, spectrum[:, 0] / spectrum[:, 2], 0.0)
    defined = (count >= 3) & (share > 1e-12)
    f = np.full((n, 3, 3), np.nan)
    f[defined] = np.linalg.solve(v[defined], w[defined])
    rest = d - np.einsum("mk,mkl->ml", pairs.d0, f[pairs.i])
    d2 = np.zeros(n)
    np.add.at(d2, pairs.i, (rest**2).sum(axis=1))
    d2[~defined] = np.nan
    e = 0.5 * (f @ f.transpose(0, 2, 1) - np.eye(3))
    eta = np.sqrt(e[:, 0, 1]**2 + e[:, 0, 2]**2 + e[:, 1, 2]**2 + (
        (e[:, 0, 0] - e[:, 1, 1])**2 + (e[:, 1, 1] - e[:, 2, 2])**2
        + (e[:, 2, 2] - e[:, 0, 0])**2) / 6)
    return d2, eta, (share > 1e-14) & (share < 1e-7)


class Softness:
    """Softness by the offline API of lammps_mgml; the means are those of ``reference``."""

    def __init__(self, reference, model="cuzr", load=None):
        from lammps_mgml.models.model import load_model

        self.model, self.load = load_model(model), load
        self.means, self.quench_in = None, None
        self.quench_in = self.of(reference)
        with np.errstate(invalid="ignore"):
            self.probability = self.model.probability(
                self.quench_in, self.model.share_of(self.quench_in))

    def of(self, frame, noise=None):
        from lammps_mgml.api import sites

        x = frame.positions if noise is None else frame.positions + noise
        found = sites(x, frame.types, frame.edges, tuple(map(bool, frame.periodic)),
                      self.model.features, self.model.elements, self.model.parameters,
                      means=self.means, load=self.load)
        if self.means is None:
            self.means = found.means
        return self.model.softness(found.features)


@dataclass
class Verdict:
    """Counts of values by outcome, the largest differences, and what was silently wrong."""

    frames: int = 0
    evaluated: int = 0
    counts: Counter = field(default_factory=Counter)
    worst: dict = field(default_factory=dict)
    silent: list = field(default_factory=list)

    def add(self, other):
        self.frames += other.frames
        self.evaluated += other.evaluated
        self.counts += other.counts
        for k, v in other.worst.items():
            self.worst[k] = max(v, self.worst.get(k, 0.0))
        self.silent += other.silent
        return self

    @property
    def ok(self):
        return not self.silent

    def text(self):
        worst = ", ".join(f"{k[2:]} {v:.1e}" for k, v in sorted(self.worst.items()))
        c = self.counts
        out = (f"{self.evaluated} of {self.frames} frames evaluated, {c['right']} values right, "
               f"{c['flagged']} NaN with a flag, {len(self.silent)} silent differences; "
               f"largest difference {worst or 'none'}")
        return out + (f"; {c['edge']} values at a threshold of a tree" if c["edge"] else "")


class Checker:
    """Holds a reference and judges frame after frame of one history.

    reference : Frame.  tolerance : relative; the least scale is 1e-4 A^2 for D2min, 0.01
    for eta, 1 for softness.
    """

    def __init__(self, reference, model="cuzr", load=None, cutoff=CUTOFF, tolerance=1e-8):
        self.reference, self.tolerance = reference, tolerance
        self.pairs = neighbours(reference, cutoff)
        self.row_of = {name: k for k, name in enumerate(reference.names.tolist())}
        self.edges = reference.edges
        try:
            self.softness = None if model is None else Softness(reference, model, load)
        except ArithmeticError as e:
            raise RuntimeError(f"the offline softness failed: {e}") from e

    def check(self, frames, rerun=False, due=None, where=""):
        """Verdict on ``frames``.

        rerun : displacements are the shortest ones.  due : function of a step that tells whether
        it must be evaluated, or None.
        """
        verdict = Verdict()
        for frame in frames:
            self._check(frame, rerun, due, f"{where} step {frame.step}".strip(), verdict)
        return verdict

    def _expected(self, frame, rerun, wanted):
        """{column: (n,)} and doubtful (n,) of a frame; only what is ``wanted`` is computed."""
        ref, n = self.reference, len(self.reference.names)
        turn = np.round(self.edges @ np.linalg.inv(frame.edges))
        turn = np.tril(turn, -1) + np.eye(3)               # a flip adds edges to later edges
        self.edges = turn @ frame.edges
        names = frame.names
        row = np.array([self.row_of.get(k, -1) if k > 0 else -1 for k in names.tolist()], dtype=int)
        there = row >= 0
        now = np.full((n, 3), np.nan)
        now[row[there]] = frame.unwrapped[there]
        if rerun:
            step = now @ np.linalg.inv(self.edges) - ref.unwrapped @ np.linalg.inv(ref.edges)
            now -= np.where(ref.periodic, np.round(step), 0.0) @ self.edges
        out = {k: np.full(len(names), np.nan) for k in COLUMNS}
        doubtful = np.zeros(len(names), dtype=bool)
        if wanted & {"d_d2min", "d_eta"}:
            d2, eta, doubt = residual(self.pairs, n, now, self.edges)
            out["d_d2min"][there], out["d_eta"][there] = d2[row[there]], eta[row[there]]
            doubtful[there] = doubt[row[there]]
        if self.softness is not None:
            out["d_sq"][there] = self.softness.quench_in[row[there]]
            out["d_p"][there] = self.softness.probability[row[there]]
            if "d_s" in wanted:
                out["d_s"] = self.softness.of(frame)
        return out, doubtful

    def _check(self, frame, rerun, due, where, verdict):
        verdict.frames += 1
        present = [k for k in COLUMNS if k in frame.columns]
        wanted = {k for k in present if np.isfinite(frame.columns[k]).any()}
        evaluated = bool(wanted & {"d_s", "d_d2min"})
        verdict.evaluated += evaluated
        must = due is not None and due(frame.step)
        if must:
            wanted |= {"d_s", "d_d2min"}
        expected, doubtful = self._expected(frame, rerun, wanted)
        site = frame.columns["i_site"].astype(int)
        for name in present:
            found, right = frame.columns[name], expected[name]
            undefined = np.isnan(found)
            scale = {"d_d2min": np.fmax(1e-4, right), "d_eta": np.fmax(1e-2, right)}.get(name, 1.0)
            with np.errstate(invalid="ignore"):
                off = np.abs(found - right) / scale
                good = (undefined & np.isnan(right)) | (off <= self.tolerance)
            good |= doubtful & name.startswith(("d_d2", "d_eta"))
            excused = ~good & undefined & (site & EXPLAINS[name] != 0)
            late = (site & NOT_EVALUATED != 0) & undefined
            if must and name in ("d_s", "d_d2min", "d_eta"):
                excused &= ~late
            bad = ~good & ~excused
            if bad.any() and name == "d_s":
                at_edge = self._at_threshold(frame, found, bad)
                verdict.counts["edge"] += int(at_edge.sum())
                bad &= ~at_edge
            finite = good & ~undefined
            verdict.counts["right"] += int((good & ~(undefined & late)).sum())
            verdict.counts["flagged"] += int((excused | (good & undefined & late)).sum())
            if finite.any():
                ok = finite & ~doubtful
                verdict.worst[name] = max(float(np.nanmax(off[ok], initial=0.0)),
                                          verdict.worst.get(name, 0.0))
            if bad.any():
                k = np.flatnonzero(bad)[0]
                verdict.silent.append(
                    f"{where}: {name} of {int(bad.sum())} of {len(bad)} atoms, e.g. atom "
                    f"{int(frame.columns['id'][k])}: {found[k]:.9g}, offline {right[k]:.9g}, "
                    f"i_site {site[k]}" + (", not evaluated" if must and late[k] else ""))

    def _at_threshold(self, frame, found, bad):
        """Whether the found value is that of positions moved by 1e-9 A: a feature of this atom is
        at a threshold of a tree, and the last bit of a sum decides."""
        rng, out = np.random.default_rng(1), np.zeros(len(found), dtype=bool)
        if bad.sum() > 3:
            return out
        for _ in range(4):
            again = self.softness.of(frame, rng.normal(0, 1e-9, frame.positions.shape))
            with np.errstate(invalid="ignore"):
                out |= bad & (np.abs(again - found) < 1e-6)
        return out


def before_any(frames, where=""):
    """Verdict on frames before the first evaluation: every column must be NaN."""
    verdict = Verdict()
    for frame in frames:
        verdict.frames += 1
        for name in COLUMNS:
            if name in frame.columns:
                wrong = np.isfinite(frame.columns[name])
                verdict.counts["flagged"] += int((~wrong).sum())
                if wrong.any():
                    verdict.silent.append(f"{where} step {frame.step}: {name} is "
                                          f"{frame.columns[name][wrong][0]:g} before the first "
                                          "evaluation")
    return verdict


def verify(path, reference=None, rerun=False, due=None, before=0, **options):
    """Verdict on a dump.  reference : Frame, default the first frame of the dump."""
    frames = read(path)
    checker = Checker(reference or frames[before], **options)
    return checker.check(frames[before:], rerun, due, path.name)
