"""Force constants of pairs, fitted to the forces on atoms that were moved a little.

The forces on the atoms of an inherent structure that have been moved by u are

    f_i = sum over j of (k(r) n n + t(r) 1) (u_j - u_i),    n the unit vector from i to j,

to first order, if pairs were all.  k and t are cubic B-splines on the
knots of the densities, for each element of i and each of j: what an embedding adds goes by i.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ..errors import InputError
from ..families.pairs import INPUT, SPLINES, reach
from ..features import needs
from ..progress import track
from ..system.arrays import AnyArray, Floats
from .dataset import Loading, Structure

RIDGE = 1e-6           # of the mean of the normal matrix' diagonal: some splines hold no pair
DIGITS = 6
ALIKE = 5.0            # glasses of one alloy differ by less, eV and kcal/mol by 23


def with_force_constants(loadings: Iterable[Loading], names: Iterable[str]) -> list[Loading]:
    """The loadings; if a feature takes force constants, with those that fit all their structures.

    Raises
    ------
    InputError : no structure comes with forces.
    """
    from dataclasses import replace

    loadings, names = list(loadings), tuple(names)
    if not loadings or INPUT not in needs(names, loadings[0].structure.elements):
        return loadings
    known = {id(x.structure): x.structure for x in loadings}
    constants = fitted(list(known.values()))
    new = {key: replace(x, force_constants=constants) for key, x in known.items()}
    return [replace(x, structure=new[id(x.structure)]) for x in loadings]


def fitted(structures: Iterable[Structure]) -> tuple[float, ...]:
    """(K * K * SPLINES * 2) force constants that fit the forces of all structures that have them.

    Raises
    ------
    InputError : none has; they come in several units; an element is in none of them; a box is not
    periodic with edges along x, y, z, or too small.
    """
    structures = list(structures)
    some = [x for x in structures if x.response is not None]
    if not some:
        raise InputError(f"{structures[0].glass} comes without the forces on its atoms after small "
                         f"moves: mgml dataset forces measures them; the recipes pair and axial do "
                         f"without")
    _check_units(some)
    k = len(some[0].elements)
    normal = np.zeros((k, k * SPLINES * 2, k * SPLINES * 2))
    right = np.zeros(normal.shape[:2])
    for x in track(some, "force constants", "glasses"):
        assert x.response is not None
        design, forces = _design(x), x.response[1]
        for e in range(k):
            rows = x.types == e + 1
            a = design[rows].reshape(-1, design.shape[2])
            normal[e] += a.T @ a
            right[e] += a.T @ forces[rows].ravel()
    size = normal.shape[1]
    for e, n in enumerate(normal):
        if not np.trace(n) > 0:
            raise InputError(
                f"no {some[0].elements[e]} atom with neighbours in the glasses that come with forces "
                f"({some[0].glass}, ...): mgml dataset forces measures those of others")
    constants = [np.linalg.solve(n + RIDGE * np.trace(n) / size * np.eye(size), b)
                 for n, b in zip(normal, right)]
    return tuple(float(f"{c:.{DIGITS}g}") for c in np.concatenate(constants))


def _check_units(structures: Sequence[Structure]) -> None:
    """Files do not tell the units of forces: those of one fit are told apart by their size."""
    by_move = [float(np.linalg.norm(x.response[1]) / np.linalg.norm(x.response[0]))
               for x in structures if x.response is not None]
    low, high = int(np.argmin(by_move)), int(np.argmax(by_move))
    if not by_move[high] <= ALIKE * by_move[low]:
        raise InputError(
            f"{structures[high].glass}: the forces after small moves are "
            f"{by_move[high] / by_move[low]:.3g} times those of {structures[low].glass}, as if their "
            f"decks had other units: run mgml dataset forces on all with one --system")


def explained(structure: Structure, constants: AnyArray) -> float:
    """Share of the variance of the forces that the constants explain, R^2."""
    assert structure.response is not None
    forces, design = structure.response[1], _design(structure)
    weights = np.reshape(constants, (len(structure.elements), -1))[structure.types - 1]
    left = forces - np.einsum("nck,nk->nc", design, weights)
    return float(1 - (left**2).sum() / (forces**2).sum())


def _design(x: Structure) -> Floats:
    """(n, 3, K * SPLINES * 2): the force on each atom by each spline of weight 1."""
    from scipy.spatial import cKDTree

    assert x.response is not None
    first, spacing = x.lengths.density_first, x.lengths.density_spacing
    edges = np.diag(x.box.edges)
    if not np.array_equal(np.diag(edges), x.box.edges) or not x.box.periodic.all():
        raise InputError(f"{x.glass}: forces are fitted in periodic boxes with edges along x, y, z")
    far = reach(first, spacing)
    if edges.min() <= 2 * far:
        raise InputError(f"{x.glass}: forces are fitted in boxes longer than {2 * far:g} "
                         f"{x.lengths.unit}, not {edges.min():g}: an atom meets its own image")
    places = x.positions % edges
    places[places >= edges] = 0.0            # rounded up
    n, pairs = len(places), cKDTree(places, boxsize=edges).query_pairs(far, output_type="ndarray")
    i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
    d = places[j] - places[i]
    d -= edges * np.round(d / edges)
    r = np.linalg.norm(d, axis=1)
    moved = x.response[0][j] - x.response[0][i]
    along = (moved * d).sum(axis=1)[:, None] / r[:, None]**2 * d
    out = np.zeros((n, 3, len(x.elements), SPLINES, 2))
    for k in range(SPLINES):
        t = abs(r - first - k * spacing) / spacing
        weight = np.where(t < 1, 2 / 3 - t**2 + t**3 / 2, np.maximum(2 - t, 0)**3 / 6)
        for e in range(len(x.elements)):
            some = (weight > 0) & (x.types[j] == e + 1)
            for c in range(3):
                for which, values in enumerate((along, moved)):
                    out[:, c, e, k, which] = np.bincount(i[some], weight[some] * values[some, c], n)
    return out.reshape(n, 3, -1)
