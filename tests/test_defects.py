"""Every deck of tests/defects ends right: correct numbers, NaN with a flag, or one clear line.

The decks run as a user runs them; D2 and S^q are computed once more from the dumps.
"""
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from decks import BIN, GLASS, PATIENCE, ROOT, environment, run_lammps, run_site, site_lammps
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
from independent import continued, d2min, follow, read, with_images

# Each defect has a test of its own in the other files; these decks are for make test-slow.
pytestmark = pytest.mark.slow

DEFECTS = ROOT / "tests" / "defects"
SITE = pytest.mark.skipif(site_lammps() is None,
                          reason="not run: no LAMMPS with the PYTHON package in /usr/bin")
BOTH = [run_lammps, pytest.param(run_site, marks=SITE)]


@pytest.fixture
def here(tmp_path):
    """A folder with the files that the decks name."""
    (tmp_path / "small.data.gz").symlink_to(DEFECTS / "small.data.gz")
    (tmp_path / "inputs").symlink_to(GLASS.parent)
    (tmp_path / "glass.data").write_bytes(gzip.decompress(GLASS.read_bytes()))
    (tmp_path / "data.eim").write_text(rock_salt())
    return tmp_path


def rock_salt(n=10, half=2.82):
    """Data file of n^3 ions Na and Cl in turn."""
    grid = np.stack(np.meshgrid(*[np.arange(n)] * 3), axis=-1).reshape(-1, 3)
    rows = [f"{k} {1 + sum(g) % 2} {' '.join(str(half * a) for a in g)}"
            for k, g in enumerate(grid, 1)]
    box = "".join(f"0 {n * half} {a}lo {a}hi\n" for a in "xyz")
    return (f"rock salt\n\n{n**3} atoms\n2 atom types\n{box}\nMasses\n\n1 22.98977\n2 35.453\n\n"
            "Atoms # atomic\n\n" + "\n".join(rows) + "\n")


def deck_of(name):
    return (DEFECTS / name).read_text()


def play(folder, name, run=run_lammps, ranks=1, out="out.dump", **more):
    return run(folder, deck_of(name), ranks, out=out, timeout=60, **more)


def good(folder, name, *args, **more):
    """Frames of a deck that must end well."""
    ends_well(play(folder, name, *args, **more))
    return read(folder / more.get("out", "out.dump"))


def refused(folder, name, *words, run=run_lammps, ranks=2, **more):
    return one_error(run(folder, deck_of(name), ranks, out="out.dump", timeout=20, **more), *words)


def test_the_independent_numbers_are_those_of_ovito(here):
    """Two glasses apart: what the other tests go by is right, in a box that is not a cube too."""
    pytest.importorskip("ovito", reason="not run: ovito is not installed")
    frames = ("dump x all custom 40 x.dump id type x y z ix iy iz\n"
              "dump_modify x format float %.17g\n")
    system = deck_of("20_part_B.lmp").split("variable mgml")[0] + "change_box all triclinic\n"
    ends_well(run_lammps(here, f"{system}velocity all create 2000 7\nfix load all deform 1 "
                         f"xz erate 2 y erate -1 remap x\n{frames}run 80\n"))
    first, *_, last = read(here / "x.dump")
    found = d2min(first, last)
    for mine, theirs in zip(found[:2], ovito_d2min(first, last)):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9)
    assert np.median(found.d2min) > 1 and np.median(found.eta) > 0.1


@pytest.mark.parametrize("name, ranks, who", [
    ("01_delete_atoms_compress_yes.lmp", 1, follow), ("01_delete_atoms_compress_yes.lmp", 2, follow),
    ("02_reset_atoms_id.lmp", 1, follow), ("02_reset_atoms_id.lmp", 2, follow),
    ("03_delete_then_create_atoms.lmp", 2, None), ("03b_refill_vacancy_indexerror.lmp", 2, None),
    ("08_inserted_atom_dsq_zero.lmp", 1, None)])
