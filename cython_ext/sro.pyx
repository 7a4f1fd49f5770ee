# cython: language_level=3
"""Short-range site features: statistics of one atom's facets and neighbours."""
from chunks cimport ATOMS_AT_ONCE, n_chunks
from cython.parallel cimport prange
from libc.math cimport INFINITY, NAN, sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t

import numpy as np

# Columns of ``facet_statistics``, in this order (``lammps_mgml.families.facets`` names them).
cdef enum:
    CN = 0                     # 1
    INDEX = 1                  # 5, facets of 3, 4, 5, 6, 7 or more edges
    MOTIF = 6                  # 4
    AREA = 10
    VOLUME = 11
    SYMMETRY = 12              # 5
    AREA_SYMMETRY = 17         # 5
    VOLUME_SYMMETRY = 22       # 5
    AREA_SPREAD = 27           # 29: mean std min max; sum mean std min max of each edge class
    VOLUME_SPREAD = 56         # 29
    DISTANCE = 85              # 4: mean std min max
    N_FACET_COLUMNS = 89
    N_CLASSES = 5
    NO_CLASS = 5               # fewer than 3 edges
    MOST = 64                  # facets of a cell, see convex_cell.MAX_PLANES


cdef inline double distance(const double[:, ::1] x, int64_t i, int64_t j) noexcept nogil:
    cdef double a = x[j, 0] - x[i, 0], b = x[j, 1] - x[i, 1], c = x[j, 2] - x[i, 2]
    return sqrt(a * a + b * b + c * c)


cdef inline int edge_class(uint8_t edges) noexcept nogil:
    return NO_CLASS if edges < 3 else (4 if edges > 7 else edges - 3)


cdef inline void spread(const double* v, int n, double* out) noexcept nogil:
    """Mean, population standard deviation, minimum and maximum of n > 0 values."""
    cdef double total = 0.0, least = v[0], most = v[0], mean, var = 0.0
    cdef int s
    for s in range(n):
        total += v[s]
        least = min(least, v[s])
        most = max(most, v[s])
    mean = total / n
    for s in range(n):
        var += (v[s] - mean) * (v[s] - mean)
    out[0] = mean
    out[1] = sqrt(var / n)
    out[2] = least
    out[3] = most


cdef inline void spread_by_class(const double* v, const uint8_t* kind, int n, const double* sums,
                                 const int* counts, double* out) noexcept nogil:
    """Sum, mean, std, min, max of each edge class; zeros for an empty one."""
    cdef int s, k
    cdef double d
    cdef double* row
    for k in range(N_CLASSES):
        row = out + 5 * k
        row[0] = sums[k]
        row[1] = sums[k] / counts[k] if counts[k] else 0.0
        row[2] = 0.0
        row[3] = INFINITY if counts[k] else 0.0
        row[4] = -INFINITY if counts[k] else 0.0
    for s in range(n):
        if kind[s] == NO_CLASS:
            continue
        row = out + 5 * kind[s]
        d = v[s] - row[1]
        row[2] += d * d
        row[3] = min(row[3], v[s])
        row[4] = max(row[4], v[s])
    for k in range(N_CLASSES):
        if counts[k]:
            out[5 * k + 2] = sqrt(out[5 * k + 2] / counts[k])


def facet_statistics(const double[:, ::1] x, const uint8_t[::1] is_open,
                     const uint8_t[::1] counted,
                     const int64_t[::1] facet_start, int32_t[::1] facet_count,
                     int32_t[::1] neighbour, double[::1] area, uint8_t[::1] edges,
                     double small_facet, const int32_t[::1] source, const int32_t[::1] into,
                     double[:, ::1] values, double[::1] sums, int threads):
    """values[i, into[k]] = column source[k] of the list above, unnormalised; NaN for open cells.

    Facets smaller than ``small_facet`` times the mean facet area of their own cell are moved to
    the end of the cell's stretch and ``facet_count`` is lowered: one fixed threshold per cell, so
    that the result does not depend on the order of the facets.  sums, of the atoms ``counted``
    with closed cells: facet area, facets, their distances, their pyramids' volume.
    """
    cdef int64_t n_own = facet_start.shape[0], chunk, n = n_chunks(n_own)
    cdef double[:, ::1] partial = np.zeros((n, 4))
    for chunk in prange(n, nogil=True, num_threads=threads, schedule="dynamic"):
        facet_chunk(chunk * ATOMS_AT_ONCE, min((chunk + 1) * ATOMS_AT_ONCE, n_own), x, is_open,
                    counted, facet_start, facet_count, neighbour, area, edges, small_facet, source,
                    into, values, &partial[chunk, 0])
    np.sum(partial, axis=0, out=np.asarray(sums))


