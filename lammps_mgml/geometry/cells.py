"""Voronoi cells of the owned atoms."""
from collections.abc import Iterable
from dataclasses import dataclass

from .._kernels import cells as _cells
from ..errors import InputError
from ..system.arrays import Bytes, Floats, Int32s, Ints, Lists
from ..system.atoms import Atoms
from ..system.lengths import Lengths
from ..system.scratch import Scratch
from ..system.threads import threads

NEAR_CUTOFF, OPEN_RADIUS = Lengths.near_cutoff, Lengths.open_radius      # A, Cu-Zr's

# What of the cells is large, and what makes it up.
PARTS = {"voro": ("neighbour", "facet_start"), "dist": ("near", "near_start"),
         "facets": ("area", "edges")}


@dataclass
class Cells:
    """Facets of the cells, and near neighbours, of the owned atoms.

    Facets of atom i are at ``facet_start[i] : facet_start[i] + facet_count[i]`` of
    neighbour (int32, index among all atoms), area (float64, A^2) and edges (uint8); near
    neighbours likewise in near.  volume (n_own,) A^3, reach (n_own,) A: the farthest vertex,
    is_open (n_own,) uint8: the cell reaches beyond the open radius, its numbers mean nothing.
    Between the stretches of two atoms the lists mean nothing.
    """

    facet_start: Ints
    facet_count: Int32s
    neighbour: Int32s
    area: Floats
    edges: Bytes
    near_start: Ints
    near_count: Int32s
    near: Int32s
    volume: Floats
    reach: Floats
    is_open: Bytes

    def lists(self) -> dict[str, Lists]:
        """{kind: (start, count, neighbour)} of the Voronoi and of the near neighbours, as far as they
        are kept."""
        lists = {}
        if self.has("voro"):
            lists["voro"] = self.facet_start, self.facet_count, self.neighbour
        if self.has("dist"):
            lists["dist"] = self.near_start, self.near_count, self.near
        return lists

    def has(self, part: str) -> bool:
        """Whether ``part`` (of PARTS) is kept."""
        return PARTS[part][0] in vars(self)

    def keep(self, parts: Iterable[str], room: Scratch) -> None:
        """Give all PARTS but these back to ``room``: 300 bytes an atom.  The counts stay."""
        for part in PARTS.keys() - set(parts):
            if self.has(part):
                for name in PARTS[part]:
                    room.give(getattr(self, name))
                    delattr(self, name)


def tessellate(atoms: Atoms, near_cutoff: float = NEAR_CUTOFF,
               open_radius: float = OPEN_RADIUS, room: Scratch | None = None) -> Cells:
    """Cells of the owned atoms of ``atoms``, exact if the ghosts reach ``2 * reach`` (see Cells).

    room : for the lists; None for fresh memory.

    Raises
    ------
    InputError : a coordinate that is not finite, or two atoms at one point.
    """
    # about 28 candidates: 14 cut, the rest prove that nothing else can (in liquids, mostly)
    per_atom = atoms.box.volume / max(atoms.n_own, 1)
    first = min((28.0 * per_atom / 4.19) ** (1.0 / 3.0), 2.0 * open_radius)
    out, problem, i, j = _cells.tessellate(atoms.positions, atoms.n_own, open_radius, first,
                                           near_cutoff, threads(), room=room)
    if problem == 1:
        raise MemoryError("no memory for the cell grid")
    if problem == 2:
        raise InputError(f"atom {_name(atoms, i)} has a coordinate that is not finite: "
                         f"{atoms.positions[i].tolist()}")
    if problem == 3:
        raise InputError(f"atoms {_name(atoms, i)} and {_name(atoms, j)} are at the same point "
                         f"{atoms.positions[i].tolist()}: remove one of them")
    if problem:
        raise InputError(f"the cell of atom {_name(atoms, i)} at {atoms.positions[i].tolist()} "
                         f"has too many facets or is degenerate")
    return Cells(**{k: getattr(out, k) for k in Cells.__dataclass_fields__})


def _name(atoms: Atoms, i: int) -> str:
    return f"with id {atoms.tags[i]}" if i < atoms.n_own else f"(ghost {i - atoms.n_own})"
