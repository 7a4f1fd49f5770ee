# cython: language_level=3
"""Two-body densities: how many atoms of each element are at which distance, and how they lie to the load.

Distances are spread over cubic B-splines on even knots, four of them each, so that the densities
are smooth in the positions.
"""
from grid cimport FINE, Grid, build_grid, free_grid
from libc.math cimport NAN, ceil, sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t


cdef inline void spline_weights(double u, double* w) noexcept nogil:
    """The four cubic B-splines that are not zero at the fraction u of a knot interval."""
    cdef double v = 1.0 - u
    w[0] = v * v * v / 6.0
    w[1] = (4.0 - 6.0 * u * u + 3.0 * u * u * u) / 6.0
    w[2] = (4.0 - 6.0 * v * v + 3.0 * v * v * v) / 6.0
    w[3] = u * u * u / 6.0


def densities(const double[:, ::1] x, const int32_t[::1] types, const uint8_t[::1] is_open,
              int n_elements, double first, double spacing, int n_splines,
              const double[::1] load, double[:, ::1] out):
    """out[i, e * n_splines + k] = sum of spline k at r_ij over the atoms j of element e + 1.

    Spline k is centred at first + k * spacing and ends two spacings from there.  With a load (6,)
    (xx yy zz xy xz yz of a symmetric tensor E) a second half of the columns weights each atom by
    u . E . u, u the unit vector to it; without (shape 0) there is none.  NaN for open cells.

    Returns 0, or 1 without memory, or 2 with a coordinate that is not finite.
    """
    cdef int64_t n_own = is_open.shape[0], i, j, s, place, row, c, at, n_block
    cdef int64_t lo[3]
    cdef int64_t hi[3]
    cdef int64_t cell[3]
    cdef int d, e, k, k0, problem, n_half = n_elements * n_splines
    cdef bint axial = load.shape[0] == 6
    cdef double reach = first + (n_splines + 1) * spacing, r2_most = reach * reach
    cdef double dx, dy, dz, r2, r, t, weight = 0.0
    cdef double w[4]
    cdef double* own
    cdef int64_t bad = -1
    cdef Grid g
    with nogil:
        problem = build_grid(&g, x, 0.5 * reach, &bad)
        if problem == FINE:
            for c in range(g.n[0] * g.n[1] * g.n[2]):
                if g.first[c] == g.first[c + 1]:
                    continue
                cell[0] = c % g.n[0]
                cell[1] = (c // g.n[0]) % g.n[1]
                cell[2] = c // (g.n[0] * g.n[1])
                for d in range(3):
                    k = <int>ceil(reach / g.width[d])
                    lo[d] = max(cell[d] - k, 0)
                    hi[d] = min(cell[d] + k, g.n[d] - 1)
                for place in range(g.first[c], g.first[c + 1]):
                    i = g.atom[place]
                    if i >= n_own:
                        continue
                    own = &out[i, 0]
                    for k in range(n_half * (2 if axial else 1)):
                        own[k] = NAN if is_open[i] else 0.0
                    if is_open[i]:
                        continue
                    for at in range(lo[2], hi[2] + 1):
                        for j in range(lo[1], hi[1] + 1):
                            row = (at * g.n[1] + j) * g.n[0]
                            for s in range(g.first[row + lo[0]], g.first[row + hi[0] + 1]):
                                dx = g.x[s] - g.x[place]
                                dy = g.y[s] - g.y[place]
                                dz = g.z[s] - g.z[place]
                                r2 = dx * dx + dy * dy + dz * dz
                                if r2 >= r2_most or s == place:
                                    continue
                                e = types[g.atom[s]] - 1
                                if e < 0:
                                    continue         # an element that has no density
                                r = sqrt(r2)
                                t = (r - first) / spacing + 2.0
                                if t <= 0.0:
                                    continue         # nearer than any spline reaches
                                k0 = <int>t - 3      # the first of the four, from -3 on
                                spline_weights(t - <int>t, w)
                                if axial:
                                    weight = (load[0] * dx * dx + load[1] * dy * dy
                                              + load[2] * dz * dz + 2.0 * (
                                                  load[3] * dx * dy + load[4] * dx * dz
                                                  + load[5] * dy * dz)) / r2
                                for k in range(max(0, -k0), min(4, n_splines - k0)):
                                    own[e * n_splines + k0 + k] += w[k]
                                    if axial:
                                        own[n_half + e * n_splines + k0 + k] += weight * w[k]
            free_grid(&g)
    return problem


def averaged(const double[:, ::1] values, const int64_t[::1] start, const int32_t[::1] count,
             const int32_t[::1] neighbour, double[:, ::1] out):
    """out[i] = mean of the rows of ``values`` over i and its neighbours."""
    cdef int64_t n_own = start.shape[0], i, s
    cdef int k, n = values.shape[1]
    cdef const double* row
    cdef double* own
    with nogil:
        for i in range(n_own):
            own = &out[i, 0]
            for k in range(n):
                own[k] = values[i, k]
            for s in range(start[i], start[i] + count[i]):
                row = &values[neighbour[s], 0]
                for k in range(n):
                    own[k] += row[k]
            for k in range(n):
                own[k] /= count[i] + 1
