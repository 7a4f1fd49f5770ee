"""Scorers against their oracles, bit for bit; model files to be refused; new kinds of models."""
import json
import os
import pickle
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import hostile_models
import lightgbm
import numpy as np
import pytest

from lammps_mgml import load_model
from lammps_mgml._kernels import scorers as kernels
from lammps_mgml.cli import main as mgml
from lammps_mgml.errors import InputError, ModelError
from lammps_mgml.features import TABLE3, catalogue
from lammps_mgml.models.checks import an_object, numbers
from lammps_mgml.models.forest import MAX_LEAVES, MAX_TREES
from lammps_mgml.models.model import (
    MAX_BYTES,
    SHIPPED,
    Forest,
    Linear,
    SoftnessModel,
    checksum_of,
    from_card,
    save_model,
    shipped_models,
    with_envelope,
)
from lammps_mgml.models.scorers import KINDS, register
from lammps_mgml.pipeline import PARAMETERS
from lammps_mgml.system.threads import threads, use_threads

WIDTH = len(TABLE3)
BASE = {"objective": "binary", "num_leaves": 15, "min_data_in_leaf": 20, "verbose": -1, "seed": 1,
        "num_threads": 1, "deterministic": True, "force_row_wise": True}
VARIANTS = {
    "plain": {},
    "shipped": {"num_leaves": 4, "max_depth": 2, "feature_fraction": 0.5, "bagging_fraction": 0.7,
                "bagging_freq": 1, "learning_rate": 0.05, "lambda_l2": 1.0},
    "zero as missing": {"zero_as_missing": True},
    "missing not used": {"use_missing": False},
    "deep": {"num_leaves": 255, "min_data_in_leaf": 2},
    "stump": {"num_leaves": 2},
    "regression": {"objective": "regression"},
    "dart": {"boosting": "dart"},
    "extra trees": {"extra_trees": True},
}


@cache
def training_rows(holes=True):
    """Features like the real ones, and some columns with zeros, counts and gaps."""
    rng = np.random.default_rng(10)
    x = rng.normal(0.5, 0.3, (4000, WIDTH))
    x[:, 7] = rng.integers(0, 9, len(x))
    x[:, 9] = np.round(x[:, 9], 1)
    x[rng.random(len(x)) < 0.3, 12] = 0.0
    y = (x[:, 0] + x[:, 7] / 5 - x[:, 12] + np.where(x[:, 3] > 0.5, 1, -1) * x[:, 9]
         + rng.normal(0, 0.3, len(x)) > 0.9).astype(float)
    if holes:
        x[rng.random(x.shape) < 0.05] = np.nan
    return x, y


def booster_of(variant, trees=30, holes=True):
    x, y = training_rows(holes)
    return lightgbm.train({**BASE, **VARIANTS[variant]}, lightgbm.Dataset(x, y), trees)


def hard_rows(forest, n=100_000):
    """Rows around the training data, with thresholds and special values in any column."""
    rng = np.random.default_rng(11)
    x = rng.normal(0.5, 0.5, (n, WIDTH))
    special = np.array([np.nan, 0.0, -0.0, np.inf, -np.inf, 5e-324, -1e-300, 1e300, 1e-36, -1e-36,
                        1e-34, -1e-34])
    for column in range(WIDTH):
        at = np.unique(forest.threshold[forest.feature == column])
        values = np.concatenate([special, *[np.nextafter(at, to) for to in (-9, 9)],
                                 *[at] * 6])
        put = rng.random(n) < 0.5
        x[put, column] = rng.choice(values, put.sum())
    return x


@pytest.mark.parametrize("holes", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
def test_scores_equal_those_of_lightgbm(variant, holes):
    booster = booster_of(variant, holes=holes)
    forest = Forest.from_lightgbm(booster.model_to_string(), WIDTH)
    rows = hard_rows(forest)
    assert (forest.shallow is not None) == (variant in ("shipped", "stump") and not holes)
    found = forest.raw_scores(rows)
    np.testing.assert_array_equal(found, booster.predict(rows, raw_score=True, num_threads=1))
    assert len(np.unique(found)) > (25 if variant == "stump" else 100)
    on_threshold = [np.isin(rows[:, c], forest.threshold[forest.feature == c]).sum()
                    for c in np.unique(forest.feature)]
    assert min(on_threshold) > 1000


def test_variants_reach_every_kind_of_missing_value():
    kinds = {kind & 12 for variant in VARIANTS for holes in (True, False) for kind in
             Forest.from_lightgbm(booster_of(variant, 5, holes).model_to_string(), WIDTH).kind}
    assert kinds == {0, 4, 8}


@pytest.mark.parametrize("value", [1e-35, np.float64(np.float32(1e-35)), 2e-35])
@pytest.mark.parametrize("variant", ["plain", "zero as missing"])
def test_values_around_what_lightgbm_takes_for_zero(variant, value):
    """LightGBM cuts at +- 1e-35 in single precision, and reads what lies between as 0."""
    booster = booster_of(variant)
    forest = Forest.from_lightgbm(booster.model_to_string(), WIDTH)
    x, _ = training_rows()
    rows = np.repeat(x[:50], 4 * WIDTH, axis=0)
    for column in range(WIDTH):
        for k, v in enumerate((value, -value, np.nextafter(value, 1), -np.nextafter(value, 0))):
            rows[4 * column + k::4 * WIDTH, column] = v
    np.testing.assert_array_equal(forest.raw_scores(rows),
                                  booster.predict(rows, raw_score=True, num_threads=1))


@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 200])
@pytest.mark.parametrize("variant, holes", [("plain", True), ("shipped", False)])
def test_any_number_of_rows(variant, holes, n):
    booster = booster_of(variant, 5, holes)
    rows = training_rows()[0][:n]
    found = Forest.from_lightgbm(booster.model_to_string(), WIDTH).raw_scores(rows)
    assert found.shape == (n,)
    if n:
        np.testing.assert_array_equal(found, booster.predict(rows, raw_score=True))


