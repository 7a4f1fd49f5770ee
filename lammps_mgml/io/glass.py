"""One glass in one HDF5 file: its undeformed structure, and what slipped under each load.

    attributes              name, elements, made (JSON: options and commands), energy (eV/atom),
                            lammps, potential, potential_sha256
    types                   (n,) uint8, 1 .. len(elements); atoms in the order of their ids 1 .. n
    inherent, quenched      positions (n, 3) float32 (A) of the inherent structure and of the glass
                            as quenched (50 K); attribute box (3, 3), row vectors, A
    msd                     (n,) float32, A^2, mean square displacement about the mean position in
                            MD of the undeformed glass (made: vibration_temp, vibration_time)
    loadings/AXIS-SENSE     strain (m,), stress (m,) GPa along the axis, d2min (m, n) float32 A^2,
                            eta (m, n) float32, against the inherent structure
"""
import json
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np

from ..errors import InputError
from .whole import write_whole

FORMAT = 1


@dataclass(frozen=True)
class Loaded:
    """A glass loaded along an axis.  strain (m,), stress (m,) GPa, d2min (m, n) A^2, eta (m, n)."""

    axis: str
    sense: str
    strain: np.ndarray
    stress: np.ndarray
    d2min: np.ndarray
    eta: np.ndarray

    @property
    def name(self):
        return f"{self.axis}-{self.sense}"

    @property
    def load(self):
        return f"{self.axis} {self.sense}"


@dataclass(frozen=True)
class Glass:
    """See the file.  positions and box: of the inherent structure; quenched: (positions, box)."""

    name: str
    elements: tuple
    types: np.ndarray
    positions: np.ndarray
    box: np.ndarray
    quenched: tuple | None
    energy: float
    loadings: tuple
    made: dict = field(repr=False)
    provenance: dict = field(repr=False)
    msd: np.ndarray | None = field(default=None, repr=False)

    def __len__(self):
        return len(self.types)

    @property
    def composition(self):
        """Text such as Cu65Zr35."""
        shares = np.bincount(self.types, minlength=len(self.elements) + 1)[1:] / len(self)
        return "".join(f"{e}{100 * s:.0f}" for e, s in zip(self.elements, shares) if s > 0)


def write_glass(path, glass):
    """Write the file; it appears whole or not at all.  InputError: cannot write, disk full."""
    import h5py

    packed = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
    store = BytesIO()                        # HDF5 may crash on a full disk
    with h5py.File(store, "w") as file:
        file.attrs.update({"mgml_glass": FORMAT, "name": glass.name,
                           "elements": list(glass.elements), "energy": glass.energy,
                           "made": json.dumps(glass.made, sort_keys=True), **glass.provenance})
        file.create_dataset("types", data=glass.types.astype(np.uint8), **packed)
        frames = {"inherent": (glass.positions, glass.box)}
        if glass.quenched is not None:
            frames["quenched"] = glass.quenched
        for name, (positions, box) in frames.items():
            data = file.create_dataset(name, data=np.asarray(positions, np.float32), **packed)
            data.attrs["box"] = box
        if glass.msd is not None:
            file.create_dataset("msd", data=np.asarray(glass.msd, np.float32), **packed)
        for x in glass.loadings:
            group = file.create_group(f"loadings/{x.name}")
            group.attrs.update(axis=x.axis, sense=x.sense)
            group["strain"], group["stress"] = x.strain, x.stress
            for name in ("d2min", "eta"):
                group.create_dataset(name, data=np.asarray(getattr(x, name), np.float32),
                                     chunks=(1, len(glass)), **packed)
    write_whole(path, store.getvalue())


def read_glass(path):
    """Glass from a file of ``write_glass``; InputError if it is not that, or not whole."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("mgml_glass") != FORMAT:
                raise InputError(f"{path} is no glass file of this version (mgml dataset makes them)")

            def frame(name):
                data = file[name]
                return data[:].astype(np.float64), data.attrs["box"][:]
            loadings = tuple(
                Loaded(g.attrs["axis"], g.attrs["sense"],
                       *(g[k][:].astype(np.float64) for k in ("strain", "stress", "d2min", "eta")))
                for g in file["loadings"].values()) if "loadings" in file else ()
            glass = Glass(
                str(file.attrs["name"]), tuple(map(str, file.attrs["elements"])),
                file["types"][:].astype(np.int32), *frame("inherent"),
                frame("quenched") if "quenched" in file else None, float(file.attrs["energy"]),
                loadings, json.loads(file.attrs["made"]),
                {k: str(file.attrs.get(k, "")) for k in ("lammps", "potential", "potential_sha256")},
                file["msd"][:].astype(np.float64) if "msd" in file else None)
    except InputError:
        raise
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as e:
        raise InputError(f"{path} is no glass file, or damaged: {e}") from None
    _check(path, glass)
    return glass


def _check(path, glass):
    """InputError that names what does not fit the number of atoms or strains, or is not finite."""
    n = len(glass)
    found = {"types": (glass.types, (n,)), "inherent": (glass.positions, (n, 3)),
             "box of inherent": (glass.box, (3, 3))}
    if glass.quenched is not None:
        found["quenched"] = (glass.quenched[0], (n, 3))
        found["box of quenched"] = (glass.quenched[1], (3, 3))
    if glass.msd is not None:
        found["msd"] = (glass.msd, (n,))
    for x in glass.loadings:
        m = x.strain.size
        found.update({f"{x.name}/strain": (x.strain, (m,)), f"{x.name}/stress": (x.stress, (m,)),
                      f"{x.name}/d2min": (x.d2min, (m, n)), f"{x.name}/eta": (x.eta, (m, n))})
    for name, (data, shape) in found.items():
        if data.shape != shape:
            raise InputError(f"{path}: {name} has shape {data.shape}, must be {shape}: the file is "
                             f"damaged; make it again with mgml dataset pack")
        if "/" not in name and not np.isfinite(data).all():
            raise InputError(f"{path}: {name} has values that are not finite")
    if n == 0 or glass.types.min() < 1 or glass.types.max() > len(glass.elements):
        raise InputError(f"{path}: types must be 1 to {len(glass.elements)} "
                         f"({' '.join(glass.elements)})")
