"""A Kob-Andersen mixture in units lj: from its glasses to a model, and the model in decks."""
import json
import re
import shutil
import subprocess
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from decks import BIN, GLASS, ROOT, environment, frames, mgml, run_lammps
from scipy.spatial import cKDTree

import lammps_mgml
from lammps_mgml.cli import main
from lammps_mgml.errors import InputError
from lammps_mgml.io.dump import read_data, read_dump
from lammps_mgml.io.glass import Glass, Loaded, read_glass, write_glass
from lammps_mgml.io.log import read_log
from lammps_mgml.io.table import read_table, table_steps
from lammps_mgml.models.model import load_model
from lammps_mgml.plasticity.d2min import d2min
from lammps_mgml.system.box import Box
from lammps_mgml.system.lengths import STYLES
from lammps_mgml.systems import lammps_files, read_system
from lammps_mgml.train.lengths import measured, shells

SEEDS = (31, 32, 33)
# The Kob-Andersen potential, forces made to end at zero.
FORCES = """pair_style lj/smooth/linear 2.5
pair_coeff 1 1 1.0 1.0  2.5
pair_coeff 1 2 1.5 0.8  2.0
pair_coeff 2 2 0.5 0.88 2.2
neighbor 0.3 bin
timestep 0.005
"""
HEAD = "units lj\natom_style atomic\natom_modify map yes\nboundary p p p\n"
QUENCH = HEAD + f"""lattice sc 0.833
region b block 0 8 0 8 0 8
create_box 2 b
create_atoms 1 box
set group all type/subset 2 102 SEED
mass * 1.0
{FORCES}
velocity all create 1.5 SEED mom yes dist gaussian
fix md all npt temp 0.7 0.7 0.5 iso 0.0 0.0 5.0
run 800
fix md all npt temp 0.7 0.02 0.5 iso 0.0 0.0 2.0
run 1500
unfix md
min_style cg
minimize 0 1e-4 1000 10000
reset_timestep 0
velocity all set 0 0 0
write_data glass-SEED.data nocoeff
""" + "".join(f"""write_dump all custom SEED.{k} id type xu yu zu &
  modify sort id format float %.17g units yes
change_box all x scale 0.98 y scale 1.01 z scale 1.01 remap
minimize 0 1e-3 1000 10000
""" for k in range(3)) + "clear\n"
DECK = HEAD + f"""read_data DATA
{FORCES}
fix md all nve
velocity all create 0.05 4711 loop geom
fix load all deform 1 z erate -0.02 remap x
MORE
variable mgml getenv MGML_DECK
include ${{mgml}}
fix sq all python/invoke 20 end_of_step softness
thermo_style custom step temp pzz lx ly lz v_mgml_plastic v_mgml_d2mean
thermo 20
dump out all custom 20 ${{out}} id type x y z ix iy iz d_sq d_p d_s d_d2min d_eta i_site
dump_modify out sort id format float %.17g units yes
run 40
"""


@pytest.fixture(scope="module")
def ka(tmp_path_factory):
    """Three glasses of 512 atoms as glass files, and a model of two of them."""
    folder = tmp_path_factory.mktemp("ka")
    done = run_lammps(folder, "".join(QUENCH.replace("SEED", str(s)) for s in SEEDS), timeout=120)
    assert not done.returncode, done.stdout[-2000:]
    first = read_data(folder / f"glass-{SEEDS[0]}.data")
    lengths = measured(first.positions, first.box, first.units)
    for s in SEEDS:
        before, *later = (next(read_dump(folder / f"{s}.{k}")) for k in range(3))
        found = [d2min(before.positions, before.box.edges, f.positions, f.box.edges,
                       cutoff=lengths.d2_cutoff) for f in later]
        loaded = Loaded("x", "compression", np.array([0.02, 0.04]), np.zeros(2),
                        np.array([f.d2min for f in found]), np.array([f.eta for f in found]))
        write_glass(folder / f"glass-{s}.h5", Glass(
            f"glass-{s}", ("A", "B"), before.types, before.positions, before.box.edges, None, 0.0,
            (loaded,), {"seed": s}, {}, lengths=lengths, masses=(1.0, 1.0)))
    text = mgml("train", *(folder / f"glass-{s}.h5" for s in SEEDS[:2]), "--unseen",
                folder / f"glass-{SEEDS[2]}.h5", "--recipe", "pair", "-o", folder / "ab.mgml")
    return SimpleNamespace(folder=folder, lengths=lengths, told=text, model=folder / "ab.mgml",
                           glass=folder / f"glass-{SEEDS[2]}.h5",
                           data=folder / f"glass-{SEEDS[2]}.data")


