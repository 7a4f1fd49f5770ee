"""LAMMPS' own arrays as the pipeline wants them.  The only module that talks to LAMMPS."""
import ctypes

import numpy as np

from ..system.box import Box
from ..errors import GhostRangeError, InputError
from .options import address_of, variable_names

DOUBLE_2D, DOUBLE = 3, 2          # the library's data type numbers
VIBRATION = ("d_msd", "i_mgml_samples")


class Bridge:
    """One LAMMPS instance, seen from inside a callback."""

    def __init__(self, lmp):
        self.lmp = lmp
        self._extract = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
            ("lammps_extract_global", lmp.lib))
        wide = lmp.extract_setting("bigint") == 8
        self._step = ctypes.cast(self._pointer("ntimestep"),
                                 ctypes.POINTER(ctypes.c_int64 if wide else ctypes.c_int32))
        self.comm = lmp.get_mpi_comm()           # the right one also under -partition
        self.plugin = "mgml_plugin" in variable_names(lmp)

    def _pointer(self, name):
        return self._extract(address_of(self.lmp), name.encode())

    def _doubles(self, name, n=3):
        return np.array(ctypes.cast(self._pointer(name), ctypes.POINTER(ctypes.c_double))[:n])

    @property
    def step(self):
        return self._step[0]

    @property
    def units(self):
        text = ctypes.cast(self._pointer("units"), ctypes.c_char_p).value
        return text.decode()

    @property
    def n_own(self):
        return self.lmp.extract_setting("nlocal")

    @property
    def n_all(self):
        return self.n_own + self.lmp.extract_setting("nghost")

    @property
    def triclinic(self):
        return bool(self.lmp.extract_setting("triclinic"))

    @property
    def n_types(self):
        return self.lmp.extract_setting("ntypes")

    @property
    def threads(self):
        """Threads of this rank, by OMP_NUM_THREADS or ``package omp``; None if this LAMMPS has
        no OpenMP."""
        known = "OPENMP" in self.lmp.installed_packages
        return self.lmp.extract_setting("nthreads") if known else None

    def masses(self):
        """(n_types,) g/mol; 0 where a type has none."""
        pointer = self.lmp.extract_atom("mass")
        return np.array([pointer[k] for k in range(1, self.n_types + 1)]) if pointer else \
            np.zeros(self.n_types)

    def tags(self):
        return self._view("id", self.n_all).astype(np.int64)

    def types(self):
        return self._view("type", self.n_all)

    def positions(self, n=None):
        """(n_all, 3) copy, A; or of the first ``n`` atoms."""
        return self._view("x", self.n_all if n is None else n, dtype=DOUBLE_2D, dim=3).copy()

    def images(self):
        """(n_own, 3) int64 image flags."""
        packed = self._view("image", self.n_own).astype(np.int64)
        bits = 10 if self.lmp.extract_setting("imageint") == 4 else 21
        mask, zero = (1 << bits) - 1, 1 << (bits - 1)
        return np.stack([(packed & mask) - zero, (packed >> bits & mask) - zero,
                         (packed >> 2 * bits & mask) - zero], axis=1)

    def column(self, name):
        """Live (n_own,) view of a per-atom column of the include file; write into it."""
        if not self.has(name):
            fix = "mgml_vibration" if name in VIBRATION else "mgml_columns"
            raise InputError(f"per-atom column {name} is gone: keep fix {fix}, and the fix ID that "
                             f"the include file gave it")
        kind = {"dtype": DOUBLE} if name.startswith("d_") else {}
        return self._view(name, self.n_own, **kind)

    def has(self, name):
        """Whether the deck has the per-atom column ``name``."""
        return self.lmp.extract_atom(name) is not None

    def has_reference(self):
        """Whether any atom of this rank has a reference position."""
        return bool(self.column("i_mgml_has").any())

    def vectors(self, name):
        """Live (n_own, 3) view of three numbers an atom: a column, or LAMMPS' own, as ``f``."""
        return self._view(name, self.n_own, dtype=DOUBLE_2D, dim=3)

    def _view(self, name, n, **kind):
        if n == 0:                # LAMMPS has no array to view on a rank without atoms
            return np.empty((0, 3) if kind.get("dim") else 0,
                            dtype=np.float64 if kind else np.int32)
        return self.lmp.numpy.extract_atom(name, nelem=n, **kind)

    def box(self):
        low, high, xy, yz, xz, periodic, _ = self.lmp.extract_box()
        return Box.from_lammps(np.subtract(high, low), (xy, xz, yz), periodic, low)

    def subdomain(self, box):
        """Lower and upper corner (3,) of this rank's part, as fractions of the box."""
        if self.triclinic:
            return self._doubles("sublo_lambda"), self._doubles("subhi_lambda")
        span = np.diag(box.edges)
        return ((self._doubles("sublo") - box.origin) / span,
                (self._doubles("subhi") - box.origin) / span)


class GhostRange:
    """How far from its owned atoms a rank knows all others.

    LAMMPS does not tell its ghost cutoff to every version's library; the farthest ghost of any
    rank and direction does, from below.
    """

    def __init__(self, bridge, box, positions, n_own, team):
        low, high = bridge.subdomain(box)
        fractional = box.fractional(positions)
        ghosts = fractional[n_own:]
        heights = box.heights
        reach = np.zeros(1)
        if len(ghosts):
            beyond = np.maximum(low - ghosts, ghosts - high).max(axis=0) * heights
            reach[0] = max(beyond.max(), 0.0)
        self.cutoff = float(team.max(reach)[0])
        # no atoms are to be known beyond a face of the box that is not periodic
        free_low = ~box.periodic & (low <= 1e-12)
        free_high = ~box.periodic & (high >= 1 - 1e-12)
        own = fractional[:n_own]
        inside = np.minimum(np.where(free_low, np.inf, (own - low) * heights),
                            np.where(free_high, np.inf, (high - own) * heights))
        self.margin = inside.min(axis=1) if n_own else np.empty(0)

    def check(self, cells, open_radius, least, step, tags):
        """GhostRangeError if an atom that this rank does not know could cut a cell, or be within
        ``least`` of an atom (A)."""
        need = np.maximum(2.0 * np.minimum(cells.reach, open_radius), least) - self.margin
        if need.size and need.max() > self.cutoff:
            i = int(need.argmax())
            raise GhostRangeError(
                f"step {step}: the cell of atom {tags[i]} needs ghost atoms to {need[i]:.2f} A, "
                f"LAMMPS communicates {self.cutoff:.2f} A: add  comm_modify cutoff "
                f"{max(2.0 * open_radius, least) + 1.0:.1f}  to the deck")
