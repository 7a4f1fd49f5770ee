"""Families of defects that were found once: each has a row of its own, with other cases."""
import json
import subprocess

import numpy as np

from ..launch import BIN, EVALUATE, GLASS, LJ, OUT, lines, site_with_new_mpi4py, small, system
from ..offline import Checker, read, verify
from ..table import NotRun, row
from .history import again
from .ranks import NVE, PUSH


def refused(case, install, name, deck, words, ranks=1, traceback=False):
    """A deck must be refused with one message that has all ``words``."""
    folder = case.sub(f"{install.name}-{name}".replace(" ", "").replace("/", ""))
    done = install.run(folder, deck, ranks, timeout=40, out="o.dump")
    if case.expect(done.code not in (0, None), f"{install.name}, {name}: "
                   + ("no end" if done.hung else "accepted")):
        missing = [w for w in words if w not in done.text]
        case.expect(not missing, f"{install.name}, {name}: the message lacks {missing}: {done.tail()}")
        case.expect("Traceback" not in done.text, f"{install.name}, {name}: traceback")
        return True
    return False


@row("A identity", "Which atom, which glass (A2, A3, A4, A14)",
     "delete_atoms compress yes in the middle of a run, reset ids with sort, clear then read_restart "
     "of another glass, the include file in a loop; D2min by atoms' first numbers.", 60, 40)
def identity(case):
    data = [small(case.folder, 6, "eam", "charge", k) for k in (1, 2)]
    columns = OUT.replace("iz ", "iz q ")

    def start(k, out, every=5):
        return (system(data[k], style="charge", before="atom_modify map yes\n") + PUSH + NVE
                + lines(every, out, columns=columns))
    n = 0
    for install in case.installs():
        reset = "reset_atoms id" if install.name == "wheel" else "reset_atom_ids"
        folder = case.sub(install.name)
        decks = {
            "compress": (start(0, "a.dump") + "run 5\ngroup g id 3 4 5 190\ndelete_atoms group g "
                         "compress yes\nrun 10\n", {"a.dump": None}),
            "sort": (start(0, "b.dump") + f"run 5\n{reset} sort yes\nrun 5\n", {"b.dump": None}),
            "loop": (start(0, "c.dump") + "variable k loop 3\nlabel again\ninclude ${mgml}\nrun 5\n"
                     "next k\njump SELF again\n", {"c.dump": None}),
            "other": (start(1, "d0.dump") + "run 5\nwrite_restart other\nclear\n" + start(0, "d.dump")
                      + "run 5\nclear\n" + again("other", "", 5, 5, "d1.dump").replace(
                          OUT, columns), {"d.dump": None, "d1.dump": "d0.dump"}),
        }
        for name, (deck, files) in decks.items():
            if not case.attempt(install.must, folder, deck, 2, name=f"in.{name}"):
                continue
            for file, reference in files.items():
                n += 1
                ref = read(folder / reference)[0] if reference else None
                case.judge(verify(folder / file, ref, due=lambda step: True),
                           f"{install.name} {name}")
    case.say(f"{n} dumps")


@row("A phase", "What LAMMPS is doing (A5, A8)",
     "run 0, minimise, run; respa twice; a minimise of one step, then run 0; run every; run pre no; "
     "rerun after a run: none taken for another.", 60, 40)
