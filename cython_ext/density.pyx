# cython: language_level=3
"""Sums over the pairs of an atom.

Two-body densities: how many atoms of each element are at which distance, and how they lie to the load.
Distances are spread over cubic B-splines on even knots, four of them each, so that the densities
are smooth in the positions.  And the force constants that hold the atom.
"""
from chunks cimport ATOMS_AT_ONCE, n_chunks
from cython.parallel cimport prange
from grid cimport CELLS_AT_ONCE, FINE, MOST_ROWS, NO_MEMORY, Grid, build_grid, free_grid, rows_around
from libc.math cimport NAN
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

ctypedef fused real:
    float
    double

cdef extern from "ahead.h" nogil:
    void ask_ahead(const void* p, int64_t size)

cdef extern from "pair_sums.h" nogil:
    ctypedef struct PairAtoms:
        const double *x
        const double *y
        const double *z
        const int32_t *element
        double reach
    ctypedef struct PairSplines:
        double first
        double spacing
        int n_splines
        const double *load
    ctypedef struct Springs:
        pass
    int SPLINE_SLOTS(int n_splines)
    Springs springs_of(const double* pieces, int64_t size, int n_elements, double first,
                       double spacing)
    void add_pairs(const PairAtoms* a, const PairSplines* s, const Springs* k, int64_t self, int n_rows,
                   const int64_t* start, const int64_t* end, double* acc, double* axial, double* held,
                   int wide)

cdef extern from "rows.h" nogil:
    void add_rows_of(const double* values, int64_t width, const int32_t* row, int64_t n, double* sum)


def pair_sums(const double[:, ::1] x, const int32_t[::1] types, const uint8_t[::1] is_open,
              int n_elements, double first, double spacing, int n_splines,
              const double[::1] load, double[:, ::1] out, const double[::1] pieces,
              double[:, ::1] held, int threads, bint wide=True):
    """Of each owned atom, its densities, if ``out`` has rows:

    out[i, e * n_splines + k] = sum of spline k at r_ij over the atoms j of element e + 1.
    Spline k is centred at first + k * spacing and ends two spacings from there.  With a load (6,)
    (xx yy zz xy xz yz of a symmetric tensor E) a second half of the columns weights each atom by
    u . E . u, u the unit vector to it; without (shape 0) there is none.  NaN for open cells.

    And, if ``held`` (n_own or more, 6) has rows, the sum of its force constants k u u + t 1, as xx yy zz xy xz yz.

    pieces : (n_elements + 1, n_elements + 1, n_splines + 3, 8), k and t of an atom of the first element
    with one of the second, powers 0 to 3 of the distance from the knot in spacings; knot m lies at first
    + (m - 2) * spacing.  The last element is that of unknown types (0).
    wide : with AVX-512 where the processor has it; the bits are the same.

    Returns 0, or 1 without memory, or 2 with a coordinate that is not finite.
    """
    cdef int64_t n_all = x.shape[0], place, n_cells = 0, chunk
    cdef int problem
    cdef int32_t* element = <int32_t*>malloc(n_all * sizeof(int32_t) + 1)
    cdef int64_t bad = -1
    cdef PairAtoms atoms
    cdef PairSplines splines
    cdef Springs springs
    cdef Grid g
    atoms.reach = first + (n_splines + 1) * spacing
    splines.first = first
    splines.spacing = spacing
    splines.n_splines = n_splines
    splines.load = &load[0] if load.shape[0] == 6 else NULL
    if held.shape[0]:
        springs = springs_of(&pieces[0], pieces.shape[0], n_elements + 1, first, spacing)
    with nogil:
        problem = build_grid(&g, x, 0.5 * atoms.reach, &bad)
        if problem == FINE and element == NULL:
            problem = NO_MEMORY
        if problem == FINE:
            for place in range(n_all):
                element[place] = types[g.atom[place]] - 1
            atoms.x = g.x
            atoms.y = g.y
            atoms.z = g.z
            atoms.element = element
            n_cells = g.n[0] * g.n[1] * g.n[2]
        for chunk in prange((n_cells + CELLS_AT_ONCE - 1) // CELLS_AT_ONCE, num_threads=threads,
                            schedule="dynamic"):
            problem |= sum_chunk(chunk * CELLS_AT_ONCE, min((chunk + 1) * CELLS_AT_ONCE, n_cells), &g,
                                 &atoms, &splines, &springs, n_elements, is_open, out, held, wide)
        free_grid(&g)
    free(element)
    return problem


