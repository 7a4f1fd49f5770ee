"""The evaluator without LAMMPS: what an adapter for another engine has to bring, and gets."""
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from glasses import atoms_of, glass, slab

import lammps_mgml
from lammps_mgml.errors import InputError
from lammps_mgml.evaluation.columns import COLUMNS
from lammps_mgml.evaluation.evaluator import Evaluator, Request, Snapshot
from lammps_mgml.evaluation.live import QUANTITIES
from lammps_mgml.evaluation.restart_state import Settings
from lammps_mgml.flags import NO_REFERENCE, NOT_EVALUATED, NOT_IN_REFERENCE
from lammps_mgml.pipeline import site_features
from lammps_mgml.system.box import Box
from lammps_mgml.system.domain import WholeDomain

MODEL = lammps_mgml.load_model("cuzr-wang13")


def request(**changes):
    settings = Settings(MODEL.name, MODEL.checksum, "Cu Zr", "", 4.5)
    return replace(Request(settings, MODEL, MODEL.elements, MODEL.parameters, MODEL.features, (),
                           None, True, 7.3), **changes)


class ArrayAdapter:
    """An engine of nothing but arrays, with all that an adapter needs: thirty lines.

    It keeps what belongs to the atoms (``number``, ``reference``, ``partners``) beside them, and
    moves it with them.
    """

    def __init__(self, system, **changes):
        n = len(system.positions)
        self.tags, self.types = np.arange(1, n + 1), np.array(system.types)
        self.unwrapped, self.edges = system.positions.copy(), system.edges.copy()
        self.number, self.partners = np.zeros(n, np.int32), np.zeros(n, np.int32)
        self.reference, self.site = np.zeros((n, 3)), np.zeros(n, np.int32)
        self.evaluator, self.step = Evaluator(WholeDomain(), request(**changes)), 0

    may_flip, quenched = False, None
    PER_ATOM = ("tags", "types", "unwrapped", "number", "partners", "reference", "site")

    def take(self, rows):
        for name in self.PER_ATOM:
            setattr(self, name, getattr(self, name)[rows].copy())

    def add(self, position, kind):
        for name in self.PER_ATOM:
            a = getattr(self, name)
            setattr(self, name, np.concatenate([a, np.zeros_like(a[:1])]))
        self.tags[-1], self.types[-1] = self.tags.max() + 1, kind
        self.unwrapped[-1] = position

    def evaluate(self):
        out = self.evaluator.evaluate(Snapshot(
            self.step, Box.make(self.edges), self.tags, self.unwrapped, self.unwrapped, self.types,
            self.number, self.reference, self.partners, self.site, quenched=self.quenched,
            may_flip=self.may_flip))
        self.site[:] = out.evaluated.site
        return out


def small():
    """The atoms of an eighth of the glass, made periodic: near faces it is no glass; no matter."""
    whole = glass()
    half = whole.edges / 2.0
    inside = (whole.positions @ np.linalg.inv(half) < 1.0).all(axis=1)
    x = whole.positions[inside]
    keep, kept = [], np.empty((0, 3))
    for i, p in enumerate(x):                    # none nearer than 1.6 A across the new faces
        f = (kept - p) @ np.linalg.inv(half)
        d = np.linalg.norm((f - np.round(f)) @ half, axis=1)
        if not (d < 1.6).any():
            keep.append(i)
            kept = np.concatenate([kept, [p]])
    return whole._replace(positions=x[keep], types=whole.types[inside][keep], edges=half)


@pytest.fixture(scope="module")
def system():
    return small()


def strained(engine, amount=0.03, noise=0.3, seed=1):
    stretch = np.diag([1.0, 1.0, 1.0 - amount])
    rng = np.random.default_rng(seed)
    engine.unwrapped = engine.unwrapped @ stretch + rng.normal(0, noise, engine.unwrapped.shape)
    engine.edges = engine.edges @ stretch
    engine.step += 10


def offline(system, engine):
    return lammps_mgml.d2min(system.positions, system.edges, engine.unwrapped, engine.edges)


