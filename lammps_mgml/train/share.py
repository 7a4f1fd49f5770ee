"""How many atoms of a glass will be plastic, learnt from how many of them are soft.

A model's probabilities hold for glasses that were prepared as those of its training.  Others have
another share of plastic atoms, which is a matter of the whole glass; the number of its softest atoms
tells of it (benchmarks/shares.py compares it with others).
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ..models.calibration import SMALLEST_SHARE, Calibration
from ..models.model import SoftnessModel
from ..progress import track
from ..system.arrays import Floats
from .dataset import Loading

ABOVE = 0.75           # S^q of a soft atom; from 0.7 to 0.9 it matters little
LEAST_GLASSES = 3


def share_needed(calibration: Calibration, softness: Floats, plastic: float) -> float:
    """Natural share at which the probabilities of atoms with this S^q have the mean ``plastic``."""
    from scipy.optimize import brentq

    def missing(log_share: float) -> float:
        return float(calibration.probability(softness, np.exp(log_share)).mean()) - plastic

    ends = np.log(SMALLEST_SHARE), np.log(1.0 - SMALLEST_SHARE)
    if missing(ends[0]) >= 0.0 or missing(ends[1]) <= 0.0:
        raise InputError(f"no share of plastic atoms gives {100 * plastic:.3g} % of these atoms")
    return float(np.exp(brentq(missing, *ends, xtol=1e-12)))


def soft_atoms(model: SoftnessModel, loadings: Sequence[Loading], strain: float) -> dict[str, Any]:
    """Entry "share_by_soft_atoms" of a card, learnt from glasses of several kinds.

    Each glass is one point of a straight line: the logarithm of the share that its plastic atoms ask
    for, over that of the soft ones.

    Raises
    ------
    InputError : fewer than 3 glasses, or glasses with no plastic or no soft atom.
    """
    points, calibration = {}, model.calibration
    for glass in track(sorted({x.glass for x in loadings}), "soft atoms", "glasses"):
        softness, plastic = [], []
        for x in (x for x in loadings if x.glass == glass):
            one = model.softness(x.features(model.features, parameters=model.parameters))
            ok = ~(np.isnan(one) | np.isnan(x.at(strain)))
            softness.append(one[ok])
            plastic.append(x.plastic(strain)[ok])
        sq, share = np.concatenate(softness), float(np.concatenate(plastic).mean())
        soft = int((sq > ABOVE).sum())
        if not soft or not share:
            raise InputError(f"{glass} has no {'plastic' if soft else 'soft'} atom at strain "
                             f"{strain:g}: it tells nothing of their share")
        needed = share_needed(calibration, sq, share)
        points[glass] = soft / len(sq), needed / calibration.natural_share
    if len(points) < LEAST_GLASSES:
        raise InputError(f"--kinds: {LEAST_GLASSES} glasses are the least, there are {len(points)}")
    x, y = np.log(np.array(list(points.values())).T)
    power, level = np.polyfit(x, y, 1)
    return {"above": ABOVE, "factor": float(np.exp(level)), "power": float(power),
            "least": float(np.exp(x.min())), "most": float(np.exp(x.max())),
            "glasses": list(points)}
