"""Vibrations: the measurement in a run against numpy on dumped positions, and the features of it."""
import numpy as np
import pytest
from decks import MGML, ROOT, SYSTEM, mgml, run_lammps, run_site, same, site_lammps
from glasses import glass, liquid, slab
from scipy.spatial import cKDTree

from lammps_mgml import featurize, softness
from lammps_mgml.api import sites
from lammps_mgml.errors import InputError, OptionError
from lammps_mgml.io.dump import read_dump
from lammps_mgml.io.glass import read_glass
from lammps_mgml.system.atoms import periodic_atoms
from lammps_mgml.system.box import Box

SITE = pytest.mark.skipif(site_lammps() is None,
                          reason="not run: no LAMMPS with the PYTHON package in /usr/bin")
WATCH = """
variable vibration getenv MGML_VIBRATION
include ${vibration}
fix watch all python/invoke 5 end_of_step vibration
"""
SAMPLES = """
dump samples all custom 5 samples.dump id type xu yu zu d_msd
dump_modify samples sort id format float %.17g first no
"""
SETTLED = SYSTEM.split("fix md")[0]
NVE = SETTLED.replace("create 100", "create 600") + "fix md all nve\n"
# a hot glass that streams, breathes and shears while it is watched
WILD = (SETTLED.replace("create 100", "create 3000") + "velocity all set 20.0 -5.0 0.0 sum yes\n"
        "fix md all npt temp 1500 1500 0.1 iso 10000 10000 1.0\n")
SLAB = WILD.replace("boundary p p p", "boundary s p p").replace("npt", "nvt").replace(
    "iso 10000 10000 1.0", "").replace("20.0 -5.0", "0.0 -5.0")


def of(folder, deck, ranks=1, run=run_lammps, **variables):
    done = run(folder, deck, ranks, **variables)
    assert done.returncode == 0, done.stdout[-3000:]


def displacements(frames):
    """(frames, n, 3) A from the mean place, by hand: in units of periodic edges, without drift."""
    edges = np.array([f.box.edges for f in frames])
    periodic = frames[0].box.periodic
    place = np.array([np.stack([f.columns[c] for c in ("xu", "yu", "zu")], axis=1) for f in frames])
    for k in np.flatnonzero(periodic):
        low = np.array([f.origin[k] for f in frames])
        place[:, :, k] = (place[:, :, k] - low[:, None]) / edges[:, k, k, None]
    place -= place.mean(axis=1, keepdims=True)
    away = place - place.mean(axis=0)
    for k in np.flatnonzero(periodic):
        away[:, :, k] *= edges[:, k, k, None]
    return away


@pytest.mark.parametrize("deck, ranks, run, tolerance", [
    (NVE, 1, run_lammps, 1e-9), (NVE, 2, run_lammps, 1e-9), (SLAB, 2, run_lammps, 1e-9),
    pytest.param(NVE, 2, run_site, 1e-9, marks=SITE),
    # where the box breathes, the running mean changes between edges of different times
    (WILD, 4, run_lammps, 3e-2)])
def test_msd_is_the_variance_of_the_dumped_positions(tmp_path, deck, ranks, run, tolerance):
    of(tmp_path, deck + WATCH + SAMPLES + "run 100\n", ranks, run)
    frames = list(read_dump(tmp_path / "samples.dump"))[1:]      # the first is of step 0
    assert len(frames) == 20
    expected = (displacements(frames) ** 2).sum(axis=2).mean(axis=0)
    np.testing.assert_allclose(frames[-1].columns["d_msd"], expected, rtol=tolerance)
    assert frames[-1].columns["d_msd"].std() > 0


def test_msd_goes_on_after_a_restart(tmp_path):
    whole = NVE + WATCH + "run 50\nwrite_restart half.restart\n"
    tail = "write_dump all custom ${out} id type d_msd i_mgml_samples modify sort id\n"
    of(tmp_path, whole + "run 50\n" + tail, 2, out="whole.dump")
    of(tmp_path, "units metal\nread_restart half.restart\npair_style"
       + SYSTEM.split("pair_style")[1].split("velocity")[0] + "fix md all nve\n" + WATCH
       + "run 50\n" + tail, 1, out="resumed.dump")
    whole, resumed = (next(read_dump(tmp_path / f"{n}.dump")).columns for n in ("whole", "resumed"))
    assert (whole["i_mgml_samples"] == 20).all() and (resumed["i_mgml_samples"] == 20).all()
    np.testing.assert_allclose(resumed["d_msd"], whole["d_msd"], rtol=1e-4)


# A second watch, hotter, then back to where it began; a minimisation gives the reference.
HOT = (SETTLED.split("velocity")[0] + """
write_dump all custom before.dump id type x y z ix iy iz modify sort id format float %.17g
velocity all create 1400 5 mom yes rot no dist gaussian
velocity all set 3.0 -2.0 1.0 sum yes
fix md all nve
""" + WATCH.replace("end_of_step vibration", "end_of_step vibration_hot"))
BACK = """
unfix watch
unfix md
undump samples
read_dump before.dump 0 x y z ix iy iz box yes
velocity all set 0.0 0.0 0.0
"""
TAKEN = (BACK + "variable mgml_model string cuzr\nvariable mgml_columns string 'd_vibration_hot'\n"
         + MGML.replace("i_site", "i_site d_msd_hot d_vibration_hot") + "run 0\n")


