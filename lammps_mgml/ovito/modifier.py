"""S^q, D2min and site features as a modifier of OVITO's pipelines.

OVITO Pro lists it by the entry point of pyproject.toml.  In a script:

    from lammps_mgml.ovito.modifier import QuenchInSoftness
    pipeline.modifiers.append(QuenchInSoftness(model="cuzr", reference_frame=0))
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ovito.data import DataCollection
from ovito.pipeline import ModifierInterface
from traits.api import Bool, Float, Int, Str

from ..api import features_of_model, featurize, softness
from ..errors import InputError, OptionError
from ..families.vibrations import Watched, watched_of
from ..features import resolve
from ..models.model import SoftnessModel, load_model
from ..plasticity.d2min import d2min
from ..system.arrays import AnyArray, Floats, Int32s, Ints
from ..system.lengths import Lengths

THRESHOLD = Lengths.d2_threshold       # A^2: plastic above, without a model
FLIPPED = 0.25         # of an edge: a tilt that changed by more may hide a flip of the box


class QuenchInSoftness(ModifierInterface):  # type: ignore[misc]
    """Particle properties, NaN where they are undefined:

    d_sq : S^q of the structure at ``reference_frame``, taken along by each particle's identifier
    d_d2min : A^2, D2min against that frame, plain sum
    d_eta : von Mises invariant of the local Green-Lagrange strain
    c_FAMILY : what each family of the model's features adds to the margin of d_sq, with
        ``contributions``
    d_s : S^q of the present structure, with ``running``
    d_FEATURE : each of ``features``, of the present structure

    and the attributes mgml.plastic (share of particles with D2min above the model's threshold, 5 A^2
    without a model, of those that have one) and mgml.undefined (particles without a D2min).
    Particle types must be named after their elements.
    """

    model = Str("cuzr", label="Model (name or file; none)")
    load = Str("", label="Load, as z compression or xy shear")
    reference_frame = Int(0, label="Reference frame")
    cutoff = Float(0.0, label="Cutoff of D2min (0: the model's, or 4.5 A)")
    running = Bool(False, label="Softness of the present structure, too")
    contributions = Bool(False, label="What each family of features adds to the margin")
    features = Str("", label="Site features (sets and names)")

    def input_caching_hints(self, frame: int, **kwargs: Any) -> list[int]:
        return [frame, self.reference_frame]

    def modify(self, data: DataCollection, *, frame: int, input_slots: Any,
               data_cache: DataCollection, **kwargs: Any) -> None:
        """Raises InputError, OptionError, ModelError; OVITO shows them as the modifier's status."""
        slot = input_slots["upstream"]
        if not 0 <= self.reference_frame < slot.num_frames:
            raise OptionError(f"reference frame {self.reference_frame}: the trajectory has frames 0 "
                              f"to {slot.num_frames - 1}")
        model = None if self.model == "none" else load_model(self.model)
        elements = model.elements if model else None
        lengths = model.lengths if model else Lengths()
        here = _System.of(data, elements)
        # asked for once: the pipeline keeps this frame
        reference = here if frame == self.reference_frame else _System.of(
            slot.compute(self.reference_frame), elements)
        of_here, of_reference = _matched(here, reference)
        particles = data.particles_
        if model is not None:
            for name, known in self._of_reference(model, reference, data_cache).items():
                values = np.full(len(here.x), np.nan)
                values[of_here] = known[of_reference]
                particles.create_property(name, data=values)
            if self.running:
                particles.create_property("d_s", data=softness(
                    *here.arrays, model=model, load=self.load or None, **here.watched))
        found, eta = _d2min(here, reference, of_here, of_reference,
                            self.cutoff or lengths.d2_cutoff)
        particles.create_property("d_d2min", data=found)
        particles.create_property("d_eta", data=eta)
        defined = ~np.isnan(found)
        data.attributes["mgml.undefined"] = int((~defined).sum())
        data.attributes["mgml.plastic"] = (float((found[defined] > lengths.d2_threshold).mean())
                                           if defined.any() else float("nan"))
        if self.features:
            names = resolve(self.features, here.elements)
            more: dict[str, Any] = {**here.watched, **(model.parameters if model else {})}
            table = featurize(*here.arrays, features=names, elements=here.elements,
                              load=self.load or None, **more)
            for name, column in zip(names, table.T):
                particles.create_property(f"d_{name}", data=np.ascontiguousarray(column))

    def _of_reference(self, model: SoftnessModel, reference: _System,
                      cache: DataCollection) -> dict[str, Floats]:
        """{property: (n,)} of the reference, kept in the pipeline's cache for the other frames."""
        key = f"{model.checksum} {self.load} {self.reference_frame} {self.contributions}"
        if cache.attributes.get("mgml.key") != key or len(cache.particles["d_sq"]) != len(
                reference.x):
            kept = cache.create_particles(count=len(reference.x))
            _, features = features_of_model(*reference.arrays, model, self.load or None,
                                            **reference.watched)
            kept.create_property("d_sq", data=model.softness(features))
            if self.contributions:
                why = model.contributions(features)
                for name, column in zip(why.families, why.by_family().T):
                    kept.create_property(f"c_{name}", data=np.ascontiguousarray(column))
            cache.attributes["mgml.key"] = key
        return {name: np.array(column) for name, column in cache.particles.items()
                if name[:2] in ("d_", "c_")}


