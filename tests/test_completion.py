"""mgml completion: what a shell makes of the TAB key."""
import os
import pty
import select
import shutil
import subprocess
import time

import pytest
from decks import BIN, PATIENCE, mgml

from lammps_mgml.cli import VERBS, parser_of
from lammps_mgml.cli.completion import parsers
from lammps_mgml.models.model import shipped_models

ENV = {"PATH": f"{BIN}{os.pathsep}/usr/bin:/bin", "TERM": "dumb", "HOME": "/nonexistent"}


def candidates(shell, words, folder):
    """What the shell offers for the last of ``words``."""
    if shell == "fish":
        script = f"mgml completion fish | source; complete -C '{' '.join(words)}'"
        command = ["fish", "--no-config", "-c", script]
    else:
        typed = " ".join(f"'{word}'" for word in words)
        script = (f'eval "$(mgml completion bash)"; COMP_WORDS=({typed}); '
                  f'COMP_CWORD={len(words) - 1}; _mgml; printf "%s\\n" "${{COMPREPLY[@]}}"')
        command = ["bash", "--norc", "--noprofile", "-u", "-c", script]
    done = subprocess.run(command, cwd=folder, env=ENV, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return [line.split("\t")[0] for line in done.stdout.splitlines() if line]


SHELLS = ["bash", pytest.param("fish", marks=pytest.mark.skipif(
    not shutil.which("fish"), reason="not run: no fish here"))]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_verb_and_option_is_offered(shell, tmp_path):
    assert set(candidates(shell, ["mgml", ""], tmp_path)) >= set(VERBS)
    for path, parser in parsers(parser_of(VERBS)):
        wanted = {o for action in parser._actions for o in action.option_strings if o[1] == "-"}
        assert wanted <= set(candidates(shell, ["mgml", *path, "--"], tmp_path)), path


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("typed, offered", [
    ("mgml da", ["dataset"]),
    ("mgml dataset ma", ["make"]),
    ("mgml dataset make md --seeds 3 --vib", ["--vibration-temp"]),
    ("mgml report x.dump --axis ", ["x", "y", "z"]),
    ("mgml completion f", ["fish"]),
    ("mgml model show cuzr-v", ["cuzr-vibration"]),
    ("mgml score x.mgml g.h5 --against cuzr-w", ["cuzr-wang13"]),
    ("mgml featurize a --features boop_", ["boop_q", "boop_q_coarse"]),
])
def test_words_that_come_next(shell, typed, offered, tmp_path):
    found = candidates(shell, typed.split(" "), tmp_path)
    assert sorted(found)[:len(offered)] == offered, found


def test_models_and_files_are_offered_where_either_may_stand(tmp_path):
    assert set(candidates("bash", ["mgml", "score", ""], tmp_path)) == set(shipped_models())
    assert candidates("bash", ["mgml", "featurize", "run"], tmp_path) == []      # then bash looks for files


def pressed(keys, folder):
    """The screen of an interactive bash after ``keys``; its last line is ``done``."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execve("/bin/bash", ["bash", "--norc", "--noprofile", "-i"], {**ENV, "PS1": "$ "})
    screen, until = b"", time.monotonic() + 60 * PATIENCE
    try:
        for key in (b'eval "$(mgml completion bash)"\n', *keys):
            os.write(terminal, key)
        while b"do-ne" not in screen and time.monotonic() < until:
            if select.select([terminal], [], [], 1)[0]:
                screen += os.read(terminal, 4096)
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
    return screen.decode()


@pytest.mark.parametrize("typed, line", [
    ("mgml dat\tsh\tgla\t", "mgml dataset show glass.h5"),
    ("mgml featuri\trun\t--fram\t", "mgml featurize run.dump --frames"),
    ("mgml report run.dump --out\tpic\t", "mgml report run.dump --output pictures/")])
def test_tab_in_an_interactive_bash(typed, line, tmp_path):
    for name in ("glass.h5", "run.dump"):
        (tmp_path / name).touch()
    (tmp_path / "pictures").mkdir()
    # Ctrl-A: to the start of the line, which then shows what was completed
    screen = pressed([typed.encode(), b"\x01echo -n '<'; echo \x05\n", b"printf 'do-%s\\n' ne\n"], tmp_path)
    assert f"<{line}" in screen, screen


def test_script_is_that_of_the_installed_program():
    assert mgml("completion", "bash") == mgml("completion", "bash")
    assert mgml("completion", "zsh").endswith(mgml("completion", "bash").split("\n", 1)[1])


@pytest.mark.skipif(not shutil.which("zsh"), reason="not run: no zsh here")
def test_zsh_reads_it(tmp_path):
    script = ('eval "$(mgml completion zsh)"; COMP_WORDS=(mgml dataset ma); COMP_CWORD=2; '
              'print -l ${_comps[mgml]}')
    done = subprocess.run(["zsh", "-f", "-c", script], cwd=tmp_path, env=ENV, capture_output=True,
                          text=True)
    assert done.returncode == 0 and "_bash_complete" in done.stdout and "_mgml" in done.stdout
