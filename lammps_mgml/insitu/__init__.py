"""The road between LAMMPS and the pipeline."""
