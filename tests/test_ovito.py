"""The modifier and the pictures for OVITO, in the real OVITO; compared with lammps_mgml itself."""
import shutil
import subprocess
import sys
from importlib.metadata import entry_points

import numpy as np
import pytest
from decks import ROOT, mgml
from glasses import glass

import lammps_mgml
from lammps_mgml.errors import InputError, OptionError

pytest.importorskip("ovito", reason="not run: OVITO is not installed")
from ovito.io import import_file  # noqa: E402

from lammps_mgml.ovito import picture, views  # noqa: E402
from lammps_mgml.ovito.modifier import QuenchInSoftness  # noqa: E402

rng = np.random.default_rng(11)
SHIFT = np.array([3.0, -7.0, 0.5])           # the lower corner of the box


def text(step, x, edges, types, ids, words="", columns=(), bounds="pp pp pp"):
    """A frame of a dump with the column element."""
    tilts = edges[1, 0], edges[2, 0], edges[2, 1]
    xy, xz, yz = tilts
    low = np.array([min(0, xy, xz, xy + xz), min(0, yz), 0]) + SHIFT
    high = np.array([max(0, xy, xz, xy + xz), max(0, yz), 0]) + np.diag(edges) + SHIFT
    rows = [f"{a:.17g} {b:.17g}" + (f" {t:.17g}" if any(tilts) else "")
            for a, b, t in zip(low, high, tilts)]
    atoms = [" ".join([str(i), str(t), ("Cu", "Zr")[t - 1], *(f"{v:.17g}" for v in p),
                       *(f"{c[k]:.17g}" for c in columns)])
             for k, (i, t, p) in enumerate(zip(ids, types, x + SHIFT))]
    return "\n".join(["ITEM: TIMESTEP", str(step), "ITEM: NUMBER OF ATOMS", str(len(x)),
                      f"ITEM: BOX BOUNDS {'xy xz yz ' * any(tilts)}{bounds}", *rows,
                      f"ITEM: ATOMS id type element x y z{words}", *atoms, ""])


@pytest.fixture(scope="module")
def system():
    return glass()


@pytest.fixture(scope="module")
def strained(system):
    """(x, edges) after a shear of 0.05, in which every tenth atom has moved by more."""
    edges = system.edges + [[0, 0, 0], [0.05 * system.edges[1, 1], 0, 0], [0, 0, 0]]
    x = system.positions @ np.linalg.inv(system.edges) @ edges
    return x + np.where(rng.random(len(x))[:, None] < 0.1, rng.normal(0, 1.0, x.shape), 0.0), edges


@pytest.fixture(scope="module")
def dump(system, strained, tmp_path_factory):
    """Path of a dump of two frames, the second with its atoms in another order."""
    path, n = tmp_path_factory.mktemp("ovito") / "run.dump", len(system.types)
    order = rng.permutation(n)
    x, edges = strained
    path.write_text(text(0, system.positions, system.edges, system.types, np.arange(1, n + 1))
                    + text(5, x[order], edges, system.types[order], order + 1))
    return path


def pipeline_of(path, **options):
    pipeline = import_file(str(path), sort_particles=False)
    pipeline.modifiers.append(QuenchInSoftness(**options))
    return pipeline


def column(data, name):
    """(n,) in the order of the identifiers."""
    return np.array(data.particles[name])[np.argsort(data.particles.identifiers)]


def arrays(data):
    """What OVITO has read: positions, edges, in the order of the identifiers."""
    cell = np.array(data.cell[...])
    return column(data, "Position") - cell[:, 3], cell[:, :3].T