def phase(case):
    data = small(case.folder, 6, "eam")
    drift = "velocity all set 60.0 40.0 0.0 sum yes units box\n"
    show = "write_dump all custom w1.dump " + OUT + " modify sort id format float %.17g\n"
    bodies = {
        "run 0, minimise, run": "run 0\nminimize 0 1e-3 50 500\n" + EVALUATE + drift + "run 300\n",
        "respa": "run_style respa 2 2\n" + drift + "run 150\nrun 300\n",
        "one step, run 0": "minimize 0 1e-1 1 2\n" + EVALUATE
                           + "displace_atoms all random 0.1 0.1 0.1 5\nrun 0\n" + show
                           + "change_box all z scale 0.98 remap\nrun 0\n" + show.replace("1", "2"),
        "every, pre no": drift + "run 100 every 50 NULL\nrun 100 pre no\nrun 100\n",
    }
    for install in case.installs():
        for name, body in bodies.items():
            folder = case.sub(f"{install.name}-{name}".replace(" ", "").replace(",", ""))
            deck = system(data) + PUSH + NVE + lines(50) + body
            if case.attempt(install.must, folder, deck, 2, out="o.dump"):
                frames = read(folder / "o.dump")
                checker = Checker(frames[0])
                case.judge(checker.check(frames), f"{install.name} {name}")
                if name == "one step, run 0":
                    frames += [read(folder / f"w{k}.dump")[0] for k in (1, 2)]
                    case.judge(checker.check(frames[-2:], due=lambda step: True),
                               f"{install.name} {name}")
                case.expect(any(np.isfinite(f.columns["d_d2min"]).any() for f in frames[1:]),
                            f"{install.name} {name}: nothing evaluated after the first frame")
        folder = case.sub(f"{install.name}-rerun")
        first = system(data) + PUSH + NVE + lines(50) + drift + "run 300\n"
        deck = (system(data) + NVE + lines(50) + "run 0\nundump out\n"
                + "dump out all custom 1 r.dump " + OUT
                + "\ndump_modify out sort id format float %.17g\nrerun o.dump dump x y z ix iy iz\n")
        if case.attempt(install.must, folder, first, 2, out="o.dump") and case.attempt(
                install.must, folder, deck, 2, out="zero.dump"):
            checker = Checker(read(folder / "zero.dump")[0])
            case.judge(checker.check(read(folder / "r.dump"), rerun=True, due=lambda step: True),
                       f"{install.name} rerun")


@row("A minimise", "Athermal loading by minimisations (A7)",
     "change_box and minimize in a loop, with ${mgml_evaluate} after each; a dump within a minimise; "
     "write_dump after one without it, which must be right or NaN with bit 16.", 60, 40)
def minimise(case):
    data = small(case.folder, 6, "eam")
    show = "write_dump all custom w${i}.dump " + OUT + " modify sort id format float %.17g\n"
    for install in case.installs():
        for name, ask in (("asked", EVALUATE), ("not asked", "")):
            folder = case.sub(f"{install.name}-{name}".replace(" ", ""))
            deck = (system(data) + "min_style cg\n" + lines(100, "o.dump", dump=3)
                    + "minimize 0 1e-3 30 300\n" + ask + "variable i loop 4\nlabel again\n"
                    "change_box all z scale 0.985 remap units box\nminimize 0 1e-3 40 400\n" + ask
                    + show + "next i\njump SELF again\n")
            if not case.attempt(install.must, folder, deck, 2):
                continue
            frames = read(folder / "o.dump")
            checker = Checker(frames[0])
            case.judge(checker.check(frames), f"{install.name} {name}")
            seen = 0
            for k in (1, 2, 3, 4):
                shown = read(folder / f"w{k}.dump")
                due = (lambda step: True) if ask or install.name == "wheel" else None
                seen += case.judge(checker.check(shown, due=due), f"{install.name} {name}").evaluated
            case.say(f"{install.name}, {name}: {seen} of 4 steps of loading evaluated")


@row("A ghosts", "Ghosts where others end (A6)",
     "comm_modify mode multi with one type's cutoff short: see R22; here with a group of its own "
     "cutoff and the densities' 6 A on 8 thin ranks.", 40, 30)
def ghosts(case):
    data = small(case.folder, 8, "eam")
    for install in case.installs():
        folder = case.sub(install.name)
        deck = (system(data, "pair_style zero 3.2\npair_coeff * *\n", before="processors 8 1 1\n")
                + "neighbor 0.3 bin\n" + NVE + PUSH + lines(5) + "run 5\n")
        if case.attempt(install.must, folder, deck, 8, out="o.dump"):
            case.judge(verify(folder / "o.dump", due=lambda step: True), install.name)


@row("A restart", "What a restart carries (A1, A11, A13)",
     "A restart with other load, D2min cutoff, elements, model or fix ID is refused with both values; "
     "lost partners stay lost; restart after flips: R5.", 60, 40)
