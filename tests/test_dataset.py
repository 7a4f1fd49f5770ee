"""``mgml dataset``: real LAMMPS runs of the decks, and what a folder remembers of them."""
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from datasets import words
from decks import BIN, GLASS, ROOT, mgml, run_lammps

from lammps_mgml.errors import InputError
from lammps_mgml.io.dump import read_data
from lammps_mgml.io.glass import read_glass
from lammps_mgml.train.pack import elements_of, glass_of
from lammps_mgml.train.plan import Plan


@pytest.fixture
def copy(tmp_path, small_glass):
    shutil.copytree(small_glass[0], tmp_path, dirs_exist_ok=True)
    return tmp_path


def refused(*args):
    text = mgml(*args, ok=False)
    assert len(text.splitlines()) == 1, text
    return text


def test_dataset_makes_and_packs_a_small_glass(copy, small_glass):
    """Quench, vibrate, load, pack; a second call finds all done."""
    text = small_glass[1]
    assert "in.quench glass-5.data" in text and "in.aqs glass-5.x-tension.done" in text
    glass = read_glass(copy / "out" / "glass-5.h5")
    assert len(glass) == 216 and glass.loadings[0].load == "x tension"
    assert glass.elements == ("Cu", "Zr") and glass.provenance["potential"] == "CuZr_mm.eam.fs"
    assert re.fullmatch("[0-9a-f]{64}", glass.provenance["potential_sha256"])
    assert re.match(r"\d+ \w+ 20\d\d", glass.provenance["lammps"])
    assert glass.made == {"seed": 5, "zr": 0.35, "n": 6, "rate": "2e14", "fast": "1e15",
                          "vibration_temp": "300", "hot_temp": "500"}
    assert glass.loadings[0].strain.tolist() == [0.01] and glass.loadings[0].stress[0] > 0
    assert glass.box[0, 0] > 0 and glass.quenched is not None and glass.energy < -4.2
    # quenched this fast a few atoms leave their cages: the mean is anything, the median is not
    for name, least, most in (("msd", 0.02, 0.2), ("msd_hot", 0.04, 0.4)):
        msd = glass.watched[name]
        assert msd.shape == (216,) and (msd > 0).all() and least < np.median(msd) < most
    again = mgml(*words("make", copy))
    assert "in.quench" not in again and "in.aqs" not in again
    # killed between a frame and its checkpoint, a run writes the frame again
    dump = copy / "md" / "glass-5.x-tension.dump"
    text = dump.read_text()
    dump.write_text(text + text[text.rindex("ITEM: TIMESTEP"):])
    mgml(*words("pack", copy))
    packed = read_glass(copy / "out" / "glass-5.h5")
    np.testing.assert_array_equal(packed.loadings[0].strain, glass.loadings[0].strain)
    np.testing.assert_array_equal(packed.loadings[0].d2min, glass.loadings[0].d2min)


@pytest.mark.parametrize("forgotten", [False, True])
@pytest.mark.parametrize("option, value, was", [
    ("rate", "3e14", "2e14"), ("fast", "1e13", "1e15"), ("zr", "0.5", "0.35"), ("n", "7", "6"),
    ("vibration-temp", "500", "300"), ("hot-temp", "450", "500")])
def test_other_options_for_a_glass_that_is_there_are_refused(copy, option, value, was, forgotten):
    """By the folder's own memory, and by the logs of a folder of version 0.1.0."""
    record = copy / "md" / "glass-5.json"
    kept = json.loads(record.read_text())
    assert kept["steps"]["glass-5.data"]["variables"]["rate"] == "2e14"
    if forgotten:
        record.unlink()
        mgml(*words("pack", copy))
    for what in ("make", "pack"):
        text = refused(*words(what, copy, **{option.replace("-", "_"): value}))
        if forgotten and option == "fast":   # the log tells the stages that follow from it
            assert "glass-5.log has a stage from step" in text and f"--fast {value}" in text
        else:
            assert f"was made with --{option} {was}, not {value}" in text
    assert read_glass(copy / "out" / "glass-5.h5").made["rate"] == "2e14"
    mgml(*words("pack", copy, rate="2.0e+14"))


@pytest.mark.parametrize("gone, message", [
    (["glass-5.json", "glass-5.log"], "neither its .json nor glass-5.log tells the options"),
    (["glass-5.json", "glass-5.msd.log"], "neither glass-5.json nor glass-5.msd.log tells")])
def test_folder_that_tells_nothing_is_refused(copy, gone, message):
    for name in gone:
        (copy / "md" / name).unlink()
    assert message in refused(*words("pack", copy))


def test_damaged_memory_is_named(copy):
    (copy / "md" / "glass-5.json").write_text('{"steps"')
    assert "glass-5.json is damaged" in refused(*words("pack", copy))


def test_loading_goes_on_to_a_larger_strain(copy):
    before = read_glass(copy / "out" / "glass-5.h5").loadings[0]
    text = mgml(*words("pack", copy, strain="0.02"))
    assert "glass-5.x-tension: not at strain 0.02, left out" in text
    text = mgml(*words("make", copy, strain="0.02"))
    assert "in.aqs glass-5.x-tension.done" in text and "in.quench" not in text
    after = read_glass(copy / "out" / "glass-5.h5").loadings[0]
    assert after.strain.tolist() == [0.01, 0.02]
    np.testing.assert_array_equal(after.d2min[0], before.d2min[0])


def nickel(folder):
    """Decks of a user who works on Ni-Al."""
    shutil.copytree(ROOT / "inputs", folder, ignore=shutil.ignore_patterns("glasses", "*.gz"))
    for deck in folder.glob("in.*"):
        text = deck.read_text().replace("eam/fs", "eam/alloy").replace(
            "CuZr_mm.eam.fs Cu Zr", "NiAlH_jea.eam.alloy Ni Al")
        text = text.replace("1 63.546", "1 58.693").replace("2 91.224", "2 26.982")
        deck.write_text(text.replace("variable time   index 20 ", "variable time   index 0.2 "))
    return folder


