# cython: language_level=3
"""One Voronoi cell as a convex polyhedron, clipped plane by plane.

The cell is held in dual form: every plane is the perpendicular bisector of the atom and one
neighbour, every vertex is the triple of planes that meet there.  All arrays are fixed and live on
the stack or in a workspace, so that cutting a cell allocates nothing.

Positions are relative to the atom.  A plane p keeps the half space  p . v <= offset  with
p = r_j - r_i and offset = |p|^2 / 2.
"""
from libc.math cimport sqrt
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memset

cdef extern from *:
    """
    #if defined(_MSC_VER)
    #include <intrin.h>
    static inline int mgml_lowest_bit(unsigned long long m)
    { unsigned long k; _BitScanForward64(&k, m); return (int) k; }
    #else
    static inline int mgml_lowest_bit(unsigned long long m) { return __builtin_ctzll(m); }
    #endif
    """
    int lowest_bit "mgml_lowest_bit"(uint64_t mask) noexcept nogil

cdef enum:
    MAX_PLANES = 64        # one bit each in a 64-bit mask
    MAX_VERTICES = 136     # 2 * MAX_PLANES - 4 simple vertices, padded to a multiple of 8
    N_WALLS = 6            # the starting cube

cdef enum ClipResult:
    CLIP_FULL = -1         # more planes or vertices than the arrays hold
    CLIP_MISSED = 0
    CLIP_CUT = 1

cdef struct ConvexCell:
    int n_planes
    int n_vertices
    double px[MAX_PLANES]
    double py[MAX_PLANES]
    double pz[MAX_PLANES]
    double offset[MAX_PLANES]
    int source[MAX_PLANES]             # candidate that made the plane; -1 for a wall
    double vx[MAX_VERTICES]
    double vy[MAX_VERTICES]
    double vz[MAX_VERTICES]
    double height[MAX_VERTICES]        # p . v of the plane being tried
    uint8_t corner[MAX_VERTICES][4]    # the three planes of a vertex (the fourth byte pads)
    uint64_t rim[MAX_PLANES]           # edges seen once: bit b of rim[a] is edge (a, b)
    uint8_t edge_vertex[MAX_PLANES * MAX_PLANES]
    double area[MAX_PLANES]            # of the facet on each plane, after measure()
    int edges[MAX_PLANES]              # edges of that facet
    double volume


cdef inline void start_cube(ConvexCell* c, double half_width) noexcept nogil:
    """The cube |x|, |y|, |z| <= half_width."""
    cdef int i, j, k, a
    for a in range(N_WALLS):
        c.px[a] = 0.0
        c.py[a] = 0.0
        c.pz[a] = 0.0
        c.offset[a] = half_width
        c.source[a] = -1
    c.px[0] = 1.0
    c.px[1] = -1.0
    c.py[2] = 1.0
    c.py[3] = -1.0
    c.pz[4] = 1.0
    c.pz[5] = -1.0
    c.n_planes = N_WALLS
    c.n_vertices = 0
    for i in range(2):
        for j in range(2):
            for k in range(2):
                a = c.n_vertices
                c.vx[a] = half_width if i == 0 else -half_width
                c.vy[a] = half_width if j == 0 else -half_width
                c.vz[a] = half_width if k == 0 else -half_width
                c.corner[a][0] = i
                c.corner[a][1] = 2 + j
                c.corner[a][2] = 4 + k
                c.n_vertices += 1
    memset(c.rim, 0, sizeof(c.rim))


cdef inline bint drop_dead_planes(ConvexCell* c) noexcept nogil:
    """Renumber the planes so that those without a vertex free their place; False if none was."""
    cdef uint8_t new_index[MAX_PLANES]
    cdef uint64_t alive = (1 << N_WALLS) - 1
    cdef int t, k, n = 0
    for t in range(c.n_vertices):
        for k in range(3):
            alive |= (<uint64_t>1) << c.corner[t][k]
    for k in range(c.n_planes):
        if not (alive >> k) & 1:
            continue
        new_index[k] = n
        c.px[n] = c.px[k]
        c.py[n] = c.py[k]
        c.pz[n] = c.pz[k]
        c.offset[n] = c.offset[k]
        c.source[n] = c.source[k]
        n += 1
    if n == c.n_planes:
        return False
    c.n_planes = n
    for t in range(c.n_vertices):
        for k in range(3):
            c.corner[t][k] = new_index[c.corner[t][k]]
    return True


