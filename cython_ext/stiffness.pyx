# cython: language_level=3
"""How stiff the place of an atom is, from force constants of pairs that are given as splines.

An atom i is held by D_i = sum over j of B_ij, B_ij = k(r) u u + t(r) 1, u the unit vector to j; k and t go by the
elements of i and j.  D_i^-1 is how far a force moves it while all others stay.  What the neighbours' own give
adds to that is, to second order, D_i^-1 (sum over j of B_ij D_j^-1 B_ij) D_i^-1.
"""
from chunks cimport ATOMS_AT_ONCE, n_chunks
from cython.parallel cimport prange
from grid cimport CELLS_AT_ONCE, FINE, MOST_ROWS, NO_MEMORY, Grid, build_grid, free_grid, rows_around
from libc.math cimport NAN, log, sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc

cdef extern from "stiffness.h" nogil:
    ctypedef struct Springs:
        const double *x
        const double *y
        const double *z
        const int32_t *element
        int n_knots
    Springs springs_of(const double* pieces, int64_t size, int n_elements, double first,
                       double spacing)
    int64_t row_of_types(const Springs* s, int32_t a, int32_t b)
    void spring(const Springs* s, int64_t row, double r, double* k, double* t)
    void add_springs(const Springs* s, int64_t self, int n_rows, const int64_t* start,
                     const int64_t* end, double* sum)
    double trace(const double* m)
    double along(const double* m, const double* e)
    int invert(const double* m, double* lowest, double* inverse)
    void add_give(double k, double t, const double* d, double r2, const double* x, double* sum)
    void between(const double* a, const double* s, double* out)

cdef enum:
    OWN = 3                    # columns of ``places`` without a load; one more, of ``gives``, in between


def places(const double[:, ::1] x, const int32_t[::1] types, const uint8_t[::1] is_open,
           const double[::1] pieces, int n_elements, double first, double spacing,
           const double[::1] load, double[:, ::1] inverse, double[:, ::1] out, int threads):
    """Of each owned atom: D^-1 (xx yy zz xy xz yz) to ``inverse`` (n_rows, 6), and to ``out``

    columns 0 to 2: ln of the mean eigenvalue of D, of its lowest one, of the trace of D^-1;
    4 and 5, with a load E (6,): E : D / tr D and E : D^-1 / tr D^-1.

    pieces : (n_elements, n_elements, n_knots, 8), k and t of an atom of the first element with one of
    the second, powers 0 to 3 of the distance from the knot in spacings; knot m lies at first + (m - 2)
    * spacing.  The last element is that of unknown types (0).
    NaN where nothing holds the atom; in ``out``, not in ``inverse``, for open cells too.

    Returns 0, or 1 without memory, or 2 with a coordinate that is not finite.
    """
    cdef int64_t n_all = x.shape[0], place, n_cells = 0, chunk
    cdef int problem
    cdef Springs springs = springs_of(&pieces[0], pieces.shape[0], n_elements, first, spacing)
    cdef double reach = first + (springs.n_knots - 2) * spacing
    cdef int32_t* element = <int32_t*>malloc(n_all * sizeof(int32_t) + 1)
    cdef int64_t bad = -1
    cdef Grid g
    with nogil:
        problem = build_grid(&g, x, 0.5 * reach, &bad)
        if problem == FINE and element == NULL:
            problem = NO_MEMORY
        if problem == FINE:
            for place in range(n_all):
                element[place] = (types[g.atom[place]] or n_elements) - 1
            springs.x = g.x
            springs.y = g.y
            springs.z = g.z
            springs.element = element
            n_cells = g.n[0] * g.n[1] * g.n[2]
        for chunk in prange((n_cells + CELLS_AT_ONCE - 1) // CELLS_AT_ONCE, num_threads=threads,
                            schedule="dynamic"):
            place_chunk(chunk * CELLS_AT_ONCE, min((chunk + 1) * CELLS_AT_ONCE, n_cells), &g,
                        &springs, reach, is_open, load, inverse, out)
        free_grid(&g)
    free(element)
    return problem


