"""``mgml report`` as a user runs it, on dumps whose numbers are computed here by the API."""
import csv
import re

import numpy as np
import pytest
from decks import GLASS, ROOT, mgml, run_lammps
from glasses import glass

from lammps_mgml import api
from lammps_mgml.errors import InputError
from lammps_mgml.io.dump import read_dump
from lammps_mgml.io.log import read_log
from lammps_mgml.plasticity.d2min import d2min
from lammps_mgml.report.panels import slice_of
from lammps_mgml.report.rows import unflipped
from lammps_mgml.system.box import Box

COLUMNS = "id type x y z d_sq d_d2min d_eta i_site"
rng = np.random.default_rng(3)


@pytest.fixture(scope="module")
def softness():
    return api.softness(*glass()[:3])


@pytest.fixture(scope="module")
def slips(softness):
    """(n, 3) A: about 300 atoms that leave their places, the soft ones rather than the others."""
    slip = rng.random(len(softness)) < 0.075 * softness
    return np.where(slip[:, None], rng.normal(0, 1.2, (len(softness), 3)), 0.0)


class Frame:
    """A frame of a dump: the glass in ``edges``, moved by the same map and by ``slip`` (n, 3) A."""

    def __init__(self, step, edges, softness, slip=0.0, reference=None):
        system = glass()
        reference = np.asarray(system.edges if reference is None else reference)
        fraction = system.positions @ np.linalg.inv(system.edges)
        self.step, self.edges = step, np.asarray(edges, dtype=float)
        self.x = fraction @ self.edges + slip
        found = d2min(fraction @ reference, reference, self.x, self.edges)
        n = len(self.x)
        self.columns = {"id": np.arange(1, n + 1), "type": system.types, "d_sq": softness.copy(),
                        "d_d2min": found.d2min, "d_eta": found.eta, "i_site": np.zeros(n, int)}

    def take(self, keep):
        """Only these atoms (mask or order)."""
        self.x = self.x[keep]
        self.columns = {k: v[keep] for k, v in self.columns.items()}
        return self

    def not_evaluated(self):
        for name in ("d_d2min", "d_eta"):
            self.columns[name] = np.full(len(self.x), np.nan)
        self.columns["i_site"] = np.full(len(self.x), 16)
        return self

    def flipped(self, turns):
        """The same lattice, written as LAMMPS does after ``turns`` flips of xy."""
        self.edges = self.edges.copy()
        self.edges[1] -= turns * self.edges[0]
        return self

    def text(self):
        tilts = self.edges[1, 0], self.edges[2, 0], self.edges[2, 1]
        xy, xz, yz = tilts
        low = min(0, xy, xz, xy + xz), min(0, yz), 0
        high = max(0, xy, xz, xy + xz), max(0, yz), 0
        rows = [f"{low[k]:.17g} {self.edges[k, k] + high[k]:.17g}"
                + (f" {tilts[k]:.17g}" if any(tilts) else "") for k in range(3)]
        values = {**self.columns, **dict(zip("xyz", self.x.T))}
        formats = ["%d" if k in ("id", "type", "i_site") else "%.17g" for k in COLUMNS.split()]
        table = np.stack([values[k] for k in COLUMNS.split()], axis=1)
        line = " ".join(formats)
        return "\n".join(["ITEM: TIMESTEP", str(self.step), "ITEM: NUMBER OF ATOMS", str(len(table)),
                          f"ITEM: BOX BOUNDS {'xy xz yz ' * any(tilts)}pp pp pp", *rows,
                          f"ITEM: ATOMS {COLUMNS}", *(line % tuple(row) for row in table), ""])


def stretched(x=1.0, y=1.0, z=1.0):
    return glass().edges * np.array([[x], [y], [z]])


def report(tmp_path, frames, *words, ok=True):
    (tmp_path / "run.dump").write_text("".join(frame.text() for frame in frames))
    return mgml("report", tmp_path / "run.dump", "-o", tmp_path / "figure.png", *words, ok=ok)


def table(text):
    """[(strain, plastic, AUC or None, what is said after it)] of the frames that are used."""
    rows = re.findall(r"^ *\d+ (\d\.\d{4}) +(\d+) +(?:(\d\.\d{3}) \+- (\d\.\d{3})|-)(.*)$", text,
                      re.MULTILINE)
    return [(float(s), int(n), float(v) if v else None, rest.strip()) for s, n, v, _, rest in rows]