def test_columns_are_those_of_lammps_mgml_to_the_last_bit(dump, system, strained):
    pipeline = pipeline_of(dump, running=True, features="table3,cn")
    first, data = pipeline.compute(0), pipeline.compute(1)
    (x0, edges0), (x, edges) = arrays(first), arrays(data)
    np.testing.assert_allclose(x, strained[0], atol=1e-12)
    expected = lammps_mgml.softness(x0, system.types, edges0)
    np.testing.assert_array_equal(column(data, "d_sq"), expected)
    np.testing.assert_array_equal(column(first, "d_sq"), expected)
    # rows in another order: sums over neighbours may come out in another order, too
    np.testing.assert_allclose(column(data, "d_s"), lammps_mgml.softness(x, system.types, edges),
                               rtol=1e-9)
    d2, eta, _ = lammps_mgml.d2min(x0, edges0, x, edges)
    np.testing.assert_array_equal(column(data, "d_d2min"), d2)
    np.testing.assert_array_equal(column(data, "d_eta"), eta)
    assert data.attributes["mgml.plastic"] == (d2 > 5).mean() > 0.05
    assert data.attributes["mgml.undefined"] == 0
    names = lammps_mgml.feature_names("table3,cn")
    table = lammps_mgml.featurize(x, system.types, edges, features=names)
    for name, values in zip(names, table.T):
        np.testing.assert_allclose(column(data, f"d_{name}"), values, rtol=1e-9, atol=1e-9)


def test_d2min_is_that_of_ovito_itself(dump):
    from ovito.modifiers import AtomicStrainModifier
    pipeline = pipeline_of(dump, model="none")
    strain = AtomicStrainModifier(cutoff=4.5, output_nonaffine_squared_displacements=True)
    pipeline.modifiers.append(strain)
    data = pipeline.compute(1)
    np.testing.assert_allclose(data.particles["d_d2min"],
                               data.particles["Nonaffine Squared Displacement"], rtol=1e-9, atol=1e-9)
    assert "d_sq" not in data.particles


def test_reference_may_be_another_frame(dump, system):
    data = pipeline_of(dump, reference_frame=1).compute(0)
    x, edges = arrays(import_file(str(dump), sort_particles=False).compute(1))
    np.testing.assert_allclose(column(data, "d_sq"), lammps_mgml.softness(x, system.types, edges),
                               rtol=1e-9)
    with pytest.raises(OptionError, match="reference frame 2: the trajectory has frames 0 to 1"):
        pipeline_of(dump, reference_frame=2).compute(0)


def test_new_particles_and_lost_partners_have_no_d2min(dump, system, strained, tmp_path):
    x, edges = strained
    ids = np.arange(1, len(x) + 1)
    ids[-3:] += 50                           # new ones
    keep = np.arange(len(x)) >= 20           # and 20 are gone
    (tmp_path / "a.dump").write_text(
        text(0, system.positions, system.edges, system.types, np.arange(1, len(x) + 1))
        + text(1, x[keep], edges, system.types[keep], ids[keep]))
    data = pipeline_of(tmp_path / "a.dump").compute(1)
    d2, sq = column(data, "d_d2min"), column(data, "d_sq")
    full, _, partners = lammps_mgml.d2min(system.positions, system.edges, x, edges)
    there = np.r_[np.arange(20, len(x) - 3)]
    left = lammps_mgml.d2min(system.positions[there], system.edges, x[there], edges)
    lost = left.partners < partners[there]
    assert 50 < lost.sum() < 1000
    assert np.isnan(sq[-3:]).all() and np.isnan(d2[-3:]).all() and not np.isnan(sq[:-3]).any()
    assert np.isnan(d2[:-3][lost]).all()
    np.testing.assert_allclose(d2[:-3][~lost], full[there][~lost], rtol=1e-9, atol=1e-12)
    assert data.attributes["mgml.undefined"] == lost.sum() + 3


@pytest.mark.parametrize("change, message", [
    (lambda t: t.replace(" element", "").replace(" Cu ", " ").replace(" Zr ", " "),
     "particle type 1 has no name"),
    (lambda t: t.replace(" Zr ", " Al "), "particle type 2 is Al, none of the model's elements Cu Zr"),
    (lambda t: t.replace("\n7 1 Cu", "\n8 1 Cu", 1), "two particles have the same identifier")])
def test_what_is_not_known_is_refused(system, tmp_path, change, message):
    ids = np.arange(1, len(system.types) + 1)
    types = system.types.copy()
    types[6] = 1
    (tmp_path / "a.dump").write_text(change(text(0, system.positions, system.edges, types, ids)))
    with pytest.raises(InputError, match=message):
        pipeline_of(tmp_path / "a.dump").compute(0)


