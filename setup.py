"""The compiled kernels and the decks; everything else about the package is in pyproject.toml."""
import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_py import build_py

# MGML_DEBUG=1 builds with bounds checks and without optimisation, to hunt a fault.
DEBUG = os.environ.get("MGML_DEBUG") == "1"

# No -ffast-math and no contraction: the same numbers on every machine.
FLAGS = ["-O0", "-g"] if DEBUG else ["-O3", "-fno-math-errno", "-fno-trapping-math",
                                     "-ffp-contract=off"]
# Threads of a rank; without OpenMP (Apple's compiler) there is one.
OPENMP = ["-fopenmp"] if sys.platform.startswith("linux") else []
KERNELS = ("cells", "sro", "boop", "mro", "density", "d2min", "scorers")



class WithDecks(build_py):
    """The decks of inputs/ go into the package, so that ``mgml dataset`` has them anywhere."""

    def decks(self):
        """[(file of this folder, its copy in the package)]."""
        target = Path(self.build_lib) / "lammps_mgml" / "inputs"
        return [(str(deck), str(target / deck.name)) for deck in sorted(Path("inputs").glob("in.*"))]

    def run(self):
        super().run()
        if not self.editable_mode:           # there inputs/ itself is read
            for deck, copy in self.decks():
                self.mkpath(str(Path(copy).parent))
                self.copy_file(deck, copy)

    def get_outputs(self, include_bytecode=True):
        copies = [] if self.editable_mode else [copy for _, copy in self.decks()]
        return super().get_outputs(include_bytecode) + copies


setup(cmdclass={"build_py": WithDecks}, ext_modules=cythonize(
    [Extension(f"lammps_mgml._kernels.{name}", [f"cython_ext/{name}.pyx"],
               include_dirs=["cython_ext"], extra_compile_args=FLAGS + OPENMP,
               extra_link_args=OPENMP) for name in KERNELS],
    include_path=["cython_ext"],
    build_dir="build/cython",
    compiler_directives={"language_level": 3, "boundscheck": DEBUG, "wraparound": False,
                         "cdivision": True, "initializedcheck": DEBUG}))
