"""Every option of every verb of ``mgml``, as a user gives it, and how the program ends."""
import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from decks import BIN, GLASS, ROOT, SITE_PACKAGES, mgml, site_environment, site_lammps

from lammps_mgml.api import featurize, softness
from lammps_mgml.cli import VERBS, parser_of
from lammps_mgml.errors import InputError
from lammps_mgml.io.dump import read_data
from lammps_mgml.io.glass import read_glass
from lammps_mgml.io.table import read_table, table_steps
from lammps_mgml.models.model import load_model

GLASSES = ROOT / "inputs" / "glasses"
LOADED = GLASSES / "glass-13.z-compression.dump.gz"
G11, G12, G13, G26 = (GLASSES / f"glass-{k}.h5" for k in (11, 12, 13, 26))
MADE = ("dataset", "pack", "{made}", "-o", "{tmp}", "--seeds", "5", "--n", "6", "--rate", "2e14",
        "--fast", "1e15", "--axes", "x", "--senses", "tension", "--strain", "0.01")
PACK = ("dataset", "pack", "{tmp}", "-o", "{tmp}", "--seeds", "5")
MAKE = ("dataset", "make", "{tmp}/md", "-o", "{tmp}", "--seeds", "5", "--lmp", "false", "--decks",
        "{root}/inputs")


def first(folder):
    """The table that a case wrote, its first frame."""
    return read_table(folder / "f.h5", table_steps(folder / "f.h5")[0])


def record(folder, seed=5):
    """{variable: value} of the quench that ``dataset make`` has started."""
    steps = json.loads((folder / "md" / f"glass-{seed}.json").read_text())["steps"]
    return steps[f"glass-{seed}.data"]["variables"]


