/* The instructions that cell_avx512.h uses, lane by lane in C: slow, and runs on any processor.

   Built in by MGML_EMULATE=1 (see setup.py), so that the vector cutter is tested, also under the
   sanitizers, where there is no AVX-512.  Sums over all lanes are made in the order of GCC's own. */
#ifndef MGML_AVX512_IN_C_H
#define MGML_AVX512_IN_C_H
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t __mmask8;
typedef uint16_t __mmask16;
typedef uint32_t __mmask32;
typedef struct { double v[8]; } __m512d;
typedef struct { float v[16]; } __m512;
typedef union { int32_t i[16]; uint32_t u[16]; int64_t q[8]; uint64_t uq[8]; uint8_t b[64]; } __m512i;
typedef union { int32_t i[8]; uint32_t u[8]; } __m256i;
typedef union { uint8_t b[16]; } __m128i;

enum { _CMP_LT_OQ, _CMP_GE_OQ, _CMP_GT_OQ };

#define FN static inline
#define ON(k, lane) (((k) >> (lane)) & 1)
#define LANES(n, value) for (int l = 0; l < (n); l++) r.value
#define MASK(n, test) \
    uint32_t r = 0; for (int l = 0; l < (n); l++) r |= (uint32_t)((test) != 0) << l; return r

/* numbers and masks */
FN int _mm_popcnt_u32(uint32_t a) { return __builtin_popcount(a); }
FN uint32_t _bzhi_u32(uint32_t a, uint32_t n) { return n > 31 ? a : a & ((1u << n) - 1); }
FN uint32_t _cvtmask32_u32(__mmask32 a) { return a; }
FN __mmask16 _mm512_kunpackb(uint32_t a, uint32_t b) { return (__mmask16)(a << 8 | (b & 0xff)); }
FN __mmask32 _mm512_kunpackw(uint32_t a, uint32_t b) { return a << 16 | (b & 0xffff); }
FN uint32_t _pdep_u32(uint32_t a, uint32_t mask)
{
    uint32_t r = 0;
    for (; mask; mask &= mask - 1, a >>= 1)
        if (a & 1)
            r |= mask & -mask;
    return r;
}

/* doubles */
FN __m512d _mm512_set1_pd(double a) { __m512d r; LANES(8, v[l] = a); return r; }
FN __m512d _mm512_setzero_pd(void) { return _mm512_set1_pd(0.0); }
FN __m512d _mm512_set_pd(double h, double g, double f, double e, double d, double c, double b,
                         double a)
{ __m512d r = {{a, b, c, d, e, f, g, h}}; return r; }
#define TWO_PD(name, expression) FN __m512d name(__m512d a, __m512d b) \
    { __m512d r; LANES(8, v[l] = expression); return r; }
TWO_PD(_mm512_add_pd, a.v[l] + b.v[l])
TWO_PD(_mm512_sub_pd, a.v[l] - b.v[l])
TWO_PD(_mm512_mul_pd, a.v[l] * b.v[l])
TWO_PD(_mm512_div_pd, a.v[l] / b.v[l])
FN __m512d _mm512_sqrt_pd(__m512d a) { __m512d r; LANES(8, v[l] = sqrt(a.v[l])); return r; }
FN __m512d _mm512_mask_mov_pd(__m512d s, __mmask8 k, __m512d a)
{ __m512d r; LANES(8, v[l] = ON(k, l) ? a.v[l] : s.v[l]); return r; }
FN __m512d _mm512_mask_add_pd(__m512d s, __mmask8 k, __m512d a, __m512d b)
{ return _mm512_mask_mov_pd(s, k, _mm512_add_pd(a, b)); }
FN __m512d _mm512_maskz_mul_pd(__mmask8 k, __m512d a, __m512d b)
{ return _mm512_mask_mov_pd(_mm512_setzero_pd(), k, _mm512_mul_pd(a, b)); }
FN __m512d _mm512_maskz_div_pd(__mmask8 k, __m512d a, __m512d b)
{ return _mm512_mask_mov_pd(_mm512_setzero_pd(), k, _mm512_div_pd(a, b)); }
FN __m512d _mm512_mask_max_pd(__m512d s, __mmask8 k, __m512d a, __m512d b)
{ __m512d r; LANES(8, v[l] = !ON(k, l) ? s.v[l] : a.v[l] > b.v[l] ? a.v[l] : b.v[l]); return r; }
FN int ordered(double a, double b, int how)
{ return how == _CMP_LT_OQ ? a < b : how == _CMP_GE_OQ ? a >= b : a > b; }
FN __mmask8 _mm512_mask_cmp_pd_mask(__mmask8 k, __m512d a, __m512d b, int how)
{ MASK(8, ON(k, l) && ordered(a.v[l], b.v[l], how)); }
FN __mmask8 _mm512_cmp_pd_mask(__m512d a, __m512d b, int how)
{ return _mm512_mask_cmp_pd_mask(0xff, a, b, how); }
FN __m512d _mm512_permutex2var_pd(__m512d a, __m512i at, __m512d b)
{ __m512d r; LANES(8, v[l] = (at.q[l] & 8 ? b : a).v[at.q[l] & 7]); return r; }
FN __m512d _mm512_mask_permutexvar_pd(__m512d s, __mmask8 k, __m512i at, __m512d a)
{ __m512d r; LANES(8, v[l] = ON(k, l) ? a.v[at.q[l] & 7] : s.v[l]); return r; }
FN __m512d _mm512_maskz_compress_pd(__mmask8 k, __m512d a)
{
    __m512d r = _mm512_setzero_pd();
    for (int l = 0, n = 0; l < 8; l++)
        if (ON(k, l))
            r.v[n++] = a.v[l];
    return r;
}
FN double _mm512_reduce_add_pd(__m512d a)
{
    const double *v = a.v;
    return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}