def restart(case):
    data = small(case.folder, 6, "eam")
    for install in case.installs():
        folder = case.sub(install.name)
        write = (system(data) + PUSH + NVE + lines(10, "o.dump") + "run 10\ngroup g id 9 77\n"
                 "delete_atoms group g compress no\nrun 10\nwrite_restart half\nrun 10\n")
        if not case.attempt(install.must, folder, write, 2):
            continue
        straight = read(folder / "o.dump")
        if case.attempt(install.must, folder, again("half", "", 10, 10, "p.dump"), 1):
            frames = read(folder / "p.dump")
            case.judge(Checker(straight[0]).check(frames, due=lambda step: True), install.name)
            lost = [int(np.isnan(f.columns["d_d2min"]).sum()) for f in (straight[-1], frames[-1])]
            case.expect(lost[0] == lost[1] > 0, f"{install.name}: {lost} atoms without D2min")
            case.say(f"{install.name}: {lost[1]} atoms stay without D2min")
        for name, first, words in (
                ("cutoff", "variable mgml_d2_cutoff string 4.0\n", ["4.5", "4", "mgml_reference"]),
                ("model", "variable mgml_model string cuzr-wang13\n",
                 ["cuzr-wang13", "mgml_reference"]),
                ("elements", "variable mgml_elements string 'Cu NULL'\n", ["NULL"])):
            deck = again(folder / "half", "", 10, 10, "q.dump", first=first)
            refused(case, install, f"restart {name}", deck, words, 2)
        deck = again(folder / "half", "", 10, 10, "q.dump",
                     first="variable mgml_d2_cutoff string 4.0\nvariable mgml_reference string now\n")
        case.attempt(install.must, folder, deck, 2)


@row("A options", "Options and systems that are refused (A9, A10, A14)",
     "dimension 2, units lj with a model in A, lines before fix deform (plugin), a misspelt option, elements against "
     "the masses, with a comma, a cutoff of 12 A: each refused with its remedy.", 60, 40)
def options(case):
    data = small(case.folder, 5, "lj")
    plain = system(data, LJ) + NVE
    flat = ("units metal\ndimension 2\natom_style atomic\nboundary p p p\nlattice hex 2.7\n"
            "region b block 0 8 0 8 -0.25 0.25\ncreate_box 2 b\ncreate_atoms 1 box\nmass 1 63.546\n"
            f"mass 2 91.224\n{LJ}fix md all nve\nfix flat all enforce2d\n")
    count = total = 0
    for install in case.installs():
        cases = [
            ("dimension", flat + lines(2) + "run 2\n", ["dimension 2"]),
            ("units", plain.replace("units metal", "units lj") + lines(2) + "run 2\n",
             ["units lj", "lengths in A"]),
            ("misspelt", "variable mgmlmodel string cuzr\n" + plain + lines(2) + "run 2\n",
             ["mgmlmodel"]),
            ("unknown", "variable mgml_cutoff string 4\n" + plain + lines(2) + "run 2\n",
             ["mgml_cutoff"]),
            ("swapped", "variable mgml_elements string 'Zr Cu'\n" + plain + lines(2) + "run 2\n",
             ["mgml_elements"]),
            ("comma", "variable mgml_elements string 'Cu,Zr'\n" + plain + lines(2) + "run 2\n",
             ["space"]),
            ("cutoff", "variable mgml_d2_cutoff string 12\n" + plain + lines(2) + "run 2\n",
             ["mgml_d2_cutoff", "12"]),
            ("distance", system(data, LJ) + "change_box all x scale 10 y scale 10 z scale 10 remap "
             "units box\n" + NVE + lines(2) + "run 2\n", ["lengths must be in A"]),
        ]
        if install.name == "wheel":
            cases.append(("order", plain + lines(2) + "fix d all deform 1 z erate -1 remap x\nrun 4\n",
                          ["fix d", "after"]))
        for name, deck, words in cases:
            total += 1
            count += refused(case, install, name, deck, words, 2)
    case.say(f"{count} of {total} refused")


@row("A files", "Files read and written (A12, A15, A16)",
     "A table is never overwritten after reset_timestep; dumps with repeated, fractional or NaN ids, "
     "triclinic/general boxes, types 1.7, and a data file cut short are refused.", 60, 40)
