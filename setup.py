"""The compiled kernels and the decks; everything else about the package is in pyproject.toml.

Two builds beside the usual one find faults in the kernels.  They go to folders of their own, and
MGML_KERNELS=FOLDER makes Python take the kernels from there:

    MGML_DEBUG=1 python setup.py build_ext       build/checked: any index out of bounds, unset view or
                                                 error in a kernel ends the process
    MGML_SANITIZE=1 python setup.py build_ext    build/sanitized: AddressSanitizer and
                                                 UndefinedBehaviorSanitizer; see tests/sanitize.py

MGML_EMULATE=1 gives these two, or a third one in build/emulated, the cutter of AVX-512 in plain C.
"""
import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

CHECKED = os.environ.get("MGML_DEBUG") == "1"
SANITIZED = os.environ.get("MGML_SANITIZE") == "1"
EMULATED = os.environ.get("MGML_EMULATE") == "1"
VARIANT = ("checked" if CHECKED else "sanitized" if SANITIZED else "emulated" if EMULATED else "")
if VARIANT and "build_ext" not in sys.argv:
    raise SystemExit("MGML_DEBUG, MGML_SANITIZE, MGML_EMULATE are for: python setup.py build_ext")
if CHECKED and SANITIZED:
    raise SystemExit("give one of MGML_DEBUG=1 and MGML_SANITIZE=1")

# No -ffast-math and no contraction: the same numbers on every machine.
FLAGS = {
    "": ["-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"],
    # checked.h turns errors that a noexcept function can only print into an abort
    "emulated": ["-O2", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"],
    "checked": ["-O1", "-g", "-ffp-contract=off",
                "-include", "cython_ext/checked.h"],
    # no clones: the loader chooses among them before the sanitizer is ready
    "sanitized": ["-O1", "-g", "-ffp-contract=off", "-fno-omit-frame-pointer", "-DMGML_NO_CLONES",
                  "-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all"],
}[VARIANT] + (["-DMGML_EMULATE", "-Itests"] if EMULATED else [])
LINK = ["-fsanitize=address,undefined"] if SANITIZED else []
# Threads of a rank; without OpenMP (Apple's compiler) there is one.
OPENMP = ["-fopenmp"] if sys.platform.startswith("linux") else []


class BuildKernels(build_ext):
    """As usual, but the two other builds never touch the usual one's files."""

    def finalize_options(self):
        super().finalize_options()
        if VARIANT:
            self.inplace = False
            self.build_lib = f"build/{VARIANT}"
            self.build_temp = f"build/{VARIANT}/temp"


class WithDecks(build_py):
    """The decks of inputs/ and the glass of the examples go into the package (``mgml dataset``,
    ``mgml examples``)."""

    def decks(self):
        """[(file of this folder, its copy in the package)]."""
        target = Path(self.build_lib) / "lammps_mgml" / "inputs"
        files = [*sorted(Path("inputs").glob("in.*")), Path("inputs/glass-13.data.gz")]
        return [(str(file), str(target / file.name)) for file in files]

    def run(self):
        super().run()
        if not self.editable_mode:           # there inputs/ itself is read
            for deck, copy in self.decks():
                self.mkpath(str(Path(copy).parent))
                self.copy_file(deck, copy)

    def get_outputs(self, include_bytecode=True):
        copies = [] if self.editable_mode else [copy for _, copy in self.decks()]
        return super().get_outputs(include_bytecode) + copies


setup(cmdclass={"build_ext": BuildKernels, "build_py": WithDecks}, ext_modules=cythonize(
    [Extension(f"lammps_mgml._kernels.{source.stem}", [str(source)], include_dirs=["cython_ext"],
               extra_compile_args=FLAGS + OPENMP, extra_link_args=OPENMP + LINK,
               depends=[str(p) for p in Path("cython_ext").glob("*.h")])
     for source in sorted(Path("cython_ext").glob("*.pyx"))],
    include_path=["cython_ext"],
    build_dir=f"build/{VARIANT}/cython" if VARIANT else "build/cython",
    compiler_directives={"language_level": 3, "boundscheck": CHECKED, "wraparound": False,
                         "cdivision": True, "initializedcheck": CHECKED}))
