# cython: language_level=3
"""How stiff the place of an atom is, from force constants of pairs that are given as splines.

An atom i is held by D_i = sum over j of B_ij, B_ij = k(r) u u + t(r) 1, u the unit vector to j; k and t go by the
elements of i and j.  D_i^-1 is how far a force moves it while all others stay.  What the neighbours' own give
adds to that is, to second order, D_i^-1 (sum over j of B_ij D_j^-1 B_ij) D_i^-1.
"""
from chunks cimport ATOMS_AT_ONCE, n_chunks
from cython.parallel cimport prange
from libc.math cimport NAN, log
from libc.stdint cimport int32_t, int64_t, uint8_t

cdef extern from "ahead.h" nogil:
    void ask_ahead(const void* p, int64_t size)

cdef extern from "springs.h" nogil:
    ctypedef struct Springs:
        pass
    Springs springs_of(const double* pieces, int64_t size, int n_elements, double first,
                       double spacing)
    void springs_near(const Springs* s, const double* x, const int32_t* type, int64_t i,
                      const int32_t* neighbour, int64_t n, double* pairs)
    void add_gives(const double* x, int64_t i, const int32_t* neighbour, const int32_t* row,
                   int64_t n, const double* pairs, const double* inverse, double* sum)
    double trace(const double* m)
    double along(const double* m, const double* e)
    int invert(const double* m, double* lowest, double* inverse)
    void between(const double* a, const double* s, double* out)

cdef enum:
    OWN = 3                    # columns of ``places`` without a load; one more, of ``gives``, in between
    NEAR_AT_ONCE = 32          # neighbours of an atom whose force constants are not kept


def places(double[:, ::1] inverse, const uint8_t[::1] is_open, const double[::1] load,
           double[:, ::1] out, int threads):
    """Of each owned atom: D^-1 in place of D in ``inverse`` (n_rows, 6), xx yy zz xy xz yz, and to ``out``

    columns 0 to 2: ln of the mean eigenvalue of D, of its lowest one, of the trace of D^-1;
    4 and 5, with a load E (6,): E : D / tr D and E : D^-1 / tr D^-1.

    D is that of ``density.pair_sums``.
    NaN where nothing holds the atom; in ``out``, not in ``inverse``, for open cells too.
    """
    cdef int64_t n_own = is_open.shape[0], chunk
    for chunk in prange(n_chunks(n_own), nogil=True, num_threads=threads, schedule="dynamic"):
        place_chunk(chunk * ATOMS_AT_ONCE, min((chunk + 1) * ATOMS_AT_ONCE, n_own), inverse, is_open,
                    load, out)


cdef void place_chunk(int64_t begin, int64_t last, double[:, ::1] inverse,
                      const uint8_t[::1] is_open, const double[::1] load,
                      double[:, ::1] out) noexcept nogil:
    """The atoms ``begin`` to ``last`` - 1 of ``places``."""
    cdef int64_t i
    cdef double lowest = 0.0
    cdef double held[6]
    cdef int d
    cdef bint axial = load.shape[0] == 6
    for i in range(begin, last):
        for d in range(6):
            held[d] = inverse[i, d]
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


def near(const double[:, ::1] x, const int32_t[::1] types, const int64_t[::1] start,
         const int32_t[::1] count, const int32_t[::1] neighbour, const double[::1] pieces,
         int n_elements, double first, double spacing, double[:, ::1] pairs, int threads):
    """pairs (len(neighbour), 2): k over the square of the distance, and t, of each owned atom with
    each of its neighbours.  pieces : as for
    ``density.pair_sums``."""
    cdef int64_t chunk, n_own = start.shape[0]
    cdef Springs springs = springs_of(&pieces[0], pieces.shape[0], n_elements, first, spacing)
    for chunk in prange(n_chunks(n_own), nogil=True, num_threads=threads, schedule="dynamic"):
        near_chunk(chunk * ATOMS_AT_ONCE, min((chunk + 1) * ATOMS_AT_ONCE, n_own), x, types, start,
                   count, neighbour, &springs, pairs)


