"""What LAMMPS is doing, told from what it calls: a pure function.

A LAMMPS with our plugin tells it outright.  One with the PYTHON package calls two functions only,
one at every evaluation of forces (``FORCE``: setups, steps and minimisations alike), one at the end
of every step (``END``: runs and reruns).  They are told apart by three numbers of LAMMPS:

    elapsed    steps since the run began: 0 at the setup of a run and of a minimisation
    atimestep  step at which LAMMPS last wrote down the time: a ``rerun`` does so at every frame,
               a run never does between its setup and the evaluation of forces

Nothing else is used, in particular not which step came before.
"""
from typing import NamedTuple

# What LAMMPS calls.
BEGIN, FORCE, END, DUE, MOVED, ASKED, FINISH = (
    "begin", "force", "end", "due", "moved", "asked", "finish")
# What is to be done.
NOTHING, EVALUATE, SPOIL = "nothing", "evaluate", "spoil"


class Event(NamedTuple):
    """step : timestep.  rerun : whether a BEGIN is that of a rerun's frame, None if LAMMPS does
    not tell.  elapsed, atimestep : for FORCE and END."""

    kind: str
    step: int
    elapsed: int = 0
    atimestep: int = -1
    rerun: bool | None = None


class Phase(NamedTuple):
    """fresh : step whose positions the columns are of, None if they are of none.  rerun : the frames
    of a rerun are being read.  began : step of the setup, while no step has followed it."""

    fresh: int | None = None
    rerun: bool = False
    began: int | None = None


def advance(phase: Phase, event: Event) -> tuple[Phase, str]:
    """(Phase after ``event``, what is to be done).

    SPOIL : the columns are of other positions than the present ones and must say so.
    """
    kind = event.kind
    if kind == FORCE:
        at_setup = event.elapsed == 0
        frame = event.elapsed > 0 and event.atimestep == event.step
        if not (at_setup or frame):
            return _moved(phase)
        return advance(phase, event._replace(kind=BEGIN, rerun=None if at_setup else True))
    if kind == BEGIN:
        return Phase(event.step, bool(event.rerun), event.step), EVALUATE
    if kind == END:
        if phase.began == event.step and not phase.rerun:
            # no step has followed the setup: this is the first frame of a rerun
            return Phase(event.step, True, event.step), EVALUATE
        return (phase, NOTHING) if phase.rerun else _moved(phase)
    if kind == MOVED:
        return _moved(phase)
    if kind != ASKED and phase.fresh == event.step:
        return phase, NOTHING                   # DUE, FINISH
    return phase._replace(fresh=event.step), EVALUATE


def _moved(phase: Phase) -> tuple[Phase, str]:
    return Phase(None, phase.rerun, None), NOTHING if phase.fresh is None else SPOIL
