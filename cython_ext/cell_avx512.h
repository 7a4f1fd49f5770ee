/* Voronoi cells in AVX-512: the same planes, decisions and vertices as in convex_cell.pxd, many at
   a time.

   Up to 32 planes and 32 vertices.  A vertex is a place in four vectors of doubles for each
   coordinate, and a code of four bytes: its three planes, turning the same way for all vertices,
   and its place.  Each plane has a mask of its vertices: the edge of planes a, b joins the two
   vertices in  on[a] & on[b].  While there are no more than 16 planes and 16 vertices, the lower
   half of all this is enough, which saves half of the work (``small`` below).

   A clip is a long chain of dependent steps, so a few cells are clipped in turn: the processor
   works on one while another waits.  What does not fit, and all that is near a tie, is refused; the
   caller then takes the scalar way from the start. */
#ifndef MGML_CELL_AVX512_H
#define MGML_CELL_AVX512_H
#ifdef MGML_HAS_AVX512
#ifdef MGML_EMULATE                    /* the instructions in plain C, for tests */
#include "avx512_in_c.h"
#define MGML_AVX512
#else
#include <immintrin.h>

#define MGML_AVX512 \
    __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx512cd,bmi,bmi2,lzcnt,popcnt")))
#endif
#define MGML_INLINE MGML_AVX512 __attribute__((always_inline)) static inline

typedef struct {
    __m512d x[4], y[4], z[4];
} Avx512Points;

typedef struct {
    Avx512Points vertex, plane;
    __m512i code[2], on[2];
    double x[CELL_CANDIDATES], y[CELL_CANDIDATES], z[CELL_CANDIDATES], offset[CELL_CANDIDATES];
    int32_t atom[CELL_CANDIDATES], near_list[CELL_CANDIDATES + 16], source[CELL_PLANES];
    uint32_t alive;                    /* the vertex places in use */
    int state, small, n_candidates, n_tried, n_planes, n_near;
    double reach_sq;
} Avx512Cell;

static int avx512_supported(void)
{
#ifdef MGML_EMULATE
    return 1;
#else
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("bmi2");
#endif
}

MGML_INLINE __m512i low_numbers(void)
{
    return _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
}

MGML_INLINE __m512i high_numbers(void)
{
    return _mm512_set_epi32(31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16);
}

MGML_INLINE int count(uint32_t mask) { return _mm_popcnt_u32(mask); }

MGML_INLINE __mmask16 first_lanes(int n) { return (__mmask16)_bzhi_u32(0xffff, (unsigned)n); }

MGML_INLINE __m512i half_of(__m512i lanes, int upper)
{
    return _mm512_cvtepu32_epi64(upper ? _mm512_extracti64x4_epi64(lanes, 1)
                                       : _mm512_castsi512_si256(lanes));
}

/* Puts the lanes of ``more`` that ``mask`` names behind the first n lanes. */
MGML_INLINE __m512i append(__m512i lanes, int n, __mmask16 mask, __m512i more)
{
    return _mm512_mask_expand_epi32(lanes, (__mmask16)(0xffffu << n),
                                    _mm512_maskz_compress_epi32(mask, more));
}

/* The first 16 of those of 32 numbers that ``mask`` names. */
MGML_INLINE __m512i chosen(uint32_t mask, __m512i low, __m512i high, int small)
{
    if (small)
        return _mm512_maskz_compress_epi32((__mmask16)mask, low);
    return append(_mm512_maskz_compress_epi32((__mmask16)mask, low), count(mask & 0xffff),
                  (__mmask16)(mask >> 16), high);
}

MGML_INLINE __mmask8 upper_half(__m512i index)
{
    return _mm512_test_epi64_mask(index, _mm512_set1_epi64(16));
}

/* table[index % 32]; upper: upper_half(index) */
MGML_INLINE __m512d look_up(const __m512d *table, __m512i index, __mmask8 upper, int small)
{
    const __m512d low = _mm512_permutex2var_pd(table[0], index, table[1]);
    if (small)
        return low;
    const __m512d high = _mm512_permutex2var_pd(table[2], index, table[3]);
    return _mm512_mask_mov_pd(low, upper, high);
}

