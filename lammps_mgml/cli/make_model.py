"""mgml make-model: glasses, training, scores and a page, in one command."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from ..systems import System
    from ..train.campaign import Campaign
    from ..train.dataset import Loading


def arguments(parser: argparse.ArgumentParser) -> None:
    from ..train.recipes import RECIPES
    from .dataset import _count

    parser.add_argument("system", help="a shipped system's name or a system file (mgml system)")
    parser.add_argument("-o", "--output", metavar="DIR", help="folder for all that is made "
                        "(NAME-model); the same command goes on with what is there")
    parser.add_argument("-j", "--jobs", type=_count, default=1, help="LAMMPS runs at a time (1)")
    parser.add_argument("--glasses", type=_count, default=6,
                        help="at most so many, a third of them for the scores only (6)")
    parser.add_argument("--size", type=_count, default=4000, help="atoms of a glass, rounded up to a "
                        "cube of a whole number (4000)")
    parser.add_argument("--budget", default="2h", help="time that it may take, as 1h30m (2h)")
    parser.add_argument("--recipe", default="stiff", choices=tuple(RECIPES),
                        help="as of mgml train (stiff)")
    parser.add_argument("--strain", type=float, help="strain of the labels, of those that are dumped "
                        "(the last one of the system file)")
    parser.add_argument("--seed", type=_count, default=1, help="of the first glass (1)")
    parser.add_argument("--lmp", default="lmp -sf opt", help="LAMMPS command (lmp -sf opt)")
    parser.add_argument("--decks", help="folder of in.quench, in.aqs and the others (inputs)")


def run(args: argparse.Namespace) -> None:
    from pathlib import Path

    from ..errors import OptionError
    from ..progress import say
    from ..systems import read_system
    from ..train.campaign import Campaign, seconds
    from ..train.plan import deck_folder
    from .dataset import command_of

    system = read_system(args.system)
    strain = float(system["loading.strain"]) if args.strain is None else args.strain
    if not 0 < strain <= system["loading.strain"]:
        raise OptionError(f"--strain {strain:g}: above 0, and at most loading.strain of "
                          f"{system.name}, {system['loading.strain']:g}")
    folder = Path(args.output or f"{system.name}-model")
    unseen, training = _seeds(args.seed, args.glasses)
    campaign = Campaign(system, folder, _edge(args.size), unseen, training, deck_folder(args.decks),
                        command_of(args.lmp), args.jobs, seconds(args.budget),
                        f"{args.recipe} {strain:g}", say)
    _make(campaign, system, folder, args.recipe, strain)


def _seeds(first: int, glasses: int) -> tuple[list[int], list[int]]:
    """(unseen, training) seeds: a third, at least two, are unseen, and these come first."""
    from ..errors import OptionError
    from ..train.campaign import TRAINING, UNSEEN

    if glasses < UNSEEN + TRAINING:
        raise OptionError(f"--glasses {glasses}: {TRAINING} to be trained on and {UNSEEN} for the "
                          f"scores are the least")
    seeds = list(range(first, first + glasses))
    n = max(UNSEEN, glasses // 3)
    return seeds[:n], seeds[n:]


def _edge(size: int) -> int:
    """n of n^3 atoms, not fewer than ``size``."""
    n = int(round(float(size) ** (1 / 3)))
    return n if n ** 3 >= size else n + 1


def _make(campaign: Campaign, system: System, folder: Path, recipe_name: str,
          strain: float) -> None:
    from ..models.model import from_card, save_model, with_envelope
    from ..progress import say
    from ..report.page import strange_share, write_page
    from ..train.fit import train
    from ..train.recipes import recipe
    from .score import against_facet_area, print_scores, score_all

    def learn(loadings: Sequence[Loading]) -> tuple[Any, Sequence[str]]:
        return recipe(recipe_name, loadings, strain)[:2]

    training, unseen = campaign.run(learn, strain)
    learner, features, told = recipe(recipe_name, training, strain)
    told = {**told, "system": system.name, "units": system.units, "about": system.about,
            "curve": campaign.curve}
    card = train(training, strain, system.name, learner, features, recipe=told)
    path = folder / f"{system.name}.mgml"
    model = from_card(with_envelope(card), str(path))
    scores = score_all(model, unseen, strain, training)
    scores["all"]["against"] = against_facet_area(model, unseen, strain)
    card["scores"] = scores
    save_model(path, card)
    print_scores(scores)
    write_page(folder / f"{system.name}.html", card, training, unseen,
               sorted((folder / "glasses").glob("*.h5")))
    strange = strange_share(card["natural_share"], strain)
    if strange:
        say(f"note: {strange}")
    say(f"wrote {path} (mgml model show {path}) and {folder / system.name}.html")