def test_another_engine(system):
    engine = ArrayAdapter(system)
    first = engine.evaluate()
    np.testing.assert_array_equal(
        first.evaluated.softness,
        lammps_mgml.softness(system.positions, system.types, system.edges, model=MODEL))
    assert first.new_reference and np.nanmax(first.evaluated.d2min) < 1e-20
    strained(engine)
    second, expected = engine.evaluate(), offline(system, engine)
    np.testing.assert_allclose(second.evaluated.d2min, expected.d2min, rtol=1e-10)
    np.testing.assert_allclose(second.evaluated.eta, expected.eta, rtol=1e-10)
    assert not second.new_reference
    share = (expected.d2min > 5.0).mean()
    assert 0 < share < 1 and second.live["plastic"] == pytest.approx(share, abs=1e-12)


def test_atoms_in_another_order_under_other_names(system):
    engine = ArrayAdapter(system)
    engine.evaluate()
    strained(engine)
    expected = offline(system, engine).d2min
    order = np.random.default_rng(3).permutation(len(engine.tags))
    engine.take(order)
    engine.tags = np.random.default_rng(4).permutation(engine.tags) + 17
    np.testing.assert_allclose(engine.evaluate().evaluated.d2min, expected[order], rtol=1e-10)


def test_atoms_that_go_and_come(system):
    engine = ArrayAdapter(system)
    engine.evaluate()
    strained(engine)
    expected, gone = offline(system, engine).d2min, 40
    where = engine.unwrapped[gone].copy()
    f = (system.positions - system.positions[gone]) @ np.linalg.inv(system.edges)
    near = np.linalg.norm((f - np.round(f)) @ system.edges, axis=1) < 4.5
    engine.take(np.flatnonzero(np.arange(len(engine.tags)) != gone))
    engine.add(where, 1)                         # one more, in the very place of the lost one
    out = engine.evaluate().evaluated
    left = np.delete(np.arange(len(expected)), gone)
    np.testing.assert_array_equal(np.isnan(out.d2min[:-1]), near[left])
    np.testing.assert_allclose(out.d2min[:-1][~near[left]], expected[left][~near[left]], rtol=1e-10)
    assert np.isnan(out.d2min[-1]) and out.site[-1] & NOT_IN_REFERENCE
    assert (out.site[:-1][near[left]] & NO_REFERENCE).all()
    assert not (out.site[:-1] & NOT_IN_REFERENCE).any()


def test_lost_partners_stay_lost_after_a_restart(system):
    engine = ArrayAdapter(system)
    engine.evaluate()
    engine.take(np.arange(len(engine.tags)) != 40)
    before = engine.evaluate().evaluated.d2min
    engine.evaluator = Evaluator(WholeDomain(), request(), engine.evaluator.state)
    after = engine.evaluate().evaluated.d2min
    np.testing.assert_array_equal(np.isnan(before), np.isnan(after))
    assert 5 < np.isnan(after).sum() < 60


@pytest.mark.parametrize("resume", [False, True])
def test_a_tilted_box_through_flips(system, resume):
    """The box shears by 2.7 of its length, in steps; its own edges flip back as LAMMPS' do."""
    engine = ArrayAdapter(system)
    engine.evaluate()
    noise = np.random.default_rng(5).normal(0, 0.1, system.positions.shape)
    for k, total in enumerate((0.2, 0.45, 0.62, 1.1, 1.4, 1.9, 2.3, 2.7), start=1):
        shear = np.eye(3)
        shear[1, 0] = total
        straight = system.edges @ shear
        flips = round(total)
        engine.edges = straight - np.array([[0, 0, 0], [flips, 0, 0], [0, 0, 0]]) @ straight
        engine.unwrapped = (system.positions + noise) @ shear
        engine.step = 10 * k
        if resume:
            engine.evaluator = Evaluator(WholeDomain(), request(), engine.evaluator.state)
        found = engine.evaluate().evaluated
        expected = lammps_mgml.d2min(system.positions, system.edges, engine.unwrapped, straight)
        np.testing.assert_allclose(found.d2min, expected.d2min, rtol=1e-8)