/* table[index % 32] of whole numbers */
MGML_INLINE __m512i look_up_mask(__m512i low, __m512i index, __m512i high, int small)
{
    return small ? _mm512_permutexvar_epi32(index, low)
                 : _mm512_permutex2var_epi32(low, index, high);
}

MGML_INLINE __m512d dot(__m512d ax, __m512d ay, __m512d az, __m512d bx, __m512d by, __m512d bz)
{
    return _mm512_add_pd(_mm512_add_pd(_mm512_mul_pd(ax, bx), _mm512_mul_pd(ay, by)),
                         _mm512_mul_pd(az, bz));
}

/* a d - b c */
MGML_INLINE __m512d minor2(__m512d a, __m512d b, __m512d c, __m512d d)
{
    return _mm512_sub_pd(_mm512_mul_pd(a, d), _mm512_mul_pd(b, c));
}

MGML_INLINE uint32_t joined(__mmask8 a, __mmask8 b, __mmask8 c, __mmask8 d)
{
    return _cvtmask32_u32(_mm512_kunpackw(_mm512_kunpackb(d, c), _mm512_kunpackb(b, a)));
}

/* Places of the block's atoms within the search radius, nearest first; their number, or -1 for too
   many or two at the same distance. */
MGML_INLINE int nearest_places(const CellSearch *search, int32_t place, float fx, float fy, float fz,
                               int32_t *sorted)
{
    float key[CELL_CANDIDATES + 16];
    int32_t found[CELL_CANDIDATES + 16], rank[CELL_CANDIDATES];
    const __m512 x = _mm512_set1_ps(fx), y = _mm512_set1_ps(fy), z = _mm512_set1_ps(fz);
    const __m512 most = _mm512_set1_ps(search->search_sq);
    const __m512i self = _mm512_set1_epi32(place), one = _mm512_set1_epi32(1);
    int64_t s;
    int m = 0, i, v, sum = 0;
    for (s = 0; s < search->block_size; s += 16) {
        const int64_t left = search->block_size - s;
        const __mmask16 here = left < 16 ? first_lanes((int)left) : 0xffff;
        const __m512 dx = _mm512_sub_ps(_mm512_maskz_loadu_ps(here, search->block_x + s), x);
        const __m512 dy = _mm512_sub_ps(_mm512_maskz_loadu_ps(here, search->block_y + s), y);
        const __m512 dz = _mm512_sub_ps(_mm512_maskz_loadu_ps(here, search->block_z + s), z);
        const __m512i at = _mm512_maskz_loadu_epi32(here, search->block_place + s);
        const __m512 d2 = _mm512_add_ps(_mm512_add_ps(_mm512_mul_ps(dx, dx),
                                        _mm512_mul_ps(dy, dy)), _mm512_mul_ps(dz, dz));
        __mmask16 take = _mm512_mask_cmp_ps_mask(here, d2, most, _CMP_LT_OQ);
        take = _mm512_mask_cmpneq_epi32_mask(take, at, self);
        _mm512_storeu_ps(key + m, _mm512_maskz_compress_ps(take, d2));
        _mm512_storeu_si512(found + m, _mm512_maskz_compress_epi32(take, at));
        m += count(take);
        if (m > CELL_CANDIDATES)
            return -1;
    }
    /* rank: how many are nearer; two at one distance would have the same */
    _mm512_storeu_ps(key + m, _mm512_set1_ps(3e38f));
    for (v = 0; v < m; v += 32) {
        const __m512 k0 = _mm512_loadu_ps(key + v), k1 = _mm512_loadu_ps(key + v + 16);
        const int n0 = m - v < 16 ? m - v : 16, n1 = m - v < 32 ? m - v - n0 : 16;
        __m512i rank0 = _mm512_setzero_si512(), rank1 = rank0;
        for (i = 0; i < m; i++) {
            const __m512 k = _mm512_set1_ps(key[i]);
            rank0 = _mm512_mask_add_epi32(rank0, _mm512_cmp_ps_mask(k, k0, _CMP_LT_OQ), rank0, one);
            rank1 = _mm512_mask_add_epi32(rank1, _mm512_cmp_ps_mask(k, k1, _CMP_LT_OQ), rank1, one);
        }
        _mm512_storeu_si512(rank + v, rank0);
        _mm512_storeu_si512(rank + v + 16, rank1);
        sum += _mm512_reduce_add_epi32(_mm512_mask_add_epi32(
            _mm512_maskz_mov_epi32(first_lanes(n0), rank0), first_lanes(n1),
            _mm512_maskz_mov_epi32(first_lanes(n0), rank0), rank1));
    }
    if (2 * sum != m * (m - 1))
        return -1;
    for (i = 0; i <= m; i += 16)       /* the last group of eight is filled up */
        _mm512_storeu_si512(sorted + i, self);
    for (i = 0; i < m; i++)
        sorted[rank[i]] = found[i];
    return m;
}

