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
class Calibration:
    """knots (2, n): margins that rise, and the probabilities (balanced prior) at them, linear in
    between and constant beyond.  natural_share: of the plastic atoms among all."""

    knots: Floats
    natural_share: float

    @classmethod
    def from_card(cls, content: Any, natural_share: Any) -> Calibration:
        """From {"margin": n numbers, "probability": n numbers} and the share.

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
        return cls(np.array([margin, probability]), share)

    def softness(self, margins: Floats) -> Floats:
        """(n,) S^q in [0, 1], balanced prior, of margins (n,); NaN where the margin is NaN."""
        # rounding may pass the last knot by one bit
        return np.clip(np.interp(margins, *self.knots), *self.knots[1, [0, -1]])

    def probability(self, softness: Floats) -> Floats:
        """S^q moved from equal classes to the natural share of plastic atoms (Dal Pozzolo 2015)."""
        odds = self.natural_share / (1.0 - self.natural_share)
        return odds * softness / (odds * softness + (1.0 - softness))
