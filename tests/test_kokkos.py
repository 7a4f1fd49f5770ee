"""The coupling in a LAMMPS with KOKKOS, each frame beside an independent offline computation.

Not run unless there is one:

    MGML_KOKKOS_LMP=/path/to/lmp MGML_KOKKOS_MODULE=/folder/of/its/python/module \\
        pytest -m slow tests/test_kokkos.py

MGML_KOKKOS_SWITCHES, default "-k on t 2 -sf kk", turns it on; MGML_KOKKOS_LAUNCHER, default the
mpirun of the system, starts it; with MGML_KOKKOS_PLUGIN=FOLDER it runs our plugin (mgml doctor
--headers) in place of its PYTHON package.
"""
import os
import shlex
from pathlib import Path

import pytest
from decks import site_environment
from trust.launch import LJ, Install, lines, potentials, small, system
from trust.offline import read, verify

PROGRAM = os.environ.get("MGML_KOKKOS_LMP")
PLUGIN = os.environ.get("MGML_KOKKOS_PLUGIN")
SWITCHES = shlex.split(os.environ.get("MGML_KOKKOS_SWITCHES", "-k on t 2 -sf kk"))
MOVE = "velocity all create 600 4711 loop geom\nfix md all nve\nfix load all deform 1 z erate -5 remap x\n"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(
    not PROGRAM, reason="no LAMMPS with KOKKOS is named (MGML_KOKKOS_LMP)")]


@pytest.fixture
def kokkos(tmp_path):
    env = site_environment(tmp_path)
    module = os.environ.get("MGML_KOKKOS_MODULE")
    if module:
        packages = [p for p in env["PYTHONPATH"].split(os.pathsep) if p != str(tmp_path / "site")]
        env["PYTHONPATH"] = os.pathsep.join([module, *packages])
    if PLUGIN:
        env["LAMMPS_PLUGIN_PATH"] = PLUGIN
    library = str(Path(PROGRAM).parent)
    env.update(OMP_PROC_BIND="false", LD_LIBRARY_PATH=library, LAMMPS_POTENTIALS=str(potentials()))
    env.pop("OMP_NUM_THREADS")
    launcher = shlex.split(os.environ.get("MGML_KOKKOS_LAUNCHER", "/usr/bin/mpirun --oversubscribe"))
    return Install("KOKKOS", tuple(launcher), (PROGRAM, *SWITCHES), tuple(env.items()))


def right(path, reference=None, due=lambda step: True, **options):
    """Every value of the dump is right or flagged; number of those that are right."""
    verdict = verify(path, reference, due=due, **options)
    assert not verdict.silent, verdict.silent[:3]
    assert verdict.counts["right"] > 0
    return verdict.counts["right"]


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_run(kokkos, tmp_path, ranks):
    done = kokkos.must(tmp_path, system(small(tmp_path, 8), LJ) + MOVE + lines(5, "o.dump")
                       + "run 20\n", ranks)
    assert "KOKKOS mode" in done.text
    right(tmp_path / "o.dump")


def test_steps_between_evaluations_are_flagged(kokkos, tmp_path):
    kokkos.must(tmp_path, system(small(tmp_path), LJ) + MOVE + lines(4, "o.dump", dump=1)
                + "run 10\nrun 3\n", 2)
    right(tmp_path / "o.dump", due=None)
    frames = read(tmp_path / "o.dump")
    assert [bool((frame.columns["i_site"].astype(int) & 16).all()) for frame in frames[:5]] == [
        False, True, True, True, False]


def test_a_run_that_is_halted(kokkos, tmp_path):
    kokkos.must(tmp_path, system(small(tmp_path), LJ) + MOVE + lines(4, "o.dump", dump=1)
                + "variable late equal step\nfix stop all halt 1 v_late > 6 error continue\nrun 20\n"
                "unfix stop\nwrite_dump all custom now.dump id type x y z ix iy iz d_sq d_p d_s "
                "d_d2min d_eta i_site modify format float %.17g\nrun 3\n", 2)
    right(tmp_path / "o.dump", due=None)
    if PLUGIN:
        right(tmp_path / "now.dump", read(tmp_path / "o.dump")[0])


