"""Dumps, data files, and the ``mgml`` program as a user runs it."""
import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from decks import GLASS, site_lammps

import lammps_mgml
from lammps_mgml.errors import InputError
from lammps_mgml.io.dump import read_data, read_dump

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def glass():
    return read_data(GLASS)


def mgml(*words, ok=True):
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([BIN / "mgml", *map(str, words)], capture_output=True, text=True, env=env)
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return done.stdout if ok else done.stderr


DUMP = """ITEM: TIMESTEP
5
ITEM: NUMBER OF ATOMS
3
ITEM: BOX BOUNDS xy xz yz pp ff pp
-1.0 12.0 2.0
0.0 10.0 0.0
0.0 10.0 0.0
ITEM: ATOMS id type x y z d_sq
3 2 1.0 2.0 3.0 0.5
1 1 4.0 5.0 6.0 nan
2 1 7.0 8.0 9.0 0.25
"""


def test_dump_is_sorted_by_id_and_keeps_its_box(tmp_path):
    path = tmp_path / "x.dump.gz"
    path.write_bytes(gzip.compress((DUMP + DUMP.replace("\n5\n", "\n6\n")).encode()))
    one, two = read_dump(path)
    assert (one.step, two.step) == (5, 6)
    np.testing.assert_array_equal(one.columns["id"], [1, 2, 3])
    np.testing.assert_array_equal(one.types, [1, 1, 2])
    np.testing.assert_allclose(one.box.edges, [[11, 0, 0], [2, 10, 0], [0, 0, 10]])
    np.testing.assert_array_equal(one.box.periodic, [True, False, True])
    np.testing.assert_allclose(one.positions[2], [2.0, 2.0, 3.0])
    assert np.isnan(one.columns["d_sq"][0])


@pytest.mark.parametrize("cut", [20, 60, 150, 200, len(DUMP) - 1, len(DUMP) - 12])
def test_cut_off_dump_names_file_and_step(tmp_path, cut):
    path = tmp_path / "x.dump"
    path.write_text(DUMP + DUMP.replace("\n5\n", "\n6\n")[:cut])
    with pytest.raises(InputError, match="x.dump"):
        list(read_dump(path))


def test_data_file(glass):
    assert len(glass) == 8000
    assert (glass.types == 2).sum() == 2800
    with pytest.raises(InputError, match="not a LAMMPS data file"):
        read_data(__file__)


def test_featurize_program_equals_the_function(tmp_path, glass):
    h5py = pytest.importorskip("h5py", reason="not run: h5py is not installed")
    text = mgml("featurize", GLASS, "--features", "facet_area_std,distance_voro_min",
                "-o", tmp_path / "f.h5", "--model", "cuzr")
    assert "1 frames, 4 columns" in text
    with h5py.File(tmp_path / "f.h5") as file:
        assert file.attrs["feature_definition"] == 1
        found = file["0/facet_area_std"][:]
        softness = file["0/d_sq"][:]
    system = glass.positions, glass.types, glass.box.edges
    np.testing.assert_array_equal(
        found, lammps_mgml.featurize(*system, features="facet_area_std")[:, 0])
    np.testing.assert_array_equal(softness, lammps_mgml.softness(*system))
    table = mgml("featurize", GLASS).splitlines()
    assert len(table) == 8002 and len(table[-1].split()) == 15


def test_wrong_words_end_with_one_line(tmp_path):
    assert "No such file" in mgml("featurize", tmp_path / "none.dump", ok=False)
    assert "unknown feature 'cn'" in mgml("featurize", GLASS, "--features", "cn", ok=False)
    assert "shipped models" in mgml("model", "nosuch", ok=False)
    assert "not a LAMMPS text dump" in mgml("report", __file__, ok=False)
    for text in (mgml("model", "nosuch", ok=False),):
        assert len(text.splitlines()) == 1


def test_doctor_finds_what_this_environment_has():
    text = mgml("doctor")
    for word in ("LAMMPS", "python/invoke", "mpirun", "mpi4py", "potentials", "cuzr"):
        assert word in text
    assert "-- " not in text


@pytest.mark.skipif(site_lammps() is None, reason="not run: no LAMMPS with PYTHON in /usr/bin")
def test_doctor_tells_what_a_site_lammps_needs():
    env = {k: v for k, v in os.environ.items() if k != "MGML_DECK"}
    done = subprocess.run([BIN / "mgml", "doctor", "--lmp", "/usr/bin/lmp"], capture_output=True,
                          text=True, env=env)
    assert "PYTHON package" in done.stdout
    assert "export MGML_DECK=" in done.stdout
    assert done.returncode == 1


def test_deck_is_a_file():
    assert Path(mgml("deck").strip()).is_file()


def test_model_trained_on_a_glass_is_not_scored_there():
    seen = Path(GLASS).parent / "glasses" / "glass-11.z-compression.dump.gz"
    assert "trained on glass-11" in mgml("score", "cuzr", seen, ok=False)


def test_score_of_the_unseen_glass_is_that_of_the_card():
    import json

    unseen = Path(GLASS).parent / "glasses" / "glass-13.z-compression.dump.gz"
    found = json.loads(mgml("score", "cuzr", unseen, "--json"))["glass-13.z-compression"]
    card = json.loads(mgml("model", "cuzr"))["scores"]["glass-13.z-compression"]
    assert abs(found["auc"] - card["auc"]) < 1e-12
    assert found["plastic"] == card["plastic"]
