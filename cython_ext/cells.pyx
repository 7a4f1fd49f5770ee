# cython: language_level=3
"""Voronoi cells of the owned atoms, and their neighbours within a distance.

Atoms are sorted into a grid; each owned atom's candidates come from the grid cells around it,
nearest first, and clipping stops at the security radius: an atom farther than twice the farthest
vertex cannot cut.  Ghost atoms are candidates only; no ghost's cell is built.
"""
import numpy as np

from cython.parallel cimport prange
from convex_cell cimport (
    CLIP_CUT, CLIP_FULL, ConvexCell, N_WALLS, clip, farthest_vertex_sq, measure, start_cube,
)
from grid cimport (
    COINCIDENT_ATOMS, FINE, NO_MEMORY, OUTPUT_FULL, TOO_MANY_FACETS, Grid, build_grid, free_grid,
)
from libc.math cimport ceil, sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free, getenv, malloc, qsort

cdef extern from "cell_cutters.h" nogil:
    enum:
        CELL_GROUP
        CELL_CANDIDATES
        CELL_PLANES
        CUT_SCALAR
        N_CUTTERS
        BLOCK_PAD "MGML_BLOCK_PAD"
    const double STOP_SQ "MGML_STOP_SQ"
    const double SEARCH_SQ "MGML_SEARCH_SQ"
    ctypedef struct CellGroup:
        pass
    ctypedef struct CellSearch:
        const double *x
        const double *y
        const double *z
        const int32_t *atom
        const float *block_x
        const float *block_y
        const float *block_z
        const int32_t *block_place
        int64_t block_size
        float search_sq
        double closed_sq, open_radius, tolerance, facet_floor, same_sq, near_sq
    ctypedef struct CellOutput:
        int32_t *neighbour
        int32_t *near_list
        double *area
        uint8_t *edges
        int n_facets, n_near
        double volume
    bint cutter_supported(int cutter)
    int cutter_group(int cutter)
    void cutter_start(int cutter, CellGroup* group, int k, const CellSearch* search, int64_t place,
                      float x, float y, float z)
    void cutter_cut(int cutter, CellGroup* group, int k, int n, double tolerance)
    double cutter_reach_sq(int cutter, const CellGroup* group, int k)
    bint cutter_measure(int cutter, const CellGroup* group, int k, const CellSearch* search,
                        CellOutput* out)

_CUTTERS = ("scalar", "lanes", "avx2", "avx512")     # in the order of cell_cutters.h
# The ways of cutting that this processor has, the fastest last.
CUTTERS = tuple(name for k, name in enumerate(_CUTTERS) if cutter_supported(k))


cdef _wanted():
    """The fastest cutter, or none above the one that MGML_SIMD names (0: scalar)."""
    cdef const char* word = getenv("MGML_SIMD")
    name = "" if word == NULL else word.decode("ascii", "replace")
    name = {"": "avx512", "0": "scalar", "1": "avx512"}.get(name, name)
    if name not in _CUTTERS:
        raise ValueError(f"MGML_SIMD={name}: expected one of {', '.join(_CUTTERS)}, or 0")
    return max((c for c in CUTTERS if _CUTTERS.index(c) <= _CUTTERS.index(name)), key=_CUTTERS.index)


CUTTER = _wanted()


# A facet below this part of the cell's surface is a rounding error of a tie, not a facet.
cdef double FACET_FLOOR = 1e-9
# A plane that a vertex passes by less than this part of open_radius squared merely touches it.
cdef double TIE = 1e-11
# Two atoms closer than this part of open_radius are one and the same point.
cdef double COINCIDENT = 1e-6
# Single precision decides only which atoms are looked at: searches go farther by this factor.
cdef double FARTHER = 1.0001
# Insertion sort is the faster one for the 25 or so candidates of the first search, not beyond.
cdef int64_t INSERTION_MOST = 64

# Grid cells that a thread takes at once.
cdef int64_t CELLS_AT_ONCE = 64
# Facets and near neighbours for which there is room at first, for an atom and for a job.
cdef int64_t ROOM, ROOM_MORE
ROOM, ROOM_MORE = 17, 128