def deck(ka, more, data=None):
    return DECK.replace("DATA", str(data or ka.data)).replace("MORE", more)


def with_model(ka):
    return f'variable mgml_model string {ka.model}\nvariable mgml_elements string "A B"'


def test_lengths_are_those_of_the_glass(ka):
    glass = read_glass(ka.glass)
    box = Box.make(glass.box)
    x = glass.positions - np.floor(glass.positions @ box.inverse) @ glass.box
    edges = np.diag(glass.box)
    tree = cKDTree(np.minimum(x, edges * (1 - 1e-12)), boxsize=edges)
    found = shells(glass.positions, box)
    assert found.nearest == pytest.approx(tree.query(x, 2)[0][:, 1].mean(), rel=1e-6)
    # of Kob-Andersen mixtures: large spheres at 1.07, the first minimum at 1.35 to 1.45
    assert 1.0 < found.peak < 1.15 and 1.3 < found.minimum < 1.5 < found.second < 2.2
    lengths = ka.lengths
    assert glass.lengths == lengths and lengths.units == "lj" and glass.masses == (1.0, 1.0)
    assert lengths.near_cutoff == pytest.approx(found.minimum, rel=0.06)     # a flat valley
    assert found.minimum < lengths.d2_cutoff < found.second
    assert lengths.d2_threshold == pytest.approx(5.0 * (lengths.nearest / 2.54) ** 2, rel=0.01)
    # the same glass in A, three times as large: all lengths are, too
    larger = measured(3 * glass.positions, Box.make(3 * glass.box))
    again = measured(glass.positions, box, "lj")
    for name in ("nearest", "near_cutoff", "open_radius", "density_spacing", "d2_cutoff"):
        assert getattr(larger, name) == pytest.approx(3 * getattr(again, name), rel=0.01)
    with pytest.raises(InputError, match="in a periodic glass of 200 atoms or more"):
        measured(glass.positions[:50], box)


def test_features_of_scaled_lengths_are_those_of_the_scaled_glass(ka):
    """At a scale of 2^k every bit is the same."""
    glass = read_glass(ka.glass)
    words = {"features": "density_a_3,density_avg,cn,facet_area_std,boop_q", "elements": ("A", "B")}
    small = lammps_mgml.featurize(glass.positions, glass.types, glass.box, nearest=0.905, **words)
    large = lammps_mgml.featurize(4.0 * glass.positions, glass.types, 4.0 * glass.box,
                                  nearest=3.62, **words)
    assert np.isfinite(small).all()
    np.testing.assert_array_equal(small, large)
    with pytest.raises(InputError, match="lengths must be in A.*tell the mean distance"):
        lammps_mgml.featurize(glass.positions, glass.types, glass.box, **words)
    with pytest.raises(InputError, match="whose nearest neighbours are 3.62 apart"):
        lammps_mgml.featurize(0.2 * glass.positions, glass.types, 0.2 * glass.box, nearest=3.62,
                              **words)


def test_the_model_file_holds_units_lengths_and_elements(ka):
    model = load_model(ka.model)
    assert model.name == "ab" and model.elements == ("A", "B") and model.lengths == ka.lengths
    card = json.loads(ka.model.read_text())
    assert card["units"] == "lj" and card["masses"] == [1.0, 1.0]
    assert card["parameters"] == ka.lengths.parameters
    assert card["label"]["threshold"] == ka.lengths.d2_threshold
    text = mgml("model", "show", ka.model)
    assert "units             lj, lengths in sigma" in text and "sigma^2 at strain 0.04" in text
    assert f"within {ka.lengths.d2_cutoff} sigma" in text
    text = mgml("score", ka.model, ka.glass)
    assert "by element" in text and "A 0." in text
    from lammps_mgml.train.dataset import read_loadings

    with pytest.raises(InputError, match="elements A B, not Cu Zr"):
        read_loadings([ka.glass], load_model("cuzr").elements)


@pytest.fixture(scope="module")
def run(ka):
    more = with_model(ka) + "\nvariable mgml_features string cn,density\n"
    first, *_ = runs = [frames(ka.folder, deck(ka, more + (
        f"variable mgml_features_file string table{ranks}.h5")), ranks=ranks) for ranks in (1, 2)]
    return runs