def test_rows_of_any_layout_and_type():
    forest = Forest.from_lightgbm(booster_of("plain", 5).model_to_string(), WIDTH)
    rows = training_rows()[0][:300]
    expected = forest.raw_scores(rows)
    np.testing.assert_array_equal(forest.raw_scores(np.asfortranarray(rows)), expected)
    np.testing.assert_array_equal(forest.raw_scores(np.repeat(rows, 2, axis=0)[::2]), expected)
    single = rows.astype(np.float32)
    same = single.astype(np.float64)
    np.testing.assert_array_equal(forest.raw_scores(single), forest.raw_scores(same))


def test_trees_of_one_leaf():
    x, _ = training_rows()
    booster = lightgbm.train({**BASE, "min_data_in_leaf": 3000},
                             lightgbm.Dataset(x, np.arange(len(x)) % 3 == 0), 3)
    forest = Forest.from_lightgbm(booster.model_to_string(), WIDTH)
    assert (forest.root < 0).all()
    np.testing.assert_array_equal(forest.raw_scores(x), booster.predict(x, raw_score=True))


def same_or_refused(booster):
    rows = training_rows()[0]
    try:
        forest = Forest.from_lightgbm(booster.model_to_string(), WIDTH)
    except ModelError:
        return
    np.testing.assert_array_equal(forest.raw_scores(rows), booster.predict(rows, raw_score=True))


def test_averaged_trees_are_not_summed():
    x, y = training_rows()
    same_or_refused(lightgbm.train({**BASE, "boosting": "rf", "bagging_fraction": 0.5,
                                    "bagging_freq": 1}, lightgbm.Dataset(x, y), 5))


@pytest.mark.parametrize("params, data", [
    ({"objective": "multiclass", "num_class": 3}, {}),
    ({"linear_tree": True, "objective": "regression"}, {}),
    ({}, {"categorical_feature": [7]}),
])
def test_trees_of_other_kinds_are_refused(params, data):
    x, y = training_rows(holes=False)
    labels = np.digitize(x[:, 0], [0.3, 0.6]) if "num_class" in params else y
    booster = lightgbm.train({**BASE, "min_data_per_group": 5, "cat_smooth": 1, **params},
                             lightgbm.Dataset(x, labels, params={"linear_tree": True}
                                              if "linear_tree" in params else None, **data), 5)
    with pytest.raises(ModelError):
        Forest.from_lightgbm(booster.model_to_string(), WIDTH)


def test_number_of_features_must_fit():
    text = booster_of("plain", 2).model_to_string()
    with pytest.raises(ModelError, match="12 features"):
        Forest.from_lightgbm(text, 12)


# ---- model files ----

@cache
def small_trees():
    return booster_of("shipped", 2).model_to_string()


def card(**changes):
    return {"name": "test", "elements": ["Cu", "Zr"], "masses": [63.546, 91.224],
            "features": list(TABLE3),
            "parameters": PARAMETERS, "positions": "inherent structure", "natural_share": 0.05,
            "calibration": {"margin": [-1.0, 0.0, 2.0], "probability": [0.0, 0.4, 1.0]},
            "trees": small_trees(), **changes}


def signed(path, **changes):
    """A model file whose checksum is right, whatever its content."""
    content = {**with_envelope(card()), **changes}
    path.write_text(json.dumps({**content, "checksum": checksum_of(content)}))
    return path


