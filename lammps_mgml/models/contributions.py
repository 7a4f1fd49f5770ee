"""What each feature adds to an atom's margin, and how unusual its value is."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..features import by_name
from ..system.arrays import AnyArray, Features, Floats, Ints

ELEMENT = "element"           # the family of element_type, which is in no family of the surroundings


@dataclass(frozen=True)
class Contributions:
    """``base`` plus the sum of an atom's row of ``values`` is its margin (log odds, not calibrated).

    features : (k,) names.  elements : symbols of the model.  values : (n, k) float64, NaN for atoms
    without a margin.
    """

    features: tuple[str, ...]
    elements: tuple[str, ...]
    values: Floats
    base: float

    @property
    def margins(self) -> Floats:
        """(n,) margins; NaN where undefined."""
        margins: Floats = self.base + self.values.sum(axis=1)
        return margins

    @property
    def family_of(self) -> tuple[str, ...]:
        """(k,) family of each feature: its set in the catalogue, or "element" for element_type."""
        known = by_name(self.elements)
        return tuple(ELEMENT if name == "element_type" else known[name].set
                     for name in self.features)

    @property
    def families(self) -> tuple[str, ...]:
        """(m,) names of the families, in the order of the model's features."""
        return tuple(dict.fromkeys(self.family_of))

    def by_family(self) -> Floats:
        """(n, m) sums of ``values`` over the features of each of ``families``."""
        owner = np.array(self.family_of)
        return np.stack([self.values[:, owner == name].sum(axis=1) for name in self.families],
                        axis=1)


def place_among(features: Features, kinds: AnyArray, rows: Ints) -> Floats:
    """(len(rows), k) where the values of some atoms stand among those of all atoms of their kind.

    0: all others have larger ones, 1: smaller ones; equal ones count half.  features : (n, k), atoms
    with NaN count nowhere.  kinds : (n,).  NaN where a value is.
    """
    out = np.full((len(rows), features.shape[1]), np.nan)
    whole = ~np.isnan(features).any(axis=1)
    for kind in np.unique(kinds[rows]):
        here = kinds[rows] == kind
        others = np.sort(features[whole & (kinds == kind)], axis=0)
        if len(others) < 2:
            continue
        for k in range(features.shape[1]):
            value = features[rows[here], k]
            below, upto = (np.searchsorted(others[:, k], value, side) for side in ("left", "right"))
            # itself is among them
            out[here, k] = np.where(np.isnan(value), np.nan,
                                    (below + upto - 1) / 2 / (len(others) - 1))
    return out
