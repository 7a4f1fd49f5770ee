"""How the atoms of a running glass vibrate: mean position and mean square displacement about it."""
import numpy as np

from ..system.box import Box, times
from ..system.domain import Domain
from .adapter import Adapter

COLUMN = "d_msd"


def take_sample(adapter: Adapter, domain: Domain) -> None:
    """One more sample of each owned atom into its running mean and ``d_msd`` (Welford's way).

    Positions count in units of the periodic edges, so that a barostat's breathing is no vibration,
    and without the drift of all atoms together.  Atoms that were created after the include file have
    none.  Collective.
    """
    with domain.raise_on_all():
        n, box = adapter.n_own, adapter.box()
        frame = _frame(box)
        place = frame.fractional(adapter.positions()) + np.where(
            box.periodic, adapter.images(), 0.0)
        msd, mean = adapter.column(COLUMN), adapter.vectors("d2_mgml_mean")
        samples = adapter.column("i_mgml_samples")
        # an atom that was created later finds another's mean in its place
        there = adapter.in_group("mgml_watched_inside") if n else np.ones(0, bool)
        new = samples == 0
        msd[new] = 0.0
        mean[new | ~there] = place[new | ~there]
        step = place - mean
    drift = domain.sum(np.append(step.sum(axis=0), there.sum()))
    with domain.raise_on_all():
        step -= drift[:3] / drift[3]
        samples += 1
        mean += step / samples[:, None]
        # about the old mean times about the new one, which is shorter by 1 - 1/n
        square = np.einsum("ij,ij->i", *(2 * [times(step, frame.edges)])) * (1.0 - 1.0 / samples)
        square = adapter.own_units(square, "A^2")
        msd += (square - msd) / samples
        msd[~there], samples[~there] = np.nan, 0


def _frame(box: Box) -> Box:
    """The box with unit vectors along edges that are not periodic: a shrink-wrapped face moves."""
    lengths = np.linalg.norm(box.edges, axis=1)
    return Box.make(np.where(box.periodic, 1.0, 1.0 / lengths)[:, None] * box.edges, box.periodic,
                    np.where(box.periodic, box.origin, 0.0))
