"""mgml system: what is simulated, and how its glasses are made."""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="what", required=True, metavar="list|show|new|check|lammps")
    verbs.add_parser("list", help="the systems that come with the package")
    show = verbs.add_parser("show", help="print a system file")
    new = verbs.add_parser("new", help="write a system file to be changed, with comments")
    new.add_argument("file", help="to write, such as alloy.toml; not one that is there")
    new.add_argument("--like", default="cuzr", metavar="SYSTEM",
                     help="the shipped system that it begins as (cuzr)")
    check = verbs.add_parser("check", help="run it for 100 steps, and tell what is wrong")
    files = verbs.add_parser("lammps", help="write what the decks of inputs/ include: run them with "
                                            "-var system NAME.lmp")
    for one in (show, check, files):
        one.add_argument("system", help="a shipped system's name or a system file (.toml)")
    check.add_argument("--lmp", default="lmp -sf opt", help="LAMMPS command (lmp -sf opt)")
    files.add_argument("folder", help="where LAMMPS will run")


def run(args: argparse.Namespace) -> int | None:
    from ..systems import read_system, shipped_systems

    if args.what == "list":
        for name in shipped_systems():
            system = read_system(name)
            print(f"{name:<6} {system.composition:<12} units {system.units:<6} {system.about}")
    elif args.what == "new":
        _new(args.file, args.like)
    elif args.what == "show":
        print(read_system(args.system).path.read_text(), end="")
    elif args.what == "lammps":
        _lammps(args.system, args.folder)
    else:
        return _check(args.system, args.lmp)
    return None


def _new(file: str, like: str) -> None:
    import re
    from pathlib import Path

    from ..errors import OptionError
    from ..io.whole import write_whole
    from ..systems import NAME, read_system, shipped_systems
    from . import check_output

    path = Path(file)
    if path.suffix != ".toml" or not NAME.fullmatch(path.stem):
        raise OptionError(f"{file}: a system file ends in .toml, and its name before that is the "
                          f"system's: up to 40 letters, digits and _ . + -")
    if path.exists():
        raise OptionError(f"{file} is there: give another name")
    if like not in shipped_systems():
        raise OptionError(f"--like {like}: shipped systems are {', '.join(shipped_systems())}")
    check_output(file, "FILE")
    text = read_system(like).path.read_text()
    write_whole(path, re.sub(r'^name( *)=.*', rf'name\1= "{path.stem}"', text, count=1,
                             flags=re.MULTILINE).encode())
    print(f"wrote {file}; change it, then  mgml system check {file}")


def _lammps(system: str, folder: str) -> None:
    from pathlib import Path

    from ..errors import OptionError
    from ..systems import lammps_files, read_system

    if not Path(folder).is_dir():
        raise OptionError(f"{folder} is no folder")
    path = lammps_files(read_system(system), Path(folder))
    print(f"wrote {path}, {path.stem}.atoms.lmp and {path.stem}.potential.lmp; run  lmp -in "
          f"inputs/in.quench -var system {path.name}  there")


def _check(name: str, lmp: str) -> int:
    from ..systems import read_system
    from ..train.trial import trial
    from .dataset import command_of

    system = read_system(name)
    print(f"{system.name}: {system.composition}, units {system.units}; {system.about}")
    found = trial(system, command_of(lmp))
    for line in found.told:
        print(f"ok  {line}")
    for line in found.wrong:
        print(f"--  {line}")
    return 1 if found.wrong else 0