def left_out(text):
    """{step: why} of the frames that are not."""
    return {int(step): why for step, why in re.findall(r"^ *(\d+) +- +- +(.*)$", text, re.MULTILINE)}


def expected_auc(frame):
    """Share of pairs (plastic, not) in the right order, counted without sklearn."""
    d2, score = frame.columns["d_d2min"], frame.columns["d_sq"]
    ok = ~np.isnan(d2) & ~np.isnan(score)
    plastic, others = score[ok & (d2 > 5)], np.sort(score[ok & ~(d2 > 5)])
    below, upto = (np.searchsorted(others, plastic, side) for side in ("left", "right"))
    return float((below + upto).mean() / 2 / len(others))


def check_rows(text, frames, strains):
    rows = table(text)
    assert len(rows) == len(frames), text
    for (strain, plastic, value, _), frame, expected in zip(rows, frames, strains):
        assert strain == pytest.approx(expected, abs=5.1e-5), text
        d2, score = frame.columns["d_d2min"], frame.columns["d_sq"]
        assert plastic == (d2[~np.isnan(score)] > 5).sum()
        if plastic >= 50:
            assert value == pytest.approx(expected_auc(frame), abs=5.1e-4) and 0.5 < value < 0.9
        else:
            assert value is None


def check_picture(path, coloured=True):
    """A PNG of the right size whose four panels are not empty."""
    from matplotlib.image import imread

    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    picture = imread(path)
    assert picture.shape == (1980, 2160, 4)
    colour = np.ptp(picture[..., :3], axis=-1) > 0.2
    dark = picture[..., :3].max(axis=-1) < 0.3                        # axes, numbers, atoms
    for rows in (slice(0, 1000), slice(1000, 1950)):
        for columns in (slice(0, 1150), slice(1300, 2160)):
            assert dark[rows, columns].sum() > 3000
            if coloured:
                assert colour[rows, columns].mean() > 0.002
    assert dark[1920:, :].sum() + (picture[1920:, :, :3].max(axis=-1) < 0.6).sum() > 500   # the line


def test_uniaxial_run(tmp_path, softness, slips):
    frames = [Frame(100 * k, stretched(1 + 0.004 * k, 1 + 0.004 * k, 1 - 0.01 * k), softness,
                    slips * k / 4) for k in range(5)]
    text = report(tmp_path, frames)
    check_rows(text, frames[1:], [0.01, 0.02, 0.03, 0.04])
    assert "strain: component zz (compression) of the box against the reference, step 0" in text
    check_picture(tmp_path / "figure.png")
    assert report(tmp_path, frames, "--axis", "z") == text
    lateral = report(tmp_path, frames, "--axis", "x")
    check_rows(lateral, frames[1:], [0.004, 0.008, 0.012, 0.016])
    assert "xx (tension)" in lateral and "deforms most in zz (0.0400)" in lateral


def test_simple_shear_through_flips_of_the_box(tmp_path, softness, slips):
    length, frames = glass().edges[0, 0], []
    for k in range(5):
        edges = glass().edges.copy()
        edges[1, 0] = -0.2 * k * edges[1, 1]
        frames.append(Frame(10 * k, edges, softness, slips * k / 4))
    for frame in frames[3:]:
        frame.flipped(-1)                    # the tilt is -0.6 of the edge: LAMMPS writes +0.4
    assert frames[3].edges[1, 0] == pytest.approx(0.4 * length)
    text = report(tmp_path, frames, "--strain", "0.4")
    check_rows(text, frames[1:], [0.2, 0.4, 0.6, 0.8])
    assert "component xy (shear)" in text and "note:" not in text
    check_picture(tmp_path / "figure.png")
    asked = report(tmp_path, frames, "--axis", "z")
    check_rows(asked, frames[1:], [0, 0, 0, 0])
    assert "component zz" in asked and "deforms most in xy (0.8000)" in asked
    sparse = report(tmp_path, [frames[0], frames[2], frames[4]])
    assert "changed by more than a quarter of an edge up to step 20" in sparse


