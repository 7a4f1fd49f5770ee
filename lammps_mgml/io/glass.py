"""One glass in one HDF5 file: its undeformed structure, and what slipped under each load.

    attributes              name, elements, masses (g/mol; lj: LAMMPS' own), made (JSON: options and
                            commands), energy (of an atom; eV in units metal), lammps, potential,
                            potential_sha256, lengths (JSON, as ``system.lengths``: units, cutoffs;
                            without it they are Cu-Zr's, in A).  In units lj every A below is a sigma
    types                   (n,) uint8, 1 .. len(elements); atoms in the order of their ids 1 .. n
    inherent, quenched      positions (n, 3) float32 (A) of the inherent structure and of the glass
                            as quenched (50 K); attribute box (3, 3), row vectors, A
    msd                     (n,) float32, A^2, mean square displacement about the mean position in
                            MD of the undeformed glass (made: vibration_temp, vibration_time)
    msd_hot                 the same of a second, hotter run (made: hot_temp)
    moved, forces           (n, 3) float32, small moves (A) of the atoms of the inherent structure,
                            and the forces on them then (in the deck's units): see inputs/in.forces
    loadings/AXIS-SENSE     strain (m,), stress (m,) GPa along the axis, d2min (m, n) float32 A^2,
                            eta (m, n) float32, against the inherent structure
"""
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..families.vibrations import WATCHES, Watched
from ..system.arrays import AnyArray, Floats, Int32s
from ..system.lengths import Lengths
from .hdf5 import opened
from .whole import write_whole

FORMAT = 1
RESPONSE = "moved", "forces"


@dataclass(frozen=True)
class Loaded:
    """A glass loaded along an axis.  strain (m,), stress (m,) GPa, d2min (m, n) A^2, eta (m, n)."""

    axis: str
    sense: str
    strain: Floats
    stress: Floats
    d2min: Floats
    eta: Floats

    @property
    def name(self) -> str:
        return f"{self.axis}-{self.sense}"

    @property
    def load(self) -> str:
        return f"{self.axis} {self.sense}"


@dataclass(frozen=True)
class Glass:
    """See the file.  positions and box: of the inherent structure; quenched: (positions, box).
    watched : {"msd": (n,) A^2, ...}."""

    name: str
    elements: tuple[str, ...]
    types: Int32s
    positions: Floats
    box: Floats
    quenched: tuple[Floats, Floats] | None
    energy: float
    loadings: tuple[Loaded, ...]
    made: dict[str, Any] = field(repr=False)
    provenance: dict[str, str] = field(repr=False)
    watched: Watched = field(default_factory=dict, repr=False)
    lengths: Lengths = field(default_factory=Lengths)
    masses: tuple[float, ...] = ()               # () for those of the elements
    response: Floats | None = field(default=None, repr=False)     # (2, n, 3): moved, forces

    def __len__(self) -> int:
        return len(self.types)

    @property
    def composition(self) -> str:
        """Text such as Cu65Zr35."""
        shares = np.bincount(self.types, minlength=len(self.elements) + 1)[1:] / len(self)
        return "".join(f"{e}{100 * s:.0f}" for e, s in zip(self.elements, shares) if s > 0)


