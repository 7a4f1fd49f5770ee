"""``mgml repeats``: how well repeats of a run predict each other, against numbers computed here."""
import csv
import json

import h5py
import numpy as np
import pytest
from decks import ROOT, mgml
from sklearn.metrics import roc_auc_score

from lammps_mgml import api
from lammps_mgml.cli import main
from lammps_mgml.io.dump import read_frames
from lammps_mgml.models.model import load_model

DUMP = ROOT / "inputs" / "glasses" / "glass-13.z-compression.dump.gz"
SEEDS = (1, 2, 3)


def written(path, frames, rng, sign=1.0):
    """Dump of ``frames`` in which a part of the atoms of strained frames is somewhere else."""
    with open(path, "w") as file:
        for frame in frames:
            x = sign * frame.positions
            if frame.step:
                moved = rng.random(len(x)) < 0.02
                x[moved] += rng.normal(0.0, 0.8, (moved.sum(), 3))
            edges = np.diag(frame.box.edges)
            file.write(f"ITEM: TIMESTEP\n{frame.step}\nITEM: NUMBER OF ATOMS\n{len(x)}\n"
                       "ITEM: BOX BOUNDS pp pp pp\n" + "".join(f"0 {e:.10g}\n" for e in edges)
                       + "ITEM: ATOMS id type element x y z\n")
            names = np.array(["", "Cu", "Zr"])[frame.types]
            file.writelines(f"{k} {t} {e} {a:.8g} {b:.8g} {c:.8g}\n" for k, t, e, (a, b, c) in zip(
                frame.columns["id"], frame.types, names, x))


@pytest.fixture(scope="module")
def dumps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repeats") / "glass-x"
    folder.mkdir()
    frames = [f for f in read_frames(DUMP) if f.step in (0, 20, 40)]
    for seed in SEEDS:
        written(folder / f"{seed}.dump", frames, np.random.default_rng(seed))
    return folder


@pytest.fixture(scope="module")
def d2(dumps):
    """(r, n) D2min at strain 0.04 of each dump."""
    out = []
    for seed in SEEDS:
        first, *_, last = read_frames(dumps / f"{seed}.dump")
        out.append(api.d2min(first.positions, first.box.edges, last.positions, last.box.edges).d2min)
    return np.array(out)


def paths(dumps):
    return [dumps / f"{seed}.dump" for seed in SEEDS]


def test_numbers(dumps, d2):
    found, = json.loads(mgml("repeats", *paths(dumps), "--json"))
    plastic, log = d2 > 5.0, np.log(d2 + 1e-12)
    assert found["plastic"] == plastic.sum(axis=1).tolist()
    every = [np.mean([roc_auc_score(plastic[k], log[[(k + j) % 3 for j in range(1, m + 1)]].mean(axis=0))
                      for k in range(3)]) for m in (1, 2)]
    assert [x["value"] for x in found["auc_by_others"]] == pytest.approx(every, abs=1e-9)
    first = next(read_frames(dumps / "1.dump"))
    model = load_model("cuzr")
    margins = model.margins(api.featurize(first.positions, first.types, first.box.edges,
                                          features=model.features, **model.parameters))
    ours = np.mean([roc_auc_score(row, margins) for row in plastic])
    assert found["auc_by_model"]["value"] == pytest.approx(ours, abs=1e-9)
    assert found["share"]["value"] == pytest.approx((ours - 0.5) / (every[-1] - 0.5), abs=1e-9)
    for x in (*found["auc_by_others"], found["auc_by_model"], found["share"]):
        assert x["low95"] < x["value"] < x["high95"]


@pytest.fixture(scope="module")
def packed(dumps):
    path = dumps.parent / "r.h5"
    said = mgml("pack", *paths(dumps), "-o", path, "--made", "a test", "--rate", "1e13")
    assert "3 runs" in said and path.stat().st_size < 400_000
    return path


