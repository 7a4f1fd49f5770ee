"""What each feature adds to a margin: against LightGBM, against all subsets, and as users meet it."""
import re
from dataclasses import replace
from functools import cache
from itertools import combinations
from math import factorial

import lightgbm
import numpy as np
import pytest
from decks import GLASS, ROOT, mgml
from glasses import crystal, glass, slab
from test_softness import BASE, VARIANTS, WIDTH, booster_of, training_rows

import lammps_mgml
from lammps_mgml.errors import InputError, ModelError
from lammps_mgml.io.glass import read_glass
from lammps_mgml.io.table import read_table
from lammps_mgml.models.contributions import place_among
from lammps_mgml.models.model import Forest, Linear, load_model

G26 = ROOT / "inputs" / "glasses" / "glass-26.h5"
EXACT = 1e-12


@cache
def shipped():
    """(model, features of glass-13) of the shipped trees and of a shipped linear model."""
    system = glass()
    found = []
    for name in ("cuzr-wang13", "cuzr"):
        model = load_model(name)
        found.append((model, lammps_mgml.featurize(*system, features=model.features, **model.parameters)))
    return found


# Trees -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("holes", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
def test_contributions_of_trees_are_those_of_lightgbm(variant, holes):
    booster = booster_of(variant, 8, holes)
    forest = Forest.from_lightgbm(booster.model_to_string(), WIDTH)
    rows = training_rows(holes)[0][:150]
    found, base = forest.contributions(rows, rows)
    theirs = booster.predict(rows, pred_contrib=True, num_threads=1)
    np.testing.assert_allclose(found, theirs[:, :-1], rtol=0, atol=1e-10)
    np.testing.assert_allclose(base, theirs[:, -1], rtol=0, atol=1e-10)
    np.testing.assert_allclose(base + found.sum(axis=1), forest.raw_scores(rows), rtol=0, atol=EXACT)
    assert abs(found).max() > 0.1 or variant == "dart"


def expected_margin(forest, node, row, known):
    """Margin of one tree if only the features ``known`` of a row are known."""
    if node < 0:
        return forest.leaf[~node]
    feature, children = forest.feature[node], (forest.left[node], forest.right[node])
    if feature in known:
        return expected_margin(forest, children[not row[feature] <= forest.threshold[node]], row, known)
    came = [forest.passed[0][c] if c >= 0 else forest.passed[1][~c] for c in children]
    return sum(n * expected_margin(forest, c, row, known)
               for n, c in zip(came, children)) / forest.passed[0][node]


def test_contributions_of_trees_are_shapley_values_over_all_subsets():
    """The definition: the mean over all orders of what a feature adds as it becomes known."""
    x, y = training_rows(holes=False)
    x = np.ascontiguousarray(x[:, :5])
    booster = lightgbm.train({**BASE, "num_leaves": 12}, lightgbm.Dataset(x, y), 4)
    forest = Forest.from_lightgbm(booster.model_to_string(), 5)
    rows = x[:6]
    found, base = forest.contributions(rows, rows)
    for row, values in zip(rows, found):
        worth = {known: sum(expected_margin(forest, root, row, known) for root in forest.root)
                 for size in range(6) for known in combinations(range(5), size)}
        assert base == pytest.approx(worth[()], abs=EXACT)
        for k, value in enumerate(values):
            others = [known for known in worth if k not in known]
            share = sum(factorial(len(s)) * factorial(4 - len(s)) / factorial(5)
                        * (worth[tuple(sorted((*s, k)))] - worth[s]) for s in others)
            assert value == pytest.approx(share, abs=EXACT)
    assert max(len(np.unique(forest.feature[a:b])) for a, b in zip(
        forest.root, [*forest.root[1:], len(forest.feature)])) >= 3


def test_base_value_of_trees_is_the_mean_margin_of_the_training():
    x, y = training_rows(holes=False)
    booster = booster_of("plain", 8, holes=False)
    forest = Forest.from_lightgbm(booster.model_to_string(), WIDTH)
    _, base = forest.contributions(x[:1], x[:1])
    assert base == pytest.approx(forest.raw_scores(x).mean(), abs=1e-10)


def test_rows_do_not_depend_on_the_rows_beside_them(monkeypatch):
    model, features = shipped()[0]
    whole, _ = model.scorer.contributions(features[:700], features)
    monkeypatch.setattr("lammps_mgml.models.forest.ENTRIES_AT_ONCE", 1 << 14)
    parts, _ = model.scorer.contributions(features[100:700], features)
    np.testing.assert_allclose(parts, whole[100:], rtol=0, atol=1e-14)


@pytest.mark.parametrize("change", [
    lambda text: re.sub(r"\nleaf_count=[^\n]*", "", text),
    lambda text: re.sub(r"\ninternal_count=\d+", r"\ninternal_count=7", text),
    lambda text: re.sub(r"\nleaf_count=\d+", r"\nleaf_count=1.5", text),
    lambda text: re.sub(r"\nleaf_count=\d+ ", r"\nleaf_count=", text)])