def files(case):
    from lammps_mgml.errors import MgmlError
    from lammps_mgml.io.dump import read_data, read_dump

    data = small(case.folder, 5, "lj")
    for install in case.installs():
        deck = ("variable mgml_features string cn\n" + system(data, LJ) + PUSH + NVE + lines(2)
                + "run 4\nreset_timestep 0\nrun 4\n")
        refused(case, install, "table", deck, ["step"], 2)
    head = "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n3\n"
    box = "ITEM: BOX BOUNDS pp pp pp\n0 9\n0 9\n0 9\n"
    body = "ITEM: ATOMS id type x y z\n"
    bad = {
        "repeated id": head + box + body + "1 1 1 1 1\n1 1 2 2 2\n3 1 3 3 3\n",
        "id 1.5": head + box + body + "1.5 1 1 1 1\n2 1 2 2 2\n3 1 3 3 3\n",
        "id nan": head + box + body + "nan 1 1 1 1\n2 1 2 2 2\n3 1 3 3 3\n",
        "type 1.7": head + box + body + "1 1.7 1 1 1\n2 1 2 2 2\n3 1 3 3 3\n",
        "x nan": head + box + body + "1 1 nan 1 1\n2 1 2 2 2\n3 1 3 3 3\n",
        "general": head + "ITEM: BOX BOUNDS abc origin pp pp pp\n9 0 0 0\n3 9 0 0\n0 0 9 0\n" + body
        + "1 1 1 1 1\n2 1 2 2 2\n3 1 3 3 3\n",
        "cut": head + box + body + "1 1 1 1 1\n2 1 2 2",
    }
    ok = 0
    for name, text in bad.items():
        path = case.folder / f"{name}.dump"
        path.write_text(text)
        try:
            frames = list(read_dump(path))
            if name == "general":
                volume = abs(np.linalg.det(frames[0].box.edges))
                ok += case.expect(abs(volume - 729) < 1e-6, f"a general box has volume {volume:g}")
            elif name == "x nan":
                from lammps_mgml import softness
                softness(frames[0].positions, frames[0].types, frames[0].box.edges)
                case.expect(False, f"{name}: accepted")
            else:
                case.expect(False, f"a dump with {name} is accepted")
        except MgmlError:
            ok += 1
    text = data.read_text().split("\n")
    for name, change in {
            "cut short": "\n".join(text[:60]),
            "30 atoms": "\n".join(text).replace("125 atoms", "30 atoms")}.items():
        path = case.folder / f"{name}.data"
        path.write_text(change)
        try:
            read_data(path)
            case.expect(False, f"a data file {name} is accepted")
        except MgmlError:
            ok += 1
    case.say(f"{ok} of {len(bad) + 2} odd files refused, or read as they are (a general box)")


@row("A units", "Lengths in nm (A18)",
     "Positions and cell in nm in the Python API, and in a deck: refused with a hint at units.", 20, 20)
def units(case):
    import lammps_mgml
    from lammps_mgml.errors import MgmlError

    from .shapes import read_data

    x, types, edges = read_data(small(case.folder, 6, "eam"))
    for name, call in (
            ("softness", lambda: lammps_mgml.softness(x / 10, types, edges / 10)),
            ("d2min", lambda: lammps_mgml.d2min(x / 10, edges / 10, x / 10, edges / 10))):
        try:
            call()
            case.expect(False, f"{name} in nm is accepted")
        except MgmlError as e:
            case.say(f"{name}: {str(e)[:100]}")


@row("B mpi4py", "Debian's LAMMPS with the mpi4py of pip (B3)",
     "mpi4py 4 before Debian's own on the path, 1 and 2 ranks.", 30, 20)
def mpi4py(case):
    install = site_with_new_mpi4py(case.folder)
    if install is None:
        raise NotRun("no LAMMPS with the PYTHON package here")
    data = small(case.folder, 5, "lj")
    for ranks in (1, 2):
        folder = case.sub(str(ranks))
        deck = system(data, LJ) + PUSH + NVE + lines(2) + "run 4\n"
        if case.attempt(install.must, folder, deck, ranks, out="o.dump"):
            case.judge(verify(folder / "o.dump", due=lambda step: True), f"{ranks} ranks")


@row("B models", "Models of wrong shape or values (B4, B5)",
     "Entries missing, lists and dicts among features, huge integers, cutoffs of 1e9, -1 and NaN, "
     "open radius 100: refused by mgml and by a deck with one message, within 10 s.", 60, 40)
def models(case):
    from lammps_mgml.errors import MgmlError
    from lammps_mgml.models.model import SHIPPED, load_model, save_model

    card = json.loads((SHIPPED / "cuzr.mgml").read_text())
    bad = {"no positions": {"positions": None}, "a list among features": {"features": [["cn_voro"]]},
           "a dict": {"features": [{}]}, "a huge integer": {"natural_share": 10**400}}
    for what in ("near_cutoff", "open_radius", "small_facet"):
        for value in (1e9, 100.0, -1.0, float("nan"), "wide"):
            bad[f"{what} {value}"] = {"parameters": {**card["parameters"], what: value}}
    ok = 0
    for name, change in bad.items():
        path = case.folder / "bad.mgml"
        wrong = {**card, **change}
        wrong = {k: v for k, v in wrong.items() if v is not None}
        try:
            save_model(path, wrong)
        except MgmlError:
            ok += 1                                   # not even written
            continue
        except Exception as e:
            case.expect(False, f"{name}: {type(e).__name__}: {str(e)[:80]}")
            continue
        try:
            load_model(path)
            case.expect(False, f"{name}: accepted")
        except MgmlError:
            ok += 1
        except Exception as e:
            case.expect(False, f"{name}: {type(e).__name__}: {str(e)[:80]}")
    case.say(f"{ok} of {len(bad)} refused")


