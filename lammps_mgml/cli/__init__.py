"""The ``mgml`` program: one verb a module."""
from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import ModuleType

VERBS = {
    "deck": "print the path of the file to include in a deck (export MGML_DECK=$(mgml deck))",
    "doctor": "tell which LAMMPS, MPI, potentials and plugin are found, and what is missing",
    "featurize": "site features of the atoms of a dump or data file",
    "features": "list the site features, by set, with units and meaning",
    "system": "list, write and check system files: what is simulated, and how its glasses are made",
    "dataset": "make, pack and show loaded glasses for training",
    "train": "train a softness model on loaded glasses",
    "make-model": "from a system file to a model with scores and a page, in one command",
    "score": "judge a model on loaded glasses that it never saw",
    "why": "tell what makes atoms soft: what each family of features adds",
    "model": "list the shipped models, print a model's card",
    "report": "figure and strain-by-strain AUC from the dump of a run",
    "pack": "loaded runs of one glass in one small file, for study and repeats",
    "repeats": "how well repeats of a run predict each other, and how near a model comes",
    "study": "the figures of the paper from runs, and one page with all of them",
    "ovito": "picture or movie of a dump by OVITO, without a display",
    "examples": "list the example decks, copy them into a folder",
    "completion": "print a script that lets the shell complete what is typed after mgml",
}
# Packages that the core does without, and the extra of pyproject.toml that brings each.
EXTRAS = {"h5py": "files", "zstandard": "files", "matplotlib": "plots",
          "lightgbm": "train", "tomli": "train", "ovito": "ovito", "sklearn": "score",
          "scipy": "score", "joblib": "score", "ase": "ase"}


def parser_of(verbs: Iterable[str | None] = ()) -> argparse.ArgumentParser:
    """The parser; only the verbs named in ``verbs`` are imported and know their options."""
    from .. import __version__

    parser = argparse.ArgumentParser(prog="mgml", description="Quench-in softness in LAMMPS.")
    parser.add_argument("--version", action="version", version=f"lammps_mgml {__version__}")
    subparsers = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, text in VERBS.items():
        verb = subparsers.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if name in verbs:
            module_of(name).arguments(verb)
    return parser


def module_of(verb: str) -> ModuleType:
    """The module of a verb."""
    return import_module(f".{verb.replace('-', '_')}", __name__)


def check_output(path: str, option: str = "--output") -> None:
    """OptionError if no file can be written at ``path``: before the work, not after it."""
    from pathlib import Path

    from ..errors import OptionError

    folder = Path(path).parent
    if Path(path).is_dir():
        raise OptionError(f"{option} {path}: this is a folder, give a file in it")
    if not folder.is_dir():
        raise OptionError(f"{option} {path}: there is no folder {folder}")
    if not os.access(path if Path(path).exists() else folder, os.W_OK):
        raise OptionError(f"{option} {path}: no permission to write there")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb; exit status 0 done, 1 failed, 2 wrong usage, 130 interrupted (Ctrl-C)."""
    from .. import progress
    from ..errors import MgmlError

    arguments = sys.argv[1:] if argv is None else argv
    wanted = next((a for a in arguments if not a.startswith("-")), None)
    try:
        args = parser_of((wanted,)).parse_args(arguments)
        progress.switch_on(f"mgml {args.verb}")
        status = module_of(args.verb).run(args) or 0
        sys.stdout.flush()
        return status
    except MgmlError as e:
        progress.clear()
        print(f"mgml {wanted}: {e}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as e:
        if e.name not in EXTRAS:
            raise
        print(f"mgml {wanted}: needs the package {e.name}: "
              f"pip install 'lammps-mgml[{EXTRAS[e.name]}]'", file=sys.stderr)
        return 1
    except BrokenPipeError:                  # as with | head; nothing is left to tell at the exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as e:                     # a full disk, no permission, a file that is not there
        print(f"mgml {wanted}: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        from .launcher import interrupted

        return interrupted(wanted)