def write_glass(path: str | PathLike[str], glass: Glass) -> None:
    """Write the file; it appears whole or not at all.  InputError: cannot write, disk full."""
    import h5py

    packed = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
    store = BytesIO()                        # HDF5 may crash on a full disk
    with h5py.File(store, "w") as file:
        file.attrs.update({"mgml_glass": FORMAT, "name": glass.name,
                           "elements": list(glass.elements), "energy": glass.energy,
                           "made": json.dumps(glass.made, sort_keys=True),
                           "lengths": json.dumps(glass.lengths.told()), **glass.provenance})
        if glass.masses:
            file.attrs["masses"] = list(glass.masses)
        file.create_dataset("types", data=glass.types.astype(np.uint8), **packed)
        frames = {"inherent": (glass.positions, glass.box)}
        if glass.quenched is not None:
            frames["quenched"] = glass.quenched
        for name, (positions, box) in frames.items():
            data = file.create_dataset(name, data=np.asarray(positions, np.float32), **packed)
            data.attrs["box"] = box
        for name, msd in glass.watched.items():
            file.create_dataset(name, data=np.asarray(msd, np.float32), **packed)
        for name, values in zip(RESPONSE, () if glass.response is None else glass.response):
            file.create_dataset(name, data=np.asarray(values, np.float32), **packed)
        for x in glass.loadings:
            group = file.create_group(f"loadings/{x.name}")
            group.attrs.update(axis=x.axis, sense=x.sense)
            group["strain"], group["stress"] = x.strain, x.stress
            for name in ("d2min", "eta"):
                group.create_dataset(name, data=np.asarray(getattr(x, name), np.float32),
                                     chunks=(1, len(glass)), **packed)
    write_whole(path, store.getvalue())


def add_response(path: str | PathLike[str], response: Floats) -> None:
    """Keep ``response`` (2, n, 3) in a glass file, in place of another; the rest stays as it is.

    Raises
    ------
    InputError : no glass file; cannot write, disk full: then the file is as it was.
    """
    _add(path, dict(zip(RESPONSE, response)), (len(read_glass(path)), 3))


def add_watch(path: str | PathLike[str], name: str, msd: Floats, **made: str) -> None:
    """Keep ``msd`` (n,) A^2 as ``name``, msd or msd_hot, of a glass file, and in ``made`` how it came
    to be.  Errors as of ``add_response``."""
    _add(path, {name: msd}, (len(read_glass(path)),), made)


def _add(path: str | PathLike[str], arrays: Mapping[str, Floats], shape: tuple[int, ...],
         made: Mapping[str, str] | None = None) -> None:
    import h5py

    store = BytesIO(Path(path).read_bytes())
    with h5py.File(store, "r+") as file:
        for name, values in arrays.items():
            if values.shape != shape or not np.isfinite(values).all():
                raise InputError(f"{path}: {name} must be {shape} numbers, not {values.shape}")
            if name in file:
                del file[name]
            file.create_dataset(name, data=np.asarray(values, np.float32), compression="gzip",
                                compression_opts=9, shuffle=True)
        if made:
            file.attrs["made"] = json.dumps({**json.loads(file.attrs["made"]), **made},
                                            sort_keys=True)
    write_whole(path, store.getvalue())


def write_data(path: str | PathLike[str], glass: Glass) -> None:
    """LAMMPS data file of the inherent structure, atom style atomic; it appears whole or not at all.

    Raises
    ------
    InputError : cannot write, or a box whose edges LAMMPS does not take.
    """
    from ..system.elements import MASSES

    a, b, c = glass.box
    if not (a[1] == a[2] == b[2] == 0 and min(a[0], b[1], c[2]) > 0):
        raise InputError(f"{path}: LAMMPS takes boxes whose first edge is along x and whose second "
                         f"is in the plane of x and y, not {glass.box.tolist()}")
    masses = glass.masses or [MASSES[e] for e in glass.elements]
    lines = [f"LAMMPS data file of glass {glass.name}, units = {glass.lengths.units}", "",
             f"{len(glass)} atoms", f"{len(glass.elements)} atom types", "",
             *(f"0 {length:.10g} {x}lo {x}hi" for x, length in zip("xyz", (a[0], b[1], c[2])))]
    if b[0] or c[0] or c[1]:
        lines.append(f"{b[0]:.10g} {c[0]:.10g} {c[1]:.10g} xy xz yz")
    lines += ["", "Masses", "", *(f"{k} {m:.10g}  # {e}" for k, (m, e) in enumerate(
        zip(masses, glass.elements), start=1)), "", "Atoms # atomic", ""]
    lines += [f"{k} {kind} {x:.9g} {y:.9g} {z:.9g}" for k, (kind, (x, y, z)) in enumerate(
        zip(glass.types, glass.positions), start=1)]
    write_whole(path, ("\n".join(lines) + "\n").encode())


