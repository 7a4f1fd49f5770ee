"""Boosted trees of LightGBM, evaluated without LightGBM."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .._kernels import scorers as _scorers
from ..errors import ModelError
from ..system.arrays import AnyArray, Bools, Bytes, Features, Floats, Int32s, Ints
from ..system.threads import threads
from .checks import LARGEST, kind_of, shown
from .scorers import register, rows_of

MAX_TREES = 3000
MAX_LEAVES = 4096              # of one tree
MAX_LINES = 64                 # of the text of one tree, and of the head; LightGBM writes about 20
MAX_BLOCK = 2 << 20            # characters of the same
ZERO = 1.0000000180025095e-35  # LightGBM's kZeroThreshold, 1e-35f
ENTRIES_AT_ONCE = 1 << 20      # of rows by paths, for contributions


@register
@dataclass(frozen=True)
class Forest:
    """Trees laid end to end; a child below 0 is ~leaf.  See ``raw_scores`` of the kernel.

    root (n_trees,) int32; feature, left, right int32, threshold float64, kind uint8, all
    (n_nodes,); leaf (n_leaves,) float64.  n_features: columns that ``feature`` numbers.
    passed: rows of the training that came to each node and to each leaf, if the text tells so
    soundly.
    """

    entry: ClassVar[str] = "trees"
    in_card: ClassVar[bool] = False

    root: Int32s
    feature: Int32s
    threshold: Floats
    kind: Bytes
    left: Int32s
    right: Int32s
    leaf: Floats
    n_features: int
    # the same as (feature, threshold, leaf), if two levels do
    shallow: tuple[Int32s, Floats, Floats] | None = None
    passed: tuple[Floats, Floats] | None = None

    @classmethod
    def from_card(cls, content: Any, features: tuple[str, ...], n_elements: int) -> Forest:
        """From LightGBM's model text.

        Raises
        ------
        ModelError : see ``from_lightgbm``.
        """
        if not isinstance(content, str):
            raise ModelError(f"trees must be LightGBM's text of a model, not {kind_of(content)}")
        return cls.from_lightgbm(content, len(features))

    @classmethod
    def from_lightgbm(cls, text: str, n_features: int) -> Forest:
        """Read LightGBM's model text.

        Raises
        ------
        ModelError : it is not a sound set of at most MAX_TREES trees of ``n_features`` features:
        each walk from a root must end in a leaf.  The tree is named.
        """
        n_trees = text.count("\nTree=")
        if n_trees > MAX_TREES:
            raise ModelError(f"the model has {n_trees} trees; at most {MAX_TREES} are read")
        blocks = text.split("\nTree=")
        header = _entries(blocks[0], "the head of the trees")
        if (header.get("num_class") != "1"
                or header.get("max_feature_idx", "").strip() != str(n_features - 1)):
            raise ModelError(f"the trees are not of one class and {n_features} features")
        announced = header["tree_sizes"].count(" ") + 1 if header.get("tree_sizes") else n_trees
        if announced != n_trees:
            raise ModelError(f"{announced} trees are announced, but there are {n_trees}")
        root: list[int] = []
        columns: list[list[Floats]] = [[], [], [], [], []]
        leaves: list[Floats] = []
        passed: list[tuple[Floats, Floats] | None] = []
        n_nodes = n_leaves = 0
        for number, block in enumerate(blocks[1:]):
            # the line of the tree's own number goes first; after an empty line comes what is no tree
            body = block.partition("\n\n")[0].partition("\n")[2]
            tree = _entries(body, f"tree {number}")
            if tree.get("num_cat", "0") != "0" or tree.get("is_linear", "0") != "0":
                raise ModelError(f"tree {number}: categorical splits and linear leaves are not used")
            leaf = _numbers(tree, "leaf_value", number)
            if tree.get("num_leaves", str(len(leaf))).strip() != str(len(leaf)):
                raise ModelError(f"tree {number}: {shown(tree['num_leaves'])} leaves are announced, "
                                 f"but there are {len(leaf)}")
            leaves.append(leaf)
            if len(leaf) == 1:
                root.append(~n_leaves)
                passed.append((np.empty(0), np.ones(1)))
                n_leaves += 1
                continue
            parts = [_numbers(tree, key, number) for key in (
                "split_feature", "threshold", "decision_type", "left_child", "right_child")]
            n = len(leaf) - 1
            if any(len(p) != n for p in parts):
                raise ModelError(f"tree {number}: {len(leaf)} leaves need {n} splits")
            left, right = parts[3], parts[4]
            own, children = np.arange(n), np.sort(np.concatenate([left, right]))
            # every node but the root and every leaf is somebody's child once, and children come
            # after their parent: so each walk ends
            if ((children != np.concatenate([np.arange(-n - 1, 0), own[1:]])).any()
                    or ((left >= 0) & (left <= own)).any() or ((right >= 0) & (right <= own)).any()
                    or not ((parts[0] >= 0) & (parts[0] < n_features)).all()
                    or np.isnan(parts[1]).any()
                    or ((parts[2] < 0) | (parts[2] > 10) | (parts[2] % 2 != 0)).any()):
                raise ModelError(f"tree {number} is damaged")
            passed.append(_passed(tree, number, left, right))
            root.append(n_nodes)
            for p in (left, right):
                p[:] = np.where(p >= 0, p + n_nodes, p - n_leaves)
            for column, p in zip(columns, parts):
                column.append(p)
            n_nodes += n
            n_leaves += n + 1
        if not root:
            raise ModelError("the model has no trees")

        def flat(k: int, dtype: type[np.generic]) -> AnyArray:
            return np.concatenate(columns[k]).astype(dtype) if columns[k] else np.empty(0, dtype)
        forest = cls(np.array(root, np.int32), flat(0, np.int32), flat(1, np.float64),
                     flat(2, np.uint8), flat(3, np.int32), flat(4, np.int32),
                     np.concatenate(leaves), n_features)
        counts = [c for c in passed if c is not None]
        if len(counts) == n_trees:
            forest = replace(forest, passed=(np.concatenate([c[0] for c in counts]),
                                             np.concatenate([c[1] for c in counts])))
        return replace(forest, shallow=forest._two_levels())

    def _two_levels(self) -> tuple[Int32s, Floats, Floats] | None:
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

    def raw_scores(self, features: Features) -> Floats:
        """(n,) raw margins of the rows of ``features`` (n, n_features).

        Raises
        ------
        InputError : another number of features.
        """
        features = rows_of(features, self.n_features)
        out = np.empty(len(features))
        if self.shallow is None:
            _scorers.raw_scores(features, self.root, self.feature, self.threshold, self.kind,
                                self.left, self.right, self.leaf, out, threads())
        elif _scorers.shallow_scores(features, *self.shallow, out, threads()):
            raise MemoryError("no memory for the rows of a forest")
        return out


    def contributions(self, features: Features, background: Features) -> tuple[Floats, float]:
        """(what each feature adds to each row's margin (n, n_features), base value).

        Shapley values, exactly, of the game in which a tree is walked with the known features, and
        at a split by an unknown one both ways are taken by the shares of the training rows that
        went there: tree SHAP, path-dependent (Lundberg et al., Nature Machine Intelligence 2, 56,
        2020), as ``Booster.predict(pred_contrib=True)`` of LightGBM.  Base value: the mean margin
        of the rows of the training, of each tree's own draw.  ``background`` plays no part.

        Raises
        ------
        ModelError : the model's text does not tell how many rows of the training went where.
        InputError : another number of features.
        """
        rows = rows_of(features, self.n_features)
        if self.passed is None:
            raise ModelError("the trees do not tell how many rows of the training went where "
                             "(leaf_count, internal_count), of which contributions are made: train "
                             "the model again")
        out = np.zeros((len(rows), self.n_features))
        base = float(self.leaf[~self.root[self.root < 0]].sum())
        for paths in self._paths():
            base += float((self.leaf[paths.leaf] * paths.share.prod(axis=1)).sum())
            at_once = max(1, ENTRIES_AT_ONCE // paths.share.size)
            for first in range(0, len(rows), at_once):
                at = slice(first, first + at_once)
                self._add_paths(rows[at], paths, out[at])
        return out, base

    def _add_paths(self, rows: Floats, paths: _Paths, out: Floats) -> None:
        """Add to ``out`` (n, n_features) what the leaves of ``paths`` give to the features.

        A leaf counts by the product over the features on its path of 1 or 0 (known: whether the
        row goes this way) or of ``share`` (unknown).  The Shapley value of a factor of a product is
        an integral over t of the others, t known + (1 - t) unknown: of a polynomial, which Gauss'
        points give exactly.
        """
        v = rows[:, self.feature[paths.node]]
        off = _goes_left(v, self.threshold[paths.node], self.kind[paths.node]) != paths.left
        known = 1.0 - np.logical_or.reduceat(off, paths.first, axis=1)
        known = known.reshape(len(rows), *paths.share.shape)
        d = paths.share.shape[1]
        points, weights = np.polynomial.legendre.leggauss((d + 1) // 2)
        value = np.zeros_like(known)
        for t, weight in zip((points + 1) / 2, weights / 2):
            factor = t * known + (1 - t) * paths.share
            others = np.ones_like(factor)
            for k in range(1, d):            # products of those before, and of those after
                others[:, :, k] = others[:, :, k - 1] * factor[:, :, k - 1]
            after = np.ones(factor.shape[:2])
            for k in range(d - 1, -1, -1):
                others[:, :, k] *= after
                after = after * factor[:, :, k]
            value += weight * others
        value *= (known - paths.share) * self.leaf[paths.leaf][:, None]
        flat = value.reshape(len(rows), -1)[:, paths.order]
        out[:, paths.columns] += np.add.reduceat(flat, paths.starts, axis=1)

    def _paths(self) -> Iterator[_Paths]:
        """All ways from a root to a leaf, together those on which as many features are met."""
        assert self.passed is not None
        by_length: dict[int, list[_Way]] = {}
        for root in self.root:
            ways: list[_Way] = [(int(root), {})]
            while ways:
                node, met = ways.pop()
                if node < 0:
                    if met:
                        by_length.setdefault(len(met), []).append((~node, met))
                    continue
                feature = int(self.feature[node])
                share, turns = met.get(feature, (1.0, []))
                for left, child in ((True, self.left[node]), (False, self.right[node])):
                    came = self.passed[0][child] if child >= 0 else self.passed[1][~child]
                    ways.append((int(child), {**met, feature: (
                        share * came / self.passed[0][node], [*turns, (node, left)])}))
        for length in sorted(by_length):
            most = max(1, ENTRIES_AT_ONCE // (16 * length))
            found = by_length[length]
            for first in range(0, len(found), most):
                yield _Paths.of(found[first:first + most])


# Node or leaf that is come to, and of each feature that was met: the share of the training rows that
# went this way at its splits, and (node, whether to the left) of these.
_Way = tuple[int, dict[int, tuple[float, list[tuple[int, bool]]]]]


class _Paths(NamedTuple):
    """Ways to leaves on each of which d features are met.

    leaf : (m,).  share : (m, d), of the training rows that go this way at the splits by the feature.
    node, left : of each split, the path's features one after the other; first : (m d,) where the
    splits of each begin.  order : (m d,) the entries sorted by feature; columns : the features;
    starts : where each begins there.
    """

    leaf: Ints
    share: Floats
    node: Ints
    left: Bools
    first: Ints
    order: Ints
    columns: Ints
    starts: Ints

    @classmethod
    def of(cls, found: list[_Way]) -> _Paths:
        entries = [(feature, *entry) for _, met in found for feature, entry in met.items()]
        turns = [turn for _, _, taken in entries for turn in taken]
        count = np.array([len(taken) for _, _, taken in entries])
        feature = np.array([f for f, _, _ in entries])
        order = np.argsort(feature, kind="stable")
        columns, starts = np.unique(feature[order], return_index=True)
        return cls(np.array([leaf for leaf, _ in found]),
                   np.array([share for _, share, _ in entries]).reshape(len(found), -1),
                   np.array([node for node, _ in turns]), np.array([left for _, left in turns]),
                   np.cumsum(count) - count, order, columns, starts)


def _goes_left(v: Floats, threshold: Floats, kind: Bytes) -> Bools:
    """Whether values (n, m) go left at m nodes; as the kernel (see there)."""
    missing = kind & 12
    gap = np.isnan(v)
    zero = (abs(v) <= ZERO) | gap & (missing != 8)
    with np.errstate(invalid="ignore"):
        left: Bools = np.where(zero, 0.0, v) <= threshold
    by_default = zero & (missing == 4) | gap & (missing == 8)
    return np.where(by_default, kind & 2 != 0, left)


def _passed(tree: dict[str, str], number: int, left: Floats,
            right: Floats) -> tuple[Floats, Floats] | None:
    """Rows of the training in nodes (n,) and leaves (n + 1,); None if that is not told soundly."""
    try:
        nodes, leaves = (_numbers(tree, key, number) for key in ("internal_count", "leaf_count"))
    except ModelError:
        return None
    if len(nodes) != len(left) or len(leaves) != len(left) + 1 or (nodes <= 0).any() or (
            leaves < 0).any():
        return None
    both = np.concatenate([nodes, leaves[::-1]])          # child -1 is leaf 0
    if (both[left.astype(int)] + both[right.astype(int)] != nodes).any():
        return None
    return nodes, leaves


def _entries(block: str, what: str) -> dict[str, str]:
    """{key: value} of the lines key=value."""
    if len(block) > MAX_BLOCK or block.count("\n") > MAX_LINES:
        raise ModelError(f"{what} is longer than {MAX_LINES} lines or {MAX_BLOCK >> 20} MiB")
    return dict(line.split("=", 1) for line in block.split("\n") if "=" in line)


def _numbers(tree: dict[str, str], key: str, number: int) -> Floats:
    words = tree.get(key, "").split(" ", MAX_LEAVES)
    if len(words) > MAX_LEAVES:
        raise ModelError(f"tree {number}: {key} has more than {MAX_LEAVES} numbers")
    try:
        values = np.array(words, dtype=np.float64)
    except ValueError:
        raise ModelError(f"tree {number}: {key} is missing or not numbers") from None
    if key == "leaf_value":
        if not np.isfinite(values).all():
            raise ModelError(f"tree {number}: a leaf is not finite")
        if abs(values).max() > LARGEST:
            raise ModelError(f"tree {number}: a leaf is beyond {LARGEST:g}")
    elif key != "threshold" and not ((abs(values) < 2**31) & (values == np.round(values))).all():
        raise ModelError(f"tree {number}: {key} is not whole numbers")
    return values
