"""D2min and strain once more, in plain numpy, from the frames of a dump alone.

Nothing here comes from lammps_mgml: not the reader, not the box, not the search, not the fit.
Falk & Langer (1998) with OVITO's conventions: the sum over the partners in the reference, the
partners' images followed through the flips of the box, eta the von Mises strain of E = (F'F - 1) / 2.
"""
import gzip
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree


class Frame(NamedTuple):
    """step, origin (3,), edges (3, 3) rows in A, pbc (3,) bool, columns: name -> (n,) by id."""

    step: int
    origin: np.ndarray
    edges: np.ndarray
    pbc: np.ndarray
    columns: dict

    def __getitem__(self, name):
        return self.columns[name]

    def __len__(self):
        return len(self.columns["id"])

    @property
    def ids(self):
        return self.columns["id"].astype(int)

    @property
    def types(self):
        return self.columns["type"].astype(int)

    @property
    def flags(self):
        return self.columns["i_site"].astype(int)

    @property
    def x(self):
        """(n, 3) positions from the box's origin, as dumped."""
        return np.stack([self.columns[k] for k in "xyz"], axis=1) - self.origin

    @property
    def unwrapped(self):
        """x + image flags times edges: continuous, through flips too (LAMMPS turns the flags)."""
        images = np.stack([self.columns.get(k, np.zeros(len(self))) for k in ("ix", "iy", "iz")],
                          axis=1)
        return self.x + images @ self.edges


def read(path):
    """All frames of a LAMMPS text dump, atoms sorted by id."""
    path = str(path)
    with gzip.open(path, "rt") if path.endswith(".gz") else open(path) as file:
        lines = file.read().split("\n")
    frames, at = [], 0
    while at < len(lines) and lines[at].startswith("ITEM: TIMESTEP"):
        step, n = int(lines[at + 1]), int(lines[at + 3])
        words = lines[at + 4].split()[3:]
        bounds = np.array([line.split() for line in lines[at + 5:at + 8]], dtype=float)
        names = lines[at + 8].split()[2:]
        body = np.array([line.split() for line in lines[at + 9:at + 9 + n]], dtype=float)
        body = body.reshape(n, len(names))
        body = body[np.argsort(body[:, names.index("id")], kind="stable")]
        tilt = bounds[:, 2] if "xy" in words else np.zeros(3)
        xy, xz, yz = tilt
        low, high = bounds[:, 0].copy(), bounds[:, 1].copy()
        low[0] -= min(0, xy, xz, xy + xz)
        high[0] -= max(0, xy, xz, xy + xz)
        low[1] -= min(0, yz)
        high[1] -= max(0, yz)
        edges = np.diag(high - low)
        edges[1, 0], edges[2, 0], edges[2, 1] = xy, xz, yz
        frames.append(Frame(step, low, edges, np.array([w == "pp" for w in words[-3:]]),
                            dict(zip(names, body.T))))
        at += 9 + n
    assert frames and at >= len(lines) - 1, f"{path}: not a whole dump"
    return frames


def with_images(frames):
    """Frames of a dump without image flags, with those of the shortest way from frame to frame."""
    out = [frames[0]]
    for frame in frames[1:]:
        before = out[-1].unwrapped @ np.linalg.inv(out[-1].edges)
        shift = np.round(before - frame.x @ np.linalg.inv(frame.edges)) * frame.pbc
        columns = {**frame.columns, **dict(zip(("ix", "iy", "iz"), shift.T))}
        out.append(Frame(frame.step, frame.origin, frame.edges, frame.pbc, columns))
    return out


def continued(frames):
    """Edges of each frame without the flips: tilts go on from the frame before."""
    out = [frames[0].edges]
    for frame in frames[1:]:
        before, e = out[-1], frame.edges.copy()
        # a shear of the frame before takes its tilt along with the box
        e[1] += e[0] * np.round((before[1, 0] - e[1, 0]) / e[0, 0])
        e[2] += e[1] * np.round((before[2, 1] - e[2, 1]) / e[1, 1])
        e[2] += e[0] * np.round((before[2, 0] - e[2, 0]) / e[0, 0])
        out.append(e)
    return out


def follow(frames, far=0.8):
    """Numbers of the atoms of each frame by where they are: for ids that are given anew.

    An atom carries the number of the nearest atom of the frame before; one farther than ``far``
    (A) from all of them is new.  Every frame has the first one's numbers, new atoms new ones.
    """
    numbers, top = [frames[0].ids.copy()], frames[0].ids.max() + 1
    for before, now in zip(frames, frames[1:]):
        fractional = before.unwrapped @ np.linalg.inv(before.edges)
        shift = np.arange(-1, 2)
        cube = np.stack(np.meshgrid(shift, shift, shift), axis=-1).reshape(-1, 3)
        cube = cube[(np.abs(cube) * ~before.pbc).sum(1) == 0]
        home = fractional - np.floor(fractional) * before.pbc
        images = (home[None] + cube[:, None]).reshape(-1, 3)
        f = now.unwrapped @ np.linalg.inv(now.edges)
        distance, nearest = cKDTree(images @ now.edges).query(
            (f - np.floor(f) * now.pbc) @ now.edges)
        nearest %= len(before)
        known = distance < far
        assert len(np.unique(nearest[known])) == known.sum(), "two atoms come from one"
        mine = np.empty(len(now), dtype=int)
        mine[known] = numbers[-1][nearest[known]]
        mine[~known] = top + np.arange((~known).sum())
        top += (~known).sum()
        numbers.append(mine)
    return numbers


