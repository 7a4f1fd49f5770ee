"""From margins to probabilities."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ModelError
from ..system.arrays import Floats
from .checks import a_number, a_text, an_object, entry, numbers

MAX_KNOTS = 10_000
SMALLEST_SHARE = 1e-6


@dataclass(frozen=True)
class SoftAtoms:
    """What the share of soft atoms in a glass tells of the plastic atoms that it will have.

    Among atoms with S^q, ``soft`` have more than ``above``; the natural share of the training glasses
    is multiplied by factor * soft**power.  Kinds of glass that this was learnt from have soft shares
    between ``least`` and ``most``; beyond, the nearer of them counts.
    """

    above: float
    factor: float
    power: float
    least: float
    most: float

    @classmethod
    def from_card(cls, content: Any) -> SoftAtoms:
        """ModelError for numbers that give no share."""
        an_object(content, "share_by_soft_atoms")
        bounds = {"above": (0.0, 1.0), "factor": (1e-6, 1e6), "power": (-10.0, 10.0),
                  "least": (SMALLEST_SHARE, 1.0), "most": (SMALLEST_SHARE, 1.0)}
        values = {key: a_number(entry(content, key, "share_by_soft_atoms."),
                                f"share_by_soft_atoms.{key}", *ends)
                  for key, ends in bounds.items()}
        if values["least"] > values["most"]:
            raise ModelError("share_by_soft_atoms.least must not be above its most")
        return cls(**values)

    def change(self, soft: float) -> float:
        """By which the natural share is multiplied."""
        return float(self.factor * min(max(soft, self.least), self.most) ** self.power)


@dataclass(frozen=True)
class Calibration:
    """knots (2, n): margins that rise, and the probabilities (balanced prior) at them, linear in
    between and constant beyond.  natural_share: of the plastic atoms among all, in the training
    glasses.  soft_atoms: how other glasses differ in it, None if the model does not tell."""

    knots: Floats
    natural_share: float
    soft_atoms: SoftAtoms | None = None

    @classmethod
    def from_card(cls, content: Any, natural_share: Any, soft_atoms: Any = None) -> Calibration:
        """From {"margin": n numbers, "probability": n numbers}, the share, and SoftAtoms' numbers.

        Raises
        ------
        ModelError : the margins do not rise, the probabilities fall or leave 0 to 1, or the share
        is no number between 0 and 1.
        """
        share = a_number(natural_share, "natural_share, the natural share of plastic atoms,",
                         SMALLEST_SHARE, 1.0 - SMALLEST_SHARE)
        an_object(content, "calibration")
        if "method" in content:
            a_text(content["method"], "calibration.method")
        margin, probability = (numbers(entry(content, key, "calibration."), f"calibration.{key}",
                                       MAX_KNOTS) for key in ("margin", "probability"))
        if len(margin) != len(probability) or not len(margin):
            raise ModelError(f"the calibration has {len(margin)} margins and {len(probability)} "
                             f"probabilities: as many of both, and at least one, are expected")
        with np.errstate(all="ignore"):
            slope = np.diff(probability) / np.diff(margin)
        if not (np.diff(margin) > 0).all() or not np.isfinite(slope).all():
            raise ModelError("the calibration's margins must rise from each to the next")
        if (np.diff(probability) < 0).any() or probability[0] < 0 or probability[-1] > 1:
            raise ModelError("the calibration's probabilities must rise within 0 to 1")
        return cls(np.array([margin, probability]), share,
                   None if soft_atoms is None else SoftAtoms.from_card(soft_atoms))

    def softness(self, margins: Floats) -> Floats:
        """(n,) S^q in [0, 1], balanced prior, of margins (n,); NaN where the margin is NaN."""
        # rounding may pass the last knot by one bit
        return np.clip(np.interp(margins, *self.knots), *self.knots[1, [0, -1]])

    def count_soft(self, softness: Floats) -> tuple[int, int]:
        """(soft atoms, atoms with S^q), as ``share_of`` takes them; sums over ranks add."""
        above = 1.0 if self.soft_atoms is None else self.soft_atoms.above
        with np.errstate(invalid="ignore"):
            return int((softness > above).sum()), int(np.isfinite(softness).sum())

    def share_of(self, soft: float, atoms: float) -> float:
        """Share of plastic atoms that a glass will have, ``soft`` of whose ``atoms`` are soft."""
        if self.soft_atoms is None or not atoms:
            return self.natural_share
        share = self.natural_share * self.soft_atoms.change(soft / atoms)
        return min(max(share, SMALLEST_SHARE), 1.0 - SMALLEST_SHARE)

    def probability(self, softness: Floats, share: float | None = None) -> Floats:
        """S^q moved from equal classes to a share of plastic atoms (Dal Pozzolo 2015).

        share : that of the glass, see ``share_of``; None: of the training glasses.
        """
        share = self.natural_share if share is None else share
        odds = share / (1.0 - share)
        return odds * softness / (odds * softness + (1.0 - softness))
