"""The same numbers on any number of ranks: R1, R2, R4, R16, R22, R24."""
import hashlib

import numpy as np

from ..launch import EAM, LJ, OUT, glass, lines, small, system
from ..offline import read, verify
from ..table import row

NVE = "fix md all nve\n"
LOAD = NVE + "fix load all deform 1 z erate -0.05 remap x\n"
PUSH = "velocity all create 100 4711 loop geom\n"


def compressed(data, every=10, steps=20, pair=EAM, **options):
    return system(data, pair, **options) + PUSH + LOAD + lines(every) + f"run {steps}\n"


def apart(a, b, names=("d_sq", "d_p", "d_s", "d_d2min", "d_eta")):
    """Largest relative difference of columns of two lists of frames; inf where NaN differ."""
    worst = 0.0
    for f, g in zip(a, b, strict=True):
        for name in names:
            x, y = f.columns[name], g.columns[name]
            if not np.array_equal(np.isnan(x), np.isnan(y)):
                return np.inf
            worst = max(worst, float(np.nanmax(np.abs(x - y) / np.fmax(1.0, np.abs(y)), initial=0)))
    return worst


@row("R1", "The number of ranks does not matter",
     "A glass of 8000 atoms under compression on 1, 2, 3, 4 and 8 ranks, with processors 1 1 4 and "
     "4 1 1, on both LAMMPS; the 13 features of the paper are columns too.", 150, 40)
def r1(case):
    from lammps_mgml.features import TABLE3

    names = [f"d_{n}" for n in TABLE3]
    first = f"variable mgml_columns string '{' '.join(names)}'\n"
    deck = (system(glass(case.folder), before="${layout}\n") + PUSH + LOAD
            + lines(10, first=first, columns=f"{OUT} {' '.join(names)}") + "run 20\n")
    grids = case.pick([(1, ""), (2, ""), (4, "1 1 4")],
                      [(1, ""), (2, ""), (3, ""), (4, ""), (8, ""), (4, "1 1 4"), (4, "4 1 1")])
    base, worst, worst_s, runs = None, 0.0, 0.0, 0
    for install in case.installs():
        for ranks, grid in grids if install.name == "wheel" else grids[1:case.pick(2, 4)]:
            folder = case.sub(f"{install.name}-{ranks}-{grid.replace(' ', '')}")
            layout = f"processors {grid}" if grid else "processors * * *"
            if not case.attempt(install.must, folder, deck.replace("${layout}", layout), ranks,
                                out="o.dump", timeout=200):
                continue
            runs += 1
            frames = read(folder / "o.dump")
            case.judge(verify(folder / "o.dump", due=lambda step: True), f"{install.name} {ranks}")
            base = base or frames
            worst = max(worst, apart(frames, base, names))
            worst_s = max(worst_s, apart(frames, base, ("d_d2min", "d_eta")))
    case.expect(worst <= 1e-10, f"features differ by {worst:.1e}")
    case.expect(worst_s <= 1e-10, f"D2min differs by {worst_s:.1e}")
    case.say(f"{runs} runs; features differ by at most {worst:.1e}, D2min and strain by "
             f"{worst_s:.1e} (relative)")


@row("R2", "The trajectory is not touched",
     "10 000 steps of 216 Cu-Zr atoms at 600 K with and without the lines, on 1 and 2 ranks of both "
     "LAMMPS: positions and velocities of every 100th step, 17 digits, as files.", 150, 25)
def r2(case):
    data = small(case.folder, 6, "eam")
    steps = case.pick(500, 10000)
    deck = (system(data) + "velocity all create 1200 4711 loop geom\n" + NVE + "${lines}"
            "dump x all custom 100 ${out} id type x y z vx vy vz ix iy iz\n"
            f"dump_modify x sort id format float %.17g\nrun {steps}\n")
    ours = lines(100, "columns.dump")
    same = runs = 0
    for install in case.installs():
        for ranks in (1, 2):
            folder, marks = case.sub(f"{install.name}-{ranks}"), []
            for name, text in (("without", ""), ("with", ours)):
                if case.attempt(install.must, folder, deck.replace("${lines}", text), ranks,
                                out=name, timeout=300):
                    marks.append(hashlib.sha256((folder / name).read_bytes()).hexdigest())
            runs += 1
            same += case.expect(len(set(marks)) == 1 and len(marks) == 2,
                                f"{install.name}, {ranks} ranks: the trajectories differ")
    case.say(f"{same} of {runs} pairs of {steps} steps are equal to the last bit")


