"""Other programs and other settings: R13, R18, R23, R25, R27, R28."""
import importlib.util
import json
import re
import subprocess
import sys

import numpy as np

from ..launch import EAM, HERE, ROOT, lines, small, system
from ..offline import read, verify
from ..table import NotRun, row
from .ranks import NVE, PUSH

FROZEN = HERE / "frozen.json"


def _pytest(case, *words):
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words],
                          cwd=ROOT, capture_output=True, text=True, timeout=case.budget * 1.5)
    last = (done.stdout.strip().splitlines() or ["nothing"])[-1]
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped|error)", last)}
    case.expect(done.returncode == 0, f"{' '.join(words)}: {last}")
    for line in done.stdout.splitlines():
        if line.startswith("FAILED"):
            case.expect(False, line[:200])
    return counts


@row("R13", "Other programs agree",
     "The tests of the suite against OVITO, matscipy and LAMMPS (D2min), Voro++ in LAMMPS and qhull "
     "(cells), OVITO, freud and pyscal (indices, bond order), LightGBM (trees, bit for bit).", 500, 90)
def r13(case):
    for name, words in {
            "D2min": ("tests/test_nonaffine.py", "-k", "ovito or matscipy or lammps"),
            "cells": ("tests/test_cells.py", "-k", "lammps or qhull"),
            "order": ("tests/test_features.py", "-k", case.pick(
                "voronoi_indices_are", "pyscal or freud or ovito or addition")),
            "trees": ("tests/test_softness.py", "-k", "lightgbm")}.items():
        counts = _pytest(case, *words)
        case.expect(counts.get("passed", 0) > 0, f"{name}: no test ran")
        case.say(f"{name}: " + ", ".join(f"{n} {word}" for word, n in counts.items()))


@row("R18", "Hostile and damaged models",
     "Model files cut, with flipped bytes, or edited with a right checksum (tests/hostile_models.py): "
     "each refused with one message, in bounded time and memory.", 700, 60)
def r18(case):
    script = ROOT / "tests" / "hostile_models.py"
    if not script.exists():
        raise NotRun("tests/hostile_models.py is not there")
    words = [str(case.pick(300, 10000))]
    done = subprocess.run([sys.executable, script, *words], cwd=case.folder, capture_output=True,
                          text=True, timeout=case.budget * 1.5,
                          env={**__import__("os").environ, "PYTHONPATH": str(ROOT / "tests")})
    last = ((done.stdout + done.stderr).strip().splitlines() or ["nothing"])[-1]
    case.expect(done.returncode == 0, f"exit {done.returncode}: {last}")
    case.say(last[:300])


def _script(case, name, *words):
    """Run a program of the tests; its last line is the figure."""
    done = subprocess.run([sys.executable, ROOT / "tests" / name, *map(str, words)], cwd=ROOT,
                          capture_output=True, text=True, timeout=case.budget * 1.5)
    last = ((done.stdout + done.stderr).strip().splitlines() or ["nothing"])[-1]
    case.expect(done.returncode == 0, f"exit {done.returncode}: {last[:300]}")
    case.say(last[:300])


@row("K readers", "Damaged dumps and data files",
     "Valid files damaged in many ways (tests/fuzz_readers.py): read as a plain reading of the lines "
     "gives it, or refused with one line, in bounded time and memory.", 180, 30)
def readers(case):
    _script(case, "fuzz_readers.py", case.pick(300, 5000))


@row("K sanitizers", "No memory error in a kernel",
     "All kernels under AddressSanitizer and UndefinedBehaviorSanitizer, both cutters, 1 and 3 "
     "threads (tests/sanitize.py); two planted faults must be found.", 420, 0)
def sanitizers(case):
    if case.fast:
        raise NotRun("too long for the fast half")
    _script(case, "sanitize.py")


@row("K checked", "No index out of bounds in a kernel",
     "A build with bounds checked, whose errors end the run, gives the usual numbers, and planted "
     "errors end it (tests/test_kernels.py).", 420, 0)
