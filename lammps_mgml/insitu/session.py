"""What is kept between the callbacks of one LAMMPS instance."""
from __future__ import annotations

import sys
from time import perf_counter
from typing import Any

import numpy as np

from .. import __version__
from ..errors import InputError, ModelError, OptionError
from ..evaluation import restart_state
from ..evaluation.columns import BY_NAME
from ..evaluation.evaluator import Evaluator, Outcome, Request, Snapshot
from ..evaluation.live import QUANTITIES
from ..evaluation.restart_state import NOW, RestartState, Settings
from ..families.densities import six_of
from ..features import by_name, needs, reach, read_input, resolve
from ..io.table import TableWriter, header
from ..models.model import SoftnessModel, load_model
from ..pipeline import PARAMETERS, Sites
from ..system.arrays import Bools, Floats, Int32s
from ..system.elements import MASSES, element_of_mass
from ..system.lengths import Lengths, kind_of
from ..system.mpi import MpiDomain
from ..system.threads import threads, use_threads
from ..system.units import FIT
from .adapter import WATCHED, Adapter, attach
from .gather import WRITER, gather
from .options import Options, lengths_of, read_options
from .run_phase import ASKED, BEGIN, DUE, END, EVALUATE, FORCE, SPOIL, Event, Phase, advance
from .watch import CALLBACKS, take_reference

CITE = "Wang and Jain, quench-in softness of metallic glasses"


LOADED = 0.02                # deviatoric strain (norm) of the box from which its load is clear
LIKE = 0.5                   # least cosine of the strain to that of mgml_load
MOVED = 0.5                  # of the nearest distance: atoms of a glass that was watched hop less
KEEPS_COLUMNS = 20231121     # first LAMMPS whose KOKKOS keeps them on a device (its PR 3930)


