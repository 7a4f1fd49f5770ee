"""The same numbers on numpy arrays or ASE atoms, without LAMMPS."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .errors import InputError, OptionError
from .families.family import Means
from .features import PAPER_ELEMENTS, reach, read_input, resolve
from .features import inputs as known_inputs
from .models.contributions import Contributions
from .models.model import SoftnessModel, load_model
from .pipeline import PARAMETERS, Sites, site_features
from .plasticity.d2min import CUTOFF, NonAffine
from .plasticity.d2min import d2min as _d2min
from .system.arrays import AnyArray, Bools, Features, Floats
from .system.atoms import periodic_atoms
from .system.box import Box
from .system.domain import WholeDomain
from .system.lengths import parameters_of
from .system.units import check_cell, check_distances

if TYPE_CHECKING:
    from typing import Self

ELEMENTS = PAPER_ELEMENTS


def sites(positions: Any, types: Any, cell: Any, pbc: Any, names: Iterable[str],
          elements: Sequence[str], parameters: Mapping[str, Any] = PARAMETERS,
          means: Means | None = None, counted: Bools | None = None, dtype: DTypeLike = np.float64,
          model: str = "", **inputs: Any) -> Sites:
    """Sites of a whole system (see ``pipeline``).

    model : name of the one that is to take them, which the structure must fit.
    elements : symbols of types 1, 2, ...; types of one element count as one.
    inputs : load, msd ... as for ``featurize``.
    """
    box, species = Box.make(cell, pbc), tuple(dict.fromkeys(elements))
    inputs = {name: read_input(name, value) for name, value in inputs.items()}
    parameters = {**PARAMETERS, **parameters}
    check_cell(box, len(np.atleast_1d(positions)), parameters["nearest"])
    atoms, owner = periodic_atoms(positions, _species(types, elements), box,
                                  reach(names, species, parameters))
    domain = WholeDomain(owner, atoms.n_own)
    nearest = check_distances(atoms, domain, parameters["nearest"], model)
    return replace(site_features(atoms, domain, tuple(names), species, means, parameters,
                                 counted=counted, dtype=dtype, **inputs), nearest=nearest)


def _species(types: ArrayLike, elements: Sequence[str]) -> AnyArray:
    """Element numbers 1, 2, ... of ``types``; OptionError if they are not 1 .. len(elements)."""
    types = np.asarray(types)
    if types.dtype.kind not in "iufb":
        raise InputError(f"types must be numbers 1 to {len(elements)} ({', '.join(elements)}), not "
                         f"{types.dtype} as {types.ravel()[:1].tolist()}: number the symbols, or "
                         f"give an ase.Atoms")
    low, high = types.min(initial=1), types.max(initial=0)
    if low < 1 or high > len(elements):
        raise OptionError(f"types must be 1 to {len(elements)} ({', '.join(elements)}), "
                          f"found {low:g} to {high:g}")
    unique = list(dict.fromkeys(elements))
    if len(unique) == len(elements) or not np.issubdtype(types.dtype, np.integer):
        return types
    number = np.array([0, *(unique.index(e) + 1 for e in elements)])
    return np.asarray(number[types])


def featurize(positions: Any, types: Any = None, cell: Any = None, pbc: Any = (True,) * 3,
              features: str | Iterable[str] = "table3", elements: Sequence[str] | None = None, *,
              select: Any = None, normalize: bool = True, dtype: DTypeLike = np.float64,
              load: str | None = None, msd: ArrayLike | None = None,
              msd_hot: ArrayLike | None = None, **parameters: Any) -> Features:
    """Site features of every atom.

    Parameters
    ----------
    positions : (n, 3) float, A; wrapped or not.  Or an ase.Atoms, which brings the next three
    types : (n,) int, 1 .. len(elements), as in LAMMPS
    cell : 3 lengths or (3, 3) row vectors, A
    pbc : 3 flags
    features : sets and names of the catalogue: "table3", "sro", "mro", "all", "boop_q,cn_voro" ...
    elements : symbols of types 1, 2, ...  Default Cu and Zr; for ase.Atoms of others, those that
        it has, in alphabetical order
    select : (n,) bool or indices, the atoms to return; only their pairs enter the means that
        normalise.  All others are still their neighbours
    normalize : False leaves areas, volumes, distances in A^2, A^3, A
    dtype : numpy.float32 halves the memory of large matrices
    load : "z", "x tension", "0 1 1 compression", "xy shear": for features that go by the load
        (``axial_...``)
    msd : (n,) A^2, mean square displacement of each atom about its mean position in MD of the
        undeformed glass (20 ps at 300 K for the shipped models), for the vibrations
    msd_hot : (n,) A^2, the same of a second, hotter run (20 ps at 500 K), about its place in the
        inherent structure
    parameters : near_cutoff (4.0 A), small_facet (0.05 of the cell's mean facet area), open_radius
        (3.6 A), density_first and density_spacing (2.0 and 0.4 A, the splines of the densities): see
        docs/features.md; nearest (2.54 A), the mean distance to the nearest neighbour in the glass,
        by which those that are not given are scaled, so that lengths may be in any units; or what
        registered families take besides the structure

    Returns
    -------
    (n, n_features), in the order of the atoms given; NaN where a feature is undefined (open cells
    at free surfaces, and their neighbours).  ``feature_names`` tells the columns.

    Raises
    ------
    InputError, OptionError
    """
    positions, types, cell, pbc, elements = _system(positions, types, cell, pbc, elements)
    inputs = {name: parameters.pop(name) for name in known_inputs() if name in parameters}
    unknown = set(parameters) - set(PARAMETERS)
    if unknown:
        raise OptionError(f"unknown parameter {', '.join(sorted(unknown))}: "
                          f"there are {', '.join(PARAMETERS)}")
    names = resolve(features, tuple(dict.fromkeys(elements)))
    counted = _mask(select, len(positions))
    found = sites(positions, types, cell, pbc, names, elements, parameters_of(parameters),
                  None if normalize else Means(), counted, dtype, load=load, msd=msd, msd_hot=msd_hot,
                  **inputs).features
    return found if counted is None else found[select]


def feature_names(features: str | Iterable[str] = "all",
                  elements: Sequence[str] = ELEMENTS) -> tuple[str, ...]:
    """Tuple of the names of ``features``, in the order of the columns of ``featurize``."""
    return resolve(features, tuple(dict.fromkeys(elements)))


def softness(positions: Any, types: Any = None, cell: Any = None, pbc: Any = (True,) * 3,
             model: str | PathLike[str] | SoftnessModel = "cuzr", load: str | None = None,
             msd: ArrayLike | None = None, msd_hot: ArrayLike | None = None) -> Floats:
    """Quench-in softness S^q of every atom, (n,) float64 in [0, 1]; NaN where undefined.

    model : a shipped model's name, a model file's path, or a SoftnessModel; ``types`` number its
    elements 1, 2, ... in the order of ``model.elements``.  load, msd, msd_hot : as for
    ``featurize``, for models that go by them.  The rest as for ``featurize``.

    Raises
    ------
    InputError, OptionError, ModelError
    """
    model, features = features_of_model(positions, types, cell, pbc, model, load, msd=msd,
                                        msd_hot=msd_hot)
    return model.softness(features)


def contributions(positions: Any, types: Any = None, cell: Any = None, pbc: Any = (True,) * 3,
                  model: str | PathLike[str] | SoftnessModel = "cuzr", load: str | None = None,
                  msd: ArrayLike | None = None,
                  msd_hot: ArrayLike | None = None) -> Contributions:
    """What each feature adds to the margin (log odds) of every atom: why S^q is what it is.

    Arguments and errors as for ``softness``.  Exact for each kind of model: a linear one is compared
    with the mean atom of the same element of this structure, trees with the rows that they were
    trained on (tree SHAP, path-dependent).

    Returns
    -------
    Contributions : values (n, n_features), NaN where undefined; with ``base`` they add up to the
        margins.  ``by_family()`` (n, n_families) sums them over each of ``families``.
    """
    model, features = features_of_model(positions, types, cell, pbc, model, load, msd=msd,
                                        msd_hot=msd_hot)
    return model.contributions(features)


def features_of_model(positions: Any, types: Any, cell: Any, pbc: Any,
                      model: str | PathLike[str] | SoftnessModel, load: str | None,
                      **watched: Any) -> tuple[SoftnessModel, Features]:
    """The model, and the features (n, n_features) that it takes.  Errors as for ``softness``."""
    model = model if isinstance(model, SoftnessModel) else load_model(model)
    system = _system(positions, types, cell, pbc, model.elements)
    return model, sites(*system[:4], model.features, model.elements, model.parameters, load=load,
                        model=model.name, **watched).features


def d2min(reference: Any, reference_cell: Any = None, positions: Any = None, cell: Any = None,
          pbc: Any = None, cutoff: float = CUTOFF, definition: str = "ovito") -> NonAffine:
    """D2min and strain of every atom: ``d2min(reference, reference_cell, positions, cell)`` of
    arrays, or ``d2min(reference, atoms)`` of two ase.Atoms.

    Parameters
    ----------
    reference, positions : (n, 3) float, A, or ase.Atoms, which bring their cells and pbc
        The same atoms in the same order; wrapped or not.
    reference_cell, cell : 3 lengths or (3, 3) row vectors, A
    pbc : 3 flags, for arrays (all True)
    cutoff : float, A; another than the default may be in other units, with all other lengths
    definition : "ovito", "paper", "matscipy" or "lammps", see ``plasticity.d2min``

    Returns
    -------
    NonAffine : d2min (n,) A^2, eta (n,) von Mises strain, partners (n,) int32

    Raises
    ------
    InputError : arrays, cells or atoms that cannot be used or do not fit each other; lengths that
        cannot be in A.
    OptionError : an unknown definition, a cutoff that is no length.
    """
    given = (reference, positions if positions is not None else reference_cell)
    are_atoms = [hasattr(one, "get_chemical_symbols") for one in given]
    if not any(are_atoms):
        if any(one is None for one in (reference_cell, positions, cell)):
            raise InputError("give reference_cell, positions and cell with an array of positions, or "
                             "two ase.Atoms")
        return _d2min(reference, reference_cell, positions, cell, (True,) * 3 if pbc is None else pbc,
                      cutoff, definition)
    if not all(are_atoms) or cell is not None or pbc is not None \
            or positions is not None and reference_cell is not None:
        raise InputError("give two ase.Atoms and no cell or pbc, which they bring, or arrays with "
                         "their cells")
    before, after = given
    if len(before) != len(after):
        raise InputError(f"{len(before)} atoms in the reference, {len(after)} now: D2min compares "
                         f"the same atoms")
    symbols = [np.array(one.get_chemical_symbols()) for one in given]
    other = np.flatnonzero(symbols[0] != symbols[1])
    if other.size:
        k = other[0]
        raise InputError(f"atom {k} is {symbols[0][k]} in the reference and {symbols[1][k]} now: "
                         f"D2min compares the same atoms in the same order")
    if (before.pbc != after.pbc).any():
        raise InputError(f"pbc {before.pbc.tolist()} in the reference and {after.pbc.tolist()} now: "
                         f"give both the same")
    # edges that are missing get a length; they cannot be periodic
    (x0, cell0), (x, cell) = ((one.positions, np.asarray(one.cell.complete())) for one in given)
    return _d2min(x0, cell0, x, cell, before.pbc, cutoff, definition)


def _system(positions: Any, types: Any, cell: Any, pbc: Any,
            elements: Sequence[str] | None) -> tuple[Any, Any, Any, Any, tuple[str, ...]]:
    """Positions, types, cell, pbc and elements from arrays or an ase.Atoms."""
    if not hasattr(positions, "get_chemical_symbols"):
        if types is None or cell is None:
            raise InputError("give types and cell with an array of positions")
        return positions, types, cell, pbc, tuple(elements or ELEMENTS)
    atoms = positions
    symbols = np.array(atoms.get_chemical_symbols())
    present = sorted(set(symbols.tolist()))
    if elements is None:
        elements = ELEMENTS if set(present) <= set(ELEMENTS) else present
    strangers = [s for s in present if s not in elements]
    if strangers:
        raise InputError(f"{strangers[0]} is none of the elements {' '.join(elements)}")
    types = np.zeros(len(symbols), np.int32)
    for k, element in enumerate(elements, start=1):
        types[symbols == element] = k
    # a cluster may have no cell at all: directions that are not periodic need a length only
    return (atoms.positions, types, np.asarray(atoms.cell.complete()), tuple(atoms.pbc),
            tuple(elements))


def _mask(select: Any, n: int) -> Bools | None:
    if select is None:
        return None
    select = np.asarray(select)
    if select.dtype == bool and select.shape != (n,):
        raise InputError(f"select must have shape ({n},), not {select.shape}")
    mask = np.zeros(n, dtype=bool)
    mask[select] = True
    return mask


class SiteFeatures:
    """``featurize`` with the methods of a scikit-learn transformer.

    ``transform`` takes a sequence of ase.Atoms and returns the rows of all their atoms, one
    structure after the other, each normalised by its own means.
    """

    def __init__(self, features: str | Iterable[str] = "table3",
                 elements: Sequence[str] = ELEMENTS) -> None:
        self.features, self.elements = features, elements

    def fit(self, structures: Any = None, y: Any = None) -> Self:
        """Nothing to learn: returns self."""
        return self

    def transform(self, structures: Iterable[Any]) -> Features:
        """(atoms of all structures, n_features) float64."""
        return np.concatenate([featurize(s, features=self.features, elements=self.elements)
                               for s in structures])

    def fit_transform(self, structures: Iterable[Any], y: Any = None) -> Features:
        return self.transform(structures)

    def get_feature_names_out(self, input_features: Any = None) -> AnyArray:
        """(n_features,) object array of names."""
        return np.array(feature_names(self.features, self.elements), dtype=object)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {"features": self.features, "elements": self.elements}

    def set_params(self, **params: Any) -> Self:
        for name, value in params.items():
            if name not in self.get_params():
                raise OptionError(f"SiteFeatures has no parameter {name}")
            setattr(self, name, value)
        return self
