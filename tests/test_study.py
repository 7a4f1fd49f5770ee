"""``mgml study`` as a user runs it: its numbers against those computed here, and wrong or mixed input."""
import csv
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from decks import GLASS, ROOT, mgml
from test_report import Frame, expected_auc, stretched

from lammps_mgml import api
from lammps_mgml.cli import main
from lammps_mgml.io.dump import read_data
from lammps_mgml.models.model import load_model
from lammps_mgml.study import figures, reading, result, runs, stages
from lammps_mgml.study.cases import RESAMPLINGS, Score

GLASSES = ROOT / "inputs" / "glasses"
G13, G21 = GLASSES / "glass-13.h5", GLASSES / "glass-21.h5"
rng = np.random.default_rng(5)


def table(folder, number):
    """{column: texts} of a figure's CSV."""
    with open(Path(folder) / f"figure-{number}.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def numbers(folder, number):
    found = {}
    for name, values in table(folder, number).items():
        try:
            found[name] = np.array([float(v) if v else np.nan for v in values])
        except ValueError:
            pass
    return found


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """(folder, what is printed) of a study of one glass that the model has not seen."""
    folder = tmp_path_factory.mktemp("study") / "new" / "out"
    return folder, mgml("study", G13, "-o", folder, "--only", "2a,2b,3a,3b,4a,4b")


@pytest.fixture(scope="module")
def known():
    """(D2min of z-compression by strain, S^q, margins) of that glass, read and computed here."""
    with h5py.File(G13) as file:
        loadings = {name: (group["strain"][:], group["d2min"][:], group["stress"][:])
                    for name, group in file["loadings"].items()}
        x, types, box = file["inherent"][:].astype(float), file["types"][:], file["inherent"].attrs["box"]
        model = load_model("cuzr")
        features = api.featurize(x, types.astype(int), box, features=model.features, **model.parameters)
    return loadings, model.softness(features), model.margins(features)


def auc_of(plastic, margins):
    columns = {"d2": plastic, "score": margins}
    frame = type("Frame", (), {"columns": {"d_d2min": 10.0 * columns["d2"], "d_sq": columns["score"]}})
    return expected_auc(frame)


def test_each_figure_has_its_files_and_the_page_has_them_all(study):
    folder, said = study
    for number in ("2a", "2b", "3a", "3b", "4a"):
        png, svg = ((folder / f"figure-{number}.{kind}").read_bytes() for kind in ("png", "svg"))
        assert png[:8] == b"\x89PNG\r\n\x1a\n" and b"<svg" in svg and len(png) > 20000
        assert f"figure {number} " in said
    assert not list(folder.glob("figure-4b*")) and "4b     fall of AUC and of stress: left out" in said
    assert "glass-13         8000     Cu65Zr35, 1e13 K/s                no            x-compression" in said
    assert (folder / "index.html").read_text().count("<figure") >= 5
    assert not list(folder.glob("*.part")) and not list(folder.glob("*.new"))


def test_share_of_soft_atoms_by_d2min(study, known):
    loadings, softness, _ = known
    found = numbers(study[0], "2b")
    d2 = np.concatenate([d2[np.argmin(abs(strain - 0.04))] for strain, d2, _ in loadings.values()])
    soft = np.tile(softness > 0.5, len(loadings))
    for low, high, atoms, softs, share in zip(*(found[key] for key in (
            "d2min_from_A2", "d2min_to_A2", "atoms", "soft", "share_soft"))):
        within = (d2 >= low * (1 - 1e-6)) & (d2 < high * (1 - 1e-6))
        assert atoms == within.sum() and softs == (within & soft).sum()
        assert share == pytest.approx(softs / atoms) if atoms >= 20 else np.isnan(share)
    assert found["atoms"].sum() == len(d2)
    assert (found["low95"] <= found["share_soft"])[found["atoms"] >= 20].all()


def test_auc_and_softness_of_the_plastic_atoms_at_each_strain(study, known):
    loadings, softness, margins = known
    found, quantiles = numbers(study[0], "3b"), numbers(study[0], "3a")
    np.testing.assert_allclose(found["strain"], [0.01, 0.02, 0.03, 0.04])
    for k, strain in enumerate(found["strain"]):
        plastic = [d2[np.argmin(abs(at - strain))] > 5 for at, d2, _ in loadings.values()]
        stress = [-s[np.argmin(abs(at - strain))] for at, _, s in loadings.values()]
        assert found["share_plastic"][k] == pytest.approx(np.mean(plastic), rel=1e-6)
        assert found["stress_GPa"][k] == pytest.approx(np.mean(stress), rel=1e-6)
        several = np.concatenate([softness[one] for one in plastic])
        assert quantiles["plastic"][k] == len(several)
        if len(several) >= 20:
            assert quantiles["sq_plastic_50"][k] == pytest.approx(np.median(several), rel=1e-6)
        if min(one.sum() for one in plastic) >= 10 and len(several) >= 50:
            expected = np.mean([auc_of(one, margins) for one in plastic])
            assert found["auc"][k] == pytest.approx(expected, rel=1e-6)
            assert found["auc_low95"][k] < found["auc"][k] < found["auc_high95"][k]
        else:
            assert np.isnan(found["auc"][k])
    assert not np.isnan(found["auc"][-1]) and 0.65 < found["auc"][-1] < 0.8
    share = np.append(0, found["share_plastic"])
    np.testing.assert_allclose(found["share_growth"], np.diff(share) / 0.01, rtol=1e-5)


def test_spread_of_softness(study, known):
    found = numbers(study[0], "4a")
    np.testing.assert_allclose(found["sigma_s"], known[1].std(), rtol=1e-6)
    assert (found["sigma_s_low95"] < found["sigma_s"]).all()
    assert (found["rate_K_per_s"] == 1e13).all()


def test_atoms_of_the_slice(study, known):
    loadings, softness, _ = known
    found, words = numbers(study[0], "2a"), table(study[0], "2a")
    at = found["id"].astype(int) - 1
    assert len(at) > 300
    with h5py.File(G13) as file:
        x, box = file["inherent"][:], file["inherent"].attrs["box"]
        names = np.array(["Cu", "Zr"])[file["types"][:][at] - 1]
    assert (words["element"] == names).all()
    inside = abs(x[:, 1] % box[1, 1] - box[1, 1] / 2) <= 1.25
    assert set(at) == set(np.flatnonzero(inside))
    np.testing.assert_allclose(found["sq"], softness[at], atol=1e-6)
    strain, d2, _ = loadings["z-compression"]
    np.testing.assert_allclose(found["d2min_A2"], d2[np.argmin(abs(strain - 0.04))][at], rtol=1e-6)


# Stages -------------------------------------------------------------------------------------------

def scores(values, noise=0.004):
    common = rng.normal(0, noise, RESAMPLINGS)
    return [Score(v, v + common + rng.normal(0, noise / 10, RESAMPLINGS)) for v in values]


def test_stages_of_a_glass_that_shears():
    strain = np.arange(1, 41) * 0.0025
    share = np.where(strain < 0.03, strain, 0.03 + 3 * (strain - 0.03))          # 1, then 3 per strain
    # fast while the softest atoms slip, slow, and fast again: slopes -5, -0.5, -4
    auc = np.interp(strain, [0, 0.02, 0.065, 0.1], [0.90, 0.80, 0.7775, 0.6375])
    stress = np.where(strain < 0.06, 60 * strain, 3.6 - 40 * np.minimum(strain - 0.06, 0.02))
    found = stages.stages_of(strain, share, scores(auc), stress)
    assert found.onset == pytest.approx(0.0325) and found.peak == pytest.approx(0.06)
    # the window reaches forward by 0.01: half of it beyond the bend is enough
    assert 0.06 <= found.band <= 0.065
    words = [found.name(s) for s in (0.03, 0.05, 0.0625, 0.1)]
    assert words[:2] == ["elastic", "yield"] and words[3] == "band"
    alone = stages.stages_of(strain, share, scores(auc), None)
    assert np.isnan(alone.peak) and 0.055 <= alone.band <= 0.065


def test_no_stage_where_nothing_happens():
    strain = np.arange(1, 33) * 0.0025
    for noise in (0.0, 0.01):
        auc = 0.8 - 0.5 * strain
        found = stages.stages_of(strain, 0.5 * strain, scores(auc, noise), 50 * strain)
        assert np.isnan([found.onset, found.peak, found.band]).all()
        assert {found.name(s) for s in strain} == {"elastic"}
    # a fall that is within its interval is none
    auc[20:] -= 0.02
    wide = [Score(v, v + rng.normal(0, 0.05, RESAMPLINGS)) for v in auc]
    assert np.isnan(stages.stages_of(strain, strain, wide, None).band)


def glass_file(path, name, fall, stress_fall, seed):
    """A copy of glass 13 under another name, loaded to 0.08: the AUC falls and so does the stress."""
    shutil.copy(G13, path)
    generator = np.random.default_rng(seed)
    with h5py.File(path, "r+") as file:
        file.attrs["name"] = name
        for label in list(file["loadings"])[1:]:
            del file["loadings"][label]
        group = next(iter(file["loadings"].values()))
        d2 = group["d2min"][3]
        late = np.where(generator.random(len(d2)) < fall, generator.permutation(d2), d2)
        for key in ("strain", "stress", "d2min", "eta"):
            del group[key]
        group["strain"] = [0.04, 0.06, 0.08]
        group["stress"] = [-2.5, -3.0, -3.0 + stress_fall]
        group["d2min"], group["eta"] = np.array([d2, d2, late]), np.zeros((3, len(d2)))
    return path


def test_fall_of_auc_against_fall_of_stress(tmp_path):
    """Three glasses whose AUC falls the more the more their stress falls."""
    paths = [glass_file(tmp_path / f"{k}.h5", f"g{k}", 0.25 * k * k, 0.1 * k, k) for k in range(3)]
    model = load_model("cuzr")
    read = reading.read(paths, model)
    figure = stages.drop_figure(read, model, "")
    assert figure.missing is None
    fall = np.asarray(figure.columns["auc_fall"])
    np.testing.assert_allclose(figure.columns["stress_fall_GPa"], [0, 0.1, 0.2], atol=1e-6)
    assert fall[0] == 0 and (np.diff(fall) > 0).all()
    assert figure.columns["r2"][0] == pytest.approx(np.corrcoef([0, 1, 2], fall)[0, 1] ** 2)
    assert result.rendered(figure)["png"][:4] == b"\x89PNG"
    missing = stages.drop_figure(read[:2], model, "")
    assert "3 unseen glasses or more" in missing.missing and "g0, g1" in missing.missing


# Dumps and tables ---------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def softness():
    frame = read_data(GLASS)
    return api.softness(frame.positions, frame.types, frame.box.edges)


@pytest.fixture(scope="module")
def dumped(softness):
    """Frames of a run pulled along x: the reference, and three in which soft atoms slip."""
    out = [Frame(0, stretched(), softness)]
    for k in (1, 2, 3):
        slipped = rng.random(len(softness)) < 0.03 * k * softness
        slip = np.where(slipped[:, None], rng.normal(0, 1.2, (len(softness), 3)), 0.0)
        out.append(Frame(k, stretched(x=1 + 0.01 * k), softness, slip))
    return out


def write(path, frames, without=()):
    """A dump of ``frames``, without these columns."""
    lines = []
    for frame in frames:
        text = frame.text().splitlines()
        head = next(k for k, line in enumerate(text) if line.startswith("ITEM: ATOMS"))
        names = text[head].split()[2:]
        keep = [k for k, name in enumerate(names) if name not in without]
        lines += [*text[:head], f"ITEM: ATOMS {' '.join(names[k] for k in keep)}",
                  *(" ".join(words[k] for k in keep) for words in map(str.split, text[head + 1:]))]
    path.write_text("\n".join([*lines, ""]))
    return path


def test_a_dump_gives_what_it_holds(tmp_path, dumped, softness):
    path = write(tmp_path / "run.dump", dumped)
    model = load_model("cuzr")
    run, = reading.read([path], model)
    loading, = run.loadings
    assert (loading.label, run.composition, run.rate, run.seen, run.name) == (
        "x-tension", "Cu65Zr35", None, None, "run")
    np.testing.assert_allclose(loading.strain, [0.01, 0.02, 0.03], atol=1e-9)
    np.testing.assert_allclose(loading.d2min, [f.columns["d_d2min"] for f in dumped[1:]], rtol=1e-6)
    np.testing.assert_array_equal(runs.scored(run, model).softness, softness)
    figure = {f.number: f for f in stages.figures([run], model, 0.03)}["3b"]
    np.testing.assert_allclose(figure.columns["auc"], [expected_auc(f) for f in dumped[1:]], rtol=1e-9)
    assert "Whether the training of cuzr saw run is not known" in figure.caption
    # without S^q, and without D2min, both are computed: all but the atoms' ranks within a step
    for without in (("d_sq",), ("d_sq", "d_d2min", "d_eta", "i_site")):
        other, = reading.read([write(tmp_path / "run.dump", dumped, without)], model)
        np.testing.assert_allclose(other.loadings[0].d2min, loading.d2min, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(runs.scored(other, model).softness, softness, atol=1e-6)
    assert "against its first frame, step 0" in other.notes[0]


def test_a_table_of_a_run(tmp_path, dumped, softness):
    """Without positions there is an AUC, and no interval."""
    path, model = tmp_path / "run.h5", load_model("cuzr")
    put_table(path, dumped)
    run, = reading.read([path], model)
    assert run.structure is None and run.loadings[0].label == "x-tension"
    found = {f.number: f for f in figures.figures_of([run], model, 0.03, ["2a", "2b", "3a", "3b", "4a"])}
    assert "tables have no positions" in found["2a"].missing
    np.testing.assert_allclose(found["3b"].columns["auc"], [expected_auc(f) for f in dumped[1:]],
                               rtol=1e-5)
    assert np.isnan(found["3b"].columns["auc_low95"]).all()
    for number in ("2b", "3b"):
        assert result.rendered(found[number])["svg"]


def put_table(path, frames, columns=("d_sq", "d_d2min")):
    with h5py.File(path, "w") as file:
        file.attrs.update(names=["cn_voro"], elements=["Cu", "Zr"], feature_definition=1)
        for frame in frames:
            group = file.create_group(str(frame.step))
            group.attrs.update(box=frame.edges, composition=[0.65, 0.35])
            order = rng.permutation(len(frame.x))
            group["id"], group["i_site"] = order + 1, np.zeros(len(order), np.int32)
            group["features"] = np.zeros((len(order), 1))
            for name in columns:
                group[name] = frame.columns[name][order]
    return path


def test_loadings_of_a_glass_in_two_files_are_one_run(tmp_path):
    for name, gone in (("a", "x-compression"), ("b", "z-compression")):
        shutil.copy(G13, tmp_path / f"{name}.h5")
        with h5py.File(tmp_path / f"{name}.h5", "r+") as file:
            del file["loadings"][gone]
    run, = reading.read([tmp_path / "a.h5", tmp_path / "b.h5"], load_model("cuzr"))
    assert [x.label for x in run.loadings] == ["z-compression", "x-compression"]


def test_elements_in_another_order_or_fewer_are_those_of_the_model(tmp_path):
    path = tmp_path / "a.h5"
    shutil.copy(G13, path)
    with h5py.File(path, "r+") as file:
        file.attrs["elements"], file.attrs["name"] = ["Zr", "Cu"], "turned"
        file["types"][:] = 3 - file["types"][:]
    model = load_model("cuzr")
    turned, straight = reading.read([path, G13], model)
    assert turned.composition == "Zr35Cu65"
    np.testing.assert_allclose(*(runs.scored(run, model).margin for run in (turned, straight)))


# Wrong and mixed input ----------------------------------------------------------------------------

def changed(path, change):
    """A copy of glass 13 that ``change`` has changed."""
    shutil.copy(G13, path)
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def of_other_elements(file):
    file.attrs["elements"] = ["Ni", "Nb"]


def of_another_place(file):
    file["inherent"][0] += 1.0
    del file["loadings"]["x-compression"], file["loadings"]["z-compression"]
    group = file.create_group("loadings/y-compression")
    group.attrs.update(axis="y", sense="compression")
    n = len(file["types"])
    group["strain"], group["stress"] = [0.04], [0.0]
    group["d2min"], group["eta"] = np.zeros((1, n)), np.zeros((1, n))


def without_loadings(file):
    del file["loadings"]


@pytest.mark.parametrize("make, message", [
    (lambda t, d: [changed(t / "ni.h5", of_other_elements)],
     "ni.h5: has Ni (Ni Nb), but model cuzr knows Cu Zr: give --model"),
    (lambda t, d: [G13, G13], "glass-13.h5: is given twice"),
    (lambda t, d: [G13, changed(t / "copy.h5", lambda file: None)],
     "copy.h5: glass-13 x-compression is in"),
    (lambda t, d: [G13, changed(t / "other.h5", of_another_place)],
     "other.h5: its glass is called glass-13 like that of"),
    (lambda t, d: [changed(t / "idle.h5", without_loadings)], "idle.h5: this glass has no loadings"),
    (lambda t, d: [put_table(t / "t.h5", d, ("d_sq",))], "t.h5: this table has no column d_d2min"),
    (lambda t, d: [put_table(t / "t.h5", d, ("d_d2min",))], "t.h5: this table has no column d_sq"),
    (lambda t, d: [put_table(t / "t.h5", d[1:])], "t.h5: the strain is unknown"),
    (lambda t, d: [put_table(t / "t.h5", d[:1])], "t.h5: no frame is strained"),
    (lambda t, d: [write(t / "a.dump", d, ("d_d2min",))], "a.dump: has d_sq but no d_d2min"),
    (lambda t, d: [write(t / "a.dump", d[1:])], "a.dump: the strain is unknown"),
    (lambda t, d: [write(t / "a.dump", d[:1], ("d_d2min", "d_sq"))], "a.dump: no d_d2min, and no frame"),
    (lambda t, d: [write(t / "a.dump", [d[0], d[2], d[1]])], "a.dump: the strain goes back"),
    (lambda t, d: [write(t / "a.dump", [d[0], d[1], d[0], d[2]])], "a.dump: has several references"),
    (lambda t, d: [t / "none.h5"], "none.h5: No such file"),
    (lambda t, d: [t], "Is a directory"),
    (lambda t, d: [ROOT / "README.md"], "README.md"),
    (lambda t, d: [G13, "--only", "9z"], "--only 9z: there is no such figure, there are 2a, 2b"),
    (lambda t, d: [G13, "--model", "cuzy"], "model 'cuzy'"),
    (lambda t, d: [G13, "-o", G21], "glass-21.h5: this is a file, give a folder"),
])
def test_wrong_input_ends_with_one_line(tmp_path, dumped, capsys, make, message):
    words = [str(word) for word in make(tmp_path, dumped)]
    where = [] if "-o" in words else ["-o", str(tmp_path / "out")]
    assert main(["study", *words, *where]) == 1
    said = capsys.readouterr()
    assert message in said.err and said.err.count("\n") == 1 and said.err.startswith("mgml study: ")
    assert not (tmp_path / "out").exists() and not said.out


def test_softness_of_another_model_is_refused(tmp_path, dumped, capsys):
    for frame in (strange := [Frame(f.step, f.edges, 1 - f.columns["d_sq"]) for f in dumped]):
        frame.columns["d_d2min"] = dumped[frame.step].columns["d_d2min"]
    path = write(tmp_path / "a.dump", strange)
    assert main(["study", str(path), "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "a.dump: its d_sq are not those of model cuzr (median difference" in said


def test_runs_that_the_model_has_seen_are_in_no_score(tmp_path):
    model = load_model("cuzr")
    seen, = reading.read([G21], model)
    assert seen.seen
    for figure in stages.figures([seen], model, 0.04):
        assert "was trained on glass-21: a score there says nothing" in figure.missing
    figure = next(f for f in stages.figures([seen, *reading.read([G13], model)], model, 0.04)
                  if f.number == "4a")
    assert set(figure.columns["condition"]) == {"Cu65Zr35, 1e13 K/s"}


def test_files_of_an_earlier_study_do_not_stay(tmp_path):
    """A figure that is missing now must not be there from another time."""
    old = tmp_path / "figure-4b.png"
    old.write_bytes(b"old")
    result.write([result.Figure("4b", "title", missing="why")], tmp_path)
    assert not old.exists()
