"""One evaluation of a rank: its state in, columns and quantities out.  Knows no engine."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..errors import InputError
from ..families.family import Means
from ..families.vibrations import Watched
from ..flags import NO_REFERENCE, NOT_EVALUATED, NOT_IN_REFERENCE
from ..models.model import SoftnessModel
from ..pipeline import Sites, site_features
from ..plasticity.d2min import NonAffine
from ..plasticity.reference import Reference
from ..system.arrays import Features, Floats, Int32s, Ints
from ..system.atoms import Atoms
from ..system.box import Box, times
from ..system.domain import Domain
from ..system.lengths import Lengths
from ..system.scratch import Scratch, trim
from ..system.units import check_distances
from .columns import Evaluated
from .live import Counts, Monitor
from .ranking import Ranking
from .restart_state import RestartState, Settings, new_identity

# A tilt is known to this part of a box edge, or not at all.
_SURE = 0.35
_LARGE = 1 << 15       # atoms of a rank, from which on the heap's holes matter
# An engine keeps atoms in the box, or near it; one that is so many boxes away is lost.
_MOST_BOXES = 100.0


@dataclass(frozen=True)
class Request:
    """What to compute.  ``None`` for a model: features and D2min only.

    names : features of the model and of the columns.  table : features of the table of all atoms.
    keep : whether the outcome is to have the features; without, a model of many takes less memory.
    threshold : A^2, D2min above which an atom is plastic.
    load : (6,) tensor, or None.  running : whether the present structure is featurized too.
    reach : A, within which all atoms around an owned one are needed.
    """

    settings: Settings
    model: SoftnessModel | None
    elements: tuple[str, ...]
    parameters: Mapping[str, Any]
    names: tuple[str, ...]
    table: tuple[str, ...]
    load: Floats | None
    running: bool
    reach: float
    keep: bool = True
    threshold: float = Lengths.d2_threshold


@dataclass
class Snapshot:
    """A rank's atoms as an engine has them now.  n is the number of owned atoms.

    tags : (n,) int64.  positions : (n, 3) A.  unwrapped : (n, 3) A, from the box's origin, without
    jumps where an atom crosses a periodic face.  shortest : they cannot be known (an old dump), so
    take each displacement as the shortest one.  types : (n,) element numbers, 0 for none.
    number : (n,) int32, each atom's own number in the reference, 0 if it is not in it.
    reference : (n, 3) A, unwrapped, and partners : (n,) int32, how many it had there.
    site : (n,) int32, the flags so far.  watched : {input: (n,) A^2}, of the vibrations.
    quenched : (n,) S^q in the reference, which the engine keeps with the atoms; at first, and if it
    is not kept, None.
    may_flip : the engine's box is one that can be tilted, whether it is so just now or not.
    """

    step: int
    box: Box
    tags: Ints
    positions: Floats
    unwrapped: Floats
    types: Int32s
    number: Int32s
    reference: Floats
    partners: Int32s
    site: Int32s
    watched: Watched = field(default_factory=dict)
    quenched: Floats | None = None
    shortest: bool = False
    may_flip: bool = False


@dataclass
class Outcome:
    """evaluated : Evaluated.  table : Sites or None.
    features : Sites or None; the next evaluation overwrites them.  Without columns unless they were
    to be kept.
    new_reference : the snapshot's structure has become the reference, and its ``number``,
    ``reference``, ``partners`` are to be kept with the atoms.  live : {name: value}.
    counts : live.Counts.  shape : (3, 3) F - 1 of the box since the reference, row vectors, without
    flips."""

    evaluated: Evaluated
    features: Sites | None
    table: Sites | None
    new_reference: bool
    live: dict[str, float]
    counts: Counts
    shape: Floats


class _Scores:
    """softness : (n,) of the atoms whose features have come."""

    def __init__(self, model: SoftnessModel, n: int) -> None:
        self.model, self.softness = model, np.empty(n)

    def __call__(self, at: slice, features: Features) -> None:
        self.softness[at] = self.model.softness(features)


class Evaluator:
    """Kept between the evaluations of one reference.  Every method is collective over ``domain``.

    state : RestartState of the reference, None before the first evaluation.
    seconds : {stage: s} so far.
    nearest : A, median distance to the nearest neighbour in the reference; NaN until it is taken.
    clock : returns seconds in evaluations and seconds altogether since the run began, 0 if none has.
    """

    def __init__(self, domain: Domain, request: Request, state: RestartState | None = None,
                 clock: Callable[[], tuple[float, float]] = lambda: (0.0, 0.0)) -> None:
        self.domain, self.request, self.state = domain, request, state
        self.seconds: dict[str, float] = {}
        self.evaluations = 0
        self.nearest = float("nan")
        self._room = Scratch()
        self._monitor = Monitor(domain, clock, self._room, request.threshold)
        self._reference: Reference | None = None
        self._numbers: Int32s | None = None

    def evaluate(self, snap: Snapshot) -> Outcome:
        """Outcome for ``snap``.

        Raises
        ------
        InputError, OptionError : on all ranks, whichever met it.
        """
        domain, request = self.domain, self.request
        first = self.state is None
        with domain.raise_on_all():
            _check(snap)
        features = table = scores = None
        if first or request.running:
            since = perf_counter()
            atoms = domain.surround(snap.tags, snap.positions, snap.types, snap.box, request.reach)
            if len(snap.tags) >= _LARGE:
                trim()                       # the features need all the memory that they can get
            self._add("halo", since)
            if first:
                self.nearest = check_distances(
                    atoms, domain, request.parameters.get("nearest", Lengths.nearest),
                    request.model.name if request.model else "")
            scores = self._scores(len(snap.tags))
            features = self._features(atoms, request.names, snap.watched, np.float64, self._room,
                                      scores)
            if request.table:
                table = self._features(atoms, request.table, snap.watched, np.float32)
            del atoms
        if first:
            assert features is not None
            self._start(snap, features.means)
        since = perf_counter()
        edges, found = self._nonaffine(snap, first)
        self._add("d2min", since)

        since = perf_counter()
        with domain.raise_on_all():
            softness = self._softness(features, scores, len(snap.tags))
            site = features.flags if features is not None else snap.site & ~(
                NO_REFERENCE | NOT_IN_REFERENCE | NOT_EVALUATED)
            site = (site | np.where(np.isnan(found.d2min), NO_REFERENCE, 0)
                    | np.where(snap.number == 0, NOT_IN_REFERENCE, 0)).astype(np.int32)
        probability = self._probability(softness, first)
        evaluated = Evaluated(softness, probability, found.d2min, found.eta, found.partners, site)
        self._add("model", since)
        since = perf_counter()
        assert self.state is not None
        shape = np.linalg.inv(np.asarray(self.state.edges)) @ edges - np.eye(3)
        measured = self._measure(snap, evaluated, shape, first)
        self._add("live", since)
        self.evaluations += 1
        return Outcome(evaluated, features, table, first, *measured, shape)

    def _measure(self, snap: Snapshot, evaluated: Evaluated, shape: Floats,
                 first: bool) -> tuple[dict[str, float], Counts]:
        reference, monitor = self._reference, self._monitor
        assert reference is not None
        known = snap.number != 0
        quenched = evaluated.softness if first else snap.quenched
        if quenched is None:
            quenched = np.full(len(known), np.nan)
        quenched = np.where(known, quenched, np.nan)
        if not first and monitor.ranking is None:
            monitor.ranking = Ranking(self.domain, reference.at_home(quenched[known]))
        return monitor.measure(evaluated, quenched, reference.d2min, shape)

    def forget_plan(self) -> None:
        """Tell the homes of the reference anew who owns which atom, at the next evaluation."""
        self._numbers = None

    def _features(self, atoms: Atoms, names: tuple[str, ...], watched: Watched,
                  dtype: DTypeLike, room: Scratch | None = None,
                  scores: _Scores | None = None) -> Sites:
        request = self.request
        sites = site_features(
            atoms, self.domain, names, request.elements, self.state.means if self.state else None,
            request.parameters, dtype=dtype, scratch=room, each=scores, load=request.load, **watched)
        for stage, seconds in sites.seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        return sites

    def _scores(self, n: int) -> _Scores | None:
        """Takes the softness while the features are made, where nobody else wants these."""
        model = self.request.model
        if model is None or self.request.keep or model.features != self.request.names:
            return None
        return _Scores(model, n)

    def _softness(self, features: Sites | None, scores: _Scores | None, n: int) -> Floats:
        model = self.request.model
        if model is None or features is None:
            return np.full(n, np.nan)
        if scores is not None:
            return scores.softness
        at = [self.request.names.index(name) for name in model.features]
        whole = at == list(range(features.features.shape[1]))
        return model.softness(features.features if whole else features.features[:, at])

    def _probability(self, softness: Floats, first: bool) -> Floats:
        """At the share of plastic atoms that the reference is to have.  Collective."""
        model = self.request.model
        if model is None:
            return softness
        share = None
        if first:
            counts = self.domain.sum(model.calibration.count_soft(softness))
            share = model.calibration.share_of(*counts)
        return model.probability(softness, share)

    def _start(self, snap: Snapshot, means: Means) -> None:
        """Take ``snap`` as the reference."""
        domain, n_own = self.domain, len(snap.tags)
        n = int(domain.sum([n_own])[0])
        identity = int(domain.max([new_identity() if domain.rank == 0 else 0])[0])
        snap.number[:] = domain.offset(n_own) + 1 + np.arange(n_own)
        snap.reference[:] = snap.unwrapped
        self.state = RestartState.new(self.request.settings, n, snap.box, means,
                                      identity)

    def _nonaffine(self, snap: Snapshot, first: bool) -> tuple[Floats, NonAffine]:
        """(box edges that the reference's have become, NonAffine of the owned atoms)."""
        domain = self.domain
        assert self.state is not None
        known = snap.number != 0
        everything = bool(known.all())
        take = slice(None) if everything else known
        numbers, unwrapped = snap.number[take], snap.unwrapped[take]
        edges = self._continuous_edges(snap, unwrapped, snap.reference[take])
        if snap.shortest:
            with domain.raise_on_all():
                inverse = np.asarray(np.linalg.inv(edges), dtype=np.float64)
                step = times(unwrapped, inverse) - times(
                    snap.reference[take], self.state.box.inverse)
                unwrapped = unwrapped - times(
                    np.where(snap.box.periodic, np.round(step), 0.0), edges)
        if self._reference is None:
            self._reference = Reference(domain, self.state.box, self.request.settings.d2_cutoff)
        changed = self._numbers is None or not np.array_equal(numbers, self._numbers)
        if domain.max([float(changed)])[0]:
            expected = None if first else snap.partners[take]
            if first:
                self._room.forget()          # the partners are found but once, with much memory
            found = self._reference.settle(numbers, snap.reference[take], expected)
            if first:
                snap.partners[take] = found
                trim()
            self._numbers = numbers.copy()
        out = self._reference.measure(unwrapped, edges, self._room)
        if everything:
            return edges, out
        spread = [np.full(len(known), np.nan), np.full(len(known), np.nan),
                  np.zeros(len(known), np.int32)]
        for all_of, some in zip(spread, out):
            all_of[known] = some
        return edges, NonAffine(*spread)

    def _continuous_edges(self, snap: Snapshot, unwrapped: Floats, reference: Floats) -> Floats:
        """(3, 3) A, the box edges that the reference's have become.

        A tilted box may flip to an equivalent one.  Unwrapped positions go on smoothly there, so
        the best affine map from the reference to them tells how often it has.  Where it does not
        tell (too few atoms, or a melt that has flowed far), the latest evaluation's edges do.
        """
        assert self.state is not None
        box, edges = snap.box, snap.box.edges
        lower = (1, 2, 2), (0, 0, 1)
        # a flipped box may have no tilt at this very step
        tilted = snap.may_flip or edges[lower].any() or np.asarray(self.state.edges)[lower].any()
        if not tilted:
            return edges
        near = [np.asarray(self.state.last) @ box.inverse]
        if not snap.shortest:
            near.insert(0, self._mapped_edges(unwrapped, reference) @ box.inverse)
        for turn in near:
            tilt = turn[lower]
            if np.isfinite(tilt).all() and abs(tilt - np.round(tilt)).max() <= _SURE:
                whole = np.eye(3)
                whole[lower] = np.round(tilt)
                edges = whole @ edges
                if not np.array_equal(edges, self.state.last):
                    self.state = self.state.moved_on(edges)
                return edges
        with self.domain.raise_on_all():
            raise InputError(
                f"step {snap.step}: the tilted box has changed so much since the latest evaluation "
                f"that its flips cannot be counted, and the atoms do not tell: evaluate more often")

    def _mapped_edges(self, unwrapped: Floats, reference: Floats) -> Floats:
        """Edges of the reference under the best affine map from it to the present positions."""
        assert self.state is not None
        middle = np.asarray(self.state.edges).sum(axis=0) / 2.0
        x, y = reference - middle, unwrapped - middle
        with np.errstate(all="ignore"):
            sums = self.domain.sum(np.concatenate([
                [len(x)], x.sum(axis=0), y.sum(axis=0), np.einsum("ia,ib->ab", x, x).ravel(),
                np.einsum("ia,ib->ab", x, y).ravel()]))
            n, sx, sy = sums[0], sums[1:4], sums[4:7]
            xx = sums[7:16].reshape(3, 3) - np.outer(sx, sx) / n
            xy = sums[16:].reshape(3, 3) - np.outer(sx, sy) / n
            if n < 4 or not np.linalg.cond(xx) < 1e8:
                return np.full((3, 3), np.nan)
            return np.asarray(self.state.edges) @ np.linalg.solve(xx, xy)

    def _add(self, stage: str, since: float) -> None:
        self.seconds[stage] = self.seconds.get(stage, 0.0) + perf_counter() - since


def _check(snap: Snapshot) -> None:
    """InputError for atoms that cannot be known apart or placed."""
    if len(snap.tags) and snap.tags.min() < 1:
        raise InputError("the atoms have no IDs: remove atom_modify id no")
    bad = np.flatnonzero(~np.isfinite(snap.positions).all(axis=1))
    if bad.size:
        raise InputError(f"step {snap.step}: atom {snap.tags[bad[0]]} has a coordinate that is not "
                         f"finite: {snap.positions[bad[0]].tolist()}")
    most = _MOST_BOXES * np.abs(snap.box.edges).sum(axis=0).max()
    far = np.flatnonzero(np.abs(snap.positions - snap.box.origin).max(axis=1) > most)
    if far.size:
        raise InputError(f"step {snap.step}: atom {snap.tags[far[0]]} is at "
                         f"{snap.positions[far[0]].tolist()}, far outside the box: the "
                         f"simulation has blown up")
