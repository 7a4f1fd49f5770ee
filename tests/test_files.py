"""Dumps, data files, and the ``mgml`` program as a user runs it."""
import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from decks import BIN, GLASS, mgml, site_lammps

import lammps_mgml
from lammps_mgml.errors import InputError, OptionError
from lammps_mgml.io.dump import read_data, read_dump
from lammps_mgml.io.table import TableWriter, header, read_table, table_steps


@pytest.fixture(scope="module")
def glass():
    return read_data(GLASS)


@pytest.mark.parametrize("feature, needed, remedy", [
    ("density_cu_0,axial_zr_2_avg", "feature axial_zr_2_avg takes load, ", "give --load z"),
    ("cn_voro,vibration_avg2", "feature vibration_avg2 takes msd, ", "a dump with the column d_msd")])
def test_what_features_lack_is_told_with_the_remedy(feature, needed, remedy):
    text = mgml("featurize", GLASS, "--features", feature, ok=False)
    assert needed in text and remedy in text and len(text.splitlines()) == 1


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
    text = mgml("featurize", GLASS, "--features", "facet_area_std,distance_voro_min", "--double",
                "-o", tmp_path / "f.h5", "--model", "cuzr")
    assert "1 frames, 2 features" in text
    table = read_table(tmp_path / "f.h5")
    assert table["names"] == ("facet_area_std", "distance_voro_min")
    attributes = table["attributes"]
    assert attributes["feature_definition"] == 1 and attributes["near_cutoff"] == 4.0
    assert list(attributes["units"]) == ["mean facet area", "mean voro distance"]
    assert list(attributes["elements"]) == ["Cu", "Zr"]
    system = glass.positions, glass.types, glass.box.edges
    np.testing.assert_array_equal(
        table["features"], lammps_mgml.featurize(*system, features=table["names"]))
    np.testing.assert_array_equal(table["d_sq"], lammps_mgml.softness(*system))
    np.testing.assert_array_equal(table["id"], glass.columns["id"])
    table = mgml("featurize", GLASS).splitlines()
    assert len(table) == 8002 and len(table[-1].split()) == 15


LOADED = GLASS.parent / "glasses" / "glass-13.z-compression.dump.gz"


def featurized(tmp_path, *words, before=(), name="f.h5", ok=True):
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([*map(str, before), BIN / "mgml", "featurize", *map(str, words), "-o",
                           tmp_path / name], capture_output=True, text=True, env=env)
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return tmp_path / name


def test_frames_by_several_processes_or_ranks_are_those_of_one(tmp_path):
    words = (LOADED, "--frames", "0:5:2", "--frozen", "--features", "table3,boop_q_coarse")
    one = featurized(tmp_path, *words)
    assert table_steps(one) == [0, 20, 40]
    two = featurized(tmp_path, *words, "-j", 2, name="two.h5")
    ranks = featurized(tmp_path, *words, before=(BIN / "mpirun", "-np", 3), name="ranks.h5")
    for step in table_steps(one):
        expected = read_table(one, step)
        assert expected["features"].shape == (8000, 21)
        for other in (two, ranks):
            found = read_table(other, step)
            np.testing.assert_array_equal(found["features"], expected["features"])
            assert found["attributes"]["area"] == expected["attributes"]["area"]
    first, last = (read_table(one, step)["attributes"]["area"] for step in (0, 40))
    assert first == last, "--frozen keeps the first frame's means"
    assert table_steps(featurized(tmp_path, LOADED, "--frames", 1)) == [10]


