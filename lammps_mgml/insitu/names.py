"""The callbacks' names, for a LAMMPS with the PYTHON package, which looks for them in ``__main__``.

``from lammps_mgml.insitu.names import softness`` there must not take the place of a function of the
host program that has this name.
"""
import sys
from typing import Any

from . import callbacks, inside

NAMES = ("softness", "vibration", "vibration_hot", "mgml_end", "mgml_force", "mgml_now", "mgml_open",
         "report")


def __getattr__(name: str) -> Any:
    if name not in NAMES:
        raise AttributeError(name)
    ours = getattr(inside if name == "report" else callbacks, name)
    theirs = getattr(sys.modules["__main__"], name, ours)
    if theirs is not ours:
        raise ImportError(f"the program that runs LAMMPS has a {name} of its own in __main__: give "
                          f"it another name, lammps_mgml needs this one")
    return ours
