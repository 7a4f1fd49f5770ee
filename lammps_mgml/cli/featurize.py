"""mgml featurize"""
from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from ..io.dump import Frame
    from ..models.model import SoftnessModel
    from ..system.arrays import Bools


# What to do about an input that features take and that is not there.
REMEDIES = {"load": "; give --load z",
            **{name: f"; take a dump with the column d_{name}, which a run with  include "
                     "${vibration}  measures" for name in ("msd", "msd_hot")}}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("frame", help="LAMMPS text dump or data file, extended XYZ, or what "
                                      "ASE reads; also .gz, .bz2, .xz, .zst")
    parser.add_argument("--features", default="table3",
                        help="sets and names separated by commas: table3 (the default), sro, mro, "
                             "all, or what mgml features lists")
    parser.add_argument("--elements", help="symbols of types 1, 2, ... (Cu Zr, or the dump's "
                                           "column element)")
    parser.add_argument("--boundary", help="\"p p f\": which edges are periodic (p), for files that "
                                           "do not tell: data files (p p p), dumps before 2010, "
                                           "XYZ without pbc")
    parser.add_argument("--model", help="also write the softness d_sq by this model")
    parser.add_argument("--contributions", action="store_true",
                        help="with --model: also write what each family of its features adds to the "
                             "margin, a column c_FAMILY each (mgml why)")
    parser.add_argument("--frozen", action="store_true",
                        help="normalise all frames by the means of the first, as a run does")
    parser.add_argument("--frames", default="::", metavar="START:STOP:STEP",
                        help="frames of the dump, counted from 0, as in a Python slice")
    parser.add_argument("--crop", default="", metavar="x=LO:HI,...",
                        help="only atoms between these coordinates (A from the box's lower face; "
                             "negative: from the upper one)")
    parser.add_argument("--margin", type=float, default=0.0, metavar="A",
                        help="only atoms farther than this from the outermost atoms along the "
                             "axes that are not periodic")
    parser.add_argument("--load", help="as \"z compression\", \"0 1 1 tension\" or \"xy shear\", "
                                       "for features that go by the load")
    parser.add_argument("--near-cutoff", type=float, help="of the dist neighbours, A (4.0)")
    parser.add_argument("--small-facet", type=float,
                        help="facets below this part of the cell's mean area are dropped (0.05)")
    parser.add_argument("--open-radius", type=float,
                        help="a cell that reaches farther is open, A (3.6)")
    parser.add_argument("--nearest", type=float, metavar="LENGTH",
                        help="mean distance to the nearest neighbour in the glass, in the units of "
                             "the file: all lengths that are not given are Cu-Zr's (2.54 A) scaled "
                             "by it; needed in units lj")
    parser.add_argument("--double", action="store_true", help="float64 in the file, not float32")
    parser.add_argument("-j", "--processes", type=int, default=1,
                        help="frames at work at the same time (1); under mpirun: the ranks but one")
    parser.add_argument("-o", "--output", help="HDF5 file to write; else a table on the screen")


def run(args: argparse.Namespace) -> None:
    from ..errors import ModelError, OptionError
    from ..io.dump import read_frames
    from ..models.model import load_model
    from ..system.lengths import parameters_of

    if args.contributions and not args.model:
        raise OptionError("--contributions are those to the margin of a model: give --model")
    model = load_model(args.model) if args.model else None
    given = {k: getattr(args, k) for k in ("near_cutoff", "small_facet", "open_radius", "nearest")
             if getattr(args, k) is not None}
    if model and given:
        raise ModelError(f"model {model.name} brings its own {', '.join(given)}: "
                         f"leave them out, or --model")
    job = {"features": args.features, "elements": _symbols(args.elements),
           "parameters": model.parameters if model else parameters_of(given),
           "scaled": "nearest" in given,
           "usual": not {"nearest", "near_cutoff"} & set(given),
           "model": args.model, "means": None,
           "crop": _ranges(args.crop), "margin": args.margin, "double": args.double,
           "load": args.load, "contributions": args.contributions}
    boundary = _boundary(args.boundary)
    with _executor(args.processes) as executor:
        if executor is None:                 # a rank that worked for the first one
            return
        frames = _slice(read_frames(args.frame, boundary), args.frames)
        results = _results(frames, job, args.frozen, executor)
        if args.output:
            _write(args.output, args.frame, results, args.double)
        else:
            _show(args.frame, results)


