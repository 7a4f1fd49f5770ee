"""How the glass of one seed is made: the runs of LAMMPS that it takes, one deck each."""
from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError, OptionError
from ..systems import System

STEP = 0.001           # strain increment of in.aqs, where its log does not tell
HOT = "500"            # K, of the second watch of Cu-Zr
CALLS = 250            # of the forces, in an increment of in.aqs: Cu-Zr 146, Kob-Andersen 350


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
    of the decks as they stand, two.  hot_temp : K, of a second watch of the vibrations, 0 for none.
    Numbers may be texts: they go to LAMMPS, and into the glass file, as they are given, in the units
    of the system.
    """

    seed: int
    shares: tuple[float, ...] = (0.65, 0.35)
    n: int = 22
    rate: str = "1e13"
    fast: str = "1e13"
    age: str = "0"
    age_temp: str = "700"
    vibration_temp: str = "300"
    hot_temp: str = HOT
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
               "hot_temp": number(system["vibration.hot"] or 0.0),
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
        return {**out, **dict(zip(("vibration_temp", "hot_temp"), self.watches.values()))}

    @property
    def watches(self) -> dict[str, str]:
        """{"msd": K, "msd_hot": K}, the second if it is asked for."""
        hot = {"msd_hot": self.hot_temp} if float(self.hot_temp) > 0 else {}
        return {"msd": self.vibration_temp, **hot}

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
        for k, (what, temp) in enumerate(self.watches.items()):
            out.append(Step(f"{name}.{what}", "in.vibrate", {
                **given, "name": name, "seed": self.seed + k, "temp": temp,
                **({"what": what} if k else {})}, (f"{name}.{what}",),
                {"temp": "--hot-temp" if k else "--vibration-temp"},
                (self._of("vibration.time", 20.0) + self._of("vibration.settle", 3.0))
                / self._of("dynamics.timestep", 0.002)))
        out.append(Step(f"{name}.forces", "in.forces", {
            **given, "name": name, "seed": self.seed}, (f"{name}.forces",), {}, 1.0))
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


def work_of(plan: Plan, step: Step) -> float:
    """How often the forces on an atom are computed."""
    return step.forces * plan.n ** 3


def rounded(x: float) -> int:
    """As LAMMPS' round()."""
    return int(x + 0.5)


def deck_folder(given: str | Path | None = None) -> Path:
    """Folder of the decks: the one given, that of the installed package, or inputs/ of a checkout."""
    package = Path(__file__).resolve().parents[1]
    places = [Path(given)] if given else [package / "inputs", package.parent / "inputs"]
    found = next((p for p in places if (p / "in.quench").exists()), None)
    if found is None:
        raise InputError(f"no decks in {places[-1]}: give --decks, the folder of in.quench ...")
    return found.resolve()


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


def same(a: Any, b: Any) -> bool:
    """Whether two values of an option are one number, or one text."""
    try:
        return abs(float(a) - float(b)) <= 1e-9 * max(abs(float(a)), abs(float(b)))
    except ValueError:
        return str(a) == str(b)
