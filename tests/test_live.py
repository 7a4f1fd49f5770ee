"""Quantities of a whole run, against scikit-learn and numpy on the same atoms; the decks that show them."""
import re
import subprocess
import sys

import numpy as np
import pytest
from decks import BIN, ROOT, environment, run_lammps
from ends import assert_right, ends_well
from independent import continued, read
from sklearn.metrics import roc_auc_score
from test_coupling import BOTH, HEAD, NVE, PLACES, deck, good, melt, mgml, resumed  # noqa: F401
from test_evaluator import ArrayAdapter, small, strained

from lammps_mgml.evaluation.live import BINS, QUANTITIES
from lammps_mgml.evaluation.ranking import Ranking, area
from lammps_mgml.system.domain import WholeDomain

QUARTILES = {"sq25": 0.25, "sq50": 0.5, "sq75": 0.75}


def auc(plastic, softness):
    return np.nan if plastic.all() or not plastic.any() else roc_auc_score(plastic, softness)


def offline(softness, d2, edges=None, before=None):
    """{name: value} of a frame; ``edges`` : of the reference and of this frame; ``before`` : (edges,
    share of plastic atoms) of the frame before."""
    known, plastic = np.isfinite(d2), d2 > 5.0
    both = known & np.isfinite(softness)
    out = {"plastic": plastic[known].mean(), "auc": auc(plastic[both], softness[both]),
           "sigma_s": np.nanstd(softness), "rate": np.nan}
    mine = softness[both & plastic]
    out |= {name: np.quantile(mine, q) if len(mine) else np.nan for name, q in QUARTILES.items()}
    if before is not None:
        f = [np.linalg.inv(edges[0]) @ e for e in (edges[1], before[0])]
        at = np.unravel_index(abs(f[0] - np.eye(3)).argmax(), (3, 3))
        change = abs(f[0][at] - f[1][at])
        out["rate"] = (out["plastic"] - before[1]) / change if change > 1e-9 else np.nan
    return out


def assert_live(found, expected, where=""):
    for name, right in expected.items():
        tolerance = 0.51 / BINS if name in QUARTILES else 1e-9 * max(1.0, abs(right))
        if name == "rate":
            tolerance = 1e-6 * max(1.0, abs(right))
        assert (np.isnan(right) and np.isnan(found[name])) or abs(found[name] - right) <= tolerance, (
            where, name, found[name], right)


# -- the ranking -----------------------------------------------------------------------------------

def scores(rng, n):
    """Softness with many ties, as behind an isotonic calibration, some undefined."""
    values = np.clip(rng.normal(0.5, 0.3, n), 0.0, 1.0)
    tied = rng.random(n) < 0.5
    values[tied] = np.round(values[tied], 1)
    values[rng.random(n) < 0.05] = np.nan
    return values


@pytest.mark.parametrize("n", [0, 1, 2, 50, 3000])
def test_area_is_that_of_scikit_learn_also_with_ties(n):
    rng = np.random.default_rng(n)
    for ties in (False, True):
        values = scores(rng, n) if ties else rng.random(n)
        ranking = Ranking(WholeDomain(), values)
        for share in (0.0, 0.04, 0.5, 1.0):
            counted = ranking.known & (rng.random(n) < 0.9)
            chosen = counted & (rng.random(n) < share)
            ranking.rank(counted)
            sums = ranking.sums(counted, chosen)
            assert sums[3] == 0.0 and ranking.sums(~counted, chosen)[3] == float(n > 0)
            np.testing.assert_allclose(area(np.array(sums)), auc(chosen[counted], values[counted])
                                       if counted.any() else np.nan, rtol=1e-12)


def test_ranking_on_three_ranks_of_which_one_has_nothing():
    done = subprocess.run([BIN / "mpirun", "-np", "3", sys.executable, __file__], env={
        **environment(3), "PYTHONPATH": str(ROOT / "tests")}, capture_output=True, text=True,
        timeout=300)
    assert done.returncode == 0 and done.stdout.count("the same") == 3, done.stdout + done.stderr


def on_ranks():
    from mpi4py import MPI

    from lammps_mgml.system.mpi import MpiDomain

    comm = MPI.COMM_WORLD
    domain, rng = MpiDomain(comm), np.random.default_rng(5)
    for values in (scores(rng, 4000), np.full(300, 0.25), np.full(300, np.nan), rng.random(5),
                   np.r_[0.0, 1.0, np.full(50, 1.0)], 1e-9 * rng.random(5000), np.empty(0)):
        owner = rng.integers(0, 2, len(values)) * 2          # rank 1 has none
        chosen = (rng.random(len(values)) < 0.1 + 0.3 * np.nan_to_num(values)) & np.isfinite(values)
        whole, mine = Ranking(WholeDomain(), values), Ranking(domain, values[owner == comm.rank])
        whole.rank(whole.known)
        mine.rank(mine.known)
        # bit for bit, so that a run does not depend on its ranks
        assert area(domain.sum(mine.sums(mine.known, chosen[owner == comm.rank]))) == pytest.approx(
            area(np.array(whole.sums(whole.known, chosen))), abs=0, nan_ok=True)
    print("the same", flush=True)
    domain.close()


