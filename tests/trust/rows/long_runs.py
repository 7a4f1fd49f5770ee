"""Long runs: migration, memory, cost: R3, R19, R21."""
import re
import time

import numpy as np

from ..launch import HERE, LJ, OUT, end, glass, lines, small, system, wheel
from ..offline import read, verify
from ..table import row
from .ranks import NVE, PUSH

INJECT = HERE / "inject"


@row("R3", "The reference follows atoms from rank to rank",
     "512 atoms of a Cu-Zr liquid at 2000 K, EAM, 50 000 steps on 4 ranks, D2min and softness of each "
     "1000th step; the dump tells each atom's rank.", 1000, 40)
def r3(case):
    data = small(case.folder, 8, "eam", hot=True)
    steps, every = case.pick((1000, 100), (50000, 1000))
    for install in case.installs() if case.fast else [wheel()]:
        folder = case.sub(install.name)
        deck = (system(data) + "velocity all create 2000 11 loop geom\n"
                "fix md all nvt temp 2000 2000 0.1\n"
                + lines(every, columns=f"{OUT} proc") + f"run {steps}\n")
        if not case.attempt(install.must, folder, deck, 4, out="o.dump", timeout=1.5 * case.budget):
            continue
        frames = read(folder / "o.dump")
        ranks = np.array([f.columns["proc"] for f in frames])
        case.judge(verify(folder / "o.dump", due=lambda step: True), install.name)
        far = np.linalg.norm(frames[-1].unwrapped - frames[0].unwrapped, axis=1)
        moved = int((np.diff(ranks, axis=0) != 0).sum())
        case.expect(moved > 100, f"{moved} moves from rank to rank")
        case.expect(len(frames) == steps // every + 1, f"{len(frames)} frames")
        case.say(f"{install.name}: {moved} moves from rank to rank seen in {len(frames)} frames, "
                 f"atoms went {far.mean():.1f} A")


@row("R19", "Memory does not grow",
     "16 atoms evaluated at each of 100 000 steps on 1 rank and 10 000 on 2, in thermal motion; bytes "
     "in use (malloc) and Python's blocks of every rank, least in the last quarter of the run less "
     "least in the quarter before.", 1400, 45)
def r19(case):
    cell = ("units metal\natom_style atomic\nlattice bcc 2.95\nregion b block 0 2 0 2 0 2\n"
            "create_box 2 b\ncreate_atoms 1 box\nset group all type/subset 2 6 5\n"
            f"mass 1 63.546\nmass 2 91.224\n{LJ}neighbor 1.0 bin\ntimestep 0.0005\n"
            "velocity all create 300 7 loop geom\nfix md all nvt temp 300 300 0.05\n"
            "thermo 100\nthermo_modify flush yes\n")
    stop = time.monotonic() + 0.95 * case.budget
    for ranks, calls in case.pick(((2, 2000), (1, 2000)), ((2, 10000), (1, 100000))):
        folder = case.sub(f"wheel-{ranks}")
        (folder / "in.trust").write_text(
            cell + "variable mgml getenv MGML_DECK\ninclude ${mgml}\n"
            "fix sq all python/invoke 1 end_of_step softness\n" + f"run {calls}\n")
        with open(folder / "said", "w") as said:
            process = wheel().start(["lmp", "-in", "in.trust", "-log", "none"], folder, ranks,
                                    {"PYTHONPATH": str(INJECT), "TRUST_MEMORY": str(folder)}, said)
        while process.poll() is None and time.monotonic() < stop:
            time.sleep(0.25)
        cut = process.poll() is None
        if cut:
            end(process)
        process.wait()
        text = (folder / "said").read_text()
        case.expect(cut or process.returncode == 0,
                    f"{ranks} ranks: exit {process.returncode}: {text[-300:]}")
        done = max((int(s) for s in re.findall(r"^ +(\d+) +[-\d]", text, re.M)), default=0)
        case.expect(done >= 0.9 * calls, f"only {done} of {calls} evaluations in the time there is")
        grown = []
        for path in sorted(folder.glob("memory.*")):
            seen = np.array([line.split() for line in path.read_text().splitlines()], dtype=float)
            if len(seen) >= 8:
                quarter = len(seen) // 4
                last, before = seen[-quarter:], seen[-2 * quarter:-quarter]
                grown.append((last.min(0) - before.min(0)) / (done / 4))
        if not case.expect(len(grown) == ranks, f"{len(grown)} of {ranks} ranks measured"):
            continue
        grown = np.array(grown)
        # caches of the beginning: a great share of a short run
        limit, blocks = max(1.0, 4000 / (done / 4)), max(0.05, 1000 / (done / 4))
        case.expect((grown[:, 0] < limit).all(), f"{ranks} ranks: {grown[:, 0].max():.2f} bytes an "
                    "evaluation")
        case.expect((grown[:, 1] < blocks).all(), f"{ranks} ranks: {grown[:, 1].max():.3f} blocks "
                    "of Python an evaluation")
        case.say(f"{ranks} ranks: {done} evaluations, " + " and ".join(
            f"{b:+.3f} bytes, {n:+.4f} blocks" for b, n in grown)
            + f" an evaluation (limits {limit:.2g} and {blocks:.2g})")


@row("R21", "Cost",
     "8000 atoms, model cuzr, evaluated every 10th step, by the run's own last line, and a step of the "
     "same run without the lines, on 1 and 2 ranks; a figure, no limit: the machine is shared.", 150, 40)
def r21(case):
    data, steps = glass(case.folder), case.pick(20, 60)
    for install in case.installs():
        for ranks in (1, 2):
            step = each = float("nan")
            for text in ("", lines(10, "o.dump").split("dump out")[0]):
                deck = system(data) + PUSH + NVE + text + f"run 2\nrun {steps}\n"
                folder = case.sub(f"{install.name}-{ranks}-{bool(text)}")
                done = case.attempt(install.must, folder, deck, ranks, timeout=200)
                if done and not text:
                    step = float(re.findall(r"Loop time of ([\d.e+-]+)", done.text)[-1]) / steps
                elif done:
                    n, s = re.findall(r"(\d+) evaluations, ([\d.]+) s on rank 0", done.text)[-1]
                    each = float(s) / int(n)
            case.say(f"{install.name}, {ranks} ranks: MD step {1e3 * step:.1f} ms, evaluation "
                     f"{1e3 * each:.0f} ms = {each / step:.1f} steps")
