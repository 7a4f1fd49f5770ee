"""Orders of what decks do, by hypothesis: one row for each install."""

from ..launch import installs
from ..table import NotRun, row

HOW = ("Sequences of up to 4 of include, deform, barostat, minimise, run 0, run, run every, "
       "reset_timestep, read_restart, rerun, clear, respa, deposit, delete, renumber, change_box, "
       "each in 3 variants, chosen and shrunk by hypothesis; 125 atoms, a frame at every step. "
       "A value is right, NaN with a flag, or the deck is refused.")


def _orders(name, ranks, share):
    def run(case):
        from ..orders import explore

        install = next((x for x in installs() if x.name == name), None)
        if install is None:
            raise NotRun("no LAMMPS with the PYTHON package here")
        n = int(case.pick(60, 2000) * share)
        found = explore(install, ranks, case.sub("decks"), n, 0.85 * case.budget)
        c, v = found["counts"], found["values"]
        worst = ", ".join(f"{k[2:]} {x:.1e}" for k, x in sorted(found["worst"].items()))
        case.say(f"{c.get('sequences', 0)} sequences: {c.get('ok', 0)} ran, "
                 f"{c.get('refused', 0)} refused, {c.get('warned', 0)} warned of; {found['frames']} frames, "
                 f"{v.get('right', 0)} values right, {v.get('flagged', 0)} NaN with a flag; "
                 f"{len(found['found'])} kinds of silent differences, crashes or hangs; "
                 f"largest difference {worst}")
        case.details.update(found)
        for k, f in enumerate(found["found"]):
            (case.folder / f"found-{k}.lmp").write_text(f"# {f['steps']}: {f['fault']}\n{f['deck']}")
            case.expect(False, f"{' > '.join(f['steps'])}: {f['fault']}")
        case.expect(c.get("sequences", 0) >= 0.5 * n,
                    f"only {c.get('sequences', 0)} of {n} sequences in the time there is")
    return run


row("O1", "Every order of commands, wheel", HOW, 1000, 60)(_orders("wheel", 1, 0.5))
row("O2", "Every order of commands, wheel on 2 ranks", HOW, 700, 60)(_orders("wheel", 2, 0.25))
row("O3", "Every order of commands, PYTHON package", HOW, 700, 60)(_orders("Debian", 1, 0.25))
