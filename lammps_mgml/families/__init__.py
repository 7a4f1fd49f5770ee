"""Families of features, one file each; ``lammps_mgml.features`` is their registry.

    facets        Voronoi cells: numbers, shapes and sizes of facets, distances across them
    distances     near neighbours: their number and distances
    bond_order    bond orientational order, plain and averaged
    composition   which elements are around
    densities     two-body densities, isotropic and along the load
    vibrations    how far an atom of the undeformed glass vibrates
    stiffness     how the force constants of pairs hold an atom
    strained      the same after a small strain along the load, as these constants predict it

``family`` says what a family is.  ``neighbours`` and ``averages`` make further features of the
values of any family: statistics over an atom's neighbours, and averages over it and them.
"""