def checked(case):
    if case.fast:
        raise NotRun("too long for the fast half")
    counts = _pytest(case, "tests/test_kernels.py", "-k", "checked")
    case.say(f"{counts.get('passed', 0)} passed")


@row("R23", "What the dump says, others read",
     "The columns of a dump as OVITO reads them; LAMMPS' own float format against 17 digits; the "
     "frame of step 0 is filled; atom by atom.", 40, 30)
def r23(case):
    if importlib.util.find_spec("ovito") is None:
        raise NotRun("OVITO is not installed")
    data = small(case.folder, 8, "eam")
    names = ("d_sq", "d_p", "d_s", "d_d2min", "d_eta", "i_site")
    for install in case.installs():
        folder = case.sub(install.name)
        short = ("dump short all custom 5 short.dump id type x y z ix iy iz d_sq d_p d_s d_d2min "
                 "d_eta i_site\ndump_modify short sort id\n")
        if not case.attempt(install.must, folder, system(data) + PUSH + NVE + lines(5) + short
                            + "run 10\n", 2, out="o.dump"):
            continue
        frames, brief = read(folder / "o.dump"), read(folder / "short.dump")
        case.judge(verify(folder / "o.dump", due=lambda step: True), install.name)
        case.expect(np.isfinite(frames[0].columns["d_sq"]).all(), "step 0 is not filled")
        rel = max(float(np.max(np.abs(a.columns[n] - b.columns[n])
                               / np.fmax(1e-12, np.abs(a.columns[n]))))
                  for a, b in zip(frames[1:], brief[1:]) for n in names[:5])
        case.expect(rel < 1e-5, f"{install.name}: default format differs by {rel:.1e}")
        code = ("import json, sys; from ovito.io import import_file; p = import_file(sys.argv[1]); "
                "d = p.compute(2).particles; o = d['Particle Identifier'][:].argsort(); "
                "lower = {k.lower(): k for k in d.keys()}; "
                "print(json.dumps({n: d[lower[n]][:][o].tolist() for n in sys.argv[2:]}))")
        done = subprocess.run([sys.executable, "-c", code, folder / "o.dump", *names],
                              capture_output=True, text=True, timeout=60)
        if case.expect(done.returncode == 0, f"OVITO: {done.stderr[-200:]}"):
            seen = json.loads(done.stdout.strip().splitlines()[-1])
            for name in names:
                off = np.max(np.abs(np.array(seen[name]) - frames[2].columns[name]))
                case.expect(off < 1e-12 * (1 + np.abs(frames[2].columns[name]).max()),
                            f"{install.name}: OVITO reads another {name}, by {off:.1e}")
        case.say(f"{install.name}: OVITO reads the same numbers; default format to {rel:.0e}")


@row("R25", "Settings of LAMMPS",
     "newton on and off, atom_modify map array, hash and yes, sort on and off, suffix opt and omp (2 "
     "threads), processors' numa, on both LAMMPS; 216 atoms, checked offline.", 90, 40)
