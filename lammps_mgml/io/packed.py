"""Loaded runs of one glass in one HDF5 file: the undeformed structure once, and D2min of each run.

    attributes      mgml_runs (the format), name (of the glass), elements, box (3, 3) A, periodic
                    (3,), rate (K/s of the quench; 0 if not known), made (how the runs were made)
    types           (n,) uint8, 1 .. len(elements); atoms in the order of their ids
    reference       (n, 3) float32, A, positions in the undeformed structure
    msd, msd_hot    (n,) float32, A^2, how the undeformed glass vibrates, if it was watched
    runs/0, 1, ...  attributes label ("z-compression"), source (the dump); strain (m,);
                    d2min (m, n) float16, A^2, rounded up to 7 significant bits, so that the same
                    atoms are above 5 A^2; curve (k, 2) strain and stress (GPa), if it is known
"""
from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from os import PathLike
from typing import Any

import numpy as np

from ..errors import InputError
from ..families.vibrations import WATCHES, Watched
from ..system.arrays import AnyArray, Floats, Int32s
from ..system.box import Box
from .hdf5 import opened
from .whole import write_whole

FORMAT = 1
BITS = 6               # of the mantissa of D2min, behind its leading one


@dataclass(frozen=True, eq=False)
class PackedRun:
    """label : as "z-compression".  source : its dump.  strain (m,), d2min (m, n) A^2, curve (k, 2)
    strain and stress (GPa) or None."""

    label: str
    source: str
    strain: Floats
    d2min: AnyArray = field(repr=False)
    curve: Floats | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class Packed:
    """name : of the glass.  types (n,), positions (n, 3) A and box : of its undeformed structure.
    rate : K/s of the quench, None if it is not known.  made : how the runs were made.  watched :
    {"msd": (n,) A^2, ...}, how the atoms of the undeformed glass vibrate."""

    name: str
    elements: tuple[str, ...]
    types: Int32s
    positions: Floats
    box: Box
    rate: float | None
    made: str
    runs: tuple[PackedRun, ...]
    watched: Watched = field(default_factory=dict, repr=False)


def write_packed(path: str | PathLike[str], packed: Packed) -> None:
    """Write the file; it appears whole or not at all.  InputError: cannot write, disk full."""
    import h5py

    small = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
    store = BytesIO()
    with h5py.File(store, "w") as file:
        file.attrs.update({
            "mgml_runs": FORMAT, "name": packed.name, "elements": list(packed.elements),
            "box": packed.box.edges, "periodic": packed.box.periodic, "made": packed.made,
            "rate": packed.rate or 0.0})
        file.create_dataset("types", data=packed.types.astype(np.uint8), **small)
        file.create_dataset("reference", data=packed.positions.astype(np.float32), **small)
        for name, msd in packed.watched.items():
            file.create_dataset(name, data=msd.astype(np.float32), **small)
        for k, run in enumerate(packed.runs):
            group = file.create_group(f"runs/{k}")
            group.attrs.update(label=run.label, source=run.source)
            group["strain"] = run.strain
            group.create_dataset("d2min", data=rounded_up(run.d2min),
                                 chunks=(1, len(packed.types)), **small)
            if run.curve is not None:
                group.create_dataset("curve", data=run.curve.astype(np.float32), **small)
    write_whole(path, store.getvalue())


def rounded_up(d2min: AnyArray) -> AnyArray:
    """float16 of ``BITS`` bits behind the leading one, none below its value; NaN stays NaN."""
    values = np.asarray(d2min, np.float64)
    mantissa, exponent = np.frexp(np.maximum(values, 2.0**-14))     # no subnormal numbers
    steps = 2.0 ** (BITS + 1)
    up = np.ldexp(np.ceil(mantissa * steps) / steps, exponent)
    out: AnyArray = np.minimum(up, 2.0**15).astype(np.float16)
    return out


def is_packed(path: str | PathLike[str]) -> bool:
    """Whether an HDF5 file is one of ``write_packed``; InputError if it is damaged."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return "mgml_runs" in file.attrs
    except OSError as e:
        raise InputError(f"{path} is damaged: {e}") from None


def read_packed(path: str | PathLike[str]) -> Packed:
    """Packed from a file of ``write_packed``.

    Raises
    ------
    InputError : it is not that, or its parts do not fit each other.
    """
    with opened(path, "file of mgml pack") as file:
        if file.attrs["mgml_runs"] != FORMAT:
            raise InputError(f"{path} is of another version of mgml pack: make it again")
        return _checked(file)


def _checked(file: Any) -> Packed:
    """Packed of an open file; ValueError for parts that do not fit."""
    elements = tuple(map(str, file.attrs["elements"]))
    types = np.asarray(file["types"][:], np.int32)
    positions = np.asarray(file["reference"][:], np.float64)
    box = Box.make(np.asarray(file.attrs["box"], np.float64),
                   np.asarray(file.attrs["periodic"], bool))
    n = len(types)
    if not n or positions.shape != (n, 3) or not np.isfinite(positions).all() or (
            types.min() < 1 or types.max() > len(elements)):
        raise ValueError(f"{n} types of {len(elements)} elements, positions {positions.shape}")
    watched = {name: np.asarray(file[name][:], np.float64) for name in WATCHES.values()
               if name in file}
    for name, msd in watched.items():
        if msd.shape != (n,):
            raise ValueError(f"{n} atoms, {name} {msd.shape}")
    runs = []
    for k in range(len(file["runs"])):
        group = file[f"runs/{k}"]
        strain = np.asarray(group["strain"][:], np.float64)
        d2min = np.asarray(group["d2min"][:], np.float32)
        if d2min.shape != (len(strain), n) or not len(strain) or not (np.diff(strain) > 0).all():
            raise ValueError(f"run {k} has {len(strain)} strains, D2min {d2min.shape}")
        curve = np.asarray(group["curve"][:], np.float64) if "curve" in group else None
        if curve is not None and (curve.ndim != 2 or curve.shape[1] != 2 or not len(curve)):
            raise ValueError(f"run {k} has a stress curve of shape {curve.shape}")
        runs.append(PackedRun(str(group.attrs["label"]), str(group.attrs["source"]), strain, d2min,
                              curve))
    if not runs:
        raise ValueError("there is no run in it")
    return Packed(str(file.attrs["name"]), elements, types, positions, box,
                  float(file.attrs["rate"]) or None, str(file.attrs["made"]), tuple(runs), watched)