cdef void facet_chunk(int64_t first, int64_t last, const double[:, ::1] x,
                      const uint8_t[::1] is_open, const uint8_t[::1] counted,
                      const int64_t[::1] facet_start, int32_t[::1] facet_count,
                      int32_t[::1] neighbour, double[::1] area, uint8_t[::1] edges,
                      double small_facet, const int32_t[::1] source, const int32_t[::1] into,
                      double[:, ::1] values, double* sums) noexcept nogil:
    """The atoms ``first`` to ``last`` - 1 of ``facet_statistics``."""
    cdef int64_t i, s, lo, hi
    cdef int k, n, kind, n_asked = source.shape[0]
    cdef bint by_area = False, by_volume = False, volumes = False
    cdef double total, total_volume, total_distance, threshold
    cdef double a[MOST]
    cdef double v[MOST]
    cdef double r[MOST]
    cdef uint8_t kinds[MOST]
    cdef double area_of[N_CLASSES + 1]
    cdef double volume_of[N_CLASSES + 1]
    cdef int number[N_CLASSES + 1]
    cdef double c[N_FACET_COLUMNS]
    for k in range(4):
        sums[k] = 0.0
    for k in range(n_asked):
        by_area |= AREA_SPREAD + 4 <= source[k] < VOLUME_SPREAD
        volumes |= VOLUME_SPREAD <= source[k] < DISTANCE
        by_volume |= VOLUME_SPREAD + 4 <= source[k] < DISTANCE
    for i in range(first, last):
        lo = facet_start[i]
        hi = lo + facet_count[i]
        if is_open[i]:
            for k in range(n_asked):
                values[i, into[k]] = NAN
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
        n = <int>(hi - lo)
        facet_count[i] = n

        for k in range(N_CLASSES + 1):
            area_of[k] = 0.0
            volume_of[k] = 0.0
            number[k] = 0
        total = 0.0
        total_volume = 0.0
        total_distance = 0.0
        for k in range(n):
            s = lo + k
            a[k] = area[s]
            r[k] = distance(x, i, neighbour[s])
            v[k] = a[k] * r[k] / 6.0
            kind = edge_class(edges[s])
            kinds[k] = kind
            number[kind] += 1
            area_of[kind] += a[k]
            volume_of[kind] += v[k]
            total += a[k]
            total_volume += v[k]
            total_distance += r[k]

        c[CN] = n
        for k in range(N_CLASSES):
            c[INDEX + k] = number[k]
            c[SYMMETRY + k] = number[k] / <double>(n - number[NO_CLASS])
            c[AREA_SYMMETRY + k] = area_of[k] / total
            c[VOLUME_SYMMETRY + k] = volume_of[k] / total_volume
        c[MOTIF] = (number[2] == 12 and number[0] == 0 and number[1] == 0 and number[4] == 0
                    and number[3] == 0)
        c[MOTIF + 1] = (number[2] == 12 and number[0] == 0 and number[1] == 0
                        and number[4] == 0 and number[3] == 4)
        c[MOTIF + 2] = 2 * number[1] + number[2] == 12
        c[MOTIF + 3] = c[MOTIF] + c[MOTIF + 1]
        c[AREA] = total
        c[VOLUME] = total_volume
        spread(a, n, c + AREA_SPREAD)
        spread(r, n, c + DISTANCE)
        if volumes:
            spread(v, n, c + VOLUME_SPREAD)
        if by_area:
            spread_by_class(a, kinds, n, area_of, number, c + AREA_SPREAD + 4)
        if by_volume:
            spread_by_class(v, kinds, n, volume_of, number, c + VOLUME_SPREAD + 4)
        for k in range(n_asked):
            values[i, into[k]] = c[source[k]]
        if counted[i]:
            sums[0] += total
            sums[1] += n
            sums[2] += total_distance
            sums[3] += total_volume


