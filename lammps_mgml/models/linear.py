"""Weights for each element's own sites."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .._kernels import scorers as _scorers
from ..errors import InputError, ModelError
from ..system.arrays import Features, Floats
from ..system.threads import threads
from .checks import a_list, an_object, entry, numbers
from .scorers import register, rows_of


@register
@dataclass(frozen=True)
class Linear:
    """Weights (n_elements, n_features) and intercept (n_elements,) of each element's own sites.

    The first feature is ``element_type``; it chooses the row.
    """

    entry: ClassVar[str] = "linear"
    in_card: ClassVar[bool] = True

    weights: Floats
    intercept: Floats

    @classmethod
    def from_card(cls, content: Any, features: tuple[str, ...], n_elements: int) -> Linear:
        """From {"weights": n_elements lists of n_features numbers, "intercept": n_elements numbers}.

        Raises
        ------
        ModelError : the first feature is not element_type, or there are not finite weights for
        every element and feature.
        """
        an_object(content, "linear")
        rows = a_list(entry(content, "weights", "linear."), "linear.weights", n_elements)
        weights = [numbers(row, f"linear.weights[{k}]", len(features)) for k, row in enumerate(rows)]
        intercept = numbers(entry(content, "intercept", "linear."), "linear.intercept", n_elements)
        if features[:1] != ("element_type",):
            raise ModelError("the first feature of linear weights must be element_type")
        if ([len(row) for row in weights] != [len(features)] * n_elements
                or len(intercept) != n_elements):
            raise ModelError(f"the weights are not those of {n_elements} elements and "
                             f"{len(features)} features")
        return cls(np.array(weights), intercept)

    def raw_scores(self, features: Features) -> Floats:
        """(n,) margins of the rows of ``features`` (n, n_features); NaN where element_type is NaN.

        Raises
        ------
        ModelError : an element_type is none of the model's elements.
        InputError : another number of features.
        """
        features = rows_of(features, self.weights.shape[1])
        out = np.empty(len(features))
        _scorers.linear_scores(features, self.weights, self.intercept, out, threads())
        undefined = np.isnan(out)
        if undefined.any():
            kinds = features[undefined, 0]
            strange = kinds[~np.isnan(kinds) & ~np.isin(kinds, np.arange(len(self.weights)))]
            if len(strange):
                raise ModelError(f"a site's element_type is none of the model's elements: "
                                 f"{strange[0]:g} is not one of 0 to {len(self.weights) - 1}")
        return out

    def contributions(self, features: Features, background: Features) -> tuple[Floats, float]:
        """(what each feature adds to each row's margin (n, n_features), base value).

        A feature adds its weight times what it is above the mean of the same element in
        ``background``; ``element_type`` what the mean margin of the element is above that of all.
        Base value: the mean margin of ``background``.

        Raises
        ------
        ModelError : an element_type is none of the model's elements.
        InputError : another number of features; an element that ``background`` does not have.
        """
        rows = rows_of(features, self.weights.shape[1])
        self.raw_scores(rows)                # all elements are known
        among = rows_of(background, self.weights.shape[1])
        level = self.raw_scores(among)
        base, kinds = float(level.mean()) if len(level) else math.nan, among[:, 0]
        out = np.empty_like(rows)
        for e, weights in enumerate(self.weights):
            own, others = rows[:, 0] == e, kinds == e
            if not own.any():
                continue
            if not others.any():
                raise InputError(f"no atom of type {e + 1} to compare with: contributions are what "
                                 f"features are above the mean of the same element")
            out[own] = weights * (rows[own] - among[others].mean(axis=0))
            out[own, 0] = level[others].mean() - base
        return out, base
