"""Imports run one way, and light ones stay light."""
import ast
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from lammps_mgml import errors

PACKAGE = Path(__file__).resolve().parents[1] / "lammps_mgml"
# A part may import those of its own level and below; ``api`` is a single file.
LEVEL = {"errors": 0, "flags": 0, "progress": 0, "_kernels": 0, "system": 1, "systems": 2, "geometry": 2, "families": 3,
         "plasticity": 3, "features": 4, "pipeline": 5, "models": 6, "evaluation": 7, "api": 7,
         "io": 8, "insitu": 8, "train": 9, "report": 10, "ovito": 10, "study": 11, "cli": 12, "__init__": 12}
HEAVY = {"lammps": {"insitu"}, "lightgbm": {"train"}, "sklearn": {"train"}, "h5py": {"io"},
         "matplotlib": {"report", "study"}, "ovito": {"ovito"}, "traits": {"ovito"},
         "mpi4py": {"system", "insitu", "cli"}}


def part(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    here = path.relative_to(PACKAGE).parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (("outside", a.name.split(".")[0]) for a in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield "outside", node.module.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and len(here) == node.level:
            yield from (("inside", name.split(".")[0]) for name in
                        ([node.module] if node.module else [a.name for a in node.names]))


def test_no_import_runs_back_up():
    for path in PACKAGE.rglob("*.py"):
        for where, name in imports(path):
            if where == "inside" and any(PACKAGE.glob(f"{name}*")):
                assert LEVEL[name] <= LEVEL[part(path)], f"{path} imports {name}"
            if where == "outside" and name in HEAVY:
                assert part(path) in HEAVY[name], f"{path} imports {name}"


def test_pipeline_needs_numpy_only():
    code = ("import sys, lammps_mgml.pipeline, lammps_mgml.models.model, lammps_mgml.api; "
            "print([m for m in ('lightgbm', 'sklearn', 'scipy', 'mpi4py', 'h5py', 'lammps', "
            "'matplotlib') if m in sys.modules])")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          check=True).stdout.strip() == "[]"


@pytest.mark.parametrize("before", [
    "", "import lammps_mgml.models.model", "import lammps_mgml.api", "import lammps_mgml.cli",
    "from lammps_mgml.features import catalogue", "from lammps_mgml.models import model"])
def test_public_names_are_functions_whatever_was_imported_before(before):
    """A module of the same name must not take the place of one."""
    code = (f"{before}\nfrom lammps_mgml import catalogue, softness, featurize, d2min\n"
            "import lammps_mgml.models.model\n"
            "import lammps_mgml as m\n"
            "print(len(catalogue()), softness.__name__, m.softness is softness, m.catalogue is "
            "catalogue, callable(featurize), callable(d2min))")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          check=True).stdout.split() == ["746", "softness"] + 4 * ["True"]


def test_an_error_of_a_missing_input_comes_whole_from_another_process():
    error = pickle.loads(pickle.dumps(errors.MissingInputError("load", "what is missing")))
    assert error.needs == "load" and str(error) == "what is missing"
    assert isinstance(error, errors.OptionError)


def test_dir_tells_all_public_names_and_imports_nothing():
    code = ("import sys, lammps_mgml as m\n"
            "names = dir(m)\nassert 'lammps_mgml.api' not in sys.modules and 'numpy' not in sys.modules\n"
            "assert set(m.__all__) <= set(names) and names == sorted(set(names))\n"
            "print(*(type(getattr(m, name)).__name__ for name in m.__all__))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["str", "function", "function", "type", "function", "function",
                                   "function", "function", "function", "function", "type"]
