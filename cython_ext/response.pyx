# cython: language_level=3
"""Where a small strain takes the atoms if pairs hold them by force constants: by the affine map and, since that
leaves forces, by non-affine displacements beside it.

Those solve H u = f, H the force constants between near neighbours and f the forces after the affine strain;
``sweep`` and ``advance`` are one step of Chebyshev's iteration, preconditioned with D^-1, the atoms' own
blocks.  Its coefficients are given, so that it takes no sums over all atoms: u is a local quantity.
"""
from chunks cimport ATOMS_AT_ONCE, n_chunks
from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t

cdef extern from "ahead.h" nogil:
    void ask_ahead(const void* p, int64_t size)

cdef extern from "springs.h" nogil:
    int invert(const double* m, double* lowest, double* inverse)
    void times_symmetric(const double* m, const double* v, double* out)


def loaded(const double[:, ::1] x, const int64_t[::1] start, const int32_t[::1] count,
           const int32_t[::1] neighbour, const double[:, ::1] pairs, const double[::1] load,
           double[:, ::1] inverse, double[:, ::1] force, int threads):
    """Of each owned atom: D^-1 (n_own, 6) with its near neighbours alone, xx yy zz xy xz yz, and the force
    (n_own, 3) on it after the strain -E, E the load (6,), per unit of it.  D^-1 is 0 where nothing holds the atom.

    pairs : (len(neighbour), 2) of ``stiffness.near``.
    """
    cdef int64_t chunk, n = start.shape[0]
    for chunk in prange(n_chunks(n), nogil=True, num_threads=threads, schedule="dynamic"):
        loaded_chunk(chunk * ATOMS_AT_ONCE, min((chunk + 1) * ATOMS_AT_ONCE, n), x, start, count,
                     neighbour, pairs, load, inverse, force)


cdef void loaded_chunk(int64_t begin, int64_t last, const double[:, ::1] x,
                       const int64_t[::1] start, const int32_t[::1] count,
                       const int32_t[::1] neighbour, const double[:, ::1] pairs,
                       const double[::1] load, double[:, ::1] inverse,
                       double[:, ::1] force) noexcept nogil:
    """The atoms ``begin`` to ``last`` - 1 of ``loaded``."""
    cdef int64_t i, j, p
    cdef int a
    cdef double k, t, along
    cdef double d[3]
    cdef double e[3]
    cdef double held[6]
    for i in range(begin, last):
        for a in range(6):
            held[a] = 0.0
        for a in range(3):
            force[i, a] = 0.0
        if count[i]:
            ask_ahead(&neighbour[start[i]], count[i] * sizeof(int32_t))
            ask_ahead(&pairs[start[i], 0], 2 * count[i] * sizeof(double))
        for p in range(start[i], start[i] + count[i]):
            j = neighbour[p]
            for a in range(3):
                d[a] = x[j, a] - x[i, a]
            k = pairs[p, 0]
            t = pairs[p, 1]
            held[0] += k * d[0] * d[0] + t
            held[1] += k * d[1] * d[1] + t
            held[2] += k * d[2] * d[2] + t
            held[3] += k * d[0] * d[1]
            held[4] += k * d[0] * d[2]
            held[5] += k * d[1] * d[2]
            times_symmetric(&load[0], d, e)
            along = k * (d[0] * e[0] + d[1] * e[1] + d[2] * e[2])
            for a in range(3):
                force[i, a] -= along * d[a] + t * e[a]
        if not invert(held, NULL, &inverse[i, 0]):
            for a in range(6):
                inverse[i, a] = 0.0


def sweep(const double[:, ::1] x, const int64_t[::1] start, const int32_t[::1] count,
          const int32_t[::1] neighbour, const int32_t[::1] row, const double[:, ::1] pairs,
          const double[:, ::1] step, double[:, ::1] left, int threads):
    """left -= H step, of owned atoms; ``pairs`` are those of ``stiffness.near``.

    step : (n_rows, 3); ``row`` tells those of the neighbours, which come from their ranks.
    left : (n_own, 3), the forces that are left.
    """
    cdef int64_t chunk, n = start.shape[0]
    for chunk in prange(n_chunks(n), nogil=True, num_threads=threads, schedule="dynamic"):
        sweep_chunk(chunk * ATOMS_AT_ONCE, min((chunk + 1) * ATOMS_AT_ONCE, n), x, start, count,
                    neighbour, row, pairs, step, left)


