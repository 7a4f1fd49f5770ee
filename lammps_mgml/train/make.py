"""Glasses made by LAMMPS with the decks of inputs/: quench, age, vibrate, load."""
from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import InputError, MgmlError
from ..systems import lammps_files
from .plan import Plan, Step, work_of
from .record import check, finished, is_done, remember


class TimeIsUpError(MgmlError):
    """Runs were ended when their time was up; their checkpoints are good."""


def make(plans: Sequence[Plan], folder: Path, decks: Path, command: Sequence[str], jobs: int = 1,
         tell: Callable[[str], object] = print, until: float | None = None) -> None:
    """Run what is missing, ``jobs`` glasses at a time, each glass' steps one after the other.

    command : the words that start LAMMPS.  tell : called with a line at the start of each run.
    until : of ``time.monotonic()``; runs that are not done by then are ended.

    Raises
    ------
    InputError : a glass that is there was made with other options.
    MgmlError : LAMMPS failed.
    TimeIsUpError : it is ``until``.
    """
    from concurrent.futures import ThreadPoolExecutor, wait
    from time import monotonic

    from ..progress import working

    folder.mkdir(parents=True, exist_ok=True)
    for plan in plans:                       # all of them, before the first hour of work
        check(plan, folder)
    for system in {p.system.name: p.system for p in plans if p.system is not None}.values():
        lammps_files(system, folder)
    running: set[Any] = set()
    stop = threading.Event()

    def work(plan: Plan) -> None:
        for step in plan.steps():
            if stop.is_set() or is_done(folder, step):
                continue
            if not (decks / step.deck).exists():
                raise InputError(f"no {step.deck} in {decks}: give --decks, a folder that has it")
            remember(folder, plan, step, decks, command)
            if not stop.is_set():            # nothing is said behind the line of an interrupt
                tell(f"{step.deck} {step.done}")
            _run(folder, step, decks, command, running, stop)
            finished(folder, plan, step)
            progress.step(share=work_of(plan, step) / whole)

    missing = [(plan, step) for plan in plans for step in plan.steps() if not is_done(folder, step)]
    ahead, whole = len(missing), sum(work_of(plan, step) for plan, step in missing) or 1.0
    with (ThreadPoolExecutor(jobs) as pool, _interrupted_by_signals(),
          working("", "runs of LAMMPS", ahead) as progress):
        try:
            glasses = [pool.submit(work, plan) for plan in plans]
            try:
                for glass in glasses:
                    while wait([glass], 1.0).not_done:
                        progress.refresh()
                        if until is not None and monotonic() > until:
                            stop.set()
                            for process in list(running):
                                _end(process)
                            wait(glasses)
                            raise TimeIsUpError("the time is up")
                    glass.result()
            finally:
                stop.set()                   # one failed: the others end their present run
                for glass in glasses:
                    glass.cancel()
        except KeyboardInterrupt:            # the checkpoints are good
            stop.set()
            for process in list(running):
                _end(process)
            raise


@contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """The signals of a batch system and of a closed terminal do what Ctrl-C does."""
    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    found = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) == signal.SIG_DFL:       # nohup ignores SIGHUP
                found[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in found.items():
            signal.signal(number, handler)


def _run(folder: Path, step: Step, decks: Path, command: Sequence[str], running: set[Any],
         stop: threading.Event) -> None:
    import subprocess

    words = [w for k, v in step.variables.items() for w in ("-var", k, str(v))]
    with open(folder / f"{step.log}.screen", "w") as screen:
        process = subprocess.Popen(
            [*command, "-in", str(decks / step.deck), "-log", step.log, *words], cwd=folder,
            stdin=subprocess.DEVNULL, stdout=screen, stderr=screen,
            process_group=0)                 # of its own: a launcher's children are ended, too
        running.add(process)
        if stop.is_set():                    # since it was asked last, before the process was there
            _end(process)
        failed = process.wait()
        running.discard(process)
    if failed:
        how = "failed" if failed > 0 else f"was ended by signal {-failed}"
        raise MgmlError(f"{step.deck} for {step.done} {how}: see {folder / step.log}; the same "
                        f"command goes on from its last checkpoint")
    if step.done.endswith(".done"):
        (folder / step.done).touch()


def _end(process: Any) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