cdef void near_chunk(int64_t begin, int64_t last, const double[:, ::1] x, const int32_t[::1] types,
                     const int64_t[::1] start, const int32_t[::1] count,
                     const int32_t[::1] neighbour, const Springs* springs,
                     double[:, ::1] pairs) noexcept nogil:
    """The atoms ``begin`` to ``last`` - 1 of ``near``."""
    cdef int64_t i
    for i in range(begin, last):
        if count[i]:
            ask_ahead(&neighbour[start[i]], count[i] * sizeof(int32_t))
            springs_near(springs, &x[0, 0], &types[0], i, &neighbour[start[i]], count[i],
                         &pairs[start[i], 0])


def gives(const double[:, ::1] x, const int32_t[::1] types, const uint8_t[::1] is_open,
          const int64_t[::1] start, const int32_t[::1] count, const int32_t[::1] neighbour,
          const int32_t[::1] row, const double[::1] pieces, int n_elements, double first,
          double spacing, const double[:, ::1] pairs, const double[::1] load,
          const double[:, ::1] inverse, double[:, ::1] out, int threads):
    """What the give of its neighbours adds to that of an atom: column 3 of ``out`` is ln of its trace and,
    with a load E, column 6 E : C / tr C.

    neighbour, row : numbers of the atoms, and their rows in ``inverse`` (n_rows, 6), which ``places`` made
    here and on other ranks.  pieces : as for ``density.pair_sums``.  pairs : what ``near`` makes of them,
    or without rows.  NaN where ``inverse`` of the atom or of a neighbour is, without any, and for open cells.
    """
    cdef int64_t n_own = start.shape[0], chunk
    cdef Springs springs = springs_of(&pieces[0], pieces.shape[0], n_elements, first, spacing)
    for chunk in prange(n_chunks(n_own), nogil=True, num_threads=threads, schedule="dynamic"):
        give_chunk(chunk * ATOMS_AT_ONCE, min((chunk + 1) * ATOMS_AT_ONCE, n_own), x, types, is_open,
                   start, count, neighbour, row, &springs, pairs, load, inverse, out)


cdef void give_chunk(int64_t begin, int64_t last, const double[:, ::1] x, const int32_t[::1] types,
                     const uint8_t[::1] is_open, const int64_t[::1] start, const int32_t[::1] count,
                     const int32_t[::1] neighbour, const int32_t[::1] row, const Springs* springs,
                     const double[:, ::1] pairs, const double[::1] load,
                     const double[:, ::1] inverse, double[:, ::1] out) noexcept nogil:
    """The atoms ``begin`` to ``last`` - 1 of ``gives``."""
    cdef int64_t i, p, m
    cdef int d
    cdef double sum[6]
    cdef double added[6]
    cdef double some[2 * NEAR_AT_ONCE]
    cdef bint axial = load.shape[0] == 6, known = pairs.shape[0] > 0
    for i in range(begin, last):
        for d in range(6):
            sum[d] = 0.0
        if count[i]:
            ask_ahead(&neighbour[start[i]], count[i] * sizeof(int32_t))
            ask_ahead(&row[start[i]], count[i] * sizeof(int32_t))
        if known and count[i]:
            ask_ahead(&pairs[start[i], 0], 2 * count[i] * sizeof(double))
            add_gives(&x[0, 0], i, &neighbour[start[i]], &row[start[i]], count[i], &pairs[start[i], 0],
                      &inverse[0, 0], sum)
        elif count[i]:
            p = start[i]
            while p < start[i] + count[i]:
                m = min(start[i] + count[i] - p, NEAR_AT_ONCE)
                springs_near(springs, &x[0, 0], &types[0], i, &neighbour[p], m, some)
                add_gives(&x[0, 0], i, &neighbour[p], &row[p], m, some, &inverse[0, 0], sum)
                p += m
        between(&inverse[i, 0], sum, added)
        if trace(added) > 0.0 and not is_open[i]:
            out[i, OWN] = log(trace(added))
            if axial:
                out[i, OWN + 3] = along(added, &load[0])
        else:                                     # NaN too
            out[i, OWN] = NAN
            if axial:
                out[i, OWN + 3] = NAN
