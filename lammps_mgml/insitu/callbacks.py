"""The functions that LAMMPS calls, and what becomes of an error in one of them.

A LAMMPS with our plugin calls ``plugin_event`` (fix mgml) and ``softness``.  One with the PYTHON
package calls ``mgml_force``, ``mgml_end`` and ``softness``, and ``mgml_now`` where a deck asks.
"""
from __future__ import annotations

import atexit
import ctypes
import sys
import traceback
from collections.abc import Callable, Iterator
from time import sleep
from types import TracebackType
from typing import Any, NoReturn

from ..errors import InputError, MgmlError
from ..evaluation.live import QUANTITIES
from .adapter import Adapter, attach
from .run_phase import ASKED, DUE, END, FINISH, FORCE, Event
from .session import Session
from .watch import take_sample

_sessions: dict[int, Session] = {}
_address_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi))


def softness(pointer: Any) -> None:
    """end_of_step callback of a deck: evaluate now."""
    _guarded(pointer, _event(DUE))


def vibration(pointer: Any) -> None:
    """end_of_step callback of a deck: one more sample of the vibrations (vibration.lmp)."""
    _guarded(pointer, lambda session: take_sample(session.adapter, session.domain))


def vibration_hot(pointer: Any) -> None:
    """The same of a second, hotter watch, into ``d_msd_hot``."""
    _guarded(pointer, lambda session: take_sample(session.adapter, session.domain, "msd_hot"))


def mgml_force(pointer: Any) -> float:
    """Value of a variable that LAMMPS reads at each evaluation of forces: always 0."""
    _guarded(pointer, _event(FORCE))
    return 0.0


def mgml_end(pointer: Any) -> None:
    """end_of_step callback of the include file, at every step."""
    _guarded(pointer, _event(END))


def mgml_now(pointer: Any) -> None:
    """Asked for by a deck, between runs: ``${mgml_evaluate}``."""
    _guarded(pointer, lambda session: session.handle(Event(ASKED, session.adapter.step)))


def mgml_open(pointer: Any) -> None:
    """The include file has made the columns: clear them, name the live quantities."""
    if session := _sessions.get(_address_of(pointer, None)):
        session.forget()
    try:
        lmp = attach(pointer)
    except InputError as e:
        _abort(e)
    for command in _opened(lmp):
        lmp.command(f"variable {command}")
    _undefine(lmp)


def _opened(lmp: Any) -> Iterator[str]:
    """Clear the columns; yield what ``variable`` commands give the live quantities their names."""
    adapter = Adapter(lmp)
    adapter.clear_columns()
    for q in QUANTITIES:
        yield from adapter.number_variable(f"mgml_{q.name}")


def _undefine(lmp: Any) -> None:
    adapter = Adapter(lmp)
    for q in QUANTITIES:
        adapter.set_number(f"mgml_{q.name}", float("nan"))


def plugin_event(pointer: Any, kind: str, rerun: int) -> str | None:
    """The plugin's fix mgml: returns text for the log, or None.

    kind : an event of ``run_phase``, opened (the include file has made
    the columns; returns what ``variable`` commands define), named (they are), or gone
    (the fix is deleted, as by ``clear``).  rerun : a begin is that of a frame of a rerun.
    """
    if kind == "opened":
        return "\n".join(_opened(attach(pointer)))
    if kind == "named":
        _undefine(attach(pointer))
        return None
    if kind == "gone":
        session = _sessions.pop(_address_of(pointer, None), None)
        if session is not None:
            _close(session)
        return None

    def what(session: Session) -> None:
        session.handle(Event(kind, session.adapter.step, rerun=bool(rerun)))
        if kind == FINISH:
            session.finish()
    return _guarded(pointer, what)


def _event(kind: str) -> Callable[[Session], None]:
    def what(session: Session) -> None:
        adapter = session.adapter
        if adapter.plugin:
            session.handle(Event(kind, adapter.step))
        else:
            session.handle(Event(kind, adapter.step, adapter.elapsed, adapter.atimestep))
    return what


def _guarded(pointer: Any, what: Callable[[Session], None]) -> str | None:
    """Call ``what`` with the session; text for the log if the plugin is there to print it."""
    key = _address_of(pointer, None)
    session = _sessions.get(key)
    try:
        if session is not None and session.adapter.has_another_communicator():
            session = None                      # another LAMMPS at the address of one that is gone
        if session is None:
            session = _sessions[key] = Session(pointer)
        what(session)
        lines = session.messages()
        if not lines:
            return None
        if session.adapter.plugin:
            return "".join(f"{line}\n" for line in lines)
        print(*lines, sep="\n", flush=True)
        return None
    except BaseException as e:
        if not getattr(e, "on_all_ranks", False):
            _abort(e)
        # Raised on every rank: LAMMPS may stop in good order, files closed.  Our plugin prints the
        # message as LAMMPS' own; LAMMPS' fix would print a traceback on each rank.
        e.__traceback__ = None
        if session is not None and not session.adapter.plugin:
            if session.domain.rank == 0:
                sys.stderr.write(f"ERROR: {e}\n")
                sys.stderr.flush()
                sleep(0.5)                      # a launcher may lose what it has not read by now
            _silence(e)
            session.domain.comm.Barrier()       # or a faster rank aborts before this is printed
        raise


def _abort(error: BaseException) -> NoReturn:
    """An error of this rank alone, perhaps: the others wait in an exchange, take them down."""
    from mpi4py import MPI

    if isinstance(error, MgmlError):
        print(f"ERROR: lammps_mgml: rank {MPI.COMM_WORLD.rank}: {error}", file=sys.stderr)
    else:
        print(f"ERROR: lammps_mgml: rank {MPI.COMM_WORLD.rank}:", file=sys.stderr)
        traceback.print_exception(error)
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)              # what LAMMPS wrote so far reaches the disk
    sleep(0.5)                                  # and the message the launcher, before it kills us
    MPI.COMM_WORLD.Abort(1)
    sys.exit(1)


def _silence(error: BaseException) -> None:
    """Let LAMMPS print no traceback of ``error``, whose message is out; of any other it may."""
    before = sys.excepthook

    def hook(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
        sys.excepthook = before
        if value is not error and str(value) != str(error):
            before(kind, value, trace)
    sys.excepthook = hook


def _close(session: Session) -> None:
    from mpi4py import MPI

    if not MPI.Is_finalized():
        session.close()


@atexit.register
def _last_words() -> None:
    """The line of the last run, which nothing of a LAMMPS with the PYTHON package announces."""
    for session in _sessions.values():
        if not session.adapter.plugin:
            session.last_words()
