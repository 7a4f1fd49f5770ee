"""The page of a study: its slices against the data, and what a user sees of it in a browser."""
import base64
import hashlib
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO

import h5py
import numpy as np
import pytest
from browser import CHROMIUM, Browser
from decks import ROOT
from PIL import Image

from lammps_mgml.models.model import load_model
from lammps_mgml.study import page, reading, result, runs, slices
from lammps_mgml.system.box import Box

HOSTILE = "</script><script>window.hit = 1</script><img src=x onerror='window.hit = 2'>"
FILE = "<img src=x onerror=window.hit=3>.h5"
rng = np.random.default_rng(11)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """(folder, runs, model): a glass, and one whose file, name and loading are called like a script."""
    folder = tmp_path_factory.mktemp("study")
    source = ROOT / "inputs" / "glasses" / "glass-13.h5"
    shutil.copy(source, folder / FILE)
    with h5py.File(folder / FILE, "r+") as file:
        file.attrs["name"] = HOSTILE
        for name in list(file["loadings"])[1:]:
            del file["loadings"][name]
        next(iter(file["loadings"].values())).attrs["sense"] = "<i>pull</i>"
    model = load_model("cuzr")
    read = reading.read([source, folder / FILE], model)
    d2 = read[1].loadings[0].d2min.copy()
    d2[:, ::3] = np.nan                                # as of atoms that were not evaluated
    read[1] = replace(read[1], loadings=(replace(read[1].loadings[0], d2min=d2),))
    figures = [result.Figure("2a", f"Title {HOSTILE}", f"S^q > 0.5 and D2 > 5 A^2 of {HOSTILE}",
                             {"strain": np.array([0.01, 0.04]), "glass": np.array([HOSTILE, "x,y"])},
                             lambda canvas: canvas.subplots().plot([0, 1])),
               result.Figure("4b", "AUC drop against overshoot", missing=f"Needs 3 runs, not {HOSTILE}.")]
    out = folder / "out"
    files = result.write(figures, out)
    page.write(out, figures, files, read, model)
    return out, read, model


def test_slabs_hold_the_atoms_next_to_their_planes():
    """A tilted box, its atoms outside of it here and there: counted one by one."""
    box = Box.make([[20.0, 0, 0], [6.0, 18.0, 0], [-4.0, 5.0, 25.0]])
    x = rng.random((3000, 3)) @ box.edges + rng.integers(-2, 3, (3000, 3)) @ box.edges
    size, slabs = slices.cut(box, x, (0, 2, 1), 4)
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) @ box.edges
    low = corners.min(axis=0)
    np.testing.assert_allclose(size, (np.ptp(corners, axis=0))[[0, 2, 1]])
    inside = (x @ np.linalg.inv(box.edges) % 1.0) @ box.edges - low
    assert len(slabs) == 4
    for number, slab in enumerate(slabs):
        assert slab.at == pytest.approx((number + 0.5) / 4 * size[2])
        assert set(slab.atoms) == set(np.flatnonzero(abs(inside[:, 1] - slab.at) <= 1.25))
        np.testing.assert_allclose(slab.x, inside[slab.atoms][:, [0, 2]], atol=1e-9)
        # x to the right and z upright: the viewer looks along y
        assert (np.diff(inside[slab.atoms, 1]) <= 1e-9).all()
    # the middle plane cuts four edges along y, or the faces around: its area is that of a section
    section = slabs[1].outline
    x, y = section.T
    area = 0.5 * abs(x @ np.roll(y, -1) - y @ np.roll(x, -1))
    dense = rng.random((400_000, 3)) @ box.edges - low
    near = abs(dense[:, 1] - slabs[1].at) < 0.25
    assert area == pytest.approx(near.mean() * abs(np.linalg.det(box.edges)) / 0.5, rel=0.03)


def test_no_slab_lies_in_the_vacuum_of_a_free_surface():
    box = Box.make([40.0, 100.0, 40.0], (True, False, True))
    x = rng.random((2000, 3)) * [40.0, 50.0, 40.0] + [0.0, 30.0, 0.0]
    _, slabs = slices.cut(box, x, (0, 2, 1), 5)
    np.testing.assert_allclose([slab.at for slab in slabs], [35, 45, 55, 65, 75], atol=0.3)
    assert min(len(slab.atoms) for slab in slabs) > 50
    # a thin film has as many slabs as it holds
    assert len(slices.cut(box, x * [1.0, 0.06, 1.0], (0, 2, 1), 5)[1]) == 1