FN double _mm512_reduce_max_pd(__m512d a)
{
    double r = a.v[0];
    for (int l = 1; l < 8; l++)
        r = a.v[l] > r ? a.v[l] : r;
    return r;
}
FN void _mm512_storeu_pd(void *p, __m512d a) { memcpy(p, &a, 64); }

/* floats */
FN __m512 _mm512_set1_ps(float a) { __m512 r; LANES(16, v[l] = a); return r; }
#define TWO_PS(name, sign) FN __m512 name(__m512 a, __m512 b) \
    { __m512 r; LANES(16, v[l] = a.v[l] sign b.v[l]); return r; }
TWO_PS(_mm512_add_ps, +)
TWO_PS(_mm512_sub_ps, -)
TWO_PS(_mm512_mul_ps, *)
FN __mmask16 _mm512_mask_cmp_ps_mask(__mmask16 k, __m512 a, __m512 b, int how)
{ MASK(16, ON(k, l) && ordered(a.v[l], b.v[l], how)); }
FN __mmask16 _mm512_cmp_ps_mask(__m512 a, __m512 b, int how)
{ return _mm512_mask_cmp_ps_mask(0xffff, a, b, how); }
FN __m512 _mm512_loadu_ps(const void *p) { __m512 r; memcpy(&r, p, 64); return r; }
FN __m512 _mm512_maskz_loadu_ps(__mmask16 k, const float *p)
{ __m512 r; LANES(16, v[l] = ON(k, l) ? p[l] : 0.0f); return r; }
FN __m512 _mm512_maskz_compress_ps(__mmask16 k, __m512 a)
{
    __m512 r = _mm512_set1_ps(0.0f);
    for (int l = 0, n = 0; l < 16; l++)
        if (ON(k, l))
            r.v[n++] = a.v[l];
    return r;
}
FN void _mm512_storeu_ps(void *p, __m512 a) { memcpy(p, &a, 64); }

/* whole numbers */
FN __m512i _mm512_set1_epi32(int32_t a) { __m512i r; LANES(16, i[l] = a); return r; }
FN __m512i _mm512_set1_epi64(int64_t a) { __m512i r; LANES(8, q[l] = a); return r; }
FN __m512i _mm512_setzero_si512(void) { return _mm512_set1_epi32(0); }
FN __m512i _mm512_set_epi32(int p, int o, int n, int m, int l, int k, int j, int i, int h, int g,
                            int f, int e, int d, int c, int b, int a)
{ __m512i r = {{a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p}}; return r; }
FN __m512i _mm512_set4_epi32(int d, int c, int b, int a)
{ return _mm512_set_epi32(d, c, b, a, d, c, b, a, d, c, b, a, d, c, b, a); }
FN __m512i _mm512_set_epi64(int64_t h, int64_t g, int64_t f, int64_t e, int64_t d, int64_t c,
                            int64_t b, int64_t a)
{ __m512i r = {.q = {a, b, c, d, e, f, g, h}}; return r; }
#define TWO_I(name, expression) FN __m512i name(__m512i a, __m512i b) \
    { __m512i r; LANES(16, u[l] = expression); return r; }
