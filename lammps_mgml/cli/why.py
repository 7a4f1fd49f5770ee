"""mgml why"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import argparse

    from ..families.vibrations import Watched
    from ..models.contributions import Contributions
    from ..models.model import SoftnessModel
    from ..system.arrays import Features, Floats, Int32s, Ints


class Atoms(NamedTuple):
    """Of a structure: title, ids (n,), types (n,) numbers of ``elements``, features (n, k)."""

    title: str
    ids: Ints
    types: Int32s
    elements: tuple[str, ...]
    features: Features


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a shipped model's name or a model file")
    parser.add_argument("structure", help="glass file (.h5), or what mgml featurize reads: dump, "
                                          "data file, extended XYZ")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--atoms", metavar="IDS", help="ids separated by commas, as 17,204")
    which.add_argument("--softest", type=int, metavar="N", help="the N atoms of largest S^q (3)")
    parser.add_argument("--shown", type=int, default=3, metavar="N",
                        help="features of each family that are printed, by what they add (3)")
    parser.add_argument("--frame", type=int, default=0,
                        help="frame of a dump, from 0 (0: that of the undeformed structure)")
    parser.add_argument("--elements", help="symbols of types 1, 2, ... (those of the model, or the "
                                           "dump's column element)")
    parser.add_argument("--boundary", help="\"p p f\": which edges are periodic (p), for files that "
                                           "do not tell")
    parser.add_argument("--load", help="as \"z compression\" or \"xy shear\", for models that go by "
                                       "the load")


def run(args: argparse.Namespace) -> None:
    import numpy as np

    from ..errors import InputError, OptionError
    from ..models.contributions import place_among
    from ..models.model import load_model

    if args.shown < 0:
        raise OptionError(f"--shown {args.shown}: must be 0 or more")
    ids = _ids(args.atoms)
    n = 3 if args.softest is None else args.softest
    if n < 1:
        raise OptionError(f"--softest {n}: must be 1 or more")
    model = load_model(args.model)
    atoms = (_of_glass if args.structure.endswith(".h5") else _of_frame)(args, model)
    found = model.contributions(atoms.features)
    softness = model.softness(atoms.features)
    defined = np.flatnonzero(~np.isnan(softness))
    if not len(defined):
        raise InputError(f"{args.structure}: no atom has S^q, since each lacks a feature (open cells "
                         f"at surfaces; --boundary?)")
    if ids is None:
        rows = defined[np.argsort(-softness[defined], kind="stable")[:n]]
    else:
        row_of = {int(k): row for row, k in enumerate(atoms.ids)}
        strangers = [k for k in ids if k not in row_of]
        if strangers:
            raise OptionError(f"--atoms {strangers[0]}: no such atom; ids are {atoms.ids.min()} to "
                              f"{atoms.ids.max()}")
        rows = np.array([row_of[k] for k in ids])
    place = place_among(atoms.features, atoms.types, rows)
    print(f"{atoms.title}: {len(atoms.ids)} atoms, {len(atoms.ids) - len(defined)} without S^q; "
          f"model {model.name}")
    print("adds: to the margin (log odds, before the calibration)\n"
          "place: of the value among the atoms of the element, 0 the lowest, 100 the highest")
    for row, places in zip(rows, place):
        _print_atom(model, atoms, found, int(row), places, float(softness[row]), args.shown)


def _print_atom(model: SoftnessModel, atoms: Atoms, found: Contributions, row: int,
                places: Floats, softness: float, shown: int) -> None:
    import numpy as np

    from ..models.contributions import ELEMENT

    element = atoms.elements[atoms.types[row] - 1]
    if np.isnan(softness):
        print(f"\natom {atoms.ids[row]} ({element}): no S^q, since a feature is undefined")
        return
    values, by_family = found.values[row], found.by_family()[row]
    margin = float(model.margins(atoms.features[row:row + 1])[0])
    print(f"\natom {atoms.ids[row]} ({element}): S^q {softness:.3f}, margin {margin:+.3f} = "
          f"{found.base:+.3f} {'+' if by_family.sum() >= 0 else '-'} {abs(by_family.sum()):.3f}")
    families, owner = found.families, np.array(found.family_of)
    width = max(map(len, (*families, *(f"  {name}" for name in found.features))))
    print(f"  {'family, features':<{width}}    adds      value  place")
    for k in np.argsort(-by_family, kind="stable"):
        print(f"  {families[k]:<{width}} {by_family[k]:+7.3f}")
        its = np.flatnonzero(owner == families[k])
        if families[k] == ELEMENT:           # it has one feature, which says the same
            continue
        for j in its[np.argsort(-abs(values[its]), kind="stable")][:shown]:
            print(f"    {found.features[j]:<{width - 2}} {values[j]:+7.3f} "
                  f"{atoms.features[row, j]:10.4g} {100 * places[j]:6.0f}")
        if len(its) > shown:
            print(f"    and {len(its) - shown} more")


def _ids(text: str | None) -> list[int] | None:
    """Ids of --atoms; OptionError if they are not that."""
    from ..errors import OptionError

    if text is None:
        return None
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise OptionError(f"--atoms {text!r}: write ids separated by commas, as 17,204") from None


def _features(args: argparse.Namespace, model: SoftnessModel, positions: Floats, types: Int32s,
              edges: Floats, periodic: Any, elements: tuple[str, ...],
              watched: Watched) -> Features:
    from ..api import sites
    from ..errors import MissingInputError, ModelError, OptionError
    from .featurize import REMEDIES

    species = tuple(dict.fromkeys(elements))
    if species != model.elements:
        raise ModelError(f"model {model.name} knows types {' '.join(model.elements)}, not "
                         f"{' '.join(elements)}: give --elements or another model")
    try:
        return sites(positions, types, edges, periodic, model.features, elements, model.parameters,
                     load=args.load, **watched).features
    except MissingInputError as e:
        raise OptionError(f"{e}{REMEDIES.get(e.needs, '')}") from None


def _of_glass(args: argparse.Namespace, model: SoftnessModel) -> Atoms:
    import numpy as np

    from ..errors import OptionError
    from ..io.glass import read_glass

    for option in ("elements", "boundary"):
        if getattr(args, option):
            raise OptionError(f"--{option}: a glass file tells its own")
    if args.frame:
        raise OptionError(f"--frame {args.frame}: a glass file has one structure, the undeformed one")
    glass = read_glass(args.structure)
    features = _features(args, model, glass.positions, glass.types, glass.box, (True,) * 3,
                         glass.elements, glass.watched)
    return Atoms(glass.name, np.arange(1, len(glass) + 1), glass.types, glass.elements, features)


def _of_frame(args: argparse.Namespace, model: SoftnessModel) -> Atoms:
    from itertools import islice

    from ..errors import OptionError
    from ..families.vibrations import watched_of
    from ..io.dump import read_frames
    from .featurize import _boundary, _symbols

    if args.frame < 0:
        raise OptionError(f"--frame {args.frame}: frames are counted from 0")
    frames = read_frames(args.structure, _boundary(args.boundary))
    frame = next(islice(frames, args.frame, None), None)
    if frame is None:
        raise OptionError(f"--frame {args.frame}: {args.structure} has not so many frames")
    elements = _symbols(args.elements) or (None if frame.typed else model.elements)
    if elements and not frame.typed:
        frame = frame.numbered_by(elements)
    elements = elements or frame.elements or model.elements
    features = _features(args, model, frame.positions, frame.types, frame.box.edges,
                         frame.box.periodic, elements, watched_of(frame.columns))
    # types of one element count as one
    number = [0, *(model.elements.index(e) + 1 for e in elements)]
    return Atoms(f"{args.structure}, step {frame.step}", frame.columns["id"],
                 _renumbered(frame.types, number), model.elements, features)


def _renumbered(types: Int32s, number: list[int]) -> Int32s:
    import numpy as np

    out: Int32s = np.array(number, dtype=np.int32)[types]
    return out