cdef inline bint has_plane(const uint8_t* corner, int p) noexcept nogil:
    return corner[0] == p or corner[1] == p or corner[2] == p


cdef inline int clip(ConvexCell* c, double px, double py, double pz, double offset,
                     int source, double tolerance) noexcept nogil:
    """Cut the cell by one more plane.

    A vertex goes only if it lies beyond the plane by more than ``tolerance``: a plane that merely
    touches a vertex or an edge (perfect crystals) leaves no facet.
    """
    cdef int n = c.n_vertices, n_padded = (n + 7) & ~7
    cdef int t, u, a, b, k, p, n_free = 0, n_new = 0
    cdef double limit = offset + tolerance
    cdef double ex, ey, ez, f
    cdef int64_t n_beyond = 0
    cdef bint tie = False
    cdef uint64_t touched = 0, bits
    cdef uint8_t* edge_vertex = c.edge_vertex
    cdef uint8_t* corner
    cdef int free[MAX_VERTICES]
    cdef double nx[MAX_VERTICES]
    cdef double ny[MAX_VERTICES]
    cdef double nz[MAX_VERTICES]
    cdef uint8_t na[MAX_VERTICES]
    cdef uint8_t nb[MAX_VERTICES]

    for t in range(n, n_padded):           # padding: the loop below runs in whole vectors
        c.vx[t] = 0.0
        c.vy[t] = 0.0
        c.vz[t] = 0.0
    for t in range(n_padded):
        c.height[t] = px * c.vx[t] + py * c.vy[t] + pz * c.vz[t]
        n_beyond += c.height[t] > limit
    if n_beyond == 0:
        return CLIP_MISSED
    if c.n_planes == MAX_PLANES and not drop_dead_planes(c):
        return CLIP_FULL

    p = c.n_planes
    c.n_planes += 1
    c.px[p] = px
    c.py[p] = py
    c.pz[p] = pz
    c.offset[p] = offset
    c.source[p] = source

    # An edge between two vertices that go is toggled twice; those left in rim bound the hole.
    for t in range(n):
        if c.height[t] > limit:
            corner = c.corner[t]
            for k in range(3):
                a = corner[k]
                b = corner[k + 1] if k < 2 else corner[0]
                c.rim[a] ^= (<uint64_t>1) << b
                c.rim[b] ^= (<uint64_t>1) << a
                edge_vertex[a * MAX_PLANES + b] = t
                edge_vertex[b * MAX_PLANES + a] = t
                touched |= (<uint64_t>1) << a
            free[n_free] = t
            n_free += 1
        elif c.height[t] > offset:
            tie = True

    # One new vertex on each rim edge, found along the edge from its end that goes.
    while touched:
        a = lowest_bit(touched)
        touched &= touched - 1
        bits = c.rim[a] & ~((<uint64_t>2 << a) - 1)
        c.rim[a] = 0
        while bits:
            b = lowest_bit(bits)
            bits &= bits - 1
            if n_new + n - n_free >= MAX_VERTICES - 8:
                memset(c.rim, 0, sizeof(c.rim))
                return CLIP_FULL
            t = edge_vertex[a * MAX_PLANES + b]
            ex = c.py[a] * c.pz[b] - c.pz[a] * c.py[b]
            ey = c.pz[a] * c.px[b] - c.px[a] * c.pz[b]
            ez = c.px[a] * c.py[b] - c.py[a] * c.px[b]
            f = (offset - c.height[t]) / (px * ex + py * ey + pz * ez)
            nx[n_new] = c.vx[t] + f * ex
            ny[n_new] = c.vy[t] + f * ey
            nz[n_new] = c.vz[t] + f * ez
            if tie:
                # A plane along an edge, both ends of which lie beyond it by about the tolerance:
                # it meets the edge's line far outside, and the end that stays takes that place.
                for u in range(n):
                    if (offset < c.height[u] <= limit and has_plane(c.corner[u], a)
                            and has_plane(c.corner[u], b)
                            and (nx[n_new] - c.vx[u]) ** 2 + (ny[n_new] - c.vy[u]) ** 2
                            + (nz[n_new] - c.vz[u]) ** 2 > tolerance):
                        nx[n_new] = c.vx[u]
                        ny[n_new] = c.vy[u]
                        nz[n_new] = c.vz[u]
            na[n_new] = a
            nb[n_new] = b
            n_new += 1

    # New vertices first fill the holes, then go to the end; holes that remain are closed.
    for k in range(n_new):
        if k < n_free:
            t = free[k]
        else:
            t = n
            n += 1
        c.vx[t] = nx[k]
        c.vy[t] = ny[k]
        c.vz[t] = nz[k]
        c.corner[t][0] = na[k]
        c.corner[t][1] = nb[k]
        c.corner[t][2] = p
    for k in range(n_free - 1, n_new - 1, -1):
        t = free[k]
        n -= 1
        if t != n:
            c.vx[t] = c.vx[n]
            c.vy[t] = c.vy[n]
            c.vz[t] = c.vz[n]
            for u in range(3):
                c.corner[t][u] = c.corner[n][u]
    c.n_vertices = n
    return CLIP_CUT


