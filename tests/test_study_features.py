"""The study's own models, what they go by, and the page of claims, against independent computation."""
import io
import re

import numpy as np
import pytest
from decks import ROOT, mgml

from lammps_mgml.errors import InputError
from lammps_mgml.features import TABLE3
from lammps_mgml.models.model import load_model
from lammps_mgml.study import claims, claims_page, explain, scores, sets, transfer
from lammps_mgml.study.cases import (
    Score,
    auc_of,
    cases_of,
    common_loads,
    make,
    means_of,
    moments,
    seed_of,
    spread_of,
    table3,
)
from lammps_mgml.study.reading import read
from lammps_mgml.study.result import Figure
from lammps_mgml.train.evaluate import bootstrap

STRAIN = 0.04


def glass(number):
    return ROOT / "inputs" / "glasses" / f"glass-{number}.h5"


@pytest.fixture(scope="module")
def model():
    return load_model("cuzr-wang13")


@pytest.fixture(scope="module")
def runs(model):
    """Two glasses each of Cu50Zr50 and Cu80Zr20."""
    return read([glass(n) for n in (31, 32, 41, 42)], model)


@pytest.fixture(scope="module")
def conditions(runs):
    return transfer.conditions_of(runs, STRAIN)[0]


@pytest.fixture(scope="module")
def done(conditions):
    return transfer.transfer(conditions)


# Intervals ---------------------------------------------------------------------------------------

def test_scores_are_those_of_weighted_atoms(runs):
    """AUC, mean and spread of each resampling: by scikit-learn and numpy, with weights."""
    from sklearn.metrics import roc_auc_score

    case = cases_of(runs[0], STRAIN)[0]
    margin = runs[0].structure.features(["facet_area_std"])[:, 0]
    weights = bootstrap(case.structure.blocks(), 300, seed_of("glass-31"))[:4]
    found = auc_of(case, margin)
    assert found.value == pytest.approx(roc_auc_score(case.plastic, margin), rel=1e-12)
    np.testing.assert_allclose(found.again[:4], [roc_auc_score(
        case.plastic, margin, sample_weight=w) for w in weights], rtol=1e-9)
    assert found.low < found.value < found.high and (found - found).high == 0

    place = np.where(margin > 0.5, 1, 0)
    parts = moments(margin, case.structure.blocks(), "glass-31", place, 2)
    for k, score in enumerate(means_of([parts, parts])):
        rows = place == k
        assert score.value == pytest.approx(margin[rows].mean(), rel=1e-12)
        np.testing.assert_allclose(score.again[:4], [
            np.average(margin[rows], weights=w[rows]) for w in weights], rtol=1e-9)
    spread = spread_of([moments(margin, case.structure.blocks(), "glass-31")])
    assert spread.value == pytest.approx(margin.std(), rel=1e-9)
    mean = [np.average(margin, weights=w) for w in weights]
    np.testing.assert_allclose(spread.again[:4], [np.sqrt(np.average(
        (margin - m) ** 2, weights=w)) for m, w in zip(mean, weights)], rtol=1e-7)


def test_a_bin_without_atoms_has_no_mean():
    empty = means_of([moments(np.array([1.0, np.nan]), np.array([0, 1]), "a", np.array([0, 1]), 2)])
    assert empty[0].value == 1.0 and np.isnan([empty[1].value, empty[1].low]).all()


# Transfer ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("n, expected", [
    (0, []), (1, []), (2, [(("a",), "b"), (("b",), "a")]),
    (3, [(("a", "b"), "c"), (("b", "c"), "a"), (("c", "a"), "b")]),
    (8, [(("a", "b"), "c"), (("c", "d"), "e"), (("e", "f"), "g"), (("g", "h"), "a")])])
def test_models_are_made_of_two_glasses_and_tested_on_a_third(n, expected):
    assert transfer.splits("abcdefgh"[:n]) == expected
    for trained, test in expected:
        assert test not in trained


