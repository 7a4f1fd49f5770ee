"""The compiled kernels; everything else about the package is in pyproject.toml."""
import os
import sys

from Cython.Build import cythonize
from setuptools import Extension, setup

# MGML_DEBUG=1 builds with bounds checks and without optimisation, to hunt a fault.
DEBUG = os.environ.get("MGML_DEBUG") == "1"

# No -ffast-math and no contraction: the same numbers on every machine.
FLAGS = ["-O0", "-g"] if DEBUG else ["-O3", "-fno-math-errno", "-fno-trapping-math",
                                     "-ffp-contract=off"]
# Threads of a rank; without OpenMP (Apple's compiler) there is one.
OPENMP = ["-fopenmp"] if sys.platform.startswith("linux") else []
KERNELS = ("cells", "sro", "boop", "mro", "density", "d2min", "scorers")

setup(ext_modules=cythonize(
    [Extension(f"lammps_mgml._kernels.{name}", [f"cython_ext/{name}.pyx"],
               include_dirs=["cython_ext"], extra_compile_args=FLAGS + OPENMP,
               extra_link_args=OPENMP) for name in KERNELS],
    include_path=["cython_ext"],
    build_dir="build/cython",
    compiler_directives={"language_level": 3, "boundscheck": DEBUG, "wraparound": False,
                         "cdivision": True, "initializedcheck": DEBUG}))
