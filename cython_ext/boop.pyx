# cython: language_level=3
"""Bond orientational order: q_lm over an atom's neighbours, and their rotational invariants.

Spherical harmonics come from recursions in the unit vector's components, without angles: exact
for every bond, those along z too.  Only m >= 0 is kept, since q_l,-m = (-1)^m conj(q_lm).
"""
from chunks cimport ATOMS_AT_ONCE, n_chunks
from cython.parallel cimport prange
from libc.math cimport M_PI, NAN, sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t

cdef enum:
    L_MAX = 10
    N_ORDERS = 4               # l = 4, 6, 8, 10
    N_COMPONENTS = 32          # 5 + 7 + 9 + 11 orders m >= 0; real parts first, then imaginary
    LANES = 4                  # bonds at once, for the compiler's vectors

WIDTH = 2 * N_COMPONENTS

# P_l^m normalised, without its sin^m: rise[l][m] (z P_l-1 - P_l-2 / rise[l-1][m]), start[m].
cdef double rise[L_MAX + 1][L_MAX + 1]
cdef double sink[L_MAX + 1][L_MAX + 1]
cdef double first[L_MAX + 1]
cdef int offset[L_MAX + 1]     # of the components of l


cdef void fill_tables():
    cdef int l, m, at = 0
    cdef double product = 1.0
    for m in range(L_MAX + 1):
        if m > 0:
            product *= -sqrt((2.0 * m + 1.0) / (2.0 * m))      # with the Condon-Shortley sign
        first[m] = product / sqrt(4.0 * M_PI)
        for l in range(m + 1, L_MAX + 1):
            rise[l][m] = sqrt((4.0 * l * l - 1.0) / (l * l - m * m))
            sink[l][m] = rise[l][m] / rise[l - 1][m] if l > m + 1 else 0.0
    for l in range(4, L_MAX + 1, 2):
        offset[l] = at
        at += l + 1


fill_tables()


cdef inline void add_bonds(const double* x, const double* y, const double* z, double* c, double* s,
                           double* q) noexcept nogil:
    """q[k][lane] += Y_lm of the unit vectors (x, y, z), one in each lane.

    c, s : 1 and 0 in lanes that are in use, 0 and 0 in others; they become (x + i y)^m.
    """
    cdef int l, m, t
    cdef double a, b, turn
    cdef double* re
    cdef double* im
    cdef double before[LANES]
    cdef double here[LANES]
    cdef double after[LANES]
    for m in range(L_MAX + 1):
        for t in range(LANES):
            before[t] = 0.0
            here[t] = first[m]
        for l in range(m, L_MAX + 1):
            if l > m:
                a = rise[l][m]
                b = sink[l][m]
                for t in range(LANES):
                    after[t] = a * z[t] * here[t] - b * before[t]
                    before[t] = here[t]
                    here[t] = after[t]
            if l >= 4 and l % 2 == 0:
                re = q + (offset[l] + m) * LANES
                im = re + N_COMPONENTS * LANES
                for t in range(LANES):
                    re[t] += here[t] * c[t]
                    im[t] += here[t] * s[t]
        for t in range(LANES):
            turn = c[t] * x[t] - s[t] * y[t]
            s[t] = c[t] * y[t] + s[t] * x[t]
            c[t] = turn


def bond_order(const double[:, ::1] x, const uint8_t[::1] is_open, const int64_t[::1] start,
               const int32_t[::1] count, const int32_t[::1] neighbour, double[:, ::1] qlm,
               int threads):
    """qlm[i] (2 * 32) = mean of Y_lm over the neighbours of i; NaN for open cells or none."""
    cdef int64_t n_own = start.shape[0], chunk
    for chunk in prange(n_chunks(n_own), nogil=True, num_threads=threads, schedule="dynamic"):
        bond_chunk(chunk * ATOMS_AT_ONCE, min((chunk + 1) * ATOMS_AT_ONCE, n_own), x, is_open,
                   start, count, neighbour, qlm)


cdef void bond_chunk(int64_t first, int64_t last, const double[:, ::1] x,
                     const uint8_t[::1] is_open, const int64_t[::1] start,
                     const int32_t[::1] count, const int32_t[::1] neighbour,
                     double[:, ::1] qlm) noexcept nogil:
    """The atoms ``first`` to ``last`` - 1 of ``bond_order``."""
    cdef int64_t i, j, s
    cdef int k, t
    cdef double a, b, c, r
    cdef double q[2 * N_COMPONENTS * LANES]
    cdef double ux[LANES]
    cdef double uy[LANES]
    cdef double uz[LANES]
    cdef double re[LANES]
    cdef double im[LANES]
    for i in range(first, last):
        if is_open[i] or count[i] == 0:
            for k in range(2 * N_COMPONENTS):
                qlm[i, k] = NAN
            continue
        for k in range(2 * N_COMPONENTS * LANES):
            q[k] = 0.0
        s = 0
        while s < count[i]:
            for t in range(LANES):
                im[t] = 0.0
                if s + t < count[i]:
                    j = neighbour[start[i] + s + t]
                    a = x[j, 0] - x[i, 0]
                    b = x[j, 1] - x[i, 1]
                    c = x[j, 2] - x[i, 2]
                    r = sqrt(a * a + b * b + c * c)
                    ux[t] = a / r
                    uy[t] = b / r
                    uz[t] = c / r
                    re[t] = 1.0
                else:
                    ux[t] = 0.0
                    uy[t] = 0.0
                    uz[t] = 0.0
                    re[t] = 0.0
            add_bonds(ux, uy, uz, re, im, q)
            s += LANES
        for k in range(2 * N_COMPONENTS):
            a = 0.0
            for t in range(LANES):
                a += q[k * LANES + t]
            qlm[i, k] = a / count[i]