def test_a_flipped_box_without_tilt(system):
    """Sheared by exactly its own length between two evaluations, the box is upright again."""
    engine = ArrayAdapter(system)
    engine.may_flip = True
    engine.evaluate()
    noise = np.random.default_rng(8).normal(0, 0.1, system.positions.shape)
    shear = np.eye(3)
    for total in (1.0, 2.0):
        shear[2, 0] = total * system.edges[0, 0] / system.edges[2, 2]
        engine.unwrapped = (system.positions + noise) @ shear
        engine.step += 10
        found = engine.evaluate().evaluated
        expected = lammps_mgml.d2min(system.positions, system.edges, engine.unwrapped,
                                     system.edges @ shear)
        np.testing.assert_allclose(found.d2min, expected.d2min, rtol=1e-8)


def test_copies_of_the_reference_are_refused(system):
    engine = ArrayAdapter(system)
    engine.evaluate()
    engine.take(np.r_[np.arange(len(engine.tags)), 0])
    engine.unwrapped[-1] += 1.0
    with pytest.raises(InputError, match="two atoms are copies"):
        engine.evaluate()


def test_rerun_takes_the_shortest_displacement(system):
    engine = ArrayAdapter(system)
    engine.evaluate()
    strained(engine)
    expected = offline(system, engine).d2min
    shift = np.random.default_rng(6).integers(-2, 3, engine.unwrapped.shape)
    snap = Snapshot(10, Box.make(engine.edges), engine.tags, engine.unwrapped,
                    engine.unwrapped + shift @ engine.edges, engine.types, engine.number,
                    engine.reference, engine.partners, engine.site, shortest=True)
    np.testing.assert_allclose(engine.evaluator.evaluate(snap).evaluated.d2min, expected, rtol=1e-9)


def test_atoms_that_wander_farther_than_half_the_box(system):
    """Every tenth goes 0.8 of an edge: D2min by numpy from its partners in the reference."""
    engine = ArrayAdapter(system)
    engine.evaluate()
    strained(engine)
    engine.unwrapped[::10] += 0.8 * engine.edges[1]
    found = engine.evaluate().evaluated
    x0, x, inverse = system.positions, engine.unwrapped, np.linalg.inv(system.edges)
    for i in range(0, len(x), 25):
        shift = -np.round((x0 - x0[i]) @ inverse)
        before = x0 - x0[i] + shift @ system.edges
        near = (np.linalg.norm(before, axis=1) < 4.5) & (np.arange(len(x)) != i)
        after = (x - x[i] + shift @ engine.edges)[near]
        fit = np.linalg.lstsq(before[near], after, rcond=None)[0]
        assert found.d2min[i] == pytest.approx(((after - before[near] @ fit) ** 2).sum(), rel=1e-9)
    assert np.median(found.d2min[::10]) > 100.0


def test_a_rerun_of_a_tilted_box_through_flips(system):
    """The shortest displacement tells of no flip: the edges at the latest evaluation do."""
    engine = ArrayAdapter(system)
    engine.evaluate()
    noise = np.random.default_rng(5).normal(0, 0.1, system.positions.shape)
    for k in range(1, 8):
        shear = np.eye(3)
        shear[2, 0] = 0.3 * k
        straight = system.edges @ shear
        edges = straight.copy()
        edges[2] -= round(0.3 * k) * straight[0]
        x = (system.positions + noise) @ shear
        f = x @ np.linalg.inv(edges)
        found = engine.evaluator.evaluate(Snapshot(
            k, Box.make(edges), engine.tags, (f - np.floor(f)) @ edges, (f - np.floor(f)) @ edges,
            engine.types, engine.number, engine.reference, engine.partners, engine.site,
            shortest=True))
        expected = lammps_mgml.d2min(system.positions, system.edges, x, straight)
        np.testing.assert_allclose(found.evaluated.d2min, expected.d2min, rtol=1e-8)