@pytest.mark.parametrize(("label", "axes"), [
    ("x-compression", (1, 0, 2)), ("y-tension", (0, 1, 2)), ("z-compression", (0, 2, 1)),
    ("xy-shear", (0, 1, 2)), ("yz-shear", (1, 2, 0)), ("<b>-compression", (0, 2, 1))])
def test_a_slice_shows_the_load(label, axes):
    assert slices.axes_of(label) == axes


def test_strains_are_kept_evenly_with_the_last():
    assert slices.kept_frames(12, 20).tolist() == list(range(12))
    strains = 0.00125 * np.arange(1, 81)
    kept = strains[slices.kept_frames(80, 20)]
    assert len(kept) == 20 and kept[-1] == strains[-1] and 0.04 in kept.round(6)


def test_half_precision_keeps_the_side_of_the_threshold():
    values = np.concatenate([np.nextafter(5.0, [0.0, 9.0]), rng.uniform(4.99, 5.01, 5000), [5.0, np.nan, 1e9],
                             rng.lognormal(0, 2, 5000)])
    found = slices.half(values, 5.0)
    assert found.dtype == np.dtype("<f2")
    assert ((found > 5) == (values > 5)).all() and np.isnan(found).sum() == 1
    near = values < 6e4
    np.testing.assert_allclose(found[near].astype(float), values[near], rtol=1e-3, atol=1e-7)


def unpacked(data, k, m):
    """What the viewer reads: (numbers, places (k, 2), S^q, D2min (m, k), types)."""
    assert len(data) == k * (11 + 2 * m)
    ids = np.frombuffer(data, "<u4", k)
    place = np.frombuffer(data, "<u2", 2 * k, 4 * k).reshape(2, k).T / 65535
    return (ids, place, np.frombuffer(data, "<f2", k, 8 * k),
            np.frombuffer(data, "<f2", m * k, 10 * k).reshape(m, k), np.frombuffer(data, "u1", k, 10 * k + 2 * m * k))


def test_the_page_holds_the_numbers_of_the_runs(study):
    out, read, model = study
    text = (out / "index.html").read_text()
    about = json.loads(re.search(r'id="slices">(.*?)</script>', text)[1])
    assert [item["run"] for item in about["items"]] == [run.name for run in read for _ in run.loadings]
    pairs = [(run, loading) for run in read for loading in run.loadings]
    for k, (item, (run, loading)) in enumerate(zip(about["items"], pairs)):
        frames = [int(abs(loading.strain - s).argmin()) for s in item["strains"]]
        np.testing.assert_allclose(item["strains"], loading.strain[frames], rtol=1e-5)
        np.testing.assert_allclose(item["stress"], loading.stress[frames], rtol=1e-3)
        softness = runs.scored(run, model, loading).softness
        axes = ["xyz".index(a) for a in item["axes"]]
        for j, slab in enumerate(item["slabs"]):
            data = base64.b64decode(re.search(f'id="slab-{k}-{j}">(.*?)</script>', text)[1])
            ids, place, sq, d2, types = unpacked(data, slab["atoms"], len(frames))
            x = run.structure.positions[ids - 1] % np.diag(run.structure.box.edges)
            assert (abs(x[:, axes[2]] - slab["at"]) <= 1.26).all()
            np.testing.assert_allclose(place * item["size"][:2], x[:, axes[:2]], atol=0.01)
            np.testing.assert_allclose(sq, softness[ids - 1], atol=5e-4)
            np.testing.assert_allclose(d2, loading.d2min[np.ix_(frames, ids - 1)], rtol=1e-3, atol=1e-6)
            assert ((d2 > 5) == (loading.d2min[np.ix_(frames, ids - 1)] > 5)).all()
            assert (types == run.structure.types[ids - 1]).all()


