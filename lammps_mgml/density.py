"""Two-body densities of a site, isotropic and along the load, and their averages.

The recursive averaging is that of Boattini, Smallenburg & Filion (Phys. Rev. Lett. 127, 088007,
2021): over an atom and its near neighbours, and once more.
"""
import numpy as np

from ._kernels import density as _density
from .catalogue import SPLINE_FIRST, SPLINE_SPACING, SPLINES
from .errors import OptionError
from .system.threads import threads

AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
SENSES = {"compression": 1.0, "tension": -1.0}


def load_tensor(load):
    """(6,) xx yy zz xy xz yz of the tensor that stands for a uniaxial load.

    load : text of an axis (x, y, z or three numbers) and, perhaps, of a sense: "z", "x tension",
    "0 1 1 compression".  The tensor is 3/2 n n - 1/2 (P2 of the angle to n), minus that in tension.

    Raises
    ------
    OptionError : it is none of these.
    """
    words = str(load).split()
    sign = SENSES[words.pop()] if words and words[-1] in SENSES else 1.0
    try:
        n = np.array(AXES[words[0]] if len(words) == 1 else words, dtype=np.float64)
        length = np.linalg.norm(n)
        if n.shape == (3,) and np.isfinite(length) and length > 0:
            e = sign * (1.5 * np.outer(n, n) / length**2 - 0.5 * np.eye(3))
            return e[(0, 1, 2, 0, 0, 1), (0, 1, 2, 1, 2, 2)]
    except (KeyError, ValueError, IndexError):
        pass
    raise OptionError(f"load {load!r}: give x, y, z or three numbers, then compression (the "
                      f"default) or tension")


def densities(atoms, cells, n_elements, load, out):
    """Densities of the owned atoms into the first columns of ``out``, 9 for each element.

    load : (6,) tensor for as many axial ones after them, or None.
    """
    problem = _density.densities(
        atoms.positions, atoms.types, cells.is_open, n_elements, SPLINE_FIRST, SPLINE_SPACING,
        SPLINES, np.empty(0) if load is None else load, out, threads())
    if problem:
        raise MemoryError("no memory for the grid of the densities")


def averaged(values, neighbours, n_rows):
    """(n_rows, n) means over each owned atom and its ``neighbours`` (start, count, row)."""
    out = np.empty((n_rows, values.shape[1]))
    _density.averaged(values, *neighbours, out, threads())
    return out