cdef enum:                    # columns of the table of jobs
    FIRST = 0                 # grid cells from here
    LAST                      # to before here
    AT                        # where its facets go, for how many there is room
    ROOM_FACETS
    AT_NEAR                   # the same for the near neighbours
    ROOM_NEAR
    PROBLEM                   # how it ended
    ATOM                      # the lowest one at fault, and with whom
    OTHER
    N_JOB

cdef struct Candidate:
    float d2
    int32_t index             # place in the grid order

cdef struct Block:
    int64_t size                  # atoms in it
    float* x                      # relative to the middle of its grid cell
    float* y
    float* z
    float* d2
    int32_t* place                # in the grid order


cdef struct Cut:                  # what is asked for
    int64_t n_own
    double open_radius
    double first_radius           # of the first search, and of the farthest
    double far_radius
    double near_cutoff            # 0: no near neighbours
    int cutter
    int one[3]                    # grid cells on either side that these two searches take in
    int far[3]
    int64_t most                  # atoms in the largest block of either
    int64_t far_most

cdef struct Workspace:            # of one job
    const Grid* grid
    const Cut* cut
    int64_t cell[3]               # the grid cell at work, and its middle
    double middle[3]
    Block block                   # the atoms around it, for both searches; empty: not filled yet
    Block far_block
    Candidate* found
    int64_t n_found
    ConvexCell voronoi
    CellGroup group
    CellSearch first_search
    CellSearch far_search


cdef void free_block(Block* b) noexcept nogil:
    free(b.x)
    free(b.y)
    free(b.z)
    free(b.d2)
    free(b.place)


cdef int make_block(Block* b, int64_t capacity) noexcept nogil:
    b.size = 0
    b.x = <float*>malloc((capacity + BLOCK_PAD) * sizeof(float))
    b.y = <float*>malloc((capacity + BLOCK_PAD) * sizeof(float))
    b.z = <float*>malloc((capacity + BLOCK_PAD) * sizeof(float))
    b.d2 = <float*>malloc(capacity * sizeof(float))
    b.place = <int32_t*>malloc(capacity * sizeof(int32_t))
    if b.x == NULL or b.y == NULL or b.z == NULL or b.d2 == NULL or b.place == NULL:
        return NO_MEMORY
    return FINE


cdef inline void block_range(const Grid* g, const int64_t* cell, const int* reach,
                             int64_t* lo, int64_t* hi) noexcept nogil:
    cdef int d
    for d in range(3):
        lo[d] = max(cell[d] - reach[d], 0)
        hi[d] = min(cell[d] + reach[d], g.n[d] - 1)


cdef void fill_block(Block* b, const Grid* g, const int64_t* cell, const int* reach) noexcept nogil:
    """Copy the atoms of the grid cells within ``reach``, in single precision about the middle."""
    cdef int64_t lo[3]
    cdef int64_t hi[3]
    cdef int64_t j, k, row, s, m = 0
    cdef double cx = g.origin[0] + (cell[0] + 0.5) * g.width[0]
    cdef double cy = g.origin[1] + (cell[1] + 0.5) * g.width[1]
    cdef double cz = g.origin[2] + (cell[2] + 0.5) * g.width[2]
    block_range(g, cell, reach, lo, hi)
    for k in range(lo[2], hi[2] + 1):
        for j in range(lo[1], hi[1] + 1):
            row = (k * g.n[1] + j) * g.n[0]
            for s in range(g.first[row + lo[0]], g.first[row + hi[0] + 1]):
                b.x[m] = <float>(g.x[s] - cx)
                b.y[m] = <float>(g.y[s] - cy)
                b.z[m] = <float>(g.z[s] - cz)
                b.place[m] = <int32_t>s
                m += 1
    b.size = m
    for s in range(m, m + BLOCK_PAD):      # far from everything
        b.x[s] = 1e18
        b.y[s] = 0.0
        b.z[s] = 0.0