def test_saved_model_comes_back_the_same(tmp_path):
    path = tmp_path / "a.mgml"
    save_model(path, card(name="round trip"))
    assert [p.name for p in tmp_path.iterdir()] == ["a.mgml"]
    model = load_model(path)
    assert isinstance(model, SoftnessModel)
    assert (model.name, model.elements, model.features) == ("round trip", ("Cu", "Zr"), TABLE3)
    assert model.parameters == PARAMETERS and model.natural_share == 0.05
    rows = hard_rows(model.scorer, 5000)
    margins = booster_of("shipped", 2).predict(rows, raw_score=True)
    whole = ~np.isnan(rows).any(axis=1)
    expected = np.where(whole, np.interp(margins, [-1.0, 0.0, 2.0], [0.0, 0.4, 1.0]), np.nan)
    np.testing.assert_array_equal(model.softness(rows), expected)
    assert 0 < whole.sum() < len(rows)
    # saved again, it is the same file
    save_model(tmp_path / "b.mgml", json.loads(path.read_bytes()))
    assert (tmp_path / "b.mgml").read_bytes() == path.read_bytes()


def test_probability_is_moved_to_the_natural_share(tmp_path):
    save_model(tmp_path / "a.mgml", card())
    model = load_model(tmp_path / "a.mgml")
    # a likelihood ratio of 1 leaves the prior
    assert model.probability(0.5) == pytest.approx(0.05, rel=1e-14)
    odds = 0.8 / 0.2 * 0.05 / 0.95
    assert model.probability(0.8) == pytest.approx(odds / (1 + odds), rel=1e-14)


OTHERS = ("fep", "ka")               # shipped models of other systems than Cu-Zr
SOFT = {"above": 0.75, "factor": 3.0, "power": 0.5, "least": 0.04, "most": 0.16}


def test_share_of_a_glass_goes_by_its_soft_atoms(tmp_path):
    save_model(tmp_path / "a.mgml", card(share_by_soft_atoms=SOFT))
    model = load_model(tmp_path / "a.mgml")
    softness = np.full(1000, 0.3)
    softness[:90] = 0.8                       # with the NaN ones out, 9 in 90 atoms
    softness[100:200] = np.nan
    assert model.share_of(softness) == pytest.approx(0.05 * 3.0 * (90 / 900) ** 0.5, rel=1e-14)
    assert model.calibration.count_soft(softness) == (90, 900)
    # beyond what it was learnt from, the nearest of that
    softness[:] = 0.3
    assert model.share_of(softness) == pytest.approx(0.05 * 3.0 * 0.2, rel=1e-14)
    softness[:] = 0.8
    assert model.share_of(softness) == pytest.approx(0.05 * 3.0 * 0.4, rel=1e-14)
    # no atom with S^q tells nothing
    assert model.share_of(np.full(9, np.nan)) == model.share_of(np.empty(0)) == 0.05
    odds = 0.8 / 0.2 * 0.06 / 0.94
    assert model.probability(0.8, 0.06) == pytest.approx(odds / (1 + odds), rel=1e-14)
    save_model(tmp_path / "b.mgml", card())
    assert load_model(tmp_path / "b.mgml").share_of(softness) == 0.05


@pytest.mark.parametrize("change, message", [
    ({"above": 1.5}, "share_by_soft_atoms.above"), ({"factor": 0.0}, "share_by_soft_atoms.factor"),
    ({"power": 11.0}, "share_by_soft_atoms.power"), ({"power": "x"}, "share_by_soft_atoms.power"),
    ({"least": 0.5}, "least must not be above its most"), ({"most": float("nan")}, "share_by_soft_atoms.most")])
def test_numbers_that_give_no_share_are_refused(tmp_path, change, message):
    with pytest.raises(ModelError, match=message):
        load_model(signed(tmp_path / "a.mgml", share_by_soft_atoms={**SOFT, **change}))
    rest = {k: v for k, v in SOFT.items() if k != next(iter(change))}
    with pytest.raises(ModelError, match=f"share_by_soft_atoms.{next(iter(change))} is missing"):
        load_model(signed(tmp_path / "a.mgml", share_by_soft_atoms=rest))
    with pytest.raises(ModelError, match="share_by_soft_atoms must be an object"):
        load_model(signed(tmp_path / "a.mgml", share_by_soft_atoms=[1.0]))


@pytest.mark.parametrize("share", [0.05, 0.06, 0.063, 0.2, 0.5, 0.7])
def test_probability_of_the_certain_is_certain(tmp_path, share):
    save_model(tmp_path / "a.mgml", card(natural_share=share))
    ends = load_model(tmp_path / "a.mgml").probability(np.array([0.0, 1.0]))
    np.testing.assert_array_equal(ends, [0.0, 1.0])


def test_a_card_that_is_wrong_is_not_written(tmp_path):
    path = tmp_path / "a.mgml"
    save_model(path, card())
    before = path.read_bytes()
    with pytest.raises(ModelError):
        save_model(path, card(natural_share=2.0))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.mgml"]


