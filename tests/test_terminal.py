"""A user at a terminal: long works tell how far they are, and Ctrl-C ends each with one line."""
import fcntl
import gzip
import os
import re
import signal
import subprocess
import sys
import termios
import threading
import time

import pytest
from decks import BIN, GLASS, PATIENCE

GLASSES = GLASS.parent / "glasses"
G11, G12, G13, LOADED = (GLASSES / f"glass-{name}" for name in (
    "11.h5", "12.h5", "13.h5", "13.z-compression.dump.gz"))


def at_a_terminal(words, folder, until=None):
    """(all that the screen was sent, exit status) of a program; Ctrl-C once ``until`` is there."""
    here, there = os.openpty()
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    process = subprocess.Popen(list(map(str, words)), stdin=there, stdout=there, stderr=there, cwd=folder,
                               env=env, start_new_session=True,
                               preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    os.close(there)
    watch = threading.Timer(120 * PATIENCE, lambda: os.killpg(process.pid, signal.SIGKILL))
    watch.start()
    screen, pressed = b"", False
    while True:
        try:
            part = os.read(here, 65536)
        except OSError:                      # Linux: the other end is closed
            part = b""
        if not part:
            break
        screen += part
        if until is not None and not pressed and re.search(until, screen.decode()):
            os.write(here, b"\x03")
            pressed, when = True, time.monotonic()
    status = process.wait()
    watch.cancel()
    os.close(here)
    assert until is None or pressed, screen.decode()
    assert until is None or time.monotonic() - when < 20 * PATIENCE
    return screen.decode(), status


@pytest.fixture(scope="module")
def long_dump(tmp_path_factory):
    """A dump of 40 frames with softness and D2min."""
    path = tmp_path_factory.mktemp("long") / "run.dump"
    text = gzip.decompress(LOADED.read_bytes()).decode()
    frame = text[:text.index("ITEM: TIMESTEP", 20)]
    head, rows = frame.replace("xu yu zu", "xu yu zu d_sq d_d2min").split("d_d2min\n")
    with open(path, "w") as file:
        for step in range(40):
            file.write(re.sub(r"(TIMESTEP\n)\d+", rf"\g<1>{step}", head) + "d_d2min\n" + "".join(
                f"{row} {k % 97 / 97:.3f} {step * (k % 7)}\n" for k, row in enumerate(rows.splitlines())))
    return path


COMMANDS = {
    "featurize": (("featurize", LOADED, "--features", "all", "-o", "f.h5"), r"featurize: [01] frames, 0:"),
    "featurize -j": (("featurize", LOADED, "--features", "all", "-o", "f.h5", "-j", "2"),
                     r"featurize: [01] frames, 0:"),
    "score": (("score", "cuzr-wang13", G13, G13), r"score: \w+: [01] of \d+ loadings, 0:"),
    "train": (("train", G11, G12, "--unseen", G13, "--recipe", "paper", "-o", "m.mgml"),
              r"train: features: 0 of 2 glasses, 0:"),
    "report": (("report", "{long}", "-o", "a.png"), r"report: reading: \d+ frames, 0:"),
    "dataset": (("dataset", "make", "md", "-o", ".", "--seeds", "5"), r"dataset: 0 of \d+ runs of LAMMPS, 0:0"),
    "doctor": (("doctor",), r"ok "),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_ends_with_one_line(name, tmp_path, long_dump):
    words, until = COMMANDS[name]
    screen, status = at_a_terminal([BIN / "mgml", *(str(w).format(long=long_dump) for w in words)],
                                   tmp_path, until)
    assert "Traceback" not in screen and status == 130, screen
    last = re.split(r"[\r\n]|\x1b\[K", screen.rstrip())[-1]
    # ^C: what the terminal itself shows of the key, where no line of ours stood
    assert last.removeprefix("^C") == f"mgml {name.split()[0]}: interrupted", screen
    assert not [p for p in tmp_path.iterdir() if p.suffix in (".h5", ".mgml", ".png")]


def test_a_work_left_in_its_middle_says_nothing_after_the_end(tmp_path):
    """The frame of a comprehension keeps the generator until the error is done with."""
    code = """
import signal
from lammps_mgml import progress
from lammps_mgml.cli.launcher import interrupted
progress.switch_on("mgml score")
try:
    [signal.raise_signal(signal.SIGINT) for _ in progress.track(range(3), "scoring", "loadings")]
except KeyboardInterrupt:
    interrupted("score")
"""
    screen, status = at_a_terminal([sys.executable, "-c", code], tmp_path)
    assert status == 0 and screen.endswith("\r\x1b[Kmgml score: interrupted\r\n"), screen


def test_interrupted_ranks_end_with_one_line_of_ours(tmp_path):
    process = subprocess.Popen(
        [BIN / "mpirun", "-np", "3", BIN / "mgml", "featurize", LOADED, "--features", "all", "-o",
         "f.h5"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    while not (tmp_path / "f.h5.part").exists():         # the first frame is being written
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=60 * PATIENCE)
    assert process.returncode == 130 and "Traceback" not in out, out
    assert out.count("mgml featurize: interrupted\n") == 1
    assert not (tmp_path / "f.h5").exists()


def test_the_line_counts_is_written_over_itself_and_is_gone_at_the_end(tmp_path):
    screen, status = at_a_terminal([BIN / "mgml", "featurize", LOADED, "--elements", "Cu Zr",
                                    "--features", "all", "-o", "f.h5"], tmp_path)
    assert status == 0
    *lines, last = re.split(r"\r\x1b\[K", screen)
    assert lines[0] == "" and lines[1] == "mgml featurize: 0 frames, 0:00"
    counts = [int(re.fullmatch(r"mgml featurize: (\d+) frames, \d:\d\d", line)[1]) for line in lines[1:]]
    assert counts == sorted(counts) and counts[-1] >= 2
    assert last == "wrote f.h5: 6 frames, 746 features\r\n"


def test_elsewhere_a_line_comes_now_and_then(tmp_path):
    """In a file, as of a batch job; here the minute from one line to the next is none."""
    words = ["dataset", "pack", str(tmp_path), "-o", str(tmp_path), "--seeds", "5-7"]
    code = f"import sys\nfrom lammps_mgml import cli, progress\nsys.exit(cli.main({words!r}))"
    quiet = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert quiet.returncode == 0 and quiet.stderr == ""
    often = subprocess.run([sys.executable, "-c", code.replace("sys.exit", "progress.ELSEWHERE = 0\nsys.exit")],
                           capture_output=True, text=True, cwd=tmp_path)
    assert often.returncode == 0 and often.stdout == quiet.stdout
    assert re.search(r"^mgml dataset: packing: 1 of 3 glasses, \d:\d\d$", often.stderr, re.MULTILINE)
    assert not re.search("[\r\x1b]", often.stderr)


def test_a_library_says_nothing():
    code = ("from lammps_mgml import progress\nprogress.ELSEWHERE = 0\n"
            "from lammps_mgml.train.dataset import read_loadings\n"
            f"read_loadings([{str(G13)!r}])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == done.stdout == ""