def test_trees_that_do_not_tell_how_many_rows_went_where_are_scored_but_not_explained(change):
    text = booster_of("plain", 3).model_to_string()
    forest = Forest.from_lightgbm(change(text), WIDTH)
    rows = training_rows()[0][:5]
    np.testing.assert_array_equal(forest.raw_scores(rows),
                                  Forest.from_lightgbm(text, WIDTH).raw_scores(rows))
    with pytest.raises(ModelError, match="do not tell how many rows .* train the model again"):
        forest.contributions(rows, rows)


# Linear models -----------------------------------------------------------------------------------

def test_contributions_of_linear_weights():
    rng = np.random.default_rng(3)
    rows = np.column_stack([rng.integers(0, 2, 400), rng.normal(2.0, 1.0, (400, 4))])
    linear = Linear(rng.normal(size=(2, 5)), np.array([0.3, -2.0]))
    found, base = linear.contributions(rows[:50], rows)
    margins = linear.raw_scores(rows)
    assert base == pytest.approx(margins.mean(), abs=EXACT)
    np.testing.assert_allclose(base + found.sum(axis=1), margins[:50], rtol=0, atol=EXACT)
    for row, values in zip(rows[:50], found):
        e = int(row[0])
        here = rows[rows[:, 0] == e]
        np.testing.assert_allclose(values[1:], linear.weights[e, 1:] * (row[1:] - here[:, 1:].mean(0)),
                                   rtol=0, atol=EXACT)
        assert values[0] == pytest.approx(margins[rows[:, 0] == e].mean() - base, abs=EXACT)
    with pytest.raises(InputError, match="no atom of type 2 to compare with"):
        linear.contributions(rows, rows[rows[:, 0] == 0])


# Of a structure ----------------------------------------------------------------------------------

@pytest.mark.parametrize("k", [0, 1])
def test_contributions_of_a_glass_add_up_to_its_margins(k):
    model, features = shipped()[k]
    found = lammps_mgml.contributions(*glass(), model=model)
    margins = model.margins(features)
    np.testing.assert_allclose(found.margins, margins, rtol=0, atol=EXACT)
    np.testing.assert_allclose(found.base + found.by_family().sum(axis=1), margins, rtol=0,
                               atol=EXACT)
    if k:                                    # against the mean atom of each element
        assert found.families == ("element", "density", "density_avg", "density_avg2", "stiffness")
        np.testing.assert_allclose(found.values[:, 1:].mean(axis=0), 0.0, atol=1e-10)
    else:
        assert len(found.families) == 7 and "facet_area_stats" in found.families
        at = [name == "distance_stats" for name in found.family_of]
        np.testing.assert_allclose(found.by_family()[:, found.families.index("distance_stats")],
                                   found.values[:, at].sum(axis=1), atol=EXACT)


def test_atoms_without_a_margin_have_no_contributions_and_are_not_compared_with():
    system = slab(glass())
    model = load_model("cuzr")
    found = lammps_mgml.contributions(*system, model=model)
    features = lammps_mgml.featurize(*system, features=model.features, **model.parameters)
    undefined = np.isnan(model.margins(features))
    assert 100 < undefined.sum() < 0.7 * len(undefined)
    np.testing.assert_array_equal(np.isnan(found.values), undefined[:, None] & np.ones(
        len(model.features), bool))
    assert found.base == pytest.approx(np.nanmean(model.margins(features)), abs=EXACT)


def test_a_model_that_does_not_tell_says_so():
    class Mute:
        entry, in_card = "mute", True

        def raw_scores(self, features):
            return np.zeros(len(features))

    model, features = shipped()[1]
    with pytest.raises(ModelError, match="model cuzr: Mute does not tell what each feature adds"):
        replace(model, scorer=Mute()).contributions(features)
    with pytest.raises(InputError, match=r"a background of shape \(m, 67\), not \(8000, 3\)"):
        model.contributions(features, features[:, :3])


def test_place_among_the_atoms_of_the_element():
    features = np.array([[1.0], [2.0], [2.0], [4.0], [np.nan], [9.0], [7.0]])
    kinds = np.array([1, 1, 1, 1, 1, 2, 2])
    np.testing.assert_array_equal(place_among(features, kinds, np.arange(7))[:, 0],
                                  [0.0, 0.5, 0.5, 1.0, np.nan, 1.0, 0.0])
    np.testing.assert_array_equal(place_among(features, np.arange(7), np.array([2])), [[np.nan]])


# As users meet it --------------------------------------------------------------------------------

def printed(text):
    """{atom: (element, S^q, margin, base, {family: what it adds})} of what ``mgml why`` prints."""
    out = {}
    for block in text.split("\natom ")[1:]:
        head, *lines = block.strip().splitlines()
        atom, element, softness, margin, base, _ = re.fullmatch(
            r"(\d+) \((\w+)\): S\^q ([\d.]+), margin (\S+) = (\S+) ([+-] [\d.]+)", head).groups()
        out[int(atom)] = (element, float(softness), float(margin), float(base),
                          {line.split()[0]: float(line.split()[1]) for line in lines[1:]
                           if not line.startswith("    ")})
    return out