def test_glass_of_other_decks_has_its_own_elements(copy, tmp_path):
    decks = nickel(tmp_path / "decks")
    text = mgml(*words("make", copy, seeds="6", n="5", zr="0.24", decks=decks))
    assert "Ni76Al24" in text
    glass = read_glass(copy / "out" / "glass-6.h5")
    assert glass.elements == ("Ni", "Al") and glass.provenance["potential"] == "NiAlH_jea.eam.alloy"
    text = mgml("train", copy / "out" / "glass-6.h5", "--unseen", copy / "out" / "glass-5.h5", "-o",
                copy / "m.mgml", ok=False)
    assert "glass-5.h5: elements Cu Zr, not Ni Al" in text
    # a Cu-Zr glass is not loaded by them
    text = refused(*words("make", copy, axes="xy", decks=decks))
    assert "the potential NiAlH_jea.eam.alloy by glass-5.y-tension.log, CuZr_mm.eam.fs" in text
    assert not (copy / "md" / "glass-5.y-tension.done").exists()


@pytest.mark.parametrize("masses, symbols, expected", [
    ((63.546, 91.224), [], ("Cu", "Zr")),
    ((91.22, 63.55), ["Zr", "Cu"], ("Zr", "Cu")),
    ((58.69, 26.98), ["Ni", "Al"], ("Ni", "Al")),
    ((58.69, 26.98), [], "element of type 1 is unknown"),                # nickel or cobalt
    ((1.0, 3.0), [], "element of type 2 is unknown"),
    ((63.546, 91.224), ["Ni", "Al"], "type 1 has mass 63.546, but pair_coeff names it Ni"),
    ((63.546, 91.224), ["Cu"], "has 2 types, pair_coeff names 1"),
    ((), [], "has no masses")])
def test_elements_come_from_what_was_run(tmp_path, masses, symbols, expected):
    rows = "".join(f"{k} {m}\n" for k, m in enumerate(masses, start=1))
    (tmp_path / "x.data").write_text("LAMMPS data file\n\n1 atoms\n2 atom types\n\n"
                                     + (f"Masses\n\n{rows}\n" if masses else "")
                                     + "Atoms # atomic\n\n1 1 0 0 0\n")
    if isinstance(expected, tuple):
        assert elements_of(tmp_path / "x.data", symbols) == expected
    else:
        with pytest.raises(InputError, match=expected):
            elements_of(tmp_path / "x.data", symbols)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_stops_lammps_too(tmp_path, number):
    command = [BIN / "mgml", *map(str, words("make", tmp_path, n="5", rate="1e11"))]
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    process = subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    try:
        until = time.time() + 60
        while not (tmp_path / "md" / "glass-5.check.done").exists():
            assert time.time() < until and process.poll() is None
            time.sleep(0.1)
    finally:
        process.send_signal(number)   # to mgml alone, not to its children
        out, error = process.communicate(timeout=30)
    assert process.returncode == 130 and error == "mgml dataset: interrupted\n"
    time.sleep(1)
    assert not list(processes_in(tmp_path / "md"))


def processes_in(folder):
    """Ids of the processes that work in ``folder``."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if Path(os.readlink(f"/proc/{pid}/cwd")) == folder:
                yield pid
        except OSError:                      # it has just ended, or is another user's
            continue


def test_ageing_changes_which_atom_is_which_and_holds_the_composition(tmp_path):
    """A hold of 0.1 ps by the real deck: as many Zr atoms after it, in other places."""
    (tmp_path / "glass-13.data").write_bytes(gzip.decompress(GLASS.read_bytes()))
    done = run_lammps(tmp_path, (ROOT / "inputs" / "in.age").read_text(), timeout=120,
                      name="glass-13", time=0.1, rate="1e16", maxiter=5)
    assert done.returncode == 0, done.stdout[-2000:]
    before, after = (read_data(tmp_path / f"glass-13{aged}.data").types for aged in ("", "-aged"))
    assert (before == 2).sum() == (after == 2).sum() == 2800 and (before != after).sum() > 20
    assert (tmp_path / "inherent.txt").read_text().startswith("glass-13-aged 0.3500 0.1ps@700.0K,")
    (tmp_path / "glass-13.data").unlink()    # made elsewhere: no log tells how
    plan = Plan(13, age="0.1", n=20)
    (tmp_path / "glass-13-aged.log").write_text(done.stdout)
    glass = glass_of(plan, tmp_path)
    assert not glass.watched and glass.elements == ("Cu", "Zr") and not glass.loadings
    with pytest.raises(InputError, match="glass-13-aged.data: 2800 Zr atoms of 8000, where --zr"):
        glass_of(replace(plan, shares=(0.64, 0.36)), tmp_path)
    with pytest.raises(InputError, match="glass-13-aged.data was made with --age 0.1, not 0.2"):
        glass_of(replace(plan, age="0.2"), tmp_path)


@pytest.mark.parametrize("others, message", [
    ({"axes": "xq"}, "--axes 'xq'"), ({"senses": "squeeze"}, "--senses 'squeeze'"),
    ({"seeds": "8-5"}, "--seeds '8-5'"), ({"lmp": "nolammps -sf opt"}, "no program nolammps"),
    ({"decks": "nowhere"}, "no decks in nowhere"),
])
def test_wrong_words_end_with_one_line_before_any_work(tmp_path, others, message):
    assert message in refused(*words("make", tmp_path, **others))
    assert not (tmp_path / "md").exists()