def test_packed_file_says_the_same(dumps, packed, d2):
    def numbers(path):
        found, = json.loads(mgml("repeats", *path, "--json"))
        return found["plastic"], [x["value"] for x in (*found["auc_by_others"], found["auc_by_model"])]
    (plastic, exact), (kept, rounded) = numbers(paths(dumps)), numbers([packed])
    assert kept == plastic and rounded == pytest.approx(exact, abs=1e-3)
    with h5py.File(packed) as file:
        assert file.attrs["made"] == "a test" and file["runs/2/d2min"].shape == (2, 8000)
        kept = file["runs/0/d2min"][1].astype(float)
    assert (kept >= d2[0] * (1 - 1e-6)).all() and (kept <= np.maximum(d2[0] * 1.016, 1e-4)).all()
    assert np.array_equal(kept > 5.0, d2[0].astype(np.float32) > 5.0)


def test_packed_files_are_sets_of_their_own(dumps, packed, tmp_path):
    """Two files of one glass may be of another temperature: they are not mixed; packed again they are."""
    other = tmp_path / "other.h5"
    mgml("pack", dumps / "1.dump", dumps / "2.dump", "-o", other, "--strains", "0.04")
    found = json.loads(mgml("repeats", packed, other, "--json"))
    assert [len(x["plastic"]) for x in found] == [3, 2]
    joined = tmp_path / "joined.h5"
    mgml("pack", packed, dumps / "1.dump", "-o", joined, "--strains", "0.04", "--name", "glass-x")
    with h5py.File(joined) as file:
        assert len(file["runs"]) == 4 and file.attrs["name"] == "glass-x"


def test_packed_vibrations(dumps, tmp_path, capfd):
    """The vibrations of a glass file come along, and a model that needs them takes them from there."""
    glass, path = ROOT / "inputs" / "glasses" / "glass-13.h5", tmp_path / "r.h5"
    mgml("pack", *paths(dumps), "-o", path, "--vibrations", glass, "--strains", "0.04")
    with h5py.File(glass) as file, h5py.File(path) as out:
        assert np.array_equal(file["msd"][:], out["msd"][:])
        msd = out["msd"][:].astype(float)
    found, = json.loads(mgml("repeats", path, "--model", "cuzr-axial-vibration", "--json"))
    first = next(read_frames(dumps / "1.dump"))
    model = load_model("cuzr-axial-vibration")
    margins = model.margins(api.featurize(first.positions, first.types, first.box.edges,
                                          features=model.features, load="z compression", msd=msd,
                                          **model.parameters))
    plastic = [api.d2min(first.positions, first.box.edges, last.positions, last.box.edges).d2min > 5.0
               for last in (list(read_frames(p))[-1] for p in paths(dumps))]
    ours = np.mean([roc_auc_score(row, margins) for row in plastic])
    assert found["auc_by_model"]["value"] == pytest.approx(ours, abs=1e-5)
    for words, told in ((["--vibrations", ROOT / "inputs" / "glasses" / "glass-12.h5"], "is not of the glass of"),
                        (["--vibrations", dumps / "1.dump"], "has no vibrations"),
                        (["--strains", "0.06"], "no frame at strain 0.06: the nearest is at 0.04")):
        assert main(["pack", str(dumps / "1.dump"), *map(str, words), "-o", str(tmp_path / "none.h5")]) == 1
        assert told in capfd.readouterr().err and not (tmp_path / "none.h5").exists()


def test_packed_file_in_a_study(dumps, packed, tmp_path, capfd):
    one = tmp_path / "one.h5"
    mgml("pack", dumps / "1.dump", "-o", one, "--rate", "1e13", "--strains", "0.04")
    said = mgml("study", one, "-o", tmp_path / "study", "--only", "2b")
    assert "Cu65Zr35, 1e13 K/s" in said and "z-compression to 0.04" in said
    assert main(["study", str(packed), "-o", str(tmp_path / "study")]) == 1
    assert "has repeats of z-compression: for these there is mgml repeats" in capfd.readouterr().err


