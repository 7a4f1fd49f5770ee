"""The per-atom columns: name, unit, definition and where each comes from, one row each.

A value that is not known is NaN.  ``i_site`` says why (bits, see ``flags``).
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..system.arrays import Floats, Int32s

REFERENCE = "reference"       # of the structure that the reference is; stays until a new one
PRESENT = "present"           # of the structure at the evaluation; undefined at any other step


@dataclass(frozen=True)
class Column:
    """value : from the Evaluated, (n_own,) float64.  standard : in every deck; the others are asked
    for by name, in ``mgml_columns``."""

    name: str
    unit: str
    of: str
    definition: str
    value: Callable[[Evaluated], Floats]
    standard: bool = True


COLUMNS = (
    Column("d_sq", "1", REFERENCE, "quench-in softness S^q of the reference structure, 0 .. 1",
           lambda e: e.softness),
    Column("d_p", "1", REFERENCE,
           "probability of plastic rearrangement at the natural share of plastic atoms",
           lambda e: e.probability),
    Column("d_s", "1", PRESENT, "running softness, of the present structure", lambda e: e.softness),
    Column("d_d2min", "A^2", PRESENT,
           "non-affine displacement D2min against the reference, sum over the partners",
           lambda e: e.d2min),
    Column("d_eta", "1", PRESENT, "von Mises strain against the reference", lambda e: e.eta),
    Column("d_d2mean", "A^2", PRESENT, "D2min per partner, the mean of Eq. 4 as printed in the paper",
           lambda e: e.d2min / np.where(e.partners > 0, e.partners, np.nan), standard=False),
)
STANDARD = tuple(c for c in COLUMNS if c.standard)
BY_NAME = {c.name: c for c in COLUMNS}


@dataclass(frozen=True)
class Evaluated:
    """What one evaluation gives for the owned atoms, NaN where undefined.

    softness, probability, d2min (A^2), eta : (n_own,).  partners : (n_own,) int, those that
    entered D2min.  site : (n_own,) int32 bits.
    """

    softness: Floats
    probability: Floats
    d2min: Floats
    eta: Floats
    partners: Int32s
    site: Int32s
