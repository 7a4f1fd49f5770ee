"""The cell as LAMMPS means it: edges, tilts of either sign, and the bounds of its dumps."""
import numpy as np
import pytest
from glasses import lammps_of, random_system, sheared

from lammps_mgml.io.dump import read_dump
from lammps_mgml.system.box import Box

# xy xz yz of a box of 11 x 12 x 13 A: each tilt alone, then together, so that each decides a bound
TILTS = [(4.0, 0.0, 0.0), (-4.0, 0.0, 0.0), (0.0, 5.0, 0.0), (0.0, -5.0, 0.0), (0.0, 0.0, 3.0),
         (0.0, 0.0, -3.0), (2.0, -4.5, 1.0), (-2.0, 4.5, -5.5), (-1.5, -3.0, 2.5), (1.5, 3.0, -2.5)]


@pytest.mark.parametrize("tilts", TILTS)
def test_tilted_box_and_atoms_of_a_dump_are_those_of_lammps(tmp_path, tilts):
    xy, xz, yz = tilts
    system = sheared(random_system(50, (11.0, 12.0, 13.0), seed=12), xy / 11, xz / 11, 0.0)
    system = system._replace(edges=np.array([[11.0, 0, 0], [xy, 12, 0], [xz, yz, 13]]))
    path = tmp_path / "out.dump"
    with lammps_of(system) as lmp:
        lmp.commands_string(f"""
            change_box all x final -3 8 y final 1 13 z final 7 20 remap
            write_dump all custom {path} id type x y z xs ys zs modify format float %.16g""")
        low, high, *rest = lmp.extract_box()
        lx, ly, lz = np.subtract(high, low)
        told = np.array([[lx, 0, 0], [rest[0], ly, 0], [rest[2], rest[1], lz]])   # xy, yz, xz
        x = np.array(lmp.gather_atoms("x", 1, 3)).reshape(-1, 3)
    frame, = read_dump(path)
    np.testing.assert_allclose(told, system.edges, atol=1e-12)
    np.testing.assert_allclose(frame.box.edges, told, atol=1e-12)
    np.testing.assert_allclose(frame.origin, low, atol=1e-12)
    # LAMMPS' own scaled coordinates, through our edges, are its positions
    scaled = np.stack([frame.columns[n] for n in ("xs", "ys", "zs")], axis=1)
    np.testing.assert_allclose(frame.box.vectors(scaled) + low, x, atol=1e-12)
    made = Box.from_lammps((11.0, 12.0, 13.0), tilts, origin=low)
    np.testing.assert_allclose(made.fractional(x), scaled, atol=1e-13)
    assert made.volume == pytest.approx(11 * 12 * 13)
