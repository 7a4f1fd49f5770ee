"""Glasses, labels, recipes and scores: from the committed data to a model."""
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from decks import ROOT, mgml

from lammps_mgml import load_model
from lammps_mgml.cli.score import print_scores, score_all
from lammps_mgml.errors import InputError
from lammps_mgml.features import TABLE3, resolve
from lammps_mgml.io.dump import read_dump
from lammps_mgml.io.glass import read_glass, write_glass
from lammps_mgml.plasticity.d2min import d2min
from lammps_mgml.system.box import Box
from lammps_mgml.train.dataset import read_loadings
from lammps_mgml.train.evaluate import (
    auc,
    auc_with_error,
    bootstrap,
    event_ranks,
    reliability,
    together,
)
from lammps_mgml.train.fit import Boosting, Logistic, folds, out_of_fold, share_of
from lammps_mgml.train.recipes import draw, not_constant, not_doubled, paper_learner, reduce

GLASSES = ROOT / "inputs" / "glasses"
G11, G12, G13, UNSEEN = (GLASSES / f"glass-{k}.h5" for k in (11, 12, 13, 26))


@pytest.fixture(scope="module")
def loadings():
    return read_loadings([G11, G12, G13])


def test_glass_file_holds_what_its_dump_says():
    glass = read_glass(G13)
    first, *later = read_dump(GLASSES / "glass-13.z-compression.dump.gz")
    moved = (glass.positions - first.positions) @ first.box.inverse
    np.testing.assert_allclose(moved, np.round(moved), atol=1e-6)     # but for whole boxes
    np.testing.assert_array_equal(glass.types, first.types)
    np.testing.assert_allclose(glass.box, first.box.edges)
    loaded = next(x for x in glass.loadings if x.name == "z-compression")
    for frame in later:
        found = d2min(first.positions, first.box.edges, frame.positions, frame.box.edges)
        k = np.argmin(abs(loaded.strain - 0.001 * frame.step))
        np.testing.assert_allclose(loaded.d2min[k], found.d2min, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(loaded.eta[k], found.eta, rtol=1e-6, atol=1e-7)
    assert glass.composition == "Cu65Zr35" and -4.40 < glass.energy < -4.38
    assert len(glass.provenance["potential_sha256"]) == 64
    assert glass.made["seed"] == 13


def test_glass_file_is_written_whole_and_read_back(tmp_path):
    glass = read_glass(G11)
    write_glass(tmp_path / "g.h5", glass)
    again = read_glass(tmp_path / "g.h5")
    np.testing.assert_array_equal(again.positions, glass.positions)
    np.testing.assert_array_equal(again.loadings[0].d2min, glass.loadings[0].d2min)
    np.testing.assert_array_equal(again.watched["msd"], glass.watched["msd"])
    assert again.made == glass.made and again.loadings[0].name == glass.loadings[0].name
    assert not list(tmp_path.glob("*.part"))
    (tmp_path / "g.h5").write_bytes((tmp_path / "g.h5").read_bytes()[:5000])
    with pytest.raises(InputError, match="g.h5 is no glass file"):
        read_glass(tmp_path / "g.h5")


def test_loadings_of_a_glass_and_of_its_dump_are_the_same():
    path = GLASSES / "glass-13.z-compression.dump.gz"
    with pytest.raises(InputError, match="does not tell the elements"):
        read_loadings([path])
    dump, = read_loadings([path], ("Cu", "Zr"))
    glass = next(x for x in read_loadings([G13]) if x.load == "z compression")
    assert dump.name == glass.name == "glass-13.z-compression" and dump.glass == "glass-13"
    assert (dump.plastic(0.04) != glass.plastic(0.04)).mean() < 1e-3
    a, b = dump.features(TABLE3), glass.features(TABLE3)
    # written with 7 digits: a facet in thousands comes to lie beyond the threshold for small ones
    assert (abs(a - b) > 1e-3).any(axis=1).mean() < 3e-3
    np.testing.assert_array_equal(dump.blocks, glass.blocks)
    with pytest.raises(InputError, match="no frame at strain 0.07; it has 0.01"):
        glass.plastic(0.07)


def test_cubes_do_not_depend_on_the_image():
    from lammps_mgml.train.dataset import cubes

    box, rng = Box.from_lammps((41.0, 35.0, 50.0), (5.0, -7.0, 9.0)), np.random.default_rng(2)
    inside = box.vectors(rng.uniform(0.01, 0.99, (500, 3)))
    found = cubes(box, inside)
    assert set(found) == set(range(3 * 2 * 3))
    outside = inside + box.vectors(rng.integers(-2, 3, (500, 3)).astype(float))
    np.testing.assert_array_equal(cubes(box, outside), found)


@pytest.mark.parametrize("so", ["gone", "another"])
def test_a_dump_that_loses_atoms_is_no_loading(tmp_path, so):
    def frame(step, ids):
        rows = "".join(f"{k} {1 + k % 2} {2.5 * k % 7.5} {2.5 * (k // 3)} 1\n" for k in ids)
        return (f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{len(ids)}\n"
                f"ITEM: BOX BOUNDS pp pp pp\n0 7.5\n0 7.5\n0 7.5\n"
                f"ITEM: ATOMS id type x y z\n{rows}")
    others = [k for k in range(1, 7) if k != 3] + ([9] if so == "another" else [])
    path = tmp_path / "glass-99.x-tension.dump"
    path.write_text(frame(0, range(1, 7)) + frame(10, others))
    with pytest.raises(InputError, match="step 10: other atoms than in the first frame"):
        read_loadings([path], ("Cu", "Zr"))


def test_features_go_by_the_load_only_where_they_must(loadings):
    x, z = (next(one for one in loadings if one.name == f"glass-13.{a}-compression") for a in "xz")
    assert x.features(TABLE3) is z.features(TABLE3), "computed once for a glass"
    assert (x.features(("axial_cu_2",)) != z.features(("axial_cu_2",))).mean() > 0.9


def test_auc_and_bootstrap_know_of_blocks():
    rng = np.random.default_rng(1)
    labels = rng.random(3000) < 0.1
    scores = labels + rng.normal(0, 1, 3000)
    positive, negative = scores[labels], scores[~labels]
    definition = ((positive[:, None] > negative).mean()
                  + 0.5 * (positive[:, None] == negative).mean())
    assert abs(auc(labels, scores) - definition) < 1e-12
    weights = bootstrap(np.arange(3000) // 100, 50)
    assert (weights.sum(axis=1) == 3000).all()
    assert (weights.reshape(50, 30, 100).std(axis=2) == 0).all(), "whole blocks"
    # the same numbers ten times over are no more information
    blocks = np.arange(3000)
    few = auc_with_error(labels, scores, blocks)[1]
    many = auc_with_error(np.tile(labels, 10), np.tile(scores, 10), np.tile(blocks, 10))[1]
    assert 0.7 < many / few < 1.4


def test_difference_of_two_models_is_paired():
    rng = np.random.default_rng(2)
    labels = rng.random(4000) < 0.1
    good = labels + rng.normal(0, 1, 4000)
    worse = good + rng.normal(0, 0.3, 4000)
    blocks = np.arange(4000) // 40
    sets = [("a", labels, blocks, [good, worse])]
    value, error, interval = together(sets)
    assert interval[0] > 0 and interval[0] < value[0] - value[1] < interval[1]
    assert interval[1] - interval[0] < 2 * error[0], "narrower than two errors apart"
    assert together([("a", labels, blocks, [good, good])])[2] == [0.0, 0.0]


def test_event_ranks_take_the_core_of_each_cluster():
    box = Box.make((30.0, 30.0, 30.0), (True,) * 3)
    grid = np.stack(np.meshgrid(*[np.arange(10) * 3.0] * 3, indexing="ij"), -1).reshape(-1, 3)
    labels = np.zeros(1000, dtype=bool)
    labels[[0, 1, 9, 555]] = True                # 0, 1 and, through the boundary, 9; and one alone
    d2 = np.zeros(1000)
    d2[[0, 1, 9, 555]] = 6, 9, 7, 8
    score = np.arange(1000.0)
    np.testing.assert_allclose(event_ranks(labels, d2, score, grid, box),
                               [1 - 2 / 1000, 1 - 556 / 1000])


def test_reliability_counts_atoms_in_tenths():
    probability = np.repeat([0.1, 0.5], 500)
    labels = np.r_[np.arange(500) < 50, np.arange(500) < 250]
    order = np.random.default_rng(1).permutation(1000)          # atoms come in any order
    rows = reliability(labels[order], probability[order], 2)
    assert rows == [{"atoms": 500, "predicted": pytest.approx(0.1), "found": 0.1},
                    {"atoms": 500, "predicted": 0.5, "found": 0.5}]


def test_folds_are_whole_glasses():
    glass = np.repeat(np.arange(7), 10)
    left = np.zeros(70, dtype=int)
    for rest, out in folds(glass):
        assert not set(glass[rest]) & set(glass[out]) and (rest ^ out).all()
        left += out
    assert (left == 1).all() and len(folds(glass)) == 5
    with pytest.raises(InputError, match="at least two training glasses"):
        folds(np.zeros(9))


def test_out_of_fold_margins_know_nothing_of_their_glass():
    """Labels that are noise but the same for equal rows: only a leak could score."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(6000, 4))
    y = rng.random(6000) < 0.3
    glass = np.repeat([0, 1, 2], 2000)
    learner = Boosting(60, {"num_leaves": 31, "min_data_in_leaf": 2, "learning_rate": 0.3})
    assert abs(auc(y, out_of_fold(learner, x, y, glass)) - 0.5) < 0.03
    assert auc(y, learner.fit(x, y).predict(x)) > 0.9


def test_logistic_regression_finds_what_each_element_goes_by():
    """Data made by known weights, other ones for each element."""
    rng = np.random.default_rng(6)
    kind = rng.integers(0, 2, 60000)
    x = np.column_stack([kind, rng.normal(3, [0.01, 5], (60000, 2))])      # of unequal scales
    truth = np.array([[0, 100, 0.4], [0, -200, 0.1]])
    margin = ((x - [0, 3, 3]) * truth[kind]).sum(axis=1) - np.array([3.0, 4.0])[kind]
    y = rng.random(60000) < 1 / (1 + np.exp(-margin))
    learner = Logistic(C=1.0)
    linear = learner.fit(x, y)
    np.testing.assert_allclose(linear.weights[:, 1:], truth[:, 1:], rtol=0.1)
    found = learner.margins(linear, x)
    np.testing.assert_allclose(found, ((x * linear.weights[kind]).sum(axis=1)
                                       + linear.intercept[kind]), atol=1e-9)
    # both classes equal in all, but the rarer element's atoms stay rarer
    shift = found - margin
    odds = y.mean() / (1 - y.mean())
    assert abs(shift.mean() + np.log(odds)) < 0.1
    assert abs(shift[kind == 0].mean() - shift[kind == 1].mean()) < 0.15
    with pytest.raises(InputError, match="no plastic atoms"):
        learner.fit(x, y & (kind == 0))


def test_equal_draws_and_weights_balance_the_classes():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(20000, 3))
    y = rng.random(20000) < 0.05 / (1 + np.exp(-2 * x[:, 0])) * 2
    for draws in (True, False):
        booster = Boosting(50, {"num_leaves": 4, "min_data_in_leaf": 20}, draws).fit(x, y)
        p = booster.predict(x)
        assert 0.4 < p.mean() < 0.6, "both classes equal: a half, not one in twenty"
    rows = draw(y, np.arange(20000) // 10000, 1)
    assert y[rows].mean() == 0.5 and y[rows].sum() == y.sum()
    with pytest.raises(InputError, match="no plastic atoms"):
        share_of(np.zeros(5))


def test_filters_drop_what_is_constant_or_doubled():
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(2, 2000)).astype(np.float32)
    rare = np.zeros(2000, np.float32)
    rare[:5] = 1
    x = np.stack([a, np.full(2000, 3, np.float32), rare, -2 * a + 0.001 * b, b,
                  a + 0.3 * b], axis=1)
    assert not_constant(x).tolist() == [True, False, False, True, True, True]
    assert not_doubled(x[:, [0, 3, 4, 5]]).tolist() == [True, False, True, True]


def test_paper_recipe_reduces_746_to_13(loadings, monkeypatch):
    """The steps on real glasses, with few trees to be quick."""
    from lammps_mgml.train import recipes

    monkeypatch.setattr(recipes, "PAPER_TREES", 25)
    monkeypatch.setattr(recipes, "TOP", 18)
    names, steps = reduce([x for x in loadings if x.glass != "glass-13"], 0.04, log=lambda _: None)
    assert len(names) == len(set(names)) == 13 and set(names) <= set(resolve("all"))
    assert 700 < steps["not near-constant"] < 746
    assert 450 < steps["no |r| > 0.99"] < 620
    assert 0.6 < steps["AUC of the 13"] < 0.8
    assert sum(name.startswith(("facet_area", "distance", "subpoly")) for name in names) >= 5


def test_paper_learner_takes_the_square_root_of_the_features():
    assert paper_learner(49).parameters["feature_fraction_bynode"] == pytest.approx(1 / 7)


def test_model_trains_from_the_committed_data_to_the_shipped_one(tmp_path):
    """The default model, on the glasses that its card names, scored on one of the unseen."""
    shipped = load_model("cuzr").card
    path = tmp_path / "w.mgml"
    text = mgml("train", *(GLASSES / f"{g}.h5" for g in shipped["training"]["glasses"]),
                "--unseen", UNSEEN, "--name", "cuzr", "-o", path)
    assert f"wrote {path}" in text and "baseline type + CN" in text
    made = load_model(path).card
    assert made["training"]["loadings"] == shipped["training"]["loadings"]
    for name, one in made["scores"]["loadings"].items():
        assert abs(one["auc"] - shipped["scores"]["loadings"][name]["auc"]) < 0.002
    np.testing.assert_allclose(made["linear"]["weights"], shipped["linear"]["weights"], rtol=1e-4,
                               atol=1e-3)


@pytest.mark.slow
def test_score_of_unseen_glasses_is_that_of_the_card():
    found = json.loads(mgml("score", "cuzr-axial", UNSEEN, "--against", "cuzr-wang13", "--json"))
    card = load_model("cuzr-axial").card["scores"]["loadings"]
    assert set(found["loadings"]) < set(card) and len(found["loadings"]) >= 2
    for name, one in found["loadings"].items():
        assert one["plastic"] == card[name]["plastic"]
        assert abs(one["auc"] - card[name]["auc"]) < 1e-9
    against = found["all"]["against"]
    assert against["interval95"][0] > 0.02, "what lies along the load tells more than the 13"
    assert abs(against["difference"] - (found["all"]["auc"] - against["auc"])) < 1e-12


def test_loadings_without_a_plastic_atom_are_left_out_of_a_score(capsys):
    one, *_ = read_loadings([UNSEEN])
    still = replace(one, load="y tension", d2min={s: 0.0 * d for s, d in one.d2min.items()})
    model = load_model("cuzr-wang13")
    both = score_all(model, [one, still], 0.04)
    assert both["without_plastic"] == ["glass-26.y-tension"]
    print_scores(both)
    assert "left out, no plastic atom: glass-26.y-tension" in capsys.readouterr().out
    alone = score_all(model, [one], 0.04)
    assert "probabilities_at" not in alone
    assert both["all"] == alone["all"] and "without_plastic" not in alone
    json.dumps(both, allow_nan=False)
    with pytest.raises(InputError, match="no atom is plastic at strain 0.04 in glass-26.y-tension"):
        score_all(model, [still], 0.04)


def test_a_score_at_another_strain_than_the_models_says_so():
    words = ("score", "cuzr-wang13", G13, "--strain", "0.02")
    assert "the model's probabilities are of strain 0.04" in mgml(*words)
    assert json.loads(mgml(*words, "--json"))["probabilities_at"] == 0.04


@pytest.mark.parametrize("words, message", [
    (["score", "cuzr", G11], "was trained on glass-11"),
    (["score", "cuzr-wang13", G13, "--against", "none"], "model 'none'"),
    (["score", "cuzr", G13, "--strain", "0.5"], "no frame at strain 0.5"),
    (["train", G11, G12, "--unseen", G12, "-o", "x.mgml"], "glass-12 cannot be trained on"),
    (["train", G11, "--unseen", G13, "-o", "x.mgml"], "at least two training glasses"),
    (["train", G11, G12, "--unseen", G13, "--features", "cnn", "-o", "x"], "unknown feature 'cnn'"),
    (["score", "cuzr-vibration", GLASSES / "glass-13.z-compression.dump.gz"],
     "glass-13 comes without the vibrations of its atoms"),
    (["dataset", "show", __file__], "is no glass file"),
    (["dataset", "pack", "nowhere", "-o", "{tmp}", "--seeds", "a-b"], "--seeds 'a-b'"),
])
def test_wrong_words_end_with_one_line(tmp_path, words, message):
    text = mgml(*(str(w).format(tmp=tmp_path) for w in words), ok=False)
    assert message in text and len(text.splitlines()) == 1


def test_card_can_be_read():
    text = mgml("model", "show", "cuzr-axial")
    for word in ("glass-11, glass-12, glass-21", "yes: variable mgml_load", "strain 0.04",
                 "calibration", "sha256:", "glass-26.z-compression"):
        assert word in text
    assert "by vibrations     no" in text
    assert "by vibrations     yes: column d_msd" in mgml("model", "show", "cuzr-vibration")
    assert json.loads(mgml("model", "cuzr", "--json"))["name"] == "cuzr"
    assert "cuzr-wang13" in mgml("model").split()


def test_dataset_shows_glasses_by_energy():
    lines = mgml("dataset", "show", G11, G12, G13).splitlines()[1:]
    energies = [float(re.search(r"-4\.\d+", line)[0]) for line in lines]
    assert len(lines) == 3 and energies == sorted(energies)
    assert "x-compression 5.9%" in [line for line in lines if line.startswith("glass-13")][0]


def test_share_needed_is_the_one_that_gives_the_share_found():
    from lammps_mgml.train.share import share_needed

    calibration, softness = load_model("cuzr").calibration, np.random.default_rng(1).random(5000)
    for found in (0.001, 0.04, 0.5):
        share = share_needed(calibration, softness, found)
        assert calibration.probability(softness, share).mean() == pytest.approx(found, rel=1e-9)
    with pytest.raises(InputError, match="no share of plastic atoms gives 100 %"):
        share_needed(calibration, softness, 1.0)


def test_kinds_of_glass_teach_the_share_of_plastic_atoms(tmp_path):
    """Of glasses whose plastic atoms are those of S^q itself, the line is found again."""
    model = load_model("cuzr")
    words = ("train", G11, G12, "--unseen", UNSEEN, "--features", "element_type,density", "-o", tmp_path / "a.mgml")
    aged = GLASSES / "glass-51-aged.h5"
    assert "glass-26 cannot be trained on and be unseen" in mgml(*words, "--kinds", UNSEEN, ok=False)
    assert "3 glasses are the least, there are 2" in mgml(*words, "--kinds", G11, aged, ok=False)
    mgml(*words, "--kinds", G11, GLASSES / "glass-41.h5", aged)
    learnt = json.loads((tmp_path / "a.mgml").read_text())["share_by_soft_atoms"]
    assert learnt["glasses"] == ["glass-11", "glass-41", "glass-51-aged"] and learnt["power"] > 0
    text = mgml("model", "show", tmp_path / "a.mgml")
    assert "in a glass with a share x of atoms of S^q > 0.75" in text
    # the shipped one, on a glass of another make: nearer to what is found than without
    loading = read_loadings([aged])[0]
    softness = model.softness(loading.features(model.features, parameters=model.parameters))
    expected = model.probability(softness, model.share_of(softness)).sum()
    plain = model.probability(softness).sum()
    plastic = loading.plastic(0.04).sum()
    assert abs(expected / plastic - 1) < min(0.3, plain / plastic - 1)