def test_box_that_is_tilted_from_the_beginning(tmp_path, softness, slips):
    tilted = glass().edges + [[0, 0, 0], [3, 0, 0], [-9, 5, 0]]
    pulled = [tilted @ np.diag([1 - 0.003 * k, 1 + 0.01 * k, 1]) for k in range(4)]
    frames = [Frame(k, edges, softness, slips * k / 3, tilted) for k, edges in enumerate(pulled)]
    text = report(tmp_path, frames)
    check_rows(text, frames[1:], [0.01, 0.02, 0.03])
    assert "component yy (tension)" in text
    check_picture(tmp_path / "figure.png")


def test_atoms_that_are_gone_new_or_undefined_are_counted_and_left_out(tmp_path, softness, slips):
    frames = [Frame(k, stretched(x=1 - 0.02 * k), softness, slips * k / 2) for k in range(3)]
    frames[1].columns["d_d2min"][500:530] = np.nan
    frames[1].columns["i_site"][500:530] = 4
    frames[2].take(np.arange(8000) >= 40)
    columns = frames[2].columns
    columns["id"][-7:] += 100                # atoms that were not there at the reference
    for name in ("d_sq", "d_d2min", "d_eta"):
        columns[name][-7:] = np.nan
    columns["i_site"][-7:] = 32
    text = report(tmp_path, frames)
    check_rows(text, frames[1:], [0.02, 0.04])
    rows = table(text)
    assert rows[0][3].endswith("atoms left out: 30 undefined")
    assert rows[1][3].endswith("atoms left out: 7 new, 47 gone")
    check_picture(tmp_path / "figure.png")


def test_flagged_atoms_are_left_out_whatever_stands_in_their_columns(tmp_path, softness, slips):
    frames = [Frame(k, stretched(y=1 + 0.02 * k), softness, slips * k) for k in range(2)]
    hit = np.flatnonzero(frames[1].columns["d_d2min"] > 5)[:60]
    frames[1].columns["i_site"][hit[:20]] = 16
    frames[1].columns["i_site"][hit[20:]] = 32
    row, = table(report(tmp_path, frames))
    assert row[1] == (frames[1].columns["d_d2min"] > 5).sum() - 60
    assert row[3].endswith("atoms left out: 20 not evaluated, 40 new")


@pytest.mark.parametrize("old", [False, True])
def test_first_dumped_frame_is_not_the_reference_after_a_minimisation(tmp_path, softness, slips, old):
    """The frame at the start of a minimise is not evaluated; version 0.1.0 wrote zeros there."""
    before = Frame(0, stretched(1.03, 1.03, 1.03), softness).not_evaluated()
    if old:
        for name in ("d_sq", "d_d2min", "d_eta", "i_site"):
            before.columns[name][:] = 0
    frames = [before, *(Frame(50 + k, stretched(z=1 - 0.02 * k), softness, slips * k / 2)
                        for k in range(3))]
    text = report(tmp_path, frames)
    check_rows(text, frames[2:], [0.02, 0.04])
    assert "the reference, step 50" in text
    assert left_out(text) == {0: "left out: not evaluated at that step", 50: "the reference"}


def test_dump_without_its_reference_is_refused(tmp_path, softness, slips):
    frames = [Frame(k, stretched(z=1 - 0.01 * k), softness, slips * k / 3) for k in (1, 2, 3)]
    text = report(tmp_path, frames, ok=False)
    assert "the strain is unknown, since no frame is the reference" in text
    assert "give --reference" in text and len(text.splitlines()) == 1
    assert not (tmp_path / "figure.png").exists()
    text = report(tmp_path, frames, "--reference", ROOT / "inputs" / "glass-13.data.gz")
    check_rows(text, frames, [0.01, 0.02, 0.03])
    assert "zz (compression) of the box against the box of --reference" in text


def test_atoms_may_change_their_numbers(tmp_path, softness, slips):
    """reset_atoms id: every atom keeps its own columns."""
    frames = [Frame(k, stretched(z=1 - 0.02 * k), softness, slips * k / 2) for k in range(3)]
    plain = report(tmp_path, frames)
    frames[2].take(rng.permutation(8000)).columns["id"] = np.arange(1, 8001)
    mixed = report(tmp_path, frames)
    assert [row[:3] for row in table(mixed)] == [row[:3] for row in table(plain)]