TWO_I(_mm512_add_epi32, a.u[l] + b.u[l])
TWO_I(_mm512_sub_epi32, a.u[l] - b.u[l])
TWO_I(_mm512_mullo_epi32, a.u[l] * b.u[l])
TWO_I(_mm512_and_si512, a.u[l] & b.u[l])
TWO_I(_mm512_andnot_si512, ~a.u[l] & b.u[l])
TWO_I(_mm512_or_si512, a.u[l] | b.u[l])
TWO_I(_mm512_xor_si512, a.u[l] ^ b.u[l])
TWO_I(_mm512_sllv_epi32, b.u[l] > 31 ? 0 : a.u[l] << b.u[l])
TWO_I(_mm512_permutexvar_epi32, b.u[a.u[l] & 15])
TWO_I(_mm512_shuffle_epi8, 0 * a.u[l] * b.u[l]
      | (uint32_t)(b.b[4 * l] & 128 ? 0 : a.b[4 * l / 16 * 16 + (b.b[4 * l] & 15)])
      | (uint32_t)(b.b[4 * l + 1] & 128 ? 0 : a.b[4 * l / 16 * 16 + (b.b[4 * l + 1] & 15)]) << 8
      | (uint32_t)(b.b[4 * l + 2] & 128 ? 0 : a.b[4 * l / 16 * 16 + (b.b[4 * l + 2] & 15)]) << 16
      | (uint32_t)(b.b[4 * l + 3] & 128 ? 0 : a.b[4 * l / 16 * 16 + (b.b[4 * l + 3] & 15)]) << 24)
FN __m512i _mm512_add_epi64(__m512i a, __m512i b)
{ __m512i r; LANES(8, uq[l] = a.uq[l] + b.uq[l]); return r; }
FN __m512i _mm512_srli_epi64(__m512i a, int n) { __m512i r; LANES(8, uq[l] = a.uq[l] >> n); return r; }
FN __m512i _mm512_srli_epi32(__m512i a, int n) { __m512i r; LANES(16, u[l] = a.u[l] >> n); return r; }
FN __m512i _mm512_slli_epi32(__m512i a, int n) { __m512i r; LANES(16, u[l] = a.u[l] << n); return r; }
FN __m512i _mm512_lzcnt_epi32(__m512i a)
{ __m512i r; LANES(16, i[l] = a.u[l] ? __builtin_clz(a.u[l]) : 32); return r; }
FN __m512i mixed(__m512i s, __mmask16 k, __m512i a)
{ __m512i r; LANES(16, i[l] = ON(k, l) ? a.i[l] : s.i[l]); return r; }
FN __m512i _mm512_maskz_mov_epi32(__mmask16 k, __m512i a)
{ return mixed(_mm512_setzero_si512(), k, a); }
FN __m512i _mm512_mask_add_epi32(__m512i s, __mmask16 k, __m512i a, __m512i b)
{ return mixed(s, k, _mm512_add_epi32(a, b)); }
FN __m512i _mm512_mask_or_epi32(__m512i s, __mmask16 k, __m512i a, __m512i b)
{ return mixed(s, k, _mm512_or_si512(a, b)); }
FN __m512i _mm512_mask_srli_epi32(__m512i s, __mmask16 k, __m512i a, int n)
{ return mixed(s, k, _mm512_srli_epi32(a, n)); }
FN __m512i _mm512_mask_set1_epi32(__m512i s, __mmask16 k, int a)
{ return mixed(s, k, _mm512_set1_epi32(a)); }
FN __m512i _mm512_maskz_sllv_epi32(__mmask16 k, __m512i a, __m512i n)
{ return _mm512_maskz_mov_epi32(k, _mm512_sllv_epi32(a, n)); }
FN __m512i _mm512_permutex2var_epi32(__m512i a, __m512i at, __m512i b)
{ __m512i r; LANES(16, i[l] = (at.u[l] & 16 ? b : a).i[at.u[l] & 15]); return r; }
FN __m512i _mm512_maskz_permutex2var_epi32(__mmask16 k, __m512i a, __m512i at, __m512i b)
{ return _mm512_maskz_mov_epi32(k, _mm512_permutex2var_epi32(a, at, b)); }
FN __mmask16 _mm512_mask_test_epi32_mask(__mmask16 k, __m512i a, __m512i b)
{ MASK(16, ON(k, l) && (a.u[l] & b.u[l])); }
FN __mmask16 _mm512_test_epi32_mask(__m512i a, __m512i b)
{ return _mm512_mask_test_epi32_mask(0xffff, a, b); }
FN __mmask16 _mm512_mask_testn_epi32_mask(__mmask16 k, __m512i a, __m512i b)
{ MASK(16, ON(k, l) && !(a.u[l] & b.u[l])); }
FN __mmask16 _mm512_testn_epi32_mask(__m512i a, __m512i b)
{ return _mm512_mask_testn_epi32_mask(0xffff, a, b); }
FN __mmask8 _mm512_test_epi64_mask(__m512i a, __m512i b) { MASK(8, a.uq[l] & b.uq[l]); }
FN __mmask16 _mm512_mask_cmpneq_epi32_mask(__mmask16 k, __m512i a, __m512i b)
{ MASK(16, ON(k, l) && a.i[l] != b.i[l]); }
FN __mmask16 _mm512_cmpgt_epi32_mask(__m512i a, __m512i b) { MASK(16, a.i[l] > b.i[l]); }
FN __m512i _mm512_maskz_compress_epi32(__mmask16 k, __m512i a)
{
    __m512i r = _mm512_setzero_si512();
    for (int l = 0, n = 0; l < 16; l++)
        if (ON(k, l))
            r.i[n++] = a.i[l];
    return r;
}
FN __m512i _mm512_mask_expand_epi32(__m512i s, __mmask16 k, __m512i a)
{
    for (int l = 0, n = 0; l < 16; l++)
        if (ON(k, l))
            s.i[l] = a.i[n++];
    return s;
}
FN __m512i _mm512_maskz_expand_epi64(__mmask8 k, __m512i a)
{
    __m512i r = _mm512_setzero_si512();
    for (int l = 0, n = 0; l < 8; l++)
        if (ON(k, l))
            r.q[l] = a.q[n++];
    return r;
}
FN int _mm512_reduce_add_epi32(__m512i a)
{ int r = 0; for (int l = 0; l < 16; l++) r += a.i[l]; return r; }
FN __m512i _mm512_loadu_si512(const void *p) { __m512i r; memcpy(&r, p, 64); return r; }
FN void _mm512_storeu_si512(void *p, __m512i a) { memcpy(p, &a, 64); }
FN __m512i _mm512_maskz_loadu_epi32(__mmask16 k, const int32_t *p)
{ __m512i r; LANES(16, i[l] = ON(k, l) ? p[l] : 0); return r; }
FN void _mm512_mask_storeu_epi32(int32_t *p, __mmask16 k, __m512i a)
{ for (int l = 0; l < 16; l++) if (ON(k, l)) p[l] = a.i[l]; }