def partners(frame, cutoff):
    """(i, j, shift): pairs within ``cutoff``; the partner is at j, unwrapped, + shift edges."""
    x, e = frame.unwrapped, frame.edges
    inverse = np.linalg.inv(e)
    cell = np.floor(x @ inverse).astype(int) * frame.pbc
    home = x - cell @ e
    height = 1 / np.linalg.norm(inverse, axis=0)
    many = [np.arange(-n, n + 1) for n in np.where(frame.pbc, np.ceil(cutoff / height), 0)]
    cube = np.stack(np.meshgrid(*many, indexing="ij"), axis=-1).reshape(-1, 3).astype(int)
    owner = np.tile(np.arange(len(x)), len(cube))
    shift = np.repeat(cube, len(x), axis=0)
    images = home[owner] + shift @ e
    low, high = home.min(0) - cutoff, home.max(0) + cutoff
    near = ((images >= low) & (images <= high)).all(1)
    owner, shift, images = owner[near], shift[near], images[near]
    found = cKDTree(images).query_ball_point(home, cutoff)
    i = np.repeat(np.arange(len(x)), [len(f) for f in found])
    j = np.concatenate([*found, []]).astype(int)
    other = ~((owner[j] == i) & (shift[j] == 0).all(1))
    i, j = i[other], j[other]
    # home j + shift - home i  =  x j + (shift - cell j + cell i) e - x i
    return i, owner[j], shift[j] - cell[owner[j]] + cell[i]


class Plastic(NamedTuple):
    """Of each atom of the present frame: d2min A^2, eta, new (not in the reference), lost (one of
    its partners is gone)."""

    d2min: np.ndarray
    eta: np.ndarray
    new: np.ndarray
    lost: np.ndarray


def d2min(reference, present, edges=None, cutoff=4.5, numbers=None):
    """``Plastic`` of the frame ``present`` against ``reference``.

    edges : the present edges without flips (``continued``); the frame's own by default
    numbers : (of the reference's atoms, of the present ones) where ids do not tell who is who
    """
    edges = present.edges if edges is None else edges
    then, now = (reference.ids, present.ids) if numbers is None else numbers
    order = np.argsort(now)
    found = np.searchsorted(now, then, sorter=order)
    at = order[np.minimum(found, len(now) - 1)]
    here = now[at] == then                                   # of the reference's atoms
    i, j, shift = partners(reference, cutoff)
    x0, x = reference.unwrapped, present.unwrapped
    d0 = x0[j] + shift @ reference.edges - x0[i]
    n = len(reference)
    lost = np.zeros(n, dtype=bool)
    np.logical_or.at(lost, i, ~here[j])
    use = here[i] & here[j]
    d = np.zeros_like(d0)
    d[use] = x[at[j[use]]] + shift[use] @ edges - x[at[i[use]]]
    v, w = np.zeros((2, n, 3, 3))
    np.add.at(v, i, d0[:, :, None] * d0[:, None])
    np.add.at(w, i, d0[:, :, None] * d[:, None])
    value, eta = np.full((2, n), np.nan)
    good = (np.bincount(i, minlength=n) >= 3) & here & ~lost
    spread = np.linalg.svd(v, compute_uv=False)
    good &= spread[:, 2] > 1e-9 * spread[:, 0]
    f = np.full((n, 3, 3), np.nan)
    f[good] = np.linalg.solve(v[good], w[good])              # rows: d = d0 f
    rest = ((d - np.einsum("ka,kab->kb", d0, f[i]))**2).sum(1)
    value[good] = np.bincount(i, rest, minlength=n)[good]
    e = (f @ f.swapaxes(1, 2) - np.eye(3)) / 2
    a, b, c = e[:, 0, 0], e[:, 1, 1], e[:, 2, 2]
    eta = np.sqrt(e[:, 0, 1]**2 + e[:, 0, 2]**2 + e[:, 1, 2]**2
                  + ((a - b)**2 + (b - c)**2 + (c - a)**2) / 6)
    out = Plastic(np.full(len(present), np.nan), np.full(len(present), np.nan),
                  np.ones(len(present), dtype=bool), np.zeros(len(present), dtype=bool))
    for target, source in zip(out, (value, eta, ~here, lost)):
        target[at[here]] = source[here]
    return out
