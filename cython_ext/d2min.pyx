# cython: language_level=3
"""Best local affine map of a neighbourhood, its residual D2min and its strain."""
from chunks cimport ATOMS_AT_ONCE, n_chunks
from cython.parallel cimport prange
from libc.math cimport NAN, fabs, sqrt
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free, malloc, realloc

import numpy as np

cdef enum:
    ROOM = 32                 # partners of an atom for which there is room at first


def pairs_within(const double[:, ::1] x, Py_ssize_t n_own, double cutoff,
                 const int64_t[::1] cell_first, const int32_t[::1] cell_atom,
                 const int32_t[:, ::1] cell_of, int nx, int ny, int nz,
                 int64_t[::1] start, int threads):
    """Atoms within ``cutoff`` of each owned atom, from a cell list.

    start : (n_own + 1,), filled.  Returns partner, int32: those of atom i, in the order of the cell
    list, are partner[start[i] : start[i + 1]], on any number of threads.

    Raises
    ------
    MemoryError
    """
    cdef int64_t chunk, n = n_chunks(n_own), i
    cdef int failed = 0
    cdef int32_t** found = <int32_t**>calloc(n + 1, sizeof(int32_t*))
    cdef int32_t[::1] all_found
    if found == NULL:
        raise MemoryError("no memory for the pairs")
    try:
        # each chunk into a list of its own, then all of them in their order into one
        for chunk in prange(n, nogil=True, num_threads=threads, schedule="dynamic"):
            failed |= pairs_chunk(chunk * ATOMS_AT_ONCE, min((chunk + 1) * ATOMS_AT_ONCE, n_own), x,
                                  cutoff, cell_first, cell_atom, cell_of, nx, ny, nz, start,
                                  &found[chunk])
        if failed:
            raise MemoryError("no memory for the pairs")
        start[0] = 0
        for i in range(n_own):
            start[i + 1] += start[i]
        partner = np.empty(start[n_own], np.int32)
        all_found = partner
        for chunk in prange(n, nogil=True, num_threads=threads, schedule="dynamic"):
            copy_pairs(chunk * ATOMS_AT_ONCE, min((chunk + 1) * ATOMS_AT_ONCE, n_own), start,
                       found[chunk], all_found)
        return partner
    finally:
        for chunk in range(n):
            free(found[chunk])
        free(found)


cdef int pairs_chunk(int64_t first, int64_t last, const double[:, ::1] x, double cutoff,
                     const int64_t[::1] cell_first, const int32_t[::1] cell_atom,
                     const int32_t[:, ::1] cell_of, int nx, int ny, int nz, int64_t[::1] start,
                     int32_t** found) noexcept nogil:
    """start[i + 1] = how many are near i, ``found`` = who, of atoms ``first`` to ``last`` - 1.

    Returns 1 without memory, else 0; the list is to be freed.
    """
    cdef int64_t i, s, n = 0, before, row, room = ROOM * (last - first)
    cdef int j, k, lo, hi
    cdef int32_t q
    cdef int32_t* more
    cdef double a, b, c, r2 = cutoff * cutoff
    found[0] = <int32_t*>malloc(room * sizeof(int32_t))
    if found[0] == NULL:
        return 1
    for i in range(first, last):
        before = n
        for k in range(max(cell_of[i, 2] - 1, 0), min(cell_of[i, 2] + 2, nz)):
            for j in range(max(cell_of[i, 1] - 1, 0), min(cell_of[i, 1] + 2, ny)):
                row = (<int64_t>k * ny + j) * nx
                lo = max(cell_of[i, 0] - 1, 0)
                hi = min(cell_of[i, 0] + 2, nx)
                if n + cell_first[row + hi] - cell_first[row + lo] > room:
                    room = 2 * room + cell_first[row + hi] - cell_first[row + lo]
                    more = <int32_t*>realloc(found[0], room * sizeof(int32_t))
                    if more == NULL:
                        return 1
                    found[0] = more
                for s in range(cell_first[row + lo], cell_first[row + hi]):
                    q = cell_atom[s]
                    a = x[q, 0] - x[i, 0]
                    b = x[q, 1] - x[i, 1]
                    c = x[q, 2] - x[i, 2]
                    if a * a + b * b + c * c < r2 and q != i:
                        found[0][n] = q
                        n += 1
        start[i + 1] = n - before
    return 0


