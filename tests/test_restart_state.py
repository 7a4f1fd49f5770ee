"""What a reference leaves behind in the atoms."""
from dataclasses import replace

import numpy as np
import pytest

from lammps_mgml.errors import InputError, ModelError
from lammps_mgml.evaluation import restart_state
from lammps_mgml.evaluation.restart_state import RestartState, Settings
from lammps_mgml.families.family import Means
from lammps_mgml.system.box import Box
from lammps_mgml.system.domain import WholeDomain

SETTINGS = Settings("cuzr", "sha256:0123456789abcdef", "Cu Zr NULL", "z compression", 4.5)
MEANS = Means(2.1 / 3, 1 / 7, 2.7, 2.6, (0.65, 0.35))


def state(**changes):
    box = Box.from_lammps((10 / 3, 20.1, 30.2), (0.1, -0.2, 1 / 3), (True, False, True))
    return replace(RestartState.new(SETTINGS, 1000, box, MEANS, 4242), **changes)


def rows_of(s, n=1000):
    return restart_state.rows(s, n, 0)


def read(rows, known=None):
    known = np.ones(len(rows), bool) if known is None else known
    return restart_state.read(rows, known, WholeDomain())


def test_comes_back_bit_for_bit():
    s = state(last=[[1 / 3, 0, 0], [1e-300, 2.0, 0], [0.1, 0.2, 0.3]])
    assert read(rows_of(s)) == s


def test_survives_single_precision_and_order():
    s, rng = state(), np.random.default_rng(1)
    rows = rows_of(s).astype(np.float32).astype(np.float64)
    assert read(rows[rng.permutation(len(rows))][:600]) == s
    assert rows.max() < 2**24


def test_dealt_out_over_ranks():
    s = state()
    parts = [restart_state.rows(s, n, first) for n, first in ((7, 0), (0, 7), (5, 7), (200, 12))]
    assert read(np.concatenate(parts)) == s


def test_few_atoms_on_each_of_many_ranks_carry_all():
    s = state()
    parts = [restart_state.rows(s, 3, first) for first in range(0, 300, 3)]
    assert read(np.concatenate(parts)) == s


def test_atoms_that_are_not_in_the_reference_do_not_count():
    rows = np.concatenate([rows_of(state()), np.full((50, restart_state.WIDTH), 7.0)])
    assert read(rows, np.arange(len(rows)) < 1000) == state()


def test_fresh_atoms_carry_nothing():
    rows = np.zeros((10, restart_state.WIDTH))
    assert restart_state.identity(rows, np.zeros(10, bool), WholeDomain()) == 0


def test_two_references_are_refused():
    rows = np.concatenate([rows_of(state()), rows_of(state(identity=77))])
    with pytest.raises(InputError, match="two references"):
        restart_state.identity(rows, np.ones(len(rows), bool), WholeDomain())


@pytest.mark.parametrize("damage", [
    lambda r: r[:5], lambda r: r[r[:, 1] != 3],
    lambda r: np.where(r[:, [1]] == 4, r + [0, 0, 0, 1, 0], r),
    lambda r: r + [0, 0, 0.5, 0, 0], lambda r: r * [1, 1, -1, 1, 1]])
def test_a_lost_or_damaged_piece_is_refused(damage):
    with pytest.raises(InputError, match="mgml_reference string now"):
        read(damage(rows_of(state())))


def test_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(restart_state, "VERSION", 3)
    rows = rows_of(state())
    monkeypatch.undo()
    with pytest.raises(InputError, match="another version"):
        read(rows)


@pytest.mark.parametrize("name, value, words", [
    ("checksum", "sha256:ffff", ("01234567", "ffff")),
    ("elements", "Zr Cu NULL", ("Cu Zr NULL", "Zr Cu NULL")),
    ("load", "x tension", ("z compression", "x tension")), ("d2_cutoff", 4.0, ("4.5", "4.0"))])
def test_other_settings_are_refused_naming_both(name, value, words):
    SETTINGS.must_be_those_of(state())
    with pytest.raises(ModelError, match="mgml_reference string now") as e:
        replace(SETTINGS, **{name: value}).must_be_those_of(state())
    for word in words:
        assert word in str(e.value)