cdef int64_t largest_block(const Grid* g, const int* reach) noexcept nogil:
    cdef int64_t lo[3]
    cdef int64_t hi[3]
    cdef int64_t cell[3]
    cdef int64_t i, j, k, jj, kk, row, m, best = 0
    for k in range(g.n[2]):
        for j in range(g.n[1]):
            for i in range(g.n[0]):
                cell[0] = i
                cell[1] = j
                cell[2] = k
                block_range(g, cell, reach, lo, hi)
                m = 0
                for kk in range(lo[2], hi[2] + 1):
                    for jj in range(lo[1], hi[1] + 1):
                        row = (kk * g.n[1] + jj) * g.n[0]
                        m += g.first[row + hi[0] + 1] - g.first[row + lo[0]]
                best = max(best, m)
    return best


cdef int by_distance(const void* a, const void* b) noexcept nogil:
    cdef float x = (<const Candidate*>a).d2, y = (<const Candidate*>b).d2
    return (x > y) - (x < y)


cdef inline int64_t nearest_first(Block* b, Candidate* found, float fx, float fy, float fz,
                                  float r2, int64_t self_place) noexcept nogil:
    """Candidates within sqrt(r2) of a point of the block, sorted by distance."""
    cdef int64_t s, m = 0, at
    cdef float dx, dy, dz
    cdef Candidate c
    for s in range(b.size):
        dx = b.x[s] - fx
        dy = b.y[s] - fy
        dz = b.z[s] - fz
        b.d2[s] = dx * dx + dy * dy + dz * dz
    for s in range(b.size):                # without a branch: always written, kept if near
        found[m].d2 = b.d2[s]
        found[m].index = b.place[s]
        m += (b.d2[s] < r2) & (b.place[s] != self_place)
    if m > INSERTION_MOST:
        qsort(found, m, sizeof(Candidate), by_distance)
        return m
    for s in range(1, m):
        c = found[s]
        at = s
        while at > 0 and found[at - 1].d2 > c.d2:
            found[at] = found[at - 1]
            at -= 1
        found[at] = c
    return m


cdef inline int cut_cell(ConvexCell* c, const Grid* g, const Candidate* found, int64_t n_found,
                         int64_t place, double open_radius, double* reach_sq,
                         int64_t* other) noexcept nogil:
    """Clip the cell of the atom at ``place``; reach_sq becomes its farthest vertex, squared."""
    cdef int64_t s, q
    cdef int result
    cdef double x = g.x[place], y = g.y[place], z = g.z[place]
    cdef double rx, ry, rz, d2, r2 = 3.0 * open_radius * open_radius
    cdef double tolerance = TIE * open_radius * open_radius
    cdef double same_sq = (COINCIDENT * open_radius) ** 2
    start_cube(c, open_radius)
    for s in range(n_found):
        # single precision decides the order only; the stop keeps its rounding as a margin
        if found[s].d2 > STOP_SQ * r2:
            break
        q = found[s].index
        rx = g.x[q] - x
        ry = g.y[q] - y
        rz = g.z[q] - z
        d2 = rx * rx + ry * ry + rz * rz
        if d2 < same_sq:
            other[0] = g.atom[q]
            return COINCIDENT_ATOMS
        result = clip(c, rx, ry, rz, 0.5 * d2, <int>s, tolerance)
        if result == CLIP_FULL:
            return TOO_MANY_FACETS
        if result == CLIP_CUT and s >= 10:
            r2 = farthest_vertex_sq(c)
    reach_sq[0] = farthest_vertex_sq(c)
    return FINE


cdef class Buffers:
    """Output of ``tessellate``: facets and near neighbours of atom i at start[i] .. + count[i]."""
    cdef public object facet_start, facet_count, neighbour, area, edges
    cdef public object near_start, near_count, near
    cdef public object volume, reach, is_open


cdef class Tables:
    """The same as typed views, for the threads."""
    cdef int64_t[::1] facet_start, near_start
    cdef int32_t[::1] facet_count, neighbour, near_count, near
    cdef double[::1] area, volume, reach
    cdef uint8_t[::1] edges, is_open

    def __init__(self, Buffers b):
        self.facet_start, self.facet_count = b.facet_start, b.facet_count
        self.near_start, self.near_count = b.near_start, b.near_count
        self.neighbour, self.area, self.edges, self.near = b.neighbour, b.area, b.edges, b.near
        self.volume, self.reach, self.is_open = b.volume, b.reach, b.is_open


