"""mgml study"""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from ..study.figures import Study

FOLDER = "study"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN",
                        help="glass files (.h5), dumps of loaded runs with d_sq and d_d2min, "
                             "tables of these (mgml_features_file); several of a glass are one run")
    parser.add_argument("-o", "--output", default=FOLDER, metavar="FOLDER",
                        help=f"folder for index.html and the figures, which is made ({FOLDER})")
    parser.add_argument("--model", default="cuzr",
                        help="a shipped model's name or a model file (cuzr): S^q is its, and glasses "
                             "that its training saw are left out of all scores")
    parser.add_argument("--strain", type=float, default=0.04,
                        help="strain of the figures of a single one: the frames next to it (0.04)")
    parser.add_argument("--claims", metavar="FILE",
                        help="also write a page (Markdown) of the paper's claims beside these runs' "
                             "numbers; best with --model cuzr-wang13, the paper's recipe")
    parser.add_argument("--repeats", metavar="FILE", nargs="+", default=[],
                        help="dumps of repeats of a loading with other velocities, or files of mgml "
                             "pack: figure 7, how well they predict each other (see mgml repeats)")
    parser.add_argument("--only", default="", metavar="NUMBERS",
                        help="these figures only: 2a,3b, or 4 for all of 4 (all)")


def check_folder(path: str) -> None:
    """OptionError if ``path`` cannot be a folder to write into: before the work, not after it."""
    import os
    from pathlib import Path

    from ..errors import OptionError

    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"--output {path}: this is a file, give a folder")
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    if not os.access(there, os.W_OK):
        raise OptionError(f"--output {path}: no permission to write in {there}")


def print_study(done: Study) -> None:
    print("run              atoms    condition                         model saw it  loadings")
    for run in done.runs:
        saw = {True: "yes: left out", False: "no", None: "not known"}[run.seen]
        loads = ", ".join(f"{x.label} to {x.strain[-1]:.3g}" for x in run.loadings)
        print(f"{run.name:<16} {run.n:<8} {run.condition:<33} {saw:<13} {loads}")
        for note in run.notes:
            print(f"  {note}")
    for figure in done.figures:
        print(f"figure {figure.number:<6} {figure.title}"
              + ("" if figure.missing is None else f": left out: {figure.missing}"))
    print(f"report {done.page}")


def run(args: argparse.Namespace) -> None:
    from ..models.model import load_model
    from ..study.claims_page import write_page
    from ..study.figures import study
    from . import check_output

    check_folder(args.output)
    if args.claims:
        check_output(args.claims, "--claims")
    only = [word for word in args.only.split(",") if word]
    model = load_model(args.model)
    done = study(args.runs, args.output, model, args.strain, only, args.repeats)
    if args.claims:
        write_page(args.claims, done.figures, done.runs, model, args.strain)
    print_study(done)
    if args.claims:
        print(f"claims {args.claims}")
