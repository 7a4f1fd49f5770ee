"""mgml train"""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    from ..train.recipes import RECIPES

    parser.add_argument("loadings", nargs="+", help="glass files (.h5), or dumps of inputs/in.aqs")
    parser.add_argument("--unseen", nargs="+", required=True,
                        help="those of glasses kept for the score; never trained on")
    parser.add_argument("--kinds", nargs="+", default=[],
                        help="those of glasses of other makes or compositions, from which is learnt "
                             "how the share of plastic atoms goes by that of the soft ones, and "
                             "nothing else")
    parser.add_argument("--recipe", default="stiff", choices=("paper", *RECIPES),
                        help="paper, step by step; pair, two-body densities; stiff, these and how "
                             "stiff an atom's place is (glass files with forces); axial and "
                             "axial-stiff, these and how they lie to the load; axial-strained, "
                             "these and how the place answers a small strain along it; "
                             "...-vibration, these and how the atoms vibrate; "
                             "...-hot, in a second, hotter run, too (stiff)")
    parser.add_argument("--features", help="sets or names to use in place of the recipe's own")
    parser.add_argument("--strain", type=float, default=0.04, help="strain of the labels (0.04)")
    parser.add_argument("--elements", help="symbols of types 1, 2, ... of dumps; glass files tell "
                                           "theirs")
    parser.add_argument("--name", help="the model's name (that of its elements, as cuzr)")
    parser.add_argument("-o", "--output", required=True, help="model file to write (.mgml)")


def run(args: argparse.Namespace) -> None:
    from ..errors import InputError
    from ..features import resolve
    from ..models.model import from_card, save_model, with_envelope
    from ..progress import say
    from ..train.dataset import read_loadings
    from ..train.fit import one_system, train
    from ..train.recipes import recipe
    from ..train.share import soft_atoms
    from . import check_output
    from .score import print_scores, score_all

    check_output(args.output)                # refused now, not after an hour
    training = read_loadings(args.loadings, args.elements.split() if args.elements else None)
    if not training:
        raise InputError(f"{', '.join(args.loadings)}: the glass has not been loaded yet")
    system = training[0].structure
    unseen, kinds = (read_loadings(paths, system.elements, system.lengths) if paths else []
                     for paths in (args.unseen, args.kinds))
    one_system([*training, *unseen, *kinds])
    both = sorted({x.glass for x in (*training, *kinds)} & {x.glass for x in unseen})
    if both:
        raise InputError(f"{', '.join(both)} cannot be trained on and be unseen: a score there says "
                         f"nothing")
    for x in (*training, *unseen, *kinds):
        x.at(args.strain)                    # likewise
    features = resolve(args.features, system.elements) if args.features else None
    learner, features, told = recipe(args.recipe, training, args.strain, features, say)
    name = args.name or "".join(system.elements).lower()
    card = train(training, args.strain, name, learner, features, recipe=told)
    print(f"trained on {len(card['training']['glasses'])} glasses, "
          f"{len(training)} loadings: {card['training']['atoms']} "
          f"rows, {100 * card['natural_share']:.1f} % plastic, "
          f"AUC out of fold {card['training']['auc_out_of_fold']:.3f}")
    model = from_card(with_envelope(card), args.output)
    if kinds:
        card["share_by_soft_atoms"] = soft_atoms(model, kinds, args.strain)
        model = from_card(with_envelope(card), args.output)
    card["scores"] = score_all(model, unseen, args.strain, training)
    save_model(args.output, card)
    print_scores(card["scores"])
    print(f"wrote {args.output}")
