"""What a family of features is: one class, and one line of the registry (``lammps_mgml.features``).

``pipeline`` calls the methods of each family in this order, on every rank:

    measure   rank-local, after the cells: fills columns; returns sums that all ranks add up
    means     what the sums over all ranks say of the means that normalise
    fill      rank-local, with sums and means known: fills the other columns.  As a generator it
              yields tables; each comes back with the rows of other ranks' atoms filled

Then the columns are divided by their means and exchanged, and statistics over the neighbours
(``neighbours``) or averages (``averages``) are made of them, for all families alike.
"""
from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .._kernels import mro as _mro
from ..geometry.cells import PARTS, Cells
from ..system.arrays import AnyArray, Bytes, Floats, Int32s, Ints, Lists
from ..system.atoms import Atoms
from ..system.threads import threads

LISTS = ("voro", "dist")       # neighbours that share a facet; neighbours within a distance
STATISTICS = ("mean", "std", "min", "max")
WORDS = {"sum": "sum", "mean": "mean", "std": "population standard deviation", "min": "minimum",
         "max": "maximum"}
NEIGHBOURS = {"voro": "the Voronoi neighbours", "dist": "the neighbours within the near cutoff"}


@dataclass(frozen=True)
class Feature:
    """One site feature.

    order : group of families that is asked for by one word: "SRO", "MRO", "PAIR" ...
    base, statistic : the column and what is made of it over the neighbours ("" for itself).
    neighbours : "voro", "dist" or "" (neither).
    mean : field of Means that its values are divided by, "" for none.
    needs : names of the inputs that it takes besides the structure, as ("load",).
    among : columns; ``base`` has a share in the sum of these over the neighbours (``pooled``).
    """

    name: str
    set: str
    order: str
    units: str
    definition: str
    base: str
    statistic: str = ""
    neighbours: str = ""
    mean: str = ""
    needs: tuple[str, ...] = ()
    among: tuple[str, ...] = ()


@dataclass(frozen=True)
class Set:
    """What is common to the features of a set.

    text : what they are, in a few words.
    over : statistics over the neighbours that are made of each of them, in a set ``..._stats_nn``.
    difference : whether the neighbours' mean minus the atom's own value is a feature, too.
    """

    text: str
    over: tuple[str, ...] = ()
    difference: bool = False


@dataclass(frozen=True)
class Means:
    """Means over all pairs of the reference configuration that make features dimensionless.

    area : facet area, A^2.  volume : pyramid of a facet and the atom, A^3.  distance_voro,
    distance_dist : distance to Voronoi and near neighbours, A.  composition : share of each
    element.
    """

    area: float = 1.0
    volume: float = 1.0
    distance_voro: float = 1.0
    distance_dist: float = 1.0
    composition: tuple[float, ...] = ()


# Numbers of features (m,), table (n_own, k), columns of it (m,).
Product = tuple[Ints, Floats, Ints]
# What ``fill`` is as a generator: yields tables to be exchanged, returns products or None.
Filling = Generator[Floats, None, list[Product] | None]


def ratio(a: float, n: float) -> float:
    """a / n, NaN for none."""
    return float(a / n) if n > 0 else float("nan")


@dataclass
class Work:
    """What the families of one rank work on.

    atoms : Atoms.  cells : Cells.  elements : symbols of types 1, 2, ...  parameters : dict.
    counted : (n_own,) uint8, atoms whose pairs enter the means.  inputs : {name: value} of what
    features need besides the structure.  n_rows : rows of a table of values.  row_of : (n_all,)
    int32, row of each atom.  means : Means, known when ``fill`` is called.  made : {name: array} of
    what one family has made and another reads; forgotten when all have filled their columns.
    """

    atoms: Atoms
    cells: Cells
    elements: tuple[str, ...]
    parameters: Mapping[str, Any]
    counted: Bytes
    inputs: Mapping[str, Any]
    n_rows: int
    row_of: Int32s
    means: Means = Means()
    made: dict[str, Floats] = field(default_factory=dict)

    @property
    def lists(self) -> dict[str, Lists]:
        """{kind: (start, count, neighbour)}, neighbours as numbers of atoms."""
        return self.cells.lists()

    @cached_property
    def rows(self) -> Rows:
        """{kind: (start, count, row)}, neighbours as rows of a table of values."""
        return Rows(self.cells, self.row_of)


