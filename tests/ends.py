"""The right ends of a run: correct numbers, NaN with a flag, or one clear line."""
import independent
import numpy as np
from decks import same

from lammps_mgml import load_model
from lammps_mgml.api import sites

OPEN, NO_FEATURES, NO_D2, UNKNOWN, NOT_NOW, NEW = 1, 2, 4, 8, 16, 32


def softness_of(frame, means_of=None, model="cuzr"):
    """S^q of a frame's dumped positions, offline, with the means of another frame."""
    model = load_model(model)
    means = None if means_of is None else _sites(means_of, model).means
    return model.softness(_sites(frame, model, means).features)


def _sites(frame, model, means=None):
    return sites(frame.x, frame.types, frame.edges, tuple(bool(p) for p in frame.pbc),
                 model.features, model.elements, model.parameters, means=means)


def assert_right(frames, reference=None, numbers=None, cutoff=4.5, tolerance=1e-9, softness=True,
                 now=None):
    """Every column of every frame is right, or NaN with its flag.

    frames : of one run or of several in a row, read by ``independent.read``
    reference : the frame that the columns go by; default the first
    numbers : of the atoms of each frame (the reference's first, if it is not one of them)
    softness : False leaves the offline S^q out (a model that is none)
    now : steps that must have been evaluated, "all" or None (whichever)
    """
    whole = frames if reference is None else [reference, *frames]
    reference, edges = whole[0], independent.continued(whole)[len(whole) - len(frames):]
    numbers = [f.ids for f in whole] if numbers is None else numbers
    mine = numbers[len(whole) - len(frames):]
    if softness:
        model = load_model("cuzr")
        found = _sites(reference, model)
        sq_of = dict(zip(numbers[0], model.softness(found.features)))
    for frame, e, who in zip(frames, edges, mine):
        where = f"step {frame.step}"
        truth = independent.d2min(reference, frame, e, cutoff, (numbers[0], who))
        flags, late = frame.flags, frame.flags & NOT_NOW != 0
        assert late.all() or not late.any(), where
        if now == "all" or now is not None and frame.step in now:
            assert not late.any(), f"{where} was not evaluated"
        np.testing.assert_array_equal(flags & NEW != 0, truth.new, where)
        if softness and "d_sq" in frame.columns:
            same(frame["d_sq"], np.array([sq_of.get(w, np.nan) for w in who]), tolerance)
        columns = [k for k in ("d_d2min", "d_eta", "d_s") if k in frame.columns]
        if late.any():
            for name in columns:
                assert np.isnan(frame[name]).all(), f"{where}: {name} is stale"
            continue
        gone = np.isnan(truth.d2min)
        assert (flags & (NO_D2 | NEW) != 0)[gone].all(), where
        assert not (flags & NO_D2)[~gone].any(), where
        for name, right in (("d_d2min", truth.d2min), ("d_eta", truth.eta)):
            if name in frame.columns:
                assert_near(frame[name], right, tolerance, f"{where} {name}")
        if softness and "d_s" in frame.columns:
            same(frame["d_s"], model.softness(_sites(frame, model, found.means).features), tolerance)


def assert_near(found, right, tolerance, where=""):
    np.testing.assert_array_equal(np.isnan(found), np.isnan(right), where)
    np.testing.assert_allclose(found, right, rtol=tolerance, atol=tolerance, err_msg=where)


def ends_well(done):
    assert done.returncode == 0, done.stdout[-3000:]
    assert "Traceback" not in done.stdout and "ERROR" not in done.stdout, done.stdout[-3000:]
    return done


def one_error(done, *words):
    """The one line "ERROR: ..." of a refused run; it has all ``words``.

    Lines "ERROR on proc 0: Python function evaluation failed" and "ERROR: Fix python/invoke ...
    method failed" are what a LAMMPS with the PYTHON package adds.
    """
    text = done.stdout
    assert done.returncode != 0, text[-3000:]
    assert "Traceback" not in text, text[-3000:]
    lines = [line for line in text.splitlines() if line.startswith("ERROR:")
             and not line.startswith("ERROR: Fix python/invoke end_of_step() method failed")]
    assert len(lines) == 1, text[-3000:]
    for word in words:
        assert word in lines[0], lines[0]
    return lines[0]


def ovito_d2min(reference, present, cutoff=4.5):
    """(d2min, eta) of OVITO for two frames with the same atoms, by id; boxes without flips."""
    import ovito  # noqa: F401
    from ovito.data import DataCollection, Particles, SimulationCell
    from ovito.modifiers import AtomicStrainModifier
    from ovito.pipeline import Pipeline, StaticSource

    def collection(frame):
        data = DataCollection()
        cell = np.c_[frame.edges.T, np.zeros(3)]
        data.objects.append(SimulationCell(pbc=tuple(bool(p) for p in frame.pbc)))
        data.cell_[...] = cell
        particles = Particles(count=len(frame))
        particles.create_property("Position", data=frame.unwrapped)
        particles.create_property("Particle Identifier", data=frame.ids)
        data.objects.append(particles)
        return data
    modifier = AtomicStrainModifier(cutoff=cutoff, minimum_image_convention=False,
                                    output_nonaffine_squared_displacements=True)
    modifier.reference = StaticSource(data=collection(reference))
    pipeline = Pipeline(source=StaticSource(data=collection(present)))
    pipeline.modifiers.append(modifier)
    particles = pipeline.compute().particles
    return (particles["Nonaffine Squared Displacement"][...].copy(),
            particles["Shear Strain"][...].copy())
