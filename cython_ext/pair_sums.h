/* Sums over the pairs of one atom, of its densities and of the force constants that hold it: the atoms around it
   are found once for both.  Passes without branches that the compiler turns into vector lanes; the sums are made
   in the order of the atoms, so that they do not depend on them. */
#ifndef MGML_PAIR_SUMS_H
#define MGML_PAIR_SUMS_H
#include <math.h>
#include <stdint.h>

#include "clones.h"
#include "springs.h"

#define PAIRS_AT_ONCE 128

typedef struct {
    const double *x, *y, *z;      /* positions in grid order */
    const int32_t *element;       /* 0, 1, ... in grid order; -1 is unknown */
    double reach;
} PairAtoms;

typedef struct {
    double first, spacing;
    int n_splines;
    const double *load;           /* xx yy zz xy xz yz, or NULL */
} PairSplines;

/* acc : (n_elements + 1, SPLINE_SLOTS(n_splines)), element -1 first; twice that with a load.
   Three slots at either end of a row take what lies outside of the splines. */
#define SPLINE_SLOTS(n_splines) ((n_splines) + 6)

static inline __attribute__((always_inline)) void spread_pairs(
    const PairSplines *s, int n, const double *dx, const double *dy, const double *dz, const double *r2,
    const int32_t *e, double *acc, double *axial)
{
    double w[4][PAIRS_AT_ONCE], along[PAIRS_AT_ONCE];
    int32_t slot[PAIRS_AT_ONCE];
    const int slots = SPLINE_SLOTS(s->n_splines), n_padded = (n + 7) & ~7;
    for (int p = 0; p < n_padded; p++) {
        const double t = (sqrt(r2[p]) - s->first) / s->spacing + 2.0;
        const int32_t knot = (int32_t)t;
        const double u = t - knot, v = 1.0 - u, near = t > 0.0 ? 1.0 : 0.0;
        w[0][p] = near * (v * v * v / 6.0);
        w[1][p] = near * ((4.0 - 6.0 * u * u + 3.0 * u * u * u) / 6.0);
        w[2][p] = near * ((4.0 - 6.0 * v * v + 3.0 * v * v * v) / 6.0);
        w[3][p] = near * (u * u * u / 6.0);
        slot[p] = (e[p] + 1) * slots + (t > 0.0 ? knot : 0);
    }
    for (int p = 0; p < n; p++)
        for (int k = 0; k < 4; k++)
            acc[slot[p] + k] += w[k][p];
    if (axial) {
        const double *l = s->load;
        for (int p = 0; p < n_padded; p++)
            along[p] = (l[0] * dx[p] * dx[p] + l[1] * dy[p] * dy[p] + l[2] * dz[p] * dz[p]
                        + 2.0 * (l[3] * dx[p] * dy[p] + l[4] * dx[p] * dz[p]
                                 + l[5] * dy[p] * dz[p])) / r2[p];
        for (int p = 0; p < n; p++)
            for (int k = 0; k < 4; k++)
                axial[slot[p] + k] += along[p] * w[k][p];
    }
}

/* held (6) += k u u + t 1, xx yy zz xy xz yz.  own : element of the atom. */
static inline __attribute__((always_inline)) void pull_pairs(
    const Springs *s, int32_t own, int n, const double *dx, const double *dy, const double *dz, const double *r2,
    const int32_t *e, double *held)
{
    double at[PAIRS_AT_ONCE], k[PAIRS_AT_ONCE], t[PAIRS_AT_ONCE];
    const double first = s->first, spacing = s->spacing, end = s->n_knots * (1.0 - 0x1p-52);
    for (int p = 0; p < n; p++) {
        const double m = (sqrt(r2[p]) - first) / spacing + 2.0, from = m > 0.0 ? m : 0.0;
        at[p] = from < end ? from : end;        /* both are 0 at either end */
    }
    for (int p = 0; p < n; p++) {
        const int32_t knot = (int32_t)at[p];
        cubics(s->pieces + 8 * (row_of_types(s, own + 1, e[p] + 1) * s->n_knots + knot), at[p] - knot, k + p, t + p);
    }
    for (int p = 0; p < n; p++)
        k[p] /= r2[p];
    for (int p = 0; p < n; p++) {
        held[0] += k[p] * dx[p] * dx[p] + t[p];
        held[1] += k[p] * dy[p] * dy[p] + t[p];
        held[2] += k[p] * dz[p] * dz[p] + t[p];
        held[3] += k[p] * dx[p] * dy[p];
        held[4] += k[p] * dx[p] * dz[p];
        held[5] += k[p] * dy[p] * dz[p];
    }
}

/* Whichever of the two sums is asked for, of n pairs; the arrays have room for whole vectors. */
static inline __attribute__((always_inline)) void sum_pairs(
    const PairSplines *s, const Springs *k, int32_t own, int n, double *dx, double *dy, double *dz, double *r2,
    int32_t *e, double *acc, double *axial, double *held)
{
    for (int p = n; p < ((n + 7) & ~7); p++) {
        dx[p] = dy[p] = dz[p] = 0.0;
        r2[p] = 1.0;
        e[p] = -1;
    }
    if (acc)
        spread_pairs(s, n, dx, dy, dz, r2, e, acc, axial);
    if (held)
        pull_pairs(k, own, n, dx, dy, dz, r2, e, held);
}

/* Adds the pairs of the atom at ``self`` with those at the places from[k] .. to[k] - 1.
   acc, axial : of ``spread_pairs``, or NULL.  held : of ``pull_pairs``, or NULL. */
MGML_CLONES static void add_pairs_plain(
    const PairAtoms *a, const PairSplines *s, const Springs *k, int64_t self, int n_rows, const int64_t *from,
    const int64_t *to, double *acc, double *axial, double *held)
{
    double dx[PAIRS_AT_ONCE], dy[PAIRS_AT_ONCE], dz[PAIRS_AT_ONCE], r2[PAIRS_AT_ONCE];
    int32_t e[PAIRS_AT_ONCE];
    const double x = a->x[self], y = a->y[self], z = a->z[self], most = a->reach * a->reach;
    const int32_t own = a->element[self];
    int n = 0;
    for (int q = 0; q < n_rows; q++) {
        for (int64_t at = from[q]; at < to[q]; at++) {
            if (n > PAIRS_AT_ONCE - 9) {
                sum_pairs(s, k, own, n, dx, dy, dz, r2, e, acc, axial, held);
                n = 0;
            }
            dx[n] = a->x[at] - x;
            dy[n] = a->y[at] - y;
            dz[n] = a->z[at] - z;
            r2[n] = dx[n] * dx[n] + dy[n] * dy[n] + dz[n] * dz[n];
            e[n] = a->element[at];
            n += (r2[n] < most) & (at != self);        /* always written, kept if near */
        }
    }
    sum_pairs(s, k, own, n, dx, dy, dz, r2, e, acc, axial, held);
}

#ifdef MGML_HAS_CLONES
#include "pair_sums_avx512.h"
#endif

/* wide : with AVX-512 where the processor has it. */
static void add_pairs(const PairAtoms *a, const PairSplines *s, const Springs *k, int64_t self, int n_rows,
                      const int64_t *from, const int64_t *to, double *acc, double *axial, double *held, int wide)
{
#ifdef MGML_HAS_CLONES
    if (wide && __builtin_cpu_supports("x86-64-v4")) {
        add_pairs_avx512(a, s, k, self, n_rows, from, to, acc, axial, held);
        return;
    }
#endif
    add_pairs_plain(a, s, k, self, n_rows, from, to, acc, axial, held);
}
#endif
