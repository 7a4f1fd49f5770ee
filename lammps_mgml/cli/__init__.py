"""The ``mgml`` program: one verb a module."""
import argparse
import sys
from importlib import import_module

VERBS = {
    "deck": "print the path of the file to include in a deck (export MGML_DECK=$(mgml deck))",
    "doctor": "tell which LAMMPS, MPI, potentials and plugin are found, and what is missing",
    "featurize": "site features of the atoms of a dump or data file",
    "features": "list the site features, by set, with units and meaning",
    "dataset": "make, pack and show loaded glasses for training",
    "train": "train a softness model on loaded glasses",
    "score": "judge a model on loaded glasses that it never saw",
    "model": "list the shipped models, print a model's card",
    "report": "figure and strain-by-strain AUC from the dump of a run",
}


def main(argv=None):
    """Run a verb; exit status 0 done, 1 failed, 2 wrong usage."""
    from ..errors import MgmlError

    parser = argparse.ArgumentParser(prog="mgml", description="Quench-in softness in LAMMPS.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    arguments = sys.argv[1:] if argv is None else argv
    wanted = next((a for a in arguments if not a.startswith("-")), None)
    for name, text in VERBS.items():
        verb = verbs.add_parser(name, help=text, description=text.capitalize() + ".")
        if name == wanted:                   # only the verb that runs is imported
            import_module(f".{name}", __name__).arguments(verb)
    args = parser.parse_args(arguments)
    try:
        return import_module(f".{args.verb}", __name__).run(args) or 0
    except MgmlError as e:
        print(f"mgml {args.verb}: {e}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as e:
        print(f"mgml {args.verb}: needs the package {e.name}: "
              f"pip install 'lammps-mgml[train,plots]'", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 0
