"""Which module makes which figures, and the whole study from files to a folder."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from os import PathLike

from ..errors import OptionError
from ..models.model import SoftnessModel
from ..progress import track
from . import repeats as of_repeats
from .reading import read
from .result import Figure, write
from .runs import Run


@dataclass(frozen=True)
class Part:
    """A module of this package whose ``figures(runs, strain)``, or ``figures(runs, model, strain)``,
    returns its figures.  numbers : of these.  takes_model : False for a module that makes its own."""

    module: str
    numbers: tuple[str, ...]
    takes_model: bool = True

    def figures(self, runs: Sequence[Run], model: SoftnessModel, strain: float) -> list[Figure]:
        make = import_module(f".{self.module}", __package__).figures
        return list(make(runs, model, strain) if self.takes_model else make(runs, strain))


PARTS = (
    Part("stages", ("2a", "2b", "3a", "3b", "4a", "4b")),
    Part("scores", ("2c", "3c")),
    Part("transfer", ("4c", "4d", "5a", "5b"), False),
    Part("explain", ("6a-1d", "6a-2d", "6b")),
    Part("sets", ("6c", "t3"), False),
    Part("why", ("why",)),
)


def chosen(only: Iterable[str]) -> set[str]:
    """Numbers of the figures that these words name: "4" is 4a and 4b; of all for no word.

    Raises
    ------
    OptionError : a word names none.
    """
    known = [*(number for part in PARTS for number in part.numbers), of_repeats.NUMBER]
    words = [word.strip() for word in only]
    for word in words:
        if not any(number.startswith(word) for number in known) or not word:
            raise OptionError(f"--only {word}: there is no such figure, there are {', '.join(known)}")
    return {n for n in known if not words or any(n.startswith(word) for word in words)}


def figures_of(runs: Sequence[Run], model: SoftnessModel, strain: float = 0.04,
               only: Iterable[str] = ()) -> list[Figure]:
    """All figures of the study, in the order of their numbers; of ``only`` if it names some."""
    wanted = chosen(only)
    parts = [part for part in PARTS if wanted & set(part.numbers)]
    found = [figure for part in track(parts, "figures", "parts")
             for figure in part.figures(runs, model, strain) if figure.number in wanted]
    return sorted(found, key=lambda figure: figure.number)


@dataclass(frozen=True)
class Study:
    """What a study has made.  page : path of the report."""

    runs: list[Run]
    figures: list[Figure]
    page: str


def study(paths: Iterable[str | PathLike[str]], folder: str | PathLike[str], model: SoftnessModel,
          strain: float = 0.04, only: Iterable[str] = (),
          repeats: Iterable[str | PathLike[str]] = ()) -> Study:
    """Write the figures of these runs and the report into ``folder``.

    strain : of the figures of a single strain: the frames next to it.  repeats : files of repeats of
    a loading, of which figure 7 is drawn (see ``repeats.read``); without them there is none.

    Raises
    ------
    InputError, ModelError : see ``read`` and ``scored``.  OptionError : see ``chosen``.
    """
    from . import page

    only, repeats = list(only), list(repeats)
    wanted = chosen(only)                    # before the work
    again = of_repeats.read(repeats, model.elements)
    runs = read(paths, model)
    figures = figures_of(runs, model, strain, only)
    if repeats and of_repeats.NUMBER in wanted:
        figures = sorted([*figures, of_repeats.figure(again, model, strain)],
                         key=lambda figure: figure.number)
    files = write(figures, folder)
    return Study(runs, figures, page.write(folder, figures, files, runs, model))