cdef void copy_pairs(int64_t first, int64_t last, const int64_t[::1] start, const int32_t* found,
                     int32_t[::1] partner) noexcept nogil:
    """The list of one chunk to its place among all."""
    cdef int64_t s, at = start[first]
    for s in range(start[last] - at):
        partner[at + s] = found[s]


def times(const double[:, ::1] rows, const double[:, ::1] matrix, double[:, ::1] out, int threads=1):
    """out[i] = rows[i] @ matrix, (n, 3) and (3, 3); ``out`` may be ``rows``.

    Not left to BLAS, which would start threads of its own beside those of the other ranks.
    """
    cdef int64_t chunk, n = rows.shape[0]
    for chunk in prange(n_chunks(n), nogil=True, num_threads=threads, schedule="dynamic"):
        times_chunk(chunk * ATOMS_AT_ONCE, min((chunk + 1) * ATOMS_AT_ONCE, n), rows, matrix, out)


cdef void times_chunk(int64_t first, int64_t last, const double[:, ::1] rows,
                      const double[:, ::1] matrix, double[:, ::1] out) noexcept nogil:
    """The rows ``first`` to ``last`` - 1 of ``times``."""
    cdef int64_t i
    cdef int k
    cdef double a, b, c
    for i in range(first, last):
        a = rows[i, 0]
        b = rows[i, 1]
        c = rows[i, 2]
        for k in range(3):
            out[i, k] = a * matrix[0, k] + b * matrix[1, k] + c * matrix[2, k]


cdef inline double invert(const double* m, double* inv) noexcept nogil:
    """Inverse of a symmetric 3 x 3 matrix (xx, yy, zz, xy, xz, yz); returns the determinant."""
    cdef double c0 = m[1] * m[2] - m[5] * m[5]
    cdef double c1 = m[5] * m[4] - m[3] * m[2]
    cdef double c2 = m[3] * m[5] - m[1] * m[4]
    cdef double det = m[0] * c0 + m[3] * c1 + m[4] * c2
    cdef double f = 1.0 / det if det != 0.0 else 0.0
    inv[0] = c0 * f
    inv[1] = (m[0] * m[2] - m[4] * m[4]) * f
    inv[2] = (m[0] * m[1] - m[3] * m[3]) * f
    inv[3] = c1 * f
    inv[4] = c2 * f
    inv[5] = (m[4] * m[3] - m[0] * m[5]) * f
    return det


def affine_residual(const double[:, ::1] x0, const double[:, ::1] x, Py_ssize_t n_own,
                    const int64_t[::1] start, const int64_t[::1] end, const int32_t[::1] partner,
                    double[::1] residual, double[::1] strain, int32_t[::1] used, int threads):
    """Fit d = F d0 over each atom's pairs (Falk & Langer 1998; paper, Eqs. 2-4).

    x0, x : (n_all, 3) float64, A
        Reference and current positions, both continuous: the vector of pair (i, j) is x[j] - x[i]
        as it stands.  A partner that is lost has NaN in x and is left out.
    start, end : (n_own,), the partners of atom i are partner[start[i] : end[i]].
    residual : sum over the pairs of |d - F d0|^2, A^2 (Falk-Langer's and OVITO's D2min).
    strain : von Mises invariant of the Green-Lagrange strain (F^T F - 1) / 2.
    used : pairs that entered.  With fewer than 3, or all in a plane, both results are NaN.
    """
    cdef int64_t chunk
    for chunk in prange(n_chunks(n_own), nogil=True, num_threads=threads, schedule="dynamic"):
        residual_chunk(chunk * ATOMS_AT_ONCE, min((chunk + 1) * ATOMS_AT_ONCE, n_own), x0, x,
                       start, end, partner, residual, strain, used)