def test_why_of_the_softest_atoms_of_a_glass_file():
    text = mgml("why", "cuzr-wang13", G26, "--softest", "2", "--shown", "1")
    told = printed(text)
    found = read_glass(G26)
    softness = lammps_mgml.softness(found.positions, found.types, found.box, model="cuzr-wang13")
    assert set(told) <= set(np.flatnonzero(softness >= np.sort(softness)[-2]) + 1) and len(told) == 2
    why = lammps_mgml.contributions(found.positions, found.types, found.box, model="cuzr-wang13")
    features = lammps_mgml.featurize(found.positions, found.types, found.box, features=why.features)
    for atom, (element, sq, margin, base, families) in told.items():
        assert element == ("Cu", "Zr")[found.types[atom - 1] - 1]
        assert (sq, margin, base) == pytest.approx(
            (softness[atom - 1], why.margins[atom - 1], why.base), abs=5.1e-4)
        assert families == pytest.approx(dict(zip(why.families, why.by_family()[atom - 1])),
                                         abs=5.1e-4)
        assert list(families.values()) == sorted(families.values(), reverse=True)
        for name, value, add, place in re.findall(r"^    (\w+) +(\S+) +(\S+) +(\d+)$", text.split(
                f"\natom {atom} ")[1].split("\n\n")[0], re.M):
            k = why.features.index(name)
            assert float(value) == pytest.approx(why.values[atom - 1, k], abs=5.1e-4)
            assert float(add) == pytest.approx(features[atom - 1, k], rel=1e-3)
            others = features[found.types == found.types[atom - 1], k]
            below = [(others < features[atom - 1, k]).mean(), (others <= features[atom - 1, k]).mean()]
            assert int(place) == pytest.approx(50 * sum(below), abs=0.6)
    assert text.count("    and ") == 4 and text.count(" facet_area_std ") == 2


def test_why_of_atoms_of_a_data_file():
    told = printed(mgml("why", "cuzr", GLASS, "--atoms", "17,4"))
    why = lammps_mgml.contributions(*glass(), model="cuzr")
    assert list(told) == [17, 4]
    for atom, (_, _, _, _, families) in told.items():
        assert families == pytest.approx(dict(zip(why.families, why.by_family()[atom - 1])),
                                         abs=5.1e-4)


@pytest.mark.parametrize("words, message", [
    (("cuzr", GLASS, "--atoms", "17,x"), "--atoms '17,x': write ids separated by commas"),
    (("cuzr", GLASS, "--atoms", "8001"), "--atoms 8001: no such atom; ids are 1 to 8000"),
    (("cuzr", GLASS, "--softest", "0"), "--softest 0: must be 1 or more"),
    (("cuzr", GLASS, "--shown", "-1"), "--shown -1: must be 0 or more"),
    (("cuzr", GLASS, "--frame", "1"), "has not so many frames"),
    (("cuzr", GLASS, "--frame", "-1"), "frames are counted from 0"),
    (("cuzr", GLASS, "--elements", "Zr Cu"), "model cuzr knows types Cu Zr, not Zr Cu"),
    (("cuzr", GLASS, "--boundary", "p p"), "--boundary 'p p'"),
    (("cuzr", G26, "--boundary", "p p p"), "--boundary: a glass file tells its own"),
    (("cuzr", G26, "--frame", "1"), "a glass file has one structure"),
    (("cuzr-axial", GLASS), "give --load z"),
    (("nothing", GLASS), "shipped models:")])
def test_why_of_what_cannot_be_told_is_one_line(words, message):
    text = mgml("why", *words, ok=False)
    assert message in text and len(text.splitlines()) == 1


def test_table_of_features_has_contributions(tmp_path):
    mgml("featurize", GLASS, "--features", "cn_voro", "--model", "cuzr", "--contributions", "-o",
         tmp_path / "a.h5")
    table = read_table(tmp_path / "a.h5", 0)
    why = lammps_mgml.contributions(*glass(), model="cuzr")
    for name, column in zip(why.families, why.by_family().T):
        np.testing.assert_allclose(table[f"c_{name}"], column, rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        load_model("cuzr").calibration.softness(table["attributes"]["margin_base"] + sum(
            table[f"c_{name}"] for name in why.families)), table["d_sq"], rtol=0, atol=1e-9)
    assert "give --model" in mgml("featurize", GLASS, "--contributions", ok=False)


def test_crystal_has_nothing_to_tell_apart():
    """Equal surroundings: of a perfect crystal each family adds the same to each atom."""
    found = lammps_mgml.contributions(*crystal("fcc", 4, noise=0.0), model="cuzr")
    np.testing.assert_allclose(found.by_family()[:, 1:], 0.0, atol=1e-7)