def _symbols(text: str | None) -> tuple[str, ...] | None:
    """Tuple of the symbols of --elements; OptionError if they are not that."""
    import re

    from ..errors import OptionError

    if not text:
        return None
    words = tuple(text.split())
    wrong = [w for w in words if not re.fullmatch("[A-Z][a-z]?", w)]
    if wrong:
        meant = " ".join(w.capitalize() for w in re.findall("[a-zA-Z]+", text)) or "Cu Zr"
        raise OptionError(f"--elements {text!r}: write the symbols of types 1, 2, ... separated by "
                          f"spaces, as \"{meant}\"")
    return words


def _boundary(text: str | None) -> tuple[bool, ...] | None:
    """3 flags, True for periodic, of --boundary; None without it."""
    from ..errors import OptionError

    words = text.split() if text else []
    if text and (len(words) != 3 or any(w not in ("p", "f", "s", "m") for w in words)):
        raise OptionError(f"--boundary {text!r}: write it as in LAMMPS, \"p p f\"")
    return tuple(w == "p" for w in words) or None


def _ranges(text: str) -> dict[int, tuple[float | None, float | None]]:
    """{axis: (low, high)} of --crop; OptionError if it is not that."""
    from ..errors import OptionError

    out = {}
    for part in filter(None, text.split(",")):
        try:
            axis, bounds = part.split("=")
            low, high = bounds.split(":")
            out["xyz".index(axis.strip())] = (float(low) if low.strip() else None,
                                              float(high) if high.strip() else None)
        except ValueError:
            raise OptionError(f"--crop {part!r}: write it as x=10:-10, z=:200") from None
    return out


def _slice(frames: Iterator[Frame], text: str) -> Iterator[Frame]:
    from itertools import islice

    from ..errors import OptionError

    words = text.split(":")
    try:
        numbers = [int(w) if w.strip() else None for w in words]
        if len(words) == 1:
            numbers = [int(words[0]), int(words[0]) + 1]
        return islice(frames, *numbers)
    except (ValueError, TypeError):
        raise OptionError(f"--frames {text!r}: write it as 0:100:10, with no negative number") \
            from None


def _executor(processes: int) -> AbstractContextManager[Any]:
    """Context that gives something with ``submit``; None on MPI ranks that only work for it."""
    from contextlib import nullcontext

    from .launcher import world_size

    if world_size() > 1:
        return _ranks()
    if processes > 1:
        return _processes(processes)
    return nullcontext(_Here())


@contextmanager
def _ranks() -> Iterator[Any]:
    """Executor of the other ranks; None on these."""
    from mpi4py.futures import MPICommExecutor

    from .launcher import interrupted

    with MPICommExecutor() as executor:
        try:
            yield executor
        except KeyboardInterrupt:            # the end of the block would wait for the other ranks
            interrupted("featurize")
            raise


@contextmanager
def _processes(n: int) -> Iterator[Any]:
    """Executor of ``n`` processes; they end at once if the block does not end well (Ctrl-C)."""
    import signal
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import active_children, get_context

    with ProcessPoolExecutor(n, mp_context=get_context("spawn")) as executor:
        # the processes, started now, inherit that they do not heed Ctrl-C: this one tells them
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            first = executor.submit(int)
        finally:
            signal.signal(signal.SIGINT, before)
        try:
            first.result()
            yield executor
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                process.terminate()
            raise


class _Here:
    """Work done at once, in this process."""

    _max_workers = 1

    class _Done:
        def __init__(self, value: Any) -> None:
            self.value = value

        def result(self) -> Any:
            return self.value

    def submit(self, function: Callable[..., Any], *args: Any) -> _Done:
        return self._Done(function(*args))


