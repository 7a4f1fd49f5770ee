"""Whether lengths can be in A: condensed matter has nearest neighbours between 1 and 6 A apart.

For a glass with lengths of its own (see ``lengths``) these two are scaled with them.  And whether a
structure can be one of those that a model knows.
"""
import numpy as np

from ..errors import InputError
from .arrays import Floats
from .atoms import Atoms
from .box import Box
from .domain import Domain
from .lengths import NEAREST, scale_of

LEAST, MOST = 1.0, 6.0         # A, of the median distance to the nearest neighbour
FAR = 7.2                      # A; where no two atoms are within it, all are alone
PLACES, AT_EACH = 4, 25        # of the sample
WINDOW = 9.0                   # A, half edge of the cube that a place is searched in
ENOUGH = 20                    # atoms of a sample; fewer do not tell a glass
FIT = 0.3                      # of a model's own nearest distance; that of Cu50, Cu80: 0.03
HINT = ("lengths must be in A: multiply positions and cell by 10 if they are in nm, by 0.529177 if "
        "in Bohr radii; for other units (lj) tell the mean distance to the nearest neighbour in the "
        "glass, nearest")
# Upper ends of the classes that a median is read from.
EDGES = np.unique(np.concatenate([np.logspace(-12, 6, 18 * 50 + 1), [LEAST, MOST]]))


def _hint(nearest: float) -> str:
    if nearest == NEAREST:
        return HINT
    return (f"the lengths asked for are those of a glass whose nearest neighbours are {nearest:g} "
            f"apart: positions and cell must be in the same units")


def check_cell(box: Box, n: int, nearest: float = NEAREST) -> None:
    """Refuse a periodic cell in which ``n`` atoms cannot keep a distance of 1 A from each other.

    nearest : A, the glass' own mean distance to the nearest neighbour.  It takes no images of atoms,
    of which a cell in other units would have far too many.

    Raises
    ------
    InputError : the cell is too small.
    """
    if not box.periodic.any() or not n:
        return
    least, unit = LEAST * scale_of(nearest), " A" if nearest == NEAREST else ""
    # no arrangement is denser than close packing, where each atom has d^3 / sqrt(2)
    if box.periodic.all():
        distance = (np.sqrt(2.0) * box.volume / n) ** (1.0 / 3.0)
        if distance < least:
            raise InputError(f"{n} atoms in {box.volume:.4g}{unit and ' A^3'}: even close packed "
                             f"they would be {distance:.3g}{unit} apart; {_hint(nearest)}")
    # a lattice vector along which atoms repeat is a distance between atoms
    edges = np.linalg.norm(box.edges[box.periodic], axis=1)
    if edges.min() < least:
        raise InputError(f"the cell repeats every {edges.min():.3g}{unit}; {_hint(nearest)}")


def check_distances(atoms: Atoms, domain: Domain, nearest: float = NEAREST,
                    model: str = "") -> float:
    """Refuse positions that no condensed matter has in A.  Collective over the ranks of ``domain``.

    Of about 100 owned atoms on each rank, in 4 places, the median distance to the nearest other
    atom must be between 1 and 6 A, lone atoms left out; and not all atoms may be alone.  A single
    atom is not refused.

    nearest : A, the glass' own mean distance to the nearest neighbour: 1 and 6 A are for that of
    Cu-Zr.  model : name of a model that is to be used, whose glasses have ``nearest``; then the
    median must not differ from it by more than 30 %, if the sample has 20 atoms or more.

    Returns that median, A; NaN if no atom of the sample has another near it.

    Raises
    ------
    InputError : on all ranks.
    """
    scale, unit = scale_of(nearest), " A" if nearest == NEAREST else ""
    with domain.raise_on_all():
        # 1 A and 6 A are upper ends of classes: so the scale goes into the positions
        x = atoms.positions if scale == 1.0 else atoms.positions / scale
        here = np.bincount(np.searchsorted(EDGES, _sample(x, atoms.n_own)),
                           minlength=len(EDGES) + 1)
    total = domain.sum(np.concatenate([here, [atoms.n_own]]))
    counts, n = total[:-1], total[-1]
    problem, median = "", float("nan")
    if counts.any():
        at = int(np.searchsorted(np.cumsum(counts), 0.5 * counts.sum()))
        median = float(EDGES[min(at, len(EDGES) - 1)])
        told = f"atoms are about {median * scale:.2g}{unit} from their nearest neighbours"
        if not LEAST < median <= MOST:
            problem = f"{told}; {_hint(nearest)}"
        elif model and counts.sum() >= ENOUGH and abs(median / NEAREST - 1.0) > FIT:
            problem = (f"{told}, in the glasses that model {model} knows they are "
                       f"{nearest:.3g}{unit}: its neighbours and shells do not fit this structure. "
                       f"Choose a model of this glass, or train one (mgml train); or are the lengths "
                       f"in other units?")
    elif n > 1:
        with domain.raise_on_all():
            found = _any_pair(x, atoms.n_own)
        if not domain.max([float(found)])[0]:
            problem = (f"none of the {n:.0f} atoms has another within {FAR * scale:g}{unit}; "
                       f"{_hint(nearest)}")
    if problem:                              # on every rank, then
        with domain.raise_on_all():
            raise InputError(problem)
    return median * scale


def _sample(x: Floats, n_own: int) -> Floats:
    """(k,) distances, A, to the nearest other atom; of those that have one in sight."""
    out, places, first = [np.empty(0)], min(PLACES, n_own), x[:, 0].copy()
    for place in range(places):
        middle = x[(2 * place + 1) * n_own // (2 * places)]
        around = np.flatnonzero(np.abs(first - middle[0]) < WINDOW)
        for axis in (1, 2):
            around = around[np.abs(x[around, axis] - middle[axis]) < WINDOW]
        d = x[around] - middle
        away = np.sqrt((d * d).sum(axis=1))
        taken = np.flatnonzero((around < n_own) & (away < 0.5 * WINDOW))
        taken = taken[np.argsort(away[taken], kind="stable")[:AT_EACH]]
        # the middle is a neighbour: so the nearest one is no farther from there than twice that
        near = np.flatnonzero(away <= max(2.0 * away[taken].max(), np.sort(away)[:2][-1]))
        square = ((d[near] - d[taken][:, None]) ** 2).sum(axis=2)
        square[near == taken[:, None]] = np.inf
        nearest = np.sqrt(square.min(axis=1))
        # two atoms at one point are another error, which the cells tell
        out.append(nearest[(nearest > 0.0) & np.isfinite(nearest)])
    return np.concatenate(out)


def _any_pair(x: Floats, n_own: int) -> bool:
    """Whether any owned atom has another within FAR."""
    order = np.argsort(x[:, 0], kind="stable")
    x, own = x[order], order < n_own
    for k in range(1, len(x)):
        close = np.flatnonzero(x[k:, 0] - x[:-k, 0] < FAR)
        if not len(close):
            return False
        d = x[close + k] - x[close]
        if ((own[close] | own[close + k]) & ((d * d).sum(axis=1) < FAR**2)).any():
            return True
    return False