cdef int sum_chunk(int64_t first, int64_t last, const Grid* g, const PairAtoms* atoms,
                   const PairSplines* splines, const Springs* springs, int n_elements,
                   const uint8_t[::1] is_open, double[:, ::1] out, double[:, ::1] held,
                   bint wide) noexcept nogil:
    """The atoms of the grid cells ``first`` to ``last`` - 1; FINE or NO_MEMORY, no other code."""
    cdef int64_t n_own = is_open.shape[0], i, c, place
    cdef int64_t start[MOST_ROWS]
    cdef int64_t end[MOST_ROWS]
    cdef int e, k, n_rows, n_splines = splines.n_splines, n_half = n_elements * n_splines
    cdef int slots = SPLINE_SLOTS(n_splines)
    cdef bint axial = splines.load != NULL, dense = out.shape[0] > 0, stiff = held.shape[0] > 0, wanted
    cdef size_t size = (2 if axial else 1) * (n_elements + 1) * slots * sizeof(double)
    cdef double* sums = <double*>malloc(size)
    cdef double* along = sums + (n_elements + 1) * slots if axial else NULL
    if sums == NULL:
        return NO_MEMORY
    for c in range(first, last):
        if g.first[c] == g.first[c + 1]:
            continue
        n_rows = rows_around(g, c, atoms.reach, start, end)
        for place in range(g.first[c], g.first[c + 1]):
            i = g.atom[place]
            if i >= n_own:
                continue
            wanted = dense and not is_open[i]
            if wanted:
                memset(sums, 0, size)
            if stiff:
                for k in range(6):
                    held[i, k] = 0.0
            if wanted or stiff:
                add_pairs(atoms, splines, springs, place, n_rows, start, end, sums if wanted else NULL,
                          along if wanted else NULL, &held[i, 0] if stiff else NULL, wide)
            if wanted:
                for e in range(n_elements):
                    for k in range(n_splines):
                        out[i, e * n_splines + k] = sums[(e + 1) * slots + k + 3]
                        if axial:
                            out[i, n_half + e * n_splines + k] = along[(e + 1) * slots + k + 3]
            elif dense:
                for k in range(n_half * (2 if axial else 1)):
                    out[i, k] = NAN
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
    cdef int64_t i
    cdef int k, n = values.shape[1]
    cdef double* own
    for i in range(first, last):
        own = &out[i, 0]
        for k in range(n):
            own[k] = values[offset + i, k]
        if count[i]:
            ask_ahead(&neighbour[start[i]], count[i] * sizeof(int32_t))
            add_rows_of(&values[0, 0], n, &neighbour[start[i]], count[i], own)
        for k in range(n):
            own[k] /= count[i] + 1


def placed(const double[:, ::1] values, const int64_t[::1] column, const int64_t[::1] number,
           real[:, ::1] out):
    """out[i, number[k]] = values[i, column[k]]."""
    cdef int64_t i, k, n = column.shape[0]
    cdef const double* row
    cdef real* to
    if n == 0:
        return
    with nogil:
        for i in range(out.shape[0]):
            row = &values[i, 0]
            to = &out[i, 0]
            for k in range(n):
                to[number[k]] = <real>row[column[k]]


def undefined(const real[:, ::1] values, uint8_t[::1] out):
    """out[i] = 1 where a number of row i is NaN, else 0."""
    cdef int64_t i, k, n = values.shape[1]
    cdef uint8_t found
    cdef const real* row
    if n == 0:
        out[:] = 0
        return
    with nogil:
        for i in range(values.shape[0]):
            row = &values[i, 0]
            found = 0
            for k in range(n):
                found |= row[k] != row[k]
            out[i] = found