/* Finds the candidates, their planes and the near list, and starts from the cube. */
MGML_AVX512 static void avx512_start(Avx512Cell *c, const CellSearch *search, int32_t place,
                                     float fx, float fy, float fz)
{
    const double w = search->open_radius;
    const __m512d x = _mm512_set1_pd(search->x[place]), y = _mm512_set1_pd(search->y[place]);
    const __m512d z = _mm512_set1_pd(search->z[place]);
    int32_t sorted[CELL_CANDIDATES + 16];
    int g, q, m = nearest_places(search, place, fx, fy, fz, sorted);

    c->state = CELL_REFUSED;
    c->reach_sq = 0.0;
    if (m < 0)
        return;
    c->n_candidates = m;
    c->n_near = 0;
    for (g = 0; g < m; g += 8) {
        const __mmask8 here = (__mmask8)first_lanes(m - g < 8 ? m - g : 8);
        const __m256i at = _mm256_loadu_si256((const __m256i *)(sorted + g));
        const __m512d rx = _mm512_sub_pd(_mm512_i32gather_pd(at, search->x, 8), x);
        const __m512d ry = _mm512_sub_pd(_mm512_i32gather_pd(at, search->y, 8), y);
        const __m512d rz = _mm512_sub_pd(_mm512_i32gather_pd(at, search->z, 8), z);
        const __m256i number = _mm256_i32gather_epi32(search->atom, at, 4);
        const __m512d d2 = dot(rx, ry, rz, rx, ry, rz);
        if (_mm512_mask_cmp_pd_mask(here, d2, _mm512_set1_pd(search->same_sq), _CMP_LT_OQ))
            return;
        _mm512_storeu_pd(c->x + g, rx);
        _mm512_storeu_pd(c->y + g, ry);
        _mm512_storeu_pd(c->z + g, rz);
        _mm512_storeu_pd(c->offset + g, _mm512_mul_pd(_mm512_set1_pd(0.5), d2));
        _mm256_storeu_si256((__m256i *)(c->atom + g), number);
        if (search->near_sq > 0.0) {
            const __mmask8 near = _mm512_mask_cmp_pd_mask(here, d2, _mm512_set1_pd(search->near_sq),
                                                          _CMP_LT_OQ);
            _mm256_storeu_si256((__m256i *)(c->near_list + c->n_near),
                                _mm256_maskz_compress_epi32(near, number));
            c->n_near += count(near);
        }
    }

    for (q = 0; q < 4; q++) {
        c->plane.x[q] = c->plane.y[q] = c->plane.z[q] = _mm512_setzero_pd();
        c->vertex.x[q] = c->vertex.y[q] = c->vertex.z[q] = _mm512_setzero_pd();
    }
    c->plane.x[0] = _mm512_set_pd(0, 0, 0, 0, 0, 0, -1, 1);
    c->plane.y[0] = _mm512_set_pd(0, 0, 0, 0, -1, 1, 0, 0);
    c->plane.z[0] = _mm512_set_pd(0, 0, -1, 1, 0, 0, 0, 0);
    c->vertex.x[0] = _mm512_set_pd(-w, -w, -w, -w, w, w, w, w);
    c->vertex.y[0] = _mm512_set_pd(-w, -w, w, w, -w, -w, w, w);
    c->vertex.z[0] = _mm512_set_pd(-w, w, -w, w, -w, w, -w, w);
#define CORNER(at, a, b, c) ((a) | (b) << 8 | (c) << 16 | (at) << 24)
    c->code[0] = _mm512_set_epi32(
        0, 0, 0, 0, 0, 0, 0, 0, CORNER(7, 1, 5, 3), CORNER(6, 1, 3, 4), CORNER(5, 1, 2, 5),
        CORNER(4, 1, 4, 2), CORNER(3, 0, 3, 5), CORNER(2, 0, 4, 3), CORNER(1, 0, 5, 2),
        CORNER(0, 0, 2, 4));
#undef CORNER
    c->code[1] = c->on[1] = _mm512_setzero_si512();
    c->on[0] = _mm512_set_epi32(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xaa, 0x55, 0xcc, 0x33, 0xf0, 0x0f);
    c->alive = 0xff;
    c->n_tried = 0;
    c->n_planes = CELL_WALLS;
    c->small = 1;
    c->state = CELL_CLIPPING;
}

