"""System files, the decks that go by them, and ``mgml make-model``."""
import json
import re
import subprocess
import time

import numpy as np
import pytest
from decks import BIN, ROOT, environment, mgml, run_lammps

from lammps_mgml.errors import InputError, OptionError
from lammps_mgml.io.glass import read_glass
from lammps_mgml.systems import lammps_files, read_system, shipped_systems
from lammps_mgml.train import campaign
from lammps_mgml.train.campaign import Campaign, seconds
from lammps_mgml.train.make import TimeIsUpError, make
from lammps_mgml.train.pack import elements_of
from lammps_mgml.train.plan import Plan

DECKS = ROOT / "inputs"


def changed(path, *pairs, like="ka"):
    """A shipped system's file, some of its text replaced."""
    text = read_system(like).path.read_text()
    for old, new in pairs:
        assert text.count(old) >= 1, old
        text = text.replace(old, new)
    path.write_text(text)
    return path


def test_shipped_systems_are_whole():
    assert set(shipped_systems()) == {"cuzr", "fep", "ka", "ka3"}
    for name in shipped_systems():
        system = read_system(name)
        assert system.name == name and sum(system.shares) == pytest.approx(1.0)
    assert read_system("ka3").elements == ("A", "B", "C") and read_system("ka").units == "lj"
    assert read_system("ka3").composition == "A70B20C10"


@pytest.mark.parametrize("old, new, message", [
    ("mass   = 1.0\nshare  = 0.2", "mass   = 1.0\nshare  = 0.3", "the shares must have the sum 1, not 1.1"),
    ('units = "lj"', 'units = "furlong"', "units = 'furlong': glasses are made in metal"),
    ('symbol = "B"', 'symbol = "a"', "the same symbol twice: A a"),
    ("melt    = 0.8", "melt    = 0.5", "melt, high, low and end must fall in this order"),
    ("melt    = 0.8", "melt    = \"hot\"", "quench.melt = 'hot' must be a number"),
    ("timestep            = 0.005", "timestep            = -1", "dynamics.timestep = -1 must be above 0"),
    ("timestep            = 0.005", "time_step           = 1", "[dynamics] has no time_step: there are timestep"),
    ("rate    = 4e-3 ", "", "[quench] needs rate"),
    ("pair_style", "pair_styles", "potential.commands have no pair_style"),
    ("[ageing]", "[aging]", "unknown entry aging"),
    ("[loading]", "[loading", "is not TOML"),
    ("rate        = 1e-2", 'monte_carlo = "swap"', "ageing.monte_carlo = 'swap': none or variance"),
    ('name  = "ka"', 'name  = "k a"', "name = 'k a': it is part of files' names")])
def test_what_is_wrong_in_a_file_is_told_by_section_and_key(tmp_path, old, new, message):
    with pytest.raises(InputError, match=re.escape(message)) as e:
        read_system(changed(tmp_path / "x.toml", (old, new)))
    assert "x.toml" in str(e.value)


def test_masses_may_be_those_that_the_potential_file_rounds(tmp_path):
    """FeP_mm.eam.fs has 55.85 and 30.97, and pair_coeff takes them."""
    data = tmp_path / "glass-1.data"
    data.write_text("a glass\n\n2 atom types\n\nMasses\n\n1 55.85\n2 30.97\n\nAtoms # atomic\n\n")
    assert elements_of(data, ["Fe", "P"], read_system("fep")) == ("Fe", "P")
    data.write_text(data.read_text().replace("55.85", "58.69"))
    with pytest.raises(InputError, match="has masses 58.69 30.97, system fep has 55.845 30.974"):
        elements_of(data, ["Ni", "P"], read_system("fep"))


def test_three_elements_are_not_aged_by_turning_two_into_each_other(tmp_path):
    path = changed(tmp_path / "x.toml", ("[vibration]", '[ageing]\nmonte_carlo = "variance"\n[vibration]'),
                   like="ka3")
    with pytest.raises(InputError, match="is for two elements, not 3"):
        read_system(path)


def test_the_lengths_of_the_shipped_alloy_are_those_of_its_models():
    from lammps_mgml.system.lengths import Lengths

    assert read_system("cuzr").lengths == Lengths() and read_system("ka").lengths is None


def test_lengths_of_a_file_in_other_units_are_in_angstrom(tmp_path):
    path = changed(tmp_path / "x.toml", ('units = "metal"', 'units = "nano"'), ("near_cutoff  = 4.0", "near_cutoff  = 0.4"),
                   ("nearest      = 2.54", "nearest      = 0.254"), ("d2_threshold = 5.0", "d2_threshold = 0.05"),
                   ("open_radius  = 3.6", ""), ("d2_cutoff    = 4.5", ""), like="cuzr")
    lengths = read_system(path).lengths
    assert (lengths.near_cutoff, lengths.nearest, lengths.open_radius) == pytest.approx((4.0, 2.54, 3.6))
    assert (lengths.d2_cutoff, lengths.d2_threshold) == pytest.approx((4.5, 5.0))


