# cython: language_level=3
"""Two-body densities: how many atoms of each element are at which distance, and how they lie to the load.

Distances are spread over cubic B-splines on even knots, four of them each, so that the densities
are smooth in the positions.
"""
from chunks cimport ATOMS_AT_ONCE, n_chunks
from cython.parallel cimport prange
from grid cimport CELLS_AT_ONCE, FINE, MOST_ROWS, NO_MEMORY, Grid, build_grid, free_grid, rows_around
from libc.math cimport NAN
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

cdef extern from "pair_splines.h" nogil:
    ctypedef struct PairSplines:
        const double *x
        const double *y
        const double *z
        const int32_t *element
        double first
        double spacing
        int n_splines
        const double *load
    int SPLINE_SLOTS(int n_splines)
    void add_pairs(const PairSplines* s, int64_t self, int n_rows, const int64_t* start,
                   const int64_t* end, double* acc, double* axial, int wide)


def densities(const double[:, ::1] x, const int32_t[::1] types, const uint8_t[::1] is_open,
              int n_elements, double first, double spacing, int n_splines,
              const double[::1] load, double[:, ::1] out, int threads, bint wide=True):
    """out[i, e * n_splines + k] = sum of spline k at r_ij over the atoms j of element e + 1.

    Spline k is centred at first + k * spacing and ends two spacings from there.  With a load (6,)
    (xx yy zz xy xz yz of a symmetric tensor E) a second half of the columns weights each atom by
    u . E . u, u the unit vector to it; without (shape 0) there is none.  NaN for open cells.
    wide : with AVX-512 where the processor has it; the bits are the same.

    Returns 0, or 1 without memory, or 2 with a coordinate that is not finite.
    """
    cdef int64_t n_all = x.shape[0], place, n_cells = 0, chunk
    cdef int problem
    cdef double reach = first + (n_splines + 1) * spacing
    cdef int32_t* element = <int32_t*>malloc(n_all * sizeof(int32_t) + 1)
    cdef int64_t bad = -1
    cdef PairSplines splines
    cdef Grid g
    with nogil:
        problem = build_grid(&g, x, 0.5 * reach, &bad)
        if problem == FINE and element == NULL:
            problem = NO_MEMORY
        if problem == FINE:
            for place in range(n_all):
                element[place] = types[g.atom[place]] - 1
            splines.x = g.x
            splines.y = g.y
            splines.z = g.z
            splines.element = element
            splines.first = first
            splines.spacing = spacing
            splines.n_splines = n_splines
            splines.load = &load[0] if load.shape[0] == 6 else NULL
            n_cells = g.n[0] * g.n[1] * g.n[2]
        for chunk in prange((n_cells + CELLS_AT_ONCE - 1) // CELLS_AT_ONCE, num_threads=threads,
                            schedule="dynamic"):
            problem |= density_chunk(chunk * CELLS_AT_ONCE,
                                     min((chunk + 1) * CELLS_AT_ONCE, n_cells), &g, &splines,
                                     reach, n_elements, is_open, out, wide)
        free_grid(&g)
    free(element)
    return problem


cdef int density_chunk(int64_t first, int64_t last, const Grid* g, const PairSplines* splines,
                       double reach, int n_elements, const uint8_t[::1] is_open,
                       double[:, ::1] out, bint wide) noexcept nogil:
    """The atoms of the grid cells ``first`` to ``last`` - 1; FINE or NO_MEMORY, no other code."""
    cdef int64_t n_own = is_open.shape[0], i, c, place
    cdef int64_t start[MOST_ROWS]
    cdef int64_t end[MOST_ROWS]
    cdef int e, k, n_rows, n_splines = splines.n_splines, n_half = n_elements * n_splines
    cdef int slots = SPLINE_SLOTS(n_splines)
    cdef size_t size = (n_elements + 1) * slots * sizeof(double)
    cdef bint axial = splines.load != NULL
    cdef double* sums = <double*>malloc(2 * size)
    cdef double* along = sums + (n_elements + 1) * slots if axial else NULL
    if sums == NULL:
        return NO_MEMORY
    for c in range(first, last):
        if g.first[c] == g.first[c + 1]:
            continue
        n_rows = rows_around(g, c, reach, start, end)
        for place in range(g.first[c], g.first[c + 1]):
            i = g.atom[place]
            if i >= n_own:
                continue
            if is_open[i]:
                for k in range(n_half * (2 if axial else 1)):
                    out[i, k] = NAN
                continue
            memset(sums, 0, 2 * size)
            add_pairs(splines, place, n_rows, start, end, sums, along, wide)
            for e in range(n_elements):
                for k in range(n_splines):
                    out[i, e * n_splines + k] = sums[(e + 1) * slots + k + 3]
                    if axial:
                        out[i, n_half + e * n_splines + k] = along[(e + 1) * slots + k + 3]
    free(sums)
    return FINE


def averaged(const double[:, ::1] values, const int64_t[::1] start, const int32_t[::1] count,
             const int32_t[::1] neighbour, double[:, ::1] out, int threads, int64_t first=0):
    """out[i] = mean of the rows of ``values`` over first + i and its neighbours."""
    cdef int64_t n_own = start.shape[0], chunk
    for chunk in prange(n_chunks(n_own), nogil=True, num_threads=threads, schedule="dynamic"):
        average_chunk(chunk * ATOMS_AT_ONCE, min((chunk + 1) * ATOMS_AT_ONCE, n_own), values,
                      start, count, neighbour, out, first)


cdef void average_chunk(int64_t first, int64_t last, const double[:, ::1] values,
                        const int64_t[::1] start, const int32_t[::1] count,
                        const int32_t[::1] neighbour, double[:, ::1] out,
                        int64_t offset) noexcept nogil:
    """The atoms ``first`` to ``last`` - 1 of ``averaged``."""
    cdef int64_t i, s
    cdef int k, n = values.shape[1]
    cdef const double* row
    cdef double* own
    for i in range(first, last):
        own = &out[i, 0]
        for k in range(n):
            own[k] = values[offset + i, k]
        for s in range(start[i], start[i] + count[i]):
            row = &values[neighbour[s], 0]
            for k in range(n):
                own[k] += row[k]
        for k in range(n):
            own[k] /= count[i] + 1