class Session:
    """Every method is collective over the ranks of the LAMMPS instance."""

    def __init__(self, pointer: Any) -> None:
        self.adapter = Adapter(attach(pointer))
        self.domain = MpiDomain(self.adapter.comm)
        self.phase = Phase()
        self.evaluator: Evaluator | None = None
        self.sites: Sites | None = None
        self._fingerprint: tuple[Options, tuple[float, ...]] | None = None
        self._writer: TableWriter | None = None
        self._table: tuple[object, ...] | None = None        # what it writes, known on all ranks
        self._messages: list[str] = []
        self._lived_in = 0.0                      # seconds in this run so far
        self._began = self._entered = perf_counter()         # this run, and the present call
        self._timed = False                       # whether steps have been made since the setup
        self._evaluations = 0
        self._kept_by = -1                        # atoms that carry the state
        self._boxes: dict[str, tuple[int, Floats]] = {}      # for the order of fixes: see _watch_box
        self._warned_of_order = self._warned_of_load = False

    @property
    def seconds(self) -> dict[str, float]:
        return self.evaluator.seconds if self.evaluator else {}

    def close(self) -> None:
        """Give back what MPI has a limited number of."""
        self.domain.close()

    def forget(self) -> None:
        """The columns were made anew, and with them whatever the atoms carried."""
        self.evaluator, self.phase = None, Phase()
        self._boxes, self._warned_of_order = {}, False

    def messages(self) -> list[str]:
        """Lines for the log since the last call (on rank 0 only)."""
        lines, self._messages = self._messages, []
        return lines if self.domain.rank == 0 else []

    def handle(self, event: Event) -> None:
        """Do what ``event`` of LAMMPS asks for."""
        self._entered = perf_counter()
        if not self.adapter.plugin:
            self._watch_box(event)
        self.phase, action = advance(self.phase, event)
        setup = action == EVALUATE and (self.phase.began == event.step or event.kind == ASKED)
        if event.kind == FORCE and event.elapsed == 0 or event.kind == BEGIN:
            self._end_of_run()
            self._began = self._entered
        self._timed = not setup
        if setup or (action == EVALUATE and self.evaluator is None):
            self._meet()
        if action == EVALUATE:
            self.evaluate()
        elif action == SPOIL:
            self.adapter.spoil(self.extra, self.feature_columns)
            for q in QUANTITIES:
                self.adapter.set_number(f"mgml_{q.name}", float("nan"))
        elif event.kind == END and self.phase.fresh is None:
            self.adapter.mark_new_atoms((*self.extra, *self.feature_columns))
        self._lived_in += perf_counter() - self._entered

    def _clock(self) -> tuple[float, float]:
        """Seconds in here and seconds altogether since the run began; 0 at its setup and outside."""
        if not self._timed:
            return 0.0, 0.0
        now = perf_counter()
        return self._lived_in + now - self._entered, now - self._began

    def finish(self) -> None:
        """The run or minimisation is over."""
        self._end_of_run()

    def last_words(self) -> None:
        """Print the line of the last run, when nothing else will.  Not collective."""
        self._end_of_run()
        for line in self.messages():
            print(line, flush=True)

    def _end_of_run(self) -> None:
        if self._evaluations:
            n = self._counts
            self._messages.append(
                f"lammps_mgml: {self._evaluations} evaluations, {self._lived_in:.2f} s on rank 0; at "
                f"the last one {n.without_d2min} of {n.atoms} atoms had no D2min, "
                f"{n.without_softness} no softness")
        self._evaluations, self._lived_in = 0, 0.0

    # -- what runs -------------------------------------------------------------------------------

    def _meet(self) -> None:
        """Read options and model anew if they, or the reference of the atoms, are other ones."""
        adapter, domain = self.adapter, self.domain
        with domain.raise_on_all():
            if adapter.dimension != 3:
                raise InputError("dimension 2: lammps_mgml needs three dimensions")
            if adapter.kokkos == "device" and adapter.version() < KEEPS_COLUMNS:
                raise InputError(
                    "this LAMMPS, KOKKOS on a GPU, may lose per-atom columns when atoms move between "
                    "ranks (mended in October 2023): run without -k on, or with a newer LAMMPS")
            options, masses = read_options(adapter.lmp), adapter.masses()
            adapter.forget_new_atoms()
            rows, known = adapter.carried()
        carried = restart_state.identity(rows, known, domain)
        fingerprint = options, tuple(masses)
        ours = self.evaluator.state.identity if self.evaluator and self.evaluator.state else 0
        carried = carried or ours                # all atoms of the reference may be gone
        if self.evaluator is not None and fingerprint == self._fingerprint and carried == ours:
            return
        with domain.raise_on_all():
            request = self._request(options, masses)
            fresh = not carried and options.reference == "restart"
            trouble = (2 * adapter.columns_lost() or adapter.has_old_columns()) if fresh else 0
        trouble = domain.max([float(trouble)])[0]
        with domain.raise_on_all():
            if trouble == 2:
                raise InputError(
                    "the restart file has been in a run with lammps_mgml, but its columns are not "
                    "there: give the fixes of the include file the IDs that they had "
                    "(mgml_columns, mgml_memory) and run with KOKKOS only if it was written with "
                    f"KOKKOS, {NOW}")
            if trouble == 1:
                raise InputError("the restart file was written by lammps_mgml 0.1.0, which does not "
                                 f"keep all that D2min needs: go on with that version, {NOW}")
        state = None
        goes_on = carried and (options.reference == "restart" or carried == ours)
        if goes_on:
            state = restart_state.read(rows, known, domain) if carried != ours \
                else self.evaluator.state if self.evaluator else None
            with domain.raise_on_all():
                assert state is not None
                request.settings.must_be_those_of(state)
        self.evaluator = Evaluator(domain, request, state, self._clock)
        self._fingerprint = fingerprint
        self._open_table(request)
        self._messages.append(self._banner(request, state))

    def _request(self, options: Options, masses: Floats) -> Request:
        use_threads(self.adapter.threads or threads())
        model = load_model(options.model) if options.model != "none" else None
        units = self.adapter.units
        lengths = lengths_of(options, units, model.lengths if model else None)
        parameters = {**PARAMETERS, **(model.parameters if model else lengths.parameters)}
        elements, self.element_of_type, of_types = match_types(options, model, masses, units)
        words = options.columns.split()
        self.extra = tuple(w for w in words if w in BY_NAME and not BY_NAME[w].standard)
        own = [w.removeprefix("d_") for w in words if w not in self.extra]
        wrong = [w for w in words if w not in self.extra and (
            not w.startswith("d_") or w.removeprefix("d_") not in by_name(elements))]
        if wrong:
            raise OptionError(f"variable mgml_columns: {wrong[0]} is not d_ and a feature's name "
                              f"for elements {' '.join(elements)} (mgml features lists them)")
        # without any, cn_voro: the sites' flags are wanted all the same
        names = tuple(dict.fromkeys((*(model.features if model else ()), *own))) or ("cn_voro",)
        self.feature_columns = {w: names.index(w.removeprefix("d_")) for w in words
                                if w not in self.extra}
        table = resolve(options.features, elements) if options.features else ()
        everything = tuple(dict.fromkeys((*names, *table)))
        needed = needs(everything, elements)
        what = f"model {model.name}" if model else "the features asked for"
        if "load" in needed and not options.load:
            raise OptionError(f"{what} must know the load: tell its axis and sense, e.g.  "
                              f"variable mgml_load string \"z compression\"")
        self._watches = tuple(sorted(needed & WATCHED.keys()))
        for name in self._watches:
            column = WATCHED[name].column
            if not self.adapter.has(column):
                raise ModelError(
                    f"{what} needs the vibrations of the undeformed glass, column {column}: run it "
                    f"at temperature first, with  variable vibration getenv MGML_VIBRATION  ,  "
                    f"include ${{vibration}}  ,  fix watch all python/invoke 5 end_of_step "
                    f"{CALLBACKS[name]}")
        self._table_file = options.features_file
        settings = Settings(model.name if model else "none", model.checksum if model else "",
                            " ".join(of_types), options.load, lengths.d2_cutoff, lengths.nearest)
        return Request(settings, model, elements, parameters, names, table,
                       read_input("load", options.load or None), options.running,
                       reach(everything, elements, parameters), bool(own), lengths.d2_threshold)

    def _open_table(self, request: Request) -> None:
        """A writer for the features asked for; another one if they, or the file, are others now."""
        wanted = (self._table_file, request.table, request.elements,
                  tuple(sorted(request.parameters.items())))
        if not request.table or wanted == self._table:
            return
        with self.domain.raise_on_all():
            if self.domain.rank == WRITER:
                self._writer = TableWriter(
                    self._table_file, header(request.table, request.elements, request.parameters,
                                             "LAMMPS run", kind_of(self.adapter.units)),
                    append=True)
        self._table = wanted

    def _banner(self, request: Request, state: RestartState | None) -> str:
        model, settings = request.model, request.settings
        what = f"model {model.name} ({settings.checksum[:15]})" if model else "no model"
        units, style = self.adapter.units, self.adapter.style
        own = units != "metal" or (request.threshold, settings.nearest) != (
            Lengths.d2_threshold, Lengths.nearest)
        return (f"lammps_mgml {__version__}: {what}, types {settings.elements}, D2min within "
                f"{settings.d2_cutoff / style.length:g} {style.name}"
                + (f", units {units} (d_d2min in {style.name}^2)" if units != "metal" else "")
                + (f", plastic above {self.adapter.own_units(request.threshold, 'A^2'):g} "
                   f"{style.name}^2 (nearest neighbours {settings.nearest / style.length:g} "
                   f"{style.name} apart)" if own else "")
                + (f", load {settings.load}" if settings.load else "")
                + (f"; goes on with the reference of {state.n} atoms" if state is not None else
                   f"; the structure at step {self.adapter.step} is the reference")
                + f". Cite: {CITE}")

    # -- an evaluation ---------------------------------------------------------------------------

    def evaluate(self) -> None:
        """Fill all columns from the present positions."""
        adapter, domain, evaluator = self.adapter, self.domain, self.evaluator
        assert evaluator is not None
        if evaluator.state is None:
            self._warn_if_moved(take_reference(adapter, domain))
        with domain.raise_on_all():
            snap = adapter.snapshot(self.element_of_type, self.phase.rerun, self._watches)
            if evaluator.state is None and not adapter.plugin and adapter.n_own:
                if not adapter.in_group().all():
                    raise InputError("atoms were created after the include file of lammps_mgml, "
                                     "which must know them: include it when all atoms are there")
        if evaluator.state is None:
            self._warn_if_thermal()
        last = evaluator.state.last if evaluator.state else None
        outcome = evaluator.evaluate(snap)
        assert evaluator.state is not None
        # with fewer atoms the pieces of the state are dealt out anew, so that none is lost
        keep = (outcome.new_reference or evaluator.state.last != last
                or outcome.counts.in_reference != self._kept_by)
        self._kept_by = outcome.counts.in_reference
        first = domain.offset(int((snap.number != 0).sum())) if keep else 0
        with domain.raise_on_all():
            if keep:
                adapter.keep(evaluator.state, first)
            adapter.write(outcome, self.extra, self.feature_columns)
            for q in QUANTITIES:
                adapter.set_number(f"mgml_{q.name}", float(
                    adapter.own_units(outcome.live[q.name], q.unit)))
        if outcome.new_reference:
            self._warn_if_unfit(evaluator)
            self._warned_of_load = False
        self._warn_if_other_load(evaluator.request, outcome.shape, snap.box.periodic)
        if outcome.features is not None:
            self.sites = outcome.features
        if outcome.table is not None:
            self._gather(snap, outcome)
        self._counts = outcome.counts
        self._evaluations += 1

    def _gather(self, snap: Snapshot, outcome: Outcome) -> None:
        since = perf_counter()
        table, box, evaluator = outcome.table, snap.box, self.evaluator
        assert table is not None and evaluator is not None and evaluator.state is not None
        # the table is in A throughout (lj: sigma), d_d2min too, whatever the deck's units are
        columns = [table.flags, self.adapter.column("d_sq"), outcome.evaluated.d2min]
        gather(self.domain, self._writer, snap.step, snap.tags, table.features, columns, {
            "box": box.edges, "origin": box.origin, "periodic": box.periodic,
            **vars(evaluator.state.means)})
        if self._writer is not None and self._writer.set_aside is not None:
            self._messages.append(f"lammps_mgml: {self._writer.path} was there: now "
                                  f"{self._writer.set_aside}")
            self._writer.set_aside = None
        self.seconds["gather"] = self.seconds.get("gather", 0.0) + perf_counter() - since

    def _warn_if_thermal(self) -> None:
        """A line if a model of inherent structures gets a reference in thermal motion.  Velocities
        say nothing, a minimised glass may have been given some; the forces on its atoms do."""
        assert self.evaluator is not None
        model = self.evaluator.request.model
        if model is None or model.card["positions"] != "inherent structure":
            return
        with self.domain.raise_on_all():
            forces = self.adapter.vectors("f")
            here = np.array([np.vdot(forces, forces), len(forces)])
        square, n = self.domain.sum(here)
        force, style = np.sqrt(square / n) if n else 0.0, self.adapter.style
        if force > style.thermal:
            metal = style.force == "eV/A"
            told = f"{force:.2f}" if metal else f"{force:.3g}"
            known = " (a Cu-Zr glass: 0.3 at 50 K, 0.7 at 300 K)" if metal else ""
            small = f"{0.01 * style.thermal:.0e}".replace("e-0", "e-")
            self._warn(
                f"step {self.adapter.step} is no inherent structure, which the "
                f"reference of model {model.name} should be: its atoms feel forces of "
                f"{told} {style.force}{known}. d_p comes out too high, d_sq ranks atoms less well: "
                f"before this run,  minimize 0 {small} 1000 10000")

    def _warn_if_moved(self, square: float) -> None:
        """A line if the hotter watch was one of another structure: its atoms hopped, all of them.

        square : mean, of how far their mean places then are from the reference."""
        assert self.evaluator is not None
        nearest = self.evaluator.request.parameters["nearest"]
        if square > (MOVED * nearest) ** 2:
            style = self.adapter.style
            self._warn(
                f"the atoms' mean places in the hotter watch are {square**0.5 / style.length:.2g} "
                f"{style.name} (root of the mean square) from the reference: it is of another "
                f"structure. Watch again, or go back to where the watch began (read_dump)")

    def _warn_if_unfit(self, evaluator: Evaluator) -> None:
        """A line if the cutoffs are not those of the structure; with a model that is an error."""
        usual, here = evaluator.request.parameters["nearest"], evaluator.nearest
        if evaluator.request.model is None and abs(here / usual - 1.0) > FIT:
            style = self.adapter.style
            here, usual = here / style.length, usual / style.length
            self._warn(
                f"atoms are about {here:.3g} {style.name} from their nearest neighbours, the cutoffs "
                f"are those of a glass where they are {usual:.3g} {style.name} apart: scale them by  "
                f"variable mgml_nearest string {here:.3g}")

    def _warn_if_other_load(self, request: Request, shape: Floats,
                            periodic: Bools) -> None:
        """A line if the box is deformed otherwise than ``mgml_load`` says, which nothing can mend
        once the reference has been ranked for that load."""
        if request.load is None or self._warned_of_load:
            return
        shape = np.where(periodic, shape.T, 0.0).T           # a free edge follows the atoms
        strain = (shape + shape.T) / 2.0
        strain -= np.trace(strain) / 3.0 * np.eye(3)
        six = six_of(strain)
        twice = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
        size = np.sqrt((twice * six) @ six)
        if size < LOADED:
            return
        likeness = -(twice * six) @ request.load / (size * np.sqrt((twice * request.load)
                                                                   @ request.load))
        if likeness < LIKE:
            self._warned_of_load = True
            told = ", ".join(f"{name} {value:+.3f}" for name, value in zip(
                ("xx", "yy", "zz", "xy", "xz", "yz"), six))
            self._warn(f"step {self.adapter.step}: mgml_load says {request.settings.load}, but since "
                       f"the reference the box has been deformed by {told} (less the change of "
                       f"volume). d_sq of the reference ranks atoms for the load that was told: run "
                       f"again with the mgml_load of this run")

    def _warn(self, text: str) -> None:
        if self.domain.rank == 0:
            sys.stderr.write(f"WARNING: lammps_mgml: {text}\n")
            sys.stderr.flush()

    def _watch_box(self, event: Event) -> None:
        """Warn of a fix deform behind our lines, on a LAMMPS that does not tell the fixes' styles.

        It changes the box at the end of a step, after our callback.  A barostat changes it at the
        beginning of the next: seen from here there is no difference, so only the order of the fixes
        can clear the suspicion.
        """
        if self._warned_of_order or event.kind not in (FORCE, DUE):
            return
        before = self._boxes.get(DUE)
        if event.kind == DUE:
            self._boxes[DUE] = event.step, self.adapter.box().edges
        elif (before is not None and event.step == before[0] + 1 and event.elapsed > 0
              and not np.array_equal(self.adapter.box().edges, before[1])):
            self._warned_of_order = True
            names = self.adapter.fixes()
            later = [n for n in names[names.index("mgml_end"):] if not n.startswith("mgml_")]
            if len(later) > 1:                   # one of them is the deck's own for softness
                self._warn(
                    f"the box changes after the callback softness has looked. If one of the fixes "
                    f"{' '.join(later)} is a fix deform that comes after it, columns and positions "
                    f"of a dump do not belong together: put the lines of lammps_mgml after the fix "
                    f"deform. A barostat (fix npt, nph, press/berendsen) is fine")