def test_figure_of_repeats_in_a_study(packed, dumps, tmp_path):
    page = tmp_path / "claims.md"
    said = mgml("study", ROOT / "inputs" / "glasses" / "glass-13.h5", "--repeats", packed, "-o",
                tmp_path / "study", "--only", "7,2c", "--claims", page)
    assert "figure 7" in said and (tmp_path / "study" / "figure-7.png").exists()
    one, = json.loads(mgml("repeats", packed, "--json"))
    with open(tmp_path / "study" / "figure-7.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(r["auc"]) for r in rows] == pytest.approx([x["value"] for x in one["auc_by_others"]], abs=1e-6)
    text = page.read_text()
    line, = [x for x in text.splitlines() if x.startswith("| glass-x | z-compression | 3 |")]
    assert f"| {one['auc_by_others'][1]['value']:.3f} (" in line and "as such shares: Cu65Zr35, 1e13 K/s: 0." in text
    mgml("study", packed.parent / "glass-x" / "1.dump", "--repeats", packed, "-o", tmp_path / "study", "--only", "7",
         "--claims", page)
    assert "## What can be known" in page.read_text()


def test_claims_of_a_run_with_free_surfaces(dumps, tmp_path):
    path, page = tmp_path / "slab.h5", tmp_path / "claims.md"
    mgml("pack", dumps / "1.dump", "-o", path, "--name", "slab")
    with h5py.File(path, "r+") as file:
        file.attrs["periodic"] = [False, True, True]
        x, box, types = file["reference"][:].astype(float), file.attrs["box"], file["types"][:]
    mgml("study", path, "-o", tmp_path / "study", "--only", "2c,4a", "--claims", page)
    rows = {line.split("|")[1].strip(): line for line in page.read_text().splitlines() if line.startswith("| D")}
    model = load_model("cuzr")
    features = api.featurize(x, types.astype(int), box, (False, True, True), features=model.features,
                             **model.parameters)
    kept = 100 * np.isfinite(features).all(axis=1).mean()
    assert 50 < kept < 95 and f"| {kept:.0f} % of the atoms of slab, all atoms of the others |" in rows["D6"]
    assert "slab: inputs/in.compress, free surfaces across x" in rows["D5"]
    assert "| to 0.04, 2 strains | Cu65Zr35, rate unknown;" in rows["D9"]


@pytest.mark.parametrize("change, told", [
    (lambda file: file["runs/0"].attrs.__delitem__("label"), "no file of mgml pack, or damaged"),
    (lambda file: file["types"].__setitem__(0, 9), "or damaged: 8000 types of 2 elements"),
    (lambda file: file["runs/1/strain"].__setitem__(1, 0.0), "or damaged: run 1 has 2 strains"),
    (lambda file: file.attrs.__setitem__("mgml_runs", 7), "of another version of mgml pack")])
def test_damaged_files(packed, tmp_path, change, told, capfd):
    path = tmp_path / "r.h5"
    path.write_bytes(packed.read_bytes())
    with h5py.File(path, "r+") as file:
        change(file)
    assert main(["repeats", str(path)]) == 1
    assert told in capfd.readouterr().err


def test_what_is_refused(dumps, tmp_path, capfd):
    one, two, three = map(str, paths(dumps))
    (tmp_path / "same.dump").write_bytes((dumps / "1.dump").read_bytes())

    def refused(words, *told):
        assert main(["repeats", *words]) == 1
        said = capfd.readouterr().err.strip()
        assert len(said.splitlines()) == 1 and all(t in said for t in told), said

    refused([one], one, "no other run of this glass")
    refused([one, str(tmp_path / "same.dump")], "are one run")
    frames = [f for f in read_frames(DUMP) if f.step in (0, 40)]
    written(tmp_path / "mirrored.dump", frames, np.random.default_rng(4), -1.0)
    refused([one, two, str(tmp_path / "mirrored.dump")], "mirrored.dump: no other run")
    refused([one, two, "--model", "ka", "--strain", "0.04"], "model ka", "these are others")
    refused([one, two, "--strain", "0.06"], "no frame at strain 0.06", "0.02, 0.04")
    refused([one, str(tmp_path / "none.dump")], "No such file")
    mgml("pack", one, two, "-o", tmp_path / "seen.h5", "--name", "glass-21")
    refused([str(tmp_path / "seen.h5")], "cuzr was trained on glass-21")
    for words, told in ((["--strains", "a"], "write it as 0.02,0.04"), (["--rate", "-1"], "above 0"),
                        ([str(tmp_path / "mirrored.dump")], "is not of the glass of")):
        assert main(["pack", one, *words, "-o", str(tmp_path / "none.h5")]) == 1
        assert told in capfd.readouterr().err and not (tmp_path / "none.h5").exists()
