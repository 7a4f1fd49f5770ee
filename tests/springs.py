"""Stiffness of atoms' places by numpy, from lists of all pairs: what the kernels are compared with."""
import numpy as np
from scipy.interpolate import BSpline
from scipy.spatial import cKDTree

from lammps_mgml.api import sites
from lammps_mgml.system.atoms import periodic_atoms
from lammps_mgml.system.box import Box

FIRST, SPACING, SPLINES, REACH, NEAR = 2.0, 0.4, 9, 6.0, 4.0


def constants():
    """(2, 2, 9, 2) that hold most atoms: stiff near by, weak and of either sign farther off."""
    rng = np.random.default_rng(2)
    fall = np.exp(-np.arange(SPLINES) / 1.5)
    out = np.stack([4.0 * fall, -0.3 * fall], axis=1) * rng.uniform(0.7, 1.3, (2, 2, SPLINES, 2))
    return out + 0.05 * rng.normal(size=out.shape)


def text_of(vector):
    return " ".join(f"{v:.17g}" for v in vector)


def springs(c, kinds_i, kinds_j, r):
    """k and t of pairs by scipy's B-splines."""
    k, t = np.zeros((2, len(r)))
    for s in range(SPLINES):
        spline = BSpline.basis_element(FIRST + s * SPACING + SPACING * np.arange(-2, 3.0), False)
        weight = np.nan_to_num(spline(r))
        k += weight * c[kinds_i - 1, kinds_j - 1, s, 0]
        t += weight * c[kinds_i - 1, kinds_j - 1, s, 1]
    return k, t


class Pairs:
    """Owned atoms i with all atoms j within ``reach`` of them at positions ``x`` (of atoms and images).

    own : number of the atom that each of x is, or is an image of.  d : vectors.  b : force constants.
    """

    def __init__(self, x, own, n, types, reach):
        pairs = cKDTree(x).query_pairs(reach, output_type="ndarray")
        i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
        self.i, self.image, self.n = i[i < n], j[i < n], n
        self.j = own[self.image]
        self.at(x, types)

    def at(self, x, types):
        """The same pairs where their atoms are at other positions."""
        self.d = x[self.image] - x[self.i]
        self.r = np.linalg.norm(self.d, axis=1)
        u = self.d / self.r[:, None]
        k, t = springs(constants(), types[self.i], types[self.image], self.r)
        self.b = k[:, None, None] * u[:, :, None] * u[:, None, :] + t[:, None, None] * np.eye(3)

    def total(self, values):
        out = np.zeros((self.n, *np.shape(values)[1:]))
        np.add.at(out, self.i, values)
        return out

    def averages(self, columns):
        """Of each column that, its mean over the atom and its neighbours, and the mean of the mean."""
        level, count = np.array(columns), np.bincount(self.i, minlength=self.n)
        out = [level]
        for _ in range(2):
            level = np.array([(np.bincount(self.i, c[self.j], minlength=self.n) + c) / (count + 1)
                              for c in level])
            out.append(level)
        return np.concatenate(out)


def around(system, reach=REACH):
    """Atoms with images within ``reach``, and (n_all,) number of the atom that each is."""
    atoms, owner = periodic_atoms(system.positions, system.types, Box.make(system.edges, system.pbc), reach)
    return atoms, np.concatenate([np.arange(atoms.n_own), owner])


def inverse_of(held):
    """D^-1, D lifted so that its lowest eigenvalue is a tenth of the mean; that eigenvalue; NaN where nothing
    holds the atom."""
    held = held.copy()
    mean = np.trace(held, axis1=1, axis2=2) / 3
    held[~(mean > 0)] = np.nan
    ok = np.isfinite(held[:, 0, 0])
    low = np.full(len(held), np.nan)
    low[ok] = np.linalg.eigvalsh(held[ok])[:, 0]
    lift = np.maximum(0.1 * mean - low, 0)
    inverse = np.full_like(held, np.nan)
    inverse[ok] = np.linalg.inv(held[ok] + lift[ok, None, None] * np.eye(3))
    return inverse, low + lift


def log_trace(m):
    return np.log(np.trace(m, axis1=1, axis2=2))


def places(far, near):
    """Pairs within the reach and near pairs -> D, D^-1, what the neighbours add, and the four columns."""
    held = far.total(far.b)
    held[~(np.trace(held, axis1=1, axis2=2) > 0)] = np.nan
    inverse, low = inverse_of(held)
    add = inverse @ near.total(near.b @ inverse[near.j] @ near.b) @ inverse
    add[np.bincount(near.i, minlength=near.n) == 0] = np.nan
    return held, inverse, add, [log_trace(held / 3), np.log(low), log_trace(inverse), log_trace(add)]


def open_cells(system):
    return sites(system.positions, system.types, system.edges, system.pbc, ("cn_voro",),
                 ("Cu", "Zr")).flags & 1 > 0