def r25(case):
    data = small(case.folder, 6, "eam")
    settings = {"newton off": "newton off\n", "map array": "atom_modify map array\n",
                "map hash": "atom_modify map hash\n", "sort off": "atom_modify sort 0 0\n",
                "sort on": "atom_modify sort 1 3.0\n", "suffix opt": "suffix opt\n",
                "suffix omp": "package omp 2\nsuffix omp\n"}
    matrix = {}
    for install in case.installs():
        for name, before in settings.items():
            folder = case.sub(f"{install.name}-{name}".replace(" ", ""))
            deck = system(data, EAM, before="").replace("atom_style atomic\n",
                                                        "atom_style atomic\n" + before)
            done = install.run(folder, deck + PUSH + NVE + lines(5) + "run 10\n", 2, out="o.dump",
                               timeout=60)
            if done.code != 0 and ("Unrecognized pair style" in done.text
                                   or "not enabled" in done.text or "without" in done.text):
                matrix[f"{install.name} {name}"] = "not applicable"
                continue
            if case.expect(done.code == 0, f"{install.name} {name}: {done.tail()}"):
                verdict = case.judge(verify(folder / "o.dump", due=lambda step: True),
                                     f"{install.name} {name}")
                matrix[f"{install.name} {name}"] = "pass" if verdict.ok else "fail"
    case.details["matrix"] = matrix
    na = [k for k, v in matrix.items() if v == "not applicable"]
    case.say(f"{sum(v == 'pass' for v in matrix.values())} of {len(matrix)} settings right"
             + (f", not applicable: {', '.join(na)}" if na else ""))
    case.skipped.append(f"only Python {sys.version_info.major}.{sys.version_info.minor} is here: "
                        "other Python versions, GPU, conda-forge and site builds not run; KOKKOS "
                        "on the CPU by hand (tests/test_kokkos.py)")


@row("R27", "The science does not drift",
     "AUC, spread and mean of the softness of the shipped model cuzr on inputs/glasses/glass-13.h5 "
     "at 4 % compression along z, against the numbers stored in the repository.", 60, 30)
def r27(case):
    import lammps_mgml
    from lammps_mgml.io.glass import read_glass

    glass = read_glass(ROOT / "inputs" / "glasses" / "glass-13.h5")
    s = lammps_mgml.softness(glass.positions, glass.types, glass.box, load="z compression")
    loaded = next(x for x in glass.loadings if x.name == "z-compression")
    at = int(np.argmin(np.abs(loaded.strain - 0.04)))
    plastic = loaded.d2min[at] > 5.0
    rank = np.argsort(np.argsort(s, kind="stable"), kind="stable") + 1.0
    for value in np.unique(s):                        # ties share their mean rank
        same = s == value
        if same.sum() > 1:
            rank[same] = rank[same].mean()
    n1, n0 = plastic.sum(), (~plastic).sum()
    found = {"auc": float((rank[plastic].sum() - n1 * (n1 + 1) / 2) / (n1 * n0)),
             "mean": float(s.mean()), "sigma": float(s.std()), "prevalence": float(plastic.mean())}
    if not FROZEN.exists():
        raise NotRun(f"{FROZEN.name} is not there; now: {json.dumps(found)}")
    stored = json.loads(FROZEN.read_text())["cuzr"]
    for name, value in found.items():
        case.expect(abs(value - stored[name]) <= 1e-6, f"{name}: {value}, stored {stored[name]}")
    case.say(", ".join(f"{k} {v:.6f}" for k, v in found.items()))
    off = max(abs(found[k] - stored[k]) for k in found)
    case.say(f"largest difference {off:.1e}")


@row("R28", "Planted faults are noticed",
     "One fault in each of some files of the package, one at a time, in a copy; a test must fail. "
     "`make mutation` plants all of them and writes docs/mutation.md.", 500, 60)
def r28(case):
    sys.path.insert(0, str(ROOT / "tests" / "mutation"))
    from faults import FAULTS

    # kernels take minutes to build; of the other files each is struck once, in turn
    first = {f.file: f.id for f in reversed(FAULTS) if f.file.endswith(".py")}
    chosen = list(first.values())[::case.pick(len(first) // 2, 2)]
    command = [sys.executable, ROOT / "tests" / "mutation" / "run.py", "--only", *chosen]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True,
                          timeout=case.budget * 1.5)
    killed = [line.split()[3] for line in done.stdout.splitlines() if line.startswith("killed ")]
    case.expect(done.returncode == 0 and len(killed) == len(chosen),
                f"not noticed: {', '.join(sorted(set(chosen) - set(killed)))}: "
                f"{(done.stdout + done.stderr).strip()[-300:]}")
    case.say(f"{len(killed)} of {len(chosen)} faults planted are noticed; the list has {len(FAULTS)}")
