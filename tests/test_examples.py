"""The examples as a user meets them: listed, copied, run as their README says, checked offline."""
import re
import subprocess

import numpy as np
import pytest
from decks import PATIENCE, ROOT, environment, mgml, site_environment, site_lammps

import lammps_mgml
from lammps_mgml.flags import NO_FEATURES, NO_REFERENCE, OPEN_CELL
from lammps_mgml.io.dump import read_dump
from lammps_mgml.plasticity.d2min import d2min

EXAMPLES = ROOT / "lammps_mgml" / "examples"
README = (EXAMPLES / "README.md").read_text()
BLOCKS = {name: block.splitlines() for name, block in
          re.findall(r"^### (in\.\w+)\n\n```\n(.*?)^```$", README, re.M | re.S)}
DECKS = sorted(path.name for path in EXAMPLES.glob("in.*"))
DIGITS = 1e-9            # A^2 for D2min; 1 for S^q and strain
PLACES = [pytest.param("wheel", marks=pytest.mark.slow), pytest.param("site", marks=[
    pytest.mark.slow,
    pytest.mark.skipif(not site_lammps(), reason="not run: no LAMMPS with the PYTHON package")])]


# Listed and copied -------------------------------------------------------------------------------

def test_list_has_a_line_of_each():
    lines = mgml("examples").splitlines()
    assert [line.split()[0] for line in lines] == DECKS
    assert all(len(line.split(maxsplit=1)[1]) > 20 and not line.endswith(".") for line in lines)


def test_copies_are_the_files_and_overwrite_nothing(tmp_path):
    said = mgml("examples", tmp_path / "a" / "try")
    copied = {path.name: path for path in (tmp_path / "a" / "try").iterdir()}
    assert set(copied) == {*DECKS, "README.md", "views.py", "glass-13.data.gz"} and f"{len(copied)} files" in said
    for name in (*DECKS, "README.md", "views.py"):
        assert copied[name].read_bytes() == (EXAMPLES / name).read_bytes()
    glass = ROOT / "inputs" / "glass-13.data.gz"
    assert copied["glass-13.data.gz"].read_bytes() == glass.read_bytes()

    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "in.soft").write_text("mine")
    text = mgml("examples", tmp_path / "b", ok=False)
    assert text == (f"mgml examples: {tmp_path / 'b' / 'in.soft'} is there already, nothing was "
                    f"copied: give another folder\n")
    assert [p.name for p in (tmp_path / "b").iterdir()] == ["in.soft"]
    assert (tmp_path / "b" / "in.soft").read_text() == "mine"
    (tmp_path / "c").write_text("a file")
    assert len(mgml("examples", tmp_path / "c", ok=False).splitlines()) == 1


def test_readme_runs_every_deck_and_every_deck_tells_the_same_line():
    lines = [line for block in BLOCKS.values() for line in block]
    assert sorted(w for line in lines for w in line.split() if w.startswith("in.")) == DECKS
    for name in DECKS:
        assert f"mpirun -np 2 lmp -in {name}" in lines
        assert f"\n#   mpirun -np 2 lmp -in {name}\n" in (EXAMPLES / name).read_text()


@pytest.mark.parametrize("name", DECKS)
def test_deck_keeps_the_rules_of_the_include(name):
    text = (EXAMPLES / name).read_text()
    before, after = text.split("include         ${mgml}\n")
    assert "fix deform" not in after and " deform " not in after
    assert "minimize" in before or name in ("in.continue", "in.rerun")
    assert not re.search(r"^run ", before.split("label           again")[-1], re.M)


# Run ---------------------------------------------------------------------------------------------

