"""Every order of what decks do, as small real decks; each dumped value is checked offline.

A sequence is up to four steps, each in one of a few variants, with a run of 4 steps at its end.
Atoms carry the number they had in the beginning as their charge, which no command renews; a new
atom has 0.  The dump has a frame at every step, the lines evaluate at every second one.
"""
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from .launch import HERE, LJ, OUT, end, installs, small, wheel
from .offline import Checker, Verdict, before_any, read

STEPS = ("include", "deform", "barostat", "minimise", "run 0", "run", "run every", "reset_timestep",
         "read_restart", "rerun", "clear", "respa", "deposit", "delete", "renumber", "change_box")
EVERY = 2
COLUMNS = OUT.replace("iz ", "iz q ")
FIRST = """units metal
atom_style charge
atom_modify map yes
boundary p p p
"""
PHYSICS = f"""{LJ}neighbor 1.0 bin
neigh_modify every 1 delay 0 check yes
timestep 0.001
thermo 1000
fix md all nve
"""


@dataclass
class Part:
    """A dump that a deck writes: kind before, run, minimise, rerun, now (must be evaluated), or
    any; history: number of the reference that it belongs to."""

    path: object
    kind: str
    history: int


@dataclass
class Deck:
    """Text of a deck and what it writes.  folder, glasses (data files), old: LAMMPS of 2021."""

    folder: object
    glasses: tuple
    rerun: object
    old: bool
    stem: str
    text: list = field(default_factory=list)
    parts: list = field(default_factory=list)
    references: dict = field(default_factory=dict)
    history: int = 0
    glass: int = 0
    included: bool = False
    started: bool = False
    triclinic: bool = False
    deforms: bool = False
    ran: bool = False

    def add(self, *lines):
        self.text += lines

    def path(self, what):
        return self.folder / f"{self.stem}.{len(self.parts)}.{what}.dump"

    def begin(self):
        self.add("clear", FIRST + f"read_data {self.glasses[self.glass]}",
                 f"velocity all create 300 {4711 + self.glass} loop geom", PHYSICS)
        self.triclinic = self.deforms = self.ran = False

    def lines(self):
        self.add("variable mgml getenv MGML_DECK", "include ${mgml}",
                 f"fix sq all python/invoke {EVERY} end_of_step softness")
        self.open("run")

    def open(self, kind):
        if not self.included:
            return
        part = Part(self.path(kind), kind, self.history)
        self.parts.append(part)
        self.add(f"dump out all custom 1 {part.path} {COLUMNS}",
                 "dump_modify out format float %.17g")

    def close(self):
        if self.included:
            self.add("undump out")

    def show(self, kind):
        """A frame of the present state."""
        if not self.included:
            return
        part = Part(self.path(kind), kind, self.history)
        self.parts.append(part)
        self.add(f"write_dump all custom {part.path} {COLUMNS} modify format float %.17g")

    def number(self):
        """Atoms created before the reference belong to it."""
        self.add('variable own atom "q+(q==0)*(1000+id)"', "set group all charge v_own",
                 "variable own delete")

    def starts(self):
        """The next command evaluates: the reference is the structure before the first such."""
        if self.included and not self.started:
            self.number()
            self.show("before")
            self.references[self.history] = self.parts[-1].path
            self.started = True

    # -- the steps --

    def step(self, name, variant):
        getattr(self, "do_" + name.replace(" ", "_"))(variant)
        self.ran = name in ("run", "run every", "run 0")

    def do_include(self, variant):
        if self.included:
            self.add("include ${mgml}")
        else:
            self.included = True
            self.lines()

    def do_deform(self, variant):
        if self.deforms:
            self.add("unfix def")
        elif variant == 1:
            if not self.triclinic:
                self.do_change_box(1)
            self.add("fix def all deform 1 xy erate 60 remap x")
        else:
            self.add(f"fix def all deform {3 if variant else 1} z erate -5 remap x")
        self.deforms = not self.deforms

    def do_barostat(self, variant):
        self.add("unfix md", ("fix md all npt temp 300 300 0.1 x 0 0 0.5 y 0 0 0.5",
                              "fix md all nph x 0 0 0.5 y 0 0 0.5",
                              "fix md all nvt temp 300 300 0.1")[variant])

    def do_minimise(self, variant):
        self.starts()
        self.close()
        self.open("minimise")
        if variant == 2:
            self.add("min_style fire")
        self.add("minimize 0 1e-4 6 60")
        if self.included and variant != 1:
            self.add('if "$(is_defined(variable,mgml_evaluate))" then "${mgml_evaluate}"')
        self.close()
        self.show("now" if variant != 1 else "any")
        self.open("run")

    def do_run_0(self, variant):
        self.starts()
        self.add(("run 0", "run 0 post no", "run 0")[variant])

    def do_run(self, variant):
        self.starts()
        self.add(("run 4", "run 3", "run 4 pre no" if self.ran else "run 5")[variant])

    def do_run_every(self, variant):
        self.starts()
        self.add(('run 4 every 2 "variable k equal 1"', 'run 3 every 1 "variable k equal 1"',
                  'run 4 every 2 "displace_atoms all random 0.05 0.05 0.05 77"')[variant])

    def do_reset_timestep(self, variant):
        self.close()
        self.add(f"reset_timestep {(0, 1000, 7)[variant]}")
        self.open("run")

    def do_read_restart(self, variant):
        file = self.folder / f"{self.stem}.restart"
        self.add(f"write_restart {file}", "clear", f"read_restart {file}", PHYSICS)
        if variant == 1:
            self.add("velocity all create 200 99 loop geom")
        self.deforms = False
        if self.included:
            self.lines()

    def do_rerun(self, variant):
        first = self.included and not self.started
        if first:
            self.number()
            self.show("before")
        self.close()
        self.open("rerun")
        if first:
            self.references[self.history] = self.parts[-1].path
            self.started = True
        self.add(f"rerun {self.rerun} " + ("dump x y z ix iy iz", "dump x y z",
                                            "first 2 dump x y z ix iy iz")[variant])
        self.close()
        self.open("run")

    def do_clear(self, variant):
        self.glass = (self.glass + (variant != 2)) % len(self.glasses)
        self.history += 1
        self.started = False
        self.begin()
        if self.included:
            self.lines()

    def do_respa(self, variant):
        self.add(("run_style respa 2 2", "run_style respa 2 2 pair 1", "run_style verlet")[variant])

    def do_deposit(self, variant):
        if variant:
            shift = 1.0 if variant == 1 else -1.1
            self.add("create_atoms 1 single " + " ".join(
                f"$({k}[3]+{shift})" for k in "xyz") + " units box")
        else:
            self.add(f"region all{len(self.text)} block 2 9 2 9 2 9 units box",
                     f"fix dep{len(self.text)} all deposit 1 1 1 4711 region "
                     f"all{len(self.text)} near 1.6 attempt 900")

    def do_delete(self, variant):
        self.add("group gone id 5 17", "delete_atoms group gone compress "
                 + ("yes", "no", "yes")[variant], "group gone delete")
        if variant == 2:
            self.do_deposit(1)

    def do_renumber(self, variant):
        command = "reset_atom_ids" if self.old else "reset_atoms id"
        self.add(command + (" sort yes" if variant == 1 else ""))

    def do_change_box(self, variant):
        self.close()
        if variant == 1:
            self.add("change_box all triclinic")
            self.triclinic = True
        else:
            self.add(("change_box all x scale 1.02 y scale 0.99 remap", "",
                      "change_box all z delta -1.5 1.5")[variant])
        self.open("run")


