"""Labelled glasses: features of the undeformed structure, D2min of its loading."""
from dataclasses import dataclass

import numpy as np

from ..api import sites
from ..catalogue import TABLE3
from ..errors import InputError
from ..io.dump import read_dump
from ..nonaffine import CUTOFF, d2min
from ..pipeline import PARAMETERS

THRESHOLD = 5.0        # A^2, plain sum: plastic above (paper, Results 1)


@dataclass(frozen=True)
class Loading:
    """One glass, loaded once.

    name, glass : the loading's and the glass' name; two loadings of one glass share the latter.
    features (n, 13), types (n,), coordination (n,): of the undeformed structure.
    d2min : strain -> (n,) A^2.  blocks : (n,) int, spatial cube of each atom, for error bars.
    """

    name: str
    glass: str
    features: np.ndarray
    types: np.ndarray
    coordination: np.ndarray
    d2min: dict
    blocks: np.ndarray

    def plastic(self, strain):
        return self.at(strain) > THRESHOLD

    def at(self, strain):
        for s, values in self.d2min.items():
            if abs(s - strain) < 1e-9:
                return values
        raise InputError(f"{self.name} has no frame at strain {strain}; it has "
                         f"{', '.join(f'{s:g}' for s in self.d2min)}")


def read_loading(path, elements=("Cu", "Zr"), step=0.001):
    """Loading from a dump of inputs/in.aqs, whose step number counts increments of ``step``.

    The glass' name is the file's, up to the first dot.
    """
    frames = read_dump(path)
    reference = next(frames)
    name = str(path).rsplit("/", 1)[-1].removesuffix(".gz").removesuffix(".dump")
    found = sites(reference.positions, reference.types, reference.box.edges,
                  reference.box.periodic, TABLE3, elements, PARAMETERS)
    labels = {}
    for frame in frames:
        frame.must_have_atoms_of(reference)
        labels[round(frame.step * step, 9)] = d2min(
            reference.positions, reference.box.edges, frame.positions, frame.box.edges,
            reference.box.periodic, CUTOFF).d2min
    return Loading(name, name.split(".")[0], found.features, reference.types, found.coordination,
                   labels, cubes(reference))


def cubes(frame, side=15.0):
    """(n,) number of the cube of about ``side`` (A) that holds each atom."""
    n = np.maximum(np.round(frame.box.heights / side), 1).astype(int)
    place = np.minimum(((frame.fractional % 1.0) * n).astype(int), n - 1)
    return (place[:, 0] * n[1] + place[:, 1]) * n[2] + place[:, 2]