def tessellate(const double[:, ::1] x, Py_ssize_t n_own, double open_radius, double first_radius,
               double near_cutoff, int threads, str cutter=None, object room=None):
    """Cut the cells of atoms 0 .. n_own - 1 among all atoms.

    Parameters
    ----------
    x : (n_all, 3) float64, A
        Owned atoms first, then ghosts (periodic images included).
    open_radius : float, A
        A cell that reaches farther than this from its atom counts as open.
    first_radius : float, A
        Candidates are first sought within this distance; cost only, never the result.
    near_cutoff : float, A
        ``near`` lists the atoms with r < near_cutoff; 0 for none.
    cutter : str or None
        One of CUTTERS; None: CUTTER, the fastest.  Cost only, the bits are the same.
    room : Scratch or None
        Where the facets and near neighbours are taken from; None: fresh memory.

    Returns
    -------
    (Buffers, problem, atom, other): problem 0 when all went well, else the kind of fault and the
    atoms at fault (see ``lammps_mgml.geometry.cells``, which turns it into an error): of all atoms
    at fault the lowest, on any number of threads.  Between the stretches of facets and near
    neighbours are gaps; what is there means nothing.
    """
    cdef int64_t bad[2]
    cdef int problem
    cdef Grid grid
    cdef Cut cut
    cdef Buffers out = Buffers()
    cdef int64_t[:, ::1] jobs
    out.facet_start = np.zeros(n_own, np.int64)
    out.facet_count = np.zeros(n_own, np.int32)
    out.near_start = np.zeros(n_own, np.int64)
    out.near_count = np.zeros(n_own, np.int32)
    out.volume = np.empty(n_own)
    out.reach = np.empty(n_own)
    out.is_open = np.zeros(n_own, np.uint8)
    out.neighbour, out.near = np.empty(0, np.int32), np.empty(0, np.int32)
    out.area, out.edges = np.empty(0), np.empty(0, np.uint8)
    if n_own == 0:
        return out, 0, -1, -1
    first_radius = max(first_radius, FARTHER * near_cutoff)
    cut.n_own = n_own
    cut.open_radius = open_radius
    cut.first_radius = first_radius
    cut.far_radius = max(2.0 * open_radius, near_cutoff) * FARTHER
    cut.near_cutoff = near_cutoff
    cut.cutter = _CUTTERS.index(CUTTER if cutter is None else cutter)
    bad[0] = bad[1] = 0
    with nogil:
        problem = build_grid(&grid, x, first_radius, &bad[0])
    try:
        if problem != FINE:
            return out, problem, bad[0], bad[1]
        table = _jobs(&grid, n_own, near_cutoff > 0.0)
        take = np.zeros if room is None else room.take
        n, n_near = table[:, ROOM_FACETS].sum(), table[:, ROOM_NEAR].sum()
        out.near, out.area = take((n_near,), np.int32), take((n,), np.float64)
        out.neighbour, out.edges = take((n,), np.int32), take((n,), np.uint8)
        worst = None
        while len(table):
            jobs = table
            _run(&grid, cut, Tables(out), jobs, threads)
            if (table[:, PROBLEM] == NO_MEMORY).any():
                return out, NO_MEMORY, -1, -1
            for row in table[(table[:, PROBLEM] != FINE) & (table[:, PROBLEM] != OUTPUT_FULL)]:
                if worst is None or row[ATOM] < worst[ATOM]:
                    worst = row
            # rare: more facets than usual; these jobs again, with room at the end
            table = table[table[:, PROBLEM] == OUTPUT_FULL].copy()
            for at, places, names in ((AT, ROOM_FACETS, ("neighbour", "area", "edges")),
                                      (AT_NEAR, ROOM_NEAR, ("near",))):
                n = len(getattr(out, names[0]))
                table[:, places] *= 4
                table[:, at] = n + np.cumsum(table[:, places]) - table[:, places]
                for name in names if len(table) else ():
                    old = getattr(out, name)
                    setattr(out, name, take((n + table[:, places].sum(),), old.dtype))
                    getattr(out, name)[:n] = old
                    if room is not None:
                        room.give(old)
        if worst is not None:
            return out, worst[PROBLEM], worst[ATOM], worst[OTHER]
    finally:
        free_grid(&grid)
    return out, FINE, -1, -1