@pytest.mark.parametrize("ranks, run", [
    (1, run_lammps), (4, run_lammps), pytest.param(2, run_site, marks=SITE)])
@pytest.mark.parametrize("halfway", [False, True])
def test_hotter_msd_is_about_the_places_in_the_reference(tmp_path, ranks, run, halfway):
    """By hand from the dumped positions; a restart in the middle changes nothing."""
    samples = SAMPLES.replace(" d_msd", "")
    if halfway:
        of(tmp_path, HOT + samples + "run 50\nwrite_restart half.restart\n", ranks, run)
        first = list(read_dump(tmp_path / "samples.dump"))
        again = ("units metal\nread_restart half.restart\npair_style"
                 + SYSTEM.split("pair_style")[1].split("velocity")[0] + "fix md all nve\n"
                 + HOT[HOT.index("\nvariable vibration"):])
        of(tmp_path, again + samples + "run 50\n" + TAKEN, 3 - min(ranks, 2), run, out="out.dump")
        frames = first + list(read_dump(tmp_path / "samples.dump"))
    else:
        of(tmp_path, HOT + samples + "run 100\n" + TAKEN, ranks, run, out="out.dump")
        frames = list(read_dump(tmp_path / "samples.dump"))
    frames = [f for k, f in enumerate(frames) if f.step and f.step not in [
        g.step for g in frames[:k]]]
    assert len(frames) == 20
    before, = read_dump(tmp_path / "before.dump")
    out, = read_dump(tmp_path / "out.dump")
    place = np.array([np.stack([f.columns[c] for c in ("xu", "yu", "zu")], axis=1) for f in frames])
    start = np.stack([before.columns[c] + before.columns[f"i{c}"] * before.box.edges[k, k]
                      for k, c in enumerate("xyz")], axis=1)
    away = (place - place.mean(axis=1, keepdims=True)) - (start - start.mean(axis=0))
    expected = (away ** 2).sum(axis=2).mean(axis=0)
    assert expected.max() > 2 * expected.mean() > 0
    np.testing.assert_allclose(out.columns["d_msd_hot"], expected, rtol=1e-4 if halfway else 1e-7)
    found = featurize(out.positions, out.types, out.box.edges, features="vibration_hot",
                      msd_hot=out.columns["d_msd_hot"])
    same(out.columns["d_vibration_hot"], found[:, 0], 1e-8)


def test_hotter_watch_of_another_structure_is_told(tmp_path):
    """The glass was melted between watch and reference."""
    text = run_lammps(tmp_path, HOT + SAMPLES + "run 20\nunfix watch\nvelocity all create 20000 5\nrun 600\n"
                      + TAKEN.replace(BACK, "unfix md\n"), 2, out="out.dump").stdout
    assert text.count("the atoms' mean places in the hotter watch are") == 1
    assert "from the reference: it is of another structure" in text


def test_dataset_watch(tmp_path, capfd):
    """msd_hot of a glass file by hand from the positions of the same run; nothing else changes."""
    decks, old = tmp_path / "decks", ROOT / "inputs" / "glasses" / "glass-13.h5"
    decks.mkdir()
    for name in ("in.quench", "in.vibrate"):
        text = (ROOT / "inputs" / name).read_text()
        for long, short in (("vtime  index 20", "vtime  index 0.2"), ("vsettle index 3.0", "vsettle index 0.1")):
            text = text.replace(long, short)
        (decks / name).write_text(text.replace("run             ${steps}", f"""
            dump all all custom 5 {tmp_path}/samples.dump id type xu yu zu
            dump_modify all sort id format float %.17g
            run ${{steps}}"""))
    path = tmp_path / "glass-13.h5"
    path.write_bytes(old.read_bytes())
    told = mgml("dataset", "watch", path, "--decks", decks, "--hot-temp", "400", "--lmp", "lmp")
    assert "has msd_hot now, at 400 K" in told
    glass, before = read_glass(path), read_glass(old)
    assert glass.made == {**before.made, "hot_temp": "400"}
    np.testing.assert_array_equal(glass.watched["msd"], before.watched["msd"])
    np.testing.assert_array_equal(glass.loadings[0].d2min, before.loadings[0].d2min)
    frames = [f for f in read_dump(tmp_path / "samples.dump") if f.step]
    assert len(frames) == 20
    places = np.array([np.stack([f.columns[c] for c in ("xu", "yu", "zu")], axis=1) for f in frames])
    away = places - before.positions
    away -= np.diag(before.box) * np.round(away[0] / np.diag(before.box))
    expected = (away ** 2).sum(axis=2).mean(axis=0)
    np.testing.assert_allclose(glass.watched["msd_hot"], expected, rtol=1e-3, atol=1e-5)
    # twice the temperature in the velocities, half of it in the places
    assert 250 < 400 * expected.mean() / 0.06 < 700


