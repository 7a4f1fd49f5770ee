"""Scores of a prediction, with error bars that know that plastic atoms come in clusters."""
import numpy as np


def auc(labels, scores, weights=None):
    """Area under the ROC curve; NaN if one class is missing."""
    from sklearn.metrics import roc_auc_score

    labels = np.asarray(labels, dtype=bool)
    if weights is not None:
        keep = weights > 0
        labels, scores, weights = labels[keep], scores[keep], weights[keep]
    if labels.all() or not labels.any():
        return float("nan")
    return float(roc_auc_score(labels, scores, sample_weight=weights))


def bootstrap(blocks, n=300, seed=0):
    """(n, n_atoms) weights of ``n`` resamplings of whole blocks, with replacement."""
    rng = np.random.default_rng(seed)
    ids, inverse = np.unique(blocks, return_inverse=True)
    draws = rng.multinomial(len(ids), np.full(len(ids), 1.0 / len(ids)), size=n)
    return draws[:, inverse].astype(np.float64)


def auc_with_error(labels, scores, blocks, n=300, seed=0):
    """(AUC, standard error by block bootstrap, 95 % interval)."""
    values = np.array([auc(labels, scores, w) for w in bootstrap(blocks, n, seed)])
    return auc(labels, scores), float(np.nanstd(values)), [
        float(v) for v in np.nanquantile(values, (0.025, 0.975))]


def summary(labels, softness, probability, margin, blocks):
    """Scores of a model on one loading of a glass that it never saw, as a dict."""
    from sklearn.metrics import average_precision_score, brier_score_loss, matthews_corrcoef

    labels = np.asarray(labels, dtype=bool)
    ok = ~np.isnan(softness)
    labels, softness, probability, margin, blocks = (
        a[ok] for a in (labels, softness, probability, margin, blocks))
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
            "brier": float(brier_score_loss(labels, np.clip(probability, 0, 1))),
            "expected_plastic": float(probability.sum()), "sigma_softness": float(softness.std())}
