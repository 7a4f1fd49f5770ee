# cython: language_level=3
"""Atoms sorted into a grid, so that those around a point are found without a search."""
from libc.math cimport INFINITY, ceil, floor, isfinite
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc

cdef enum Problem:
    FINE = 0
    NO_MEMORY = 1
    NOT_FINITE = 2
    COINCIDENT_ATOMS = 3
    TOO_MANY_FACETS = 4
    OUTPUT_FULL = 5

# For kernels that go through all grid cells with those around each.
cdef enum:
    CELLS_AT_ONCE = 128        # for a thread
    MOST_ROWS = 64             # around one: five by five, seven by seven if rounded

cdef struct Grid:
    int64_t n[3]
    double origin[3]
    double width[3]
    int64_t* first            # (n cells + 1,) place of each grid cell's first atom
    int32_t* atom             # (n_all,) atom at each place
    double* x                 # (n_all,) positions in grid order
    double* y
    double* z


cdef inline void free_grid(Grid* g) noexcept nogil:
    free(g.first)
    free(g.atom)
    free(g.x)
    free(g.y)
    free(g.z)


cdef inline int build_grid(Grid* g, const double[:, ::1] x, double width, int64_t* bad) noexcept nogil:
    """Sort all atoms into grid cells at least ``width`` wide (wider in nearly empty boxes)."""
    cdef int64_t n_all = x.shape[0], i, cell, n_cells, total, here
    cdef int d
    cdef double lo[3]
    cdef double hi[3]
    cdef double room = 1.0
    cdef int32_t* home
    g.first = NULL
    g.atom = NULL
    g.x = NULL
    g.y = NULL
    g.z = NULL
    for d in range(3):
        lo[d] = INFINITY
        hi[d] = -INFINITY
    for i in range(n_all):
        for d in range(3):
            if not isfinite(x[i, d]):
                bad[0] = i
                return NOT_FINITE
            lo[d] = min(lo[d], x[i, d])
            hi[d] = max(hi[d], x[i, d])
    for d in range(3):
        if n_all == 0:                 # no atoms, no extent: one empty grid cell
            lo[d] = 0.0
            hi[d] = 0.0
        room *= (hi[d] - lo[d]) / width + 1.0
    if room > 8.0 * n_all + 64.0:      # bound the memory of a box that is mostly vacuum
        width *= (room / (8.0 * n_all + 64.0)) ** (1.0 / 3.0)
    n_cells = 1
    for d in range(3):
        g.origin[d] = lo[d]
        g.n[d] = max(1, <int64_t>floor((hi[d] - lo[d]) / width))
        while g.n[d] > 1 and n_cells * g.n[d] > 64 * n_all + 4096:
            g.n[d] = g.n[d] // 2
        g.width[d] = max((hi[d] - lo[d]) / g.n[d], width)
        n_cells *= g.n[d]
    g.first = <int64_t*>malloc((n_cells + 1) * sizeof(int64_t))
    g.atom = <int32_t*>malloc(n_all * sizeof(int32_t))
    g.x = <double*>malloc(n_all * sizeof(double))
    g.y = <double*>malloc(n_all * sizeof(double))
    g.z = <double*>malloc(n_all * sizeof(double))
    home = <int32_t*>malloc(n_all * sizeof(int32_t))
    if (g.first == NULL or g.atom == NULL or g.x == NULL or g.y == NULL or g.z == NULL
            or home == NULL):
        free(home)
        return NO_MEMORY
    for cell in range(n_cells + 1):
        g.first[cell] = 0
    for i in range(n_all):
        cell = 0
        for d in range(2, -1, -1):
            here = <int64_t>((x[i, d] - g.origin[d]) / g.width[d])
            here = min(max(here, 0), g.n[d] - 1)
            cell = cell * g.n[d] + here
        home[i] = <int32_t>cell
        g.first[cell] += 1
    total = 0
    for cell in range(n_cells + 1):
        here = g.first[cell]
        g.first[cell] = total
        total += here
    for i in range(n_all):
        cell = home[i]
        here = g.first[cell]
        g.first[cell] += 1
        g.atom[here] = <int32_t>i
        g.x[here] = x[i, 0]
        g.y[here] = x[i, 1]
        g.z[here] = x[i, 2]
    for cell in range(n_cells, 0, -1):     # the loop above moved every start to the next one
        g.first[cell] = g.first[cell - 1]
    g.first[0] = 0
    free(home)
    return FINE


cdef inline int rows_around(const Grid* g, int64_t c, double reach, int64_t* start,
                            int64_t* end) noexcept nogil:
    """start, end (MOST_ROWS,): the places of the atoms in the rows of grid cells within ``reach`` of
    cell ``c``.  Returns how many rows; the grid was built with half of ``reach`` or more."""
    cdef int64_t lo[3]
    cdef int64_t hi[3]
    cdef int64_t cell[3]
    cdef int64_t j, at, row
    cdef int d, k, n_rows = 0
    cell[0] = c % g.n[0]
    cell[1] = (c // g.n[0]) % g.n[1]
    cell[2] = c // (g.n[0] * g.n[1])
    for d in range(3):
        k = <int>ceil(reach / g.width[d])
        lo[d] = max(cell[d] - k, 0)
        hi[d] = min(cell[d] + k, g.n[d] - 1)
    for at in range(lo[2], hi[2] + 1):
        for j in range(lo[1], hi[1] + 1):
            row = (at * g.n[1] + j) * g.n[0]
            start[n_rows] = g.first[row + lo[0]]
            end[n_rows] = g.first[row + hi[0] + 1]
            n_rows += 1
    return n_rows
