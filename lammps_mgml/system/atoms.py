"""The atoms one rank works on: its own, then the ghosts around them."""
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from .arrays import Floats, Int32s, Ints
from .box import Box

FARTHEST = 1e9        # A: there doubles are 1e-7 A apart, and whole numbers of grid cells still exact


@dataclass(frozen=True)
class Atoms:
    """The only input of everything downstream.

    positions : (n_all, 3) float64, A; owned atoms first, then ghosts.
    types : (n_all,) int32, element number of the model, 1 .. K (0 for an unknown element).
    n_own : int.
    box : Box of the whole system.
    tags : (n_own,) int64, ids for messages.
    """

    positions: Floats
    types: Int32s
    n_own: int
    box: Box
    tags: Ints

    @property
    def n_all(self) -> int:
        return len(self.positions)


def checked_positions(positions: ArrayLike, n: int | None = None, name: str = "positions") -> Floats:
    """C-contiguous float64 copy or view of ``positions`` (n, 3); InputError if it is not that."""
    x = np.ascontiguousarray(positions, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] != 3 or (n is not None and len(x) != n):
        raise InputError(f"{name} must have shape ({'n' if n is None else n}, 3), not {x.shape}")
    bad = np.flatnonzero(~np.isfinite(x).all(axis=1))
    if bad.size:
        raise InputError(f"{name}: atom {bad[0] + 1} of {len(x)} has a coordinate that is not "
                         f"finite: {x[bad[0]].tolist()} ({bad.size} such atoms)")
    far = np.flatnonzero((np.abs(x) > FARTHEST).any(axis=1))
    if far.size:
        raise InputError(f"{name}: atom {far[0] + 1} of {len(x)} is at {x[far[0]].tolist()}, beyond "
                         f"{FARTHEST:g} A ({far.size} such atoms)")
    return x


def image_shell(box: Box, positions: Floats, reach: float) -> tuple[Floats, Ints, Ints]:
    """Periodic images of atoms within ``reach`` of the box.

    Returns
    -------
    wrapped : (n, 3) float64, fractional positions, brought into the box along periodic edges
    owner : (n_ghost,) int64, atom each image belongs to
    shift : (n_ghost, 3) int64, whole box edges from the wrapped owner to the image
    """
    fractional = wrap(box, box.fractional(positions))
    margin = np.where(box.periodic, reach / box.heights, 0.0)
    n = np.ceil(margin).astype(int)
    # axis by axis: each takes the atoms and images found so far
    owner, f = np.arange(len(positions)), fractional
    whole: Ints = np.zeros((len(positions), 3), dtype=np.int64)
    for axis in range(3):
        owners, wholes, shifted = [owner], [whole], [f]
        for shift in range(-n[axis], n[axis] + 1):
            if shift == 0:
                continue
            moved = f[:, axis] + shift
            take = (moved >= -margin[axis]) & (moved < 1.0 + margin[axis])
            step = np.zeros(3, dtype=np.int64)
            step[axis] = shift
            owners.append(owner[take])
            wholes.append(whole[take] + step)
            shifted.append(f[take] + step)
        owner, whole = np.concatenate(owners), np.concatenate(wholes)
        f = np.concatenate(shifted)
    n_own = len(positions)
    return fractional, owner[n_own:], whole[n_own:]


def wrap(box: Box, fractional: Floats) -> Floats:
    """Fractional positions in [0, 1) along the periodic edges."""
    return fractional - np.where(box.periodic, np.floor(fractional), 0.0)


def with_images(box: Box, fractional: Floats, owner: Ints, shift: Ints) -> Floats:
    """(n + n_ghost, 3) positions of the atoms at ``fractional`` and their images."""
    own = box.origin + box.vectors(fractional)
    return np.concatenate([own, own[owner] + box.vectors(shift)])


def periodic_atoms(positions: ArrayLike, types: ArrayLike, box: Box,
                   reach: float) -> tuple[Atoms, Ints]:
    """Atoms of a whole system with explicit periodic images as ghosts, and the images' owners.

    Raises
    ------
    InputError : shapes that do not match, positions that are not finite, types that are not whole.
    """
    x = checked_positions(positions)
    given = np.asarray(types)
    if given.shape != (len(x),):
        raise InputError(f"types must have shape ({len(x)},), not {given.shape}")
    types = np.ascontiguousarray(given, dtype=np.int32)
    if (types != given).any():
        raise InputError(f"types must be whole numbers, found {given[types != given][0]}")
    fractional, owner, shift = image_shell(box, x, reach)
    return Atoms(positions=with_images(box, fractional, owner, shift),
                 types=np.concatenate([types, types[owner]]), n_own=len(x), box=box,
                 tags=np.arange(1, len(x) + 1)), owner