def match_types(options: Options, model: SoftnessModel | None, masses: Floats,
                units: str = "metal") -> tuple[tuple[str, ...], Int32s, tuple[str, ...]]:
    """(elements, (n_types + 1,) element number of each LAMMPS type with 0 for none, symbol of each
    type).

    Raises
    ------
    ModelError : types and elements do not fit, by name or by mass.
    """
    symbols = options.elements.split()
    if symbols and len(symbols) != len(masses):
        raise ModelError(f"variable mgml_elements names {len(symbols)} types, the deck has "
                         f"{len(masses)}")
    for number, (symbol, mass) in enumerate(zip(symbols, masses), start=1):
        by_mass = element_of_mass(mass) if units != "lj" else None
        if symbol != "NULL" and by_mass in symbols and by_mass != symbol and symbol in MASSES:
            raise ModelError(f"variable mgml_elements says that type {number} is {symbol}, its mass "
                             f"{mass:g} says that it is {by_mass}: give the symbols in the order of "
                             f"the types")
    if model is None:
        elements = tuple(dict.fromkeys(s for s in symbols if s != "NULL"))
    else:
        elements = model.elements
        unknown = [s for s in symbols if s not in (*elements, "NULL")]
        if unknown:
            raise ModelError(f"variable mgml_elements: {' '.join(unknown)} is not an element of "
                             f"model {model.name} ({' '.join(elements)}) nor NULL")
    if symbols:
        numbers = [elements.index(s) + 1 if s in elements else 0 for s in symbols]
        return elements, np.array([0, *numbers], dtype=np.int32), tuple(symbols)
    assert model is not None                  # or the symbols are told
    known = np.array(model.card["masses"], dtype=np.float64)
    out = np.zeros(len(masses) + 1, dtype=np.int32)
    for t, mass in enumerate(masses, start=1):
        near = np.flatnonzero(abs(known - mass) < 0.01 * known)
        if len(near) != 1:
            of = "none of the elements" if not len(near) else "that of several elements"
            raise ModelError(
                f"type {t} has mass {mass:g}, which is {of} of model "
                f"{model.name} "
                f"({', '.join(f'{e} {m:g}' for e, m in zip(elements, known))})"
                f": choose a model for this alloy, or say which type is what, e.g.  "
                f"variable mgml_elements string \"{' '.join(elements)}\"")
        out[t] = near[0] + 1
    return elements, out, tuple(elements[k - 1] for k in out[1:])