# -- the evaluator ---------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def system():
    return small()


class Keeping(ArrayAdapter):
    """An engine that keeps S^q of the reference with its atoms."""

    PER_ATOM = (*ArrayAdapter.PER_ATOM, "quenched")

    def __init__(self, system, **changes):
        super().__init__(system, **changes)
        self.quenched = np.full(len(self.tags), np.nan)
        self.start = self.edges.copy()

    def evaluate(self):
        out = super().evaluate()
        if out.new_reference:
            self.quenched[:] = out.evaluated.softness
        return out


def test_quantities_while_atoms_go_and_come(system):
    engine = Keeping(system)
    first = engine.evaluate()
    assert_live(first.live, offline(engine.quenched, first.evaluated.d2min))
    assert np.isnan(first.live["auc"]) and np.isnan(first.live["time"])
    before = engine.edges.copy(), 0.0
    for change in ("none", "order", "gone", "new"):
        if change == "order":
            engine.take(np.random.default_rng(2).permutation(len(engine.tags)))
        elif change == "gone":
            engine.take(np.arange(len(engine.tags)) % 150 != 7)
        elif change == "new":
            engine.add(engine.unwrapped.mean(axis=0) + 0.9, 1)
            engine.quenched[-1] = 0.77                   # what a slot may hold of another atom
        strained(engine, 0.01, 0.12, seed=len(change))
        out = engine.evaluate()
        softness = np.where(engine.number > 0, engine.quenched, np.nan)
        expected = offline(softness, out.evaluated.d2min, (engine.start, engine.edges), before)
        assert 0.0 < expected["plastic"] < 1.0 and 0.4 < expected["auc"] < 0.8
        assert_live(out.live, expected, change)
        before = engine.edges.copy(), expected["plastic"]


def test_the_rate_is_that_since_another_strain(system):
    engine = Keeping(system)
    engine.evaluate()
    shares = [0.0]
    for amount in (0.01, 0.0, 0.02):                     # load, hold, load
        strained(engine, amount, 0.1, seed=int(100 * amount))
        out = engine.evaluate()
        shares.append(out.live["plastic"])
        if amount == 0.01:
            assert out.live["rate"] == pytest.approx(shares[1] / 0.01, rel=1e-9)
        elif amount == 0.0:
            assert out.live["rate"] == pytest.approx(shares[2] / 0.01, rel=1e-9)
        else:
            change = 0.99 - 0.99 * 0.98
            assert out.live["rate"] == pytest.approx((shares[3] - shares[2]) / change, rel=1e-9)
    again = engine.evaluate()
    assert again.live["rate"] == out.live["rate"], "as at the setup of the next run"


def test_an_engine_that_keeps_no_softness_gets_no_auc(system):
    engine = ArrayAdapter(system)
    engine.evaluate()
    strained(engine)
    live = engine.evaluate().live
    assert np.isnan([live[name] for name in ("auc", "sigma_s", *QUARTILES)]).all()
    assert live["plastic"] > 0


# -- in a run ---------------------------------------------------------------------------------------

NAMES = tuple(q.name for q in QUANTITIES)
THERMO = ("thermo {every}\nthermo_style custom step " + " ".join(f"v_mgml_{n}" for n in NAMES)
          + "\nthermo_modify format float %.15g\n")


def table(text, names=NAMES):
    """[(step, {name: value})] of the thermo lines."""
    rows = []
    for line in text.splitlines():
        words = line.split()
        if len(words) == len(names) + 1 and re.fullmatch(r"\d+", words[0]):
            rows.append((int(words[0]), dict(zip(names, map(float, words[1:])))))
    return rows


def assert_frames(frames, rows, reference=None):
    """Each frame has a row with its values.  Returns how many have an AUC.

    reference : its frame, if it is not the first.
    """
    whole = frames if reference is None else [reference, *frames]
    edges = continued(whole)[len(whole) - len(frames):]
    e0, live, before, checked = whole[0].edges, dict(rows), None, 0
    for frame, e in zip(frames, edges):
        expected = offline(frame["d_sq"], frame["d_d2min"], (e0, e), before)
        assert_live(live[frame.step], expected, frame.step)
        before = e, expected["plastic"]
        checked += not np.isnan(expected["auc"])
    return checked