# (words of the command, whether it succeeds, what must be so afterwards: of text and folder)
FEATURIZE = ("featurize", GLASS, "-o", "{tmp}/f.h5", "--features")
CASES = [
    (("deck",), True, lambda text, tmp: Path(text.strip()).is_file()),
    (("deck", "--vibration"), True, lambda text, tmp: "vibration" in Path(text.strip()).name
     and Path(text.strip()).is_file()),
    (("doctor", "--lmp", "nolammps"), False, lambda text, tmp: "--  LAMMPS" in text),
    (("doctor", "--headers", "{tmp}", "--bigbig"), False,
     lambda text, tmp: "no version.h of LAMMPS" in text),
    (("doctor", "--quick"), True, lambda text, tmp: " job " not in text),
    (("doctor", "--launcher", "mpirun -np 1"), False, lambda text, tmp: "--  job " in text),
    (("doctor", "--build", "--lmp", BIN / "lmp"), None, lambda text, tmp: "Update 4" in text),
    ((*FEATURIZE, "cn,boop_q"), True, lambda text, tmp: "boop_q6_voro" in first(tmp)["names"]),
    ((*FEATURIZE, "csro", "--elements", "Mg Al"), True,
     lambda text, tmp: "number_al_voro" in first(tmp)["names"]),
    ((*FEATURIZE, "cn", "--model", "cuzr"), True,
     lambda text, tmp: np.nanmax(first(tmp)["d_sq"]) > 0.8),
    (("featurize", LOADED, "--features", "facet_area_mean", "--frozen", "--frames", "0:5:2", "-o",
      "{tmp}/f.h5"), True,
     lambda text, tmp: table_steps(tmp / "f.h5") == [0, 20, 40] and read_table(
         tmp / "f.h5", 40)["attributes"]["area"] == first(tmp)["attributes"]["area"]),
    ((*FEATURIZE, "cn", "--crop", "x=10:30"), True, lambda text, tmp: 2000 < len(
        first(tmp)["id"]) < 4000),
    (("featurize", "{tmp}/slab.dump", "--features", "cn", "-o", "{tmp}/f.h5", "--margin", "10"), True,
     lambda text, tmp: 3000 < len(first(tmp)["id"]) < 6000),
    (("featurize", "{tmp}/slab.dump", "--features", "cn", "-o", "{tmp}/f.h5", "--boundary", "p p p"),
     False, lambda text, tmp: "boundary" in text),          # the dump says ff pp pp
    ((*FEATURIZE, "axial", "--load", "0 1 1 tension"), True,
     lambda text, tmp: np.isfinite(first(tmp)["features"]).all()),
    ((*FEATURIZE, "cn_dist", "--near-cutoff", "3.0"), True,
     lambda text, tmp: first(tmp)["features"].mean() < 10),
    ((*FEATURIZE, "cn_voro", "--small-facet", "0.3"), True,
     lambda text, tmp: first(tmp)["features"].mean() < 13),
    ((*FEATURIZE, "cn_voro", "--open-radius", "2.2"), True,
     lambda text, tmp: (first(tmp)["i_site"] & 1).any()),
    ((*FEATURIZE, "cn_dist", "--nearest", "2.0"), True,
     lambda text, tmp: first(tmp)["features"].mean() < 12
     and first(tmp)["attributes"]["near_cutoff"] == pytest.approx(4.0 * 2.0 / 2.54)),
    ((*FEATURIZE, "cn_voro", "--double"), True,
     lambda text, tmp: first(tmp)["features"].dtype == np.float64),
    (("featurize", LOADED, "--features", "cn_voro", "--frames", ":2", "-j", "2", "-o", "{tmp}/f.h5"),
     True, lambda text, tmp: len(table_steps(tmp / "f.h5")) == 2),
    ((*FEATURIZE, "cn_voro", "--model", "cuzr-wang13", "--contributions"), True,
     lambda text, tmp: "c_facet_area_stats" in first(tmp)),
    (("why", "cuzr-axial", GLASS, "--atoms", "5,17", "--load", "z compression", "--elements", "Cu Zr"),
     True, lambda text, tmp: "\natom 5 (" in text and "  axial_avg " in text),
    (("why", "cuzr", LOADED, "--softest", "1", "--shown", "2", "--frame", "2", "--boundary", "p p p"),
     True, lambda text, tmp: "step 20: 8000 atoms, 0 without S^q" in text and text.count("atom ") == 1),
    (("features", "table3"), True, lambda text, tmp: len(text.splitlines()) == 13),
    (("features", "--set", "motifs"), True, lambda text, tmp: "motif_ico" in text),
    (("features", "csro", "--elements", "Ni Al"), True, lambda text, tmp: "number_al_voro" in text),
    (("features", "--csv"), True, lambda text, tmp: text.startswith("name,set,order,units")),
    (MADE, True, lambda text, tmp: read_glass(tmp / "glass-5.h5").loadings[0].strain[-1] == 0.01),
    *(((*MADE, option, value), False, lambda text, tmp, o=option, v=value: f"{o} " in text and
       v in text) for option, value in (("--rate", "3e14"), ("--fast", "1e13"), ("--zr", "0.5"),
                                        ("--n", "7"), ("--vibration-temp", "500"),
                                        ("--hot-temp", "600"))),
    ((*MADE, "--age", "7", "--age-temp", "700"), True,
     lambda text, tmp: "glass-5-aged: not ready" in text),
    ((*MADE, "--seeds", "7-8"), True,
     lambda text, tmp: text == "glass-7: not ready, left out\nglass-8: not ready, left out\n"),
    ((*MADE, "--axes", "y"), True, lambda text, tmp: "glass-5.y-tension: not at strain" in text),
    ((*MADE, "--senses", "compression"), True,
     lambda text, tmp: "glass-5.x-compression: not at strain" in text),
    ((*MADE, "--strain", "0.5"), True,
     lambda text, tmp: "x-tension: not at strain 0.5, left out" in text),
    ((*PACK, "--decks", "elsewhere"), True, lambda text, tmp: "glass-5: not ready" in text),
    *(((*MAKE, option, value), False, lambda text, tmp, k=key, v=value: str(record(tmp)[k]) == v)
      for option, value, key in (("--zr", "0.2", "zr"), ("--n", "9", "n"), ("--rate", "7e12", "rate"),
                                 ("--fast", "6e13", "fast"))),
    ((*MAKE, "--seeds", "31-33", "-j", "2"), False,
     lambda text, tmp: record(tmp, 31)["seed"] == 31 and record(tmp, 32)["seed"] == 32),
    ((*MAKE, "--age", "50", "--age-temp", "650"), False,
     lambda text, tmp: "in.quench for glass-5.data failed" in text),
    ((*MAKE, "--hot-temp", "hot"), False, lambda text, tmp: "'hot' is no number" in text),
    ((*MAKE, "--vibration-temp", "warm"), False, lambda text, tmp: "'warm' is no number" in text),
    ((*MAKE, "--axes", "xw"), False, lambda text, tmp: "--axes 'xw'" in text),
    ((*MAKE, "--senses", "push"), False, lambda text, tmp: "--senses 'push'" in text),
    ((*MAKE, "--strain", "0"), False, lambda text, tmp: "'0' is not above 0" in text),
    ((*MAKE, "--system", "ka", "--shares", "0.7,0.3"), False, lambda text, tmp: record(tmp)["x2"] == 0.3
     and (tmp / "md" / "ka.potential.lmp").exists()),
    ((*PACK, "--system", "ka3"), True, lambda text, tmp: "glass-5: not ready" in text),
    ((*PACK, "--system", "ka3", "--shares", "0.5,0.5"), False,
     lambda text, tmp: "--shares '0.5,0.5': write 3 fractions" in text),
    (("system", "list"), True, lambda text, tmp: "A70B20C10" in text),
    (("system", "show", "ka"), True, lambda text, tmp: "pair_coeff 1 2 1.5 0.8" in text),
    (("system", "new", "{tmp}/x.toml", "--like", "ka"), True,
     lambda text, tmp: 'name  = "x"' in (tmp / "x.toml").read_text()),
    (("system", "check", "ka3", "--lmp", BIN / "lmp"), True, lambda text, tmp: "cohesion" in text),
    (("system", "lammps", "ka", "{tmp}"), True, lambda text, tmp: (tmp / "ka.atoms.lmp").exists()),
    (("make-model", "ka", "-o", "{tmp}/m", "-j", "2", "--glasses", "5", "--size", "100000", "--budget",
      "1s", "--recipe", "axial", "--strain", "0.03", "--seed", "3", "--lmp", "lmp", "--decks", "{root}/inputs"), False,
     lambda text, tmp: "103823 atoms" in text and "0:00:01, is too short for 4 glasses" in text),
    (("dataset", "data", G11, G13, "-o", "{tmp}"), True,
     lambda text, tmp: "glass-13.data" in text and len(read_data(tmp / "glass-11.data").types) == 8000),
    (("dataset", "data", GLASS, "-o", "{tmp}"), False, lambda text, tmp: "no glass file" in text),
    (("pack", LOADED, "-o", "{tmp}/r.h5", "--elements", "Cu Zr", "--name", "a", "--rate", "1e13", "--made", "b",
      "--strains", "0.02,0.04"), True, lambda text, tmp: "a, 8000 atoms, 1 runs" in text),
    (("pack", LOADED, "-o", "{tmp}/none/r.h5"), False, lambda text, tmp: "there is no folder" in text),
    (("dataset", "watch", "{tmp}/none.h5", "--hot-temp", "0"), False, lambda text, tmp: "'0' is not above 0" in text),
    (("dataset", "watch", "{tmp}/none.h5", "--system", "ka", "--decks", "{tmp}", "--lmp", "lmp"), False,
     lambda text, tmp: "no decks in" in text),
    (("dataset", "forces", "{tmp}/none.h5", "--system", "ka", "--decks", "{tmp}", "--lmp", "lmp"), False,
     lambda text, tmp: "no decks in" in text),
    (("pack", LOADED, "-o", "{tmp}/r.h5", "--vibrations", LOADED), False, lambda text, tmp: "has no vibrations" in text),
    (("repeats", LOADED, "--model", "cuzr", "--strain", "0.04", "--json"), False,
     lambda text, tmp: "no other run of this glass" in text),
    (("study", G13, "--repeats", LOADED, "-o", "{tmp}/out"), False,
     lambda text, tmp: "no other run of this glass" in text and not (tmp / "out").exists()),
    (("dataset", "show", G11, G12), True, lambda text, tmp: text.count("Cu65Zr35") == 2),
    (("model", "cuzr"), True, lambda text, tmp: "sha256:" in text),
    (("model", "show", "cuzr", "--json"), True, lambda text, tmp: json.loads(text)["name"] == "cuzr"),
    (("train", G11, G12, "--unseen", G13, "--recipe", "pair", "--features",
      "facet_area_std,element_type,cn_voro", "--strain", "0.03", "--name", "tiny", "-o",
      "{tmp}/tiny.mgml"), True,
     lambda text, tmp: (m := load_model(tmp / "tiny.mgml")).name == "tiny" and set(
         m.features) == {"facet_area_std", "element_type", "cn_voro"}
     and m.card["label"]["strain"] == 0.03 and "glass-13." in text),
    (("train", G11, G12, "--unseen", G13, "--kinds", G13, "-o", "{tmp}/a.mgml"), False,
     lambda text, tmp: "glass-13 cannot be trained on and be unseen" in text),
    (("train", G11, "--unseen", G13, "--elements", "Ni Al", "-o", "{tmp}/a.mgml"), False,
     lambda text, tmp: "elements Cu Zr, not Ni Al" in text),
    (("score", "cuzr-wang13", G13, "--strain", "0.03", "--against", "cuzr", "--json"), True,
     lambda text, tmp: (s := json.loads(text))["strain"] == 0.03 and s["all"]["against"][
         "model"] == "cuzr"),
    (("report", "{tmp}/run.dump", "-o", "{tmp}/a.png", "--axis", "y", "--strain", "0.02",
      "--reference", GLASS), True,
     lambda text, tmp: "component yy (tension)" in text and (tmp / "a.png").stat().st_size > 9000),
    (("report", "{tmp}/run.dump", "-o", "{tmp}/a.svg", "--csv", "{tmp}/a.csv", "--reference", GLASS),
     True, lambda text, tmp: "table  " in text and (tmp / "a-strain.csv").read_text().count("\n") == 3),
    (("report", "{tmp}/run.dump", "--reference", GLASS, "--threshold", "0.5", "-o", "{tmp}/a.png"),
     True, lambda text, tmp: "component" in text),
    (("report", "{tmp}/run.dump", "--log", "{tmp}/none", "--reference", GLASS), False,
     lambda text, tmp: "/none: No such file" in text),
    # the figures are in test_study.py
    (("study", G13, "-o", "{tmp}/out", "--only", "2b", "--model", "cuzr-wang13", "--strain", "0.03"), True,
     lambda text, tmp: "0.03" in (tmp / "out" / "figure-2b.svg").read_text() and sorted(
         p.name for p in (tmp / "out").iterdir()) == [
             "figure-2b.csv", "figure-2b.png", "figure-2b.svg", "index.html"]),
    (("study", G13, "-o", "{tmp}/out", "--only", "2b", "--claims", "{tmp}/none/a.md"), False,
     lambda text, tmp: "--claims" in text and "there is no folder" in text and not (tmp / "out").exists()),
    # what they draw is in test_ovito.py
    *((("ovito", "{tmp}/run.dump", *words), False, lambda text, tmp, said=said: said in text)
      for words, said in (
          (("-o", "{tmp}/a.xyz"), "a.xyz: a picture ends in .png"),
          (("--colour", "d_p"), "the dump has no column d_p; it has"),
          (("--slice", "y"), "--slice 'y': write it as y:2.5"),
          (("--frame", "2"), "--frame 2: there are frames 0 to 1"),
          (("--every", "0"), "--every 0: must be 1 or more"),
          (("--view", "2a", "--plastic"), "--view 2a has its own colours and atoms: leave out --plastic"),
          (("--view", "why"), "the dump has no columns c_FAMILY: --model NAME computes them"),
          (("--size", "big"), "--size 'big': write it as 1200x900"),
          (("--threshold", "-1"), "--threshold must be above 0, not -1"),
          (("--elements", "CuZr"), "write the symbols of types"),
          (("--elements", "Cu Al", "--model", "cuzr"), "type 2 is Al, none of the model's elements"),
          (("--model", "cuzr"), "particle type 1 has no name"),
          (("--elements", "Cu Zr", "--model", "cuzr-axial", "--load", "q"), "load"))),
    (("ovito", "{tmp}/slab.dump", "--plastic", "--colour", "Position"), False,
     lambda text, tmp: "the dump has no column d_d2min" in text),
    (("examples",), True, lambda text, tmp: "in.shear " in text),
    (("examples", "{tmp}/try"), True, lambda text, tmp: (tmp / "try" / "in.shear").exists()),
    (("completion", "bash"), True, lambda text, tmp: "complete -o default -F _mgml mgml" in text),
    (("completion", "csh"), False, lambda text, tmp: "invalid choice: 'csh'" in text),
]


