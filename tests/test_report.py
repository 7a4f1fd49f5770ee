"""``mgml report`` as a user runs it, on dumps whose numbers are computed here by the API."""
import re

import numpy as np
import pytest
from decks import ROOT, mgml
from glasses import glass

from lammps_mgml import api
from lammps_mgml.plasticity.d2min import d2min
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
    """[(strain or None, plastic, AUC or None, what is said after it)] of the printed table."""
    rows = re.findall(r"^(\d\.\d{4}|unknown) +(\d+) +(?:(\d\.\d{3}) \+- (\d\.\d{3})|-)(.*)$", text,
                      re.MULTILINE)
    return [(None if s == "unknown" else float(s), int(n), float(v) if v else None, rest.strip())
            for s, n, v, _, rest in rows]


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
        assert strain == (None if expected is None else pytest.approx(expected, abs=5.1e-5)), text
        d2, score = frame.columns["d_d2min"], frame.columns["d_sq"]
        assert plastic == (d2[~np.isnan(score)] > 5).sum()
        if plastic >= 50:
            assert value == pytest.approx(expected_auc(frame), abs=5.1e-4) and 0.5 < value < 0.9
        else:
            assert value is None


def check_picture(path, coloured=True):
    """A PNG of the right size whose panels are not empty."""
    from matplotlib.image import imread

    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    picture = imread(path)
    assert picture.shape == (924, 1210, 4)
    colour = np.ptp(picture[..., :3], axis=-1) > 0.2
    height = len(picture) // 2
    for part in (colour[:height, :450], colour[height:, :450]):     # S^q above, D2 below
        assert (part.mean() > 0.1) == coloured
    dark = picture[..., :3].max(axis=-1) < 0.3                        # axes and their numbers
    assert (dark[:height, 600:].sum() > 500) and (dark[height:, 600:].sum() > 500)


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
    assert rows[0][3] == "left out: 30 undefined" and rows[1][3] == "left out: 7 new, 47 gone"
    check_picture(tmp_path / "figure.png")


def test_flagged_atoms_are_left_out_whatever_stands_in_their_columns(tmp_path, softness, slips):
    frames = [Frame(k, stretched(y=1 + 0.02 * k), softness, slips * k) for k in range(2)]
    hit = np.flatnonzero(frames[1].columns["d_d2min"] > 5)[:60]
    frames[1].columns["i_site"][hit[:20]] = 16
    frames[1].columns["i_site"][hit[20:]] = 32
    row, = table(report(tmp_path, frames))
    assert row[1] == (frames[1].columns["d_d2min"] > 5).sum() - 60
    assert row[3] == "left out: 20 not evaluated, 40 new"


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
    assert "frames left out, not evaluated at that step: 1 (0)" in text


def test_dump_without_its_reference_tells_no_strain(tmp_path, softness, slips):
    frames = [Frame(k, stretched(z=1 - 0.01 * k), softness, slips * k / 3) for k in (1, 2, 3)]
    text = report(tmp_path, frames)
    check_rows(text, frames, [None] * 3)
    assert "strain: unknown, since no frame of the dump is the reference" in text
    check_picture(tmp_path / "figure.png")
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


def test_run_without_a_model_shows_what_slipped(tmp_path, softness, slips):
    nothing = np.full(8000, np.nan)
    frames = [Frame(k, stretched(z=1 + 0.02 * k), nothing, slips * k) for k in range(2)]
    text = report(tmp_path, frames)
    (strain, plastic, value, rest), = table(text)
    assert strain == 0.02 and value is None and rest == "(no atom has d_sq)"
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
            "reference alone": "only the reference frame (step 7)",
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
    from lammps_mgml.report import unflipped

    true = np.array([[20.0, 0, 0], [11.0, 18.0, 0], [-9.7, 10.4, 15.0]])
    for xy, xz, yz in ((1, 0, 0), (0, -1, 1), (-1, 1, -1), (2, 1, 1)):
        flipped = true.copy()
        flipped[1] -= xy * true[0]
        flipped[2] -= yz * true[1] + xz * true[0]
        np.testing.assert_allclose(unflipped(flipped, true * 1.01), true)
    assert Box.make(true).volume == pytest.approx(20 * 18 * 15)
