"""Softness models: one readable file of data, checked before use, evaluated without LightGBM."""
import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from .._kernels import scorers as _scorers
from ..catalogue import DEFINITION, by_name
from ..errors import ModelError

FORMAT, SCHEMA = "mgml-model", 2
MAX_BYTES = 64 << 20
SHIPPED = Path(__file__).parent


@dataclass(frozen=True)
class Forest:
    """Trees laid end to end; a child below 0 is ~leaf.  See ``trees.raw_scores``."""

    root: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    kind: np.ndarray
    left: np.ndarray
    right: np.ndarray
    leaf: np.ndarray
    shallow: tuple | None = None       # the same as (feature, threshold, leaf), if two levels do

    @classmethod
    def from_lightgbm(cls, text, n_features):
        """Read LightGBM's model text; ModelError if it is not a sound set of trees."""
        blocks = text.split("\nTree=")
        header = dict(line.split("=", 1) for line in blocks[0].splitlines() if "=" in line)
        if header.get("num_class") != "1" or int(header.get("max_feature_idx", -2)) + 1 != n_features:
            raise ModelError(f"the trees are not of one class and {n_features} features")
        root, columns, leaves = [], [[], [], [], [], []], []
        n_nodes = n_leaves = 0
        for number, block in enumerate(blocks[1:]):
            tree = dict(line.split("=", 1) for line in block.split("\n\n")[0].splitlines()[1:]
                        if "=" in line)
            if tree.get("num_cat", "0") != "0" or tree.get("is_linear", "0") != "0":
                raise ModelError(f"tree {number}: categorical splits and linear leaves are not used")
            leaf = _numbers(tree, "leaf_value", number)
            leaves.append(leaf)
            if len(leaf) == 1:
                root.append(~n_leaves)
                n_leaves += 1
                continue
            parts = [_numbers(tree, key, number) for key in (
                "split_feature", "threshold", "decision_type", "left_child", "right_child")]
            n = len(leaf) - 1
            if any(len(p) != n for p in parts):
                raise ModelError(f"tree {number}: {len(leaf)} leaves need {n} splits")
            left, right = parts[3], parts[4]
            children = np.concatenate([left, right])
            # every node but the root and every leaf is somebody's child once, and children come
            # after their parent: so each walk ends
            if (sorted(children) != list(range(-n - 1, 0)) + list(range(1, n))
                    or (np.r_[left[left >= 0] <= np.flatnonzero(left >= 0),
                              right[right >= 0] <= np.flatnonzero(right >= 0)]).any()
                    or not ((parts[0] >= 0) & (parts[0] < n_features)).all()
                    or np.isnan(parts[1]).any()
                    or not np.isin(parts[2], (0, 2, 4, 6, 8, 10)).all()):
                raise ModelError(f"tree {number} is damaged")
            root.append(n_nodes)
            for p in (left, right):
                p[:] = np.where(p >= 0, p + n_nodes, p - n_leaves)
            for column, p in zip(columns, parts):
                column.append(p)
            n_nodes += n
            n_leaves += n + 1
        if not root:
            raise ModelError("the model has no trees")

        def flat(k, dtype):
            return np.concatenate(columns[k]).astype(dtype) if columns[k] else np.empty(0, dtype)
        forest = cls(np.array(root, np.int32), flat(0, np.int32), flat(1, np.float64),
                     flat(2, np.uint8), flat(3, np.int32), flat(4, np.int32),
                     np.concatenate(leaves))
        return replace(forest, shallow=forest._two_levels())

    def _two_levels(self):
        """feature, threshold (n_trees, 3) and leaf (n_trees, 4), or None if trees are deeper or
        treat gaps apart.  What ends sooner is filled up with splits that all rows pass."""
        if (self.kind & 12).any():
            return None
        feature = np.zeros((len(self.root), 3), np.int32)
        threshold = np.full((len(self.root), 3), np.inf)
        leaf = np.empty((len(self.root), 4))
        for t, root in enumerate(self.root):
            children = (root, root) if root < 0 else (self.left[root], self.right[root])
            if root >= 0:
                feature[t, 0], threshold[t, 0] = self.feature[root], self.threshold[root]
            for side, child in enumerate(children):
                ends = (child, child)
                if child >= 0:
                    ends = self.left[child], self.right[child]
                    feature[t, 1 + side] = self.feature[child]
                    threshold[t, 1 + side] = self.threshold[child]
                if max(ends) >= 0:
                    return None
                leaf[t, 2 * side:2 * side + 2] = self.leaf[~ends[0]], self.leaf[~ends[1]]
        return feature, threshold, leaf

    def raw_scores(self, features):
        """(n,) raw margins of the rows of ``features`` (n, n_features)."""
        out, features = np.empty(len(features)), np.ascontiguousarray(features, dtype=np.float64)
        if self.shallow is None:
            _scorers.raw_scores(features, self.root, self.feature, self.threshold, self.kind,
                              self.left, self.right, self.leaf, out)
        elif _scorers.shallow_scores(features, *self.shallow, out):
            raise MemoryError("no memory for the rows of a forest")
        return out


