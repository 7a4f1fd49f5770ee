"""mgml examples"""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", metavar="DIR",
                        help="copy them there, with the glass that they read; none: list them")


def run(args: argparse.Namespace) -> None:
    from pathlib import Path

    from ..errors import OptionError
    from ..io.whole import write_whole
    from ..train.plan import deck_folder

    here = Path(__file__).parents[1] / "examples"
    decks = sorted(here.glob("in.*"))
    if args.folder is None:
        for deck in decks:
            print(f"{deck.name:<16} {deck.read_text().splitlines()[0].removeprefix('# ')}")
        return
    target = Path(args.folder)
    files = [*decks, here / "views.py", here / "README.md", deck_folder() / "glass-13.data.gz"]
    there = next((target / f.name for f in files if (target / f.name).exists()), None)
    if there is not None:
        raise OptionError(f"{there} is there already, nothing was copied: give another folder")
    target.mkdir(parents=True, exist_ok=True)
    for file in files:
        write_whole(target / file.name, file.read_bytes())
    print(f"{len(files)} files in {target}; {target / 'README.md'} tells how to run them")