def test_atoms_renumbered_taken_out_put_in(here, name, ranks, who):
    frames = good(here, name, ranks=ranks)
    assert_right(frames, numbers=who and who(frames), now="all")
    assert (frames[-1].flags & (NO_D2 | NEW)).any()


@pytest.mark.parametrize("run", BOTH)
def test_last_tag_deleted_and_given_anew(here, run):
    frames = good(here, "03a_delete_last_tag_then_create_silent.lmp", run)
    # after step 10 the last tag is another atom's
    numbers = [np.where((f.ids == 1331) & (f.step > 10), 99999, f.ids) for f in frames]
    assert_right(frames, numbers=numbers)
    assert frames[-1].step > 10 and frames[-1].flags[-1] & NEW


@pytest.mark.parametrize("run", BOTH)
def test_restart_after_a_flip(here, run):
    first = good(here, "04_flip_restart_part1.lmp", run, 2)
    second = good(here, "04_flip_restart_part2.lmp", run, 1, out="two.dump")
    tilts = [f.edges[1, 0] for f in first]
    assert min(np.diff(tilts)) < 0, "the box never flipped"
    assert_right(first, now="all")
    before = [f for f in first if f.step <= 30]
    edges = continued(before + second[1:])[-1]
    assert_right(before + second[1:], now="all")
    truth = d2min(first[0], second[-1], edges)
    assert_near(second[-1]["d_d2min"], truth.d2min, 1e-9)


@pytest.mark.parametrize("name, ranks", [
    ("05_run0_minimize_run_drift.lmp", 1), ("06_respa_second_run.lmp", 2),
    ("10_dump_in_minimize.lmp", 2)])
def test_runs_that_were_taken_for_others(here, name, ranks):
    assert_right(good(here, name, ranks=ranks), now="all", tolerance=1e-8)


@SITE
@pytest.mark.parametrize("name", ["05_run0_minimize_run_drift.lmp", "06_respa_second_run.lmp",
                                  "07_debian_include_at_step_100.lmp", "10_dump_in_minimize.lmp"])
def test_runs_that_were_taken_for_others_on_a_lammps_with_python(here, name):
    assert_right(good(here, name, run_site, 2), tolerance=1e-8)


def test_lines_at_step_100(here):
    assert_right(good(here, "07_debian_include_at_step_100.lmp"), now="all", tolerance=1e-8)


@pytest.mark.parametrize("name, words", [
    ("09_dimension_2.lmp", ["dimension"]), ("made/in.crack_mgml", ["dimension"]),
    ("22_plugin_before_deform.lmp", ["fix load", "deform"]),
    ("15_no_include_traceback.lmp", ["include"]),
    ("26_model_without_positions_traceback.lmp", ["np.mgml", "positions"])])
def test_refused(here, name, words):
    if "np.mgml" in words:
        model_without_positions(here)
    refused(here, name, *words)


def model_without_positions(folder):
    from lammps_mgml.models.model import SHIPPED, checksum_of

    card = json.loads((SHIPPED / "cuzr.mgml").read_text())
    card.pop("positions")
    card["checksum"] = checksum_of(card)
    (folder / "np.mgml").write_text(json.dumps(card))


@SITE
@pytest.mark.parametrize("name, words", [
    ("09_dimension_2.lmp", ["dimension"]), ("15_no_include_traceback.lmp", ["Python function"]),
    ("26_model_without_positions_traceback.lmp", ["np.mgml", "positions"])])
def test_refused_on_a_lammps_with_python(here, name, words):
    if "np.mgml" in words:
        model_without_positions(here)
    refused(here, name, *words, run=run_site)


@SITE
def test_lines_before_fix_deform_are_told_of(here):
    done = ends_well(play(here, "22_plugin_before_deform.lmp", run_site, 2))
    warnings = [x for x in done.stdout.splitlines() if x.startswith("WARNING") and "deform" in x]
    assert len(warnings) == 1, done.stdout[-2000:]


