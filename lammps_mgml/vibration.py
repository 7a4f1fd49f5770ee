"""How far an atom of the undeformed glass vibrates: one number that tells of its surroundings what
no still picture of them does (H. Fan et al., Mater. Horiz. 2021; Ding et al., Nat. Commun. 7, 13733,
2016)."""
import numpy as np

from .errors import InputError


def relative_vibration(atoms, cells, n_elements, msd, domain):
    """(n_own,) ln of ``msd`` over its mean for the element, all closed cells of all ranks counted.

    So the temperature drops out as far as the glass is harmonic.  NaN for open cells, for unknown
    types, and where ``msd`` is not a positive number.
    """
    with domain.raise_on_all():
        kinds, msd = atoms.types[:atoms.n_own], np.asarray(msd, dtype=np.float64)
        if msd.shape != kinds.shape:
            raise InputError(f"msd must have shape {kinds.shape}, not {msd.shape}")
        moved = (msd > 0) & np.isfinite(msd)
        known = moved & (kinds > 0) & (cells.is_open == 0)
        sums = [np.bincount(kinds[known], some, n_elements + 1)
                for some in (msd[known], np.ones(known.sum()))]
    *sums, n_moved, n = domain.sum(np.concatenate([*sums, [moved.sum(), len(msd)]]))
    if n and not n_moved:
        raise InputError("no atom has a mean square displacement above 0: run the undeformed glass "
                         "at temperature under the callback that measures it, before this")
    total, count = np.reshape(sums, (2, -1))
    mean = total / np.maximum(count, 1)
    out = np.full(len(msd), np.nan)
    out[known] = np.log(msd[known] / mean[kinds[known]])
    return out
