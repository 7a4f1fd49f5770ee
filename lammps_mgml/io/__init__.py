"""Files: LAMMPS dumps and data."""