def test_empty_ranks_and_balance(kokkos, tmp_path):
    deck = (system(small(tmp_path, 6), LJ, before="processors 4 1 1\n") + MOVE.splitlines()[0] + "\n"
            "change_box all boundary f p p\nchange_box all x final -40 80 units box\n"
            "fix md all nve\n" + lines(5, "o.dump") + "run 10\nbalance 1.0 shift x 10 1.05\nrun 10\n")
    kokkos.must(tmp_path, deck, 4)
    right(tmp_path / "o.dump")


@pytest.mark.parametrize("one,two", [(1, 2), (4, 1)])
def test_restart_on_another_number_of_ranks(kokkos, tmp_path, one, two):
    first = system(small(tmp_path, 6), LJ) + MOVE
    kokkos.must(tmp_path, first + lines(5, "a.dump") + "run 20\nwrite_restart half\n", one)
    kokkos.must(tmp_path, "units metal\nread_restart half\n" + LJ + "neighbor 1.0 bin\n"
                "timestep 0.002\nfix md all nve\nfix load all deform 1 z erate -5 remap x\n"
                + lines(5, "b.dump") + "run 20\n", two)
    right(tmp_path / "b.dump", read(tmp_path / "a.dump")[0])


def test_a_restart_of_a_run_without_kokkos_is_refused(kokkos, tmp_path):
    """LAMMPS gives columns only to a fix of the style that wrote them, here property/atom."""
    plain = Install("host", kokkos.launcher, kokkos.program[:1], kokkos.environment)
    plain.must(tmp_path, system(small(tmp_path, 6), LJ) + MOVE + lines(5, "a.dump")
               + "run 10\nwrite_restart half\n", 2)
    done = kokkos.run(tmp_path, "units metal\nread_restart half\n" + LJ + "neighbor 1.0 bin\n"
                      "timestep 0.002\nfix md all nve\n" + lines(5, "b.dump") + "run 10\n", 2)
    assert done.code not in (0, None)
    assert "run with KOKKOS only if it was written with KOKKOS" in done.text


def test_minimisations_and_atoms_that_are_deleted(kokkos, tmp_path):
    deck = (system(small(tmp_path, 6), LJ) + lines(5, "o.dump")
            + "variable k loop 3\nlabel again\nchange_box all z scale 0.99 remap units box\n"
            "minimize 0 1e-3 20 200\n${mgml_evaluate}\nwrite_dump all custom m${k}.dump id type x y z "
            "ix iy iz d_sq d_p d_s d_d2min d_eta i_site modify format float %.17g\nnext k\n"
            "jump SELF again\ngroup gone id 7 19\ndelete_atoms group gone compress no\n"
            "velocity all create 300 1 loop geom\nfix md all nve\nundump o\n".replace("undump o\n", "")
            + "run 10\n")
    kokkos.must(tmp_path, deck, 2)
    reference = read(tmp_path / "o.dump")[0]
    for k in (1, 2, 3):
        right(tmp_path / f"m{k}.dump", reference)
    right(tmp_path / "o.dump", due=None)


def test_watched_glass(kokkos, tmp_path):
    """Vibrations and the evaluation in one run; another computation of the msd is not done here."""
    deck = (system(small(tmp_path, 6), LJ) + "velocity all create 300 4711 loop geom\nfix md all nve\n"
            "variable vibration getenv MGML_VIBRATION\ninclude ${vibration}\n"
            "fix watch all python/invoke 5 end_of_step vibration\nrun 50\nunfix watch\n"
            "variable mgml_model string cuzr-vibration\n" + lines(5, "o.dump") + "run 10\n")
    kokkos.must(tmp_path, deck, 2)
    frames = read(tmp_path / "o.dump")
    assert all((frame.columns["d_sq"] > 0).all() for frame in frames)