@pytest.mark.parametrize("run", BOTH)
def test_one_atom(here, run):
    frames = good(here, "11_sparse_system_wrong_remedy.lmp", run)
    for f in frames:
        assert np.isnan([f[k] for k in ("d_sq", "d_s", "d_d2min", "d_eta")]).all()
        assert f.flags[0] & NO_D2


@pytest.mark.parametrize("ranks", [1, 2])
def test_lone_atom_near_a_face(here, ranks):
    assert_right(good(here, "12_lone_atom_near_face_refused.lmp", ranks=ranks), now="all")


def test_table_is_not_overwritten_after_reset_timestep(here):
    from lammps_mgml.io.table import table_steps
    refused(here, "13_table_overwritten_after_reset_timestep.lmp", "t.h5", "step 0")
    assert table_steps(here / "t.h5") == [0, 10, 20]
    assert len(read(here / "out.dump")) == 3


@pytest.mark.parametrize("name, one, two", [
    ("14_restart_other_load_part{}.lmp", "z compression", "x tension"),
    ("16_none_elements_swapped_part{}.lmp", "mgml_elements", "Zr")])
@pytest.mark.parametrize("run", BOTH)
def test_restart_that_differs_is_refused(here, name, one, two, run):
    assert_right(good(here, name.format(1), run, 2), softness=False, now="all")
    refused(here, name.format(2), one, two, run=run)


@pytest.mark.parametrize("name", ["17_comm_mode_multi_slab.lmp", "17b_comm_mode_multi_bulk.lmp"])
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_comm_mode_multi(here, name, ranks):
    frames = good(here, name, ranks=ranks)
    assert_right(frames, now="all")
    assert np.isfinite(frames[0]["d_sq"]).mean() > 0.5


@pytest.mark.parametrize("run", BOTH)
def test_write_dump_after_minimize(here, run):
    first = good(here, "18_write_dump_after_minimize_stale.lmp", run)
    assert_right(first)
    end = read(here / "stale_end.dump")[-1]
    if run is run_site and np.isnan(end["d_d2min"]).all():
        assert np.isnan(end["d_s"]).all()
        return
    assert_near(end["d_d2min"], d2min(first[0], end).d2min, 1e-9)
    assert_near(end["d_s"], softness_of(end, first[0]), 1e-9)


@pytest.mark.parametrize("run", BOTH)
def test_clear_then_the_restart_of_another_glass(here, run):
    a = good(here, "20_part_A.lmp", run, 2, out="a.dump")
    b = good(here, "20_part_B.lmp", run, 2, out="b.dump")
    ends_well(run(here, deck_of("20_clear_then_read_restart_of_other_glass.lmp"), 1, timeout=60))
    for before, name in ((a, "Acl.dump"), (b, "Bcl.dump")):
        assert_right(read(here / name), reference=before[0], now="all")


def test_clear_then_the_restart_of_another_model(here):
    for part in "AB":
        good(here, f"20_part_{part}.lmp", out=f"{part}.dump")
    refused(here, "21_clear_then_restart_other_model_not_refused.lmp", "cuzr-wang13", "cuzr")


def test_disk_full(here):
    """A disk of 3 MB, there for this run only."""
    pytest.importorskip("h5py")
    (here / "small-disk").mkdir()
    disk = "mount -t tmpfs -o size=3m none small-disk"
    for words in ("unshare -m", "unshare -rm"):
        if subprocess.run([*words.split(), "sh", "-c", disk], cwd=here).returncode == 0:
            break
    else:
        pytest.skip("not run: no small disk can be made")
    limited = here / "lmp"
    limited.write_text(f"#!/bin/sh\nexec {words} sh -c '{disk}; exec lmp \"$@\"' lmp \"$@\"\n")
    limited.chmod(0o755)
    deck = deck_of("23_disk_full_traceback.lmp")
    for ranks in (1, 2):
        done = run_lammps(here, deck, ranks, out="out.dump", timeout=20, program=str(limited))
        one_error(done, "t.h5")