/* shorter ones, and what gathers */
FN __m256i _mm512_extracti64x4_epi64(__m512i a, int upper)
{ __m256i r; memcpy(&r, a.i + 8 * upper, 32); return r; }
FN __m256i _mm512_castsi512_si256(__m512i a) { return _mm512_extracti64x4_epi64(a, 0); }
FN __m512i _mm512_cvtepu32_epi64(__m256i a) { __m512i r; LANES(8, uq[l] = a.u[l]); return r; }
FN __m128i _mm512_cvtepi32_epi8(__m512i a) { __m128i r; LANES(16, b[l] = (uint8_t)a.u[l]); return r; }
FN void _mm_storeu_si128(__m128i *p, __m128i a) { memcpy(p, &a, 16); }
FN __m256i _mm256_loadu_si256(const __m256i *p) { __m256i r; memcpy(&r, p, 32); return r; }
FN void _mm256_storeu_si256(__m256i *p, __m256i a) { memcpy(p, &a, 32); }
FN __m256i _mm256_maskz_compress_epi32(__mmask8 k, __m256i a)
{
    __m256i r = {{0}};
    for (int l = 0, n = 0; l < 8; l++)
        if (ON(k, l))
            r.i[n++] = a.i[l];
    return r;
}
FN __m256i _mm256_i32gather_epi32(const int32_t *p, __m256i at, int scale)
{ __m256i r; (void)scale; LANES(8, i[l] = p[at.i[l]]); return r; }
FN __m512d _mm512_i32gather_pd(__m256i at, const double *p, int scale)
{ __m512d r; (void)scale; LANES(8, v[l] = p[at.i[l]]); return r; }

#undef FN
#undef ON
#undef LANES
#undef MASK
#undef TWO_PD
#undef TWO_PS
#undef TWO_I
#endif