/* Eight new vertices: where the edges of ``rim`` (bytes: plane, plane, vertex) meet the plane. */
MGML_INLINE void cut_edges(const Avx512Cell *c, const __m512d *height, __m512i rim, int s,
                           int small, __m512d *x, __m512d *y, __m512d *z)
{
    const __m512i b = _mm512_srli_epi64(rim, 8), t = _mm512_srli_epi64(rim, 24);
    const __mmask8 up_a = upper_half(rim), up_b = upper_half(b), up_t = upper_half(t);
    const __m512d ax = look_up(c->plane.x, rim, up_a, small);
    const __m512d ay = look_up(c->plane.y, rim, up_a, small);
    const __m512d az = look_up(c->plane.z, rim, up_a, small);
    const __m512d bx = look_up(c->plane.x, b, up_b, small);
    const __m512d by = look_up(c->plane.y, b, up_b, small);
    const __m512d bz = look_up(c->plane.z, b, up_b, small);
    const __m512d ex = minor2(ay, az, by, bz);
    const __m512d ey = minor2(az, ax, bz, bx);
    const __m512d ez = minor2(ax, ay, bx, by);
    const __m512d down = _mm512_sub_pd(_mm512_set1_pd(c->offset[s]), look_up(height, t, up_t, small));
    const __m512d f = _mm512_div_pd(down, dot(_mm512_set1_pd(c->x[s]), _mm512_set1_pd(c->y[s]),
                                              _mm512_set1_pd(c->z[s]), ex, ey, ez));
    *x = _mm512_add_pd(look_up(c->vertex.x, t, up_t, small), _mm512_mul_pd(f, ex));
    *y = _mm512_add_pd(look_up(c->vertex.y, t, up_t, small), _mm512_mul_pd(f, ey));
    *z = _mm512_add_pd(look_up(c->vertex.z, t, up_t, small), _mm512_mul_pd(f, ez));
}

/* Lanes 0, 1, .. become the vertices at the places ``fresh``. */
MGML_INLINE void put_vertices(Avx512Points *vertex, uint32_t fresh, int small,
                              __m512d x, __m512d y, __m512d z)
{
    const __m512i lanes = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    int q, before = 0;
    for (q = 0; q < (small ? 2 : 4); q++) {
        const __mmask8 here = (__mmask8)(fresh >> 8 * q);
        const __m512i from = _mm512_maskz_expand_epi64(
            here, _mm512_add_epi64(lanes, _mm512_set1_epi64(before)));
        vertex->x[q] = _mm512_mask_permutexvar_pd(vertex->x[q], here, from, x);
        vertex->y[q] = _mm512_mask_permutexvar_pd(vertex->y[q], here, from, y);
        vertex->z[q] = _mm512_mask_permutexvar_pd(vertex->z[q], here, from, z);
        before += count(here);
    }
}

/* Adds a vertex to the planes that the masks name. */
MGML_INLINE void mark(__m512i *on0, __m512i *on1, uint32_t bit, __mmask16 low, __mmask16 high,
                      int small)
{
    const __m512i vertex = _mm512_set1_epi32((int)bit);
    *on0 = _mm512_mask_or_epi32(*on0, low, *on0, vertex);
    if (!small)
        *on1 = _mm512_mask_or_epi32(*on1, high, *on1, vertex);
}