def test_loads_that_all_glasses_share(runs, model):
    assert common_loads(runs) == ("x-compression", "z-compression")
    assert common_loads(read([glass(25)], model)) == ("x-compression", "y-compression", "z-compression")
    assert common_loads([]) == ()


def test_transfer_is_that_of_models_made_apart(runs, conditions, done):
    """AUC of LightGBM with scikit-learn's AUC, from the rows of one glass to those of another."""
    import lightgbm
    from sklearn.metrics import roc_auc_score

    assert [c.name for c in conditions] == ["Cu50Zr50, 5e12 K/s", "Cu80Zr20, 5e12 K/s"]
    names = table3(runs)
    assert names == TABLE3
    made = make(cases_of(runs[0], STRAIN), names)
    x = runs[3].structure.features(names)
    raw = lightgbm.Booster(model_str=made.booster.model_to_string()).predict(x, raw_score=True)
    frame = {c.loading.label: c.loading.d2min[c.loading.at(STRAIN)] for c in cases_of(runs[3], STRAIN)}
    expected = np.mean([roc_auc_score(d2 > 5.0, raw) for d2 in frame.values()])
    assert done.scores[("glass-31",), "glass-42"].value == pytest.approx(expected, rel=1e-9)
    # no score of a glass that the model was made of
    assert not [key for key in done.scores if key[1] in key[0]]


def test_figures_of_transfer(runs, conditions, done):
    figure = transfer.matrix_figure(done, "", "")
    rows = {(a, b): k for k, (a, b) in enumerate(zip(figure.columns["trained_on"],
                                                     figure.columns["tested_on"]))}
    cu50, cu80 = (c.name for c in conditions)
    assert set(rows) == {(cu50, cu80), (cu80, cu50)}       # of two glasses there is one own model each
    k = rows[cu50, cu80]
    four = [done.scores[(a,), b].value for a in ("glass-31", "glass-32") for b in ("glass-41", "glass-42")]
    own = np.mean([done.scores[("glass-41",), "glass-42"].value, done.scores[("glass-42",), "glass-41"].value])
    assert figure.columns["auc"][k] == pytest.approx(np.mean(four), rel=1e-12)
    assert figure.columns["ratio"][k] == pytest.approx(np.mean(four) / own, rel=1e-12)
    assert figure.columns["kind"][k] == "other composition"
    assert figure.columns["ratio_low95"][k] < figure.columns["ratio"][k] < figure.columns["ratio_high95"][k]
    assert min(figure.columns["ratio_low95"]) > 0.95          # the paper's claim
    single = transfer.kinds_figure(done, "", "")
    assert len(single.columns["ratio"]) == 8
    draws(figure, single)