def test_box_that_may_have_been_flipped_is_refused(system, tmp_path):
    ids, edges = np.arange(1, len(system.types) + 1), system.edges.copy()
    edges[1, 0] = 0.6 * edges[0, 0]
    x = system.positions @ np.linalg.inv(system.edges) @ edges
    flipped = edges - [[0, 0, 0], [edges[0, 0], 0, 0], [0, 0, 0]]
    whole = edges.copy()
    whole[1, 0] = edges[0, 0]                # a flip by the whole edge: the box looks as before
    x_whole = system.positions @ np.linalg.inv(system.edges) @ whole
    (tmp_path / "a.dump").write_text(
        text(0, system.positions, system.edges, system.types, ids)
        + text(1, x, flipped, system.types, ids) + text(2, x_whole, system.edges, system.types, ids))
    pipeline = pipeline_of(tmp_path / "a.dump")
    with pytest.raises(InputError, match="tilted by 0.40 of an edge more"):
        pipeline.compute(1)
    with pytest.raises(InputError, match="went farther than that, or the cell was flipped"):
        pipeline.compute(2)


def test_contributions_are_those_of_lammps_mgml_and_ride_with_their_atoms(dump, system):
    data = pipeline_of(dump, contributions=True).compute(1)
    x0, edges0 = arrays(import_file(str(dump), sort_particles=False).compute(0))
    why = lammps_mgml.contributions(x0, system.types, edges0)
    assert why.families == ("element", "density", "density_avg", "density_avg2", "stiffness")
    for name, values in zip(why.families, why.by_family().T):
        np.testing.assert_array_equal(column(data, f"c_{name}"), values)
    np.testing.assert_array_equal(column(data, "d_sq"), lammps_mgml.softness(x0, system.types, edges0))
    assert "c_density" not in pipeline_of(dump).compute(1).particles


def test_ovito_finds_the_modifier_by_its_entry_point():
    found, = entry_points(group="OVITO.Modifier", name="Quench-in softness")
    assert found.load() is QuenchInSoftness


# Pictures ----------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def columns(system, strained, tmp_path_factory):
    """(path, d_sq, d_d2min) of a dump with the columns of a run, of two frames."""
    x, edges = strained
    sq = lammps_mgml.softness(system.positions, system.types, system.edges)
    sq[:50] = np.nan
    d2 = lammps_mgml.d2min(system.positions, system.edges, x, edges).d2min
    d2[50:90] = np.nan
    path, ids = tmp_path_factory.mktemp("ovito") / "run.dump", np.arange(1, len(x) + 1)
    path.write_text(
        text(0, system.positions, system.edges, system.types, ids, " d_sq d_d2min", (sq, 0 * d2))
        + text(5, x, edges, system.types, ids, " d_sq d_d2min", (sq, d2)))
    return path, sq, d2


def test_scene_colours_by_softness_and_shows_undefined_atoms_in_grey(columns):
    path, sq, _ = columns
    particles = picture.scene(path).compute(1).particles
    colours = np.array(particles.colors)
    np.testing.assert_allclose(colours[:50], 50 * [picture.GREY], atol=1e-6)
    rest = np.argsort(sq[50:]) + 50
    green = colours[rest, 1]                 # grows from one end of viridis to the other
    assert (np.diff(green) >= -0.01).all() and green[-1] - green[0] > 0.4
    # radii of the elements
    kinds = particles.particle_types
    assert kinds.type_by_id(1).radius < kinds.type_by_id(2).radius


def test_scene_of_plastic_atoms_and_of_a_slice(columns, strained):
    path, _, d2 = columns
    data = picture.scene(path, plastic=True).compute(1)
    assert data.particles.count == (d2 > 5).sum() > 100
    # 2.5 A at mid cell, in the frame's own coordinates
    x, edges = strained
    assert picture.scene(path, cut=picture.Cut(1, None, 2.5)).compute(1).particles.count == (
        abs(x[:, 1] - edges[1, 1] / 2) <= 1.25).sum()
    assert picture.scene(path, cut=picture.Cut(2, 12.0 + SHIFT[2], 4.0)).compute(
        1).particles.count == (abs(x[:, 2] - 12) <= 2).sum()