/* Tries the next candidate: clip() of convex_cell.pxd.  ``small``: the lower half is enough. */
MGML_INLINE void clip_one(Avx512Cell *c, double tolerance, int small)
{
    const int n_vectors = small ? 2 : 4;
    const int s = c->n_tried, p = c->n_planes;
    const __m512i one = _mm512_set1_epi32(1), number = _mm512_set1_epi32(31);
    const __m512d px = _mm512_set1_pd(c->x[s]), py = _mm512_set1_pd(c->y[s]);
    const __m512d pz = _mm512_set1_pd(c->z[s]);
    const __m512d limit = _mm512_set1_pd(c->offset[s] + tolerance);
    const __m512d at_plane = _mm512_set1_pd(c->offset[s]);
    __m512d height[4], x, y, z, more_x, more_y, more_z;
    __m512i ends, ends_b, ends_c, on_a, on_b, on_c, keep, rim, slot, fresh_code, on0, on1;
    __mmask16 lanes, rim_ab, rim_bc, rim_ca;
    __mmask8 beyond[4] = {0, 0, 0, 0}, above[4] = {0, 0, 0, 0};
    uint32_t gone, kept, fresh;
    uint16_t pair[32];
    uint32_t bit[16];
    int q, k, n_gone, n_ab, n_abc, n_new, n_low;

    c->state = CELL_DONE;
    if (s > 10) {                      /* the stop of cut_cell: nothing farther can cut */
        const __m512d stop = _mm512_set1_pd(MGML_STOP_SQ), d2 = _mm512_set1_pd(2.0 * c->offset[s]);
        __mmask8 far[4] = {0, 0, 0, 0};
        for (q = 0; q < n_vectors; q++)
            far[q] = _mm512_cmp_pd_mask(_mm512_mul_pd(stop, dot(
                c->vertex.x[q], c->vertex.y[q], c->vertex.z[q],
                c->vertex.x[q], c->vertex.y[q], c->vertex.z[q])), d2, _CMP_GE_OQ);
        if (!(joined(far[0], far[1], far[2], far[3]) & c->alive))
            return;
    }
    for (q = 0; q < n_vectors; q++) {
        height[q] = dot(px, py, pz, c->vertex.x[q], c->vertex.y[q], c->vertex.z[q]);
        beyond[q] = _mm512_cmp_pd_mask(height[q], limit, _CMP_GT_OQ);
        above[q] = _mm512_cmp_pd_mask(height[q], at_plane, _CMP_GT_OQ);
    }
    gone = joined(beyond[0], beyond[1], beyond[2], beyond[3]) & c->alive;
    c->n_tried = s + 1;
    c->state = CELL_REFUSED;
    if ((joined(above[0], above[1], above[2], above[3]) & c->alive) != gone)
        return;                        /* a tie */
    if (!gone) {
        c->state = CELL_CLIPPING;
        return;
    }
    kept = c->alive & ~gone;
    n_gone = count(gone);
    if (n_gone > 16 || p == CELL_PLANES)
        return;
    ((double *)c->plane.x)[p] = c->x[s];
    ((double *)c->plane.y)[p] = c->y[s];
    ((double *)c->plane.z)[p] = c->z[s];
    c->source[p] = c->atom[s];
    c->n_planes = p + 1;

    /* The rim of the hole: edges of a vertex that goes, the other end of which stays. */
    keep = _mm512_set1_epi32((int)kept);
    lanes = first_lanes(n_gone);
    ends = chosen(gone, c->code[0], c->code[1], small);
    ends_b = _mm512_shuffle_epi8(ends, _mm512_set4_epi32(0x0f0c0e0d, 0x0b080a09, 0x07040605,
                                                         0x03000201));
    ends_c = _mm512_shuffle_epi8(ends, _mm512_set4_epi32(0x0f0d0c0e, 0x0b09080a, 0x07050406,
                                                         0x03010002));
    on0 = _mm512_and_si512(c->on[0], keep);
    on1 = _mm512_and_si512(c->on[1], keep);
    on_a = look_up_mask(on0, ends, on1, small);
    on_b = look_up_mask(on0, ends_b, on1, small);
    on_c = look_up_mask(on0, ends_c, on1, small);
    rim_ab = _mm512_mask_test_epi32_mask(lanes, on_a, on_b);
    rim_bc = _mm512_mask_test_epi32_mask(lanes, on_b, on_c);
    rim_ca = _mm512_mask_test_epi32_mask(lanes, on_c, on_a);
    n_ab = count(rim_ab);
    n_abc = n_ab + count(rim_bc);
    n_new = n_abc + count(rim_ca);
    if (small && n_new + count(kept) > 16) {
        /* the upper half comes into use: once more, with all of it */
        c->n_tried = s;
        c->n_planes = p;
        c->small = 0;
        c->state = CELL_CLIPPING;
        return;
    }
    if (n_new > 16 || n_new + count(kept) > 32)
        return;
    rim = append(append(_mm512_maskz_compress_epi32(rim_ab, ends), n_ab, rim_bc, ends_b),
                 n_abc, rim_ca, ends_c);

    /* New vertices take the lowest free places. */
    cut_edges(c, height, half_of(rim, 0), s, small, &x, &y, &z);
    fresh = _pdep_u32((1u << n_new) - 1, ~kept);
    if (n_new > 8)
        cut_edges(c, height, half_of(rim, 1), s, small, &more_x, &more_y, &more_z);
    put_vertices(&c->vertex, fresh, small, x, y, z);
    if (n_new > 8)
        put_vertices(&c->vertex, _pdep_u32(~0xffu, fresh), small,
                     more_x, more_y, more_z);

    n_low = count(fresh & 0xffff);
    slot = chosen(fresh, low_numbers(), high_numbers(), small);
    fresh_code = _mm512_or_si512(
        _mm512_and_si512(rim, _mm512_set1_epi32(0xffff)),
        _mm512_or_si512(_mm512_set1_epi32(p << 16), _mm512_slli_epi32(slot, 24)));
    c->code[0] = _mm512_mask_expand_epi32(c->code[0], (__mmask16)fresh, fresh_code);
    if (!small)
        c->code[1] = _mm512_mask_expand_epi32(c->code[1], (__mmask16)(fresh >> 16),
        _mm512_permutexvar_epi32(_mm512_add_epi32(low_numbers(), _mm512_set1_epi32(n_low)),
                                 fresh_code));

    _mm512_storeu_si512(bit, _mm512_maskz_sllv_epi32(first_lanes(n_new), one, slot));
    _mm512_storeu_si512(pair, _mm512_or_si512(
        _mm512_sllv_epi32(one, _mm512_and_si512(rim, number)),
        _mm512_sllv_epi32(one, _mm512_and_si512(_mm512_srli_epi32(rim, 8), number))));
    __asm__("" : "+m"(bit), "+m"(pair));       /* masks come from memory faster than from lanes */
    for (k = 0; k < 6; k++)            /* mostly no more, and so without a branch */
        mark(&on0, &on1, bit[k], pair[2 * k], pair[2 * k + 1], small);
    for (; k < n_new; k++)
        mark(&on0, &on1, bit[k], pair[2 * k], pair[2 * k + 1], small);
    c->on[0] = _mm512_mask_set1_epi32(on0, (__mmask16)(1u << p), (int)fresh);
    if (!small)
        c->on[1] = _mm512_mask_set1_epi32(on1, (__mmask16)((1u << p) >> 16), (int)fresh);
    c->alive = kept | fresh;
    c->state = CELL_CLIPPING;
}

