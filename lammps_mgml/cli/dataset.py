"""mgml dataset: glasses made by LAMMPS with the decks of inputs/, one file a glass."""
from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ..io.glass import Glass
    from ..train.plan import Plan


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="what", required=True,
                                  metavar="make|pack|show|data|forces|watch")
    make = verbs.add_parser("make", help="quench, age and load glasses (goes on where it stopped), "
                                         "then pack them")
    pack = verbs.add_parser("pack", help="glass files from what is ready in a folder")
    show = verbs.add_parser("show", help="what glass files hold")
    show.add_argument("glasses", nargs="+", help="glass files (.h5)")
    data = verbs.add_parser("data", help="LAMMPS data files of the undeformed structures in glass "
                                         "files, for decks of one's own")
    data.add_argument("glasses", nargs="+", help="glass files (.h5)")
    data.add_argument("-o", "--output", default=".", help="folder for NAME.data (the present one)")
    forces = verbs.add_parser("forces", help="forces on the atoms of glass files after small moves, "
                              "by LAMMPS: kept in the files, for models that know how stiff an "
                              "atom's place is")
    watch = verbs.add_parser("watch", help="how the atoms of glass files vibrate in MD at a second, "
                             "higher temperature, by LAMMPS: kept in the files, for models that "
                             "take it")
    watch.add_argument("--hot-temp", type=_positive, help="K (500, or that of the system)")
    for one, deck in ((forces, "in.forces"), (watch, "in.vibrate")):
        one.add_argument("glasses", nargs="+", help="glass files (.h5)")
        one.add_argument("--system", help="a shipped system's name or a system file, for its "
                         "potential; without it that of the decks as they stand, Cu-Zr")
        one.add_argument("--decks", help=f"folder of {deck} (inputs)")
    forces.add_argument("--lmp", default="lmp", help="LAMMPS command (lmp)")
    watch.add_argument("--lmp", default="lmp -sf opt", help="LAMMPS command (lmp -sf opt)")
    for one in (make, pack):
        one.add_argument("folder", help="where LAMMPS works; nothing that is there is made again, "
                                        "and other options than it was made with are refused")
        one.add_argument("-o", "--output", required=True, help="folder for NAME.h5")
        one.add_argument("--seeds", required=True, help="one glass each: 21-28, or 3,5,8")
        one.add_argument("--system", help="a shipped system's name or a system file (mgml system), "
                         "whose units and values hold for all of the following; without it the decks "
                         "as they stand, Cu-Zr")
        one.add_argument("--zr", type=_share, metavar="SHARE", help="fraction of the second of two "
                         "elements, Zr in the decks of inputs/ (0.35)")
        one.add_argument("--shares", help="fractions of all elements, as 0.5,0.3,0.2 (the system's)")
        one.add_argument("--n", type=_count, default=22, help="n^3 atoms (22)")
        one.add_argument("--rate", type=_positive,
                         help="quench rate where the glass is made, K/s (1e13, from 1200 to 600 K)")
        one.add_argument("--fast", type=_positive, help="above and below, K/s (1e13)")
        one.add_argument("--age", type=_number, default="0",
                         help="ps of ageing at --age-temp, with Monte Carlo of the species (0: none)")
        one.add_argument("--age-temp", type=_number, help="K (700)")
        one.add_argument("--vibration-temp", type=_number,
                         help="K, of 20 ps of MD of the undeformed glass (300)")
        one.add_argument("--hot-temp", type=_number,
                         help="K, of a second such run, in which atoms hop, too; 0: none (500 of the "
                              "decks as they stand, else as the system says)")
        one.add_argument("--axes", help="loading axes (xyz)")
        one.add_argument("--senses", help="compression, tension or both (compression,tension)")
        one.add_argument("--strain", type=_positive, help="last strain (0.04)")
        one.add_argument("--decks", help="folder of in.quench, in.aqs and the others (inputs)")
    make.add_argument("-j", "--jobs", type=_count, default=1, help="LAMMPS runs at a time (1)")
    make.add_argument("--lmp", default="lmp -sf opt", help="LAMMPS command (lmp -sf opt)")


def _number(text: str) -> str:
    """The text itself, which goes to LAMMPS as it is; it must be a number and not negative."""
    try:
        if 0 <= float(text) < float("inf"):
            return text
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is no number of 0 or more")


