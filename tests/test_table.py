"""Tables of features: whole at every moment, and no frame of a run is lost without a word."""
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from decks import BIN, GLASS

from lammps_mgml.errors import InputError
from lammps_mgml.io import table, whole
from lammps_mgml.io.glass import read_glass, write_glass
from lammps_mgml.io.table import TableWriter, header, read_table, table_steps

NAMES = ("voronoi_volume", "cn_voro", "distance_dist_min")
GLASSES = GLASS.parent / "glasses"
LOADED = GLASSES / "glass-13.z-compression.dump.gz"


def writer(path, **words):
    return TableWriter(path, header(NAMES, ("Cu", "Zr"), {"near_cutoff": 4.0}), **words)


def put(one, step, value=None, n=50, box=None, order=None):
    """A frame of n atoms in two slabs; its features are its step, or ``value``."""
    ids = np.arange(1, n + 1) if order is None else order
    rows = np.outer(np.sin(ids), [1.0, 2.0, 3.0]) + (step if value is None else value)
    with one.frame(step, n, [("i_site", np.int32)],
                   box=10.0 * np.eye(3) if box is None else box) as write:
        for part in (slice(0, n // 3), slice(n // 3, n)):
            write(part.start, ids[part], rows[part], np.zeros(len(ids[part])))


def check(path, steps):
    """The table has these frames and each of them is right."""
    assert table_steps(path) == list(steps)
    for step in steps:
        frame = read_table(path, step)
        ids = np.arange(1, len(frame["id"]) + 1)
        np.testing.assert_array_equal(frame["id"], ids)
        np.testing.assert_array_equal(frame["features"], (
            np.outer(np.sin(ids), [1.0, 2.0, 3.0]) + step).astype(np.float32))


OPERATIONS = ("pwrite", "replace", "ftruncate", "fsync", "unlink")


def killed_at(k, path, steps, half):
    """Write frames in a child that is killed at its k-th operation on files; whether it was."""
    pid = os.fork()
    if pid == 0:
        left = [k]

        def deadly(what):
            original = getattr(os, what)

            def operation(*words, **more):
                left[0] -= 1
                if left[0] == 0:
                    if half and what == "pwrite":
                        fd, data, at = words
                        original(fd, data[:len(data) // 2], at)
                    os.kill(os.getpid(), signal.SIGKILL)
                return original(*words, **more)
            return operation
        for what in OPERATIONS:
            setattr(os, what, deadly(what))
        try:
            one = writer(path, append=True)
            for step in steps:
                put(one, step)
        finally:
            os._exit(0 if left[0] > 0 else 1)
    return os.waitpid(pid, 0)[1] != 0


@pytest.mark.parametrize("earlier, half", [(0, False), (3, True)])
def test_killed_at_any_operation_the_table_holds_its_whole_frames(tmp_path, earlier, half):
    first = writer(tmp_path / "first.h5")
    for step in range(earlier):
        put(first, step)
    journals = committed = 0
    for k in range(1, 100):
        path = tmp_path / f"{k}.h5"
        if earlier:
            path.write_bytes((tmp_path / "first.h5").read_bytes())
        if not killed_at(k, path, (50, 60), half):
            break
        if not path.exists():                   # killed before there was a table
            assert not earlier
            continue
        journals += whole.needs_recovery(path)
        new = [s for s in table_steps(path) if s >= 50]
        assert new in ([], [50], [50, 60])
        committed += len(new)
        check(path, [*range(earlier), *new])
        put(writer(path, append=True), 70)      # the next job goes on with it
        check(path, [*range(earlier), *new, 70])
        assert not list(tmp_path.glob(f"{k}.h5.*")), "nothing is left over or set aside"
    assert k > 20 and journals >= 4 and committed > k // 2
    check(path, [*range(earlier), 50, 60])


def test_killed_at_random_times_from_outside(tmp_path):
    code = ("import sys; sys.path.insert(0, sys.argv[1]); from test_table import put, writer\n"
            "one = writer(sys.argv[2], append=True)\nstep = int(sys.argv[3])\n"
            "while True:\n    put(one, step, n=3000); print(step, flush=True); step += 1\n")
    path, chance, steps = tmp_path / "t.h5", random.Random(5), []
    for _ in range(4):
        child = subprocess.Popen([sys.executable, "-c", code, Path(__file__).parent, path,
                                  str(len(steps))], stdout=subprocess.PIPE, text=True)
        said = [child.stdout.readline()]
        time.sleep(0.05 + 0.2 * chance.random())
        child.kill()
        said += child.stdout.read().split("\n")[:-1]
        child.wait()
        steps = table_steps(path)
        assert len(steps) in (int(said[-1]) + 1, int(said[-1]) + 2)
        check(path, range(len(steps)))
    assert not list(tmp_path.glob("t.h5.[0-9]*"))


def limited(size):
    """For a child: no file may grow beyond ``size`` bytes, as on a full disk."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("size", [700, 5_000, 20_000, 60_000, 100_000])
def test_on_a_full_disk_the_frames_written_stay(tmp_path, size):
    code = ("import sys; sys.path.insert(0, sys.argv[1]); from test_table import put, writer\n"
            "from lammps_mgml.errors import InputError\none = writer(sys.argv[2])\n"
            "for step in range(0, 1000, 10):\n"
            "    try:\n        put(one, step, n=400)\n"
            "    except InputError as e:\n        print(e); sys.exit(3)\n    print(step)\n")
    path = tmp_path / "t.h5"
    done = subprocess.run([sys.executable, "-c", code, Path(__file__).parent, path],
                          capture_output=True, text=True, preexec_fn=limited(size))
    assert done.returncode == 3 and not done.stderr
    *steps, error = done.stdout.splitlines()
    assert "File too large" in error and "t.h5" in error
    if steps:
        assert f"step {10 * len(steps)} cannot be written" in error
        check(path, range(0, 10 * len(steps), 10))
        assert whole.os.path.getsize(path) <= size
        put(writer(path, append=True), 2000)     # once there is room
        check(path, [*range(0, 10 * len(steps), 10), 2000])
    assert (size >= 20_000) == bool(steps)


@pytest.mark.parametrize("size", [1_000, 300_000])
def test_featurize_on_a_full_disk_ends_with_one_line(tmp_path, size):
    words = [BIN / "mgml", "featurize", LOADED, "--frames", "0:4", "--features", "table3", "-o",
             tmp_path / "f.h5"]
    done = subprocess.run(words, capture_output=True, text=True, preexec_fn=limited(size))
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "File too large" in done.stderr and "f.h5" in done.stderr
    assert not (tmp_path / "f.h5").exists()


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder],
                          capture_output=True)
    if done.returncode:
        pytest.skip("not run: mounting a small file system is not allowed here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_featurize_on_a_small_or_read_only_disk_ends_with_one_line(small_disk):
    (small_disk / "other").write_bytes(bytes(600_000))
    words = [BIN / "mgml", "featurize", LOADED, "--features", "sro", "-o", small_disk / "f.h5"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "No space left on device" in done.stderr
    assert not (small_disk / "f.h5").exists()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    began = time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "f.h5: cannot write: Read-only file system" in done.stderr
    assert time.monotonic() - began < 30, "told before the work, not after it"
    with pytest.raises(InputError, match="cannot write: Read-only file system"):
        put(writer(small_disk / "t.h5"), 0)


def test_table_after_a_kill_is_read_where_nothing_can_be_written(tmp_path, small_disk):
    left = []
    for k in range(1, 100):
        path = tmp_path / f"{k}.h5"
        if not killed_at(k, path, (50,), False):
            break
        if whole.needs_recovery(path):
            for name in (f"{k}.h5", f"{k}.h5.journal"):
                (small_disk / name).write_bytes((tmp_path / name).read_bytes())
            left.append(small_disk / f"{k}.h5")
    assert left
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    for path in left:
        check(path, (50,))


def test_a_step_that_comes_after_a_later_one_is_refused(tmp_path):
    path = tmp_path / "t.h5"
    one = writer(path, append=True)
    for step in (10, 20, 30):
        put(one, step)
    for step in (0, 20, 29):                    # reset_timestep
        with pytest.raises(InputError, match=f"step {step} comes after step 30 .*"
                                             "another variable mgml_features_file"):
            put(one, step, value=-1.0)
    check(path, (10, 20, 30))
    put(one, 40)
    check(path, (10, 20, 30, 40))
    assert not Path(f"{path}.1").exists()


def test_the_last_step_once_more_changes_nothing_if_its_atoms_are_the_same(tmp_path, capfd):
    path = tmp_path / "t.h5"
    one = writer(path)
    put(one, 10)
    put(one, 20)
    size = path.stat().st_size
    put(one, 20, value=20.0 + 1e-13, order=np.random.default_rng(1).permutation(50) + 1)
    check(path, (10, 20))
    assert path.stat().st_size == size and not capfd.readouterr().err
    with h5py.File(path) as file:
        assert sorted(file) == ["10", "20"]
    put(one, 30)
    check(path, (10, 20, 30))


@pytest.mark.parametrize("change", [{"value": 21.0}, {"box": np.diag([10.0, 10.0, 10.1])},
                                    {"n": 49}, {"order": np.r_[2, 1, 3:51]}])
def test_the_last_step_with_other_atoms_keeps_both_frames(tmp_path, capfd, change):
    path = tmp_path / "t.h5"
    one = writer(path)
    put(one, 10)
    put(one, 20)
    if "order" in change:                       # the same rows, of two atoms exchanged
        ids = np.arange(1, 51)
        with one.frame(20, 50, [("i_site", np.int32)], box=10.0 * np.eye(3)) as write:
            write(0, change["order"], np.outer(np.sin(ids), [1.0, 2.0, 3.0]) + 20, np.zeros(50))
    else:
        put(one, 20, **change)
    assert "step 20 comes again with changed atoms: its first frame is now 20.1" \
        in capfd.readouterr().err
    assert table_steps(path) == [10, 20]
    before, after = read_table(path, "20.1"), read_table(path, 20)
    np.testing.assert_array_equal(before["features"][0],
                                  (np.sin(1) * np.array([1, 2, 3]) + 20).astype(np.float32))
    assert before["features"].shape != after["features"].shape \
        or (before["features"] != after["features"]).any() \
        or (before["attributes"]["box"] != after["attributes"]["box"]).any()
    put(one, 20, value=7.0)
    with h5py.File(path) as file:
        assert sorted(file) == ["10", "20", "20.1", "20.2"]


def test_too_few_rows_are_refused(tmp_path):
    path = tmp_path / "t.h5"
    one = writer(path)
    put(one, 10)
    with pytest.raises(InputError, match="step 20: 3 of 5 atoms were given"):
        with one.frame(20, 5, []) as write:
            write(0, np.arange(1, 4), np.ones((3, 3)))
    check(path, (10,))


def test_another_process_that_writes_is_not_disturbed_and_one_that_reads_does_not_disturb(tmp_path):
    path = tmp_path / "t.h5"
    put(writer(path), 10)
    code = ("import sys; sys.path.insert(0, sys.argv[1]); from test_table import put, writer\n"
            "from lammps_mgml.errors import InputError\n"
            "try:\n    put(writer(sys.argv[2], append=True), 20)\n"
            "except InputError as e:\n    print(e)")
    words = [sys.executable, "-c", code, Path(__file__).parent, path]
    with whole.Growing(path):
        done = subprocess.run(words, capture_output=True, text=True)
        assert "t.h5: cannot write: another process is writing it" in done.stdout
    check(path, (10,))
    with h5py.File(path, "r") as file:
        done = subprocess.run(words, capture_output=True, text=True)
        assert not done.stdout + done.stderr and "10" in file
    check(path, (10, 20))
    assert not Path(f"{path}.1").exists()


def test_a_table_that_is_locked_for_a_moment_is_waited_for(tmp_path, monkeypatch):
    path = tmp_path / "t.h5"
    put(writer(path), 10)
    code = ("import fcntl, sys, time\nfile = open(sys.argv[1])\nfcntl.flock(file, fcntl.LOCK_EX)\n"
            "print('locked', flush=True)\ntime.sleep(float(sys.argv[2]))")

    def locked(seconds):
        other = subprocess.Popen([sys.executable, "-c", code, path, str(seconds)], stdout=subprocess.PIPE)
        other.stdout.readline()
        return other
    with locked(0.5) as other:
        check(path, (10,))
    with locked(60.0) as other:
        monkeypatch.setattr(table, "PATIENCE", 0.1)
        try:
            assert table.is_table(path)
            with pytest.raises(InputError, match="t.h5 is locked by another process that writes it: try again"):
                table_steps(path)
        finally:
            other.kill()
    check(path, (10,))


@pytest.mark.parametrize("damage", [lambda b: b[:len(b) // 2], lambda b: b"", lambda b: bytes(len(b)),
                                    lambda b: b[:600] + bytes(200) + b[800:]])
def test_damaged_table_is_refused_with_one_line(tmp_path, damage):
    path = tmp_path / "t.h5"
    put(writer(path), 10)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match="t.h5") as e:
        read_table(path, 10)
    assert len(str(e.value).splitlines()) == 1
    put(writer(path, append=True), 20)          # set aside, not overwritten
    check(path, (20,))
    assert Path(f"{path}.1").exists()


@pytest.mark.parametrize("change, message", [
    (lambda f: shorter(f, "loadings/x-tension/d2min", np.s_[:, :100]), "x-tension/d2min must have shape"),
    (lambda f: shorter(f, "loadings/z-compression/eta", np.s_[:1]), "z-compression/eta must have shape"),
    (lambda f: shorter(f, "inherent", np.s_[:10]), "inherent must have shape .10648, 3., not .10, 3."),
    (lambda f: shorter(f, "msd", np.s_[:7999]), "msd must have shape"),
    (lambda f: f["types"].__setitem__(5, 3), "types must be 1 to 2 .Cu, Zr."),
    (lambda f: f["inherent"].__setitem__((5, 1), np.nan), "inherent has 1 values that are not finite"),
    (lambda f: f.__delitem__("types"), "is no glass file, or damaged"),
])
def test_short_or_damaged_glass_file_is_refused(tmp_path, change, message):
    path = tmp_path / "glass-21.h5"
    path.write_bytes((GLASSES / "glass-21.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        change(file)
    done = subprocess.run([BIN / "mgml", "score", "cuzr", path], capture_output=True, text=True)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    with pytest.raises(InputError, match=message):
        read_glass(path)


def shorter(file, name, part):
    data, attributes = file[name][part], dict(file[name].attrs)
    del file[name]
    file[name] = data
    file[name].attrs.update(attributes)


def test_glass_file_on_a_full_disk_appears_not_at_all(tmp_path):
    glass = read_glass(GLASSES / "glass-21.h5")
    write_glass(tmp_path / "g.h5", glass)
    np.testing.assert_array_equal(read_glass(tmp_path / "g.h5").positions, glass.positions)
    code = ("import sys; from lammps_mgml.io.glass import *; from lammps_mgml.errors import *\n"
            "try:\n    write_glass(sys.argv[2], read_glass(sys.argv[1]))\n"
            "except InputError as e:\n    print(e)")
    out = tmp_path / "full.h5"
    done = subprocess.run([sys.executable, "-c", code, GLASSES / "glass-21.h5", out],
                          capture_output=True, text=True, preexec_fn=limited(100_000))
    assert done.returncode == 0 and "full.h5: cannot write: File too large" in done.stdout
    assert not list(tmp_path.glob("full*"))