class _System:
    """Arrays of a DataCollection.

    x : (n, 3) A, from the cell's origin.  types : (n,) numbers of ``elements``.  edges : (3, 3) A,
    row vectors.  ids : (n,) or None.  watched : {input: (n,) A^2}, of
    the vibrations.
    """

    def __init__(self, x: Floats, types: Int32s, elements: tuple[str, ...], edges: Floats,
                 pbc: tuple[bool, ...], ids: Ints | None,
                 watched: Watched) -> None:
        self.x, self.types, self.elements = x, types, elements
        self.edges, self.pbc, self.ids, self.watched = edges, pbc, ids, watched

    @classmethod
    def of(cls, data: DataCollection, elements: Sequence[str] | None) -> _System:
        """System of ``data``; elements: those of the model, in its order, or None for those there.

        Raises
        ------
        InputError : no particles, cell or types; a type without a name, or one that is no element of
            the model.
        """
        particles, cell = data.particles, data.cell
        if particles is None or not particles.count or cell is None or cell.is2D:
            raise InputError("there are no particles in a cell of three dimensions")
        if "Particle Type" not in particles:
            raise InputError("the particles have no types")
        matrix, kinds = np.array(cell[...]), np.array(particles["Particle Type"])
        names = {}
        for number in np.unique(kinds).tolist():
            try:
                names[number] = particles["Particle Type"].type_by_id(number).name
            except KeyError:
                names[number] = ""
            if not names[number] or names[number].startswith("Type "):
                raise InputError(
                    f"particle type {number} has no name, which should be that of its element: name "
                    f"it in the list of particle types (mgml ovito: --elements \"Cu Zr\"), or write "
                    f"the column element into the dump (dump_modify ... element Cu Zr)")
        known = tuple(elements or dict.fromkeys(names[number] for number in sorted(names)))
        for number, name in names.items():
            if name not in known:
                raise InputError(f"particle type {number} is {name}, none of the model's elements "
                                 f"{' '.join(known)}")
        types = np.zeros(len(kinds), dtype=np.int32)
        for number, name in names.items():
            types[kinds == number] = known.index(name) + 1
        ids = np.array(particles.identifiers, dtype=np.int64) if "Particle Identifier" in particles \
            else None
        if ids is not None and len(np.unique(ids)) < len(ids):
            raise InputError("two particles have the same identifier")
        return cls(np.array(particles.positions) - matrix[:, 3], types, known, matrix[:, :3].T.copy(),
                   tuple(map(bool, cell.pbc)), ids,
                   {name: values.copy() for name, values in watched_of(particles).items()})

    @property
    def arrays(self) -> tuple[Floats, Int32s, Floats, tuple[bool, ...]]:
        return self.x, self.types, self.edges, self.pbc


def _matched(here: _System, reference: _System) -> tuple[Ints, Ints]:
    """Rows of the particles that both have, in ``here`` and in ``reference``."""
    if here.ids is None or reference.ids is None:
        if len(here.x) != len(reference.x):
            raise InputError(f"{len(here.x)} particles, {len(reference.x)} in the reference frame, "
                             f"and no identifiers (column id) to match them by")
        rows = np.arange(len(here.x))
        return rows, rows
    _, of_here, of_reference = np.intersect1d(here.ids, reference.ids, assume_unique=True,
                                              return_indices=True)
    if not len(of_here):
        raise InputError("no particle of this frame is in the reference frame")
    order = np.argsort(of_reference)
    return of_here[order], of_reference[order]


def _d2min(here: _System, reference: _System, of_here: Ints, of_reference: Ints,
           cutoff: float) -> tuple[Floats, Floats]:
    """(D2min, strain), (n,) each, of the particles of ``here``; NaN for those that are new, or that
    lost a partner of the reference."""
    turned = abs(here.edges - reference.edges)[[1, 2, 2], [0, 0, 1]] / np.diag(
        reference.edges)[[0, 0, 1]]
    if (turned > FLIPPED).any():
        raise InputError(
            f"the cell is tilted by {turned.max():.2f} of an edge more than in the reference frame: "
            f"LAMMPS may have flipped it in between, which two frames do not show. Take a nearer "
            f"reference frame, or the d_d2min of the run itself, which follows flips")
    found = d2min(reference.x[of_reference], reference.edges, here.x[of_here], here.edges, here.pbc,
                  cutoff)
    value, eta = found.d2min.copy(), found.eta.copy()
    if len(of_reference) < len(reference.x):
        all_of_them = d2min(reference.x, reference.edges, reference.x, reference.edges, here.pbc,
                            cutoff).partners[of_reference]
        lost = found.partners < all_of_them
        value[lost], eta[lost] = np.nan, np.nan
    jump = float(np.linalg.norm(reference.edges, axis=1)[list(here.pbc)].min(initial=np.inf)) / 2
    if (value > jump ** 2).any():
        raise InputError(
            f"D2min of {int((value > jump ** 2).sum())} particles is larger than a jump by half the "
            f"cell would make it: particles went farther than that, or the cell was flipped. Take a "
            f"nearer reference frame, or the d_d2min of the run itself")
    out: tuple[AnyArray, AnyArray] = np.full(len(here.x), np.nan), np.full(len(here.x), np.nan)
    out[0][of_here], out[1][of_here] = value, eta
    return out
