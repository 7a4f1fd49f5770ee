"""mgml ovito"""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from ..ovito.picture import Cut


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dump", help="dump with the columns to show, or any with positions (--model)")
    parser.add_argument("-o", "--output", default="softness-ovito.png", metavar="FILE",
                        help="picture (.png, .jpg, .tif) or movie (.mp4, .mov, .avi, .gif); a * in "
                             "the name of a picture: one of each frame (softness-ovito.png)")
    parser.add_argument("--view", choices=("plastic", "2a", "why"),
                        help="of a slice (y:3): S^q beside the atoms that have slipped; D2min with "
                             "dots on the soft atoms; what each family of features adds (mgml why)")
    parser.add_argument("--colour", metavar="COLUMN",
                        help="column that colours the atoms: d_sq (0 to 1), d_d2min (0 to twice the "
                             "threshold), c_FAMILY (with --model: what the family adds to the "
                             "margin), others by their range (d_sq); grey: undefined")
    parser.add_argument("--plastic", action="store_true",
                        help="only atoms with d_d2min above the threshold")
    parser.add_argument("--threshold", type=float, metavar="D2",
                        help="of plastic atoms, in the units of the dump (the model's; without one "
                             "5 A^2)")
    parser.add_argument("--slice", metavar="AXIS[=AT]:THICKNESS",
                        help="a slice, seen along its normal: y:2.5 (A, at mid cell), y=12:2.5")
    parser.add_argument("--frame", type=int, default=-1,
                        help="frame of the picture, from 0; -1: the last (-1)")
    parser.add_argument("--every", type=int, default=1, metavar="N",
                        help="every N-th frame in the movie (1)")
    parser.add_argument("--size", metavar="WxH",
                        help="in pixels (1200x900; of a view: what fits its panels)")
    parser.add_argument("--elements", help="symbols of types 1, 2, ... (the dump's column element)")
    parser.add_argument("--model", help="compute d_sq, d_s, d_d2min, d_eta by this model, against "
                                        "the first frame")
    parser.add_argument("--load", default="", help="as \"z compression\" or \"xy shear\", for models "
                                                   "that go by the load")


def run(args: argparse.Namespace) -> None:
    from ..errors import OptionError
    from . import check_output
    from .featurize import _symbols

    cut, size = _cut(args.slice), _size(args.size) if args.size else None
    elements = _symbols(args.elements)
    if args.every < 1:
        raise OptionError(f"--every {args.every}: must be 1 or more")
    if args.view and (args.colour or args.plastic):
        raise OptionError(f"--view {args.view} has its own colours and atoms: leave out "
                          f"{'--colour' if args.colour else '--plastic'}")
    if args.threshold is not None and not args.threshold > 0.0:
        raise OptionError(f"--threshold must be above 0, not {args.threshold:g}")
    check_output(args.output)
    # OVITO writes to the terminal as it is imported by some versions: first the checks
    from ..ovito import picture

    picture.check_output(args.output)
    from ..system.lengths import Lengths

    compute = {"model": args.model, "load": args.load, "running": not args.view} if args.model \
        else None
    threshold = args.threshold or Lengths.d2_threshold
    if args.model and not args.threshold:
        from ..models.model import load_model

        threshold = load_model(args.model).lengths.d2_threshold
    if args.view:
        from ..ovito import views

        drawn = views.render(views.arranged(args.dump, args.view, cut, elements, compute, threshold),
                             args.output, args.frame, args.every, size)
    else:
        colour = args.colour or "d_sq"
        if compute is not None and colour.startswith("c_"):
            compute["contributions"] = True
        pipeline = picture.scene(args.dump, colour, args.plastic, cut, elements, compute, threshold)
        drawn = picture.render(pipeline, args.output, colour, cut, args.frame, args.every,
                               size or (1200, 900))
    print(f"{args.output}: {drawn} frame{'s' * (drawn != 1)} of {args.dump}")


def _size(text: str) -> tuple[int, int]:
    """The pixels of --size; OptionError if they are not that."""
    import re

    from ..errors import OptionError

    found = re.fullmatch(r"([1-9]\d{1,4})x([1-9]\d{1,4})", text)
    if found is None:
        raise OptionError(f"--size {text!r}: write it as 1200x900")
    return int(found[1]), int(found[2])


def _cut(text: str | None) -> Cut | None:
    """The slice of --slice; OptionError if it is not that."""
    import re

    from ..errors import OptionError

    if text is None:
        return None
    found = re.fullmatch(r"([xyz])(?:=([-+.\d]+))?:([.\d]+)", text)
    try:
        if found is None or float(found[3]) <= 0:
            raise ValueError
        at = None if found[2] is None else float(found[2])
    except ValueError:
        raise OptionError(f"--slice {text!r}: write it as y:2.5 or y=12:2.5") from None
    from ..ovito.picture import Cut

    return Cut("xyz".index(found[1]), at, float(found[3]))