cdef _jobs(const Grid* g, int64_t n_own, bint near):
    """(n_jobs, N_JOB) int64: grid cells shared out, each job with room for its owned atoms."""
    cdef int64_t n_cells = g.n[0] * g.n[1] * g.n[2], s
    cdef int64_t n = (n_cells + CELLS_AT_ONCE - 1) // CELLS_AT_ONCE, k
    owned = np.zeros(n, np.int64)
    cdef int64_t[::1] counts = owned
    for k in range(n):
        for s in range(g.first[k * CELLS_AT_ONCE], g.first[min((k + 1) * CELLS_AT_ONCE, n_cells)]):
            counts[k] += g.atom[s] < n_own
    table = np.zeros((n, N_JOB), np.int64)
    table[:, FIRST] = CELLS_AT_ONCE * np.arange(n)
    table[:, LAST] = np.minimum(table[:, FIRST] + CELLS_AT_ONCE, n_cells)
    table = table[owned > 0]
    room = ROOM * owned[owned > 0] + ROOM_MORE
    for at, column in ((AT, ROOM_FACETS), (AT_NEAR, ROOM_NEAR)):
        table[:, column] = room if column == ROOM_FACETS or near else 0
        table[:, at] = np.cumsum(table[:, column]) - table[:, column]
    return table


cdef int _run(Grid* g, Cut cut, Tables out, int64_t[:, ::1] jobs, int threads) except -1:
    """All ``jobs``, shared out to the threads; each tells in its row how it ended."""
    cdef int d
    cdef int64_t k
    for d in range(3):
        cut.one[d] = <int>ceil(cut.first_radius / g.width[d])
        cut.far[d] = <int>ceil(cut.far_radius / g.width[d])
    with nogil:
        cut.most = largest_block(g, cut.one)
        cut.far_most = largest_block(g, cut.far)
        for k in prange(jobs.shape[0], num_threads=threads, schedule="dynamic"):
            cut_cells(g, &cut, out, &jobs[k, 0])
    return 0