def near_statistics(const double[:, ::1] x, const uint8_t[::1] is_open,
                    const uint8_t[::1] counted,
                    const int64_t[::1] start, const int32_t[::1] count, const int32_t[::1] near,
                    const int32_t[::1] source, const int32_t[::1] into,
                    double[:, ::1] values, double[::1] sums, int threads):
    """values[i, into[k]] = column source[k] of: number of near neighbours, then mean, std, min
    and max of their distances (NaN without any); NaN for open cells.

    sums, of the atoms ``counted`` with closed cells: pairs, their distances.
    """
    cdef int64_t n_own = start.shape[0], chunk, n = n_chunks(n_own)
    cdef double[:, ::1] partial = np.zeros((n, 2))
    for chunk in prange(n, nogil=True, num_threads=threads, schedule="dynamic"):
        near_chunk(chunk * ATOMS_AT_ONCE, min((chunk + 1) * ATOMS_AT_ONCE, n_own), x, is_open,
                   counted, start, count, near, source, into, values, &partial[chunk, 0])
    np.sum(partial, axis=0, out=np.asarray(sums))


cdef void near_chunk(int64_t first, int64_t last, const double[:, ::1] x,
                     const uint8_t[::1] is_open, const uint8_t[::1] counted,
                     const int64_t[::1] start, const int32_t[::1] count,
                     const int32_t[::1] near, const int32_t[::1] source, const int32_t[::1] into,
                     double[:, ::1] values, double* sums) noexcept nogil:
    """The atoms ``first`` to ``last`` - 1 of ``near_statistics``."""
    cdef int64_t i, s, lo, hi
    cdef int k, n_asked = source.shape[0]
    cdef double r, total, least, most, mean, var
    cdef double c[5]
    sums[0] = 0.0
    sums[1] = 0.0
    for i in range(first, last):
        if is_open[i]:
            for k in range(n_asked):
                values[i, into[k]] = NAN
            continue
        lo = start[i]
        hi = lo + count[i]
        c[0] = count[i]
        if count[i] == 0:                # statistics of nothing: undefined, not zero
            for k in range(1, 5):
                c[k] = NAN
        else:
            total = 0.0
            least = INFINITY
            most = 0.0
            for s in range(lo, hi):
                r = distance(x, i, near[s])
                total += r
                least = min(least, r)
                most = max(most, r)
            mean = total / count[i]
            var = 0.0
            for s in range(lo, hi):
                r = distance(x, i, near[s]) - mean
                var += r * r
            c[1] = mean
            c[2] = sqrt(var / count[i])
            c[3] = least
            c[4] = most
            if counted[i]:
                sums[1] += total
        if counted[i]:
            sums[0] += count[i]
        for k in range(n_asked):
            values[i, into[k]] = c[source[k]]


def element_statistics(const int32_t[::1] types, const uint8_t[::1] is_open,
                       const int64_t[::1] start, const int32_t[::1] count,
                       const int32_t[::1] neighbour, const double[::1] composition,
                       const int32_t[:, ::1] into, double[:, ::1] values, int threads=1):
    """values[i, into[0, e]] = number of neighbours of element e (types e + 1), into[1, e]: their
    fraction x, into[2, e]: (x - composition[e]) / composition[e]; into < 0 is not wanted.

    NaN for open cells; without neighbours, or without any atom of e, where a quotient needs them.
    """
    cdef int64_t n_own = start.shape[0], chunk
    for chunk in prange(n_chunks(n_own), nogil=True, num_threads=threads, schedule="dynamic"):
        element_chunk(chunk * ATOMS_AT_ONCE, min((chunk + 1) * ATOMS_AT_ONCE, n_own), types,
                      is_open, start, count, neighbour, composition, into, values)


cdef void element_chunk(int64_t first, int64_t last, const int32_t[::1] types,
                        const uint8_t[::1] is_open, const int64_t[::1] start,
                        const int32_t[::1] count, const int32_t[::1] neighbour,
                        const double[::1] composition, const int32_t[:, ::1] into,
                        double[:, ::1] values) noexcept nogil:
    """The atoms ``first`` to ``last`` - 1 of ``element_statistics``."""
    cdef int64_t i, s
    cdef int e, k, n_elements = composition.shape[0]
    cdef double number
    cdef double c[3]
    for i in range(first, last):
        for e in range(n_elements):
            if into[0, e] < 0 and into[1, e] < 0 and into[2, e] < 0:
                continue
            number = 0.0
            for s in range(start[i], start[i] + count[i]):
                number += types[neighbour[s]] == e + 1
            c[0] = number
            c[1] = number / count[i] if count[i] else NAN
            c[2] = (c[1] - composition[e]) / composition[e] if composition[e] > 0.0 else NAN
            for k in range(3):
                if into[k, e] >= 0:
                    values[i, into[k, e]] = NAN if is_open[i] else c[k]
