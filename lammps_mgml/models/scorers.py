"""What makes margins of features, and the kinds there are of it."""
from __future__ import annotations

from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np

from ..errors import InputError
from ..system.arrays import Features, Floats


class Scorer(Protocol):
    """One kind of model.

    entry : name of the entry of a model file that holds it, another one for each kind.
    in_card : whether the entry stays in ``SoftnessModel.card`` (False for what is long and says
        nothing to a reader).
    """

    entry: ClassVar[str]
    in_card: ClassVar[bool]

    @classmethod
    def from_card(cls, content: Any, features: tuple[str, ...], n_elements: int) -> Scorer:
        """The scorer of what the entry holds: any JSON value, also a hostile one.

        features : their names, in the order of the columns that ``raw_scores`` gets.

        Raises
        ------
        ModelError : the content is not sound.  It says which part and what is allowed there; the
        caller puts the file's name in front.
        """

    def raw_scores(self, features: Features) -> Floats:
        """(n,) float64 margins of the rows of ``features`` (n, n_features), which may be float32.

        A row's margin must not depend on the other rows, nor on the number of threads.
        """


@runtime_checkable
class Explained(Protocol):
    """A Scorer that tells, besides, what each feature adds to a margin."""

    def contributions(self, features: Features, background: Features) -> tuple[Floats, float]:
        """((n, n_features) what each feature adds to the margins of the rows, base value).

        Base value plus the sum of a row is the row's margin.  background : (m, n_features), the
        rows that ``features`` are compared with, for kinds that keep none of the training.
        """


KINDS: dict[str, type[Scorer]] = {}          # entry of the model file -> class
_Kind = TypeVar("_Kind", bound=type[Scorer])


def register(kind: _Kind) -> _Kind:
    """Decorator: model files may hold this kind of Scorer.

    Raises
    ------
    ValueError : the entry belongs to another kind.
    """
    other = KINDS.setdefault(kind.entry, kind)
    if other is not kind:
        raise ValueError(f"entry {kind.entry!r} of model files belongs to {other.__name__}")
    return kind


def rows_of(features: Features, n_features: int) -> Floats:
    """``features`` as (n, n_features) float64, rows one after another, as the kernels take them.

    Raises
    ------
    InputError : the shape is another one.  A kernel would read beyond the array.
    """
    rows = np.ascontiguousarray(features, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != n_features:
        raise InputError(f"features must have shape (n, {n_features}) for this model, not "
                         f"{rows.shape}")
    return rows