cdef void cut_cells(const Grid* g, const Cut* cut, Tables out, int64_t* job) noexcept nogil:
    """The cells of one job, which tells how it ended."""
    cdef int64_t at = job[AT], at_near = job[AT_NEAR]
    cdef int64_t capacity = at + job[ROOM_FACETS], capacity_near = at_near + job[ROOM_NEAR]
    cdef int64_t i, c, place, other = -1
    cdef int d, problem, fault = FINE, n_group, ready
    cdef bint done, near = cut.near_cutoff > 0.0
    cdef double reach_sq = 0.0
    cdef CellOutput output
    cdef Workspace w
    w.grid = g
    w.cut = cut
    problem = max(make_block(&w.block, cut.most), make_block(&w.far_block, cut.far_most))
    w.found = <Candidate*>malloc((max(cut.most, cut.far_most) + 1) * sizeof(Candidate))
    if w.found == NULL:
        problem = NO_MEMORY
    set_searches(&w)
    job[ATOM] = -1
    c = job[FIRST]
    while c < job[LAST] and problem == FINE:
        w.cell[0] = c % g.n[0]
        w.cell[1] = (c // g.n[0]) % g.n[1]
        w.cell[2] = c // (g.n[0] * g.n[1])
        for d in range(3):
            w.middle[d] = g.origin[d] + (w.cell[d] + 0.5) * g.width[d]
        w.block.size = 0
        w.far_block.size = 0
        n_group = 0
        ready = 0
        for place in range(g.first[c], g.first[c + 1]):
            i = g.atom[place]
            if i >= cut.n_own:
                continue
            if w.block.size == 0:
                fill_block(&w.block, g, w.cell, cut.one)
                search_in(&w.first_search, &w.block, cut.first_radius * cut.first_radius)
            done = False
            if cut.cutter != CUT_SCALAR:
                if (at + CELL_PLANES > capacity
                        or at_near + CELL_CANDIDATES > capacity_near and near):
                    problem = OUTPUT_FULL
                    break
                if ready == n_group:
                    n_group = cut_group(&w, &w.first_search, place, g.first[c + 1])
                    ready = 0
                output.neighbour = &out.neighbour[at]
                output.area = &out.area[at]
                output.edges = &out.edges[at]
                output.near_list = &out.near[at_near] if near else NULL
                done = vector_cell(&w, ready, place, &reach_sq, &output)
                ready += 1
            if not done:
                problem = scalar_cell(&w, place, &reach_sq, &other)
                if problem == FINE and (at + w.voronoi.n_planes > capacity
                                        or at_near + w.n_found > capacity_near and near):
                    problem = OUTPUT_FULL
                if problem == COINCIDENT_ATOMS or problem == TOO_MANY_FACETS:
                    # of all atoms at fault the lowest is named, so that no other is left out
                    if job[ATOM] < 0 or i < job[ATOM]:
                        fault = problem
                        job[ATOM] = i
                        job[OTHER] = other
                    problem = FINE
                    continue
                if problem != FINE:
                    break
                output.neighbour = &out.neighbour[at]
                output.area = &out.area[at]
                output.edges = &out.edges[at]
                output.near_list = &out.near[at_near] if near and w.n_found > 0 else NULL
                put_scalar(&w, place, &output)
            out.facet_start[i] = at
            out.facet_count[i] = output.n_facets
            at += output.n_facets
            out.volume[i] = output.volume
            out.reach[i] = sqrt(reach_sq)
            out.is_open[i] = reach_sq > cut.open_radius * cut.open_radius
            if near:
                out.near_start[i] = at_near
                out.near_count[i] = output.n_near
                at_near += output.n_near
        c += 1
    job[PROBLEM] = problem if problem != FINE else fault
    free_block(&w.block)
    free_block(&w.far_block)
    free(w.found)


cdef inline void set_searches(Workspace* w) noexcept nogil:
    """What the vector cutter's two searches share."""
    cdef CellSearch* s = &w.first_search
    s.x = w.grid.x
    s.y = w.grid.y
    s.z = w.grid.z
    s.atom = w.grid.atom
    s.open_radius = w.cut.open_radius
    s.tolerance = TIE * w.cut.open_radius * w.cut.open_radius
    s.facet_floor = FACET_FLOOR
    s.same_sq = (COINCIDENT * w.cut.open_radius) ** 2
    s.near_sq = w.cut.near_cutoff * w.cut.near_cutoff if w.cut.near_cutoff > 0.0 else 0.0
    w.far_search = s[0]


cdef inline void search_in(CellSearch* search, const Block* b, double radius_sq) noexcept nogil:
    search.block_x = b.x
    search.block_y = b.y
    search.block_z = b.z
    search.block_place = b.place
    search.block_size = b.size
    search.search_sq = <float>radius_sq
    search.closed_sq = radius_sq


cdef inline double search_again_sq(Workspace* w, double reach_sq) noexcept nogil:
    """How far, squared, a cell that reaches so far must be searched again; 0 if it is complete.

    The cell can only shrink: nothing beyond twice its reach can cut it.  Fills the far block.
    """
    if STOP_SQ * reach_sq <= w.cut.first_radius * w.cut.first_radius:
        return 0.0
    if w.far_block.size == 0:
        fill_block(&w.far_block, w.grid, w.cell, w.cut.far)
    return min(SEARCH_SQ * reach_sq, w.cut.far_radius * w.cut.far_radius)


cdef int cut_group(Workspace* w, const CellSearch* search, int64_t place, int64_t end) noexcept nogil:
    """Cut the cells of the next owned atoms from ``place`` on; how many."""
    cdef const Grid* g = w.grid
    cdef int n = 0
    while place < end and n < cutter_group(w.cut.cutter):
        if g.atom[place] < w.cut.n_own:
            cutter_start(w.cut.cutter, &w.group, n, search, place,
                         <float>(g.x[place] - w.middle[0]), <float>(g.y[place] - w.middle[1]),
                         <float>(g.z[place] - w.middle[2]))
            n += 1
        place += 1
    cutter_cut(w.cut.cutter, &w.group, 0, n, search.tolerance)
    return n


cdef inline bint vector_cell(Workspace* w, int k, int64_t place, double* reach_sq,
                             CellOutput* output) noexcept nogil:
    """Write cell k of the group; False: it is for the scalar cutter."""
    cdef const Grid* g = w.grid
    cdef int cutter = w.cut.cutter
    cdef double wider_sq
    reach_sq[0] = cutter_reach_sq(cutter, &w.group, k)
    if cutter_measure(cutter, &w.group, k, &w.first_search, output):
        return True
    wider_sq = search_again_sq(w, reach_sq[0])
    if wider_sq == 0.0:
        return False
    search_in(&w.far_search, &w.far_block, wider_sq)
    cutter_start(cutter, &w.group, k, &w.far_search, place, <float>(g.x[place] - w.middle[0]),
                 <float>(g.y[place] - w.middle[1]), <float>(g.z[place] - w.middle[2]))
    cutter_cut(cutter, &w.group, k, 1, w.far_search.tolerance)
    reach_sq[0] = cutter_reach_sq(cutter, &w.group, k)
    return cutter_measure(cutter, &w.group, k, &w.far_search, output)


cdef inline int scalar_cell(Workspace* w, int64_t place, double* reach_sq,
                              int64_t* other) noexcept nogil:
    """Cut and measure the cell of the atom at ``place``; the kind of fault."""
    cdef const Grid* g = w.grid
    cdef float x = <float>(g.x[place] - w.middle[0])
    cdef float y = <float>(g.y[place] - w.middle[1])
    cdef float z = <float>(g.z[place] - w.middle[2])
    cdef double wider_sq
    cdef int problem
    w.n_found = nearest_first(&w.block, w.found, x, y, z,
                              <float>(w.cut.first_radius * w.cut.first_radius), place)
    problem = cut_cell(&w.voronoi, g, w.found, w.n_found, place, w.cut.open_radius, reach_sq, other)
    if problem != FINE:
        return problem
    wider_sq = search_again_sq(w, reach_sq[0])
    if wider_sq > 0.0:
        w.n_found = nearest_first(&w.far_block, w.found, x, y, z, <float>wider_sq, place)
        problem = cut_cell(&w.voronoi, g, w.found, w.n_found, place, w.cut.open_radius, reach_sq,
                           other)
        if problem != FINE:
            return problem
    return FINE if measure(&w.voronoi) else TOO_MANY_FACETS


cdef inline void put_scalar(Workspace* w, int64_t place, CellOutput* output) noexcept nogil:
    """Write the cell that ``scalar_cell`` has measured."""
    cdef const Grid* g = w.grid
    cdef ConvexCell* v = &w.voronoi
    cdef Candidate* found = w.found
    cdef double near_sq = w.cut.near_cutoff * w.cut.near_cutoff
    cdef double rx, ry, rz, tiny, total = 0.0
    cdef int64_t s
    cdef int k
    for k in range(v.n_planes):
        total += v.area[k]
    tiny = FACET_FLOOR * total
    output.n_facets = 0
    output.n_near = 0
    output.volume = v.volume
    for k in range(N_WALLS, v.n_planes):
        if v.edges[k] > 2 and v.area[k] > tiny:
            output.neighbour[output.n_facets] = g.atom[found[v.source[k]].index]
            output.area[output.n_facets] = v.area[k]
            output.edges[output.n_facets] = <uint8_t>v.edges[k]
            output.n_facets += 1
    if w.cut.near_cutoff <= 0.0:
        return
    for s in range(w.n_found):
        if found[s].d2 > FARTHER * near_sq:
            break
        rx = g.x[found[s].index] - g.x[place]
        ry = g.y[found[s].index] - g.y[place]
        rz = g.z[found[s].index] - g.z[place]
        if rx * rx + ry * ry + rz * rz < near_sq:
            output.near_list[output.n_near] = g.atom[found[s].index]
            output.n_near += 1