@pytest.fixture(scope="module")
def model_bytes(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "a.mgml"
    save_model(path, card())
    return path.read_bytes()


def test_truncated_file_is_refused(tmp_path, model_bytes):
    path = tmp_path / "a.mgml"
    for n in [*range(0, len(model_bytes) - 1, 97), len(model_bytes) - 1]:
        path.write_bytes(model_bytes[:n])
        with pytest.raises(ModelError):
            load_model(path)


@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80, 0xFF])
def test_flipped_byte_is_refused_or_means_the_same(tmp_path, model_bytes, flip):
    """White space and 1e-05 / 1E-05 may change: then the content is the same to the last bit."""
    path = tmp_path / "a.mgml"
    whole = json.loads(model_bytes)
    accepted = 0
    for at in range(flip % 13, len(model_bytes), 13):
        damaged = bytearray(model_bytes)
        damaged[at] ^= flip
        path.write_bytes(damaged)
        try:
            load_model(path)
        except ModelError as error:
            assert str(path) in str(error)
        else:
            accepted += 1
            assert json.loads(bytes(damaged)) == whole
    assert accepted < 0.02 * len(model_bytes) / 13


def test_edited_model_is_refused(tmp_path, model_bytes):
    path = tmp_path / "a.mgml"
    content = json.loads(model_bytes)
    content["natural_share"] = 0.06
    path.write_text(json.dumps(content))
    with pytest.raises(ModelError, match="checksum"):
        load_model(path)


def trees_with(key, change):
    """The model text with one line of the last tree changed."""
    head, _, tail = small_trees().rpartition(f"\n{key}=")
    line, end, rest = tail.partition("\n")
    return f"{head}\n{key}={change(line.split())}{end}{rest}"


def first(value):
    return lambda words: " ".join([value, *words[1:]])


DAMAGE = {
    "child is its own parent": ("left_child", first("0")),
    "child before its parent": ("right_child", lambda words: " ".join([*words[:-1], "0"])),
    "child far away": ("left_child", first("999")),
    "leaf far away": ("left_child", first("-999")),
    "leaf reached twice": ("left_child", lambda words: " ".join(["-1"] * len(words))),
    "child is a fraction": ("left_child", first("1.5")),
    "NaN threshold": ("threshold", first("nan")),
    "no threshold": ("threshold", lambda words: " ".join(words[1:])),
    "threshold is a word": ("threshold", first("soft")),
    "unknown feature": ("split_feature", first("13")),
    "negative feature": ("split_feature", first("-1")),
    "categorical split": ("decision_type", first("1")),
    "unknown missing type": ("decision_type", first("12")),
    "NaN leaf": ("leaf_value", first("nan")),
    "infinite leaf": ("leaf_value", first("inf")),
    "no leaf": ("leaf_value", lambda words: ""),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_trees_are_refused_though_the_checksum_is_right(tmp_path, damage):
    text = trees_with(*DAMAGE[damage])
    assert text != small_trees()
    with pytest.raises(ModelError, match="a.mgml: .*tree 1"):
        load_model(signed(tmp_path / "a.mgml", trees=text))


LINEAR = {"weights": [[0.5, 1.0, -2.0], [0.0, 3.0, 0.25]], "intercept": [0.125, -1.0]}
THREE = ["element_type", "density_cu_3", "density_zr_4_avg"]


def test_linear_model_weighs_by_the_site_s_element(tmp_path):
    save_model(tmp_path / "a.mgml", {**card(features=THREE, linear=LINEAR), "trees": None})
    model = load_model(tmp_path / "a.mgml")
    rows = np.array([[0.0, 1.0, 0.5], [1.0, 1.0, 0.5], [0.0, np.nan, 0.5], [1.0, 0.0, 0.0]])
    np.testing.assert_array_equal(model.margins(rows), [0.125, 2.125, np.nan, -1.0])
    np.testing.assert_array_equal(model.softness(rows), [0.4375, 1.0, np.nan, 0.0])
    for wrong in (2.0, -1.0):
        with pytest.raises(ModelError, match="none of the model's elements"):
            model.margins(np.array([[wrong, 0.0, 0.0]]))
    assert model.margins(rows[:0]).shape == (0,)


@pytest.mark.parametrize("linear, features, message", [
    ({**LINEAR, "weights": LINEAR["weights"][:1]}, THREE, "2 elements and 3 features"),
    ({**LINEAR, "intercept": [1.0]}, THREE, "2 elements and 3 features"),
    ({**LINEAR, "intercept": [1.0, float("nan")]}, THREE, "not finite"),
    (LINEAR, THREE[::-1], "must be element_type"),
    ({"weights": LINEAR["weights"]}, THREE, "intercept"),
    ({**LINEAR, "weights": [["a", 1, 2]] * 2}, THREE, r"a.mgml: linear.weights\[0\]\[0\] must be"),
    ([], THREE, "a.mgml: linear must be an object, not a list"),
])
def test_damaged_weights_are_refused_though_the_checksum_is_right(tmp_path, linear, features,
                                                                  message):
    with pytest.raises(ModelError, match=message):
        load_model(signed(tmp_path / "a.mgml", linear=linear, features=features, trees=None))


@pytest.mark.parametrize("changes, message", [
    ({"format": "mgml"}, "not a model file"),
    ({"schema": 1}, "schema 1.*reads 2"),
    ({"schema": None}, "schema None"),
    ({"feature_definition": 99}, "feature definition 99.*train it again"),
    ({"features": ["facet_area_sdt", *TABLE3[1:]]}, "features that this version does not compute"),
    ({"features": [TABLE3[1], *TABLE3[1:]]}, "features"),
    ({"features": list(TABLE3[:12])}, "12 features"),
    ({"features": []}, "a.mgml"),
    ({"features": None}, "a.mgml"),
    ({"trees": ""}, "a.mgml"),
    ({"trees": "tree\nnum_class=1\nmax_feature_idx=12\n"}, "no trees"),
    ({"trees": 7}, "a.mgml"),
    ({"elements": []}, "elements"),
    ({"masses": [63.5]}, "masses do not fit"),
    ({"natural_share": 0.0}, "natural share"),
    ({"natural_share": "often"}, "a.mgml"),
    ({"natural_share": float("nan")}, "natural share"),
    ({"parameters": {"near_cutoff": 4.0}}, "open_radius"),
    ({"calibration": {"margin": [0.0, 0.0], "probability": [0.0, 1.0]}}, "calibration"),
    ({"calibration": {"margin": [0.0, 1.0], "probability": [0.6, 0.5]}}, "calibration"),
    ({"calibration": {"margin": [0.0, 1.0], "probability": [0.6, 1.5]}}, "calibration"),
    ({"calibration": {"margin": [0.0, 1.0], "probability": [0.6]}}, "a.mgml"),
    ({"calibration": {"margin": [0.0, float("inf")], "probability": [0.0, 1.0]}}, "calibration"),
    ({"calibration": {"margin": [], "probability": []}}, "calibration"),
    ({"calibration": 0.5}, "a.mgml"),
])
def test_wrong_cards_are_refused_though_the_checksum_is_right(tmp_path, changes, message):
    with pytest.raises(ModelError, match=f"a.mgml: .*{message}|{message}"):
        load_model(signed(tmp_path / "a.mgml", **changes))


@pytest.mark.parametrize("key", ["name", "elements", "masses", "features", "parameters", "positions",
                                 "natural_share", "calibration", "trees"])
def test_missing_entry_is_named(tmp_path, key):
    content = with_envelope(card())
    del content[key]
    path = tmp_path / "a.mgml"
    path.write_text(json.dumps({**content, "checksum": checksum_of(content)}))
    with pytest.raises(ModelError, match=key):
        load_model(path)


class Intruder:
    def __reduce__(self):
        return exec, ("raise SystemExit('a pickle was run')",)


@pytest.mark.parametrize("content", [
    pickle.dumps(Intruder()), pickle.dumps(Intruder(), protocol=0), b"", b"\x00" * 100, b"null",
    b"[]", b"3", b'"mgml-model"', b"[" * 100_000, b'{"format": ' + b"1" * 10_000 + b"}",
    "{}".encode("utf-16"), b"\xff\xfe{", b"tree\nversion=v4\n"])
def test_files_of_other_kinds_are_refused(tmp_path, content):
    path = tmp_path / "a.mgml"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not a model file"):
        load_model(path)


def test_huge_file_is_refused_unread(tmp_path):
    path = tmp_path / "a.mgml"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ModelError, match=f"larger than {MAX_BYTES >> 20} MiB"):
        load_model(path)


