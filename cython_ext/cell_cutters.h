/* The cutters of cells that work on many planes or vertices at once, and the choice among them.

   All make the same cells, bit for bit.  What does not fit into their places, and all that is near a
   tie, they refuse; the caller then takes the scalar way (convex_cell.pxd) from the start. */
#ifndef MGML_CELL_CUTTERS_H
#define MGML_CELL_CUTTERS_H
#include <math.h>
#include <string.h>
#include <stdint.h>

enum {
    CELL_CANDIDATES = 64,
    CELL_PLANES = 32,
    CELL_PLACES = 32,                  /* of vertices */
    CELL_WALLS = 6,                    /* the first planes: the walls of the starting cube */
    CELL_GROUP = 4                     /* cells that are cut in turn, at most */
};

enum { CELL_CLIPPING, CELL_DONE, CELL_REFUSED };

/* The ways to cut a cell, the fastest last; CUT_LANES is for any processor. */
enum { CUT_SCALAR, CUT_LANES, CUT_AVX2, CUT_AVX512, N_CUTTERS };

/* No atom farther than twice the farthest vertex can cut the cell: four, of distances squared.  The
   candidates' order comes from single precision about the middle of a grid cell, good to some 1e-7;
   the rest of the number is a margin for that.  All cutters stop here, so that they agree. */
#define MGML_STOP_SQ 4.00002
/* A second search goes a little beyond the stop: the cell that it completes then counts as such. */
#define MGML_SEARCH_SQ 4.00003
/* Floats that may be read beyond the atoms of a block. */
#define MGML_BLOCK_PAD 32

typedef struct {
    const double *x, *y, *z;           /* all atoms, in grid order */
    const int32_t *atom;
    const float *block_x, *block_y, *block_z;
    const int32_t *block_place;        /* in grid order */
    int64_t block_size;
    float search_sq;                   /* candidates are sought within this distance, squared */
    double closed_sq;                  /* a cell that reaches up to half of this is complete */
    double open_radius, tolerance, facet_floor;
    double same_sq;                    /* atoms closer than this are at one point */
    double near_sq;                    /* 0: no near list */
} CellSearch;

/* Where a cell goes; needs room for CELL_PLANES facets and CELL_CANDIDATES near neighbours. */
typedef struct {
    int32_t *neighbour, *near_list;
    double *area;
    uint8_t *edges;
    int n_facets, n_near;
    double volume;
} CellOutput;

#if defined(__x86_64__) && defined(__GNUC__)
#define MGML_HAS_AVX2
#endif
#if defined(MGML_HAS_AVX2) && !defined(MGML_NO_AVX512) || defined(MGML_EMULATE)
#define MGML_HAS_AVX512
#endif

#ifdef __GNUC__                        /* and Clang */
#define MGML_HAS_LANES
#define VECTOR_OF(type, name, size) \
    typedef type name __attribute__((vector_size(size), may_alias)); \
    typedef type Loose##name __attribute__((vector_size(size), may_alias, aligned(4)))
VECTOR_OF(double, V2, 16);
VECTOR_OF(double, V4, 32);
VECTOR_OF(int64_t, I2, 16);
VECTOR_OF(int64_t, I4, 32);
VECTOR_OF(float, F4, 16);
VECTOR_OF(float, F8, 32);
VECTOR_OF(int32_t, J4, 16);
VECTOR_OF(int32_t, J8, 32);
#undef VECTOR_OF

typedef struct {
    /* the vertices: side by side, and each as x y z 0 */
    double x[CELL_PLACES] __attribute__((aligned(32))), y[CELL_PLACES], z[CELL_PLACES];
    V4 vertex[CELL_PLACES];
    V4 plane_yzx[CELL_PLANES], plane_zxy[CELL_PLANES];
    double offset_of[CELL_PLANES];
    double px[CELL_CANDIDATES], py[CELL_CANDIDATES], pz[CELL_CANDIDATES], offset[CELL_CANDIDATES];
    uint32_t corner[CELL_PLACES], on[CELL_PLANES];
    int32_t atom[CELL_CANDIDATES], near_list[CELL_CANDIDATES + 1], source[CELL_PLANES];
    uint32_t alive;                    /* the vertex places in use */
    int state, n_candidates, n_tried, n_planes, n_near;
    int n_used;                        /* places from 0 to the last one in use, a multiple of four */
    double reach_sq;                   /* the farthest vertex; -1: not known since the last cut */
} LanesCell;

/* One bit for each of 32 places, read in whole vectors. */
#define FOUR(type, k) (type)1 << (k), (type)2 << (k), (type)4 << (k), (type)8 << (k)
#define ALL(type) {FOUR(type, 0), FOUR(type, 4), FOUR(type, 8), FOUR(type, 12), FOUR(type, 16), \
                   FOUR(type, 20), FOUR(type, 24), FOUR(type, 28)}
