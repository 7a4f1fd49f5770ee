"""What a row of the table is, and how a row's parts are counted."""
from collections.abc import Callable
from dataclasses import dataclass, field

from .launch import RowFailed, installs, site
from .offline import Verdict

PASS, FAIL, NOT_RUN = "pass", "fail", "not run"
ROWS = {}


@dataclass(frozen=True)
class Row:
    """name, property, how it is tested, seconds that it may take in full and fast, function."""

    name: str
    what: str
    how: str
    budget: float
    fast: float
    run: Callable


class NotRun(Exception):
    """The row cannot be run here; the message says why."""


def row(name, what, how, budget, fast):
    """Decorator: function(case) that fills ``case``."""
    def keep(function):
        ROWS[name] = Row(name, what, how, budget, fast, function)
        return function
    return keep


@dataclass
class Case:
    """What a row works with: an empty folder, full or fast; and what it found."""

    folder: object
    fast: bool
    budget: float
    figures: list = field(default_factory=list)
    failures: list = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    skipped: list = field(default_factory=list)
    details: dict = field(default_factory=dict)

    def pick(self, fast, full):
        return fast if self.fast else full

    def say(self, text):
        self.figures.append(text)

    def expect(self, good, text):
        """A failure with ``text`` unless ``good``."""
        if not good:
            self.failures.append(text)
        return bool(good)

    def judge(self, verdict, where=""):
        """Count a Verdict; its silent differences are failures."""
        self.failures += [f"{where}: {x}" if where else x for x in verdict.silent[:3]]
        self.verdict.add(verdict)
        return verdict

    def attempt(self, function, *arguments, **options):
        """Call; a RowFailed is a failure of the row, and the rest goes on.  None then."""
        try:
            return function(*arguments, **options)
        except RowFailed as e:
            self.failures.append(str(e))
            return None

    def installs(self):
        """All installs here; what lacks is said."""
        if site() is None:
            self.skipped.append("no LAMMPS with the PYTHON package here")
        return installs()

    def sub(self, name):
        path = self.folder / name
        path.mkdir(exist_ok=True)
        return path

    def result(self):
        if self.verdict.frames:
            self.figures.append(self.verdict.text())
        state = FAIL if self.failures else PASS
        return {"state": state, "figure": "; ".join(self.figures + self.skipped),
                "failures": self.failures, "details": self.details}