def test_compressed_and_unsorted_files_give_the_same(tmp_path, glass):
    import zstandard

    text = gzip.decompress(GLASS.read_bytes())
    (tmp_path / "g.data.zst").write_bytes(zstandard.compress(text))
    mixed = np.random.default_rng(1).permutation(len(glass))
    rows = np.stack([glass.columns[k] for k in ("id", "type", "x", "y", "z")], axis=1)[mixed]
    edges = glass.box.edges
    lines = [f"{i:.0f} {'Cu' if t == 1 else 'Zr'} {t:.0f} {x:.17g} {y:.17g} {z:.17g}"
             for i, t, x, y, z in rows]
    dump = "\n".join(["ITEM: TIMESTEP", "7", "ITEM: NUMBER OF ATOMS", str(len(glass)),
                      "ITEM: BOX BOUNDS pp pp pp", *(f"0 {edges[k, k]:.17g}" for k in range(3)),
                      "ITEM: ATOMS id element type x y z", *lines, ""])
    (tmp_path / "g.dump.gz").write_bytes(gzip.compress(dump.encode(), 1))
    frame, = read_dump(tmp_path / "g.dump.gz")
    assert frame.elements == ("Cu", "Zr")
    expected = read_table(featurized(tmp_path, GLASS, "--features", "sro"))
    for name in ("g.data.zst", "g.dump.gz"):
        found = read_table(featurized(tmp_path, tmp_path / name, "--features", "sro"))
        np.testing.assert_array_equal(found["id"], expected["id"])
        np.testing.assert_allclose(found["features"], expected["features"], rtol=1e-5, atol=1e-6)
    damaged = (tmp_path / "g.data.zst").read_bytes()[:9000]
    (tmp_path / "bad.data.zst").write_bytes(damaged)
    assert "bad.data.zst" in mgml("featurize", tmp_path / "bad.data.zst", ok=False)


def test_element_column_names_the_types_in_their_own_order(tmp_path, glass):
    lines = "\n".join(f"{k + 1} {t} {'Al' if t == 2 else 'Mg'} {x} {y} {z}" for k, (t, (x, y, z))
                      in enumerate(zip(glass.types, glass.positions)))
    edges = glass.box.edges
    (tmp_path / "a.dump").write_text(
        f"ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n{len(glass)}\nITEM: BOX BOUNDS pp pp pp\n"
        + "".join(f"0 {edges[k, k]}\n" for k in range(3))
        + "ITEM: ATOMS id type element x y z\n" + lines + "\n")
    table = read_table(featurized(tmp_path, tmp_path / "a.dump", "--features", "csro"))
    assert "number_al_voro" in table["names"]
    text = mgml("featurize", tmp_path / "a.dump", "--model", "cuzr", ok=False)
    assert "model cuzr knows types Cu Zr, not Mg Al" in text


@pytest.mark.parametrize("style, row", [("charge", "{i} {t} 0.5 {x}"), ("full", "{i} 1 {t} 0.5 {x}"),
                                        ("atomic", "{i} {t} {x} 0 0 1")])
def test_data_files_of_other_atom_styles(tmp_path, style, row):
    rows = "\n".join(row.format(i=k + 1, t=k % 2 + 1, x=f"{k} {2 * k} {3 * k}") for k in range(3))
    (tmp_path / "x.data").write_text(
        f"LAMMPS data file\n\n3 atoms\n2 atom types\n\n0 9 xlo xhi\n0 9 ylo yhi\n0 9 zlo zhi\n\n"
        f"Atoms # {style}\n\n{rows}\n")
    frame = read_data(tmp_path / "x.data")
    np.testing.assert_array_equal(frame.positions[2], [2, 4, 6])
    np.testing.assert_array_equal(frame.types, [1, 2, 1])
    (tmp_path / "x.data").write_text((tmp_path / "x.data").read_text().replace(style, "ellipsoid"))
    with pytest.raises(InputError, match="atom style 'ellipsoid'"):
        read_data(tmp_path / "x.data")


def test_crop_and_margin_leave_out_atoms_but_not_as_neighbours(tmp_path, glass):
    edges = glass.box.edges.copy()
    edges[0, 0] += 30.0
    lines = "\n".join(f"{i} {t} {x + 15} {y} {z}" for i, t, (x, y, z) in zip(
        glass.columns["id"], glass.types, glass.positions))
    (tmp_path / "slab.dump").write_text(
        f"ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n{len(glass)}\nITEM: BOX BOUNDS ff pp pp\n"
        + "".join(f"0 {edges[k, k]}\n" for k in range(3))
        + "ITEM: ATOMS id type x y z\n" + lines + "\n")
    words = (tmp_path / "slab.dump", "--features", "table3", "--double")
    whole = read_table(featurized(tmp_path, *words))
    assert (whole["i_site"] != 0).any()
    inner = read_table(featurized(tmp_path, *words, "--margin", 10))
    assert not inner["i_site"].any() and 3000 < len(inner["id"]) < 6000
    crop = read_table(featurized(tmp_path, *words, "--crop", "x=25.2:-25.2, z=:20"))
    x = glass.positions[crop["id"] - 1]
    assert x[:, 0].min() > 10 and x[:, 2].max() < 20 and len(x) > 1000
    # counts are as before, areas are in the units of the atoms left
    rows = np.searchsorted(whole["id"], inner["id"])
    number = inner["names"].index("number_zr_dist_mean_nn")
    np.testing.assert_array_equal(inner["features"][:, number], whole["features"][rows, number])
    ratio = inner["attributes"]["area"] / whole["attributes"]["area"]
    assert ratio != 1.0
    np.testing.assert_allclose(inner["features"][:, 0] * ratio, whole["features"][rows, 0])


