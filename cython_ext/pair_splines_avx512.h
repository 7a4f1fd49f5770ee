/* pair_splines.h for AVX-512: eight pairs at a time, the same operations in the same order, so the
   same bits.  What it gains: atoms too far away are dropped by a compression instead of one by one,
   and the four splines of a pair are added to their row at once. */
#ifndef MGML_PAIR_SPLINES_AVX512_H
#define MGML_PAIR_SPLINES_AVX512_H
#include <immintrin.h>

#define AVX512 __attribute__((target("arch=x86-64-v4"), always_inline)) static inline

/* a / b to the last bit, 1 / b given: the fused product tells what the rounded reciprocal lacks
   (Markstein 1990). */
AVX512 __m512d quotient(__m512d a, __m512d b, __m512d reciprocal)
{
    const __m512d q = _mm512_mul_pd(a, reciprocal);
    return _mm512_fmadd_pd(_mm512_fnmadd_pd(b, q, a), reciprocal, q);
}

/* to[slot[p]] to to[slot[p] + 3] += w[0][p] to w[3][p], for the first n of eight pairs in turn. */
AVX512 void add_rows(double *to, const int32_t *slot, int n, const __m512d *w)
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
#define ADD(p) \
    if (p < n) \
        _mm256_storeu_pd(to + slot[p], _mm256_add_pd(_mm256_loadu_pd(to + slot[p]), row[p]));
    ADD(0) ADD(1) ADD(2) ADD(3) ADD(4) ADD(5) ADD(6) ADD(7)
#undef ADD
}

AVX512 void spread_avx512(const PairSplines *s, int n, const double *dx, const double *dy,
                          const double *dz, const double *r2, const int32_t *e, double *acc,
                          double *axial)
{
#define ALL(value) _mm512_set1_pd(value)
    const __m512d one = ALL(1.0), three = ALL(3.0), four = ALL(4.0), six = ALL(6.0),
                  sixth = ALL(1.0 / 6.0), spacing = ALL(s->spacing), first = ALL(s->first),
                  per_spacing = ALL(1.0 / s->spacing);
    const __m256i slots = _mm256_set1_epi32(SPLINE_SLOTS(s->n_splines));
    for (int p = 0; p < n; p += 8) {
        const int m = n - p < 8 ? n - p : 8;
        const __mmask8 there = (1u << m) - 1;
        const __m512d square = _mm512_mask_loadu_pd(one, there, r2 + p);
        const __m512d t = _mm512_add_pd(quotient(_mm512_sub_pd(_mm512_sqrt_pd(square), first),
                                                 spacing, per_spacing), ALL(2.0));
        const __m256i knot = _mm512_cvttpd_epi32(t);
        const __m512d u = _mm512_sub_pd(t, _mm512_cvtepi32_pd(knot)), v = _mm512_sub_pd(one, u);
        const __mmask8 near = _mm512_cmp_pd_mask(t, _mm512_setzero_pd(), _CMP_GT_OQ);
#define MUL _mm512_mul_pd
        const __m512d u3 = MUL(MUL(u, u), u), v3 = MUL(MUL(v, v), v);
        /* 4 - 6 u u + 3 u u u, from the left */
        const __m512d up = _mm512_add_pd(_mm512_sub_pd(four, MUL(MUL(six, u), u)),
                                         MUL(MUL(MUL(three, u), u), u));
        const __m512d vp = _mm512_add_pd(_mm512_sub_pd(four, MUL(MUL(six, v), v)),
                                         MUL(MUL(MUL(three, v), v), v));
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
            const __m512d even = _mm512_add_pd(_mm512_add_pd(MUL(MUL(ALL(l[0]), x), x),
                                                             MUL(MUL(ALL(l[1]), y), y)),
                                               MUL(MUL(ALL(l[2]), z), z));
            const __m512d odd = _mm512_add_pd(_mm512_add_pd(MUL(MUL(ALL(l[3]), x), y),
                                                            MUL(MUL(ALL(l[4]), x), z)),
                                              MUL(MUL(ALL(l[5]), y), z));
            const __m512d along = _mm512_div_pd(_mm512_add_pd(even, MUL(ALL(2.0), odd)), square);
            for (int k = 0; k < 4; k++)
                w[k] = MUL(along, w[k]);
            add_rows(axial, slot, m, w);
        }
#undef MUL
    }
#undef ALL
}

/* As add_pairs. */
AVX512 void add_pairs_of(const PairSplines *s, int64_t self, int n_rows, const int64_t *from,
                         const int64_t *to, double *acc, double *axial)
{
    double dx[PAIRS_AT_ONCE], dy[PAIRS_AT_ONCE], dz[PAIRS_AT_ONCE], r2[PAIRS_AT_ONCE];
    int32_t e[PAIRS_AT_ONCE];
    const double reach = s->first + (s->n_splines + 1) * s->spacing;
    const __m512d x = _mm512_set1_pd(s->x[self]), y = _mm512_set1_pd(s->y[self]),
                  z = _mm512_set1_pd(s->z[self]), most = _mm512_set1_pd(reach * reach);
    int n = 0;
    for (int k = 0; k < n_rows; k++)
        for (int64_t at = from[k]; at < to[k]; at += 8) {
            if (n > PAIRS_AT_ONCE - 16) {
                spread_avx512(s, n, dx, dy, dz, r2, e, acc, axial);
                n = 0;
            }
            const int64_t left = to[k] - at, own = self - at;
            const __mmask8 there = (left < 8 ? (1u << left) - 1 : 255)
                & ~(own >= 0 && own < 8 ? 1u << own : 0);
            const __m512d ax = _mm512_sub_pd(_mm512_maskz_loadu_pd(there, s->x + at), x),
                          ay = _mm512_sub_pd(_mm512_maskz_loadu_pd(there, s->y + at), y),
                          az = _mm512_sub_pd(_mm512_maskz_loadu_pd(there, s->z + at), z);
            const __m512d square = _mm512_add_pd(
                _mm512_add_pd(_mm512_mul_pd(ax, ax), _mm512_mul_pd(ay, ay)), _mm512_mul_pd(az, az));
            const __mmask8 near = _mm512_mask_cmp_pd_mask(there, square, most, _CMP_LT_OQ);
            _mm512_storeu_pd(r2 + n, _mm512_maskz_compress_pd(near, square));
            _mm256_storeu_si256((__m256i *)(e + n), _mm256_maskz_compress_epi32(
                near, _mm256_maskz_loadu_epi32(there, s->element + at)));
            if (axial) {
                _mm512_storeu_pd(dx + n, _mm512_maskz_compress_pd(near, ax));
                _mm512_storeu_pd(dy + n, _mm512_maskz_compress_pd(near, ay));
                _mm512_storeu_pd(dz + n, _mm512_maskz_compress_pd(near, az));
            }
            n += __builtin_popcount(near);
        }
    spread_avx512(s, n, dx, dy, dz, r2, e, acc, axial);
}

__attribute__((target("arch=x86-64-v4"))) static void add_pairs_avx512(
    const PairSplines *s, int64_t self, int n_rows, const int64_t *from, const int64_t *to,
    double *acc, double *axial)
{
    if (axial)
        add_pairs_of(s, self, n_rows, from, to, acc, axial);
    else
        add_pairs_of(s, self, n_rows, from, to, acc, NULL);
}
#undef AVX512
#endif