cdef void residual_chunk(int64_t first, int64_t last, const double[:, ::1] x0,
                         const double[:, ::1] x, const int64_t[::1] start,
                         const int64_t[::1] end, const int32_t[::1] partner,
                         double[::1] residual, double[::1] strain,
                         int32_t[::1] used) noexcept nogil:
    """The atoms ``first`` to ``last`` - 1 of ``affine_residual``."""
    cdef int64_t i, s, j
    cdef int a, b, n
    cdef double d0[3]
    cdef double d[3]
    cdef double v[6]
    cdef double inv[6]
    cdef double w[9]
    cdef double f[9]
    cdef double g[6]
    cdef double total, e, det, size
    for i in range(first, last):
        for a in range(6):
            v[a] = 0.0
        for a in range(9):
            w[a] = 0.0
        n = 0
        for s in range(start[i], end[i]):
            j = partner[s]
            if x[j, 0] != x[j, 0]:
                continue
            n += 1
            for a in range(3):
                d0[a] = x0[j, a] - x0[i, a]
                d[a] = x[j, a] - x[i, a]
            v[0] += d0[0] * d0[0]
            v[1] += d0[1] * d0[1]
            v[2] += d0[2] * d0[2]
            v[3] += d0[0] * d0[1]
            v[4] += d0[0] * d0[2]
            v[5] += d0[1] * d0[2]
            for a in range(3):
                for b in range(3):
                    w[3 * a + b] += d[a] * d0[b]
        used[i] = n
        residual[i] = NAN
        strain[i] = NAN
        if n < 3 or x[i, 0] != x[i, 0]:
            continue
        det = invert(v, inv)
        size = v[0] + v[1] + v[2]
        if fabs(det) <= 1e-9 * size * size * size:     # neighbours in a plane or a line
            continue
        for a in range(3):
            f[3 * a] = w[3 * a] * inv[0] + w[3 * a + 1] * inv[3] + w[3 * a + 2] * inv[4]
            f[3 * a + 1] = w[3 * a] * inv[3] + w[3 * a + 1] * inv[1] + w[3 * a + 2] * inv[5]
            f[3 * a + 2] = w[3 * a] * inv[4] + w[3 * a + 1] * inv[5] + w[3 * a + 2] * inv[2]
        total = 0.0
        for s in range(start[i], end[i]):
            j = partner[s]
            if x[j, 0] != x[j, 0]:
                continue
            for a in range(3):
                d0[a] = x0[j, a] - x0[i, a]
            for a in range(3):
                e = (x[j, a] - x[i, a] - f[3 * a] * d0[0] - f[3 * a + 1] * d0[1]
                     - f[3 * a + 2] * d0[2])
                total += e * e
        residual[i] = total
        for a in range(3):
            g[a] = 0.5 * (f[a] * f[a] + f[3 + a] * f[3 + a] + f[6 + a] * f[6 + a] - 1.0)
        g[3] = 0.5 * (f[0] * f[1] + f[3] * f[4] + f[6] * f[7])
        g[4] = 0.5 * (f[0] * f[2] + f[3] * f[5] + f[6] * f[8])
        g[5] = 0.5 * (f[1] * f[2] + f[4] * f[5] + f[7] * f[8])
        strain[i] = sqrt(g[3] * g[3] + g[4] * g[4] + g[5] * g[5]
                         + ((g[0] - g[1]) * (g[0] - g[1]) + (g[0] - g[2]) * (g[0] - g[2])
                            + (g[1] - g[2]) * (g[1] - g[2])) / 6.0)
