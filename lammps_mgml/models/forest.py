"""Boosted trees of LightGBM, evaluated without LightGBM."""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from .._kernels import scorers as _scorers
from ..errors import ModelError
from ..system.arrays import AnyArray, Bytes, Features, Floats, Int32s
from ..system.threads import threads
from .checks import LARGEST, kind_of, shown
from .scorers import register, rows_of

MAX_TREES = 3000
MAX_LEAVES = 4096              # of one tree
MAX_LINES = 64                 # of the text of one tree, and of the head; LightGBM writes about 20
MAX_BLOCK = 2 << 20            # characters of the same


@register
@dataclass(frozen=True)
class Forest:
    """Trees laid end to end; a child below 0 is ~leaf.  See ``raw_scores`` of the kernel.

    root (n_trees,) int32; feature, left, right int32, threshold float64, kind uint8, all
    (n_nodes,); leaf (n_leaves,) float64.  n_features: columns that ``feature`` numbers.
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
