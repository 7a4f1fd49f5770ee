"""HDF5 tables of site features: one group a frame, named by its step.

    attributes     names, sets, units of the features, elements, parameters, feature_definition
    STEP/id        (n,) int64, in any order
    STEP/features  (n, n_features) float32 or float64, NaN where undefined
    STEP/i_site    (n,) int32, flags of lammps_mgml.flags
    STEP/...       further columns (n,), as d_sq
    STEP           attributes: box edges (A), periodic, means that normalise, composition
"""
import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..errors import InputError, MgmlError
from ..features import DEFINITION, by_name

ROWS = 4096            # written at once


def header(names, elements, parameters, source=""):
    """Attributes of a table of these features."""
    from .. import __version__

    known = by_name(tuple(elements))
    return {"names": list(names), "sets": [known[n].set for n in names],
            "units": [known[n].units for n in names], "elements": list(elements),
            "feature_definition": DEFINITION, "lammps_mgml": __version__, "source": str(source),
            **parameters}


class TableWriter:
    """Writes frames into one file, which is closed and whole between them."""

    def __init__(self, path, attributes, compress=False, append=False):
        """append : go on with a file of the same features whose frames are earlier.

        Raises
        ------
        MgmlError : h5py is missing.
        """
        try:
            import h5py  # noqa: F401
        except ModuleNotFoundError:
            raise MgmlError("tables of features need the package h5py: pip install h5py") from None
        self.path, self.attributes = Path(path), attributes
        self.compress, self._append, self._opened = compress, append, False
        self.set_aside = None

    @contextmanager
    def frame(self, step, n, columns, dtype=np.float32, **attributes):
        """Gives ``write(first_row, id, features, columns (list))`` for the n rows of a frame.

        The frame is in the file once the block has ended well, and not at all otherwise.
        """
        with self._open(step) as file:
            group = file.create_group(f"{step}.part")
            try:
                group.attrs.update(step=step, **attributes)
                width = len(self.attributes["names"])
                packed = {"compression": "gzip", "compression_opts": 4, "shuffle": True,
                          "chunks": (min(ROWS, max(n, 1)), width)} if self.compress and n else {}
                ids = group.create_dataset("id", (n,), np.int64)
                features = group.create_dataset("features", (n, width), dtype, **packed)
                others = [group.create_dataset(name, (n,), kind) for name, kind in columns]

                def write(at, own_ids, rows, *values):
                    to = slice(at, at + len(own_ids))
                    ids[to], features[to] = own_ids, rows
                    for data, part in zip(others, values, strict=True):
                        data[to] = part
                yield write
            except BaseException:
                del file[f"{step}.part"]
                raise
            if str(step) in file:
                del file[str(step)]                 # evaluated again, as at the start of a run
            file.move(f"{step}.part", str(step))

    def _open(self, step):
        import h5py

        if not self._opened and self.path.exists() and not self._continues(step):
            self.set_aside = _free_name(self.path)
            os.rename(self.path, self.set_aside)
        try:
            file = h5py.File(self.path, "a")
        except OSError as e:
            raise InputError(f"{self.path}: cannot write: {e}") from None
        if not file.attrs:
            file.attrs.update(self.attributes)
        for name in [k for k in file if k.endswith(".part")]:
            del file[name]                          # of a run that was killed
        self._opened = True
        return file

    def _continues(self, step):
        if not self._append:
            return False
        try:
            with _opened(self.path) as file:
                same = all(np.array_equal(file.attrs.get(k), v) for k, v in self.attributes.items()
                           if k not in ("source", "lammps_mgml"))
                return same and all(s < step for s in _steps(file))
        except InputError:
            return False


def _free_name(path):
    k = 1
    while Path(f"{path}.{k}").exists():
        k += 1
    return Path(f"{path}.{k}")


@contextmanager
def _opened(path):
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as e:
        raise InputError(f"{path}: {e}") from None
    with file:
        if "names" not in file.attrs or "feature_definition" not in file.attrs:
            raise InputError(f"{path} is no table of site features")
        yield file


def _steps(file):
    return sorted(int(name) for name in file if name.isdigit())


def table_steps(path):
    """Steps of the frames of a table, in order."""
    with _opened(path) as file:
        return _steps(file)


def read_table(path, step=None):
    """One frame of a table, atoms sorted by id.

    Returns
    -------
    dict: names (tuple), attributes (dict), step, and arrays id (n,), features (n, n_features),
    i_site (n,) and the other columns.

    Raises
    ------
    InputError : not such a file, or no such frame; without ``step``, more than one.
    """
    with _opened(path) as file:
        steps = _steps(file)
        if step is None and len(steps) == 1:
            step = steps[0]
        if step not in steps:
            raise InputError(f"{path}: {f'no frame {step}' if step is not None else 'which frame?'}"
                             f"; it has {', '.join(map(str, steps)) or 'none'}")
        group = file[str(step)]
        order = np.argsort(group["id"][:], kind="stable")
        arrays = {name: data[:][order] for name, data in group.items()}
        return {"names": tuple(file.attrs["names"]), "step": step, **arrays,
                "attributes": {**file.attrs, **group.attrs}}