def thermo(text):
    """Rows of thermo output, without the time that they took."""
    rows = [line.split() for line in text.splitlines() if re.match(r" +\d+ +-?[\d.]", line)]
    return [row[:5] for row in rows if len(row) >= 5]


SHORT = {
    "in.quench": {"seed": 3, "n": 5, "rate": "1e15", "fast": "1e16", "tau": 0.2},
    "in.vibrate": {"name": "glass-3", "time": 0.1},
    "in.aqs": {"name": "glass-3", "last": 0.002, "frame": 1, "axis": "x"},
    "in.age": {"name": "glass-3", "time": 0.04, "rate": "1e15", "mc": "no", "maxiter": 50}}


def test_the_system_file_of_the_decks_alloy_changes_nothing(tmp_path):
    """All four decks as they stand and with cuzr.toml: trajectories and files are bitwise the same."""
    found = []
    for own in (False, True):
        folder = tmp_path / str(own)
        folder.mkdir()
        given = {"system": lammps_files(read_system("cuzr"), folder).name} if own else {}
        said = []
        for deck, variables in SHORT.items():
            done = run_lammps(folder, (DECKS / deck).read_text(), **given, **variables)
            assert done.returncode == 0, done.stdout[-2000:]
            said.append(thermo(done.stdout))
            assert len(said[-1]) > 2
        files = {p.name: p.read_bytes() for p in sorted(folder.iterdir())
                 if p.suffix in (".data", ".msd", ".dump", ".curve")}
        assert len(files) == 7
        found.append((said, files))
    assert found[0] == found[1]


@pytest.fixture(scope="session")
def ka_glasses(tmp_path_factory):
    """Folder with the smallest ternary Lennard-Jones glass: md/ and out/glass-1.h5."""
    folder = tmp_path_factory.mktemp("ka3")
    said = mgml("dataset", "make", folder / "md", "-o", folder / "out", "--system", "ka3", "--seeds", "1",
                "--n", "7", "--rate", "0.2", "--fast", "0.5", "--axes", "z", "--senses", "tension",
                "--strain", "0.01")
    return folder, said


def test_a_ternary_glass_in_units_lj(ka_glasses):
    folder, said = ka_glasses
    assert "A70B20C10" in said
    glass = read_glass(folder / "out" / "glass-1.h5")
    assert glass.elements == ("A", "B", "C") and np.bincount(glass.types)[1:].tolist() == [240, 69, 34]
    assert glass.masses == (1.0, 1.0, 1.0) and glass.lengths.units == "lj"
    assert 0.8 < glass.lengths.nearest < 1.0 and 1.2 < glass.lengths.near_cutoff < 1.6
    # dense as such glasses are at zero pressure, and pulled apart: a tensile stress
    assert 1.05 < len(glass) / np.linalg.det(glass.box) < 1.3 and glass.loadings[0].stress[0] > 0
    assert glass.provenance["potential"] == "lj/smooth/linear 2.5"
    assert re.fullmatch("[0-9a-f]{64}", glass.provenance["potential_sha256"])
    assert glass.made["system"] == "ka3" and glass.made["shares"] == [0.7, 0.2, 0.1]
    assert glass.watched.keys() == {"msd"}
    assert glass.watched["msd"].shape == (343,) and 0 < np.median(glass.watched["msd"]) < 0.05


PACK = ("--seeds", "1", "--n", "7", "--rate", "0.2", "--fast", "0.5", "--axes", "z", "--senses", "tension",
        "--strain", "0.01")


def test_another_system_for_a_glass_that_is_there_is_refused(ka_glasses, tmp_path):
    folder, _ = ka_glasses
    out = ("-o", tmp_path, *PACK)
    for system, said in (("cuzr", "was made with ka3, not cuzr"), (None, "not the decks alone (Cu-Zr)"),
                         (changed(tmp_path / "x.toml", ("skin = 0.3", "skin = 0.4"), like="ka3"),
                          "was made when potential.skin of system ka3 was 0.3, now it is 0.4")):
        text = mgml("dataset", "pack", folder / "md", *out, *(("--system", system) if system else ()), ok=False)
        assert said in text and len(text.splitlines()) == 1, text
    text = mgml("dataset", "pack", folder / "md", *out, "--system", "ka3", "--shares", "0.6,0.3,0.1", ok=False)
    assert "was made with --shares 0.2, not 0.3" in text


