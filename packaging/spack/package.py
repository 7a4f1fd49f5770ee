# For a Spack repository, as packages/py_lammps_mgml/package.py.
from spack_repo.builtin.build_systems.python import PythonPackage

from spack.package import *


class PyLammpsMgml(PythonPackage):
    """Quench-in softness of metallic glasses, inside the running LAMMPS simulation."""

    homepage = "https://github.com/lammps-mgml/lammps_mgml"
    pypi = "lammps-mgml/lammps_mgml-0.2.0.tar.gz"

    license("GPL-2.0-or-later")

    version("0.2.0", sha256="0" * 64)    # of the release

    depends_on("c", type="build")
    depends_on("python@3.10:", type=("build", "run"))
    depends_on("py-setuptools@77:", type="build")
    depends_on("py-cython@3.1:", type="build")
    depends_on("py-numpy@1.26:", type=("build", "run"))
    depends_on("py-mpi4py@3.1:", type=("build", "run"))
    depends_on("py-h5py@3.11:", type=("build", "run"))
    depends_on("lammps@20210929: +python", type="run")

    import_modules = ["lammps_mgml", "lammps_mgml.insitu.names"]

    def setup_run_environment(self, env):
        include = join_path(python_platlib, "lammps_mgml", "insitu")
        env.set("MGML_DECK", join_path(include, "columns.lmp"))
        env.set("MGML_VIBRATION", join_path(include, "vibration.lmp"))