def test_second_reference_in_a_dump_of_two_runs(tmp_path, softness, slips):
    later = stretched(z=0.9)
    frames = [Frame(0, stretched(), softness), Frame(1, stretched(z=0.97), softness, slips),
              Frame(2, later, softness, reference=later),
              Frame(3, later * [1, 1, 0.98], softness, slips, later)]
    check_rows(report(tmp_path, frames), [frames[1], frames[3]], [0.03, 0.02])


def test_frames_before_the_reference_are_left_out_with_the_reason(tmp_path, softness, slips):
    other = stretched(z=1.05)
    frames = [Frame(3, stretched(z=1.02), softness, slips, other), Frame(0, stretched(), softness),
              Frame(4, stretched(z=0.98), softness, slips)]
    text = report(tmp_path, frames)
    check_rows(text, frames[2:], [0.02])
    assert left_out(text) == {3: "left out: no reference before it, so no strain",
                              0: "the reference"}


def test_box_that_does_not_deform_is_refused(tmp_path, softness, slips):
    frames = [Frame(k, stretched(), softness, slips * k) for k in range(3)]
    text = report(tmp_path, frames, ok=False)
    assert "there is no strain, since no frame's box differs from that of the reference" in text
    assert len(text.splitlines()) == 1 and not (tmp_path / "figure.png").exists()


