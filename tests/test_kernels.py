"""Builds that find faults in the kernels, what the kernels tell of faults, and their stubs."""
import ast
import importlib
import inspect
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sanitize
from glasses import atoms_of, liquid, random_system, slab
from scipy.spatial import cKDTree

from lammps_mgml._kernels import cells as kernel
from lammps_mgml.plasticity.d2min import partners_within
from lammps_mgml.system.threads import threads, use_threads

ROOT = Path(__file__).resolve().parents[1]
KERNELS = ROOT / "lammps_mgml" / "_kernels"
STUBS = sorted(p.stem for p in KERNELS.glob("*.pyi"))
AVERAGES = """
import sys
import numpy as np
from lammps_mgml._kernels import density
n = 5000
count = np.full(n, 3, np.int32)
neighbour = np.random.default_rng(1).integers(0, n, 3 * n).astype(np.int32)
neighbour[-1] = n - 1
out = np.empty((n, 2))
density.averaged(np.ones((n, 2)), 3 * np.arange(n), count, neighbour, out, int(sys.argv[1]))
print(density.__file__, out.sum())
"""
PLANTED = {
    "an index out of bounds": ("own = &out[i, 0]", "own = &out[i + 1, 0]"),
    "a view that was never set": ("    cdef double* own\n    for i in range(first, last):\n",
                                  "    cdef double* own\n    cdef double[::1] unset\n"
                                  "    for i in range(first, last):\n        unset[0] = 1.0\n"),
}


def python(code, *arguments, kernels, **variables):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MGML_KERNELS": str(kernels), **variables})


def checked_build(folder):
    done = subprocess.run([sys.executable, "setup.py", "build_ext", "-q"], cwd=folder, text=True,
                          capture_output=True, env={**os.environ, "MGML_DEBUG": "1"})
    assert done.returncode == 0, done.stderr
    return folder / "build" / "checked"


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of what builds the kernel ``density``, and of no other kernel."""
    folder = tmp_path_factory.mktemp("copied")
    shutil.copy(ROOT / "setup.py", folder)
    (folder / "cython_ext").mkdir()
    for p in (ROOT / "cython_ext").iterdir():
        if p.suffix in (".h", ".pxd") or p.name == "density.pyx":
            shutil.copy(p, folder / "cython_ext")
    return folder


def test_checked_build_of_a_sound_kernel_runs_and_leaves_the_usual_one(copied):
    built = checked_build(copied)
    assert not list(copied.glob("lammps_mgml/**/*.so"))
    for n in ("1", "3"):
        done = python(AVERAGES, n, kernels=built)
        assert done.returncode == 0, done.stderr
        where, total = done.stdout.split()
        assert Path(where).is_relative_to(built) and float(total) == 10000.0


@pytest.mark.parametrize("fault", PLANTED)
def test_checked_build_ends_the_run_at(fault, copied, tmp_path):
    shutil.copytree(copied, tmp_path, dirs_exist_ok=True)
    source = tmp_path / "cython_ext" / "density.pyx"
    before, after = PLANTED[fault]
    text = source.read_text()
    assert text.count(before) == 1
    source.write_text(text.replace(before, after))
    built = checked_build(tmp_path)
    for n in ("1", "3"):                   # three: also in a thread that Python does not know
        done = python(AVERAGES, n, kernels=built)
        assert (done.returncode, done.stdout) == (-signal.SIGABRT, ""), (n, done.stderr)
        assert "checked build: error in the kernel lammps_mgml._kernels.density.average_chunk" \
            in done.stderr


@pytest.mark.slow
def test_checked_build_gives_the_usual_numbers(tmp_path):
    code = """
import sys
import numpy as np
import lammps_mgml
sys.path.insert(0, sys.argv[1])
from glasses import crystal, glass, slab
from lammps_mgml.models.model import load_model, shipped_models
found = []
for s in (slab(glass()), crystal("bcc", 4, noise=0.4)):
    found.append(lammps_mgml.featurize(s.positions, s.types, s.edges, s.pbc, "all,pair", load="z"))
    moved = s.positions + 0.1 * np.sin(np.arange(s.positions.size)).reshape(-1, 3)
    found.extend(lammps_mgml.d2min(s.positions, s.edges, moved, s.edges, s.pbc))
for model in map(load_model, shipped_models()):
    x = np.random.default_rng(3).normal(0.5, 0.5, (300, len(model.features)))
    x[:, 0] = 0.0
    found.append(model.softness(x))