def test_flags_are_those_of_this_evaluation(system):
    """Without the running softness, flags of the structure stay, those of the evaluation do not."""
    engine = ArrayAdapter(system, running=False)
    structure = engine.evaluate().evaluated.site
    strained(engine)
    engine.site |= NOT_EVALUATED | NO_REFERENCE | NOT_IN_REFERENCE     # as after steps between
    np.testing.assert_array_equal(engine.evaluate().evaluated.site, structure)
    engine.take(np.arange(len(engine.tags)) != 40)
    out = engine.evaluate()
    lost = np.isnan(out.evaluated.d2min)
    assert 5 < lost.sum() < 60
    np.testing.assert_array_equal(out.evaluated.site, np.delete(structure, 40)
                                  | np.where(lost, NO_REFERENCE, 0))
    d2 = out.evaluated.d2min[~lost]
    assert out.live["plastic"] == pytest.approx((d2 > 5.0).mean(), abs=1e-12)
    assert out.live["undefined"] == pytest.approx(lost.mean(), abs=1e-12)
    assert out.live["d2mean"] == pytest.approx(d2.mean(), rel=1e-12)


@pytest.mark.parametrize("what", ["nan", "no ids"])
def test_atoms_that_cannot_be_placed_are_refused(system, what):
    engine = ArrayAdapter(system)
    if what == "nan":
        engine.unwrapped[7, 1] = np.nan
    else:
        engine.tags[:] = 0
    with pytest.raises(InputError, match="atom 8 has a coord" if what == "nan" else "no IDs"):
        engine.evaluate()


def test_rows_of_columns_and_quantities_are_complete():
    for row in (*COLUMNS, *QUANTITIES):
        assert row.name and row.unit and row.definition
    assert len({c.name for c in COLUMNS}) == len(COLUMNS)


def test_blocks_of_features_give_the_bits_of_the_whole_matrix(monkeypatch):
    """Without columns of features the matrix never comes to be; a few atoms a block here."""
    monkeypatch.setattr("lammps_mgml.pipeline.ROWS_AT_ONCE", 37)
    atoms, owner = atoms_of(slab(glass()))
    domain = WholeDomain(owner, atoms.n_own)
    sizes, found = [], {}
    for name in ("cuzr", "cuzr-wang13"):
        model = lammps_mgml.load_model(name)

        def take(at, features, name=name, model=model):
            sizes.append(at.stop - at.start)
            found[name][at] = model.softness(features)

        whole = site_features(atoms, domain, model.features, model.elements, None, model.parameters)
        found[name] = np.full(atoms.n_own, 7.0)
        blocks = site_features(atoms, domain, model.features, model.elements, None, model.parameters,
                               each=take)
        assert found[name].tobytes() == model.softness(whole.features).tobytes()
        assert blocks.flags.tobytes() == whole.flags.tobytes() and whole.flags.any()
        assert blocks.features.shape == (atoms.n_own, 0)
    assert max(sizes) == 37 and sum(sizes) == 2 * atoms.n_own


BIG = """
import re
from mpi4py import MPI
from glasses import glass, replicated
from lammps_mgml.system.mpi import MpiDomain
from test_evaluator import ArrayAdapter, Evaluator, lammps_mgml, small

def memory(name):
    return 1024 * int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read())[1])

model = lammps_mgml.load_model("cuzr")
for system in (small(), replicated(glass(), (2, 2, 2))):
    before = memory("VmRSS")
    engine = ArrayAdapter(system, model=model, names=model.features, keep=False,
                          parameters=model.parameters)
    engine.evaluator = Evaluator(MpiDomain(MPI.COMM_SELF), engine.evaluator.request)
    for _ in range(3):
        engine.evaluate()
print((memory("VmHWM") - before) / len(system.positions))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_of_a_large_rank():
    """64 000 atoms, with 48 bytes each that this engine holds itself: 930 when this was written, 1420
    with whole tables of each level of averages and the facets kept until the end."""
    done = subprocess.run([sys.executable, "-c", BIG], capture_output=True, text=True,
                          cwd=Path(__file__).parent)
    assert done.returncode == 0, done.stderr
    assert 300 < float(done.stdout) < 1000