def expected_features(system, msd):
    """vibration, _avg, _avg2 by numpy and scipy."""
    atoms, owner = periodic_atoms(system.positions, system.types, Box.make(system.edges, system.pbc),
                                  4.0)
    n, own = atoms.n_own, np.concatenate([np.arange(atoms.n_own), owner])
    flags = sites(system.positions, system.types, system.edges, system.pbc, ("cn_voro",),
                  ("Cu", "Zr")).flags
    closed = (flags & 1) == 0
    value = np.full(n, np.nan)
    for e in (1, 2):
        one = closed & (system.types == e) & (msd > 0)
        value[one] = np.log(msd[one] / msd[one].mean())
    near = [own[[j for j in some if j != i]] for i, some in enumerate(
        cKDTree(atoms.positions).query_ball_point(atoms.positions[:n], 4.0))]
    levels = [value]
    for _ in range(2):
        levels.append(np.array([(levels[-1][i] + levels[-1][some].sum()) / (len(some) + 1)
                                for i, some in enumerate(near)]))
    return np.stack(levels, axis=1)


@pytest.mark.parametrize("system", [glass, liquid, lambda: slab(liquid())])
def test_features_are_logarithms_and_their_averages(system):
    system = system()
    msd = np.random.default_rng(3).exponential(0.02, len(system.types))
    msd[5] = 0.0
    found = featurize(system.positions, system.types, system.edges, system.pbc, "vibration", msd=msd)
    expected = expected_features(system, msd)
    assert np.isnan(found[5, 0]) and np.isfinite(found).all(axis=1).sum() > 0.3 * len(found)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    # the temperature drops out, and other features beside them change nothing
    both = featurize(system.positions, system.types, system.edges, system.pbc,
                     "axial_cu_3_avg,vibration,cn_voro", msd=7.0 * msd, load="x")
    same(both[:, 1:4], found, 1e-9)


def test_vibrations_that_are_not_there_are_asked_for():
    g = liquid()
    with pytest.raises(OptionError, match="takes msd, which is not given: the mean square"):
        featurize(g.positions, g.types, g.edges, features="vibration")
    with pytest.raises(InputError, match="no atom has a mean square displacement"):
        featurize(g.positions, g.types, g.edges, features="vibration", msd=np.zeros(len(g.types)))
    with pytest.raises(InputError, match="msd must have shape"):
        featurize(g.positions, g.types, g.edges, features="vibration", msd=np.ones(3))
    with pytest.raises(OptionError, match="takes msd, which is not given: the mean square"):
        softness(g.positions, g.types, g.edges, model="cuzr-vibration")


IN_RUN = (NVE + WATCH + "run 20\nunfix watch\nvariable mgml_model string cuzr-axial-vibration\n"
          "variable mgml_load string z\nvariable mgml_columns string 'd_vibration d_vibration_avg2'\n"
          + MGML.replace("i_site", "i_site d_msd d_vibration d_vibration_avg2") + "run 10\n")


@pytest.mark.parametrize("ranks, run", [(1, run_lammps), (4, run_lammps),
                                        pytest.param(2, run_site, marks=SITE)])
def test_columns_of_a_run_equal_those_of_its_dump(tmp_path, ranks, run):
    of(tmp_path, IN_RUN, ranks, run, out="out.dump")
    first, last = read_dump(tmp_path / "out.dump")
    assert (first.step, last.step) == (20, 30)
    np.testing.assert_array_equal(first.columns["d_msd"], last.columns["d_msd"])
    assert not last.columns["i_site"].any()
    system = (first.positions, first.types, first.box.edges)
    msd = first.columns["d_msd"]
    found = featurize(*system, features="vibration", msd=msd)
    same(first.columns["d_vibration"], found[:, 0], 1e-9)
    same(first.columns["d_vibration_avg2"], found[:, 2], 1e-9)
    same(first.columns["d_sq"],
         softness(*system, model="cuzr-axial-vibration", load="z", msd=msd), 1e-9)


def test_mgml_featurize_takes_the_column(tmp_path):
    of(tmp_path, IN_RUN, 2, out="out.dump")
    text = mgml("featurize", tmp_path / "out.dump", "--frames", "0", "--features", "vibration",
                "--model", "cuzr-vibration")
    first = next(read_dump(tmp_path / "out.dump"))
    rows = np.array([line.split() for line in text.splitlines() if line[0] != "#"], float)
    np.testing.assert_allclose(rows[:, 1], first.columns["d_vibration"], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("deck, expected", [
    (IN_RUN.replace(WATCH, "").replace("unfix watch", "").replace(" d_msd", ""),
     "needs the vibrations of the undeformed glass, column d_msd"),
    (IN_RUN.replace("unfix watch", "").replace("fix watch", "# watch"),
     "no atom has a mean square displacement above 0")])
def test_a_run_without_them_ends_with_one_message(tmp_path, deck, expected):
    done = run_lammps(tmp_path, deck, 2, out="out.dump")
    assert done.returncode != 0
    assert done.stdout.count(expected) == 1 and "Traceback" not in done.stdout