def read_glass(path: str | PathLike[str]) -> Glass:
    """Glass from a file of ``write_glass``.

    Raises
    ------
    InputError : it is not that, or its parts do not fit each other (named by part and shape).
    """
    with opened(path, "glass file") as file:
        if file.attrs.get("mgml_glass") != FORMAT:
            raise InputError(f"{path} is no glass file of this version (mgml dataset makes them)")
        return _checked(file)


def _checked(file: Any) -> Glass:
    """Glass of an open file; ValueError for parts that do not fit."""
    elements = tuple(map(str, file.attrs["elements"]))
    types = _array(file, "types", (None,), np.int32)
    n, masses = len(types), tuple(map(float, file.attrs.get("masses", ())))
    if len(set(elements)) != len(elements):
        raise ValueError(f"elements {' '.join(elements)}: one comes twice")
    if masses and (len(masses) != len(elements) or not min(masses) > 0):
        raise ValueError(f"masses {masses} do not fit {' '.join(elements)}")
    if n == 0 or types.min() < 1 or types.max() > len(elements):
        raise ValueError(f"types must be 1 to {len(elements)} ({', '.join(elements)})")

    def frame(name: str) -> tuple[Floats, Floats]:
        box = np.asarray(file[name].attrs["box"], dtype=np.float64)
        if box.shape != (3, 3) or not np.isfinite(box).all() or abs(np.linalg.det(box)) < 1e-12:
            raise ValueError(f"the box of {name} is not 3 edges with a volume: {box.tolist()}")
        return _array(file, name, (n, 3)), box

    loadings = []
    for name in file["loadings"] if "loadings" in file else ():
        group, m = file["loadings"][name], len(file["loadings"][name]["strain"])
        shapes = {"strain": (m,), "stress": (m,), "d2min": (m, n), "eta": (m, n)}
        parts = [_array(group, key, shape) for key, shape in shapes.items()]
        if (np.diff(parts[0]) <= 0).any():
            raise ValueError(f"loadings/{name}/strain does not grow from frame to frame")
        loadings.append(Loaded(str(group.attrs["axis"]), str(group.attrs["sense"]), *parts))
    return Glass(
        str(file.attrs["name"]), elements, types, *frame("inherent"),
        frame("quenched") if "quenched" in file else None, float(file.attrs["energy"]),
        tuple(loadings), dict(json.loads(file.attrs["made"])),
        {k: str(file.attrs.get(k, "")) for k in ("lammps", "potential", "potential_sha256")},
        {name: _array(file, name, (n,)) for name in WATCHES.values() if name in file},
        Lengths.read(json.loads(file.attrs["lengths"])) if "lengths" in file.attrs else Lengths(),
        masses, np.stack([_array(file, name, (n, 3)) for name in RESPONSE])
        if RESPONSE[0] in file else None)


def _array(group: Any, name: str, shape: tuple[int | None, ...],
           dtype: type[np.generic] = np.float64) -> AnyArray:
    """Dataset ``name`` of this shape (None: any length); ValueError if it is not, or not finite."""
    data: AnyArray = group[name][:]
    if np.issubdtype(dtype, np.integer) and not np.issubdtype(data.dtype, np.integer):
        raise ValueError(f"{name} must be whole numbers, not {data.dtype}")
    data = data.astype(dtype)
    where = f"{group.name}/{name}".lstrip("/")
    if len(shape) != data.ndim or any(a is not None and a != b for a, b in zip(shape, data.shape)):
        raise ValueError(f"{where} must have shape {shape}, not {data.shape}")
    bad = ~np.isfinite(data)
    if bad.any():
        raise ValueError(f"{where} has {bad.sum()} values that are not finite")
    return data