def actions(parser, words=()):
    """(verb, ..., longest name) of each option of a parser and of its subparsers."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                yield from actions(sub, (*words, name))
        elif not isinstance(action, argparse._HelpAction):
            yield words, action


def test_every_option_has_a_case():
    commands = [tuple(map(str, words)) for words, *_ in CASES]
    without = [" ".join((*verb, (action.option_strings or [action.dest])[-1]))
               for verb, action in actions(parser_of(VERBS))
               if verb and not any(words[:len(verb)] == verb
                                   and (not action.option_strings
                                        or set(action.option_strings) & set(words))
                                   for words in commands)]
    assert not without, f"add a case of {', '.join(without)}"


def test_every_option_tells_what_it_means():
    for verb, action in actions(parser_of(VERBS)):
        assert action.help or verb == ("score",), (verb, action.option_strings or action.dest)


@pytest.mark.parametrize("words, succeeds, so", CASES, ids=[
    "-".join(str(w).lstrip("-") for w in words if "/" not in str(w))[:60] for words, *_ in CASES])
def test_case(words, succeeds, so, tmp_path, request):
    text = " ".join(map(str, words))
    if "{tmp}/slab.dump" in text or "{tmp}/run.dump" in text:
        write_dumps(tmp_path)
    made = request.getfixturevalue("small_glass")[0] / "md" if "{made}" in text else None
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [BIN / "mgml", *(str(w).format(tmp=tmp_path, made=made, root=ROOT) for w in words)],
        capture_output=True, text=True, env=env)
    assert "Traceback" not in done.stderr
    assert succeeds is None or (done.returncode == 0) == succeeds, done.stdout + done.stderr
    said = done.stdout if succeeds or done.stdout and not done.stderr else done.stdout + done.stderr
    assert so(said, tmp_path), said[-3000:]


def write_dumps(folder):
    """slab.dump: free surfaces across x.  run.dump: two frames of a glass pulled along y."""
    glass = read_data(GLASS)
    edges = np.diag(glass.box.edges)

    def frame(step, bounds, edges, columns, rows):
        return "\n".join(["ITEM: TIMESTEP", str(step), "ITEM: NUMBER OF ATOMS", str(len(rows)),
                          f"ITEM: BOX BOUNDS {bounds}", *(f"0 {edge}" for edge in edges),
                          f"ITEM: ATOMS id type x y z{columns}",
                          *(" ".join(map(str, row)) for row in rows), ""])

    ids = zip(glass.columns["id"], glass.types)
    one = [(i, t, *x) for (i, t), x in zip(ids, glass.positions)]
    (folder / "slab.dump").write_text(frame(0, "ff pp pp", edges + [30, 0, 0], "", [
        (i, t, x + 15, y, z) for i, t, x, y, z in one]))
    (folder / "run.dump").write_text("".join(frame(
        k, "pp pp pp", edges * [1, 1 + 0.02 * k, 1], " d_sq d_d2min", [
            (i, t, x, y * (1 + 0.02 * k), z, 0.5, i % 10) for i, t, x, y, z in one]) for k in (1, 2)))


# How the program ends ----------------------------------------------------------------------------

def test_version_and_help():
    assert re.fullmatch(r"lammps_mgml \d+\.\d+\.\d+\n", mgml("--version"))
    for verb in VERBS:
        text = mgml(verb, "--help")
        assert text.startswith(f"usage: mgml {verb}")
    assert "export MGML_DECK=$(mgml" in " ".join(mgml("deck", "--help").split())


def test_interrupted_program_says_one_line(tmp_path):
    process = subprocess.Popen(
        [BIN / "mgml", "train", G11, G12, "--unseen", G13, "--recipe", "paper", "-o",
         tmp_path / "m.mgml"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # a shell starts its background jobs with the signal ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 130 and error == "mgml train: interrupted\n"
    assert not list(tmp_path.iterdir())


def test_other_errors_stay_tracebacks():
    """A fault of ours must not look like one of the user's."""
    code = ("import lammps_mgml.io.glass as g, lammps_mgml.cli as c\n"
            "def broken(path):\n    raise ZeroDivisionError('ours')\n"
            f"g.read_glass = broken\nc.main(['dataset', 'show', {str(G11)!r}])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" in done.stderr and "ZeroDivisionError" in done.stderr


def test_full_disk_ends_with_one_line(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        done = subprocess.run([BIN / "mgml", "features", "all"], stdout=full, stderr=subprocess.PIPE,
                              text=True)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr and "Traceback" not in done.stderr


def test_reader_that_stops_early_is_no_error():
    done = subprocess.run(f"{BIN / 'mgml'} features all --csv | head -1", shell=True,
                          capture_output=True, text=True)
    assert done.stdout.startswith("name,set") and done.stderr == ""


@pytest.mark.skipif(not Path("/usr/bin/mpirun.openmpi").exists(), reason="needs Open MPI beside ours")
def test_doctor_tells_an_mpirun_of_another_mpi(tmp_path):
    """Open MPI's mpirun first on PATH, mpi4py and LAMMPS of this environment with MPICH."""
    (tmp_path / "mpirun").symlink_to("/usr/bin/mpirun.openmpi")
    env = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([BIN / "mgml", "doctor"], capture_output=True, text=True, env=env)
    assert done.returncode == 1 and re.search(
        r"^--  one MPI +mpi4py is MPICH, mpirun is Open MPI, LAMMPS is MPICH: each process would be "
        r"rank 0 of 1; put the mpirun of MPICH first on PATH$", done.stdout, re.MULTILINE)
    env["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run([BIN / "mgml", "doctor"], capture_output=True, text=True, env=env)
    assert re.search(r"^ok  one MPI +mpi4py and mpirun and LAMMPS: MPICH$", done.stdout, re.MULTILINE)


@pytest.mark.skipif(not Path("/usr/bin/lmp").exists(), reason="needs a LAMMPS of the system")
def test_doctor_tells_a_lammps_of_another_mpi():
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([BIN / "mgml", "doctor", "--lmp", "/usr/bin/lmp"], capture_output=True,
                          text=True, env=env)
    assert done.returncode == 1 and "LAMMPS is Open MPI: LAMMPS and mpi4py must share" in done.stdout


@pytest.mark.parametrize("content, message", [
    ("", "it is empty"),
    ("ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp pp\n0 9\n0 9\n0 9\n"
     "ITEM: ATOMS id type element x y z\n1 1 Ni 1 1 1\n2 2 Al 3 3 3\n", "elements Ni Al, not Cu Zr")])
def test_dumps_that_are_no_loading_of_the_models_alloy(tmp_path, content, message):
    (tmp_path / "g.z-compression.dump").write_text(content)
    text = mgml("score", "cuzr", tmp_path / "g.z-compression.dump", ok=False)
    assert message in text and len(text.splitlines()) == 1


@pytest.mark.parametrize("verb", ["train", "report"])
def test_output_that_cannot_be_written_is_refused_before_the_work(verb, tmp_path):
    words = {"train": ("train", "none.h5", "--unseen", "none.h5"), "report": ("report", "none.dump")}
    for path, message in ((tmp_path / "no" / "x.png", "there is no folder"),
                          (tmp_path, "this is a folder")):
        text = mgml(*words[verb], "-o", path, ok=False)
        assert message in text and str(path) in text and len(text.splitlines()) == 1


# Glass files and types that cannot be right ------------------------------------------------------

def shortened(file, name, keep):
    data, attributes = file[name][keep], dict(file[name].attrs)
    del file[name]
    file[name] = data
    file[name].attrs.update(attributes)


def spoiled(file, name, index, value):
    data, attributes = file[name][:].astype(float), dict(file[name].attrs)
    data[index] = value
    del file[name]
    file[name] = data
    file[name].attrs.update(attributes)


@pytest.mark.parametrize("damage, message", [
    (lambda f: shortened(f, "loadings/x-compression/d2min", np.s_[:, :7000]),
     "loadings/x-compression/d2min must have shape"),
    (lambda f: shortened(f, "loadings/x-compression/d2min", np.s_[:2]), "must have shape"),
    (lambda f: shortened(f, "loadings/z-compression/stress", np.s_[:1]),
     "loadings/z-compression/stress must have shape"),
    (lambda f: shortened(f, "types", np.s_[:4000]), "must have shape (4, 4000), not (4, 8000)"),
    (lambda f: shortened(f, "msd", np.s_[:10]), "msd must have shape (8000,), not (10,)"),
    (lambda f: spoiled(f, "inherent", (5, 1), np.nan), "inherent has 1 values that are not finite"),
    (lambda f: spoiled(f, "loadings/x-compression/d2min", (0, 9), np.inf), "not finite"),
    (lambda f: spoiled(f, "types", 3, 1.5), "types must be whole numbers"),
    (lambda f: f["inherent"].attrs.__setitem__("box", np.zeros((3, 3))), "the box of inherent"),
    (lambda f: f["types"].write_direct(np.full(8000, 3, np.uint8)), "types must be 1 to 2 (Cu, Zr)"),
    (lambda f: f.__delitem__("loadings/x-compression/strain"), "strain"),
    (lambda f: f["loadings/x-compression/strain"].__setitem__(1, 0.0),
     "loadings/x-compression/strain does not grow"),
    (lambda f: (f.__delitem__("types"), f.create_group("types")), "is no glass file, or damaged"),
    (lambda f: f.attrs.__setitem__("made", "{"), "is no glass file, or damaged"),
])
def test_score_of_a_damaged_glass_file_is_one_line(tmp_path, damage, message):
    path = tmp_path / "g.h5"
    shutil.copy(G13, path)
    with h5py.File(path, "r+") as file:
        damage(file)
    text = mgml("score", "cuzr-wang13", path, ok=False)
    assert message in text and str(path) in text and len(text.splitlines()) == 1


@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
def test_glass_file_that_is_cut_off_is_one_line(tmp_path, share):
    whole = G13.read_bytes()
    (tmp_path / "g.h5").write_bytes(whole[:int(share * len(whole))])
    text = mgml("score", "cuzr-wang13", tmp_path / "g.h5", ok=False)
    assert "g.h5 is no glass file" in text and len(text.splitlines()) == 1


@pytest.mark.parametrize("types", [["Cu", "Zr"] * 4000, np.array([b"Cu", b"Zr"] * 4000),
                                   np.array([None, 1] * 4000)])
def test_symbols_in_place_of_types_are_an_input_error(types):
    glass = read_data(GLASS)
    for function in (softness, featurize):
        with pytest.raises(InputError, match="types must be numbers 1 to 2"):
            function(glass.positions, types, glass.box.edges)


def test_doctor_finds_a_lammps_of_another_name(tmp_path):
    (tmp_path / "lmp_mpi").symlink_to("/usr/bin/true")
    for name in ("mgml", "mpirun"):
        (tmp_path / name).symlink_to(BIN / name)
    done = subprocess.run([BIN / "mgml", "doctor", "--quick"], capture_output=True, text=True,
                          env={**os.environ, "PATH": str(tmp_path)})
    assert f"LAMMPS       {tmp_path}/lmp_mpi: " in done.stdout


SITE = pytest.mark.skipif(not site_lammps(), reason="no LAMMPS with the PYTHON package here")


def test_doctor_runs_a_job_and_tells_from_inside():
    done = subprocess.run([BIN / "mgml", "doctor"], capture_output=True, text=True,
                          env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"})
    assert re.search(r"^ok  job +2 ranks of .*/lmp, 216 of 216 atoms scored$", done.stdout, re.M)
    assert re.search(rf"its Python +[\d.]+ at {sys.prefix}, numpy ", done.stdout)
    assert "plugin True" in done.stdout and done.returncode == 0


@SITE
@pytest.mark.parametrize("mpi4py", ["pip", "system"])
def test_doctor_runs_a_job_of_a_site(tmp_path, mpi4py):
    env = site_environment(tmp_path, mpi4py)
    command = [BIN / "mgml", "doctor", "--lmp", "/usr/bin/lmp", "--launcher"]
    done = subprocess.run([*command, "mpirun --oversubscribe -np 3"], capture_output=True, text=True,
                          env=env)
    assert re.search("^ok  job +3 ranks of /usr/bin/lmp, 216 of 216 ", done.stdout, re.M), done.stdout
    assert "plugin False" in done.stdout and "Open MPI" in done.stdout.split("its MPI")[1]
    env["PYTHONPATH"] = str(SITE_PACKAGES)
    done = subprocess.run([*command, "mpirun -np 2"], capture_output=True, text=True, env=env)
    assert done.returncode == 1
    assert re.search("^--  job .*No module named 'lammps_mgml'.*PYTHONPATH must", done.stdout, re.M)
