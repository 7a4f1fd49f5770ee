"""Scores of a prediction, with error bars that know that plastic atoms come in clusters."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..progress import track
from ..system.arrays import AnyArray, Bools, Floats, Ints
from ..system.box import Box

REACH = 4.0            # A, of the plastic atoms of an event, for Cu-Zr


LEAST_BLOCKS = 8       # of a glass: fewer tell nothing of how much a score varies


def auc(labels: Bools, scores: AnyArray, weights: Floats | None = None) -> float:
    """Area under the ROC curve; NaN if one class is missing."""
    from sklearn.metrics import roc_auc_score

    labels = np.asarray(labels, dtype=bool)
    if weights is not None:
        keep = weights > 0
        labels, scores, weights = labels[keep], scores[keep], weights[keep]
    if labels.all() or not labels.any():
        return float("nan")
    return float(roc_auc_score(labels, scores, sample_weight=weights))


def bootstrap(blocks: Ints, n: int = 300, seed: int = 0) -> Floats:
    """(n, n_atoms) weights of ``n`` resamplings of whole blocks, with replacement."""
    draws, inverse = drawn_blocks(blocks, n, seed)
    return draws[:, inverse].astype(np.float64)


def drawn_blocks(blocks: Ints, n: int = 300, seed: int = 0) -> tuple[Ints, Ints]:
    """((n, n_blocks) how often each block is drawn, (n_atoms,) column of each atom's block)."""
    rng = np.random.default_rng(seed)
    ids, inverse = np.unique(blocks, return_inverse=True)
    return rng.multinomial(len(ids), np.full(len(ids), 1.0 / len(ids)), size=n), inverse


def resampled_auc(labels: Bools, scores: AnyArray, blocks: Ints, n: int = 300,
                  seed: int = 0) -> Floats:
    """(n,) ``auc`` of the resamplings of ``bootstrap``; NaN where one class is missing.

    The atoms are sorted once, and no (n, n_atoms) weights are held.
    """
    draws, inverse = drawn_blocks(blocks, n, seed)
    order = np.argsort(scores, kind="stable")
    sorted_scores, plastic, column = scores[order], labels[order], inverse[order]
    first = np.searchsorted(sorted_scores, sorted_scores[plastic], side="left")   # ties count half
    last = np.searchsorted(sorted_scores, sorted_scores[plastic], side="right")
    out = np.full(n, np.nan)
    for k, draw in enumerate(draws):
        weight = draw[column]
        others = np.concatenate([[0], np.cumsum(np.where(plastic, 0, weight))])
        ours = weight[plastic]
        pairs = float(ours.sum()) * float(others[-1])
        if pairs:
            out[k] = ours.astype(np.float64) @ (others[first] + others[last]) / (2.0 * pairs)
    return out


def auc_with_error(labels: Bools, scores: AnyArray, blocks: Ints, n: int = 300,
                   seed: int = 0) -> tuple[float, float, list[float]]:
    """(AUC, standard error by block bootstrap, 95 % interval); NaN for these of too few blocks."""
    labels = np.asarray(labels, dtype=bool)
    if len(np.unique(blocks)) < LEAST_BLOCKS:
        return auc(labels, scores), float("nan"), [float("nan")] * 2
    values = resampled_auc(labels, np.asarray(scores), blocks, n, seed)
    return auc(labels, scores), float(np.nanstd(values)), [
        float(v) for v in np.nanquantile(values, (0.025, 0.975))]


def together(sets: Sequence[tuple[str, Bools, Ints, Sequence[AnyArray]]], n: int = 300,
             seed: int = 0) -> tuple[list[float], list[float], list[float]]:
    """(mean AUC of each score, their errors, 95 % interval of the difference of the first two).

    sets : one for each loading: (glass, labels, blocks, scores of one or two models).  Whole blocks
    are drawn again, the same ones for all loadings and models of one glass, so that a difference
    is paired.  Of too few blocks in a glass errors and interval are NaN.
    """
    rng = np.random.default_rng(seed)
    draws = {glass: bootstrap(blocks, n, int(rng.integers(2**31)))
             for glass, blocks in {s[0]: s[2] for s in sets}.items()}
    exact = np.mean([[auc(labels, one) for one in scores] for _, labels, _, scores in sets], axis=0)
    if any(len(np.unique(blocks)) < LEAST_BLOCKS for _, _, blocks, _ in sets):
        return exact.tolist(), [float("nan")] * len(exact), [float("nan")] * 2
    again = np.array([[[auc(labels, one, w) for one in scores] for w in draws[glass]]
                      for glass, labels, _, scores in track(sets, "error bars", "loadings")])
    means = np.nanmean(again, axis=0)
    difference = means[:, 0] - means[:, -1]
    return exact.tolist(), means.std(axis=0).tolist(), np.quantile(
        difference, (0.025, 0.975)).tolist()


def reliability(labels: Bools, probability: Floats, bins: int = 10) -> list[dict[str, Any]]:
    """Calibration table: rows of (atoms, mean predicted, found share) by equal numbers of atoms."""
    order = np.argsort(probability, kind="stable")
    return [{"atoms": len(part), "predicted": float(probability[part].mean()),
             "found": float(labels[part].mean())} for part in np.array_split(order, bins)]


def event_ranks(labels: Bools, d2min: Floats, score: Floats, positions: Floats, box: Box,
                reach: float = REACH) -> Floats:
    """(events,) share of the atoms that are softer than the core of each event.

    An event is a cluster of plastic atoms within ``reach`` (A) of each other, its core the atom
    with the largest D2min (after Richard et al., Phys. Rev. Materials 4, 113609, 2020: 0 would be
    perfect, 0.5 is chance).
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    from ..system.atoms import image_shell, with_images

    fractional, owner, shift = image_shell(box, positions[labels], reach)
    x = with_images(box, fractional, owner, shift)
    n = int(labels.sum())
    own = np.concatenate([np.arange(n), owner])
    pairs = own[cKDTree(x).query_pairs(reach, output_type="ndarray")].reshape(-1, 2)
    _, cluster = connected_components(coo_matrix((np.ones(len(pairs)), pairs.T), (n, n)), False)
    order = np.lexsort((d2min[labels], cluster))
    cores = np.flatnonzero(labels)[order[np.r_[np.diff(cluster[order]) != 0, True]]]
    ranks = np.searchsorted(np.sort(score), score[cores], side="right")
    return 1.0 - ranks / len(score)


def summary(labels: Bools, softness: Floats, probability: Floats, margin: Floats,
            blocks: Ints) -> dict[str, Any]:
    """Scores of a model on one loading of a glass that it never saw, as a dict."""
    from sklearn.metrics import average_precision_score, brier_score_loss, matthews_corrcoef

    labels = np.asarray(labels, dtype=bool)
    ok = ~np.isnan(softness)
    labels, blocks = labels[ok], blocks[ok]
    softness, probability, margin = softness[ok], probability[ok], margin[ok]
    called = softness > 0.5
    value, error, interval = auc_with_error(labels, margin, blocks)
    hits = int((called & labels).sum())
    return {"atoms": int(labels.size), "plastic": int(labels.sum()),
            "prevalence": float(labels.mean()), "auc": value, "auc_error": error,
            "auc_interval95": interval,
            "average_precision": float(average_precision_score(labels, margin)),
            "recall_at_half": hits / max(int(labels.sum()), 1),
            "precision_at_half": hits / max(int(called.sum()), 1),
            "mcc_at_half": float(matthews_corrcoef(labels, called)),
            "calibration": reliability(labels, probability),
            "brier": float(brier_score_loss(labels, np.clip(probability, 0, 1))),
            "expected_plastic": float(probability.sum()), "sigma_softness": float(softness.std())}