cdef void sweep_chunk(int64_t begin, int64_t last, const double[:, ::1] x,
                      const int64_t[::1] start, const int32_t[::1] count,
                      const int32_t[::1] neighbour, const int32_t[::1] row,
                      const double[:, ::1] pairs, const double[:, ::1] step,
                      double[:, ::1] left) noexcept nogil:
    """The atoms ``begin`` to ``last`` - 1 of ``sweep``."""
    cdef int64_t i, j, p, q
    cdef double k, t, dx, dy, dz, vx, vy, vz, fx, fy, fz
    for i in range(begin, last):
        fx = fy = fz = 0.0
        if count[i]:
            ask_ahead(&neighbour[start[i]], count[i] * sizeof(int32_t))
            ask_ahead(&row[start[i]], count[i] * sizeof(int32_t))
            ask_ahead(&pairs[start[i], 0], 2 * count[i] * sizeof(double))
        for p in range(start[i], start[i] + count[i]):
            j = neighbour[p]
            q = row[p]
            t = pairs[p, 1]
            dx = x[j, 0] - x[i, 0]
            dy = x[j, 1] - x[i, 1]
            dz = x[j, 2] - x[i, 2]
            vx = step[q, 0] - step[i, 0]
            vy = step[q, 1] - step[i, 1]
            vz = step[q, 2] - step[i, 2]
            k = pairs[p, 0] * (dx * vx + dy * vy + dz * vz)
            fx = fx + k * dx + t * vx
            fy = fy + k * dy + t * vy
            fz = fz + k * dz + t * vz
        left[i, 0] += fx
        left[i, 1] += fy
        left[i, 2] += fz


def advance(const double[:, ::1] inverse, double keep, double add, const double[:, ::1] left,
            double[:, ::1] step, double[:, ::1] u, int threads):
    """step = keep * step + add * D^-1 left, and u += step, of owned atoms: (n_own, 6) and (n_own, 3), and
    (n_rows, 3)."""
    cdef int64_t chunk, n = inverse.shape[0]
    for chunk in prange(n_chunks(n), nogil=True, num_threads=threads, schedule="dynamic"):
        step_chunk(chunk * ATOMS_AT_ONCE, min((chunk + 1) * ATOMS_AT_ONCE, n), inverse, keep, add,
                   left, step, u)


cdef void step_chunk(int64_t begin, int64_t last, const double[:, ::1] inverse, double keep,
                     double add, const double[:, ::1] left, double[:, ::1] step,
                     double[:, ::1] u) noexcept nogil:
    """``step`` and ``u`` of the atoms ``begin`` to ``last`` - 1."""
    cdef int64_t i
    cdef int a
    cdef double v[3]
    for i in range(begin, last):
        times_symmetric(&inverse[i, 0], &left[i, 0], v)
        for a in range(3):
            step[i, a] = keep * step[i, a] + add * v[a]
            u[i, a] += step[i, a]


def strained(const double[:, ::1] x, const int32_t[::1] row_of, const double[:, ::1] u,
             const double[::1] load, double strain, double longest, double[:, ::1] out,
             int threads):
    """out (n_all, 3) = (1 - strain E)(x + strain u), where strain u is no longer than ``longest``."""
    cdef int64_t chunk, n = x.shape[0]
    for chunk in prange(n_chunks(n), nogil=True, num_threads=threads, schedule="dynamic"):
        strained_chunk(chunk * ATOMS_AT_ONCE, min((chunk + 1) * ATOMS_AT_ONCE, n), x, row_of, u,
                       load, strain, longest, out)


cdef void strained_chunk(int64_t begin, int64_t last, const double[:, ::1] x,
                         const int32_t[::1] row_of, const double[:, ::1] u,
                         const double[::1] load, double strain, double longest,
                         double[:, ::1] out) noexcept nogil:
    """The atoms ``begin`` to ``last`` - 1 of ``strained``."""
    cdef int64_t i
    cdef int a
    cdef double length, by
    cdef double v[3]
    cdef double e[3]
    for i in range(begin, last):
        length = 0.0
        for a in range(3):
            v[a] = u[row_of[i], a]
            length += v[a] * v[a]
        length = strain * sqrt(length)
        by = strain * (longest / length if length > longest else 1.0)
        for a in range(3):
            v[a] = x[i, a] + by * v[a]
        times_symmetric(&load[0], v, e)
        for a in range(3):
            out[i, a] = v[a] - strain * e[a]
