/* pair_sums.h for AVX-512: eight pairs at a time, the same operations in the same order, so the same bits.  What
   it gains: atoms too far away are dropped by a compression instead of one by one, the four splines of a pair are
   added to their row at once, and the eight coefficients of its force constants are one load. */
#ifndef MGML_PAIR_SUMS_AVX512_H
#define MGML_PAIR_SUMS_AVX512_H
#include <immintrin.h>

#define MGML_V4 __attribute__((target("arch=x86-64-v4")))
#define MGML_V4_INLINE __attribute__((target("arch=x86-64-v4"), always_inline)) static inline

#define ALL(value) _mm512_set1_pd(value)
#define MUL _mm512_mul_pd
#define ADD _mm512_add_pd

/* a / b to the last bit, 1 / b given: the fused product tells what the rounded reciprocal lacks
   (Markstein 1990). */
MGML_V4_INLINE __m512d quotient(__m512d a, __m512d b, __m512d reciprocal)
{
    const __m512d q = _mm512_mul_pd(a, reciprocal);
    return _mm512_fmadd_pd(_mm512_fnmadd_pd(b, q, a), reciprocal, q);
}

/* Rows become columns. */
MGML_V4_INLINE void transpose(__m512d *m)
{
    __m512d pairs[8], fours[8];
    for (int k = 0; k < 8; k += 2) {
        pairs[k] = _mm512_unpacklo_pd(m[k], m[k + 1]);         /* columns 0 2 4 6 of two rows */
        pairs[k + 1] = _mm512_unpackhi_pd(m[k], m[k + 1]);     /* columns 1 3 5 7 */
    }
    for (int k = 0; k < 2; k++)
        for (int half = 0; half < 2; half++) {
            const __m512d a = pairs[4 * half + k], b = pairs[4 * half + k + 2];
            fours[4 * half + k] = _mm512_shuffle_f64x2(a, b, 0x88);        /* columns k and k + 4 */
            fours[4 * half + k + 2] = _mm512_shuffle_f64x2(a, b, 0xdd);    /* k + 2 and k + 6 */
        }
    for (int k = 0; k < 4; k++) {
        m[k] = _mm512_shuffle_f64x2(fours[k], fours[k + 4], 0x88);
        m[k + 4] = _mm512_shuffle_f64x2(fours[k], fours[k + 4], 0xdd);
    }
}

/* to[slot[p]] to to[slot[p] + 3] += w[0][p] to w[3][p], for the first n of eight pairs in turn. */
MGML_V4_INLINE void add_rows(double *to, const int32_t *slot, int n, const __m512d *w)
{
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11),
                  last = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    const __m512d even01 = _mm512_unpacklo_pd(w[0], w[1]), odd01 = _mm512_unpackhi_pd(w[0], w[1]),
                  even23 = _mm512_unpacklo_pd(w[2], w[3]), odd23 = _mm512_unpackhi_pd(w[2], w[3]);
    const __m512d two[4] = {_mm512_permutex2var_pd(even01, first, even23),      /* pairs 0 and 2 */
                            _mm512_permutex2var_pd(odd01, first, odd23),        /* 1 and 3 */
                            _mm512_permutex2var_pd(even01, last, even23),       /* 4 and 6 */
                            _mm512_permutex2var_pd(odd01, last, odd23)};        /* 5 and 7 */
    __m256d row[8];
    for (int k = 0; k < 4; k++) {
        row[4 * (k / 2) + k % 2] = _mm512_castpd512_pd256(two[k]);
        row[4 * (k / 2) + k % 2 + 2] = _mm512_extractf64x4_pd(two[k], 1);
    }
#define ADD_ROW(p) \
    if (p < n) \
        _mm256_storeu_pd(to + slot[p], _mm256_add_pd(_mm256_loadu_pd(to + slot[p]), row[p]));
    ADD_ROW(0) ADD_ROW(1) ADD_ROW(2) ADD_ROW(3) ADD_ROW(4) ADD_ROW(5) ADD_ROW(6) ADD_ROW(7)
#undef ADD_ROW
}