@pytest.mark.parametrize("run", BOTH)
def test_tags_that_are_multiples_of_fourteen(here, run):
    with gzip.open(DEFECTS / "small.data.gz", "rt") as text:
        data = re.sub(r"(?m)^(\d+)(?= [12] \S+ \S+ \S+ -?\d+ -?\d+ -?\d+$)",
                      lambda m: str(14000 * int(m[1])), text.read())
    data = re.sub(r"(?s)\nVelocities.*", "\n", data)
    with gzip.open(here / "tags.data.gz", "wt") as file:
        file.write(data)
    first = good(here, "24_tags_multiples_of_14.lmp", run, 1)
    assert (first[0].ids % 14000 == 0).all()
    second = good(here, "24_tags_multiples_of_14_restart.lmp", run, 2, out="two.dump")
    assert_right(first, now="all")
    assert_right(second, reference=first[0], now="all")


def host(folder, ranks, *words, timeout=60):
    """The Python host of the decks' folder."""
    return subprocess.run([str(BIN / "mpirun"), "-np", str(ranks), sys.executable,
                           str(DEFECTS / "19_25_two_clear_main_loop.py"), *words], cwd=folder,
                          env=environment(ranks), text=True, timeout=timeout * PATIENCE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("ranks", [1, 2])
def test_two_lammps_in_one_host(here, ranks):
    ends_well(host(here, ranks, "two"))
    for name in "abc":
        assert_right(read(here / f"i{name}.dump"), now="all")


@pytest.mark.parametrize("mode", ["reuse", "clear"])
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_restart_with_another_cutoff_in_one_host(here, mode, ranks):
    done = host(here, ranks, mode, timeout=20)
    assert done.returncode != 0
    assert re.search(r"mgml_d2_cutoff.*", done.stdout), done.stdout[-2000:]
    assert "4.5" in done.stdout and "4.0" in done.stdout


def test_a_host_that_has_a_softness_of_its_own(here):
    done = host(here, 1, "main")
    if done.returncode:
        assert "softness of its own" in done.stdout, done.stdout[-2000:]
    else:
        assert_right(read(here / "m.dump"), now="all")


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_clear_in_a_loop(here, ranks):
    done = ends_well(host(here, ranks, "leak", "401", timeout=600))
    assert "done 401" in done.stdout
    size = [int(w) for w in re.findall(r"RSS MB (\d+)", done.stdout)]
    plain = [int(w) for w in re.findall(
        r"RSS MB (\d+)", ends_well(host(here, ranks, "leak0", "401", timeout=600)).stdout)]
    # the first passes fill caches
    assert size[-1] - size[1] < 20 + plain[-1] - plain[1], (size, plain)


@pytest.mark.slow
def test_model_parameters(here):
    """A model file with a valid checksum and odd parameters: loaded and right, or refused."""
    shutil.copy(DEFECTS / "27_model_parameters_unchecked.py", here)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "27_model_parameters_unchecked.py"], cwd=here, env=env,
                          text=True, capture_output=True, timeout=900)
    lines = done.stdout.splitlines()
    assert len(lines) >= 28 and "finite 8000" in lines[0], done.stdout + done.stderr
    for line in lines:
        assert "refused:" in line or "softness finite" in line, line
        assert float(re.search(r"t ([\d.]+) RSS", line)[1]) < 20, line
        assert float(re.search(r"RSS (\d+) MB", line)[1]) < 600, line


def plain(folder, name, until, write="before.dump"):
    """A frame of the same deck without our lines, up to (not with) the line ``until``."""
    deck = deck_of(name).split(until)[0]
    ours = ("mgml", "fix             sq", "fix sq", "dump")
    deck = "\n".join(line for line in deck.split("\n")
                     if not line.startswith(ours) and "mgml" not in line)
    deck += f"\nwrite_dump all custom {write} id type x y z ix iy iz modify format float %.17g\n"
    ends_well(run_lammps(folder, deck, timeout=60))
    return read(folder / write)[0]