def draws(*figures):
    """Each can be drawn, says what it shows, and has columns of one length."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Canvas

    for figure in figures:
        assert figure.missing is None, figure.missing
        assert len({len(values) for values in figure.columns.values()}) == 1
        canvas, file = Canvas(figsize=figure.size, layout="constrained"), io.StringIO()
        figure.draw(canvas)
        FigureCanvasSVG(canvas).print_svg(file)
        assert canvas.axes and all(ax.get_xlabel() or ax.get_ylabel() for ax in canvas.axes)


def test_conditions_in_order(conditions):
    """Cu80 above Cu50 in AUC and in the spread of S^q, beyond the intervals, as in the paper."""
    own = transfer.alike(conditions)
    assert [(o.training, o.glasses) for o in own] == [(1, ("glass-31", "glass-32")),
                                                      (1, ("glass-41", "glass-42"))]
    figure, order = transfer.own_figure(own, "", ("x-compression",), STRAIN), transfer.order_figure(own, "")
    difference = dict(zip(order.columns["quantity"], zip(
        order.columns["first"], order.columns["difference"], order.columns["difference_high95"])))
    first, value, high = difference["auc"]
    assert first.startswith("Cu50") and value < 0 and high < 0
    assert value == pytest.approx(figure.columns["auc"][0] - figure.columns["auc"][1], rel=1e-12)
    assert difference["sigma"][1] < 0
    assert all(0.05 < s < 0.35 for s in figure.columns["sigma_s"])
    draws(figure, order)


@pytest.mark.parametrize("some, message", [
    ([31], "needs two glasses or more of a condition"),
    ([31, 41], "needs two glasses or more of a condition"),
    ([31, 32], "for two conditions; there is one, Cu50Zr50")])
def test_too_few_glasses_are_told(model, some, message):
    figures = {f.number: f for f in transfer.figures(read(map(glass, some), model), STRAIN)}
    assert message in figures["5a"].missing and message in figures["5b"].missing
    assert set(figures) == {"4c", "4d", "5a", "5b"}


# What a model goes by ----------------------------------------------------------------------------

def test_partial_dependence_is_that_of_scikit_learn(runs, model):
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.inspection import partial_dependence

    class Softness(RegressorMixin, BaseEstimator):
        def fit(self, x, y):
            self.fitted_ = True
            return self

        def predict(self, x):
            return model.softness(x)

    x = explain.sampled([explain.model_features(runs[0], model, None)], 200)
    assert x.shape == (200, 13)
    estimator = Softness().fit(x, None)
    for columns in ((0,), (0, 5)):
        theirs = partial_dependence(estimator, x, [columns] if len(columns) > 1 else list(columns),
                                    method="brute", kind="average", grid_resolution=6)
        grids = theirs["grid_values"]
        if len(columns) == 1:
            ours = explain.partial_dependence(model.softness, x, columns[0], grids[0])
        else:
            ours = explain.partial_dependence_2(model.softness, x, columns, tuple(grids))
        np.testing.assert_allclose(ours, theirs["average"][0], rtol=1e-12)


def test_observed_share_counts_atoms(runs):
    cases = cases_of(runs[0], STRAIN)
    values = runs[0].structure.features(["facet_area_std"])[:, 0]
    edges = np.quantile(values, [0.0, 0.3, 0.6, 1.0])
    atoms, shares = explain.observed_share([values] * len(cases), cases, edges)
    assert atoms.sum() == len(cases) * len(values)
    for k, (low, high) in enumerate(zip(edges, edges[1:])):
        inside = (values >= low) & ((values < high) if k < 2 else (values <= high))
        assert shares[k].value == pytest.approx(
            np.mean([c.plastic[inside].mean() for c in cases]), rel=1e-12)
    assert shares[2].low > shares[0].high          # loose cells slip more


def test_figures_of_what_a_model_goes_by(runs, model):
    figures = {f.number: f for f in explain.figures(runs, model, STRAIN)}
    draws(*figures.values())
    one = {k: np.asarray(v) for k, v in figures["6a-1d"].columns.items()}
    for name, sign in (("facet_area_std", 1), ("distance_dist_std", 1), ("distance_voro_min", -1)):
        p = one["probability"][one["feature"] == name]
        assert sign * (p[-1] - p[0]) > 0, name
    cells = dict(zip(figures["6b"].columns["cells"], range(9)))
    ico, everything = cells["motif_ico"], cells["all atoms"]
    assert figures["6b"].columns["facet_area_std_q50"][ico] < figures["6b"].columns["facet_area_std_q25"][everything]
    assert figures["6b"].columns["share_high95"][ico] < figures["6b"].columns["share_low95"][everything]


def test_a_model_of_other_features_shows_those_that_matter(runs):
    cuzr = load_model("cuzr")
    rows = explain.sampled([explain.model_features(runs[0], cuzr, None)], 400)
    names = explain.shown_features(cuzr, rows)
    assert len(names) == explain.MOST_PANELS and set(names) <= set(cuzr.features)


# The sets ----------------------------------------------------------------------------------------

def test_sets_alone_on_two_glasses(runs, monkeypatch):
    """Two sets, by the features that they hold; an MRO set knows of which SRO set it is."""
    monkeypatch.setattr(sets, "PAPER", ("facet_area_stats", "boop_w", "boop_w_stats_nn", "boop_w_coarse"))
    alone = sets.sets_alone(runs[:2], STRAIN)
    assert [r.name for r in alone.training] == ["glass-31"] and [r.name for r in alone.unseen] == ["glass-32"]
    assert alone.sizes == {"facet_area_stats": 29, "boop_w": 8, "boop_w_stats_nn": 32, "boop_w_coarse": 8}
    assert [alone.over(n) for n in alone.scores] == ["", "", "boop_w", "boop_w"]
    figure = sets.sets_figure(alone, STRAIN, ("Cu", "Zr"))
    t = {k: np.asarray(v) for k, v in figure.columns.items()}
    assert t["below_facets_low95"][1] > 0          # facet areas above bond order w
    assert t["above_it"][2] == pytest.approx(t["auc"][2] - t["auc"][1], rel=1e-12)
    draws(figure)
    assert sets.sets_alone(runs[:1], STRAIN) is None
    assert "needs four glasses" in sets.selection_figure(runs, STRAIN).missing


def test_seen_glasses_train_and_the_unseen_ones_test(model):
    training, unseen, _ = sets.halves(read([glass(n) for n in (25, 21, 26, 22)], model), STRAIN)
    assert [r.name for r in training] == ["glass-21", "glass-22"]
    assert [r.name for r in unseen] == ["glass-25", "glass-26"]


# Scores ------------------------------------------------------------------------------------------

def test_scores_by_condition_and_what_falls_with_strain(model):
    """Against scikit-learn and counts; AUC and S^q of the plastic atoms fall with strain, as in the
    paper."""
    from sklearn.metrics import roc_auc_score

    some = read([glass(n) for n in (21, 25, 26)], model)
    assert [r.seen for r in some] == [True, False, False]
    table, fall = scores.figures(some, model, STRAIN)
    draws(table, fall)
    aucs, found, plastic, called = [], 0, 0, 0
    for run in some[1:]:
        softness = model.softness(run.structure.features(model.features, parameters=model.parameters))
        for x in run.loadings:
            if x.label.endswith("compression"):
                slipped = x.d2min[3] > 5.0
                aucs.append(roc_auc_score(slipped, softness))
                plastic += slipped.sum()
                called += (softness > 0.5).sum()
                found += (slipped & (softness > 0.5)).sum()
    # isotonic calibration makes ties of margins that differ
    assert table.columns["auc"][0] == pytest.approx(np.mean(aucs), abs=0.003)
    assert table.columns["plastic"][0] == plastic and len(aucs) == 6
    assert table.columns["recall"][0] == pytest.approx(found / plastic, rel=1e-9)
    assert table.columns["precision"][0] == pytest.approx(found / called, rel=1e-9)
    assert fall.columns["from_strain"] == [0.02] * 2 and fall.columns["quantity"] == ["auc", "plastic_softness"]
    assert all(np.asarray(fall.columns["fall"]) > 0)
    assert fall.columns["fall_low95"][1] > 0
    seen, = {f.missing for f in scores.figures(some[:1], model, STRAIN)}
    assert seen.startswith("no glass that the model has not seen")


# The page of claims ------------------------------------------------------------------------------

def test_verdicts():
    assert claims.of_number(0.75, 0.74, 0.76, 0.754) == "reproduced"
    assert claims.of_number(0.72, 0.71, 0.73, 0.754) == "partly"
    assert claims.of_number(0.62, 0.61, 0.63, 0.754) == "differs"
    assert claims.of_order([0.1, 0.2], [0.05, 0.1]) == "reproduced"
    assert claims.of_order([0.1, 0.2], [-0.05, 0.1]) == "partly"
    assert claims.of_order([-0.1], [-0.2]) == "differs"
    assert claims.interval(0.12345, float("nan"), float("nan")) == "0.123"
    assert claims.interval(0.012, 0.001, 0.02, -3) == "+0.012 (+0.001 to +0.020)"
    assert claims.copper("Cu65Zr35, 5e12 K/s") == 65 and np.isnan(claims.copper("Ni62Nb38"))


NUMBERS = [*(f"D{k}" for k in range(1, 11)), *(f"F{k}" for k in range(1, 6)), *(f"S{k}" for k in range(1, 8)),
           *(f"B{k}" for k in range(1, 10)), *(f"C{k}" for k in range(1, 8))]


def rows_of(text):
    """{id: cells} of the page's rows."""
    lines = ([cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in text.splitlines()
             if line.startswith("| "))
    return {cells[1]: cells[2:-1] for cells in lines if re.fullmatch(r"[DFSBC]\d+", cells[1])}


def test_every_claim_has_a_row_and_a_verdict_even_without_figures(runs, model):
    empty = [Figure(n, "", missing=f"no data for {n}") for n in ("2b", "2c", "4a", "6c")]
    found = rows_of(claims_page.page(empty, runs, model, STRAIN))
    assert list(found) == NUMBERS
    for name, cells in found.items():
        verdict = re.match(r"\*\*([\w ]+)\*\*", cells[-1])[1]
        assert verdict in claims.VERDICTS, name
    assert "no data for 2c" in found["S1"][-1] and "no data for 6c" in found["B9"][-1]
    assert "figure 5a is not part of this study" in found["C5"][-1]
    assert found["F1"][2] == "746 = 123 SRO + 623 MRO in 28 sets"


def test_numbers_of_the_page_are_those_of_the_tables(runs, model, done, tmp_path):
    figures = [*scores.figures(runs, model, STRAIN), transfer.matrix_figure(done, "", "")]
    claims_page.write_page(tmp_path / "page.md", figures, runs, model, STRAIN)
    text = (tmp_path / "page.md").read_text()
    found, t = rows_of(text), figures[0].columns
    assert f"Cu50Zr50, 5e12 K/s: {t['auc'][0]:.3f} ({t['auc_low95'][0]:.3f} to {t['auc_high95'][0]:.3f})" in found["S1"][2]
    n = sum(r > 0.95 for r in figures[2].columns["ratio"])
    assert found["C5"][2].startswith(f"{n} of 2 ordered pairs above 0.95")
    assert found["D1"][2] == "4 glasses in 2 conditions, 0 of them with three or more" and "partly" in found["D1"][-1]
    with pytest.raises(InputError, match="no/page.md"):
        claims_page.write_page(tmp_path / "no" / "page.md", figures, runs, model, STRAIN)


def test_page_of_the_documentation_is_whole():
    found = rows_of((ROOT / "docs" / "reproduction.md").read_text())
    assert list(found) == NUMBERS
    done = [name for name, cells in found.items() if not re.match(r"\*\*not ", cells[-1])]
    assert len(done) >= 25
    for name in done:
        assert cells_have_a_number(found[name]), name


def cells_have_a_number(cells):
    return any(re.search(r"\d", cell) for cell in cells[2:4])


def test_score_without_a_known_resampling_has_no_interval():
    assert np.isnan(Score(0.5, np.full(3, np.nan)).low)


@pytest.mark.slow
def test_make_study_writes_the_page(tmp_path):
    """As the Makefile runs it, on fewer glasses."""
    text = mgml("study", *(glass(n) for n in (11, 12, 13, 21, 22, 25, 26, 31, 32, 41, 42)), "-o", tmp_path / "out",
                "--model", "cuzr-wang13", "--claims", tmp_path / "page.md")
    assert f"claims {tmp_path}/page.md" in text
    found = rows_of((tmp_path / "page.md").read_text())
    assert list(found) == NUMBERS
    for name in ("S5", "S7", "C2", "C5", "C6"):
        assert re.match(r"\*\*(reproduced|partly)", found[name][-1]), (name, found[name])
    assert (tmp_path / "out" / "figure-6c.csv").exists()