@pytest.mark.parametrize("name", ["cuzrr", "no/such/file.mgml", "", "."])
def test_missing_file_lists_the_shipped_models(name):
    with pytest.raises(ModelError) as error:
        load_model(name)
    assert f"shipped models: {', '.join(shipped_models()) or 'none'}" in str(error.value)


def test_shipped_models_load_and_tell_scores_on_glasses_they_never_saw():
    assert set(shipped_models()) == {"cuzr", "cuzr-axial", "cuzr-wang13", "cuzr-vibration",
                                     "cuzr-axial-vibration", "cuzr-axial-hot", *OTHERS}
    for name in shipped_models():
        model = load_model(name)
        assert model.card["checksum"] == model.checksum and model.name == name
        if name == "cuzr-wang13":
            assert set(model.features) <= {f.name for f in catalogue()}
        scores = model.card["scores"]
        for one in (scores["all"], *scores["loadings"].values()):
            assert 0.6 < one["auc"] < 0.9 and one["auc_error"] > 0
            # one avalanche more or less moves a single loading by half
            assert 0.45 < one["expected_plastic"] / one["plastic"] < 2.2
        # of the small glasses of other systems there are but two
        within = (0.75, 1.3) if name in OTHERS else (0.8, 1.2)
        assert within[0] < scores["all"]["expected_plastic"] / scores["all"]["plastic"] < within[1]
        assert not set(model.card["training"]["glasses"]) & {
            loading.split(".")[0] for loading in scores["loadings"]}


# ---- scorers ----