def test_damaged_dump_leaves_no_table(tmp_path):
    text = gzip.decompress(LOADED.read_bytes()).decode()
    (tmp_path / "cut.dump").write_text(text[:7 * len(text) // 12])
    featurized(tmp_path, tmp_path / "cut.dump", ok=False)
    assert not (tmp_path / "f.h5").exists()
    featurized(tmp_path, tmp_path / "cut.dump", "--frames", "0:1")
    assert table_steps(tmp_path / "f.h5") == [0]


@pytest.mark.parametrize("words, message", [
    (["none.dump"], "No such file"),
    ([GLASS, "--features", "facet_area_sdt"], "did you mean facet_area_std"),
    ([GLASS, "--elements", "Cu", "--features", "cn"], "types must be 1 to 1 (Cu), found 1 to 2"),
    ([GLASS, "--crop", "q=1:2"], "--crop 'q=1:2'"),
    ([GLASS, "--crop", "x=900:"], "no atom is within --crop"),
    ([GLASS, "--frames=-1:"], "--frames '-1:'"),
    ([GLASS, "--frames", "5:"], None),
    ([GLASS, "--model", "cuzr", "--near-cutoff", "3"], "brings its own near_cutoff"),
])
def test_wrong_words_end_with_one_line(tmp_path, words, message):
    text = mgml("featurize", *words, "-o", tmp_path / "f.h5", ok=False)
    assert len(text.splitlines()) == 1
    assert (message or "no frames to write") in text
    assert not (tmp_path / "f.h5").exists()


def test_unknown_model_and_dump_end_with_one_line():
    for text, message in ((mgml("model", "nosuch", ok=False), "shipped models"),
                          (mgml("report", __file__, ok=False), "neither a LAMMPS text dump or data file nor")):
        assert message in text and len(text.splitlines()) == 1


def writer(path, append=True):
    return TableWriter(path, header(("cn_voro", "cn_dist"), ("Cu", "Zr"), {"near_cutoff": 4.0}),
                       append=append)


def put(one, step, value):
    with one.frame(step, 3, []) as write:
        write(0, np.array([3, 1]), np.full((2, 2), value))
        write(2, np.array([2]), np.full((1, 2), -value))


def test_table_goes_on_or_sets_the_old_file_aside(tmp_path):
    path = tmp_path / "t.h5"
    put(writer(path), 10, 1.0)
    put(writer(path), 20, 2.0)
    assert table_steps(path) == [10, 20]
    table = read_table(path, 20)
    np.testing.assert_array_equal(table["id"], [1, 2, 3])
    np.testing.assert_array_equal(table["features"][:, 0], [2, -2, 2])
    put(writer(path), 20, 3.0)                  # a run again from there: nothing is overwritten
    assert table_steps(path) == [20] and table_steps(f"{path}.1") == [10, 20]
    again = writer(path)
    put(again, 30, 4.0)
    put(again, 30, 5.0)                         # the same step within a run: the last one counts
    assert table_steps(path) == [20, 30]
    assert read_table(path, 30)["features"][0, 0] == 5
    with pytest.raises(InputError, match="which frame.*20, 30"):
        read_table(path)
    with pytest.raises(InputError, match="no frame 40"):
        read_table(path, 40)
    path.write_text("text")
    with pytest.raises(InputError, match="t.h5"):
        read_table(path)


def test_failed_frame_leaves_the_earlier_ones(tmp_path):
    path = tmp_path / "t.h5"
    one = writer(path)
    put(one, 10, 1.0)
    with pytest.raises(ZeroDivisionError):
        with one.frame(20, 3, []) as write:
            write(0, np.array([3, 1]), np.ones((2, 2)))
            raise ZeroDivisionError
    assert table_steps(path) == [10]
    np.testing.assert_array_equal(read_table(path, 10)["features"][:, 0], [1, -1, 1])


def test_killed_writer_leaves_the_earlier_frames(tmp_path):
    code = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from test_files import put, writer
one = writer(sys.argv[2])
put(one, 10, 1.0)
with one.frame(20, 20000, []) as write:
    write(0, np.arange(10000), np.ones((10000, 2)))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    path = tmp_path / "t.h5"
    done = subprocess.run([sys.executable, "-c", code, Path(__file__).parent, path])
    assert done.returncode == -9
    assert table_steps(path) == [10]
    put(writer(path), 20, 2.0)
    assert table_steps(path) == [10, 20]


def test_ase_atoms_bring_their_cell_and_elements(glass):
    ase = pytest.importorskip("ase", reason="not run: ase is not installed")
    atoms = ase.Atoms(np.array(["Cu", "Zr"])[glass.types - 1], positions=glass.positions,
                      cell=glass.box.edges, pbc=True)
    system = glass.positions, glass.types, glass.box.edges
    np.testing.assert_array_equal(lammps_mgml.featurize(atoms), lammps_mgml.featurize(*system))
    np.testing.assert_array_equal(lammps_mgml.softness(atoms), lammps_mgml.softness(*system))
    from ase.build import bulk

    brass = bulk("Cu", cubic=True).repeat(4)
    brass.symbols[::3] = "Zn"
    brass.rattle(0.05, seed=1)
    found = lammps_mgml.featurize(brass, features="csro")
    names = lammps_mgml.feature_names("csro", ("Cu", "Zn"))
    assert "number_zn_voro" in names and found.shape == (256, 13)
    number = found[:, names.index("number_zn_dist")] + found[:, names.index("number_cu_dist")]
    assert set(number) == {18.0, 12.0} or (number >= 12).all()
    with pytest.raises(InputError, match="Zn is none of the elements Cu Zr"):
        lammps_mgml.featurize(brass, elements=("Cu", "Zr"))
    cluster = ase.Atoms("Cu4", positions=[[0, 0, 0], [2.5, 0, 0], [0, 2.5, 0], [0, 0, 2.5]])
    assert np.isnan(lammps_mgml.featurize(cluster)).all()


def test_transformer_keeps_to_scikit_learns_conventions(glass):
    ase = pytest.importorskip("ase", reason="not run: ase is not installed")
    from sklearn.base import clone
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    atoms = ase.Atoms(np.array(["Cu", "Zr"])[glass.types - 1], positions=glass.positions,
                      cell=glass.box.edges, pbc=True)
    step = clone(lammps_mgml.SiteFeatures("cn,boop_q"))
    assert list(step.get_feature_names_out()) == list(lammps_mgml.feature_names("cn,boop_q"))
    found = make_pipeline(step, StandardScaler()).fit_transform([atoms, atoms])
    assert found.shape == (16000, 10)
    np.testing.assert_allclose(found[:8000].std(axis=0), 1.0)


def test_select_and_units(glass):
    system = glass.positions, glass.types, glass.box.edges
    some = np.arange(0, 8000, 7)
    names = "facet_area_mean,cn_voro"
    part = lammps_mgml.featurize(*system, features=names, select=some)
    mask = np.zeros(8000, bool)
    mask[some] = True
    np.testing.assert_array_equal(part, lammps_mgml.featurize(*system, features=names, select=mask))
    plain = lammps_mgml.featurize(*system, features=names, normalize=False)
    # the mean over the pairs of the atoms selected is 1 in units of itself
    assert abs(np.average(part[:, 0], weights=part[:, 1]) - 1.0) < 1e-12
    np.testing.assert_allclose(part[:, 0] / plain[some, 0], part[0, 0] / plain[0, 0])
    area = np.average(plain[:, 0], weights=plain[:, 1])
    assert 2.0 < area < 3.0, "A^2"
    wide = lammps_mgml.featurize(*system, features="cn_dist", near_cutoff=5.0)
    assert wide.mean() > lammps_mgml.featurize(*system, features="cn_dist").mean() + 5
    with pytest.raises(OptionError, match="near_cutof: there are near_cutoff"):
        lammps_mgml.featurize(*system, near_cutof=5.0)
    with pytest.raises(InputError, match="select must have shape"):
        lammps_mgml.featurize(*system, select=mask[:9])


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
