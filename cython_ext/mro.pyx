# cython: language_level=3
"""Medium-range site features: statistics of site features over an atom's neighbours."""
from chunks cimport ATOMS_AT_ONCE, n_chunks
from cython.parallel cimport prange
from libc.math cimport INFINITY, NAN, sqrt
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc

# Rows of ``into`` (``lammps_mgml.families.neighbours`` names them).
cdef enum:
    OWN = 0                    # the atom's own value
    SUM
    MEAN
    STD
    MIN
    MAX
    DIFF                       # mean - own
    N_STATISTICS

ctypedef fused real:
    float
    double


def neighbour_statistics(const double[:, ::1] values, int first_column,
                         const int64_t[::1] start, const int32_t[::1] count,
                         const int32_t[::1] neighbour, const int32_t[:, ::1] into,
                         const int32_t[::1] pooled, const int32_t[::1] into_pooled,
                         real[:, ::1] out, int threads, int64_t first=0):
    """out[i, into[statistic, k]] = statistic of values[j, first_column + k] over the neighbours j of
    atom first + i, whose ``start`` and ``count`` are at i.

    values : (n_rows, n) float64, rows of neighbours on other ranks filled.
    into : (7, columns) int32, < 0 for what is not wanted; the centre is excluded, std has ddof 0.
    pooled, into_pooled : out[i, into_pooled[k]] = share of the sum over the neighbours of column
        pooled[k] in that of all ``pooled`` columns.
    No neighbour, or a NaN among them, gives NaN (OWN is what it is).
    """
    cdef int64_t n_own = start.shape[0], chunk, n = n_chunks(n_own)
    cdef int failed = 0
    for chunk in prange(n, nogil=True, num_threads=threads, schedule="dynamic"):
        failed |= statistics_chunk(
            chunk * ATOMS_AT_ONCE, min((chunk + 1) * ATOMS_AT_ONCE, n_own), values, first_column,
            start, count, neighbour, into, pooled, into_pooled, out, first)
    if failed:
        raise MemoryError("no memory for the neighbour statistics")


def rows(const int64_t[::1] start, const int32_t[::1] count, const int32_t[::1] neighbour,
         const int32_t[::1] row_of, int32_t[::1] out, int threads):
    """out[s] = row_of[neighbour[s]] for the neighbours s of all atoms; ``out`` may be ``neighbour``.

    Between the stretches of two atoms it stays as it is.
    """
    cdef int64_t n_own = start.shape[0], chunk
    for chunk in prange(n_chunks(n_own), nogil=True, num_threads=threads, schedule="dynamic"):
        rows_chunk(chunk * ATOMS_AT_ONCE, min((chunk + 1) * ATOMS_AT_ONCE, n_own), start, count,
                   neighbour, row_of, out)


cdef void rows_chunk(int64_t first, int64_t last, const int64_t[::1] start,
                     const int32_t[::1] count, const int32_t[::1] neighbour,
                     const int32_t[::1] row_of, int32_t[::1] out) noexcept nogil:
    """The atoms ``first`` to ``last`` - 1 of ``rows``."""
    cdef int64_t i, s
    for i in range(first, last):
        for s in range(start[i], start[i] + count[i]):
            out[s] = row_of[neighbour[s]]


cdef int statistics_chunk(int64_t first, int64_t last, const double[:, ::1] values,
                          int first_column, const int64_t[::1] start, const int32_t[::1] count,
                          const int32_t[::1] neighbour, const int32_t[:, ::1] into,
                          const int32_t[::1] pooled, const int32_t[::1] into_pooled,
                          real[:, ::1] out, int64_t offset) noexcept nogil:
    """The atoms ``first`` to ``last`` - 1 of ``neighbour_statistics``; 1 without memory."""
    cdef int64_t i, s
    cdef int k, statistic, n = into.shape[1], n_pooled = pooled.shape[0]
    cdef bint asked[N_STATISTICS]
    cdef bint any_neighbours = n_pooled > 0
    cdef const double* row
    cdef const double* own
    cdef double v, whole
    cdef double* total = <double*>malloc(5 * (n + 1) * sizeof(double))
    if total == NULL:
        return 1
    cdef double* mean = total + n
    cdef double* var = mean + n
    cdef double* least = var + n
    cdef double* most = least + n
    for statistic in range(N_STATISTICS):
        asked[statistic] = False
        for k in range(n):
            asked[statistic] |= into[statistic, k] >= 0
        any_neighbours |= statistic != OWN and asked[statistic]
    for i in range(first, last):
        if n == 0:
            break
        own = &values[offset + i, first_column]
        if asked[OWN]:
            for k in range(n):
                if into[OWN, k] >= 0:
                    out[i, into[OWN, k]] = <real>own[k]
        if not any_neighbours:
            continue
        for k in range(n):
            total[k] = 0.0
        for s in range(start[i], start[i] + count[i]):
            row = &values[neighbour[s], first_column]
            for k in range(n):
                total[k] += row[k]
        if asked[MIN] or asked[MAX]:
            for k in range(n):
                least[k] = INFINITY
                most[k] = -INFINITY
            for s in range(start[i], start[i] + count[i]):
                row = &values[neighbour[s], first_column]
                for k in range(n):
                    least[k] = row[k] if row[k] < least[k] else least[k]
                    most[k] = row[k] if row[k] > most[k] else most[k]
        for k in range(n):
            mean[k] = total[k] / count[i] if count[i] > 0 else NAN
        if asked[STD]:
            for k in range(n):
                var[k] = 0.0
            for s in range(start[i], start[i] + count[i]):
                row = &values[neighbour[s], first_column]
                for k in range(n):
                    v = row[k] - mean[k]
                    var[k] += v * v
        for k in range(n):
            if mean[k] != mean[k]:       # a comparison would have passed over the NaN
                for statistic in range(SUM, N_STATISTICS):
                    if into[statistic, k] >= 0:
                        out[i, into[statistic, k]] = <real>NAN
                continue
            if into[SUM, k] >= 0:
                out[i, into[SUM, k]] = <real>total[k]
            if into[MEAN, k] >= 0:
                out[i, into[MEAN, k]] = <real>mean[k]
            if into[STD, k] >= 0:
                out[i, into[STD, k]] = <real>sqrt(var[k] / count[i])
            if into[MIN, k] >= 0:
                out[i, into[MIN, k]] = <real>least[k]
            if into[MAX, k] >= 0:
                out[i, into[MAX, k]] = <real>most[k]
            if into[DIFF, k] >= 0:
                out[i, into[DIFF, k]] = <real>(mean[k] - own[k])
        if n_pooled > 0:
            whole = 0.0
            for k in range(n_pooled):
                whole += total[pooled[k]]
            for k in range(n_pooled):
                if into_pooled[k] >= 0:
                    out[i, into_pooled[k]] = <real>(
                        total[pooled[k]] / whole if count[i] > 0 else NAN)
    free(total)
    return 0