MGML_AVX512 static void avx512_clip(Avx512Cell *c, double tolerance)
{
    if (c->n_tried == c->n_candidates)
        c->state = CELL_DONE;
    else if (c->small && c->n_planes < 16)
        clip_one(c, tolerance, 1);
    else
        clip_one(c, tolerance, 0);
}

/* Clips n cells, in turn, until each is done or refused. */
MGML_AVX512 static void avx512_cut(Avx512Cell *cells, int n, double tolerance)
{
    int k, busy = n;
    while (busy) {
        busy = 0;
        for (k = 0; k < n; k++)
            if (cells[k].state == CELL_CLIPPING) {
                avx512_clip(cells + k, tolerance);
                busy++;
            }
    }
    for (k = 0; k < n; k++)
        if (cells[k].state == CELL_DONE) {
            const Avx512Points *v = &cells[k].vertex;
            __m512d most = _mm512_setzero_pd();
            int q;
            for (q = 0; q < 4; q++)
                most = _mm512_mask_max_pd(most, (__mmask8)(cells[k].alive >> 8 * q), most,
                                          dot(v->x[q], v->y[q], v->z[q],
                                              v->x[q], v->y[q], v->z[q]));
            cells[k].reach_sq = _mm512_reduce_max_pd(most);
        }
}