@pytest.mark.slow
@pytest.mark.parametrize("run", BOTH)
def test_athermal_loading_of_the_glass(here, run):
    name = "made/in.aqs_glass"
    deck = deck_of(name)
    # the reference is the structure of the first evaluation: that of the first minimise
    script = deck.split("variable mgml")[0] + (
        "change_box all z final 0 $(lz*0.98) remap units box\n"
        "write_dump all custom before.dump id type x y z ix iy iz modify format float %.17g\n")
    ends_well(run(here, script, 2, timeout=60))
    reference = read(here / "before.dump")[0]
    ends_well(run(here, deck, 2, timeout=120))
    last = read(here / "last.dump")[-1]
    if run is run_site:
        assert (last.flags & NOT_NOW).all() and np.isnan(last["d_d2min"]).all()
    else:
        assert_right([last], reference=reference, now="all", tolerance=1e-6)


@pytest.mark.parametrize("run", BOTH)
def test_athermal_loading_with_run_0(here, run):
    name = "made/in.aqs_run0"
    reference = plain(here, name, "min_style")
    ends_well(run(here, deck_of(name), 2, timeout=120))
    frames = [read(here / f"aqs.{k}.dump")[-1] for k in (1, 2, 3, 4)]
    assert_right(frames, reference=reference, softness=False, now="all", tolerance=1e-6)
    eta = [np.median(f["d_eta"]) for f in frames]
    assert (np.diff(eta) > 0).all()


@pytest.mark.slow
def test_deposit_and_evaporate(here):
    frames = good(here, "made/in.deposit_evaporate", ranks=2)
    # all of type 2 are deposited, some with the tag of an atom that evaporated
    numbers = [np.where(f.types == 2, -f.ids, f.ids) for f in frames]
    assert (frames[-1].types == 2).sum() > 10
    assert_right(frames, numbers=numbers, softness=False, now="all", tolerance=1e-6)


@pytest.mark.parametrize("run", BOTH)
def test_crystal_slab(here, run):
    frames = good(here, "made/in.fe_slab", run, 2)
    assert_right(with_images(frames), softness=False, now="all", tolerance=2e-3)


@pytest.mark.parametrize("name, who", [("made/in.glass_create", None),
                                       ("made/in.glass_void", follow)])
@pytest.mark.parametrize("ranks", [1, 2])
def test_glass_with_a_void(here, name, who, ranks):
    # with all digits: six of them move a few atoms across the near cutoff, offline
    deck = re.sub(r"(?m)^dump out .*$", r"\g<0>\ndump_modify out format float %.17g", deck_of(name))
    ends_well(run_lammps(here, deck, ranks, out="out.dump", timeout=60))
    frames = read(here / "out.dump")
    assert_right(frames, numbers=who and who(frames), now="all", tolerance=1e-6)
    assert (frames[-1].flags & NO_D2).sum() > 20


def test_all_atoms_are_new(here):
    *_, last = frames = good(here, "made/in.glass_renew", ranks=2)
    assert frames[0].step == 0 and (last.flags & NEW).all()
    for name in ("d_sq", "d_d2min", "d_eta"):
        assert np.isnan(last[name]).all()


def test_tags_given_anew_in_a_molten_salt(here):
    name = "made/in.resetids"
    before = plain(here, name, "reset_atoms")
    after = plain(here, name, "run 100\nwrite_dump", "after.dump")
    old = follow([before, after], far=1e-6)[1]         # the same structure, wrapped anew
    frames = good(here, name)
    numbers = [f.ids if f.step <= 100 else old for f in frames]
    assert frames[-1].step == 200 and (old != after.ids).any()
    assert_right(frames, numbers=numbers, softness=False, now="all", tolerance=1e-6)


def test_every_deck_has_a_test():
    text = Path(__file__).read_text()
    for path in DEFECTS.rglob("*"):
        if path.suffix in (".lmp", ".py") or path.parent.name == "made":
            name = re.sub(r"part\d", "part{}", path.name)
            name = re.sub(r"^20_part_.", "20_part_{part}", name)
            assert name in text or path.name in text, f"{path.name}: no test"
