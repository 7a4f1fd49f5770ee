"""Two-body densities of a site, isotropic and along the loading axis, and their averages.

The recursive averaging is that of Boattini, Smallenburg & Filion (Phys. Rev. Lett. 127, 088007,
2021): over an atom and its near neighbours, and once more.
"""
import numpy as np

from ._kernels import density as _density
from .catalogue import SPLINE_FIRST, SPLINE_SPACING, SPLINES
from .errors import OptionError

AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


def axis_vector(axis):
    """(3,) unit vector of "x", "y", "z", of three numbers, or of a text with them.

    Raises
    ------
    OptionError : it is none of these.
    """
    try:
        words = axis.split() if isinstance(axis, str) else axis
        vector = np.array(AXES[words[0]] if len(words) == 1 else words, dtype=np.float64)
        length = np.linalg.norm(vector)
        if vector.shape == (3,) and np.isfinite(length) and length > 0:
            return vector / length
    except (KeyError, ValueError, TypeError, IndexError):
        pass
    raise OptionError(f"loading axis {axis!r}: give x, y, z or three numbers")


def densities(atoms, cells, n_elements, axis, n_rows):
    """(n_rows, n) densities of the owned atoms; n is 9 for each element, twice that with an axis.

    axis : (3,) unit vector, or None for the isotropic ones only.
    """
    out = np.empty((n_rows, n_elements * SPLINES * (1 if axis is None else 2)))
    problem = _density.densities(
        atoms.positions, atoms.types, cells.is_open, n_elements, SPLINE_FIRST, SPLINE_SPACING,
        SPLINES, np.empty(0) if axis is None else np.ascontiguousarray(axis, np.float64), out)
    if problem:
        raise MemoryError("no memory for the grid of the densities")
    return out


def averaged(values, neighbours, n_rows):
    """(n_rows, n) means over each owned atom and its ``neighbours`` (start, count, row)."""
    out = np.empty((n_rows, values.shape[1]))
    _density.averaged(values, *neighbours, out)
    return out