/* Areas, edges and volume; 0: the cell is not closed, or refused. */
MGML_AVX512 static int avx512_measure(const Avx512Cell *c, const CellSearch *search, CellOutput *out)
{
    const __m512i one = _mm512_set1_epi32(1), byte = _mm512_set1_epi32(0xff);
    const __m512i top = _mm512_set1_epi32(31);
    const __m512i on0 = c->on[0], on1 = c->on[1];
    uint32_t facets = (uint32_t)_mm512_test_epi32_mask(on0, on0)
                      | (uint32_t)_mm512_test_epi32_mask(on1, on1) << 16;
    __m512d area[4], total = _mm512_setzero_pd(), volume = total, tiny;
    __m512i number[2], edges[2];
    double surface;
    int h, r, at = 0, rounds = 0;

    if (c->state != CELL_DONE || !(MGML_STOP_SQ * c->reach_sq <= search->closed_sq)
            || (facets & ((1u << CELL_WALLS) - 1)))
        return 0;
    /* Sixteen facets at once, one in each lane: around its polygon, vertex by vertex. */
    for (; facets; rounds++) {
        const uint32_t now = _pdep_u32(0xffff, facets);
        const __mmask16 used = first_lanes(count(now));
        const __m512i plane = chosen(now, low_numbers(), high_numbers(), 0);
        const __m512i mine = _mm512_mullo_epi32(plane, _mm512_set1_epi32(0x010101));
        const __m512i on = _mm512_maskz_permutex2var_epi32(used, on0, plane, on1);
        const __m512i start = _mm512_sub_epi32(top, _mm512_lzcnt_epi32(on));
        __m512i left = on, n_edges = _mm512_setzero_si512(), t = start;
        __m512d ux[2], uy[2], uz[2], sx[2], sy[2], sz[2];
        __mmask16 bad = 0, active = used;
        facets &= ~now;
        for (h = 0; h < 2; h++) {
            const __m512i index = half_of(t, h);
            const __mmask8 upper = upper_half(index);
            ux[h] = look_up(c->vertex.x, index, upper, 0);
            uy[h] = look_up(c->vertex.y, index, upper, 0);
            uz[h] = look_up(c->vertex.z, index, upper, 0);
            sx[h] = sy[h] = sz[h] = _mm512_setzero_pd();
        }
        while (active) {
            /* of the corners a, b, c the facet's own is followed by the plane to turn to */
            const __m512i here = _mm512_sllv_epi32(one, t);
            const __m512i corner = _mm512_permutex2var_epi32(c->code[0], t, c->code[1]);
            const __m512i apart = _mm512_xor_si512(corner, mine);
            const __mmask16 is_a = _mm512_testn_epi32_mask(apart, byte);
            const __mmask16 is_b = _mm512_testn_epi32_mask(apart, _mm512_slli_epi32(byte, 8));
            const __m512i next = _mm512_mask_srli_epi32(
                _mm512_mask_srli_epi32(corner, is_b, corner, 16), is_a, corner, 8);
            const __m512i other = _mm512_andnot_si512(
                here, _mm512_and_si512(on, _mm512_permutex2var_epi32(on0, next, on1)));
            __mmask16 ended;
            bad |= _mm512_mask_testn_epi32_mask(active, left, here);
            bad |= _mm512_mask_test_epi32_mask(active, other, _mm512_sub_epi32(other, one));
            left = _mm512_andnot_si512(here, left);
            n_edges = _mm512_mask_add_epi32(n_edges, active, n_edges, one);
            t = _mm512_sub_epi32(top, _mm512_lzcnt_epi32(other));
            for (h = 0; h < 2; h++) {
                const __m512i index = half_of(t, h);
                const __mmask8 upper = upper_half(index), moving = (__mmask8)(active >> 8 * h);
                const __m512d x = look_up(c->vertex.x, index, upper, 0);
                const __m512d y = look_up(c->vertex.y, index, upper, 0);
                const __m512d z = look_up(c->vertex.z, index, upper, 0);
                sx[h] = _mm512_mask_add_pd(sx[h], moving, sx[h], minor2(y, z, uy[h], uz[h]));
                sy[h] = _mm512_mask_add_pd(sy[h], moving, sy[h], minor2(z, x, uz[h], ux[h]));
                sz[h] = _mm512_mask_add_pd(sz[h], moving, sz[h], minor2(x, y, ux[h], uy[h]));
                ux[h] = x;
                uy[h] = y;
                uz[h] = z;
            }
            ended = _mm512_mask_testn_epi32_mask(active, left, left);
            bad |= _mm512_mask_cmpneq_epi32_mask(ended, t, start);
            active &= ~ended & ~bad;
        }
        if (bad)                       /* not one closed polygon */
            return 0;
        for (h = 0; h < 2; h++) {
            const __m512i index = half_of(plane, h);
            const __mmask8 upper = upper_half(index), here = (__mmask8)(used >> 8 * h);
            const __m512d x = look_up(c->plane.x, index, upper, 0);
            const __m512d y = look_up(c->plane.y, index, upper, 0);
            const __m512d z = look_up(c->plane.z, index, upper, 0);
            const __m512d part = _mm512_maskz_mul_pd(here, _mm512_set1_pd(0.5),
                                                     dot(sx[h], sy[h], sz[h], x, y, z));
            area[2 * rounds + h] = _mm512_maskz_div_pd(here, part,
                                                       _mm512_sqrt_pd(dot(x, y, z, x, y, z)));
            total = _mm512_add_pd(total, area[2 * rounds + h]);
            volume = _mm512_add_pd(volume, part);
        }
        number[rounds] = _mm512_permutex2var_epi32(_mm512_loadu_si512(c->source), plane,
                                                   _mm512_loadu_si512(c->source + 16));
        edges[rounds] = n_edges;
    }

    surface = _mm512_reduce_add_pd(total);
    if (!(surface > 0.0))
        return 0;
    tiny = _mm512_set1_pd(search->facet_floor * surface);
    for (r = 0; r < rounds; r++) {
        const __mmask16 real = (__mmask16)_mm512_kunpackb(
            _mm512_cmp_pd_mask(area[2 * r + 1], tiny, _CMP_GT_OQ),
            _mm512_cmp_pd_mask(area[2 * r], tiny, _CMP_GT_OQ))
            & _mm512_cmpgt_epi32_mask(edges[r], _mm512_set1_epi32(2));
        _mm512_storeu_si512(out->neighbour + at, _mm512_maskz_compress_epi32(real, number[r]));
        _mm_storeu_si128((__m128i *)(out->edges + at), _mm512_cvtepi32_epi8(
                         _mm512_maskz_compress_epi32(real, edges[r])));
        _mm512_storeu_pd(out->area + at,
                         _mm512_maskz_compress_pd((__mmask8)real, area[2 * r]));
        _mm512_storeu_pd(out->area + at + count(real & 0xff),
                         _mm512_maskz_compress_pd((__mmask8)(real >> 8), area[2 * r + 1]));
        at += count(real);
    }
    out->n_facets = at;
    out->volume = _mm512_reduce_add_pd(volume) / 6.0;      /* |p|^2 / 2 / (3 |p|^2) */
    out->n_near = c->n_near;
    for (r = 0; r < c->n_near; r += 16)            /* no more: gaps between lists hold zeros */
        _mm512_mask_storeu_epi32(out->near_list + r,
                                 first_lanes(c->n_near - r < 16 ? c->n_near - r : 16),
                                 _mm512_loadu_si512(c->near_list + r));
    return 1;
}

#endif
#endif
