# cython: language_level=3
"""Margins of models: boosted trees, evaluated as LightGBM does, and weights for each element.

Rows are shared out to threads by the chunk.  A row's sum is made in one order by one thread, so that
its bits depend neither on the number of threads nor on the rows beside it.
"""
from chunks cimport ATOMS_AT_ONCE, n_chunks
from cython.parallel cimport prange
from libc.math cimport NAN, fabs
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc

cdef extern from "shallow_trees.h" nogil:
    enum:
        SHALLOW_ROWS
    void add_shallow_trees(const double* x, const int32_t* feature, const double* threshold,
                           const double* leaf, int n_trees, double* total)

cdef enum:
    ROWS = 64                 # rows that go through one tree together, so that it stays in cache
    DEFAULT_LEFT = 2          # LightGBM's decision_type bits
    MISSING_ZERO = 4
    MISSING_NAN = 8
    MISSING_MASK = 12

cdef double ZERO = 1.0000000180025095e-35      # LightGBM's kZeroThreshold, 1e-35f


cdef inline bint goes_left(double v, double threshold, uint8_t kind) noexcept nogil:
    cdef uint8_t missing = kind & MISSING_MASK
    if fabs(v) <= ZERO or (v != v and missing != MISSING_NAN):
        v = 0.0
    if (missing == MISSING_ZERO and v == 0.0) or (missing == MISSING_NAN and v != v):
        return (kind & DEFAULT_LEFT) != 0
    return v <= threshold


def raw_scores(const double[:, ::1] features, const int32_t[::1] root,
               const int32_t[::1] feature, const double[::1] threshold,
               const uint8_t[::1] kind, const int32_t[::1] left, const int32_t[::1] right,
               const double[::1] leaf, double[::1] out, int threads):
    """out[i] = sum over the trees, in their order, of the leaf that row i falls into.

    features : (n, n_features), no fewer columns than ``feature`` names.
    root : (n_trees,) first node of each tree, or ~leaf for a tree of one leaf.
    left, right : child node, or ~leaf.  ``out`` (n,) equals Booster.predict(raw_score=True) bit for
    bit.
    """
    cdef int64_t n = features.shape[0], chunk
    for chunk in prange(n_chunks(n), nogil=True, num_threads=threads, schedule="dynamic"):
        tree_chunk(chunk * ATOMS_AT_ONCE, min((chunk + 1) * ATOMS_AT_ONCE, n), features, root,
                   feature, threshold, kind, left, right, leaf, out)


cdef void tree_chunk(int64_t first, int64_t last, const double[:, ::1] features,
                     const int32_t[::1] root, const int32_t[::1] feature,
                     const double[::1] threshold, const uint8_t[::1] kind,
                     const int32_t[::1] left, const int32_t[::1] right, const double[::1] leaf,
                     double[::1] out) noexcept nogil:
    """The rows ``first`` to ``last`` - 1 of ``raw_scores``."""
    cdef int t, r, rows, n_trees = root.shape[0]
    cdef int32_t node
    cdef double total[ROWS]
    while first < last:
        rows = <int>min(ROWS, last - first)
        for r in range(rows):
            total[r] = 0.0
        for t in range(n_trees):
            for r in range(rows):
                node = root[t]
                while node >= 0:
                    if goes_left(features[first + r, feature[node]], threshold[node],
                                 kind[node]):
                        node = left[node]
                    else:
                        node = right[node]
                total[r] += leaf[~node]
        for r in range(rows):
            out[first + r] = total[r]
        first += ROWS


def shallow_scores(const double[:, ::1] features, const int32_t[:, ::1] feature,
                   const double[:, ::1] threshold, const double[:, ::1] leaf, double[::1] out,
                   int threads):
    """``raw_scores`` for trees of at most two levels none of whose nodes treats gaps apart.

    feature, threshold : (n_trees, 3) of root, left and right child; leaf : (n_trees, 4).

    Returns 0, or 1 without memory.
    """
    cdef int64_t n = features.shape[0], chunk
    cdef int problem = 0
    for chunk in prange(n_chunks(n), nogil=True, num_threads=threads, schedule="dynamic"):
        problem |= shallow_chunk(chunk * ATOMS_AT_ONCE, min((chunk + 1) * ATOMS_AT_ONCE, n),
                                 features, feature, threshold, leaf, out)
    return problem


cdef int shallow_chunk(int64_t first, int64_t last, const double[:, ::1] features,
                       const int32_t[:, ::1] feature, const double[:, ::1] threshold,
                       const double[:, ::1] leaf, double[::1] out) noexcept nogil:
    """The rows ``first`` to ``last`` - 1 of ``shallow_scores``; 1 without memory."""
    cdef int r, rows, k, n_trees = feature.shape[0], n_features = features.shape[1]
    cdef double total[SHALLOW_ROWS]
    cdef double v
    cdef double* x = <double*>malloc(n_features * SHALLOW_ROWS * sizeof(double))
    if x == NULL:
        return 1
    while first < last:
        rows = <int>min(SHALLOW_ROWS, last - first)
        for r in range(SHALLOW_ROWS):
            total[r] = 0.0
        for k in range(n_features):
            for r in range(SHALLOW_ROWS):
                v = features[first + r, k] if r < rows else 0.0
                # as LightGBM: a gap is zero where training had none
                x[k * SHALLOW_ROWS + r] = v if fabs(v) > ZERO else 0.0
        add_shallow_trees(x, &feature[0, 0], &threshold[0, 0], &leaf[0, 0], n_trees, total)
        for r in range(rows):
            out[first + r] = total[r]
        first += SHALLOW_ROWS
    free(x)
    return 0


def linear_scores(const double[:, ::1] features, const double[:, ::1] weights,
                  const double[::1] intercept, double[::1] out, int threads):
    """out[i] = intercept[e] + sum_k weights[e, k] features[i, k], where e is features[i, 0].

    features : (n, n_features); weights : (n_elements, n_features); intercept : (n_elements,).
    Rows whose e is not one of 0 .. n_elements - 1 (NaN, a fraction, beyond) get NaN.
    Not left to BLAS, which would start threads of its own beside those of the other ranks.
    """
    cdef int64_t n = features.shape[0], chunk
    for chunk in prange(n_chunks(n), nogil=True, num_threads=threads, schedule="dynamic"):
        linear_chunk(chunk * ATOMS_AT_ONCE, min((chunk + 1) * ATOMS_AT_ONCE, n), features, weights,
                     intercept, out)


cdef void linear_chunk(int64_t first, int64_t last, const double[:, ::1] features,
                       const double[:, ::1] weights, const double[::1] intercept,
                       double[::1] out) noexcept nogil:
    """The rows ``first`` to ``last`` - 1 of ``linear_scores``."""
    cdef int64_t i
    cdef int k, e, n = features.shape[1]
    cdef double total, element
    for i in range(first, last):
        element = features[i, 0]
        # before the cast, which has no meaning beyond the range of int
        if not (0.0 <= element < weights.shape[0]):
            out[i] = NAN
            continue
        e = <int>element
        if e != element:
            out[i] = NAN
            continue
        total = 0.0
        for k in range(n):
            total += weights[e, k] * features[i, k]
        out[i] = total + intercept[e]