static const uint64_t PLACE_BIT[CELL_PLACES] __attribute__((aligned(32))) = ALL(uint64_t);
static const uint32_t ATOM_BIT[MGML_BLOCK_PAD] __attribute__((aligned(32))) = ALL(uint32_t);
#undef ALL
#undef FOUR

#define LANES_NAME(f) lanes_##f
#define LANES_TARGET
#define LANES_DOUBLES V2
#define LANES_LONGS I2
#define LANES_FLOATS LooseF4
#define LANES_INTS LooseJ4
#include "cell_lanes.h"
#ifdef MGML_HAS_AVX2
#define LANES_NAME(f) avx2_##f
#define LANES_TARGET __attribute__((target("avx2,bmi,bmi2,popcnt")))
#define LANES_DOUBLES V4
#define LANES_LONGS I4
#define LANES_FLOATS LooseF8
#define LANES_INTS LooseJ8
#include "cell_lanes.h"
#endif
#else
typedef struct { double reach_sq; } LanesCell;
#endif

#include "cell_avx512.h"

/* What a cutter works on: cells that are cut in turn. */
typedef union {
    LanesCell lanes[1];
#ifdef MGML_HAS_AVX512
    Avx512Cell avx512[CELL_GROUP];
#endif
} CellGroup;

/* Whether this processor, as this file was compiled, has the cutter. */
static int cutter_supported(int cutter)
{
    switch (cutter) {
    case CUT_SCALAR:
        return 1;
#ifdef MGML_HAS_LANES
    case CUT_LANES:
        return 1;
#endif
#ifdef MGML_HAS_AVX2
    case CUT_AVX2:
        __builtin_cpu_init();
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi")
            && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
#endif
#ifdef MGML_HAS_AVX512
    case CUT_AVX512:
        return avx512_supported();
#endif
    }
    return 0;
}

/* How many cells the cutter cuts in turn. */
static int cutter_group(int cutter) { return cutter == CUT_AVX512 ? CELL_GROUP : 1; }

/* Begins cell k of the group, that of the atom at ``place``, which lies at x, y, z in its block. */
static void cutter_start(int cutter, CellGroup *group, int k, const CellSearch *search,
                         int64_t place, float x, float y, float z)
{
    switch (cutter) {
#ifdef MGML_HAS_LANES
    case CUT_LANES:
        lanes_start(group->lanes + k, search, (int32_t)place, x, y, z);
        break;
#endif
#ifdef MGML_HAS_AVX2
    case CUT_AVX2:
        avx2_start(group->lanes + k, search, (int32_t)place, x, y, z);
        break;
#endif
#ifdef MGML_HAS_AVX512
    case CUT_AVX512:
        avx512_start(group->avx512 + k, search, (int32_t)place, x, y, z);
        break;
#endif
    }
}

/* Cuts n cells of the group, from cell k on, to the end. */
static void cutter_cut(int cutter, CellGroup *group, int k, int n, double tolerance)
{
    switch (cutter) {
#ifdef MGML_HAS_LANES
    case CUT_LANES:
        lanes_cut(group->lanes + k, n, tolerance);
        break;
#endif
#ifdef MGML_HAS_AVX2
    case CUT_AVX2:
        avx2_cut(group->lanes + k, n, tolerance);
        break;
#endif
#ifdef MGML_HAS_AVX512
    case CUT_AVX512:
        avx512_cut(group->avx512 + k, n, tolerance);
        break;
#endif
    }
}

/* The farthest vertex of cell k squared; 0 if the cell was refused. */
static double cutter_reach_sq(int cutter, const CellGroup *group, int k)
{
#ifdef MGML_HAS_AVX512
    if (cutter == CUT_AVX512)
        return group->avx512[k].reach_sq;
#endif
    (void)cutter;
    return group->lanes[k].reach_sq;
}

/* Areas, edges and volume of cell k; 0: it is not closed, or refused. */
static int cutter_measure(int cutter, const CellGroup *group, int k, const CellSearch *search,
                          CellOutput *out)
{
    switch (cutter) {
#ifdef MGML_HAS_LANES
    case CUT_LANES:
        return lanes_measure(group->lanes + k, search, out);
#endif
#ifdef MGML_HAS_AVX2
    case CUT_AVX2:
        return avx2_measure(group->lanes + k, search, out);
#endif
#ifdef MGML_HAS_AVX512
    case CUT_AVX512:
        return avx512_measure(group->avx512 + k, search, out);
#endif
    }
    return 0;
}
#endif