np.savez(sys.argv[2], *found)
"""
    built = checked_build(ROOT)
    for name, kernels in (("usual", ""), ("checked", built)):
        done = python(code, str(ROOT / "tests"), str(tmp_path / name), kernels=kernels,
                      OMP_NUM_THREADS="2")
        assert done.returncode == 0, done.stderr
    usual, checked = (np.load(tmp_path / f"{name}.npz") for name in ("usual", "checked"))
    assert len(usual.files) > 10 and usual.files == checked.files
    for name in usual.files:
        np.testing.assert_array_equal(usual[name], checked[name])


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sanitizers are preloaded on Linux")
def test_sanitizers_find_nothing():
    done = subprocess.run([sys.executable, sanitize.__file__], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"no fault: scalar \d+ cases; lanes \d+ cases; .*avx512( \(in C\))? \d+ cases; "
                     r"2 planted faults found", done.stdout)


def test_a_folder_without_kernels_is_refused(tmp_path):
    done = python("from lammps_mgml._kernels import cells", kernels=tmp_path)
    assert done.returncode == 1
    assert f"MGML_KERNELS: there are no compiled kernels in {tmp_path}" in done.stderr


@pytest.mark.parametrize("cutter", kernel.CUTTERS)
@pytest.mark.parametrize("near", [0.0, 4.0, 9.0])        # 9: the first lists are too short
def test_of_all_atoms_at_one_point_the_lowest_are_named(near, cutter):
    system = random_system(900, 24.0, seed=21)
    x = system.positions
    for i, j, place in ((400, 20, 1.0), (700, 60, 9.0), (15, 390, 23.0), (800, 16, 22.9)):
        x[i] = x[j] = place
    atoms, _ = atoms_of(system, near_cutoff=near)
    for n in (1, 2, 3):
        *_, problem, atom, other = kernel.tessellate(atoms.positions, atoms.n_own, 3.6, 4.0, near,
                                                     n, cutter)
        assert (problem, atom, other) == (3, 15, 390)


@pytest.mark.parametrize("cutoff", [1.0, 4.5, 9.0])      # 9: more than the first lists hold
@pytest.mark.parametrize("system", [liquid, lambda: slab(liquid())])
def test_pairs_are_complete_and_in_one_order_on_any_number_of_threads(system, cutoff):
    atoms, _ = atoms_of(system(), near_cutoff=cutoff)
    before, found = threads(), []
    try:
        for n in (1, 2, 5):
            use_threads(n)
            found.append(partners_within(atoms.positions, atoms.n_own, cutoff))
    finally:
        use_threads(before)
    start, partner = found[0]
    for other in found[1:]:
        np.testing.assert_array_equal(start, other[0])
        np.testing.assert_array_equal(partner, other[1])
    near = cKDTree(atoms.positions).query_ball_point(atoms.positions[:atoms.n_own], cutoff)
    assert start[0] == 0 and start[-1] == len(partner)
    for i, expected in enumerate(near):
        assert sorted(partner[start[i]:start[i + 1]].tolist()) == sorted(set(expected) - {i})


@pytest.mark.parametrize("n_own", [0, 3])
def test_pairs_of_few_atoms(n_own):
    start, partner = partners_within(np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0.0)])[:n_own], n_own,
                                     1.2)
    assert start.tolist() == [0, 2, 3, 4][:n_own + 1]
    assert partner.tolist() == [1, 2, 0, 0][:start[-1]]


def functions_of(stub):
    """{name: [(argument, annotation, default)]} of the functions in a stub."""
    tree = ast.parse((KERNELS / f"{stub}.pyi").read_text())
    out = {}
    for f in tree.body:
        if isinstance(f, ast.FunctionDef):
            last = [None] * (len(f.args.args) - len(f.args.defaults)) + f.args.defaults
            out[f.name] = [(a.arg, ast.unparse(a.annotation), d and ast.literal_eval(d))
                           for a, d in zip(f.args.args, last)]
    return out


def test_every_kernel_but_the_scorers_has_a_stub():
    assert {*STUBS, "scorers"} == {p.stem for p in (ROOT / "cython_ext").glob("*.pyx")} | {"scorers"}


@pytest.mark.parametrize("stub", STUBS)
def test_stubs_have_the_arguments_of_the_compiled_functions(stub):
    module = importlib.import_module(f"lammps_mgml._kernels.{stub}")
    compiled = {name: [(p.name, None if p.default is p.empty else p.default)
                       for p in inspect.signature(f).parameters.values()]
                for name, f in vars(module).items()
                if type(f).__name__ in ("cython_function_or_method", "fused_cython_function")
                and not name.startswith("__")}
    told = functions_of(stub)
    assert {name: [(a, d) for a, _, d in f] for name, f in told.items()} == compiled and compiled


@pytest.mark.parametrize("stub", STUBS)
def test_stubs_have_the_types_of_the_sources(stub):
    types = {"double": "float", "int": "int", "int64_t": "int", "Py_ssize_t": "int", "bint": "bool",
             "str": "str | None", "object": "Any",
             "double[": "Float64", "int64_t[": "Int64", "int32_t[": "Int32", "uint8_t[": "UInt8",
             "real[": "NDArray[np.float32 | np.float64]"}
    source = (ROOT / "cython_ext" / f"{stub}.pyx").read_text()
    for name, arguments in functions_of(stub).items():
        declared = re.search(rf"^def {name}\((.*?)\):$", source, re.M | re.S)[1]
        found = re.findall(r"(?:const )?(\w+\[?)[^ ]*?(?:, ::1\]|::1\])? (\w+)(?:=\w+)?(?:,\s|$)",
                           declared)
        assert [(types[t], a) for t, a in found] == [(t, a) for a, t, _ in arguments]


def test_stubs_name_what_the_cutter_returns():
    tree = ast.parse((KERNELS / "cells.pyi").read_text())
    fields = {a.target.id: a.annotation.id for c in tree.body if isinstance(c, ast.ClassDef)
              for a in c.body}
    atoms, _ = atoms_of(random_system(30, 8.0, seed=1))
    out, *_ = kernel.tessellate(atoms.positions, 30, 3.6, 4.0, 4.0, 1)
    assert {n for n in dir(out) if not n.startswith("_")} == set(fields)
    for name, told in fields.items():
        assert getattr(out, name).dtype.name == told.lower()
