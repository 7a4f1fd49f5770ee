"""The study's figure of why plastic atoms are soft, from committed glasses."""
import numpy as np
import pytest
from decks import ROOT

import lammps_mgml
from lammps_mgml.io.glass import read_glass
from lammps_mgml.models.model import load_model
from lammps_mgml.study import why
from lammps_mgml.study.reading import read
from lammps_mgml.study.result import write

GLASSES = ROOT / "inputs" / "glasses"
STRAIN = 0.04


@pytest.fixture(scope="module")
def model():
    return load_model("cuzr-wang13")


@pytest.fixture(scope="module")
def found(model):
    runs = read([GLASSES / f"glass-{k}.h5" for k in (41, 12)], model)
    return why.figure(runs, model, STRAIN)


def test_families_add_up_to_what_plastic_atoms_have_more_of_the_margin(found, model):
    columns = {name: list(values) for name, values in found.columns.items()}
    glass = read_glass(GLASSES / "glass-41.h5")
    told = lammps_mgml.contributions(glass.positions, glass.types, glass.box, model=model)
    gaps, of_family, n = [], [], 0
    for loading in glass.loadings:
        slipped = loading.d2min[np.argmin(abs(loading.strain - STRAIN))] > 5
        gaps.append(told.margins[slipped].mean() - told.margins.mean())
        of_family.append(told.by_family()[slipped].mean(0) - told.by_family().mean(0))
        n += int(slipped.sum())
    # glass 12 was trained on, and does not count
    assert set(columns["condition"]) == {"Cu80Zr20, 5e12 K/s"}
    assert columns["family"][-1] == why.TOTAL and columns["plastic"][0] == n
    assert columns["mean"][-1] == pytest.approx(np.mean(gaps), abs=1e-9) and np.mean(gaps) > 0.3
    assert sum(columns["mean"][:-1]) == pytest.approx(columns["mean"][-1], abs=1e-9)
    expected = dict(zip(told.families, np.mean(of_family, axis=0)))
    for name, value in zip(columns["family"][:-1], columns["mean"]):
        assert value == pytest.approx(expected[name], abs=1e-9)
    assert columns["mean"][:-1] == sorted(columns["mean"][:-1], reverse=True)
    low, mean, high = (np.array(columns[k]) for k in ("low", "mean", "high"))
    assert (low < mean).all() and (mean < high).all() and low[-1] > 0


def test_interval_is_that_of_whole_blocks_drawn_again(model):
    """Every atom its own block, and as an independent bootstrap finds it."""
    rng = np.random.default_rng(1)
    values, slipped = rng.normal(size=(900, 2)), rng.random(900) < 0.2
    ok = rng.random(900) < 0.9
    block = rng.integers(0, 40, 900)
    draws = rng.multinomial(40, np.full(40, 1 / 40), size=5)
    one, again = why._difference(values, slipped, ok, draws, block)
    np.testing.assert_allclose(
        one[:2], values[ok & slipped].mean(0) - values[ok].mean(0), rtol=0, atol=1e-12)
    for draw, row in zip(draws, again):
        rows = np.concatenate([np.tile(np.flatnonzero((block == b) & ok), k)
                               for b, k in enumerate(draw) if k]).astype(int)
        np.testing.assert_allclose(row[:2], values[rows[slipped[rows]]].mean(0) - values[rows].mean(0),
                                   rtol=0, atol=1e-12)
        assert row[2] == pytest.approx(row[:2].sum(), abs=1e-12)


def test_figure_is_written_with_its_numbers(found, tmp_path):
    assert found.missing is None and "cuzr-wang13" in found.caption and "not the physics" in found.caption
    write([found], tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "figure-why.csv", "figure-why.png", "figure-why.svg"]
    lines = (tmp_path / "figure-why.csv").read_text().splitlines()
    assert lines[0] == "condition,family,mean,low,high,plastic,loadings" and len(lines) == 9


def test_what_cannot_be_told_is_missing(model):
    seen = read([GLASSES / "glass-12.h5"], model)
    assert why.figure(seen, model).missing == (
        "no run has positions, or the training of the model saw them all")
    few = read([GLASSES / "glass-52-aged.h5"], model)
    assert why.figure(few, model, 0.01).missing == (
        "no loading has a frame near strain 0.01 with 20 plastic atoms or more")
    assert "near strain 0.09" in why.figure(few, model, 0.09).missing