def test_run_without_a_model_shows_what_slipped(tmp_path, softness, slips):
    nothing = np.full(8000, np.nan)
    frames = [Frame(k, stretched(z=1 + 0.02 * k), nothing, slips * k) for k in range(2)]
    text = report(tmp_path, frames)
    (strain, plastic, value, rest), = table(text)
    assert strain == 0.02 and value is None and rest.startswith("(no atom has d_sq)")
    assert plastic == (frames[1].columns["d_d2min"] > 5).sum() > 50
    assert (tmp_path / "figure.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("which", ["nothing evaluated", "reference alone", "no column", "empty"])
def test_dumps_without_a_number_end_with_one_line(tmp_path, softness, which):
    frames = {"nothing evaluated": [Frame(k, stretched(), softness).not_evaluated()
                                    for k in range(3)],
              "reference alone": [Frame(7, stretched(), softness)],
              "no column": [Frame(7, stretched(), softness)], "empty": []}[which]
    if which == "no column":
        (tmp_path / "run.dump").write_text(frames[0].text().replace("d_d2min", "d_d2"))
        text = mgml("report", tmp_path / "run.dump", "-o", tmp_path / "figure.png", ok=False)
    else:
        text = report(tmp_path, frames, ok=False)
    assert len(text.splitlines()) == 1 and "run.dump" in text
    assert {"nothing evaluated": "3 frames, in none of which an atom has a value of d_d2min",
            "reference alone": "no frame after the reference (step 7)",
            "no column": "step 7: needs the columns d_sq and d_d2min (missing: d_d2min)",
            "empty": "it is empty"}[which] in text
    assert not (tmp_path / "figure.png").exists()


@pytest.mark.parametrize("output, message", [
    ("{tmp}/nowhere/a.png", "--output {tmp}/nowhere/a.png: there is no folder {tmp}/nowhere"),
    ("{tmp}", "--output {tmp}: this is a folder"),
    ("{tmp}/a.xyz", "--output {tmp}/a.xyz: a figure ends in"),
])
def test_bad_output_is_refused_before_the_dump_is_read(tmp_path, output, message):
    text = mgml("report", "none.dump", "-o", output.format(tmp=tmp_path), ok=False)
    assert message.format(tmp=tmp_path) in text and len(text.splitlines()) == 1


def test_flips_are_undone_whatever_the_tilts():
    true = np.array([[20.0, 0, 0], [11.0, 18.0, 0], [-9.7, 10.4, 15.0]])
    for xy, xz, yz in ((1, 0, 0), (0, -1, 1), (-1, 1, -1), (2, 1, 1)):
        flipped = true.copy()
        flipped[1] -= xy * true[0]
        flipped[2] -= yz * true[1] + xz * true[0]
        np.testing.assert_allclose(unflipped(flipped, true * 1.01), true)
    assert Box.make(true).volume == pytest.approx(20 * 18 * 15)


# The numbers of the panels -----------------------------------------------------------------------

def read_csv(path):
    """{column: list of numbers, of words, or of None where nothing is known}."""
    def value(word):
        try:
            return float(word) if word else None
        except ValueError:
            return word

    with open(path) as file:
        rows = list(csv.DictReader(file))
    return {name: [value(row[name]) for row in rows] for name in rows[0]}


def test_tables_hold_the_numbers_of_the_panels(tmp_path, softness, slips):
    frames = [Frame(k, stretched(y=1 + 0.02 * k), softness, slips * k / 2) for k in range(3)]
    frames[2].columns["d_sq"][:9] = np.nan   # undefined
    text = report(tmp_path, frames, "--csv", tmp_path / "n.csv", "-o", tmp_path / "figure.svg",
                  "-o", tmp_path / "figure.pdf")
    assert (tmp_path / "figure.svg").read_text().startswith("<?xml")
    assert (tmp_path / "figure.pdf").read_bytes()[:5] == b"%PDF-"
    check_picture(tmp_path / "figure.png")
    for kind in ("map", "d2min", "strain"):
        assert f"table  {tmp_path}/n-{kind}.csv" in text
    assert not (tmp_path / "n-stress.csv").exists() and "none: no log.lammps beside" in text
    rows, last = read_csv(tmp_path / "n-strain.csv"), frames[2].columns
    assert rows["step"] == [1, 2] and rows["strain"] == pytest.approx([0.02, 0.04])
    known = ~np.isnan(last["d_sq"])
    d2, sq = last["d_d2min"][known], last["d_sq"][known]
    assert rows["atoms"][1] == 7991 and rows["plastic"][1] == (d2 > 5).sum()
    assert rows["auc"][1] == pytest.approx(expected_auc(frames[2]))
    assert rows["auc_low95"][1] < rows["auc"][1] < rows["auc_high95"][1]
    for q in (5, 25, 50, 75, 95):
        assert rows[f"sq_plastic_{q}"][1] == pytest.approx(np.quantile(sq[d2 > 5], q / 100))
    bins = {k: np.array(v, dtype=float) for k, v in read_csv(tmp_path / "n-d2min.csv").items()}
    assert np.isclose(bins["d2min_from_A2"], 5).any() and bins["atoms"].sum() == 7991
    for low, high, atoms, soft, share, below, above in zip(*bins.values()):
        here = (d2 >= low) & (d2 < high)
        assert atoms == here.sum() and soft == (sq[here] > 0.5).sum()
        assert np.isnan(share) if atoms < 20 else share == pytest.approx(soft / atoms)
        assert atoms < 20 or below <= share <= above
    # the plane that shows a load along y is normal to z; its atoms are those near mid cell
    found, z = read_csv(tmp_path / "n-map.csv"), frames[2].x[:, 2] % frames[2].edges[2, 2]
    near = abs(z - frames[2].edges[2, 2] / 2) <= 1.25
    assert sorted(found["id"]) == (np.flatnonzero(near) + 1).tolist()
    at = np.array(found["id"], dtype=int) - 1
    np.testing.assert_allclose(found["d2min_A2"], last["d_d2min"][at], rtol=1e-7)
    np.testing.assert_allclose(found["x_A"], frames[2].x[at, 0] % frames[2].edges[0, 0], rtol=1e-7,
                               atol=1e-6)
    assert found["type"] == last["type"][at].tolist()


def test_map_shows_the_nearest_atom_of_a_tilted_box(tmp_path, softness, slips):
    edges = glass().edges.copy()
    edges[1, 0], edges[2, 1] = 11.0, -7.0
    frame = Frame(1, edges, softness, slips)
    frame.columns["d_d2min"][::7] = np.nan
    (tmp_path / "run.dump").write_text(frame.text())
    frame, = read_dump(tmp_path / "run.dump")
    part = slice_of(frame, (1, 0))
    assert (part.upright, part.across, part.depth) == (1, 0, 2)
    left, right, low, high = part.extent
    rows, columns = part.d2min.shape
    assert rows / (high - low) == pytest.approx(columns / (right - left), rel=0.01)
    chosen, seen = np.random.default_rng(1), 0
    images = np.array(np.meshgrid(*[(-1, 0, 1)] * 3)).reshape(3, -1).T @ edges
    for i, j in zip(chosen.integers(0, rows, 60), chosen.integers(0, columns, 60)):
        point = np.array([left + (j + 0.5) * (right - left) / columns,
                          low + (i + 0.5) * (high - low) / rows, edges[2, 2] / 2])
        inside = ((point @ np.linalg.inv(edges) >= 0) & (point @ np.linalg.inv(edges) < 1)).all()
        assert part.inside[i, j] == inside
        distance = np.min([np.linalg.norm(frame.positions + image - point, axis=1)
                           for image in images], axis=0)
        expected = frame.columns["d_d2min"][distance.argmin()] if inside else np.nan
        np.testing.assert_equal(part.d2min[i, j], expected)
        seen += inside
    assert 20 < seen < 60


def test_resampled_auc_is_that_of_the_weights():
    from lammps_mgml.train.evaluate import auc, bootstrap, resampled_auc

    chosen = np.random.default_rng(2)
    score = chosen.random(400).round(1)      # many ties
    blocks = chosen.integers(0, 9, 400)
    for labels in (chosen.random(400) < 0.2 * score, (blocks == 3) & (score > 0.5)):
        expected = [auc(labels, score, w) for w in bootstrap(blocks, 40, 5)]
        np.testing.assert_allclose(resampled_auc(labels, score, blocks, 40, 5), expected, rtol=1e-12)
    assert np.isnan(expected).any()


# The log of the run ------------------------------------------------------------------------------

RUN = f"""
log log.lammps
units metal
boundary p p p
read_data {GLASS}
pair_style eam/fs
pair_coeff * * CuZr_mm.eam.fs Cu Zr
neighbor 1.0 bin
timestep 0.002
velocity all create 600 4711 loop geom
fix md all nve
fix load all deform 1 z erate -2.0 remap x
thermo 5
thermo_style custom step temp pzz lx ly lz
variable mgml getenv MGML_DECK
include ${{mgml}}
fix sq all python/invoke 10 end_of_step softness
dump out all custom 10 run.dump id type x y z d_sq d_d2min d_eta i_site
dump_modify out sort id format float %.10g
run 20
"""


@pytest.fixture(scope="module")
def real_run(tmp_path_factory):
    """Folder of a run of LAMMPS with its dump and log."""
    folder = tmp_path_factory.mktemp("run")
    done = run_lammps(folder, RUN)
    assert done.returncode == 0, done.stdout[-2000:]
    return folder


def test_stress_temperature_rate_and_model_are_those_of_the_log(real_run, tmp_path):
    text = mgml("report", real_run / "run.dump", "-o", tmp_path / "a.svg", "--csv", tmp_path / "a.csv")
    assert f"log    {real_run}/log.lammps" in text and len(table(text)) == 2
    thermo = np.array([[float(w) for w in line.split()] for line in
                       (real_run / "log.lammps").read_text().splitlines()
                       if re.fullmatch(r"[-\d.e+ ]+", line) and len(line.split()) == 6])
    assert thermo[:, 0].tolist() == [0, 5, 10, 15, 20]
    stress = read_csv(tmp_path / "a-stress.csv")
    length = thermo[0, 5]                    # compression: positive, in GPa, against strain from Lz
    np.testing.assert_allclose(stress["stress_GPa"], 1e-4 * thermo[:, 2], rtol=1e-6)
    np.testing.assert_allclose(stress["strain"], 1 - thermo[:, 5] / length, atol=1e-7)
    # matplotlib writes what a text says as a comment
    line, = re.findall(r"<!-- (model .*) -->", (tmp_path / "a.svg").read_text())
    low, high = re.fullmatch(r"model cuzr \(sha256:\w+\); glass-13: Cu65Zr35, 8000 atoms; (\d+) to (\d+) K; "
                        r"strain rate 2 × 10\$\^\{12\}\$ s\$\^\{-1\}\$; lammps_mgml [\d.]+", line).groups()
    assert [int(low), int(high)] == [round(thermo[:, 1].min()), round(thermo[:, 1].max())]
    assert read_csv(tmp_path / "a-map.csv")["element"][:1] in (["Cu"], ["Zr"])


def test_stress_of_a_glass_with_free_surfaces(tmp_path):
    """pzz is a mean over the box and its vacuum: it is not taken for the stress of the glass."""
    deck = RUN.replace("pair_style", "change_box all x delta -20 20 boundary f p p\npair_style").replace(
        "run 20", "run 10")
    own = deck.replace("thermo_style custom step temp pzz lx ly lz",
                       "variable stress_GPa equal -pzz*1e-4*lx/(lx-40)\n"
                       "thermo_style custom step temp pzz lx ly lz v_stress_GPa")
    for name, text in (("without", deck), ("with", own)):
        folder = tmp_path / name
        folder.mkdir()
        done = run_lammps(folder, text)
        assert done.returncode == 0, done.stdout[-2000:]
        said = mgml("report", folder / "run.dump", "-o", folder / "a.svg", "--csv", folder / "a.csv")
        if name == "without":
            assert "no stress: with free surfaces pzz is that of the box with its vacuum" in said
            assert not (folder / "a-stress.csv").exists()
        else:
            stress = read_csv(folder / "a-stress.csv")
            rows = re.findall(r"^ +(?:0|5|10) .* (\S+) *$", (folder / "log.lammps").read_text(), re.MULTILINE)
            np.testing.assert_allclose(stress["stress_GPa"], np.array(rows, float), rtol=1e-6)


def test_log_of_another_run_is_not_taken(real_run, tmp_path):
    (tmp_path / "run.dump").write_bytes((real_run / "run.dump").read_bytes())
    log, other = (real_run / "log.lammps").read_text(), tmp_path / "log.lammps"
    lz = re.findall(r"^ +20 .* (\S+) *$", log, re.MULTILINE)[-1]
    other.write_text(log.replace(lz, f"{float(lz) + 0.1:.6f}"))
    words = ("report", tmp_path / "run.dump", "-o", tmp_path / "a.svg", "--csv", tmp_path / "a.csv")
    text = mgml(*words)
    assert "log    none used: " in text and "the log of another run: at step 20 its box is" in text
    assert not (tmp_path / "a-stress.csv").exists() and "model" not in re.findall(
        r"<!-- (.*lammps_mgml.*) -->", (tmp_path / "a.svg").read_text())[0]
    assert "the log of another run" in mgml(*words, "--log", other, ok=False)
    assert "stress" in mgml(*words, "--log", real_run / "log.lammps")
    other.write_text(log.replace(" Lx ", " v_a ").replace(" Ly ", " v_b "))
    assert "has neither lx ly lz nor vol" in mgml(*words)
    other.write_text("something else\n")
    assert "not a log of LAMMPS" in mgml(*words, "--log", other, ok=False)


def test_log_in_yaml_with_warnings_and_several_runs(tmp_path):
    path = tmp_path / "log"
    path.write_text("""LAMMPS (22 Jul 2025)
units           metal
read_data       ${data}
read_data       here/glass-7.data.gz
  read_data CPU = 0.1 seconds
timestep        0.002 # ps
minimize        0 1e-3 10 10
Per MPI rank memory allocation (min/avg/max) = 5 | 5 | 5 Mbytes
   Step          Temp           Pzz
         0   0              1.5
WARNING: something in the way
         7   0              2.5
Loop time of 1 on 1 procs for 7 steps with 8 atoms
run             ${n}
run             10
Per MPI rank memory allocation (min/avg/max) = 5 | 5 | 5 Mbytes
---
keywords: ['Step', 'Temp', 'Pzz', ]
data:
  - [7, 50, -3, ]
  - [17, 51.5, nan, ]
...
Loop time of 1 on 1 procs for 10 steps with 8 atoms
timestep 0.001
run 10
Per MPI rank memory allocation (min/avg/max) = 5 | 5 | 5 Mbytes
   Step          Temp           Pzz
        17   50  -4
        2""")
    log = read_log(path)
    assert (log.units, log.glass, log.model, log.version) == ("metal", "glass-7", None, None)
    assert [(t.command, t.timestep, t.columns["Step"].tolist()) for t in log.tables] == [
        ("minimize", 0.002, [0, 7]), ("run", 0.002, [7, 17]), ("run", 0.001, [17])]
    np.testing.assert_array_equal(log.values("Step", "Pzz", run=True),
                                  [[7, -3], [17, np.nan], [17, -4]])
    assert log.values("Lz").shape == (0, 1)
    with pytest.raises(InputError, match="No such file"):
        read_log(tmp_path / "none")