def test_slice_of_atoms_that_are_not_wrapped(system, tmp_path):
    ids = np.arange(1, len(system.types) + 1)
    x = system.positions + rng.integers(-2, 3, system.positions.shape) @ system.edges
    (tmp_path / "a.dump").write_text(text(0, x, system.edges, system.types, ids, " d_sq",
                                          (np.zeros(len(x)),)))
    inside = abs(system.positions[:, 1] % system.edges[1, 1] - system.edges[1, 1] / 2) <= 1.25
    assert picture.scene(tmp_path / "a.dump", cut=picture.Cut(1, None, 2.5)).compute(
        0).particles.count == inside.sum() > 200


# Views -------------------------------------------------------------------------------------------

def halves(view, frame):
    """(data, particles of the first panel, those of the second) of a view of two panels."""
    data = view.pipeline.compute(frame)
    right = np.array(data.particles.positions)[:, 0] > SHIFT[0] + view.shape[0] * 1.04
    return data, ~right, right


def test_view_of_plastic_atoms_puts_them_beside_softness(columns, strained):
    path, sq, d2 = columns
    view = views.arranged(path, "plastic", picture.Cut(1, None, 4.0))
    data, left, right = halves(view, 1)
    x, edges = strained
    y = x[:, 1] % edges[1, 1]
    atoms = np.flatnonzero(abs(y - edges[1, 1] / 2) <= 2.0)
    ids = np.array(data.particles.identifiers)
    assert sorted(ids[left]) == sorted(ids[right]) == sorted(atoms + 1) and len(atoms) > 300
    # the same atoms at the same places, but for the shift
    away = np.array(data.particles.positions)
    np.testing.assert_allclose(
        away[right][np.argsort(ids[right])] - away[left][np.argsort(ids[left])],
        np.tile([1.08 * view.shape[0], 0, 0], (len(atoms), 1)), atol=1e-9)
    plastic, known = d2[ids - 1] > 5, ~np.isnan(sq[ids - 1])
    radius, colours = np.array(data.particles["Radius"]), np.array(data.particles.colors)
    kinds = np.array(data.particles["kind"])
    assert (kinds[left] == np.where(known[left], 0, 1)).all()
    np.testing.assert_array_equal(kinds[right], np.where(
        ~known[right], 1, np.where(plastic[right], 0, 2)))
    assert 0.3 * len(atoms) < (kinds[right] == 0).sum() < 0.7 * len(atoms)
    assert radius[right & ~plastic].max() < 0.4 * radius[left].max()
    np.testing.assert_array_equal(radius[right & plastic].min() > 1.0, True)
    np.testing.assert_allclose(colours[kinds == 1], np.tile(picture.GREY, ((kinds == 1).sum(), 1)),
                               atol=1e-6)
    same = right & plastic & known           # the colour of an atom is the same in both panels
    of_left = {i: c for i, c in zip(ids[left], colours[left])}
    np.testing.assert_array_equal(colours[same], [of_left[i] for i in ids[same]])
    share = 100 * (d2[~np.isnan(d2)] > 5).mean()
    assert data.attributes["mgml.said"] == f"strain 0.050, {share:.1f} % of all slipped"
    assert view.pipeline.compute(0).attributes["mgml.said"] == (
        "strain 0.000, 0.0 % of all slipped")


def test_view_of_d2min_has_a_dot_on_each_soft_atom(columns):
    path, sq, d2 = columns
    view = views.arranged(path, "2a")
    data = view.pipeline.compute(1)
    ids, kinds = np.array(data.particles.identifiers), np.array(data.particles["kind"])
    dots = kinds == 3
    assert sorted(ids[dots]) == sorted(i for i in ids[~dots] if sq[i - 1] > 0.5) and dots.sum() > 50
    np.testing.assert_allclose(np.array(data.particles["shown"])[kinds == 0],
                               d2[ids - 1][kinds == 0], rtol=1e-12)    # OVITO reads the last bit otherwise
    assert (kinds[~dots] == np.isnan(d2[ids - 1])[~dots]).all()
    # in front: the camera looks along y
    y = np.array(data.particles.positions)[:, 1]
    assert y[dots].max() < y[~dots].min()