/* As spread_pairs. */
MGML_V4_INLINE void spread_avx512(const PairSplines *s, int n, const double *dx, const double *dy,
                                  const double *dz, const double *r2, const int32_t *e, double *acc,
                                  double *axial)
{
    const __m512d one = ALL(1.0), three = ALL(3.0), four = ALL(4.0), six = ALL(6.0),
                  sixth = ALL(1.0 / 6.0), spacing = ALL(s->spacing), first = ALL(s->first),
                  per_spacing = ALL(1.0 / s->spacing);
    const __m256i slots = _mm256_set1_epi32(SPLINE_SLOTS(s->n_splines));
    for (int p = 0; p < n; p += 8) {
        const int m = n - p < 8 ? n - p : 8;
        const __mmask8 there = (1u << m) - 1;
        const __m512d square = _mm512_mask_loadu_pd(one, there, r2 + p);
        const __m512d t = ADD(quotient(_mm512_sub_pd(_mm512_sqrt_pd(square), first), spacing,
                                       per_spacing), ALL(2.0));
        const __m256i knot = _mm512_cvttpd_epi32(t);
        const __m512d u = _mm512_sub_pd(t, _mm512_cvtepi32_pd(knot)), v = _mm512_sub_pd(one, u);
        const __mmask8 near = _mm512_cmp_pd_mask(t, _mm512_setzero_pd(), _CMP_GT_OQ);
        const __m512d u3 = MUL(MUL(u, u), u), v3 = MUL(MUL(v, v), v);
        /* 4 - 6 u u + 3 u u u, from the left */
        const __m512d up = ADD(_mm512_sub_pd(four, MUL(MUL(six, u), u)), MUL(MUL(MUL(three, u), u), u));
        const __m512d vp = ADD(_mm512_sub_pd(four, MUL(MUL(six, v), v)), MUL(MUL(MUL(three, v), v), v));
        __m512d w[4] = {quotient(v3, six, sixth), quotient(up, six, sixth),
                        quotient(vp, six, sixth), quotient(u3, six, sixth)};
        for (int k = 0; k < 4; k++)
            w[k] = _mm512_maskz_mov_pd(near, w[k]);
        const __m256i row = _mm256_add_epi32(_mm256_maskz_loadu_epi32(there, e + p),
                                             _mm256_set1_epi32(1));
        int32_t slot[8];
        _mm256_storeu_si256((__m256i *)slot, _mm256_add_epi32(
            _mm256_mullo_epi32(row, slots), _mm256_maskz_mov_epi32(near, knot)));
        add_rows(acc, slot, m, w);
        if (axial) {
            const double *l = s->load;
            const __m512d x = _mm512_maskz_loadu_pd(there, dx + p),
                          y = _mm512_maskz_loadu_pd(there, dy + p),
                          z = _mm512_maskz_loadu_pd(there, dz + p);
            const __m512d even = ADD(ADD(MUL(MUL(ALL(l[0]), x), x), MUL(MUL(ALL(l[1]), y), y)),
                                     MUL(MUL(ALL(l[2]), z), z));
            const __m512d odd = ADD(ADD(MUL(MUL(ALL(l[3]), x), y), MUL(MUL(ALL(l[4]), x), z)),
                                    MUL(MUL(ALL(l[5]), y), z));
            const __m512d along = _mm512_div_pd(ADD(even, MUL(ALL(2.0), odd)), square);
            for (int k = 0; k < 4; k++)
                w[k] = MUL(along, w[k]);
            add_rows(axial, slot, m, w);
        }
    }
}

/* k and t of eight pairs; 0 of those beyond the reach, or not ``there``.
   rows : of ``pieces``, by the elements of the pairs. */
MGML_V4_INLINE void eight_springs(const Springs *s, __mmask8 there, __m512d square, __m256i rows, __m512d *k,
                                  __m512d *t)
{
    const __m512d at = ADD(quotient(_mm512_sub_pd(_mm512_sqrt_pd(square), ALL(s->first)),
                                    ALL(s->spacing), ALL(1.0 / s->spacing)),
                           ALL(2.0));
    const __mmask8 hold = _mm512_mask_cmp_pd_mask(there, at, _mm512_setzero_pd(), _CMP_GT_OQ)
        & _mm512_cmp_pd_mask(at, ALL(s->n_knots), _CMP_LT_OQ);
    const __m256i knot = _mm512_maskz_cvttpd_epi32(hold, at);
    const __m512d u = _mm512_maskz_sub_pd(hold, at, _mm512_cvtepi32_pd(knot));
    int32_t of[8];
    _mm256_storeu_si256((__m256i *)of, _mm256_maskz_add_epi32(
        hold, knot, _mm256_mullo_epi32(rows, _mm256_set1_epi32(s->n_knots))));
    __m512d c[8];
    for (int q = 0; q < 8; q++)
        c[q] = _mm512_loadu_pd(s->pieces + 8 * (int64_t)of[q]);
    transpose(c);
    *k = _mm512_maskz_add_pd(hold, c[0], MUL(u, ADD(c[1], MUL(u, ADD(c[2], MUL(u, c[3]))))));
    *t = _mm512_maskz_add_pd(hold, c[4], MUL(u, ADD(c[5], MUL(u, ADD(c[6], MUL(u, c[7]))))));
}