class Rows(dict[str, Lists]):
    """Each made when it is first asked for, beside the list of ``Work.lists`` or, once nobody reads
    that any more, in its place."""

    def __init__(self, cells: Cells, row_of: Int32s) -> None:
        self.cells, self.row_of, self.in_place = cells, row_of, False

    def __missing__(self, kind: str) -> Lists:
        start, count, neighbour = self.cells.lists()[kind]
        row = neighbour if self.in_place else np.zeros_like(neighbour)
        _mro.rows(start, count, neighbour, self.row_of, row, threads())
        self[kind] = start, count, row
        return self[kind]


class Family:
    """Base of the families.  A family has no state; one object serves all ranks and threads."""

    order = ""           # of its own features
    title = ""           # of its order, in the overview; the paper's two have theirs
    sets: dict[str, Set] = {}
    inputs: dict[str, str] = {}      # texts: what its features may need besides the structure
    reach = 0.0          # A, within which all atoms must be known, besides those of the cells
    stage = ""           # under which its time is counted
    always = False       # whether ``measure`` is called though no feature of it is asked for
    averaged = False     # whether averages are made of its columns, not statistics over neighbours
    made_here: tuple[str, ...] = ()  # statistics that ``fill`` makes, for which no column is needed
    # what of the cells ``measure`` reads (PARTS); the rest of them may be gone by then
    measure_reads: Iterable[str] = PARTS

    def site(self, name: str, group: str, units: str, definition: str, neighbours: str = "",
             **more: Any) -> Feature:
        """Feature of an atom itself."""
        return Feature(name, group, self.order, units, definition, name, "", neighbours, **more)

    def farthest(self, parameters: Mapping[str, float]) -> float:
        """``reach``, of a family whose own goes by the lengths of the glass."""
        return self.reach

    def features(self, elements: tuple[str, ...]) -> Iterable[Feature]:
        """All its features but those that ``neighbours`` makes: an iterable of Feature."""
        raise NotImplementedError

    def columns(self, asked: list[Feature], elements: tuple[str, ...]) -> Iterable[str]:
        """Names of the columns that the features ``asked`` are made of: an iterable, in order."""
        return dict.fromkeys(name for f in asked if f.statistic not in self.made_here
                             for name in f.among or (f.base,))

    def plan(self, at: dict[str, int], asked: dict[int, Feature], elements: tuple[str, ...]) -> Any:
        """Whatever ``measure`` and ``fill`` must know; made once for a request, then kept.

        at : {column: its number in ``table``}.  asked : {number: Feature}, those of this family.
        """
        return at

    def read_input(self, name: str, value: Any) -> Any:
        """An input as users give it -> as ``work.inputs`` holds it; OptionError if it is wrong."""
        return value

    def fill_reads(self, plan: Any) -> Iterable[str]:
        """What of the cells ``fill`` reads (PARTS); all that no family reads is freed before."""
        return PARTS

    def reads(self, plan: Any) -> tuple[Iterable[str], Iterable[str]]:
        """What of the cells ``measure`` and ``fill`` read: nothing where there is no such method."""
        has = [getattr(type(self), name) is not getattr(Family, name) for name in ("measure", "fill")]
        return self.measure_reads if has[0] else (), self.fill_reads(plan) if has[1] else ()

    def measure(self, work: Work, plan: Any, table: Floats) -> AnyArray | None:
        """Fill columns of ``table`` (n_rows, n), rows of owned atoms; return sums (1-d) or None."""

    def means(self, sums: Floats) -> Mapping[str, Any]:
        """{field of Means: value} from the sums over all ranks."""
        return {}

    def fill(self, work: Work, plan: Any, table: Floats, sums: Floats) -> Filling | None:
        """Fill further columns.

        A generator may yield tables (n_rows, k) to be exchanged, and return, for ``made_here``,
        [(numbers of features (m,), table (n_own, k), columns of it (m,))].
        """
