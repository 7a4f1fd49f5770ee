# cython: language_level=3
"""Short-range site features: statistics of one atom's facets and near neighbours."""
from libc.math cimport INFINITY, NAN, sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t

# Columns of ``site_statistics``, in this order (lammps_mgml.sro names them).
cdef enum:
    FACET_AREA_STD = 0
    AREA_WT_SYMM_5FOLD
    DISTANCE_VORO_STD
    DISTANCE_VORO_MIN
    DISTANCE_DIST_STD
    DISTANCE_DIST_MIN
    NUMBER_EL_DIST
    N_COLUMNS


cdef inline double distance(const double[:, ::1] x, int64_t i, int64_t j) noexcept nogil:
    cdef double a = x[j, 0] - x[i, 0], b = x[j, 1] - x[i, 1], c = x[j, 2] - x[i, 2]
    return sqrt(a * a + b * b + c * c)


def site_statistics(const double[:, ::1] x, const int32_t[::1] types, int element,
                    const uint8_t[::1] is_open,
                    const int64_t[::1] facet_start, int32_t[::1] facet_count,
                    int32_t[::1] neighbour, double[::1] area, uint8_t[::1] edges,
                    const int64_t[::1] near_start, const int32_t[::1] near_count,
                    const int32_t[::1] near, double small_facet,
                    double[:, ::1] out, double[::1] sums):
    """Fill ``out`` (n_own, 7) with unnormalised SRO values and ``sums`` with their means' parts.

    Facets smaller than ``small_facet`` times the mean facet area of their own cell are moved to
    the end of the cell's stretch and ``facet_count`` is lowered: one fixed threshold per cell, so
    that the result does not depend on the order of the facets.  An open cell gets NaN and keeps
    out of the sums.  sums: total area, facets, sum of facet distances, near pairs, sum of near
    distances, atoms.
    """
    cdef int64_t n_own = facet_start.shape[0], i, s, lo, hi
    cdef int k
    cdef double total, five, threshold, mean, var, r, r_sum, r_min, d
    cdef int32_t n, m
    for k in range(6):
        sums[k] = 0.0
    with nogil:
        for i in range(n_own):
            lo = facet_start[i]
            hi = lo + facet_count[i]
            if is_open[i]:
                for k in range(N_COLUMNS):
                    out[i, k] = NAN
                continue
            total = 0.0
            for s in range(lo, hi):
                total += area[s]
            threshold = small_facet * total / (hi - lo)
            s = lo
            while s < hi:                    # small facets change places with the last kept one
                if area[s] < threshold:
                    hi -= 1
                    area[s], area[hi] = area[hi], area[s]
                    edges[s], edges[hi] = edges[hi], edges[s]
                    neighbour[s], neighbour[hi] = neighbour[hi], neighbour[s]
                else:
                    s += 1
            n = <int32_t>(hi - lo)
            facet_count[i] = n

            total = 0.0
            five = 0.0
            r_sum = 0.0
            r_min = distance(x, i, neighbour[lo])
            for s in range(lo, hi):
                total += area[s]
                if edges[s] == 5:
                    five += area[s]
                r = distance(x, i, neighbour[s])
                r_sum += r
                if r < r_min:
                    r_min = r
            mean = total / n
            var = 0.0
            for s in range(lo, hi):
                d = area[s] - mean
                var += d * d
            out[i, FACET_AREA_STD] = sqrt(var / n)
            out[i, AREA_WT_SYMM_5FOLD] = five / total
            mean = r_sum / n
            var = 0.0
            for s in range(lo, hi):
                d = distance(x, i, neighbour[s]) - mean
                var += d * d
            out[i, DISTANCE_VORO_STD] = sqrt(var / n)
            out[i, DISTANCE_VORO_MIN] = r_min
            sums[0] += total
            sums[1] += n
            sums[2] += r_sum

            lo = near_start[i]
            m = near_count[i]
            out[i, NUMBER_EL_DIST] = 0.0
            if m == 0:                       # statistics of nothing: undefined, not zero
                out[i, DISTANCE_DIST_STD] = NAN
                out[i, DISTANCE_DIST_MIN] = NAN
            else:
                r_sum = 0.0
                r_min = INFINITY
                for s in range(lo, lo + m):
                    r = distance(x, i, near[s])
                    r_sum += r
                    r_min = min(r_min, r)
                    out[i, NUMBER_EL_DIST] += types[near[s]] == element
                mean = r_sum / m
                var = 0.0
                for s in range(lo, lo + m):
                    d = distance(x, i, near[s]) - mean
                    var += d * d
                out[i, DISTANCE_DIST_STD] = sqrt(var / m)
                out[i, DISTANCE_DIST_MIN] = r_min
                sums[4] += r_sum
            sums[3] += m
            sums[5] += 1.0
