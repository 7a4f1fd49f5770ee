# cython: language_level=3
"""Medium-range site features: statistics of a site feature over an atom's neighbours."""
from libc.math cimport NAN
from libc.stdint cimport int32_t, int64_t


def neighbour_mean(const double[:, ::1] values, const int32_t[::1] columns,
                   const int64_t[::1] start, const int32_t[::1] count,
                   const int32_t[::1] neighbour, double[:, ::1] out, const int32_t[::1] into):
    """out[i, into[k]] = mean of values[j, columns[k]] over the neighbours j of i, centre excluded.

    values : (n_all, n) float64, ghosts filled.  No neighbour, or a NaN among them, gives NaN.
    """
    cdef int64_t n_own = start.shape[0], i, s
    cdef int k, n_columns = columns.shape[0]
    cdef double total
    with nogil:
        for i in range(n_own):
            for k in range(n_columns):
                total = 0.0
                for s in range(start[i], start[i] + count[i]):
                    total += values[neighbour[s], columns[k]]
                out[i, into[k]] = total / count[i] if count[i] > 0 else NAN


def neighbour_min(const double[:, ::1] values, int column,
                  const int64_t[::1] start, const int32_t[::1] count,
                  const int32_t[::1] neighbour, double[:, ::1] out, int into):
    """out[i, into] = least of values[j, column] over the neighbours j of i; NaN as above."""
    cdef int64_t n_own = start.shape[0], i, s
    cdef double least, v
    with nogil:
        for i in range(n_own):
            least = NAN
            for s in range(start[i], start[i] + count[i]):
                v = values[neighbour[s], column]
                if v != v:
                    least = NAN
                    break
                if not v >= least:           # also the first one, least being NaN
                    least = v
            out[i, into] = least