@pytest.mark.parametrize("words, message", [
    (("--shares", "0.5,0.5"), "--shares '0.5,0.5': write 3 fractions"),
    (("--zr", "0.5"), "--zr is for two elements, the system has 3"),
    (("--zr", "0.5", "--shares", "1,2"), "--zr and --shares say the same"),
    (("--system", "nowhere.toml"), "system 'nowhere.toml': No such file")])
def test_shares_must_fit_the_system(tmp_path, words, message):
    assert message in mgml("dataset", "pack", tmp_path, "-o", tmp_path, "--system", "ka3", "--seeds", "1", *words,
                           ok=False)


def test_the_potential_is_looked_for_beside_the_system_file(tmp_path):
    (tmp_path / "mine.eam.fs").write_text("x")
    path = changed(tmp_path / "x.toml", ("CuZr_mm.eam.fs", "mine.eam.fs"), like="cuzr")
    (tmp_path / "md").mkdir()
    lammps_files(read_system(path), tmp_path / "md")
    assert f"* * {tmp_path}/mine.eam.fs Cu Zr" in (tmp_path / "md" / "cuzr.potential.lmp").read_text()


def test_check_tells_that_a_system_runs_or_why_not(tmp_path):
    text = mgml("system", "check", "ka")
    assert text.count("\nok ") == 6 and "\n--" not in text
    for pairs, message in (
            ([("timestep            = 0.005", "timestep            = 0.05")], "a smaller dynamics.timestep"),
            ([("timestep            = 0.005", "timestep            = 0.022")], "dynamics.timestep = 0.022 is too large"),
            ([("pair_coeff 2 2 0.5 0.88 2.2", "")], "pair_coeff is needed for every pair of types"),
            ([("lj/smooth/linear", "lj/smooth/nonlinear")], "lj/smooth/nonlinear"),
            ([("melt    = 0.8", "melt    = 9.0"), ("pressure_damping    = 5.0", "pressure_damping    = 0.3")],
             "it evaporates: lower quench.melt")):
        path = changed(tmp_path / "x.toml", *pairs)
        done = subprocess.run([BIN / "mgml", "system", "check", path], capture_output=True, text=True,
                              env=environment(1))
        assert done.returncode == 1 and not done.stderr and message in done.stdout, done.stdout


def test_a_new_system_file_is_that_of_a_shipped_one_with_its_own_name(tmp_path):
    path = tmp_path / "alloy.toml"
    assert "mgml system check" in mgml("system", "new", path, "--like", "fep")
    assert read_system(path).name == "alloy" and read_system(path).elements == ("Fe", "P")
    assert "alloy.toml is there" in mgml("system", "new", path, ok=False)


def test_plans_go_by_the_system():
    plan = Plan.of(read_system("ka"), 4, 16)
    quench, vibrate, forces, *loadings = plan.steps()
    assert quench.variables == {"system": "ka.lmp", "seed": 4, "x2": 0.2, "composition": "0.8,0.2", "n": 16,
                                "rate": "0.004", "fast": "0.02"}
    assert forces.done == "glass-4.forces" and forces.variables["system"] == "ka.lmp"
    assert len(loadings) == 2 and vibrate.variables["temp"] == "0.05"
    # 30 in the melt and at the end, 0.2 + 0.23 at 0.02, 0.35 at 0.004, in steps of 0.005
    assert quench.forces == pytest.approx((30 + 21.5 + 87.5) / 0.005)
    assert Plan(4).steps()[0].forces == pytest.approx(
        (12 + (800 + 550 + 600) / 10) / 0.002)          # 1e13 K/s: 10 K a ps


@pytest.mark.parametrize("text, s", [("2h", 7200), ("1h30m", 5400), ("45m", 2700), ("600", 600), ("90s", 90)])
def test_a_budget_is_read(text, s):
    assert seconds(text) == s


@pytest.mark.parametrize("text", ["", "0", "2d", "h", "1.2.3h", "-1h"])
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(OptionError, match="--budget"):
        seconds(text)


def test_a_budget_that_is_too_short_is_told_before_the_work(tmp_path):
    text = mgml("make-model", "ka", "-o", tmp_path / "m", "--budget", "20s", ok=False)
    assert re.search(r"the budget, 0:00:20, is too short for 4 glasses, which take about \d+:\d\d:\d\d", text)
    assert not list(tmp_path.rglob("glass-*"))
    assert "--glasses 3: 2 to be trained on and 2" in mgml("make-model", "ka", "--glasses", "3", ok=False)