cdef inline double farthest_vertex_sq(const ConvexCell* c) noexcept nogil:
    cdef double r2, best = 0.0
    cdef int t
    for t in range(c.n_vertices):
        r2 = c.vx[t] * c.vx[t] + c.vy[t] * c.vy[t] + c.vz[t] * c.vz[t]
        if r2 > best:
            best = r2
    return best


cdef inline bint measure(ConvexCell* c) noexcept nogil:
    """Areas and edge counts of all facets, and the volume; False if an edge has not two ends.

    An edge with ends u, t on planes a, b adds the triangle (atom, u, t), seen along the plane's
    normal, to facet a and its opposite to facet b; a x b gives the direction along the edge.
    """
    cdef int t, u, k, a, b, n_edges = 0
    cdef double ex, ey, ez, wx, wy, wz, half, length
    cdef uint64_t bit
    cdef uint8_t* corner
    cdef double* area = c.area

    for k in range(c.n_planes):
        area[k] = 0.0
        c.edges[k] = 0
    for t in range(c.n_vertices):
        corner = c.corner[t]
        for k in range(3):
            a = corner[k]
            b = corner[k + 1] if k < 2 else corner[0]
            if a > b:
                a, b = b, a
            bit = (<uint64_t>1) << b
            c.rim[a] ^= bit
            if c.rim[a] & bit:             # first end of this edge
                c.edge_vertex[a * MAX_PLANES + b] = t
                continue
            u = c.edge_vertex[a * MAX_PLANES + b]
            n_edges += 1
            ex = c.py[a] * c.pz[b] - c.pz[a] * c.py[b]
            ey = c.pz[a] * c.px[b] - c.px[a] * c.pz[b]
            ez = c.px[a] * c.py[b] - c.py[a] * c.px[b]
            half = 0.5 if (ex * (c.vx[t] - c.vx[u]) + ey * (c.vy[t] - c.vy[u])
                           + ez * (c.vz[t] - c.vz[u])) > 0.0 else -0.5
            wx = half * (c.vy[u] * c.vz[t] - c.vz[u] * c.vy[t])
            wy = half * (c.vz[u] * c.vx[t] - c.vx[u] * c.vz[t])
            wz = half * (c.vx[u] * c.vy[t] - c.vy[u] * c.vx[t])
            area[a] += wx * c.px[a] + wy * c.py[a] + wz * c.pz[a]
            area[b] -= wx * c.px[b] + wy * c.py[b] + wz * c.pz[b]
            c.edges[a] += 1
            c.edges[b] += 1
    c.volume = 0.0
    for k in range(c.n_planes):
        if c.edges[k] > 0:
            length = sqrt(c.px[k] * c.px[k] + c.py[k] * c.py[k] + c.pz[k] * c.pz[k])
            c.volume += area[k] * c.offset[k] / (3.0 * length * length)
            area[k] /= length
    if 2 * n_edges != 3 * c.n_vertices:
        memset(c.rim, 0, sizeof(c.rim))
        return False
    return True