def build(steps, folder, glasses, rerun, old, stem):
    """Deck of ``steps``, tuples (name, variant)."""
    deck = Deck(folder, glasses, rerun, old, stem)
    deck.begin()
    if "include" not in [name for name, _ in steps]:
        deck.do_include(0)
    for name, variant in steps:
        deck.step(name, variant)
    deck.do_run(0)
    return deck


def judge(deck):
    """Verdict on all that a deck wrote."""
    verdict, checkers = Verdict(), {}
    for part in deck.parts:
        if not part.path.exists():
            continue
        frames = read(part.path)
        if part.kind == "before":
            verdict.add(before_any(frames, part.path.name))
        if not frames or part.history not in deck.references:
            continue
        if part.history not in checkers:
            reference = read(deck.references[part.history])
            if not reference:
                continue
            checkers[part.history] = Checker(reference[0])
        if part.kind == "before":
            continue
        due = {"run": lambda step: step % EVERY == 0, "now": lambda step: True,
               "rerun": lambda step: True}.get(part.kind)
        verdict.add(checkers[part.history].check(frames, part.kind == "rerun", due, part.path.name))
    return verdict


class Worker:
    """A process that runs decks until one of them ends it."""

    def __init__(self, install, ranks, folder):
        self.install, self.ranks, self.folder = install, ranks, folder
        self.process, self.starts, self.lost = None, 0, 0

    def start(self):
        self.starts += 1
        self.replies = self.folder / f"replies-{self.starts}"
        self.said = self.folder / f"said-{self.starts}"
        self.replies.write_text("")
        self.at = 0
        env = dict(self.install.environment)
        self.process = subprocess.Popen(
            [*self.install.launcher, "-np", str(self.ranks), *self.install.host(self.folder, env),
             str(HERE / "worker.py"), str(self.replies)], cwd=self.folder, env=env, text=True,
            stdin=subprocess.PIPE, stdout=open(self.said, "w"), stderr=subprocess.STDOUT,
            start_new_session=True)

    def run(self, path, timeout=60):
        """("ok" | "refused" | "crash" | "hang", message); ``self.words`` is what was said since the start (a
        session warns once)."""
        word, message = self._once(path, timeout)
        if word == "ended":
            # with code 0 and no word, before or in this deck: so ends a worker whose input is closed
            self.lost += 1
            word, message = self._once(path, timeout)
        return ("crash", "ended without a word, twice") if word == "ended" else (word, message)

    def _once(self, path, timeout):
        self.words = ""
        if self.process is None or self.process.poll() is not None:
            self.start()
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        began, before = time.monotonic(), self.said.stat().st_size
        while time.monotonic() - began < timeout:
            text = self.replies.read_text()[self.at:]
            if text.endswith("\n"):
                self.at += len(text)
                self.words = self.said.read_text()
                word, _, message = text.strip().partition(" ")
                return word, message
            if self.process.poll() is not None:
                said = self.said.read_text()[before:]
                errors = [x for x in said.splitlines() if "ERROR" in x]
                if self.process.returncode == 0 and not said.strip():
                    return "ended", ""
                word = "refused" if errors and self.process.returncode > 0 and (
                    "signal" not in said.lower() or "MPI_ABORT" in said) else "crash"
                # the launcher passes the lines of two streams on in any order
                return word, " | ".join(errors[:4]) or said[-300:]
            time.sleep(0.004)
        end(self.process)
        self.process = None
        return "hang", ""

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                end(self.process)