def _results(frames: Iterable[Frame], job: dict[str, Any], frozen: bool,
             executor: Any) -> Iterator[dict[str, Any]]:
    """What ``featurize_frame`` makes of each frame, in order, a few of them at work at a time."""
    from collections import deque

    pending: deque[Any] = deque()
    ahead = 2 * getattr(executor, "_max_workers", 8)
    for frame in frames:
        if frozen and job["means"] is None:
            first = featurize_frame(frame, job)
            job = {**job, "means": first["means"]}
            yield first
            continue
        pending.append(executor.submit(featurize_frame, frame, job))
        if len(pending) >= ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def featurize_frame(frame: Frame, job: dict[str, Any]) -> dict[str, Any]:
    """dict of the features, flags and what describes them, of the selected atoms of a frame."""
    import numpy as np

    from ..api import ELEMENTS, sites
    from ..errors import InputError, MissingInputError, ModelError, OptionError
    from ..families.vibrations import watched_of
    from ..features import resolve
    from ..models.model import load_model

    model = load_model(job["model"]) if job["model"] else None
    elements = job["elements"] or (model.elements if model and not frame.typed else None)
    if elements and not frame.typed:
        frame = frame.numbered_by(elements)
    elements = elements or frame.elements or (model.elements if model else None)
    assumed = elements is None
    elements = elements or ELEMENTS
    frame.must_not_be_numbered_otherwise(elements)
    species = tuple(dict.fromkeys(elements))
    if model and model.elements != species:
        raise ModelError(f"model {model.name} knows types {' '.join(model.elements)}, "
                         f"not {' '.join(elements)}: give --elements or another model")
    units = _units(frame, model, job["scaled"])
    _check_elements(job["features"], species)
    names = resolve(job["features"], species)
    wanted = tuple(dict.fromkeys((*names, *(model.features if model else ()))))
    keep = _kept(frame, job["crop"], job["margin"])
    if not keep.any():
        raise InputError(f"{frame.where}: no atom is within --crop and --margin")
    try:
        found = sites(frame.positions, frame.types, frame.box.edges, frame.box.periodic, wanted,
                      elements, job["parameters"], job["means"], None if keep.all() else keep,
                      np.float64 if job["double"] or model else np.float32, load=job["load"],
                      **watched_of(frame.columns), model=model.name if model else "")
    except MissingInputError as e:
        raise OptionError(f"{e}{REMEDIES.get(e.needs, '')}") from None
    columns = [wanted.index(name) for name in names]
    out = {"step": frame.step, "id": frame.columns["id"][keep], "names": names,
           "features": found.features[keep][:, columns] if len(columns) < len(wanted)
           else found.features[keep],
           "i_site": found.flags[keep], "means": found.means, "elements": species,
           "parameters": job["parameters"], "unit_style": units, "assumed": assumed,
           "nearest": found.nearest if job["usual"] and not model else None,
           "box": {"box": frame.box.edges, "origin": frame.origin,
                   "periodic": frame.box.periodic},
           "columns": {}, "base": {}}         # further columns, and what describes them
    if model:
        rows = found.features[:, [wanted.index(f) for f in model.features]][keep]
        out["columns"] = {"d_sq": model.softness(rows)}
        if job["contributions"]:
            why = model.contributions(rows)
            out["columns"] |= {f"c_{name}": column
                               for name, column in zip(why.families, why.by_family().T)}
            out["base"] = {"margin_base": why.base}
    return out


def _units(frame: Frame, model: SoftnessModel | None, scaled: bool) -> str:
    """metal or lj: the units of the frame, and of the table; what does not tell its own is taken to
    be in those of the model, or in A.

    Raises
    ------
    ModelError : the model is of other units.
    OptionError : units lj, and nothing tells the lengths of the glass.
    """
    from ..errors import ModelError, OptionError

    if model:
        if frame.units not in (None, model.lengths.units):
            raise ModelError(f"{frame.where}: units {frame.units}, model {model.name} is for lengths "
                             f"in {model.lengths.unit}: choose a model of this system, trained in "
                             f"its units")
        return model.lengths.units
    if frame.units == "lj" and not scaled:
        raise OptionError(f"{frame.where}: units lj: tell the mean distance to the nearest neighbour "
                          f"in the glass, by which cutoffs and shells are scaled, e.g.  "
                          f"--nearest 0.95")
    return frame.units or ("unknown" if scaled else "metal")


def _check_elements(features: str, species: Sequence[str]) -> None:
    """OptionError if features count atoms of an element that the system does not have."""
    import re

    from ..errors import OptionError
    from ..features import TABLE3

    own = {e.lower() for e in species}
    words = [w.strip() for w in features.split(",")]
    asked = [name for w in words for name in (TABLE3 if w == "table3" else (w,))]
    for name in asked:
        found = re.match("(number|comp|csro|density|axial)_([a-z]{1,2})_", name)
        if found and found[2] not in own:
            others = [name.replace(f"_{found[2]}_", f"_{e}_", 1) for e in sorted(own)]
            instead = ",".join(others[0] if w == name else w for w in asked)
            raise OptionError(
                f"{name} counts {found[2].capitalize()} atoms, and the elements are "
                f"{' '.join(species)}: take {' or '.join(others)} in its place, as in  --features "
                f"{instead}  , or sets that go by no single element (mgml features), or other "
                f"--elements")


def _kept(frame: Frame, crop: dict[int, tuple[float | None, float | None]], margin: float) -> Bools:
    """(n,) bool, the atoms inside --crop and --margin."""
    import numpy as np

    box = frame.box
    keep = np.ones(len(frame), dtype=bool)
    position = frame.fractional
    position = (position - np.where(box.periodic, np.floor(position), 0.0)) * box.heights
    for axis, bounds in crop.items():
        low, high = (b + box.heights[axis] if b is not None and b < 0 else b for b in bounds)
        if low is not None:
            keep &= position[:, axis] >= low
        if high is not None:
            keep &= position[:, axis] < high
    for free in np.flatnonzero(~np.asarray(box.periodic)) if margin > 0 else ():
        along = position[:, free]
        keep &= (along >= along.min() + margin) & (along <= along.max() - margin)
    return keep