/* As pull_pairs. */
MGML_V4_INLINE void pull_avx512(const Springs *s, int32_t own, int n, const double *dx, const double *dy,
                                const double *dz, const double *r2, const int32_t *e, double *held)
{
    const __m256i last = _mm256_set1_epi32(s->n_elements - 1), row = _mm256_set1_epi32(
        (own < 0 ? s->n_elements - 1 : own) * s->n_elements);
    __m512d sum = _mm512_maskz_loadu_pd(63, held);
    for (int p = 0; p < n; p += 8) {
        const __mmask8 there = n - p < 8 ? (1u << (n - p)) - 1 : 255;
        const __m512d square = _mm512_mask_loadu_pd(ALL(1.0), there, r2 + p);
        __m512d k, t;
        const __m256i element = _mm256_maskz_loadu_epi32(there, e + p);
        const __m256i known = _mm256_mask_mov_epi32(element, _mm256_movepi32_mask(element), last);
        eight_springs(s, there, square, _mm256_add_epi32(row, known), &k, &t);
        k = _mm512_div_pd(k, square);
        const __m512d x = _mm512_maskz_loadu_pd(there, dx + p), y = _mm512_maskz_loadu_pd(there, dy + p),
                      z = _mm512_maskz_loadu_pd(there, dz + p);
        const __m512d kx = MUL(k, x), ky = MUL(k, y);
        __m512d add[8] = {ADD(MUL(kx, x), t), ADD(MUL(ky, y), t), ADD(MUL(MUL(k, z), z), t), MUL(kx, y),
                          MUL(kx, z), MUL(ky, z), _mm512_setzero_pd(), _mm512_setzero_pd()};
        transpose(add);
        for (int q = 0; q < 8; q++)           /* 0 for those that are not there */
            sum = ADD(sum, add[q]);
    }
    _mm512_mask_storeu_pd(held, 63, sum);
}

MGML_V4_INLINE void sum_avx512(const PairSplines *s, const Springs *k, int32_t own, int n, const double *dx,
                               const double *dy, const double *dz, const double *r2, const int32_t *e,
                               double *acc, double *axial, double *held)
{
    if (acc)
        spread_avx512(s, n, dx, dy, dz, r2, e, acc, axial);
    if (held)
        pull_avx512(k, own, n, dx, dy, dz, r2, e, held);
}

/* As add_pairs. */
MGML_V4 static void add_pairs_avx512(
    const PairAtoms *a, const PairSplines *s, const Springs *k, int64_t self, int n_rows, const int64_t *from,
    const int64_t *to, double *acc, double *axial, double *held)
{
    double dx[PAIRS_AT_ONCE], dy[PAIRS_AT_ONCE], dz[PAIRS_AT_ONCE], r2[PAIRS_AT_ONCE];
    int32_t e[PAIRS_AT_ONCE];
    const __m512d x = ALL(a->x[self]), y = ALL(a->y[self]), z = ALL(a->z[self]), most = ALL(a->reach * a->reach);
    const int32_t own = a->element[self];
    int n = 0;
    for (int q = 0; q < n_rows; q++)
        for (int64_t at = from[q]; at < to[q]; at += 8) {
            if (n > PAIRS_AT_ONCE - 16) {
                sum_avx512(s, k, own, n, dx, dy, dz, r2, e, acc, axial, held);
                n = 0;
            }
            const int64_t left = to[q] - at, me = self - at;
            const __mmask8 there = (left < 8 ? (1u << left) - 1 : 255) & ~(me >= 0 && me < 8 ? 1u << me : 0);
            const __m512d ax = _mm512_sub_pd(_mm512_maskz_loadu_pd(there, a->x + at), x),
                          ay = _mm512_sub_pd(_mm512_maskz_loadu_pd(there, a->y + at), y),
                          az = _mm512_sub_pd(_mm512_maskz_loadu_pd(there, a->z + at), z);
            const __m512d square = ADD(ADD(MUL(ax, ax), MUL(ay, ay)), MUL(az, az));
            const __mmask8 near = _mm512_mask_cmp_pd_mask(there, square, most, _CMP_LT_OQ);
            _mm512_storeu_pd(dx + n, _mm512_maskz_compress_pd(near, ax));
            _mm512_storeu_pd(dy + n, _mm512_maskz_compress_pd(near, ay));
            _mm512_storeu_pd(dz + n, _mm512_maskz_compress_pd(near, az));
            _mm512_storeu_pd(r2 + n, _mm512_maskz_compress_pd(near, square));
            _mm256_storeu_si256((__m256i *)(e + n), _mm256_maskz_compress_epi32(
                near, _mm256_maskz_loadu_epi32(there, a->element + at)));
            n += __builtin_popcount(near);
        }
    sum_avx512(s, k, own, n, dx, dy, dz, r2, e, acc, axial, held);
}
#undef ALL
#undef MUL
#undef ADD
#endif