def rerun_dump(folder, data):
    path = folder / "rerun.dump"
    if not path.exists():
        wheel().must(folder, FIRST + f"read_data {data}\nvelocity all create 600 5 loop geom\n"
                     + PHYSICS + f"dump r all custom 2 {path} id type x y z ix iy iz\n"
                     "dump_modify r sort id format float %.17g\nrun 4\n", name="in.rerun")
    return path


def _kind(fault):
    """A fault without its numbers and names of files."""
    return re.sub(r"s\d+\.\d+\.|[-+]?\d[\d.e+-]*|nan", "#", fault.split(", e.g.")[0])


def _same(found, fault, steps):
    """Whether ``steps`` contain a found smallest sequence of the same kind of fault."""
    if "before the first" in fault:
        return "before the first" in found["fault"]
    rest = iter([f"{n} {v}" for n, v in steps])
    return _kind(found["fault"]) == _kind(fault) and all(s in rest for s in found["steps"])


def explore(install, ranks, folder, sequences, seconds, seed=0, batch=60):
    """Run about ``sequences`` orders.  Dict of counts, found differences and their decks."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from hypothesis import strategies as st

    from lammps_mgml.errors import MgmlError

    folder.mkdir(parents=True, exist_ok=True)
    glasses = tuple(small(folder, 5, "lj", "charge", k) for k in (1, 2))
    rerun, worker = rerun_dump(folder, glasses[0]), Worker(install, ranks, folder)
    old, count, total, messages, found = install.name != "wheel", Counter(), Verdict(), Counter(), []
    stop = time.monotonic() + seconds

    def one(steps):
        stem = f"s{count['sequences']}"
        deck = build(steps, folder, glasses, rerun, old, stem)
        path = folder / f"in.{stem}"
        path.write_text("\n".join(deck.text) + "\n")
        word, message = worker.run(path)
        count["sequences"] += 1
        count[word] += 1
        fault = ""
        if word == "refused":
            messages[re.sub(r"[-+]?\d[\d.e+-]*", "#", message)[:160]] += 1
            if "ERROR" in message and "Traceback" in message:
                fault = message
        elif word in ("crash", "hang"):
            fault = f"{word}: {message}"
        if not fault:
            try:
                verdict = judge(deck)
            except MgmlError as e:
                # atoms at one point, say: the run must have been refused too
                verdict = Verdict(silent=[] if word == "refused" else [f"offline refuses: {e}"])
            silent, verdict.silent = verdict.silent, []
            total.add(verdict)
            if silent and word == "refused" and "created after the include file" in message:
                # a LAMMPS that calls nothing of ours before its first run; the run told of it
                count["told"] += 1
                silent = []
            if silent and old and "fix def" in path.read_text():
                time.sleep(1.0)               # the launcher passes a warning on when it likes
                worker.words = worker.said.read_text()
            if silent and "WARNING: lammps_mgml: the box changes" in worker.words:
                count["warned"] += 1          # fix deform after the lines, on a LAMMPS that tells
                silent = []                   # no styles
            # zeros before the first evaluation are one kind, whatever the order: others come first
            fault = min(silent, key=lambda x: "before the first" in x, default="")
        text = path.read_text()
        for file in folder.glob(f"{stem}.*"):
            file.unlink()
        path.unlink()
        return fault, text

    k = 0
    while count["sequences"] < sequences and time.monotonic() < stop:
        worst = {}

        @seeded(1000 * seed + k)
        @settings(max_examples=min(batch, sequences - count["sequences"]), deadline=None,
                  database=None, phases=(Phase.generate, Phase.shrink), report_multiple_bugs=False,
                  suppress_health_check=list(HealthCheck))
        @given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 2)), min_size=1,
                        max_size=4))
        def all_right(steps):
            if time.monotonic() > stop:
                return
            fault, text = one(steps)
            if fault and any(_same(f, fault, steps) for f in found):
                count["again"] += 1
            elif fault:
                worst.update(steps=[f"{n} {v}" for n, v in steps],     # noqa: B023  called at once
                             fault=fault, deck=text)
                raise AssertionError("difference")
        try:
            all_right()
        except Exception as e:               # an AssertionError, or Flaky: it did not come again
            if not worst:
                raise
            if not isinstance(e, AssertionError):
                worst["fault"] += " (not at every repetition)"
            if not any(f["steps"] == worst["steps"] for f in found):
                found.append(dict(worst))
        k += 1
    worker.close()
    return {"install": install.name, "ranks": ranks, "counts": dict(count), "frames": total.frames,
            "evaluated": total.evaluated, "values": dict(total.counts), "worst": total.worst,
            "messages": messages.most_common(25), "found": found,
            "starts": worker.starts, "lost": worker.lost}


if __name__ == "__main__":
    import json
    from pathlib import Path

    which, ranks, folder, n, seconds, seed = sys.argv[1:]
    install = next(x for x in installs() if x.name == which)
    print(json.dumps(explore(install, int(ranks), Path(folder), int(n), float(seconds),
                             int(seed)), indent=1))