def _positive(text: str) -> str:
    if not float(_number(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return text


def _share(text: str) -> float:
    if float(_number(text)) > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no fraction between 0 and 1")
    return float(text)


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 1 or more")
    return int(text)


def run(args: argparse.Namespace) -> None:
    from pathlib import Path

    from ..errors import OptionError
    from ..io.glass import write_glass
    from ..progress import say, track
    from ..train.make import make
    from ..train.pack import glass_of
    from ..train.plan import deck_folder
    from ..train.record import is_ready

    if args.what == "show":
        _show(args.glasses)
        return
    if args.what in ("forces", "watch"):
        _add(args)
        return
    plans = [] if args.what == "data" else _plans(args)
    output = Path(args.output)
    if output.exists() and not output.is_dir():
        kind = "data" if args.what == "data" else "h5"
        raise OptionError(f"--output {output}: this is a file, give a folder for NAME.{kind}")
    output.mkdir(parents=True, exist_ok=True)
    if args.what == "data":
        _data(args.glasses, output)
        return
    folder = Path(args.folder)
    if args.what == "make":
        make(plans, folder, deck_folder(args.decks), command_of(args.lmp), args.jobs, say)
    for plan in track(plans, "packing", "glasses"):
        if not is_ready(plan, folder):
            say(f"{plan.name}: not ready, left out")
            continue
        glass = glass_of(plan, folder, say)
        write_glass(output / f"{plan.name}.h5", glass)
        say(_line(glass))


def _plans(args: argparse.Namespace) -> list[Plan]:
    from ..errors import OptionError
    from ..systems import read_system
    from ..train.plan import Plan, seeds

    system = read_system(args.system) if args.system else None
    given = {key: getattr(args, key) for key in (
        "rate", "fast", "age", "age_temp", "vibration_temp", "hot_temp", "strain")
        if getattr(args, key) is not None}
    if args.senses is not None:
        given["senses"] = tuple(dict.fromkeys(args.senses.split(",")))
        if not set(given["senses"]) <= {"compression", "tension"}:
            raise OptionError(f"--senses {args.senses!r}: compression, tension, or both with a comma")
    if args.axes is not None:
        given["axes"] = "".join(dict.fromkeys(args.axes))
        if not given["axes"] or not set(given["axes"]) <= set("xyz"):
            raise OptionError(f"--axes {args.axes!r}: some of xyz, as in xz")
    shares = shares_of(args.shares, args.zr, len(system.elements) if system else 2)
    if shares is not None:
        given["shares"] = shares
    return [Plan.of(system, seed, args.n, **given) if system else Plan(seed, n=args.n, **given)
            for seed in seeds(args.seeds)]


def shares_of(text: str | None, second: float | None, n: int) -> tuple[float, ...] | None:
    """The shares of ``n`` elements that --shares or --zr give; None if neither is there."""
    from ..errors import OptionError

    if text is not None and second is not None:
        raise OptionError("--zr and --shares say the same: give one of them")
    if second is not None:
        if n != 2:
            raise OptionError(f"--zr is for two elements, the system has {n}: give --shares")
        return (1 - second, second)
    if text is None:
        return None
    try:
        shares = tuple(float(word) for word in text.split(","))
    except ValueError:
        shares = ()
    if len(shares) != n or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise OptionError(f"--shares {text!r}: write {n} fractions above 0 with the sum 1, as "
                          f"{','.join(f'{1 / n:.2g}' for _ in range(n))}")
    return shares


def command_of(text: str) -> list[str]:
    """The words of --lmp; OptionError if there is no such program."""
    import shlex
    import shutil

    from ..errors import OptionError

    words = shlex.split(text)
    if not words or shutil.which(words[0]) is None:
        raise OptionError(f"--lmp {text!r}: there is no program {words[0] if words else ''}; "
                          f"activate the environment that has LAMMPS, or give its path")
    return words


def _data(paths: Iterable[str], output: Path) -> None:
    from ..errors import InputError
    from ..io.glass import read_glass, write_data
    from ..progress import say

    for path in paths:
        glass = read_glass(path)
        out = output / f"{glass.name}.data"
        if out.exists():
            raise InputError(f"{out} is there already: remove it, or give another folder (-o)")
        write_data(out, glass)
        say(f"wrote {out}")


def _add(args: argparse.Namespace) -> None:
    from ..io.glass import add_response, add_watch
    from ..progress import say, track
    from ..systems import read_system
    from ..train.plan import HOT, deck_folder, number
    from ..train.response import response_of, watch_of

    system = read_system(args.system) if args.system else None
    decks, command = deck_folder(args.decks), command_of(args.lmp)
    for path in track(args.glasses, args.what, "glasses"):
        if args.what == "forces":
            add_response(path, response_of(path, system, decks, command))
            say(f"{path}: has moved and forces now")
        else:
            hot = args.hot_temp or number(system and system["vibration.hot"] or float(HOT))
            add_watch(path, "msd_hot", watch_of(path, system, decks, command, hot), hot_temp=hot)
            say(f"{path}: has msd_hot now, at {hot} K")


def _show(paths: Iterable[str]) -> None:
    from ..io.glass import read_glass

    glasses = sorted((read_glass(p) for p in paths), key=lambda g: (g.composition, g.energy))
    units = {g.lengths.units for g in glasses}
    print("glass           atoms   alloy      " + (
        "rate K/s  aged    eV/atom    u^2/A^2  " if units == {"metal"} else
        "rate      aged    energy     u^2      ") + "plastic atoms at 0.04")
    for glass in glasses:
        print(_line(glass))


def _line(glass: Glass) -> str:
    threshold = glass.lengths.d2_threshold
    plastic = [f"{x.name} {100 * (d > threshold).mean():.1f}%" for x in glass.loadings
               for s, d in zip(x.strain, x.d2min) if abs(s - 0.04) < 1e-9]
    return (f"{glass.name:<15} {len(glass):<7} {glass.composition:<10} "
            f"{glass.made.get('rate', '?'):<9} {glass.made.get('age', '-'):<6} "
            f"{glass.energy:.6f}  "
            f"{format(glass.watched['msd'].mean(), '.4f') if 'msd' in glass.watched else '-':<7}  "
            f"{', '.join(plastic) or '-'}")