@row("R4", "Load balancing does not matter",
     "512 atoms of a liquid at 2000 K on 4 ranks, fix balance every 100 steps, shift and rcb.",
     400, 40)
def r4(case):
    data = small(case.folder, 8, "eam", hot=True)
    steps = case.pick(200, 2000)
    for install in case.installs():
        for kind, before in (("shift xyz 10 1.05", ""), ("rcb", "comm_style tiled\n")):
            folder = case.sub(f"{install.name}-{kind[:3]}")
            deck = (system(data, before=before) + "fix md all nvt temp 2000 2000 0.1\n"
                    f"fix b all balance 100 1.0 {kind}\n" + lines(50)
                    + f"run {steps}\n")
            if case.attempt(install.must, folder, deck, 4, out="o.dump", timeout=320):
                case.judge(verify(folder / "o.dump", due=lambda step: True),
                           f"{install.name} {kind}")


@row("R16", "Ranks without atoms",
     "A slab of 216 atoms in a box eight times as long on 8 ranks along it, and 4 atoms on 8 ranks.",
     60, 30)
def r16(case):
    data = small(case.folder, 6, "eam")
    far = PUSH + "change_box all x delta -60 60\n"
    for install in case.installs():
        for name, deck in (
                ("slab", system(data, before="processors 8 1 1\n") + far + NVE + lines(5)
                 + "run 10\n"),
                ("four", system(data, before="processors 8 1 1\n", pair=LJ)
                 + "group few id > 4\ndelete_atoms group few compress yes\n" + NVE + lines(5)
                 + "run 10\n")):
            folder = case.sub(f"{install.name}-{name}")
            if case.attempt(install.must, folder, deck, 8, out="o.dump"):
                frames = read(folder / "o.dump")
                verdict = verify(folder / "o.dump", due=lambda step: True)
                case.judge(verdict, f"{install.name} {name}")
                case.expect(len(frames) == 3, f"{len(frames)} frames")


@row("R22", "No setting of LAMMPS' ghosts matters",
     "comm_modify cutoff as LAMMPS needs it, 20 A, mode multi with one type's cutoff short, tiled; "
     "bulk and slab on 1 and 4 ranks.", 120, 40)
def r22(case):
    data = small(case.folder, 8, "eam")
    zero = ("pair_style zero 9.0\npair_coeff * * 9.0\npair_coeff 1 1 3.5\npair_coeff 1 2 3.5\n")
    settings = {
        "least": (EAM, "", ""),
        "20 A": (EAM, "", "comm_modify cutoff 20.0\n"),
        "short": (zero.replace("9.0", "3.5"), "", ""),
        "multi": (zero, "", "neighbor 0.5 multi\ncomm_modify mode multi\n"),
        "tiled": (EAM, "comm_style tiled\n", ""),
    }
    for install in case.installs():
        for name, (pair, before, after) in settings.items():
            for slab in ("", "change_box all x delta -15 15\n"):
                for ranks in case.pick((4,), (1, 4)):
                    folder = case.sub(f"{install.name}-{name}-{len(slab)}-{ranks}".replace(" ", ""))
                    deck = system(data, pair, before=before) + after + slab + PUSH + NVE
                    done = case.attempt(install.must, folder, deck + lines(5) + "run 5\n", ranks,
                                        out="o.dump")
                    if done:
                        case.judge(verify(folder / "o.dump", due=lambda step: True),
                                   f"{install.name} {name} {ranks}")


@row("R24", "The same run twice is the same file",
     "A compressed glass of 512 atoms on 4 ranks, twice, on both LAMMPS; the dumps byte by byte.",
     40, 20)
def r24(case):
    data = small(case.folder, 8, "eam")
    for install in case.installs():
        marks = set()
        for k in range(2):
            folder = case.sub(f"{install.name}-{k}")
            if case.attempt(install.must, folder, compressed(data), 4, out="o.dump"):
                marks.add((folder / "o.dump").read_bytes())
        case.expect(len(marks) == 1, f"{install.name}: {len(marks)} different dumps of two runs")
        case.say(f"{install.name}: equal" if len(marks) == 1 else f"{install.name}: different")
