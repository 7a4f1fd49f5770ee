"""How far a long work is, in one line on stderr; off unless a program switches it on.

On a terminal the line is written over itself, and is gone at the end.  Elsewhere (batch jobs, files)
it is a new line about once a minute, so that short works say nothing.
"""
from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from time import monotonic
from typing import TypeVar

T = TypeVar("T")

ON_TERMINAL, ELSEWHERE = 0.2, 60.0         # s from one line to the next
_BACK = "\r\x1b[K"                         # to the start of the line, which is then empty


class Progress:
    """Counts what is done.  Its methods may be called by any thread; lines are whole."""

    def __init__(self, what: str, unit: str, total: int | None, shown: bool) -> None:
        self._what, self._unit, self._total, self._shown = what, unit, total, shown
        self._terminal = shown and sys.stderr.isatty()
        self._began = self._last = monotonic()
        self._done = 0
        self._share = 0.0                  # of the work, where the parts differ
        self._there = False                # whether the terminal may show the line

    def start(self) -> None:
        """Show that nothing is done yet, on a terminal."""
        if self._terminal:
            self._write()

    def step(self, n: int = 1, share: float = 0.0) -> None:
        """``n`` more are done; ``share`` : which part of the work they were, if parts differ."""
        self._done += n
        self._share += share
        self.refresh()

    def refresh(self) -> None:
        """Say it again if it is time to."""
        if self._shown and monotonic() - self._last >= (ON_TERMINAL if self._terminal else ELSEWHERE):
            self._write()

    def clear(self) -> None:
        """Take the line off the terminal, for another one to be written there."""
        if self._there:
            sys.stderr.write(_BACK)
            sys.stderr.flush()
            self._there = False

    def silence(self) -> None:
        """Write no more, and leave the terminal as it is."""
        self._shown = self._there = False

    def _write(self) -> None:
        self._last = monotonic()
        seconds = round(self._last - self._began)
        of = "" if self._total is None else f" of {self._total}"
        left = ""
        if self._total and 0 < self._done < self._total and seconds >= 5:
            share = self._share or self._done / self._total
            left = f", about {_clock(seconds * max(1 - share, 0) / share)} to go"
        text = f"{self._what}: {self._done}{of} {self._unit}, {_clock(seconds)}{left}"
        self._there = self._terminal       # before: Ctrl-C may come right after it
        sys.stderr.write(f"{_BACK}{text}" if self._terminal else f"{text}\n")
        sys.stderr.flush()


_program: str | None = None
_current: Progress | None = None


def say(line: str) -> None:
    """Print a line, on a terminal in the place of the one that tells how far a work is."""
    clear()
    print(line, flush=True)


def clear() -> None:
    """Take the line of the present work off the terminal."""
    if _current is not None:
        _current.clear()


def end() -> None:
    """Tell no more how far the work is, and empty the terminal's line of whatever stands there.

    What stands there may be half a line of print, or the terminal's own ^C.  A generator of
    ``track`` that was left in its middle is closed later, when nothing of ours may be written.
    """
    if _current is not None:
        _current.silence()
    if sys.stderr.isatty():
        sys.stderr.write(_BACK)
        sys.stderr.flush()


def switch_on(program: str) -> None:
    """From now on works tell how far they are; lines begin with ``program``."""
    global _program
    _program = program


@contextmanager
def working(what: str, unit: str, total: int | None = None) -> Iterator[Progress]:
    """Progress of a work, as in "mgml score: what: 3 of 29 loadings, 0:12, about 1:44 to go".

    A work within another one says nothing.
    """
    global _current
    outer = _current
    progress = Progress(f"{_program}: {what}" if what else str(_program), unit, total,
                        _program is not None and outer is None)
    _current = outer or progress
    try:
        progress.start()
        yield progress
    finally:
        progress.clear()
        _current = outer


def track(items: Iterable[T], what: str, unit: str, total: int | None = None) -> Iterator[T]:
    """The items, each counted as done when the next one is asked for."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with working(what, unit, total) as progress:
        for item in items:
            yield item
            progress.step()


def _clock(seconds: float) -> str:
    """12 -> 0:12, 4000 -> 1:06:40."""
    minutes, s = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{s:02}" if minutes >= 60 else f"{minutes}:{s:02}"