def rows_of(model, n):
    rows = np.random.default_rng(n).normal(0.4, 0.5, (n, len(model.features)))
    if model.features[0] == "element_type":
        rows[:, 0] = np.arange(n) % len(model.elements)
    return rows


@pytest.mark.parametrize("name", ["cuzr", "cuzr-axial-vibration"])
def test_linear_margins_are_the_plain_sum_to_the_last_bit(name):
    model = load_model(name)
    rows = rows_of(model, 700)
    expected = []
    for row in rows.tolist():
        total, e = 0.0, int(row[0])
        for w, v in zip(model.scorer.weights[e].tolist(), row):
            total += w * v
        expected.append(total + float(model.scorer.intercept[e]))
    np.testing.assert_array_equal(model.margins(rows), expected)


@pytest.fixture
def again():
    """The number of threads is put back."""
    before = threads()
    yield
    use_threads(before)


@pytest.mark.parametrize("n", [0, 1, 511, 513, 5000])
@pytest.mark.parametrize("kind", ["weights", "two levels", "deep"])
def test_margins_do_not_depend_on_threads_or_on_the_other_rows(again, kind, n):
    if kind == "weights":
        model = load_model("cuzr-axial")
        scorer, rows = model.scorer, rows_of(model, n)
    else:
        booster = booster_of("shipped" if kind == "two levels" else "deep", 20, False)
        scorer = Forest.from_lightgbm(booster.model_to_string(), WIDTH)
        rows = np.random.default_rng(n).normal(0.5, 0.3, (n, WIDTH))
        assert (scorer.shallow is not None) == (kind == "two levels")
    use_threads(1)
    one = scorer.raw_scores(rows)
    for number in (2, 3, 7):
        use_threads(number)
        np.testing.assert_array_equal(scorer.raw_scores(rows), one)
    np.testing.assert_array_equal(scorer.raw_scores(rows[n // 3:]), one[n // 3:])


@pytest.mark.parametrize("element", [np.nan, np.inf, -np.inf, -1.0, -0.5, 0.5, 3.0, 2.0**31, 2.0**63,
                                     -2.0**31, 1e300])
def test_kernel_of_weights_reads_no_row_of_an_element_that_is_not_there(element):
    weights, out = np.arange(12.0).reshape(3, 4), np.zeros(3)
    rows = np.array([[1.0, 1, 1, 1], [element, 1, 1, 1], [2.0, 1, 1, 1]])
    kernels.linear_scores(rows, weights, np.array([0.5, 0.25, 0.125]), out, 2)
    np.testing.assert_array_equal(out, [4 + 5 + 6 + 7 + 0.25, np.nan, 2 * 8 + 9 + 10 + 11 + 0.125])


def test_sites_of_an_unknown_element_are_told_from_undefined_ones():
    scorer = Linear(np.ones((2, 3)), np.zeros(2))
    found = scorer.raw_scores(np.array([[np.nan, 1, 1], [1, 1, 1], [1, 0, np.nan]]))
    np.testing.assert_array_equal(found, [np.nan, 3, np.nan])
    for element in (0.5, 2.0, -1.0, np.inf):
        with pytest.raises(ModelError, match="none of the model's elements.*0 to 1"):
            scorer.raw_scores(np.array([[0.0, 1, 1], [element, 1, 1]]))


@pytest.mark.parametrize("name", ["cuzr", "cuzr-wang13"])
def test_rows_of_another_width_are_refused(name):
    model = load_model(name)
    n = len(model.features)
    for shape in ((5, n - 1), (5, n + 1), (5, 0), (n,), (2, 5, n)):
        with pytest.raises(InputError, match=rf"shape \(n, {n}\)"):
            model.margins(np.zeros(shape))
        with pytest.raises(InputError, match=rf"shape \(n, {n}\)"):
            model.scorer.raw_scores(np.zeros(shape))


def test_softness_stays_within_0_and_1_at_the_last_knots():
    """Interpolated, the value just below a knot may round to more than the knot's."""
    for name in shipped_models():
        calibration = load_model(name).calibration
        at = calibration.knots[0]
        beside = [np.nextafter(at, to) for to in (-np.inf, np.inf)]
        margins = np.concatenate([at, *beside, [-1e300, 1e300]])
        found = calibration.softness(margins)
        assert found.min() >= 0 and found.max() <= 1
        np.testing.assert_array_equal(found[:len(at)], calibration.knots[1])


# ---- another kind of model, in one place ----

@pytest.fixture
def nearest():
    """A kind of model that the package does not have: minus the distance to the nearest centre."""

    @register
    @dataclass(frozen=True)
    class Nearest:
        entry: ClassVar[str] = "nearest"
        in_card: ClassVar[bool] = True

        centres: np.ndarray

        @classmethod
        def from_card(cls, content, features, n_elements):
            rows = an_object(content, "nearest").get("centres", [])
            centres = [numbers(row, f"nearest.centres[{k}]", len(features))
                       for k, row in enumerate(rows)]
            if not centres or {len(row) for row in centres} != {len(features)}:
                raise ModelError(f"nearest.centres must be rows of {len(features)} numbers")
            return cls(np.array(centres))

        def raw_scores(self, features):
            return -np.linalg.norm(features[:, None] - self.centres, axis=2).min(axis=1)

    yield Nearest
    del KINDS["nearest"]


def test_a_new_kind_of_model_takes_one_class(tmp_path, nearest):
    content = {"centres": [[0.0] * WIDTH, [1.0] * WIDTH]}
    path = tmp_path / "own.mgml"
    save_model(path, {**card(name="own", nearest=content), "trees": None})
    model = load_model(path)
    assert isinstance(model.scorer, nearest) and model.card["nearest"] == content
    rows = np.array([[0.25] * WIDTH, [1.0] * WIDTH, [np.nan, *[0.0] * (WIDTH - 1)]])
    expected = [-0.25 * np.sqrt(WIDTH), 0.0, np.nan]
    np.testing.assert_allclose(model.margins(rows), expected, rtol=1e-15)
    np.testing.assert_allclose(model.softness(rows), np.interp(expected, [-1.0, 0.0, 2.0],
                                                               [0.0, 0.4, 1.0]))
    with pytest.raises(ModelError, match="own.mgml: nearest.centres must be rows of 13 numbers"):
        load_model(signed(path, nearest={"centres": [[1.0]]}, trees=None))
    with pytest.raises(ModelError, match="both .*trees.*one is expected"):
        load_model(signed(path, nearest=content))
    with pytest.raises(ValueError, match="'nearest' of model files belongs to Nearest"):
        register(type("Other", (), {"entry": "nearest"}))


def test_a_file_of_a_kind_that_is_not_there_names_those_that_are(tmp_path):
    with pytest.raises(ModelError, match="none of .*trees.*nothing makes scores"):
        load_model(signed(tmp_path / "a.mgml", nearest={}, trees=None))


# ---- hostile files ----

WRONG = {
    "list among features": ({"features": [*TABLE3[:-1], ["cn_voro"]]},
                            r"features\[12\] must be a text, not a list"),
    "object among elements": ({"elements": ["Cu", {"Zr": 1}]}, r"elements\[1\] must be a text"),
    "elements as one text": ({"elements": "CuZr"}, "elements must be a list, not a text"),
    "elements that differ by case": ({"elements": ["zr", "Zr"]}, "different symbols"),
    "eleven elements": ({"elements": [f"X{k}" for k in range(11)]}, "at most 10 entries, not 11"),
    "a sentence for an element": ({"elements": ["Cu", "Zr and Al"]}, "symbols of a letter"),
    "positions is a number": ({"positions": 4}, "positions must be a text, not a number"),
    "huge share": ({"natural_share": 10**300}, "natural_share is a whole number beyond"),
    "share near 0": ({"natural_share": 1e-300}, "from 1e-06 to 0.999999, not 1e-300"),
    "huge mass": ({"masses": [63.5, 10**350]}, r"masses\[1\] is a whole number beyond"),
    "mass of true": ({"masses": [63.5, True]}, r"masses\[1\] must be a number, not True"),
    "infinite mass": ({"masses": [63.5, float("inf")]}, r"masses\[1\] is not finite"),
    "near cutoff beyond": ({"parameters": {**PARAMETERS, "near_cutoff": 9.5}},
                           "parameters.near_cutoff must be a number from 2 to 8 A, not 9.5"),
    "negative open radius": ({"parameters": {**PARAMETERS, "open_radius": -2.0}},
                             "parameters.open_radius must be a number from 2 to 8 A, not -2"),
    "NaN open radius": ({"parameters": {**PARAMETERS, "open_radius": float("nan")}},
                        "parameters.open_radius must be a number from 2 to 8 A, not nan"),
    "large facets": ({"parameters": {**PARAMETERS, "small_facet": 0.75}},
                     "parameters.small_facet must be a number from 0 to 0.5 of"),
    "facets as text": ({"parameters": {**PARAMETERS, "small_facet": "0.05"}}, "not '0.05'"),
    "a parameter of another version": ({"parameters": {**PARAMETERS, "far_cutoff": 6.0}},
                                       "'far_cutoff', which this version does not know"),
    "steep calibration": ({"calibration": {"margin": [0.0, 1e-310], "probability": [0.0, 1.0]}},
                          "calibration's margins must rise"),
    "many knots": ({"calibration": {"margin": list(range(20_000)), "probability": [0.5] * 20_000}},
                   "at most 10000 entries, not 20000"),
    "name of control characters": ({"name": "\x1b[2J"}, "printable characters"),
    "other units": ({"units": "nano"}, "units must be metal or lj, not 'nano'"),
    "label in part": ({"label": {"cutoff": 4.5}}, "label.d2min is missing"),
    "training on a number": ({"training": {"glasses": [1]}}, r"training.glasses\[0\] must be a text"),
    "NaN where nobody looks": ({"remark": {"a": [0, float("nan")]}}, r"remark.a\[1\] is not finite"),
    "schema as 2.0": ({"schema": 2.0}, "schema 2.0"),
    "definition as true": ({"feature_definition": True}, "feature definition True"),
    "depth": ({"remark": [[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]}, "nested deeper than 20"),
    "trees and weights": ({"linear": {}}, "both .*one is expected"),
    "head that announces more trees": ({"trees": "tree\nnum_class=1\nmax_feature_idx=12\n"
                                        "tree_sizes=9 9\n\nTree=0\nleaf_value=1\n"},
                                       "2 trees are announced, but there are 1"),
    "very many trees": ({"trees": "tree\nnum_class=1\nmax_feature_idx=12\n"
                         + "\nTree=0\nleaf_value=1\n" * (MAX_TREES + 1)}, f"at most {MAX_TREES}"),
    "a very large tree": ({"trees": "tree\nnum_class=1\nmax_feature_idx=12\n\nTree=0\nleaf_value="
                           + "1 " * MAX_LEAVES + "1"}, f"more than {MAX_LEAVES} numbers"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_in_one_line(tmp_path, what):
    changes, message = WRONG[what]
    with pytest.raises(ModelError, match=f"^{tmp_path / 'a.mgml'}: .*{message}") as error:
        load_model(signed(tmp_path / "a.mgml", **changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text, message", [
    ('"natural_share": 0.5,', "the key 'natural_share' comes twice"),
    ('"remark": {"a": 1, "a": 1},', "the key 'a' comes twice"),
    (f'"remark": {"[" * 400}{"]" * 400},', "nested deeper than 20"),
    (f'"remark": {"[" * 40_000}{"]" * 40_000},', "JSON is expected"),
    (f'"remark": [0{",[]" * 60_000}],', "more than 50000 objects and lists"),
    (f'"remark": [0{",0" * 600_000}],', "or 500000 values"),
    (f'"remark": {"9" * 5000},', "JSON is expected"),
])
def test_odd_json_is_refused_before_anything_is_made_of_it(tmp_path, model_bytes, text, message):
    path = tmp_path / "a.mgml"
    path.write_bytes(model_bytes.replace(b"{", b"{" + text.encode(), 1))
    with pytest.raises(ModelError, match=f"^{path}.*{message}"):
        load_model(path)


def test_what_is_no_file_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelError, match="pipe is no regular file"):
        load_model(tmp_path / "pipe")


def test_scores_that_could_not_be_computed_are_null_in_the_file(tmp_path):
    path = tmp_path / "a.mgml"
    save_model(path, card(scores={"all": {"auc": float("nan")}}))
    assert json.loads(path.read_text())["scores"] == {"all": {"auc": None}}
    assert load_model(path).card["scores"]["all"]["auc"] is None
    for value in (float("nan"), float("inf")):
        with pytest.raises(ModelError, match="natural_share"):
            save_model(path, card(natural_share=value))


def test_a_model_that_cannot_be_written_is_told_in_one_line(tmp_path):
    with pytest.raises(ModelError, match="no/a.mgml: cannot be written: No such file"):
        save_model(tmp_path / "no" / "a.mgml", card())


def test_cards_in_memory_may_hold_tuples_but_nothing_that_json_has_not():
    assert from_card(with_envelope(card(elements=("Cu", "Zr"))), "x").elements == ("Cu", "Zr")
    content = {**with_envelope(card()), "remark": {1: 2}}
    with pytest.raises(ModelError, match="x: remark has a key that is no text: 1"):
        from_card({**content, "checksum": "sha256:0"}, "x")
    with pytest.raises(ModelError, match="x: remark is a set, no JSON value"):
        from_card({**content, "remark": {1, 2}}, "x")


def test_a_card_without_training_scores_but_is_not_shown(tmp_path, capsys):
    save_model(tmp_path / "a.mgml", card())
    assert mgml(["model", "show", str(tmp_path / "a.mgml")]) == 1
    assert "model test: its file has no training" in capsys.readouterr().err
    whole = json.loads((SHIPPED / "cuzr.mgml").read_text())
    del whole["scores"]["all"]["auc"]
    save_model(tmp_path / "b.mgml", whole)
    assert mgml(["model", "show", str(tmp_path / "b.mgml")]) == 1
    assert "the scores in its file are not those" in capsys.readouterr().err


def test_hostile_files_are_refused_or_score_within_bounds():
    """In a process of its own, each within a second and 200 MB; hostile_models.py runs more."""
    counts, seconds, megabytes, failures = hostile_models.run(500, 20261124)
    assert not failures
    assert counts["refused"] > 300 and counts["loaded"] > 30
    assert seconds < hostile_models.SECONDS and megabytes < hostile_models.MEGABYTES