@pytest.mark.parametrize("which", [0, 1])
def test_columns_of_a_deck_are_those_of_the_offline_computation(ka, run, which):
    found, model = run[which], load_model(ka.model)
    assert [f.step for f in found] == [0, 20, 40] and found[0].units == "lj"
    first = found[0]
    expected = lammps_mgml.softness(first.positions, first.types, first.box.edges, model=model)
    assert np.isfinite(expected).all() and expected.std() > 0.01
    np.testing.assert_allclose(first.columns["d_sq"], expected, rtol=0, atol=1e-9)
    assert not first.columns["i_site"].any()
    for f in found[1:]:
        # image flags tell how often an atom has crossed a face
        x, x0 = (g.positions + g.box.vectors(np.stack(
            [g.columns[k] for k in ("ix", "iy", "iz")], axis=1)) for g in (f, first))
        d2 = d2min(x0, first.box.edges, x, f.box.edges, cutoff=ka.lengths.d2_cutoff)
        np.testing.assert_allclose(f.columns["d_d2min"], d2.d2min, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(f.columns["d_eta"], d2.eta, rtol=1e-9, atol=1e-12)
        means = lammps_mgml.api.sites(first.positions, first.types, first.box.edges, (True,) * 3,
                                      model.features, model.elements, model.parameters).means
        now = lammps_mgml.api.sites(f.positions, f.types, f.box.edges, (True,) * 3, model.features,
                                    model.elements, model.parameters, means).features
        np.testing.assert_allclose(f.columns["d_s"], model.softness(now), rtol=0, atol=1e-9)
    assert found[-1].columns["d_d2min"].max() > 0


def test_log_and_table_tell_units_and_elements(ka, run):
    done = run_lammps(ka.folder, deck(ka, with_model(ka)).replace("run 40", "run 20"), ranks=1,
                      out="x.dump")
    assert not done.returncode, done.stdout[-1500:]
    assert (f"types A B, D2min within {ka.lengths.d2_cutoff:g} sigma, units lj (d_d2min in sigma^2)"
            in done.stdout)
    assert f"plastic above {ka.lengths.d2_threshold:g} sigma^2 (nearest neighbours" in done.stdout
    assert "is no inherent structure" not in done.stdout
    (ka.folder / "x.log").write_text(done.stdout)
    log = read_log(ka.folder / "x.log")
    assert log.elements == ("A", "B") and log.units == "lj" and log.model == "ab"
    assert log.lengths.nearest == ka.lengths.nearest and log.lengths.units == "lj"
    assert log.lengths.d2_threshold == ka.lengths.d2_threshold
    last = list(read_dump(ka.folder / "x.dump"))[-1].columns["d_d2min"]
    plastic, mean = log.tables[-1].columns["v_mgml_plastic"], log.tables[-1].columns["v_mgml_d2mean"]
    assert plastic[-1] == pytest.approx((last > ka.lengths.d2_threshold).mean())
    assert mean[-1] == pytest.approx(last.mean(), rel=1e-5)
    for name in ("table1.h5", "table2.h5"):
        assert table_steps(ka.folder / name) == [0, 20, 40]
        table = read_table(ka.folder / name, 0)
        attributes = table["attributes"]
        assert attributes["unit_style"] == "lj" and attributes["elements"].tolist() == ["A", "B"]
        assert attributes["nearest"] == ka.lengths.nearest
        assert attributes["near_cutoff"] == ka.lengths.near_cutoff
    dump = ka.folder / "x.dump"
    mgml("featurize", dump, "--frames", "0", "--model", ka.model, "--features", "cn,density",
         "--double", "-o", ka.folder / "f.h5")
    offline = read_table(ka.folder / "f.h5")
    np.testing.assert_allclose(offline["features"], table["features"], rtol=1e-6)
    assert offline["attributes"]["unit_style"] == "lj"
    text = mgml("featurize", dump, "--elements", "A B", ok=False)
    assert "units lj: tell the mean distance" in text and "--nearest" in text
    text = mgml("featurize", dump, "--model", "cuzr", "--elements", "Cu Zr", ok=False)
    assert "units lj, model cuzr is for lengths in A" in text


def test_a_study_refuses_other_lengths_whatever_the_file(ka, run, tmp_path):
    """It calls atoms plastic above the threshold of Cu-Zr, eight times that of this mixture."""
    for words in ((ka.folder / "table1.h5", "--model", ka.model), (ka.glass, "--model", ka.model),
                  (ka.folder / "table1.h5",)):
        text = mgml("study", *words, "-o", tmp_path / "out", ok=False)
        assert "a study goes by the lengths of Cu-Zr" in text and text.count("\n") == 1, text
        assert not (tmp_path / "out").exists()


def test_cutoffs_that_do_not_fit_are_told(tmp_path):
    """A dump that does not tell its units, of a one-component system whose atoms are 1.05 apart."""
    frame = read_data(GLASS)
    x, edges = frame.positions * 0.42, np.diag(frame.box.edges) * 0.42
    rows = "".join(f"{i} 1 {a:.9g} {b:.9g} {c:.9g}\n" for i, (a, b, c) in enumerate(x, start=1))
    (tmp_path / "a.dump").write_text(
        f"ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n{len(x)}\nITEM: BOX BOUNDS pp pp pp\n"
        + "".join(f"0 {e:.17g}\n" for e in edges) + f"ITEM: ATOMS id type x y z\n{rows}")
    words = ("featurize", tmp_path / "a.dump", "--elements", "A", "--features", "cn_dist", "-o")
    for more, told in (((), True), (("--nearest", "1.05"), False)):
        done = subprocess.run([BIN / "mgml", *map(str, words), tmp_path / "f.h5", *more],
                              capture_output=True, text=True, env=environment(1))
        assert not done.returncode and ("give --nearest 1.0" in done.stderr) == told, done.stderr
    assert read_table(tmp_path / "f.h5")["features"].mean() < 20
    assert read_table(tmp_path / "f.h5")["attributes"]["unit_style"] == "unknown"


@pytest.mark.slow
def test_the_report_goes_by_the_threshold_of_the_run(ka):
    text = deck(ka, with_model(ka)).replace("run 40", "run 200").replace("erate -0.02", "erate -0.08")
    done = run_lammps(ka.folder, text, out="loaded.dump")
    assert not done.returncode, done.stdout[-1500:]
    log, dump = ka.folder / "loaded.log", ka.folder / "loaded.dump"
    log.write_text(done.stdout)
    mgml("report", dump, "--log", log, "-o", ka.folder / "a.png", "--csv", ka.folder / "a.csv")
    rows = np.genfromtxt(ka.folder / "a-strain.csv", delimiter=",", names=True)
    frames_of = [f.columns["d_d2min"] for f in read_dump(dump)][1:]
    assert rows["plastic"].tolist() == [(d > ka.lengths.d2_threshold).sum() for d in frames_of]
    assert rows["plastic"][-1] > 0
    live = read_log(log).values("v_mgml_plastic")[-1, 0]
    assert live == pytest.approx(rows["plastic"][-1] / len(frames_of[-1]), rel=1e-4)
    assert (ka.folder / "a-map.csv").read_text().startswith("id,element,")
    assert "d2min_sigma2" in (ka.folder / "a-map.csv").read_text()
    stress = np.genfromtxt(ka.folder / "a-stress.csv", delimiter=",", names=True)
    assert stress.dtype.names == ("strain", "stress")
    log.unlink()
    text = mgml("report", dump, "-o", ka.folder / "a.png", ok=False)
    assert "units lj: give the log of the run" in text and "--threshold" in text
    mgml("report", dump, "-o", ka.folder / "a.png", "--csv", ka.folder / "b.csv", "--threshold",
         ka.lengths.d2_threshold)
    again = np.genfromtxt(ka.folder / "b-strain.csv", delimiter=",", names=True)
    np.testing.assert_array_equal(again["plastic"], rows["plastic"])


@pytest.mark.parametrize("more, message", [
    ("", "units lj: model cuzr is for lengths in A"),
    ("variable mgml_model string none\nvariable mgml_elements string \"A B\"",
     "tell the mean distance to the nearest neighbour .*mgml_nearest"),
    ("MODEL\nvariable mgml_nearest string 0.9", "model .* brings its own .0.9"),
    ("MODEL\nvariable mgml_d2_cutoff string 4.5", "a length in sigma, from 0.7.* to 2.8"),
    ("variable mgml_model string AB", "type 1 has mass 1, which is that of several elements"),
    ("variable mgml_model string none\nvariable mgml_elements string \"A B\"\n"
     "variable mgml_nearest string 3", "whose nearest neighbours are 3 apart")])
def test_what_does_not_fit_is_refused_in_one_line(ka, more, message):
    more = more.replace("MODEL", with_model(ka)).replace("string AB", f"string {ka.model}")
    done = run_lammps(ka.folder, deck(ka, more).replace("run 40", "run 0"), out="y.dump")
    line = next((w for w in done.stdout.splitlines() if w.startswith("ERROR")), "")
    assert done.returncode and re.search(message, line), done.stdout[-1500:]
    assert "Traceback" not in done.stdout


def test_a_deck_without_a_model_scales_by_the_length_it_tells(ka):
    more = ("variable mgml_model string none\nvariable mgml_elements string \"A B\"\n"
            "variable mgml_nearest string 0.905\nvariable mgml_columns string d_density_a_3")
    text = deck(ka, more).replace("i_site", "i_site d_density_a_3")
    done = run_lammps(ka.folder, text, out="out.dump")
    assert not done.returncode and "nearest neighbours, the cutoffs" not in done.stdout
    found = next(read_dump(ka.folder / "out.dump"))
    done = run_lammps(ka.folder, text.replace("0.905", "1.4").replace("run 40", "run 0"), out="o.dump")
    assert not done.returncode
    assert "scale them by  variable mgml_nearest string 0.9" in done.stdout
    expected = lammps_mgml.featurize(found.positions, found.types, found.box.edges,
                                     features="density_a_3", elements=("A", "B"), nearest=0.905)
    np.testing.assert_allclose(found.columns["d_density_a_3"], expected[:, 0], rtol=1e-9)


SI = """units UNITS
atom_style atomic
atom_modify map yes
boundary p p p
read_data si.data
pair_style lj/cut $(4.5*v_A)
pair_coeff * * 1e-20 $(2.2*v_A)
neighbor $(1.0*v_A) bin
variable mgml getenv MGML_DECK
include ${mgml}
thermo_style custom step v_mgml_plastic v_mgml_d2mean
fix sq all python/invoke 1 end_of_step softness
WRITE
displace_atoms all random $(0.3*v_A) $(0.3*v_A) $(0.3*v_A) 17 units box
WRITE
""".replace("WRITE", "run 0\nwrite_dump all custom ${out} id type x y z d_sq d_d2min d_eta &\n"
            "  modify sort id format float %.17g units yes append yes")


@pytest.mark.parametrize("units, length, mass", [
    ("si", 1e-10, 1.66053906660e-27),
    *(pytest.param(*row, marks=pytest.mark.slow) for row in (
        ("nano", 0.1, 1.66053906660e-6), ("real", 1.0, 1.0),
        ("electron", 1 / 0.529177210903, 1.0)))])
def test_a_model_in_A_serves_decks_of_other_units_of_length(tmp_path, units, length, mass):
    frame = read_data(GLASS)
    x, edges = frame.positions * length, np.diag(frame.box.edges) * length
    rows = "".join(f"{k} {t} {a:.17g} {b:.17g} {c:.17g}\n" for k, t, (a, b, c) in zip(
        frame.columns["id"], frame.types, x))
    bounds = "".join(f"0 {e:.17g} {a}lo {a}hi\n" for a, e in zip("xyz", edges))
    (tmp_path / "si.data").write_text(
        f"LAMMPS data file, units = {units}\n\n{len(x)} atoms\n2 atom types\n\n{bounds}\nMasses\n\n"
        f"1 {63.546 * mass:.9g}\n2 {91.224 * mass:.9g}\n\nAtoms # atomic\n\n{rows}")
    text = SI.replace("UNITS", units)
    done = run_lammps(tmp_path, text, out="out.dump", A=length)
    assert not done.returncode, done.stdout[-1500:]
    assert f"(d_d2min in {STYLES[units].name}^2)" in done.stdout
    assert f"D2min within {4.5 * length:g} {STYLES[units].name}" in done.stdout
    *_, first, last = read_dump(tmp_path / "out.dump")              # in A
    expected = lammps_mgml.softness(frame.positions, frame.types, frame.box.edges)
    np.testing.assert_allclose(first.columns["d_sq"], expected, atol=2e-3)
    assert np.median(abs(first.columns["d_sq"] - expected)) < 1e-9
    d2 = d2min(first.positions, first.box.edges, last.positions, last.box.edges)
    np.testing.assert_allclose(last.columns["d_d2min"], d2.d2min, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(last.columns["d_eta"], d2.eta, rtol=1e-6, atol=1e-9)
    (tmp_path / "log").write_text(done.stdout)
    *_, mean = read_log(tmp_path / "log").values("v_mgml_plastic", "v_mgml_d2mean")
    assert mean[0] == pytest.approx((d2.d2min > 5.0).mean(), abs=1e-6)
    assert mean[1] == pytest.approx(d2.d2min.mean() * length**2, rel=1e-4)


@pytest.mark.parametrize("name", ["fep", "ka"])
def test_shipped_model_in_a_deck_on_any_number_of_ranks(tmp_path, name):
    """The deck of its own system, on a glass that it was not trained on."""
    system = read_system(name)
    glass = read_glass(ROOT / "inputs" / name / "glass-2.h5")
    lammps_files(system, tmp_path)
    x = glass.positions - np.floor(glass.positions @ np.linalg.inv(glass.box)) @ glass.box
    bounds = "".join(f"0 {e:.17g} {a}lo {a}hi\n" for a, e in zip("xyz", np.diag(glass.box)))
    masses = "".join(f"{k} {m}\n" for k, m in enumerate(system.masses, start=1))
    rows = "".join(f"{i} {t} {r[0]:.17g} {r[1]:.17g} {r[2]:.17g}\n"
                   for i, (t, r) in enumerate(zip(glass.types, x), start=1))
    (tmp_path / "glass.data").write_text(
        f"a glass\n\n{len(x)} atoms\n{len(system.masses)} atom types\n\n{bounds}\nMasses\n\n{masses}"
        f"\nAtoms # atomic\n\n{rows}")
    deck = f"""include {name}.lmp
units ${{units}}
atom_style atomic
atom_modify map yes
read_data glass.data
include ${{potential}}
timestep ${{dt}}
fix md all nve
fix load all deform 1 z erate {-0.02 / (20 * system["dynamics.timestep"]):g} remap x
variable mgml_model string {name}
variable mgml_elements string "{' '.join(system.elements)}"
variable mgml getenv MGML_DECK
include ${{mgml}}
fix sq all python/invoke 20 end_of_step softness
dump out all custom 20 ${{out}} id type x y z ix iy iz element d_sq d_p d_d2min i_site
dump_modify out sort id element {' '.join(system.elements)} format float %.17g units yes
run 20
"""
    model = load_model(name)
    found = [frames(tmp_path, deck, f"{ranks}.dump", ranks=ranks) for ranks in (1, 2, 4)]
    for first, last in found:
        expected = lammps_mgml.softness(first.positions, first.types, first.box.edges, model=model)
        assert np.isfinite(expected).all() and expected.std() > 0.05
        np.testing.assert_allclose(first.columns["d_sq"], expected, rtol=0, atol=1e-9)
        np.testing.assert_allclose(first.columns["d_p"], model.probability(expected), rtol=1e-9)
        moved = [f.positions + f.box.vectors(np.stack(
            [f.columns[k] for k in ("ix", "iy", "iz")], axis=1)) for f in (first, last)]
        d2 = d2min(moved[0], first.box.edges, moved[1], last.box.edges, cutoff=model.lengths.d2_cutoff)
        np.testing.assert_allclose(last.columns["d_d2min"], d2.d2min, rtol=1e-8, atol=1e-12)


def test_a_model_on_glasses_of_another_campaign(tmp_path, capfd):
    """Their lengths are measured anew: a threshold 0.2 % off labels the same atoms, 5 % off does not."""
    for factor in (1.002, 1.05):
        path = tmp_path / f"{factor}.h5"
        shutil.copy(ROOT / "inputs" / "ka" / "glass-1.h5", path)
        with h5py.File(path, "r+") as file:
            lengths = json.loads(file.attrs["lengths"])
            lengths["d2_threshold"] *= factor
            file.attrs["lengths"] = json.dumps(lengths)
    assert "all of 1 glasses: " in mgml("score", "ka", tmp_path / "1.002.h5", "--strain", "0.03")
    assert main(["score", "ka", str(tmp_path / "1.05.h5"), "--strain", "0.03"]) == 1
    assert "its plastic atoms are not those that the model was trained for" in capfd.readouterr().err
