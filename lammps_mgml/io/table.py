"""HDF5 tables of site features: one group a frame, named by its step.

    attributes     names, sets, units of the features, elements, parameters, feature_definition,
                   unit_style (metal: lengths in A; lj: in sigma)
    STEP/id        (n,) int64, in any order
    STEP/features  (n, n_features) float32 or float64, NaN where undefined
    STEP/i_site    (n,) int32, flags of lammps_mgml.flags
    STEP/...       further columns (n,), as d_sq
    STEP.1         the first frame of a step that came again, its atoms changed
    STEP           attributes: box edges (A), periodic, means that normalise, composition
"""
from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from io import BytesIO
from os import PathLike
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..errors import InputError, MgmlError
from ..features import DEFINITION, by_name
from ..pipeline import PARAMETERS
from ..system.arrays import AnyArray, Ints
from .whole import Growing, needs_recovery, recover, write_whole

ROWS = 4096            # written at once
PATIENCE = 5.0         # s, with a table that another process has locked


def header(names: Iterable[str], elements: Iterable[str], parameters: Mapping[str, float],
           source: object = "", unit_style: str = "metal") -> dict[str, Any]:
    """Attributes of a table of these features.  unit_style : metal or lj."""
    from .. import __version__

    known = by_name(tuple(elements))
    return {"names": list(names), "sets": [known[n].set for n in names],
            "units": [known[n].units for n in names], "elements": list(elements),
            "feature_definition": DEFINITION, "lammps_mgml": __version__, "source": str(source),
            "unit_style": unit_style, **parameters}


class TableWriter:
    """Writes frames into one file, which holds whole frames only at every moment (see ``whole``)."""

    def __init__(self, path: str | PathLike[str], attributes: dict[str, Any], compress: bool = False,
                 append: bool = False) -> None:
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
        self.compress, self._append = compress, append
        self._last: int | None = None
        self._last_print: _Fingerprint | None = None
        self.set_aside: Path | None = None

    @contextmanager
    def frame(self, step: int, n: int, columns: Iterable[tuple[str, DTypeLike]],
              dtype: DTypeLike = np.float32, **attributes: Any) -> Iterator[Callable[..., None]]:
        """Gives ``write(first_row, id, features, columns (list))`` for the n rows of a frame.

        The frame is in the file once the block has ended well, and not at all otherwise.  The step
        of the last frame may come again, as at the start of the next run: if its atoms are the
        same, the frame stays as it is; if not, it becomes STEP.1, with a warning, and the new one
        takes its place.

        Raises
        ------
        InputError : the step is earlier than that of the last frame, or the file cannot be written
            (disk full, no permission); all earlier frames are there still.
        """
        import h5py

        self._make_ready(step)
        with self._storing(step) as store:
            with h5py.File(store, "r+") as file:
                group = file.create_group(f"{step}.part")
                group.attrs.update(step=step, **attributes)
                width = len(self.attributes["names"])
                packed = {"compression": "gzip", "compression_opts": 4, "shuffle": True,
                          "chunks": (min(ROWS, max(n, 1)), width)} if self.compress and n else {}
                ids = group.create_dataset("id", (n,), np.int64)
                features = group.create_dataset("features", (n, width), dtype, **packed)
                others = [group.create_dataset(name, (n,), kind) for name, kind in columns]
                seen = _Fingerprint(width + len(others), attributes.get("box"))

                def write(at: int, own_ids: Ints, rows: AnyArray, *values: AnyArray) -> None:
                    to = slice(at, at + len(own_ids))
                    ids[to], features[to] = own_ids, rows
                    for data, part in zip(others, values, strict=True):
                        data[to] = part
                    seen.add(own_ids, rows, values)
                    store.check()
                yield write
                if seen.n != n:
                    raise InputError(f"{self.path}: step {step}: {seen.n} of {n} atoms were given")
                again, kept = step == self._last and seen.same(self._last_print), None
                if step == self._last and not again:
                    kept = _free_step(file, step)
                    file.move(str(step), kept)
                if not again:
                    file.move(f"{step}.part", str(step))
            if again:
                store.discard()
            else:
                store.commit()
        if kept:
            sys.stderr.write(f"WARNING: lammps_mgml: {self.path}: step {step} comes again with "
                             f"changed atoms: its first frame is now {kept}\n")
        self._last, self._last_print = step, seen

    @contextmanager
    def _storing(self, step: int) -> Iterator[Growing]:
        """The file, open to take a frame; its own errors as InputError."""
        try:
            store = Growing(self.path)
        except OSError as e:
            raise InputError(f"{self.path}: cannot write: {e.strerror or e}") from None
        with store:
            try:
                yield store
            except BaseException as e:
                store.discard()
                first = store.error or e      # HDF5 may have stumbled over what was not written
                if not isinstance(first, OSError):
                    raise
                raise InputError(f"{self.path}: step {step} cannot be written: "
                                 f"{first.strerror or first}; the frames before it are whole"
                                 ) from None

    def _make_ready(self, step: int) -> None:
        """Create the file, go on with it, or set it aside; InputError if ``step`` is earlier."""
        if self._last is not None and step < self._last:
            raise InputError(
                f"{self.path}: step {step} comes after step {self._last} (reset_timestep?) and "
                f"would hide what is there: set another variable mgml_features_file, or let the "
                f"steps go on")
        try:
            if self.path.exists():
                with Growing(self.path):         # nobody else writes it; a killed run is made good
                    pass
            if self._last is None and self.path.exists() and not self._continues(step):
                self.set_aside = _free_name(self.path)
                os.rename(self.path, self.set_aside)
        except OSError as e:
            raise InputError(f"{self.path}: cannot write: {e.strerror or e}") from None
        if not self.path.exists():
            write_whole(self.path, self._empty())

    def _empty(self) -> bytes:
        """Bytes of a table without frames."""
        import h5py

        store = BytesIO()
        with h5py.File(store, "w") as file:
            file.attrs.update(self.attributes)
        return store.getvalue()

    def _continues(self, step: int) -> bool:
        if not self._append:
            return False
        try:
            with _opened(self.path) as file:
                # tables of before do not tell these
                usual = {**PARAMETERS, "unit_style": "metal"}
                same = all(np.array_equal(file.attrs.get(k, usual.get(k)), v)
                           for k, v in self.attributes.items()
                           if k not in ("source", "lammps_mgml"))
                return same and all(s < step for s in _steps(file))
        except InputError:
            return False


