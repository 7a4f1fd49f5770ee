"""The same numbers on numpy arrays, without LAMMPS."""
from .atoms import periodic_atoms
from .box import Box
from .catalogue import resolve
from .errors import OptionError
from .halo import ImageHalo
from .model import SoftnessModel, load_model
from .pipeline import PARAMETERS, site_features
from .team import Solo

ELEMENTS = ("Cu", "Zr")


def sites(positions, types, cell, pbc, names, elements, parameters, means=None):
    """Sites of a whole system (see ``pipeline``)."""
    box = Box.make(cell, pbc)
    reach = max(2.0 * parameters["open_radius"], parameters["near_cutoff"]) * 1.001
    atoms, owner = periodic_atoms(positions, types, box, reach)
    highest = int(atoms.types.max(initial=0))
    if highest > len(elements) or atoms.types.min(initial=1) < 1:
        raise OptionError(f"types must be 1 to {len(elements)} ({', '.join(elements)}), "
                          f"found {int(atoms.types.min(initial=1))} to {highest}")
    return site_features(atoms, ImageHalo(owner, atoms.n_own), Solo(), names, elements, means,
                         parameters)


def featurize(positions, types, cell, pbc=(True,) * 3, features="table3", elements=ELEMENTS):
    """Site features of every atom.

    Parameters
    ----------
    positions : (n, 3) float, A; wrapped or not
    types : (n,) int, 1 .. len(elements), as in LAMMPS
    cell : 3 lengths or (3, 3) row vectors, A
    pbc : 3 flags
    features : a set's name ("table3"), or names
    elements : symbols of types 1, 2, ...

    Returns
    -------
    (n, n_features) float64, in the order of the atoms given; NaN where a feature is undefined
    (open cells at free surfaces, and their neighbours).

    Raises
    ------
    InputError, OptionError
    """
    return sites(positions, types, cell, pbc, resolve(features, elements), tuple(elements),
                 PARAMETERS).features


def softness(positions, types, cell, pbc=(True,) * 3, model="cuzr"):
    """Quench-in softness S^q of every atom, (n,) float64 in [0, 1]; NaN where undefined.

    model : a shipped model's name, a model file's path, or a SoftnessModel; ``types`` number its
    elements 1, 2, ... in the order of ``model.elements``.  The rest as for ``featurize``.

    Raises
    ------
    InputError, OptionError, ModelError
    """
    model = model if isinstance(model, SoftnessModel) else load_model(model)
    found = sites(positions, types, cell, pbc, model.features, model.elements, model.parameters)
    return model.softness(found.features)