def _numbers(tree, key, number):
    try:
        values = np.array(tree[key].split(), dtype=np.float64)
    except (KeyError, ValueError):
        raise ModelError(f"tree {number}: {key} is missing or not numbers") from None
    if key == "leaf_value" and (not len(values) or not np.isfinite(values).all()):
        raise ModelError(f"tree {number}: a leaf is not finite")
    if key not in ("leaf_value", "threshold") and (values != np.round(values)).any():
        raise ModelError(f"tree {number}: {key} is not whole numbers")
    return values


@dataclass(frozen=True)
class Linear:
    """Weights (n_elements, n_features) and intercept (n_elements,) of each element's own sites.

    The first feature is ``element_type``; it chooses the row.
    """

    weights: np.ndarray
    intercept: np.ndarray

    @classmethod
    def from_card(cls, content, features, n_elements):
        """ModelError unless there are finite weights for every element and feature."""
        weights = np.array(content["weights"], dtype=np.float64)
        intercept = np.array(content["intercept"], dtype=np.float64)
        if features[:1] != ("element_type",):
            raise ModelError("the first feature of linear weights must be element_type")
        if weights.shape != (n_elements, len(features)) or intercept.shape != (n_elements,):
            raise ModelError(f"the weights are not those of {n_elements} elements and "
                             f"{len(features)} features")
        if not (np.isfinite(weights).all() and np.isfinite(intercept).all()):
            raise ModelError("a weight is not finite")
        return cls(weights, intercept)

    def raw_scores(self, features):
        """(n,) margins of the rows of ``features`` (n, n_features)."""
        out, features = np.empty(len(features)), np.ascontiguousarray(features, dtype=np.float64)
        kinds = features[:, 0]
        if len(kinds) and not 0 <= kinds.min() <= kinds.max() < len(self.weights):
            raise ModelError("a site's element_type is none of the model's elements")
        _scorers.linear_scores(features, self.weights, self.intercept, out)
        return out


@dataclass(frozen=True)
class SoftnessModel:
    """A trained model and all that one must know to use it.  ``card`` is the file without trees.

    ``scorer``: the Forest or Linear that makes margins.  ``knots`` (2, n): margins and the
    probabilities (balanced prior) at them, linear in between.
    """

    name: str
    elements: tuple
    features: tuple
    parameters: dict
    natural_share: float
    knots: np.ndarray
    scorer: Forest | Linear
    checksum: str
    card: dict = field(repr=False)

    def margins(self, features):
        """(n,) scores before calibration; NaN where a feature is NaN."""
        defined = ~np.isnan(features).any(axis=1)
        if defined.all():
            return self.scorer.raw_scores(features)
        out = np.full(len(features), np.nan)
        out[defined] = self.scorer.raw_scores(features[defined])
        return out

    def softness(self, features):
        """(n,) S^q in [0, 1], balanced prior; NaN where a feature is NaN."""
        return np.interp(self.margins(features), *self.knots)

    def probability(self, softness):
        """S^q moved from equal classes to the natural share of plastic atoms (Dal Pozzolo 2015)."""
        odds = self.natural_share / (1.0 - self.natural_share)
        return odds * softness / (odds * softness + (1.0 - softness))