def _write(path: str, source: str, results: Iterable[dict[str, Any]], double: bool) -> None:
    """The file appears whole or not at all."""
    import os
    from pathlib import Path

    import numpy as np

    from ..errors import InputError
    from ..io.table import TableWriter, header
    from ..progress import track

    part = Path(f"{path}.part")
    try:
        part.write_bytes(b"")                # before hours of work: can it be written?
        part.unlink()
    except OSError as e:
        raise InputError(f"{path}: cannot write: {e.strerror}") from None
    writer: TableWriter | None = None
    first: dict[str, Any] = {}
    at: dict[int, int] = {}
    tally = _Tally()
    for k, one in enumerate(track(results, "", "frames")):
        if writer is None:
            first = one
            writer = TableWriter(part, header(one["names"], one["elements"], one["parameters"],
                                              source, one["unit_style"]), compress=True)
        step = one["step"]
        if one["names"] != first["names"] or one["elements"] != first["elements"]:
            raise InputError(f"{source}, step {step}: elements {' '.join(one['elements'])}, in the "
                             f"first frame {' '.join(first['elements'])}: one table has one set of "
                             f"features; give --elements, or choose --frames")
        if step in at or step < max(at, default=0):
            raise InputError(f"{source}: frame {k} is of step {step}, "
                             + (f"as frame {at[step]} is" if step in at else
                                f"frame {k - 1} of step {max(at)}")
                             + ": a table has one frame a step, in order; choose --frames")
        at[step] = k
        tally.add(one)
        columns = [("i_site", np.int32), *((name, np.float64) for name in one["columns"])]
        with writer.frame(step, len(one["id"]), columns,
                          np.float64 if double else np.float32, **one["box"],
                          **vars(one["means"]), **one["base"]) as write:
            write(0, one["id"], one["features"], one["i_site"], *one["columns"].values())
    if writer is None:
        raise InputError(f"{source}: no frames to write")
    os.replace(part, path)
    print(f"wrote {path}: {len(at)} frames, {len(first['names'])} features")
    tally.warn(source)


class _Tally:
    """Counts atoms without a single feature, of all frames."""

    def __init__(self) -> None:
        self.atoms = self.undefined = self.open = 0
        self.assumed: tuple[str, ...] = ()
        self.nearest: float | None = None

    def add(self, one: dict[str, Any]) -> None:
        import numpy as np

        from ..flags import OPEN_CELL
        from ..system.lengths import NEAREST
        from ..system.units import FIT

        if one["nearest"] and abs(one["nearest"] / NEAREST - 1.0) > FIT:
            self.nearest = one["nearest"]
        if one["assumed"]:
            self.assumed = one["elements"]
        self.atoms += len(one["id"])
        self.undefined += int(np.isnan(one["features"]).all(axis=1).sum())
        self.open += int((one["i_site"] & OPEN_CELL != 0).sum())

    def warn(self, source: str) -> None:
        import sys

        if self.nearest:
            print(f"WARNING: {source}: atoms are about {self.nearest:.3g} from their nearest "
                  f"neighbours, in Cu-Zr, for which the near cutoff of 4.0 A and the shells of the "
                  f"densities are, 2.54 A: give --nearest {self.nearest:.3g}", file=sys.stderr)
        if self.assumed:
            print(f"WARNING: {source} does not tell the elements of its types, taken to be "
                  f"{' '.join(self.assumed)}: give --elements", file=sys.stderr)
        if self.atoms and self.undefined == self.atoms:
            print(f"WARNING: {source}: every value is NaN; {self.open} of {self.atoms} cells are "
                  f"open, as at a surface: are the positions in A, the box and its boundaries (p or "
                  f"f) those of the atoms, and the system thicker than its surfaces?",
                  file=sys.stderr)


def _show(source: str, results: Iterable[dict[str, Any]]) -> None:
    from ..errors import InputError

    tally, n = _Tally(), 0
    for n, one in enumerate(results, start=1):  # noqa: B007  used after the loop
        tally.add(one)
        extra = {**one["columns"], "i_site": one["i_site"]}
        print("#", f"step {one['step']}", *(f"{name} {value:.10g}"
                                            for name, value in one["base"].items()))
        print("# id", *one["names"], *extra)
        for k, i in enumerate(one["id"]):
            print(i, *(f"{v:.10g}" for v in one["features"][k]),
                  *(f"{column[k]:.10g}" for column in extra.values()))
    if not n:
        raise InputError(f"{source}: no frames")
    tally.warn(source)
