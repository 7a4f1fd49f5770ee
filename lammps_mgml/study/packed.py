"""Runs of one glass to one small file, and back: see ``io.packed``."""
from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

import numpy as np

from ..errors import InputError
from ..io.packed import Packed, PackedRun, read_packed, write_packed
from ..system.arrays import Ints
from ..train.dataset import Structure
from .runs import NEAR, Loading, Run, composition_of, condition_of, same_structure


def pack(path: str | PathLike[str], runs: Sequence[Run], rate: float | None = None,
         made: str = "", strains: Sequence[float] | None = None, name: str | None = None,
         watched: Run | None = None) -> None:
    """One file of runs of one glass; it appears whole or not at all.

    rate : K/s of the quench; that of the first run without it.  made : how the runs were made, a
    sentence or command.  strains : of the frames that are kept (those next to these); all without it.
    name : of the glass; without it that which the first run tells.  watched : a run of the same glass
    that has the vibrations of its atoms; without it those that the first run has, if any.

    Raises
    ------
    InputError : runs of several glasses; a run without positions; no frame at one of the strains;
        no vibrations in ``watched``; cannot write, disk full.
    """
    first = runs[0]
    x = first.structure
    for run in (*runs, *(() if watched is None else (watched,))):
        if x is None or run.structure is None:
            raise InputError(f"{run.path}: a table has no positions to be kept: give the dump")
        if not same_structure(x, run.structure):
            raise InputError(f"{run.path}: is not of the glass of {first.path} (its reference frame "
                             f"has other atoms or places): give runs of one glass")
    assert x is not None
    vibrations = x.watched
    if watched is not None and watched.structure is not None:
        vibrations = watched.structure.watched
        if not vibrations:
            raise InputError(f"{watched.path}: has no vibrations (msd): take a glass file of mgml "
                             f"dataset make, or a dump with d_msd")
    kept = []
    for run in runs:
        for one in run.loadings:
            rows = np.arange(len(one.strain)) if strains is None else _frames(run, one, strains)
            kept.append(PackedRun(one.label, run.path, one.strain[rows], one.d2min[rows], one.curve))
    write_packed(path, Packed(name or first.glass, x.elements, x.types, x.positions, x.box,
                              rate or first.rate, made, tuple(kept), vibrations))


def _frames(run: Run, one: Loading, strains: Sequence[float]) -> Ints:
    rows = np.array([one.at(s) for s in strains])
    for s, row in zip(strains, rows):
        if abs(one.strain[row] - s) > NEAR:
            raise InputError(f"{run.path}: {one.label} has no frame at strain {s:g}: the nearest is "
                             f"at {one.strain[row]:.4g}")
    return np.unique(rows)


def unpack(path: str) -> list[Run]:
    """The runs of a file of ``pack``, each with one loading; InputError if it is damaged."""
    packed = read_packed(path)
    structure = Structure(packed.name, packed.elements, packed.positions, packed.types, packed.box,
                          packed.watched)
    composition = composition_of(packed.elements, packed.types)
    runs = []
    for one in packed.runs:
        stress = None if one.curve is None else np.interp(one.strain, *one.curve.T)
        loading = Loading(one.label, one.strain, one.d2min, stress, one.curve)
        runs.append(Run(packed.name, path, packed.elements, composition, packed.rate,
                        condition_of(composition, packed.rate), structure, (loading,),
                        len(packed.types)))
    return runs