HOT3 = "velocity all create 1600 3 loop geom\n"            # some become plastic within 20 steps
LOAD = "fix load all deform 1 z erate -1.0 remap x\n"


@PLACES
def test_thermo_lines_are_those_of_the_dump(tmp_path, deck, run, ranks):  # noqa: F811
    """Hot atoms that change ranks; nan between evaluations; a restart on other ranks."""
    text = deck + HOT3 + NVE + LOAD + mgml() + THERMO.format(every=5)
    done = ends_well(run(tmp_path, text + "run 40\nwrite_restart half\n", ranks, out="a.dump"))
    frames, rows = read(tmp_path / "a.dump"), table(done.stdout)
    assert assert_frames(frames, rows) >= 2
    assert all(np.isnan(list(row.values())).all() for step, row in rows if step % 10)
    time = [row["time"] for step, row in rows if step % 10 == 0]
    assert np.isnan(time[0]) and all(0.0 < t < 1.0 for t in time[1:])

    text = resumed("half") + NVE + LOAD + mgml() + THERMO.format(every=5)
    text += "run 20\nrun 20 every 10 \"print 'now $(step) $(v_mgml_auc:%.15g)'\"\n"
    done = ends_well(run(tmp_path, text, 5 - ranks, out="b.dump"))
    more, again = read(tmp_path / "b.dump"), table(done.stdout)
    assert_right(frames + more[1:], now="all", tolerance=1e-8)
    assert np.isnan(again[0][1]["rate"]), "not known before"
    printed = {int(step): float(value) for step, value in re.findall(
        r"^now (\d+) (\S+)", done.stdout, re.MULTILINE)}
    assert set(printed) == {70, 80}
    for frame in more[-2:]:
        expected = auc(frame["d_d2min"] > 5.0, frame["d_sq"])
        assert printed[frame.step] == pytest.approx(expected, abs=1e-9, nan_ok=True)
    assert assert_frames(more, again, reference=frames[0]) >= 2


@BOTH
def test_atoms_that_are_gone_or_new_and_a_minimisation(tmp_path, deck, run):  # noqa: F811
    text = deck + HOT3 + NVE + mgml() + THERMO.format(every=10) + (
        "run 20\ngroup gone id 5:1300:119\ndelete_atoms group gone compress no\n"
        "create_atoms 1 single 1.3 1.1 1.2\nrun 20\nminimize 0 1e-3 3 30\n${mgml_evaluate}\n"
        "print \"$(step) $(v_mgml_auc:%.15g) $(v_mgml_plastic:%.15g)\"\n"
        "write_dump all custom last.dump id type x y z ix iy iz d_sq d_d2min i_site modify sort id "
        "format float %.17g\n")
    done = ends_well(run(tmp_path, text, 4, out="out.dump"))
    frames, rows = read(tmp_path / "out.dump"), table(done.stdout)
    live = {}
    for step, row in rows:
        live[step] = row                                  # the later one, of the second run
    for frame in frames:
        if frame.step not in (0, 20):
            expected = offline(frame["d_sq"], frame["d_d2min"])
            del expected["rate"]
            assert_live(live[frame.step], expected, frame.step)
    last = read(tmp_path / "last.dump")[0]
    expected = offline(last["d_sq"], last["d_d2min"])
    printed = [w for w in map(str.split, done.stdout.splitlines()) if w[:1] == [str(last.step)]
               and len(w) == 3][-1]
    assert float(printed[1]) == pytest.approx(expected["auc"], abs=1e-9)
    assert float(printed[2]) == pytest.approx(expected["plastic"], abs=1e-9)


def test_a_rerun_on_ranks_of_which_some_are_empty(tmp_path, deck):  # noqa: F811
    """The glass in a tall box: of four bricks along z two hold nothing."""
    tall = deck.replace("boundary p p p", "boundary p p p\nprocessors 1 1 *").replace(
        "pair_style", "set group all image 0 0 0\nchange_box all z delta 0 60\npair_style", 1)
    text = tall + HOT3.replace("1600", "3000") + NVE + mgml() + THERMO.format(every=10) + "run 30\n"
    done = ends_well(run_lammps(tmp_path, text, 4, out="out.dump"))
    frames = read(tmp_path / "out.dump")
    for frame in frames:
        expected = offline(frame["d_sq"], frame["d_d2min"])
        del expected["rate"]
        assert_live(dict(table(done.stdout))[frame.step], expected, frame.step)
    text = tall + mgml(out="again.dump") + THERMO.format(every=10) + (
        f"rerun {tmp_path}/out.dump dump x y z ix iy iz box yes\n")
    again = ends_well(run_lammps(tmp_path, text, 3))
    for (step, row), frame in zip(table(again.stdout), read(tmp_path / "again.dump")):
        expected = offline(frame["d_sq"], frame["d_d2min"])
        del expected["rate"]
        assert_live(row, expected, step)
        assert np.isnan(row["time"])