def test_a_heavy_study_shows_less_and_says_so(study):
    _, read, _ = study
    whole, notes = slices.choose(read)
    full = sum(x.bytes for x in whole)
    assert {len(x.slabs) for x in whole} == {5} and len(notes) == 1 and "slabs of 2.5 Å at up to 5" in notes[0]
    fewer, _ = slices.choose(read, 0.7 * full)
    assert {len(x.slabs) for x in fewer} == {3} and sum(x.bytes for x in fewer) <= 0.7 * full
    least, notes = slices.choose(read, 0.1 * full)
    assert len(least) < len(whole) and sum(x.bytes for x in least) <= 0.1 * full
    assert f"{len(whole) - len(least)} of {len(whole)} loadings are left out" in notes[-1]


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def test_nothing_of_a_file_becomes_part_of_the_page(study):
    out, _, _ = study
    text = (out / "index.html").read_text()
    tags = Tags(text).found
    assert not [a for _, a in tags if any(name.startswith("on") for name in a)]
    images = [a for tag, a in tags if tag == "img"]
    assert [a["src"][:11] for a in images] == ["data:image/"] and HOSTILE in images[0]["alt"]
    scripts = [a for tag, a in tags if tag == "script"]
    assert all(a.get("type") in ("text/plain", "application/json") for a in scripts[:-1]) and not scripts[-1]
    for _, a in tags:
        for name in ("src", "href"):
            assert a.get(name, "#").startswith(("#", "data:")), a
    # the browser runs the script that we wrote, and no other
    policy = next(a["content"] for tag, a in tags if a.get("http-equiv") == "Content-Security-Policy")
    script = text[text.rindex("<script>") + 8:text.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy and "default-src 'none'" in policy


def test_the_same_study_gives_the_same_page(study):
    out, read, model = study
    again = page.page([], {}, read, model)
    assert again == page.page([], {}, read, model) and "<h2>Slices</h2>" in again and "compression along x, z" in again
    assert "No run has positions" in page.page([], {}, [], model)
    assert "Not drawn: Needs 3 runs, not &lt;/script&gt;" in (out / "index.html").read_text()


# In a browser ------------------------------------------------------------------------------------

PIXELS = "document.querySelector('#canvas').toDataURL()"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("not run: no Chromium here (apt install chromium)")
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def opened(browser, study):
    browser.errors.clear()
    browser.requests.clear()
    browser.open(study[0] / "index.html")
    yield browser
    assert browser.errors == []
    assert set(browser.requests) == {(study[0] / "index.html").resolve().as_uri()}
    assert browser.run("window.hit") is None


def values(browser):
    """What the viewer says: strain, counts and the atom."""
    told = {key: browser.text(f"#{key}") for key in
            ("count", "plastic", "called", "both", "stress", "which", "sq", "d2")}
    told["strain"] = float(browser.run("document.querySelector('#strain').value"))
    return told


def first(text):
    return float(re.match(r"[-\d.e+]+", text)[0])


def check(told, run, loading, model, atoms):
    """Counts of the viewer against the data of these atoms."""
    frame = int(abs(loading.strain - told["strain"]).argmin())
    assert loading.strain[frame] == pytest.approx(told["strain"], abs=5e-5)
    d2, sq = loading.d2min[frame][atoms], runs.scored(run, model, loading).softness[atoms]
    counts = len(atoms), (d2 > 5).sum(), (sq > 0.5).sum(), ((d2 > 5) & (sq > 0.5)).sum()
    assert tuple(first(told[key]) for key in ("count", "plastic", "called", "both")) == counts
    share = re.search(r"\((.*) %\)", told["plastic"])[1]         # of those that are known
    assert float(share) == pytest.approx(100 * counts[1] / (~np.isnan(d2)).sum(), rel=6e-3)
    assert first(told["stress"]) == pytest.approx(loading.stress[frame], abs=0.0051)


def test_the_slider_moves_and_the_picture_changes(opened, study):
    _, read, model = study
    run, loading = read[0], read[0].loadings[1]
    item = slices.choose(read)[0][1]                   # z compression comes first
    atoms = item.slabs[2].atoms
    told = values(opened)
    assert told["strain"] == pytest.approx(0.04)
    check(told, run, loading, model, atoms)
    seen = {opened.run(PIXELS)}
    opened.click("input[value=d2]")
    assert opened.run("document.querySelector('#dots').value") == "soft"
    opened.run("document.querySelector('#slider').focus()")
    opened.press("Home")
    for strain in loading.strain:
        assert values(opened)["strain"] == pytest.approx(strain, abs=5e-5)
        check(values(opened), run, loading, model, atoms)
        seen.add(opened.run(PIXELS))
        opened.press("ArrowRight")
    assert len(seen) == 1 + len(loading.strain)


def test_all_choices_change_what_is_shown(opened, study):
    _, read, model = study
    item = slices.choose(read)[0]
    change = "(([id, n]) => { const e = document.getElementById(id); e.value = n; e.dispatchEvent(new Event('change')); })"
    before = opened.run(PIXELS)
    opened.run(f"{change}(['depth', 0])")
    check(values(opened), read[0], read[0].loadings[1], model, item[1].slabs[0].atoms)
    opened.run(f"{change}(['loading', 0])")
    check(values(opened), read[0], read[0].loadings[0], model, item[0].slabs[0].atoms)
    opened.run(f"{change}(['run', 1])")
    check(values(opened), read[1], read[1].loadings[0], model, item[-1].slabs[0].atoms)
    assert opened.run("document.querySelector('#run').selectedOptions[0].text") == " ".join(HOSTILE.split())
    assert opened.run(PIXELS) != before


def test_an_atom_under_the_pointer_tells_its_numbers_and_has_their_colour(opened, study):
    _, read, model = study
    run, loading = read[0], read[0].loadings[1]
    softness = runs.scored(run, model, loading).softness
    frame = loading.at(0.04)
    opened.click("input[value=d2]")
    opened.run("(() => { const e = document.getElementById('dots'); e.value = 'none';"
               "e.dispatchEvent(new Event('change')); })()")
    stops = np.array([[int(c[i:i + 2], 16) for i in (1, 3, 5)] for c in page._scale(page.SCALES["d2"])["stops"]])
    left, top, width, height = opened.run(
        "(() => { const c = document.querySelector('#canvas'); c.scrollIntoView({block: 'center',"
        "behavior: 'instant'}); const r = c.getBoundingClientRect(); return [r.x, r.y, r.width, r.height]; })()")
    opened.move(left + 2, top + 2)                      # no atom is marked there
    data = base64.b64decode(opened.run(PIXELS).partition(",")[2])
    picture = np.array(Image.open(BytesIO(data)).convert("RGB")).astype(int)
    seen, right_colour = set(), 0
    for x, y in rng.uniform([left + 0.2 * width, top + 0.1 * height], [left + 0.8 * width, top + 0.8 * height], (40, 2)):
        pixel = picture[int(y - top), int(x - left)]
        opened.move(int(x - left) + left, int(y - top) + top)
        told = values(opened)
        if told["which"] == "–":
            continue
        atom, element = int(told["which"].split(",")[0]) - 1, told["which"].split(", ")[1]
        seen.add(atom)
        d2 = loading.d2min[frame, atom]
        assert element == run.elements[run.structure.types[atom] - 1]
        assert first(told["sq"]) == pytest.approx(softness[atom], abs=1.1e-3)
        assert first(told["d2"]) == pytest.approx(d2, rel=6e-3, abs=1e-6)
        assert ("plastic" in told["d2"]) == (d2 > 5) and ("soft" in told["sq"]) == (softness[atom] > 0.5)
        right_colour += abs(stops[round(min(d2 / 10, 1) * 63)] - pixel).max() <= 12
    assert len(seen) > 15 and right_colour > 0.7 * len(seen)      # the rest are pixels on rims
    opened.move(left + 2, top + 2)
    opened.run("document.querySelector('#canvas').focus()")
    opened.press("ArrowRight")
    one = values(opened)["which"]
    opened.press("ArrowUp", times=3)
    assert one != "–" and values(opened)["which"] not in ("–", one)
    opened.press("Escape")
    assert values(opened)["which"] == "–"


def test_downloads_are_the_numbers(opened, study):
    out, read, model = study
    assert opened.download("#figure-2a a.button").read_bytes() == (out / "figure-2a.csv").read_bytes()
    lines = opened.download("#save").read_text().splitlines()
    loading, frame = read[0].loadings[1], read[0].loadings[1].at(0.04)
    atoms = slices.choose(read)[0][1].slabs[2].atoms
    assert len(lines) == 1 + len(atoms) and lines[0].startswith("atom,element,")
    table = [line.split(",") for line in lines[1:]]
    assert [int(row[0]) - 1 for row in table] == atoms.tolist()
    np.testing.assert_allclose([float(row[5]) for row in table], loading.d2min[frame, atoms], rtol=1.1e-3, atol=1e-6)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_the_window(browser, study, width, dark):
    browser.open(study[0] / "index.html", width=width, dark=dark)
    assert browser.run("document.documentElement.scrollWidth") <= width
    box = browser.run("(() => { const r = document.querySelector('#canvas').getBoundingClientRect();"
                      "return [r.left, r.right, r.height]; })()")
    assert box[0] >= 0 and box[1] <= width and box[2] > 150
    assert browser.run("document.querySelector('nav details').open") == (width > 1120)
    back = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", back))) < 384) == dark