def test_runs_end_when_their_time_is_up(tmp_path):
    """LAMMPS is ended; what it had reached stays, and the next call goes on."""
    plans = [Plan.of(read_system("ka3"), 1, 7, rate="1e-6")]
    with pytest.raises(TimeIsUpError):
        make(plans, tmp_path, DECKS, [str(BIN / "lmp")], until=time.monotonic() + 1.0)
    assert (tmp_path / "glass-1.json").exists() and not (tmp_path / "glass-1.data").exists()


class Glass:
    """A loading whose plastic atoms follow its one feature, with noise."""

    def __init__(self, name, n, noise, seed):
        rng = np.random.default_rng(seed)
        self.glass, self.x = name, rng.normal(size=n)
        self.labels = self.x + noise * rng.normal(size=n) > 1.5
        self.blocks = np.arange(n) // 40

    def features(self, names):
        return np.column_stack([np.zeros(len(self.x)), self.x])

    def at(self, strain):
        return self.labels.astype(float)

    def plastic(self, strain):
        return self.labels


def test_the_worth_of_a_glass_is_counted_on_the_atoms_of_the_others():
    """A learner that knows all after two glasses gains nothing by a third; one that needs it does."""
    class Known:
        def fit(self, x, labels):
            return 1.0

        def margins(self, fitted, x):
            return fitted * x[:, 1]

    class Late(Known):
        def fit(self, x, labels):            # right only with the atoms of two glasses
            return 1.0 if len(labels) > 1500 else 0.0

    glasses = [Glass(f"g{k}", 1000, 0.5, k) for k in range(3)]
    for learner, gains in ((Known(), False), (Late(), True)):
        before = campaign._folds_of(glasses[:2], learner, ("type", "x"), 0.04)
        now = campaign._folds_of(glasses, learner, ("type", "x"), 0.04)
        gain, (low, high) = campaign._gain(before, now)
        if gains:
            assert before.auc == 0.5 and now.auc > 0.9 and low > 0.3 and low < gain < high
        else:
            assert gain == low == high == 0.0


@pytest.mark.parametrize("gains, enough", [
    ([], False), ([0.001], False), ([0.01, 0.001], False), ([0.001, -0.01], True), ([0.1, 0.0, 0.003], False)])
def test_it_ends_when_two_glasses_in_a_row_bring_little(tmp_path, gains, enough):
    one = Campaign(read_system("ka"), tmp_path, 8, [1, 2], [3, 4], DECKS, ["lmp"], 1, 60.0, "pair")
    one._state["curves"] = {"pair": [{"glasses": 2, "auc": 0.7}, *(
        {"glasses": k, "auc": 0.7, "gain": g} for k, g in enumerate(gains, start=3))], "axial": []}
    assert one._is_enough() == enough


@pytest.mark.slow
def test_make_model_from_a_system_file_to_a_page(tmp_path):
    """Small Kob-Andersen glasses: model, scores, page; resumed; other options refused."""
    path = changed(tmp_path / "small.toml", ('name  = "ka"', 'name  = "small"'), ("rate    = 4e-3", "rate    = 5e-2"),
                   ("fast    = 2e-2", "fast    = 2e-1"), ("hold    = 25.0", "hold    = 5.0"),
                   ("time        = 25.0", "time        = 10.0"))
    words = ("make-model", path, "-o", tmp_path / "m", "--glasses", "4", "--size", "500", "-j", "2", "--budget", "30m")
    text = mgml(*words)
    assert "4 glasses of 512 atoms of A80B20 are the least" in text and "2 glasses: AUC out of fold" in text
    model = json.loads(mgml("model", "show", tmp_path / "m" / "small.mgml", "--json"))
    assert model["elements"] == ["A", "B"] and model["units"] == "lj"
    assert model["training"]["glasses"] == ["glass-3", "glass-4"] and model["training"]["curve"][0]["glasses"] == 2
    assert {name.split(".")[0] for name in model["scores"]["loadings"]} <= {"glass-1", "glass-2"}
    assert model["scores"]["all"]["against"]["model"] == "facet-area std alone"
    page = (tmp_path / "m" / "small.html").read_text()
    assert "<svg" in page and "glass-2.z-compression" in page and "facet-area std alone" in page
    # the same command finds all done
    again = mgml(*words)
    assert "in.quench" not in again and "wrote" in again
    assert json.loads(mgml("model", "show", tmp_path / "m" / "small.mgml", "--json"))["checksum"] == model["checksum"]
    text = mgml(*(w if w != "500" else "1000" for w in words), ok=False)
    assert "was begun with n 8, now it is 10" in text
    path.write_text(path.read_text().replace("rate    = 5e-2", "rate    = 6e-2"))
    assert "was begun with quench.rate 0.05, now it is 0.06" in mgml(*words, ok=False)