cdef void place_chunk(int64_t first, int64_t last, const Grid* g, const Springs* springs,
                      double reach, const uint8_t[::1] is_open, const double[::1] load,
                      double[:, ::1] inverse, double[:, ::1] out) noexcept nogil:
    """The atoms of the grid cells ``first`` to ``last`` - 1."""
    cdef int64_t n_own = is_open.shape[0], i, c, place
    cdef int64_t start[MOST_ROWS]
    cdef int64_t end[MOST_ROWS]
    cdef double held[6]
    cdef double lowest = 0.0
    cdef int d, n_rows
    cdef bint axial = load.shape[0] == 6
    for c in range(first, last):
        if g.first[c] == g.first[c + 1]:
            continue
        n_rows = rows_around(g, c, reach, start, end)
        for place in range(g.first[c], g.first[c + 1]):
            i = g.atom[place]
            if i >= n_own:
                continue
            for d in range(6):
                held[d] = 0.0
            add_springs(springs, place, n_rows, start, end, held)
            if not invert(held, &lowest, &inverse[i, 0]):
                for d in range(6):
                    inverse[i, d] = NAN
            if is_open[i] or inverse[i, 0] != inverse[i, 0]:
                for d in range(OWN):
                    out[i, d] = NAN
                if axial:
                    out[i, OWN + 1] = out[i, OWN + 2] = NAN
                continue
            out[i, 0] = log(trace(held) / 3.0)
            out[i, 1] = log(lowest)
            out[i, 2] = log(trace(&inverse[i, 0]))
            if axial:
                out[i, OWN + 1] = along(held, &load[0])
                out[i, OWN + 2] = along(&inverse[i, 0], &load[0])


def gives(const double[:, ::1] x, const int32_t[::1] types, const uint8_t[::1] is_open,
          const int64_t[::1] start,
          const int32_t[::1] count, const int32_t[::1] neighbour, const int32_t[::1] row,
          const double[::1] pieces, int n_elements, double first, double spacing,
          const double[::1] load, const double[:, ::1] inverse, double[:, ::1] out, int threads):
    """What the give of its neighbours adds to that of an atom: column 3 of ``out`` is ln of its trace and,
    with a load E, column 6 E : C / tr C.

    neighbour, row : numbers of the atoms, and their rows in ``inverse`` (n_rows, 6), which ``places`` made
    here and on other ranks.  NaN where ``inverse`` of the atom or of a neighbour is, without any, and for
    open cells.
    """
    cdef int64_t n_own = start.shape[0], chunk
    for chunk in prange(n_chunks(n_own), nogil=True, num_threads=threads, schedule="dynamic"):
        give_chunk(chunk * ATOMS_AT_ONCE, min((chunk + 1) * ATOMS_AT_ONCE, n_own), x, types, is_open, start,
                   count, neighbour, row, pieces, n_elements, first, spacing, load, inverse, out)


cdef void give_chunk(int64_t begin, int64_t last, const double[:, ::1] x, const int32_t[::1] types,
                     const uint8_t[::1] is_open, const int64_t[::1] start, const int32_t[::1] count,
                     const int32_t[::1] neighbour, const int32_t[::1] row,
                     const double[::1] pieces, int n_elements, double first, double spacing,
                     const double[::1] load, const double[:, ::1] inverse,
                     double[:, ::1] out) noexcept nogil:
    """The atoms ``begin`` to ``last`` - 1 of ``gives``."""
    cdef int64_t i, j, s
    cdef int d
    cdef double r2, k, t
    cdef double v[3]
    cdef double sum[6]
    cdef double added[6]
    cdef bint axial = load.shape[0] == 6
    cdef Springs springs = springs_of(&pieces[0], pieces.shape[0], n_elements, first, spacing)
    for i in range(begin, last):
        for d in range(6):
            sum[d] = 0.0
        for s in range(start[i], start[i] + count[i]):
            j = neighbour[s]
            r2 = 0.0
            for d in range(3):
                v[d] = x[j, d] - x[i, d]
                r2 += v[d] * v[d]
            spring(&springs, row_of_types(&springs, types[i], types[j]), sqrt(r2), &k, &t)
            add_give(k, t, v, r2, &inverse[row[s], 0], sum)
        between(&inverse[i, 0], sum, added)
        if trace(added) > 0.0 and not is_open[i]:
            out[i, OWN] = log(trace(added))
            if axial:
                out[i, OWN + 3] = along(added, &load[0])
        else:                                     # NaN too
            out[i, OWN] = NAN
            if axial:
                out[i, OWN + 3] = NAN