def test_view_of_contributions_has_a_panel_for_each_family(dump, system):
    view = views.arranged(dump, "why", compute={"model": "cuzr"})
    assert [p.title for p in view.panels] == [
        "element", "density", "density_avg", "density_avg2", "stiffness"]
    why = lammps_mgml.contributions(*system, model="cuzr")
    data = view.pipeline.compute(0)
    x = np.array(data.particles.positions) - SHIFT
    at = (x[:, 0] // (1.08 * view.shape[0]) + 3 * (x[:, 2] < -0.05 * view.shape[1])).astype(int)
    ids, shown = np.array(data.particles.identifiers), np.array(data.particles["shown"])
    for k, values in enumerate(why.by_family().T):
        np.testing.assert_allclose(shown[at == k], values[ids[at == k] - 1], rtol=0, atol=1e-9)
    assert view.coding.end_value == -view.coding.start_value == pytest.approx(
        np.quantile(abs(why.by_family()), 0.98))


def test_view_of_columns_that_are_not_there(dump):
    with pytest.raises(InputError, match="the dump has no column d_d2min, d_sq; it has .* --model NAME"):
        views.arranged(dump, "plastic")
    with pytest.raises(InputError, match="no columns c_FAMILY: --model NAME computes them"):
        views.arranged(dump, "why")


def drawn(*words):
    """``mgml ovito``; without a driver the test is not run."""
    try:
        return mgml("ovito", *words)
    except AssertionError as e:
        if "OVITO draws through Vulkan" in str(e):
            pytest.skip("not run: OVITO's renderers need a Vulkan driver here")
        raise


@pytest.mark.slow
def test_picture_of_a_slice(columns, tmp_path):
    from matplotlib.image import imread
    said = drawn(columns[0], "-o", tmp_path / "a.png", "--colour", "d_d2min", "--slice", "z:3",
                 "--size", "400x300")
    assert said == f"{tmp_path}/a.png: 1 frame of {columns[0]}\n"
    image = imread(tmp_path / "a.png")[..., :3]
    assert image.shape == (300, 400, 3)
    white = (image > 0.99).all(axis=-1)
    assert 0.3 < white.mean() < 0.9 and white[:5].all()
    assert (np.ptp(image, axis=-1) > 0.3).sum() > 300        # plastic atoms
    assert not list(tmp_path.glob(".mgml*"))


@pytest.mark.slow
def test_movie_of_a_dump_without_columns(dump, tmp_path):
    from PIL import Image
    said = drawn(dump, "-o", tmp_path / "a.gif", "--model", "cuzr", "--plastic", "--size", "200x150")
    assert said == f"{tmp_path}/a.gif: 2 frames of {dump}\n"
    with Image.open(tmp_path / "a.gif") as movie:
        frames = []
        for k in range(movie.n_frames):
            movie.seek(k)
            frames.append(np.asarray(movie.convert("RGB"), dtype=float))
    assert abs(frames[-1] - frames[0]).max() > 100           # no atom is plastic in the first


@pytest.mark.slow
def test_views_as_the_shipped_script_draws_them(columns, tmp_path):
    from matplotlib.image import imread
    from PIL import Image
    drawn(columns[0], "-o", tmp_path / "probe.png", "--view", "2a", "--size", "300x300")
    shutil.copy(columns[0], tmp_path / "compression.dump")
    subprocess.run([sys.executable, ROOT / "lammps_mgml" / "examples" / "views.py", "compression.dump"],
                   cwd=tmp_path, check=True)
    for name, colourful in (("plastic", 0.1), ("2a", 0.1), ("why", 0.05)):
        image = imread(tmp_path / f"{name}.png")[..., :3]
        white = (image > 0.99).all(axis=-1)
        assert 0.1 < white.mean() < 0.8 and white[:, :3].all() and white[:, -3:].all()
        assert (np.ptp(image, axis=-1) > 0.2).mean() > colourful, name
    # both panels are full of atoms; the right one has fewer in colour
    image = imread(tmp_path / "plastic.png")[..., :3]
    parts = [np.ptp(part, axis=-1) > 0.3 for part in np.array_split(image, 2, axis=1)]
    assert 10 * parts[1].mean() < 8 * parts[0].mean() and parts[1].any()
    with Image.open(tmp_path / "plastic.gif") as movie:
        assert movie.n_frames == 2


@pytest.mark.slow
def test_a_picture_of_each_frame(columns, tmp_path):
    said = drawn(columns[0], "-o", tmp_path / "f-*.png", "--view", "plastic", "--size", "200x120")
    assert said == f"{tmp_path}/f-*.png: 2 frames of {columns[0]}\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f-0000.png", "f-0001.png"]
