"""Trees against LightGBM's own predict, and model files that must be refused."""
import json
import pickle

import numpy as np
import pytest

from lammps_mgml.catalogue import TABLE3
from lammps_mgml.errors import ModelError
from lammps_mgml.model import (Forest, checksum_of, from_card, load_model, save_model,
                               shipped_models, with_envelope)

lightgbm = pytest.importorskip("lightgbm", reason="not run: lightgbm is not installed")


def booster(rows=20000, features=13, seed=0, trees=60, **parameters):
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=(rows, features)), 2)
    if parameters.pop("holes", False):
        x[rng.uniform(size=x.shape) < 0.1] = np.nan
    y = (np.nan_to_num(x)[:, 0] * np.nan_to_num(x)[:, 1] + rng.normal(size=rows)) > 0.5
    return lightgbm.train({"objective": "binary", "num_leaves": 15, "num_threads": 1,
                           "verbose": -1, **parameters}, lightgbm.Dataset(x, y.astype(int)), trees)


@pytest.mark.parametrize("parameters", [
    {}, {"holes": True}, {"holes": True, "zero_as_missing": True},
    {"use_missing": False}, {"num_leaves": 2}, {"min_data_in_leaf": 15000}])
def test_scores_are_lightgbms_bit_for_bit(parameters):
    model = booster(**parameters)
    forest = Forest.from_lightgbm(model.model_to_string(), 13)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(100_000, 13))
    x[:, :4] = np.round(x[:, :4], 2)
    if len(forest.threshold):                      # values exactly on a threshold
        hit = rng.integers(0, len(forest.threshold), size=50_000)
        x[np.arange(50_000), forest.feature[hit]] = forest.threshold[hit]
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-36, -1e-36, 1e-30])
    x[-8000:, rng.integers(0, 13, size=6)] = special[rng.integers(0, 8, size=(8000, 6))]
    expected = model.predict(x, raw_score=True, num_threads=1)
    np.testing.assert_array_equal(forest.raw_scores(x), expected)


def card(**changes):
    out = {"name": "small", "elements": ["Cu", "Zr"], "masses": [63.546, 91.224],
           "features": list(TABLE3), "natural_share": 0.05,
           "parameters": {"near_cutoff": 4.0, "open_radius": 3.6, "small_facet": 0.05},
           "calibration": {"margin": [-1.0, 0.0, 1.5], "probability": [0.1, 0.5, 0.9]},
           "trees": booster(rows=2000, trees=3, num_leaves=4).model_to_string()}
    return {**out, **changes}


def test_round_trip(tmp_path):
    path = tmp_path / "small.mgml"
    save_model(path, card())
    model = load_model(path)
    x = np.random.default_rng(0).normal(size=(500, 13))
    x[3, 5] = np.nan
    s = model.softness(x)
    assert np.isnan(s[3]) and np.isnan(s).sum() == 1
    assert 0.1 <= np.nanmin(s) and np.nanmax(s) <= 0.9
    np.testing.assert_allclose(model.probability(np.array([0.5])), 0.05)
    assert list(tmp_path.iterdir()) == [path]


def test_every_flipped_byte_is_refused(tmp_path):
    path = tmp_path / "small.mgml"
    save_model(path, card())
    good = path.read_bytes()
    same = json.loads(good)
    accepted = 0
    for k in range(0, len(good), 7):
        for bit in (0, 3, 6):
            path.write_bytes(good[:k] + bytes([good[k] ^ (1 << bit)]) + good[k + 1:])
            try:
                load_model(path)
                accepted += json.loads(path.read_bytes()) != same   # white space may change freely
            except ModelError as e:
                assert "small.mgml" in str(e)
    assert accepted == 0


@pytest.mark.parametrize("content", [
    b"", b"{", b"[]", b"null", b'{"format": "other"}', pickle.dumps({"a": 1}), b"\xff\xfe\x00",
    b"[" * 100_000])
def test_not_a_model_file(tmp_path, content):
    path = tmp_path / "x.mgml"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not a model file"):
        load_model(path)


def test_truncated(tmp_path):
    path = tmp_path / "small.mgml"
    save_model(path, card())
    good = path.read_bytes()
    for n in range(0, len(good) - 1, 97):
        path.write_bytes(good[:n])
        with pytest.raises(ModelError):
            load_model(path)


def tree_text(**lines):
    text = card()["trees"]
    out = []
    for line in text.split("\n"):
        key = line.split("=")[0]
        out.append(f"{key}={lines[key]}" if key in lines else line)
    return "\n".join(out)


@pytest.mark.parametrize("changes, text", [
    (dict(features=["x", *TABLE3[1:]]), "features"),
    (dict(features=list(TABLE3[:-1])), "13 features|12 features"),
    (dict(natural_share=0.0), "natural share"),
    (dict(natural_share="many"), "ValueError"),
    (dict(elements=[]), "elements"),
    (dict(calibration={"margin": [0, 0], "probability": [0, 1]}), "calibration"),
    (dict(calibration={"margin": [0, 1], "probability": [1, 0]}), "calibration"),
    (dict(trees=""), "trees"),
    (dict(trees=7), "AttributeError"),
    (dict(trees=tree_text(left_child="0 1 2")), "damaged"),
    (dict(trees=tree_text(right_child="-2 -3 0")), "damaged"),
    (dict(trees=tree_text(threshold="nan 1 2")), "damaged"),
    (dict(trees=tree_text(split_feature="0 1 99")), "damaged"),
    (dict(trees=tree_text(split_feature="0 1 0.5")), "whole numbers"),
    (dict(trees=tree_text(leaf_value="1 2 3 inf")), "not finite"),
    (dict(trees=tree_text(leaf_value="1 2")), "splits"),
    (dict(parameters={}), "KeyError"),
])
def test_unsound_content_is_refused_though_the_checksum_fits(changes, text):
    with pytest.raises(ModelError, match=text):
        from_card(with_envelope(card(**changes)), "x.mgml")


def test_other_schema_and_definition_say_what_to_do():
    for key in ("schema", "feature_definition"):
        wrong = {**with_envelope(card()), key: 99}
        wrong["checksum"] = checksum_of(wrong)
        with pytest.raises(ModelError, match="install|train"):
            from_card(wrong, "x.mgml")


def test_missing_model_lists_those_that_are_there():
    with pytest.raises(ModelError, match="shipped models: .*cuzr"):
        load_model("nosuch")


def test_shipped_models_load_and_tell_their_scores():
    assert "cuzr" in shipped_models()
    for name in shipped_models():
        model = load_model(name)
        assert model.elements == ("Cu", "Zr")
        for scores in model.card["scores"].values():
            assert 0.5 < scores["auc"] < 0.85
            assert scores["auc_error"] > 0
        assert not set(model.card["training"]["glasses"]) & {
            s.split(".")[0] for s in model.card["scores"]}