cdef inline void invariants(const double* q, const int32_t* term_start, const int32_t* m1,
                            const int32_t* m2, const double* weight, double* out) noexcept nogil:
    """q_4 .. q_10, then w_4 .. w_10; w is 0 where all q_lm vanish."""
    cdef int n, m, l, t
    cdef double norm, w, re, im
    cdef const double* a
    cdef const double* b
    for n in range(N_ORDERS):
        l = 4 + 2 * n
        a = q + offset[l]
        b = a + N_COMPONENTS
        norm = a[0] * a[0]
        for m in range(1, l + 1):
            norm += 2.0 * (a[m] * a[m] + b[m] * b[m])
        out[n] = sqrt(4.0 * M_PI / (2 * l + 1) * norm)
        w = 0.0
        for t in range(term_start[n], term_start[n + 1]):
            re = a[m1[t]] * a[m2[t]] - b[m1[t]] * b[m2[t]]
            im = a[m1[t]] * b[m2[t]] + b[m1[t]] * a[m2[t]]
            m = m1[t] + m2[t]
            w += weight[t] * (re * a[m] + im * b[m])
        out[N_ORDERS + n] = 0.0 if norm < 1e-14 else w / (norm * sqrt(norm))


def order_parameters(const double[:, ::1] qlm, int64_t n_own, const int32_t[::1] term_start,
                     const int32_t[::1] m1, const int32_t[::1] m2, const double[::1] weight,
                     const int32_t[::1] into, double[:, ::1] out, int threads):
    """out[i, into[k]] = q_4, q_6, q_8, q_10, w_4 .. w_10 of qlm[i]; into < 0 is not wanted.

    The terms of w_l = sum 3j q_m1 q_m2 q_m3 are those with m1 >= m2 >= 0; their weights count the
    permutations and mirror images that equal them (``lammps_mgml.families.bond_order``).
    """
    cdef int64_t chunk
    for chunk in prange(n_chunks(n_own), nogil=True, num_threads=threads, schedule="dynamic"):
        order_chunk(chunk * ATOMS_AT_ONCE, min((chunk + 1) * ATOMS_AT_ONCE, n_own), qlm,
                    term_start, m1, m2, weight, into, out)


cdef void order_chunk(int64_t first, int64_t last, const double[:, ::1] qlm,
                      const int32_t[::1] term_start, const int32_t[::1] m1,
                      const int32_t[::1] m2, const double[::1] weight,
                      const int32_t[::1] into, double[:, ::1] out) noexcept nogil:
    """The atoms ``first`` to ``last`` - 1 of ``order_parameters``."""
    cdef int64_t i
    cdef int k
    cdef double c[2 * N_ORDERS]
    for i in range(first, last):
        invariants(&qlm[i, 0], &term_start[0], &m1[0], &m2[0], &weight[0], c)
        for k in range(2 * N_ORDERS):
            if into[k] >= 0:
                out[i, into[k]] = c[k]


def averaged_order_parameters(const double[:, ::1] qlm, const int64_t[::1] start,
                              const int32_t[::1] count, const int32_t[::1] neighbour,
                              const int32_t[::1] term_start, const int32_t[::1] m1,
                              const int32_t[::1] m2, const double[::1] weight,
                              double[:, ::1] out, int threads):
    """out[i] (8) = the same of the mean of q_lm over i and its neighbours.

    qlm : (n_rows, 64), rows of neighbours on other ranks filled (Lechner & Dellago 2008).
    """
    cdef int64_t n_own = start.shape[0], chunk
    for chunk in prange(n_chunks(n_own), nogil=True, num_threads=threads, schedule="dynamic"):
        averaged_chunk(chunk * ATOMS_AT_ONCE, min((chunk + 1) * ATOMS_AT_ONCE, n_own), qlm,
                       start, count, neighbour, term_start, m1, m2, weight, out)


cdef void averaged_chunk(int64_t first, int64_t last, const double[:, ::1] qlm,
                         const int64_t[::1] start, const int32_t[::1] count,
                         const int32_t[::1] neighbour, const int32_t[::1] term_start,
                         const int32_t[::1] m1, const int32_t[::1] m2, const double[::1] weight,
                         double[:, ::1] out) noexcept nogil:
    """The atoms ``first`` to ``last`` - 1 of ``averaged_order_parameters``."""
    cdef int64_t i, s
    cdef int k
    cdef double q[2 * N_COMPONENTS]
    cdef const double* row
    for i in range(first, last):
        for k in range(2 * N_COMPONENTS):
            q[k] = qlm[i, k]
        for s in range(start[i], start[i] + count[i]):
            row = &qlm[neighbour[s], 0]
            for k in range(2 * N_COMPONENTS):
                q[k] += row[k]
        for k in range(2 * N_COMPONENTS):
            q[k] /= count[i] + 1
        invariants(q, &term_start[0], &m1[0], &m2[0], &weight[0], &out[i, 0])
