"""Plant faults one at a time in a copy of the checkout and see whether the tests notice.

    python tests/mutation/run.py [--only ID ...] [-j N] [--timeout S] [--list]

The copy (of the tracked files, as they are now) stands in a temporary folder and has kernels of
its own; PYTHONPATH puts its package before the installed one, in LAMMPS too.  First the tests that
are to be used are run there without a fault.  Then each fault is written, its kernel built if it is
in one, its tests are run, and the file is put back.

killed: a test fails, or hangs.  survived: all pass.  error: the fault does not compile, the tests do
not start, or they fail without the fault too.  Exit status 1 if fewer than 95 % are killed.
docs/mutation.md is written when all faults were run.
"""
import argparse
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from faults import FAULTS, SURVIVORS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "mutation.md"
ENOUGH = 0.95
BUILT = ("build/cython", "build/temp*", "build/lib*", "lammps_mgml/_kernels/*.so")
EXTENSIONS = (".pyx", ".pxd", ".h")


class Copy:
    """One worker's copy of the checkout, with kernels."""

    def __init__(self, folder):
        self.root, self.kept = folder / "checkout", folder / "kept"
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
            capture_output=True, check=True).stdout
        for name in filter(None, listed.decode().split("\0")):
            if (ROOT / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.root / name)
        # what is up to date need not be built again: setup.py goes by the times of files, kept here
        _copy_built(ROOT, self.root)
        code, text = self.build()
        if code:
            raise SystemExit(f"the kernels do not build without a fault:\n{text[-3000:]}")
        _copy_built(self.root, self.kept)

    def environment(self):
        outside = {k: v for k, v in os.environ.items() if not k.startswith("MGML_")}
        # a file that changes twice in a second must not be taken from a .pyc
        return {**outside, "PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1",
                "OMP_NUM_THREADS": "1",
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def run(self, command, timeout, folder=None):
        """(exit status, output); status None after ``timeout`` (s)."""
        process = subprocess.Popen(command, cwd=folder or self.root, env=self.environment(),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, start_new_session=True)
        try:
            text = process.communicate(timeout=timeout)[0]
            return process.returncode, text
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None, process.communicate()[0]

    def build(self):
        return self.run([sys.executable, "setup.py", "build_ext", "--inplace", "-q"], 1800)

    def test(self, names, timeout, *more):
        return self.run([sys.executable, "-m", "pytest", *more, "-q", "--no-header", "-rfE",
                         "--tb=line", "-p", "no:cacheprovider", *names], timeout)

    def check_precedence(self):
        """SystemExit unless Python, ranks under mpirun and LAMMPS take the package of the copy."""
        where = ("import lammps_mgml, lammps_mgml._kernels.cells as k;"
                 "print(lammps_mgml.__file__, k.__file__)")
        deck = self.kept.parent / "in.where"
        deck.write_text("variable where getenv MGML_DECK\nprint ${where}\n")
        python, bin = [sys.executable, "-c", where], Path(sys.executable).parent
        mpirun = [str(bin / "mpirun"), "-np", "1"]
        for command, n in ((python, 2), (mpirun + python, 2),
                           (mpirun + ["lmp", "-in", str(deck), "-log", "none"], 1)):
            _, text = self.run(command, 120, self.kept.parent)
            if text.count(str(self.root)) < n:
                raise SystemExit(f"not the package of the copy: {' '.join(command)}\n{text}")

    def planted(self, fault, timeout):
        """(verdict, seconds, what was seen) of ``fault``."""
        since, path = time.perf_counter(), self.root / fault.file
        text, times = path.read_text(), path.stat()
        assert text.count(fault.old) == 1, f"{fault.id}: python -m pytest tests/test_mutation.py"
        kernel = path.suffix in EXTENSIONS
        try:
            path.write_text(text.replace(fault.old, fault.new))
            code, output = self.build() if kernel else (0, "")
            if code:
                return "error", time.perf_counter() - since, "does not compile"
            code, output = self.test(fault.tests, timeout, "-x")
        finally:
            path.write_text(text)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
            if kernel:
                _copy_built(self.kept, self.root)
        seen = next((line for line in output.splitlines()
                     if line.startswith(("FAILED", "ERROR"))), "")
        seen = seen.split(" - ")[0].partition(" ")[2]
        verdict = "killed" if code in (1, None) else "survived" if code == 0 else "error"
        return verdict, time.perf_counter() - since, "hangs" if code is None else (
            seen or (f"exit status {code}: {output.strip()[-200:]}" if code else ""))


def _copy_built(source, target):
    """Files that a build makes, with their times; only those that differ."""
    for pattern in BUILT:
        for top in source.glob(pattern):
            for path in [top] if top.is_file() else filter(Path.is_file, top.rglob("*")):
                other = target / path.relative_to(source)
                if not other.exists() or other.stat().st_mtime_ns != path.stat().st_mtime_ns:
                    other.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(path, other)


def run_all(copies, faults, timeout):
    """[(fault, verdict, seconds, what was seen)], in the order of ``faults``; a line for each."""
    waiting, found, lock = queue.SimpleQueue(), {}, threading.Lock()
    for fault in faults:
        waiting.put(fault)

    def work(copy):
        while True:
            try:
                fault = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                result = copy.planted(fault, timeout)
            except Exception as e:
                result = "error", 0.0, repr(e)
            with lock:
                found[fault.id] = result
                print(f"{result[0]:<9} {result[1]:6.1f} s  {fault.id:<20} {result[2]}", flush=True)

    threads = [threading.Thread(target=work, args=(copy,)) for copy in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [(fault, *found[fault.id]) for fault in faults]


def page(results):
    """Text of docs/mutation.md."""
    killed = sum(r[1] == "killed" for r in results)
    lines = ["# Planted faults", "",
             f"`make mutation` plants {len(results)} faults, one at a time, and runs for each the "
             f"tests that should notice. {killed} were noticed. This page is written by it.", "",
             "| fault | file | what a user would get | verdict | noticed by, or why not |",
             "|---|---|---|---|---|"]
    lines += [f"| {f.id} | `{f.file}` | {f.harm} | {verdict} | "
              f"{SURVIVORS.get(f.id, '') if verdict == 'survived' else seen.partition('[')[0]} |"
              for f, verdict, _, seen in results]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="ID", help="these faults")
    parser.add_argument("-j", type=int, default=1, help="faults at once, each in its own copy (1)")
    parser.add_argument("--timeout", type=float, default=300.0,
                        help="s for the tests of a fault (300)")
    parser.add_argument("--list", action="store_true", help="print the faults and stop")
    args = parser.parse_args()
    unknown = set(args.only or ()) - {f.id for f in FAULTS}
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    faults = [f for f in FAULTS if not args.only or f.id in args.only]
    if args.list:
        for f in faults:
            print(f"{f.id:<20} {f.file}: {f.harm}")
        return 0
    since = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="mgml-mutation-") as folder:
        copies = [Copy(Path(folder) / str(k)) for k in range(max(1, min(args.j, len(faults))))]
        copies[0].check_precedence()
        print(f"kernels built, {time.perf_counter() - since:.0f} s; the tests without a fault ...",
              flush=True)
        code, output = copies[0].test(sorted({t for f in faults for t in f.tests}), 3600)
        failing = [line.split(" - ")[0].split(" ", 1)[1] for line in output.splitlines()
                   if line.startswith(("FAILED tests", "ERROR tests"))]
        if code not in (0, 1) or code and not failing:
            print(f"the tests do not start (exit status {code}):\n{output[-3000:]}")
            return 2
        print(f"{len(failing)} fail, {time.perf_counter() - since:.0f} s", *failing, sep="\n  ",
              flush=True)
        useless = [f for f in faults if any(one.startswith(f.tests) for one in failing)]
        results = [(f, "error", 0.0, "its tests fail without a fault") for f in useless]
        results += run_all(copies, [f for f in faults if f not in useless], args.timeout)
    counts = {v: sum(r[1] == v for r in results) for v in ("killed", "survived", "error")}
    print(f"{len(results)} faults: " + ", ".join(f"{n} {v}" for v, n in counts.items())
          + f", {time.perf_counter() - since:.0f} s")
    for verdict in ("survived", "error"):
        names = [r[0].id for r in results if r[1] == verdict]
        if names:
            print(f"{verdict}: {' '.join(names)}")
    if len(results) == len(FAULTS):
        PAGE.write_text(page(results))
    return int(counts["killed"] < ENOUGH * len(results))


if __name__ == "__main__":
    sys.exit(main())