@row("B hosts", "Host programs (B7)",
     "A Python host whose __main__ has functions softness and mgml_force of its own: right columns, "
     "or refused with words that say so.", 30, 20)
def hosts(case):
    data = small(case.folder, 5, "lj")
    script = case.folder / "host.py"
    script.write_text("from mpi4py import MPI\nfrom lammps import lammps\n"
                      "def softness(*a):\n    raise SystemExit('the host function was called')\n"
                      "mgml_force = mgml_end = mgml_begin = softness\n"
                      "lmp = lammps(cmdargs=['-screen', 'none', '-log', 'none'])\n"
                      "lmp.file('in.host')\nlmp.close()\n")
    for install in case.installs():
        folder = case.sub(install.name)
        (folder / "in.host").write_text(system(data, LJ) + PUSH + NVE + lines(2, "o.dump")
                                        + "run 4\n")
        done = install.python(folder, script, ranks=2)
        if done.code not in (0, None) and "in __main__: give it another name" in done.text:
            case.say(f"{install.name}: refused")
        elif case.expect(done.code == 0, f"{install.name}: {done.tail()}"):
            case.judge(verify(folder / "o.dump", due=lambda step: True), install.name)


@row("C messages", "False refusals and messages that do not help",
     "A lone atom near a face, 0 atoms, crystals, sparse gas, tags in multiples of 14: run; a command "
     "line of mgml on a binary dump, on no dump, with a bad model: one line, no traceback.", 60, 40)
def messages(case):
    data = small(case.folder, 6, "eam")
    alone = ("units metal\natom_style atomic\nregion b block 0 40 0 40 0 40\ncreate_box 2 b\n"
             "create_atoms 1 single 0.3 20 20\nmass 1 63.546\nmass 2 91.224\n" + LJ + NVE)
    crystal = ("units metal\natom_style atomic\nlattice fcc 3.7\nregion b block 0 5 0 5 0 5\n"
               "create_box 2 b\ncreate_atoms 1 box\nmass 1 63.546\nmass 2 91.224\n" + LJ
               + "neighbor 0.3 bin\n" + NVE)
    for install in case.installs():
        folder = case.sub(install.name)
        renamed = data.read_text().split("Atoms # atomic\n\n")
        body = renamed[1].split("\n\n")[0].split("\n")
        rows = "\n".join(" ".join([str(14 * int(w[0])), *w[1:]]) for w in map(str.split, body) if w)
        (folder / "tags.data").write_text(renamed[0] + "Atoms # atomic\n\n" + rows + "\n")
        decks = {"lone atom": alone + lines(2) + "run 4\n",
                 "crystal": crystal + PUSH + lines(2) + "run 4\n",
                 "tags": system("tags.data") + PUSH + NVE + lines(2) + "run 4\nwrite_restart half\n"}
        for name, deck in decks.items():
            if case.attempt(install.must, folder, deck, 2, out=f"{name[:4]}.dump"):
                case.judge(verify(folder / f"{name[:4]}.dump", due=lambda step: True),
                           f"{install.name} {name}")
        case.attempt(install.must, folder, again("half", "", 2, 4, "t.dump"), 2)
    binary = case.folder / "binary.dump"
    binary.write_bytes(bytes(range(256)) * 40)
    one = 0
    commands = [("featurize", binary, "-o", case.folder / "f.h5"),
                ("featurize", case.folder / "nowhere.dump", "-o", case.folder / "f.h5"),
                ("featurize", GLASS, "--model", "nosuch", "-o", case.folder / "f.h5"),
                ("report", binary, "-o", case.folder / "r.png"),
                ("score", "nosuch", case.folder / "nowhere.h5"), ("--version",)]
    for words in commands:
        done = subprocess.run([BIN / "mgml", *map(str, words)], capture_output=True, text=True,
                              timeout=60)
        text = done.stdout + done.stderr
        good = "Traceback" not in text and (done.returncode == 0) == (words == ("--version",))
        one += case.expect(good, f"mgml {words[0]}: exit {done.returncode}: {text[-200:]}")
    case.say(f"{one} of {len(commands)} command lines answered in one line")