def checksum_of(card):
    payload = {k: v for k, v in card.items() if k != "checksum"}
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def with_envelope(card):
    """``card`` with format, versions and checksum."""
    card = {**card, "format": FORMAT, "schema": SCHEMA, "feature_definition": DEFINITION}
    return {**card, "checksum": checksum_of(card)}


def save_model(path, card):
    """Write ``card`` (with ``trees`` or ``linear``) and its checksum, whole or not at all."""
    import os

    card = with_envelope(card)
    part = Path(f"{path}.part")
    from_card(card, str(path))
    part.write_text(json.dumps(card, indent=1))
    os.replace(part, path)


def shipped_models():
    return sorted(p.stem for p in SHIPPED.glob("*.mgml"))


def load_model(name):
    """Load a shipped model by name, or a model file by path.

    Raises
    ------
    ModelError : no such model, not a model file, damaged, or of another feature definition.
    """
    name = str(name)
    path = SHIPPED / f"{name}.mgml" if name in shipped_models() else Path(name)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path} is larger than {MAX_BYTES >> 20} MiB: not a model file")
        card = json.loads(path.read_bytes())
    except ModelError:
        raise
    except OSError as e:
        raise ModelError(f"model {name!r}: {e.strerror or e}; shipped models: "
                         f"{', '.join(shipped_models()) or 'none'}, or give a file's path") from None
    except (ValueError, RecursionError):
        raise ModelError(f"{path} is not a model file (JSON is expected)") from None
    return from_card(card, str(path))


def from_card(card, where):
    """SoftnessModel from the content of a model file; ModelError names what is wrong."""
    def wrong(what):
        raise ModelError(f"{where}: {what}")

    if not isinstance(card, dict) or card.get("format") != FORMAT:
        wrong(f"not a model file ({FORMAT} is expected)")
    if card.get("schema") != SCHEMA:
        wrong(f"schema {card.get('schema')!r}; this version reads {SCHEMA}: install the version "
              f"that wrote it")
    if card.get("checksum") != checksum_of(card):
        wrong("checksum does not match: the file is damaged or was edited; fetch it again")
    if card.get("feature_definition") != DEFINITION:
        wrong(f"trained on feature definition {card.get('feature_definition')!r}, this version "
              f"computes {DEFINITION}: train it again")
    try:
        features, elements = tuple(card["features"]), tuple(map(str, card["elements"]))
        knots = np.array([card["calibration"]["margin"], card["calibration"]["probability"]],
                         dtype=np.float64)
        model = SoftnessModel(
            name=str(card["name"]), elements=elements, features=features,
            parameters={k: float(card["parameters"][k])
                        for k in ("near_cutoff", "open_radius", "small_facet")},
            natural_share=float(card["natural_share"]), knots=knots,
            scorer=(Linear.from_card(card["linear"], features, len(elements)) if "linear" in card
                    else Forest.from_lightgbm(card["trees"], len(features))),
            checksum=card["checksum"], card={k: v for k, v in card.items() if k != "trees"})
    except ModelError as e:
        wrong(str(e))
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        wrong(f"{type(e).__name__}: {e}")
    if not 0 < model.natural_share < 1 or not model.elements:
        wrong("natural share or elements are out of range")
    if (not features or set(features) - set(by_name(model.elements))
            or len(set(features)) != len(features)):
        wrong("it asks for features that this version does not compute")
    if (knots.ndim != 2 or knots.shape[1] < 1 or not np.isfinite(knots).all()
            or (np.diff(knots[0]) <= 0).any() or (np.diff(knots[1]) < 0).any()
            or knots[1].min() < 0 or knots[1].max() > 1):
        wrong("the calibration does not rise from 0 to 1")
    masses = card.get("masses")
    if not (isinstance(masses, list) and len(masses) == len(model.elements)
            and all(isinstance(m, (int, float)) and m > 0 for m in masses)):
        wrong("masses do not fit the elements")
    return model