# -- the decks of inputs/ ----------------------------------------------------------------------------

def example(name):
    return (ROOT / "inputs" / f"in.{name}").read_text()


def columns_of(path):
    """{step: values} of a file of fix ave/time."""
    return {int(row[0]): row[1:] for row in np.loadtxt(path, ndmin=2)}


@PLACES
def test_in_monitor(tmp_path, melt, run, ranks):  # noqa: F811
    done = ends_well(run(tmp_path, example("monitor"), ranks, data=melt, rate=1.0, strain=0.1,
                         coarse=10, dense=2, share=0.03, temp=800, timeout=180))
    frames = read(tmp_path / "monitor.dump")
    steps = [f.step for f in frames]
    share = {f.step: np.nanmean(f["d_d2min"] > 5.0) for f in frames}
    onset = next(step for step in steps if share[step] > 0.03)
    assert 0 < onset < 50 and steps == [*range(0, onset, 10), *range(onset, 51, 2)]
    assert "Fix halt condition for fix-id onset met on step" in done.stdout
    live = {**columns_of(tmp_path / "monitor.coarse"), **columns_of(tmp_path / "monitor.dense")}
    names = ("plastic", "auc", "sq25", "sq50", "sq75", "rate", "time")
    edges, before = continued(frames), None
    for frame, e in zip(frames, edges):
        expected = offline(frame["d_sq"], frame["d_d2min"], (edges[0], e), before)
        before = e, expected["plastic"]
        del expected["sigma_s"]
        if frame.step:
            found = dict(zip(names, live[frame.step]))
            for name, right in expected.items():
                assert found[name] == pytest.approx(right, rel=1e-4, abs=2e-4, nan_ok=True), (
                    frame.step, name)


@PLACES
def test_in_onset(tmp_path, melt, run, ranks):  # noqa: F811
    words = {"data": melt, "rate": 1.0, "strain": 0.1, "every": 5, "temp": 800, "timeout": 180}
    done = ends_well(run(tmp_path, example("onset"), ranks, onset=2.0, **words))
    frames = read(tmp_path / "onset.dump")
    edges, before, rates = continued(frames), None, []
    for frame, e in zip(frames, edges):
        one = offline(frame["d_sq"], frame["d_d2min"], (edges[0], e), before)
        before = e, one["plastic"]
        rates.append(one["rate"])
    stop = next(k for k, rate in enumerate(rates) if rate > 2.0)
    assert 0 < stop == len(frames) - 1 and frames[stop].step < 50
    assert f"onset at step {frames[stop].step}" in done.stdout
    done = ends_well(run(tmp_path, example("onset"), 5 - ranks, onset=1e9, name="later",
                         **{"from": "onset.restart"}, **words))
    later = read(tmp_path / "later.dump")
    assert later[-1].step == 50 and "no onset" in done.stdout
    assert_right(frames[:1] + later, now="all", tolerance=1e-6)
    np.testing.assert_allclose(later[-1].edges[2, 2], 0.9 * edges[0][2, 2], rtol=1e-6)


@PLACES
def test_in_soft_surroundings(tmp_path, melt, run, ranks):  # noqa: F811
    text = example("soft-surroundings") + (
        "undump out\ndump all all custom 10 all.dump id type x y z ix iy iz d_sq d_d2min d_s d_eta "
        "i_site\ndump_modify all sort id format float %.10g\nrun 0\n")
    words = {"data": melt, "rate": 1.0, "strain": 0.06, "every": 10, "temp": 800, "soft": 0.97}
    ends_well(run(tmp_path, text, ranks, timeout=180, **words))
    some, whole = read(tmp_path / "surroundings.dump"), read(tmp_path / "all.dump")[0]
    few = some[-1]
    assert [f.step for f in some] == [0, 10, 20, 30] and whole.step == 30
    marked = (whole["d_sq"] > 0.97) | (whole["d_d2min"] > 5.0)
    size = np.diag(whole.edges)
    cubes = np.floor((whole.x % size) / 5.0)
    cubes = cubes @ [1, 100, 10000]
    expected = np.isin(cubes, cubes[marked])
    assert 0 < marked.sum() < expected.sum() < len(whole)
    np.testing.assert_array_equal(few.ids, whole.ids[expected])
    np.testing.assert_array_equal(few["d_d2min"], whole["d_d2min"][expected])


if __name__ == "__main__":
    on_ranks()
