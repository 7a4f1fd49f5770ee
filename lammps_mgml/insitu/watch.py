"""How the atoms of a running glass vibrate: mean position and mean square displacement about it."""
import numpy as np

from ..families.vibrations import WATCHES
from ..system.arrays import Floats
from ..system.box import Box, times
from ..system.domain import Domain
from .adapter import WATCHED, Adapter

CALLBACKS = {needed: feature for feature, needed in WATCHES.items()}
HOT = "msd_hot"


def take_sample(adapter: Adapter, domain: Domain, watch: str = "msd") -> None:
    """One more sample of each owned atom into its running mean and ``d_msd`` (Welford's way).

    Positions count in units of the periodic edges, so that a barostat's breathing is no vibration,
    and without the drift of all atoms together.  Atoms that were created after the include file have
    none.  Collective.

    watch : msd, or msd_hot, the second one, which becomes ``d_msd_hot`` when there is a reference.
    """
    columns = WATCHED[watch]
    with domain.raise_on_all():
        n, box = adapter.n_own, adapter.box()
        frame = _frame(box)
        place = _places(adapter, box, frame)
        msd, mean = adapter.column(columns.running), adapter.vectors(columns.mean)
        samples = adapter.column(columns.samples)
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
        square = _squares(step, frame) * (1.0 - 1.0 / samples)
        square = adapter.own_units(square, "A^2")
        msd += (square - msd) / samples
        msd[~there], samples[~there] = np.nan, 0


def take_reference(adapter: Adapter, domain: Domain) -> float:
    """The present places become those that ``d_msd_hot`` is about: of atoms with samples since the
    last reference, the running mean square about their mean place, and how far that is from here.

    Returns the mean square of the latter, A^2 (lj: sigma^2), NaN if there were no samples.
    Collective.
    """
    columns = WATCHED[HOT]
    if not adapter.has(columns.column):
        return float("nan")
    with domain.raise_on_all():
        samples, box = adapter.column(columns.samples), adapter.box()
        seen = samples > 0
        frame = _frame(box)
        away = (adapter.vectors(columns.mean) - _places(adapter, box, frame))[seen]
        # image flags that were set anew are no displacement
        away -= np.where(box.periodic, np.round(away), 0.0)
    drift = domain.sum(np.append(away.sum(axis=0), seen.sum()))
    if not drift[3]:
        return float("nan")
    with domain.raise_on_all():
        square = _squares(away - drift[:3] / drift[3], frame)
        adapter.column(columns.column)[seen] = (
            adapter.column(columns.running)[seen] + adapter.own_units(square, "A^2"))
        samples[:] = 0
    return float(domain.sum(np.array([square.sum()]))[0] / drift[3])


def _places(adapter: Adapter, box: Box, frame: Box) -> Floats:
    """(n_own, 3), unwrapped, in units of the edges of ``frame``."""
    places: Floats = frame.fractional(adapter.positions()) + np.where(
        box.periodic, adapter.images(), 0.0)
    return places


def _squares(away: Floats, frame: Box) -> Floats:
    """(n,) A^2 of displacements in units of the edges."""
    squares: Floats = np.einsum("ij,ij->i", *(2 * [times(away, frame.edges)]))
    return squares


def _frame(box: Box) -> Box:
    """The box with unit vectors along edges that are not periodic: a shrink-wrapped face moves."""
    lengths = np.linalg.norm(box.edges, axis=1)
    return Box.make(np.where(box.periodic, 1.0, 1.0 / lengths)[:, None] * box.edges, box.periodic,
                    np.where(box.periodic, box.origin, 0.0))