class _Fingerprint:
    """Sums over a frame's atoms that tell, in any order of them, whether two frames are the same."""

    def __init__(self, width: int, box: ArrayLike | None) -> None:
        self.n, self.sums = 0, np.zeros((4, width))
        self.box = None if box is None else np.array(box)

    def add(self, ids: Ints, rows: AnyArray, values: tuple[AnyArray, ...]) -> None:
        """Atoms ``ids`` (n,) with features (n, width) and further columns (n,)."""
        rows = np.column_stack([rows, *values]).astype(np.float64)
        bad = ~np.isfinite(rows)
        rows[bad] = 0.0
        weight = np.modf(np.asarray(ids) * 0.6180339887498949)[0]
        self.sums += [rows.sum(axis=0), weight @ rows, weight @ bad, np.abs(rows).sum(axis=0)]
        self.n += len(ids)

    def same(self, other: _Fingerprint | None) -> bool:
        """To rounding: features are made anew, from positions that LAMMPS may have wrapped."""
        if other is None or self.n != other.n or (self.box is not None and (
                other.box is None or not np.allclose(self.box, other.box, rtol=1e-9))):
            return False
        return bool((abs(self.sums - other.sums)[:3] <= 1e-9 * (1.0 + other.sums[3])).all())


def _free_step(file: Any, step: int) -> str:
    k = 1
    while f"{step}.{k}" in file:
        k += 1
    return f"{step}.{k}"


def _free_name(path: Path) -> Path:
    k = 1
    while Path(f"{path}.{k}").exists():
        k += 1
    return Path(f"{path}.{k}")


@contextmanager
def _opened(path: str | PathLike[str]) -> Iterator[Any]:
    """The table, open to read; what is wrong with it as InputError."""
    try:
        with ExitStack() as stack:
            source: str | PathLike[str] | Growing = path
            if needs_recovery(path):
                try:
                    recover(path)
                except OSError:                   # not ours to mend: read it as it ought to be
                    source = stack.enter_context(Growing(path, write=False))
            file = stack.enter_context(_unlocked(source, path))
            if "names" not in file.attrs or "feature_definition" not in file.attrs:
                raise InputError(f"{path} is no table of site features")
            yield file
    except MgmlError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError, AttributeError) as e:
        raise InputError(f"{path} is no table of site features, or damaged: "
                         f"{getattr(e, 'strerror', None) or e}") from None


def _unlocked(source: str | PathLike[str] | Growing, path: str | PathLike[str]) -> Any:
    """h5py.File to read.  A run locks its table for the moment in which a frame becomes part of it.

    Raises
    ------
    InputError : it stays locked.
    """
    import h5py

    until = monotonic() + PATIENCE
    while True:
        try:
            return h5py.File(source, "r")
        except BlockingIOError:
            if monotonic() > until:
                raise InputError(f"{path} is locked by another process that writes it: try again "
                                 f"later, or read a copy") from None
            sleep(0.02)


def is_table(path: str | PathLike[str]) -> bool:
    """Whether an HDF5 file is, or looks like, a table of site features."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return "names" in file.attrs
    except BlockingIOError:                  # a run writes it just now
        return True
    except OSError:                          # damaged, or a table that a killed run left: see _opened
        return needs_recovery(path)


def _steps(file: Any) -> list[int]:
    return sorted(int(name) for name in file if name.isdigit())


def table_steps(path: str | PathLike[str]) -> list[int]:
    """Steps of the frames of a table, in order."""
    with _opened(path) as file:
        return _steps(file)


def read_table(path: str | PathLike[str], step: int | str | None = None) -> dict[str, Any]:
    """One frame of a table, atoms sorted by id.

    step : number; or STEP.1 as text, for a frame whose step came again with other atoms.

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
        name = str(step)
        if name not in file or not name.replace(".", "", 1).isdigit():
            raise InputError(f"{path}: {f'no frame {step}' if step is not None else 'which frame?'}"
                             f"; it has {', '.join(map(str, steps)) or 'none'}")
        group, names = file[name], tuple(file.attrs["names"])
        ids = group["id"][:]
        order = np.argsort(ids, kind="stable")
        if any(len(data) != len(ids) for data in group.values()) \
                or group["features"].shape[1] != len(names):
            raise InputError(f"{path}: frame {step} is damaged: its columns differ in length")
        arrays = {name: data[:][order] for name, data in group.items()}
        return {"names": names, "step": step, **arrays,
                "attributes": {**file.attrs, **group.attrs}}