def run_example(folder, name, place):
    """The lines of README under ``name``, in a fresh copy of the examples; what they print."""
    mgml("examples", folder)
    lines = BLOCKS[name]
    env = environment(2)
    if place == "site":                # its PATH has no mgml
        lines = [line for line in lines if line.startswith("mpirun")]
        env = {**site_environment(folder), "OMPI_MCA_rmaps_base_oversubscribe": "1",
               "OMPI_MCA_mpi_yield_when_idle": "1"}
    done = subprocess.run(["bash", "-e", "-c", "\n".join(lines)], cwd=folder, env=env, text=True,
                          timeout=600 * PATIENCE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "WARNING: lammps_mgml" not in done.stdout and "ERROR" not in done.stdout
    return done.stdout


def near(found, expected, tolerance=DIGITS):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def right(frames, reference=None):
    """Every frame's softness, D2min and flags are those of the Python functions; returns D2min."""
    first = reference or frames[0]
    sq = lammps_mgml.softness(first.positions, first.types, first.box.edges, first.box.periodic)
    out = []
    for frame in frames:
        frame.must_have_atoms_of(first)
        has = {name: frame.columns[name] for name in ("d_sq", "d_d2min", "d_eta", "i_site")}
        truth = d2min(first.positions, first.box.edges, frame.positions, frame.box.edges,
                      first.box.periodic)
        near(has["d_sq"], sq)
        near(has["d_d2min"], truth.d2min)
        near(has["d_eta"], truth.eta)
        assert not (has["i_site"].astype(int) & ~(OPEN_CELL | NO_FEATURES | NO_REFERENCE)).any()
        assert ((has["i_site"].astype(int) & NO_REFERENCE) > 0).tolist() == np.isnan(
            truth.d2min).tolist()
        out.append(truth.d2min)
    sites = frames[0].columns["i_site"].astype(int) & (OPEN_CELL | NO_FEATURES)
    np.testing.assert_array_equal(sites > 0, np.isnan(sq))
    return out


def frames_of(path):
    return list(read_dump(path))


def plastic(d2):
    return (d2 > 5.0).sum() / np.isfinite(d2).sum()


def thermo(text, *columns):
    """(rows, columns) of all tables of thermo output that have all of these."""
    found, rows = None, []
    for line in text.splitlines():
        words = line.split()
        if "Step" in words and set(columns) <= set(words):
            found = [words.index(c) for c in columns]
        elif line.startswith("Loop time"):
            found = None
        elif found and re.fullmatch(r"[\d\s.eE+naN-]+", line) and len(words) > max(found):
            rows.append([float(words[k]) for k in found])
    return np.array(rows)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name, frames", [("compression", 7), ("shear", 6)])
def test_steady_loading(name, frames, place, tmp_path):
    said = run_example(tmp_path, f"in.{name}", place)
    found = frames_of(tmp_path / f"{name}.dump")
    assert len(found) == frames
    d2 = right(found)
    shares = [plastic(d) for d in d2]
    assert shares[0] == 0 and shares[-1] > 0.02 and shares == sorted(shares)
    near(thermo(said, "Step", "v_mgml_plastic")[:, 1], shares, 1e-5)
    edges = found[-1].box.edges / found[0].box.edges.diagonal()
    strain = {"compression": 1 - edges[2, 2], "shear": edges[1, 0]}[name]
    assert strain == pytest.approx({"compression": 0.06, "shear": 0.1}[name], rel=1e-6)
    if place == "wheel":
        assert (tmp_path / f"{name}.png").stat().st_size > 9000 and "AUC" in said


@pytest.mark.parametrize("place", PLACES)
def test_quasistatic_shear(place, tmp_path):
    run_example(tmp_path, "in.quasistatic", place)
    found = frames_of(tmp_path / "quasistatic.dump")
    d2 = right(found)
    curve = np.loadtxt(tmp_path / "quasistatic.curve")
    assert len(found) == len(curve) == 6
    near(curve[:, 0], [f.box.edges[1, 0] / f.box.edges[1, 1] for f in found], 1e-6)
    near(curve[:, 2], [plastic(d) for d in d2], 1e-5)
    assert curve[-1, 1] > 0.5 and 0.001 < curve[-1, 2] < 0.2
    # nothing but the minimisation moves the atoms: a small step leaves most where they were
    assert np.median(d2[1]) < 0.05


@pytest.mark.parametrize("place", PLACES)
def test_indentation_of_a_surface(place, tmp_path):
    run_example(tmp_path, "in.indent", place)
    found = frames_of(tmp_path / "indent.dump")
    d2 = right(found)
    first, height = found[0], found[0].positions[:, 2]
    top, sites = height.max(), first.columns["i_site"].astype(int)
    assert sites[height > top - 1.0].all() and sites[height < height.min() + 1.0].all()
    assert (sites[height > top - 1.0] & OPEN_CELL).mean() > 0.9
    inside = (height > height.min() + 10) & (height < top - 10)
    assert inside.sum() > 4000 and not sites[inside].any()
    # the sphere pushes in where it stands
    middle = np.hypot(*(first.positions[:, :2] - first.box.edges.diagonal()[:2] / 2).T)
    below = (middle < 10) & (height > top - 8)
    assert np.nanmean(d2[-1][below]) > 5 * np.nanmean(d2[-1][(middle > 20) & (height < top - 20)])
    curve = np.loadtxt(tmp_path / "indent.curve")
    assert len(curve) == len(found) == 7 and curve[-1, 0] == 6
    assert abs(curve[0, 1]) < 1e-6 and np.abs(curve[1:, 1]).min() > 0.1


@pytest.mark.parametrize("place", PLACES)
def test_tension_of_a_notched_plate(place, tmp_path):
    run_example(tmp_path, "in.notch", place)
    found = frames_of(tmp_path / "notch.dump")
    right(found)
    first = found[0]
    assert 7000 < len(first) < 7900 and first.box.periodic.tolist() == [False, True, True]
    x, sites = first.positions, first.columns["i_site"].astype(int)
    left, right_face, mid = x[:, 0].min(), x[:, 0].max(), first.box.edges[2, 2] / 2
    around = (x[:, 0] < left + 22) & (abs(x[:, 2] - mid) < 13)
    inside = (x[:, 0] > left + 10) & (x[:, 0] < right_face - 10) & ~around
    assert inside.sum() > 3000 and not sites[inside].any()
    wall = (abs(x[:, 2] - mid) < 4) & (x[:, 0] < left + 11)
    assert wall.sum() > 20 and (sites[wall] > 0).all()


@pytest.mark.parametrize("place", PLACES)
def test_creep(place, tmp_path):
    said = run_example(tmp_path, "in.creep", place)
    found = frames_of(tmp_path / "creep.dump")
    last, = frames_of(tmp_path / "creep.inherent.dump")
    d2 = right(found)
    at_rest = right([last], found[0])[0]
    assert np.median(at_rest) < 0.7 * np.median(d2[-1])     # thermal motion is gone
    table = {row[0]: row[1:] for row in thermo(said, "Step", "Pzz", "v_strain", "v_mgml_plastic")[::-1]}
    assert [f.step for f in found] == [k * 100 for k in range(9)]
    for frame, d in zip(found, d2):
        strain = 1 - frame.box.edges[2, 2] / found[0].box.edges[2, 2]
        near(table[frame.step][1:], [strain, plastic(d)], 1e-6)
    assert table[800][0] == pytest.approx(15000, rel=0.2) and 0.005 < table[800][1] < 0.1


@pytest.mark.parametrize("place", PLACES)
def test_restart_goes_on(place, tmp_path):
    run_example(tmp_path, "in.restart", place)
    one, two = frames_of(tmp_path / "part1.dump"), frames_of(tmp_path / "part2.dump")
    d2 = right([*one, *two], one[0])
    assert [f.step for f in one] == [0, 100, 200] and [f.step for f in two] == [200, 300, 400]
    for name in ("d_sq", "d_d2min", "d_eta", "i_site"):
        near(two[0].columns[name], one[-1].columns[name])
    assert np.median(d2[-1]) > np.median(d2[1])
    assert two[-1].box.edges[2, 2] / one[0].box.edges[2, 2] == pytest.approx(1.08, rel=1e-6)


@pytest.mark.parametrize("place", ["wheel", PLACES[1]])       # a few seconds: also in the fast suite
def test_rerun_of_an_old_dump(place, tmp_path):
    run_example(tmp_path, "in.rerun", place)
    old, new = frames_of(tmp_path / "old.dump"), frames_of(tmp_path / "rerun.dump")
    assert [f.step for f in new] == [f.step for f in old] == [0, 75, 150, 225, 300]
    assert "d_sq" not in old[0].columns
    d2 = right(new)
    for a, b, d in zip(old, new, d2):
        near(d, d2min(old[0].positions, old[0].box.edges, a.positions, a.box.edges).d2min)
        near(a.box.edges, b.box.edges)


@pytest.mark.parametrize("place", PLACES)
def test_soft_atoms_only(place, tmp_path):
    said = run_example(tmp_path, "in.soft", place)
    whole, = frames_of(tmp_path / "reference.dump")
    right([whole])
    sq = whole.columns["d_sq"]
    soft = sq > 0.7
    assert f"{soft.sum()} atoms of 8000 are softer than 0.7" in said and 100 < soft.sum() < 4000
    table = thermo(said, "Step", "v_mgml_plastic", "c_soft", "c_all")
    kept, slipped = frames_of(tmp_path / "soft.dump"), frames_of(tmp_path / "slipped.dump")
    for frame, row in zip(kept, table):
        assert frame.columns["id"].tolist() == whole.columns["id"][soft].tolist()
        near(frame.columns["d_sq"], sq[soft])
        near(frame.columns["d_d2min"].mean(), row[2], 1e-4)
    assert (slipped[-1].columns["d_d2min"] > 5).all()
    assert len(slipped[-1]) == round(table[-1, 1] * 8000) > 50
    assert table[-1, 2] > 1.2 * table[-1, 3] > 0
    both = np.intersect1d(kept[-1].columns["id"], slipped[-1].columns["id"])
    assert len(both) > soft.mean() * len(slipped[-1])        # more than by chance
