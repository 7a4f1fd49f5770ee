/* Pairs of one atom spread over B-splines, in passes without branches that the compiler turns into
   vector lanes; the sums are made in the order of the atoms, so that they do not depend on them. */
#ifndef MGML_PAIR_SPLINES_H
#define MGML_PAIR_SPLINES_H
#include <math.h>
#include <stdint.h>

#include "clones.h"

#define PAIRS_AT_ONCE 128

typedef struct {
    const double *x, *y, *z;      /* positions in grid order */
    const int32_t *element;       /* 0, 1, ... in grid order; -1 has no density */
    double first, spacing;
    int n_splines;
    const double *load;           /* xx yy zz xy xz yz, or NULL */
} PairSplines;

/* acc : (n_elements + 1, SPLINE_SLOTS(n_splines)), element -1 first; twice that with a load.
   Three slots at either end of a row take what lies outside of the splines. */
#define SPLINE_SLOTS(n_splines) ((n_splines) + 6)

static inline __attribute__((always_inline)) void spread_pairs(
    const PairSplines *s, int n, double *dx, double *dy, double *dz, double *r2, int32_t *e,
    double *acc, double *axial)
{
    double w[4][PAIRS_AT_ONCE], along[PAIRS_AT_ONCE];
    int32_t slot[PAIRS_AT_ONCE];
    const int slots = SPLINE_SLOTS(s->n_splines), n_padded = (n + 7) & ~7;
    for (int p = n; p < n_padded; p++) {       /* so that the loops run in whole vectors */
        dx[p] = dy[p] = dz[p] = 0.0;
        r2[p] = 1.0;
        e[p] = -1;
    }
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

/* Adds the pairs of the atom at ``self`` with those at the places from[k] .. to[k] - 1. */
MGML_CLONES static void add_pairs_plain(const PairSplines *s, int64_t self, int n_rows,
                                        const int64_t *from, const int64_t *to, double *acc,
                                        double *axial)
{
    double dx[PAIRS_AT_ONCE], dy[PAIRS_AT_ONCE], dz[PAIRS_AT_ONCE], r2[PAIRS_AT_ONCE];
    int32_t e[PAIRS_AT_ONCE];
    const double x = s->x[self], y = s->y[self], z = s->z[self];
    const double reach = s->first + (s->n_splines + 1) * s->spacing, most = reach * reach;
    int n = 0;
    for (int k = 0; k < n_rows; k++) {
        for (int64_t at = from[k]; at < to[k]; at++) {
            if (n > PAIRS_AT_ONCE - 9) {
                spread_pairs(s, n, dx, dy, dz, r2, e, acc, axial);
                n = 0;
            }
            dx[n] = s->x[at] - x;
            dy[n] = s->y[at] - y;
            dz[n] = s->z[at] - z;
            r2[n] = dx[n] * dx[n] + dy[n] * dy[n] + dz[n] * dz[n];
            e[n] = s->element[at];
            n += (r2[n] < most) & (at != self);        /* always written, kept if near */
        }
    }
    spread_pairs(s, n, dx, dy, dz, r2, e, acc, axial);
}

#ifdef MGML_HAS_CLONES
#include "pair_splines_avx512.h"
#endif

/* wide : with AVX-512 where the processor has it. */
static void add_pairs(const PairSplines *s, int64_t self, int n_rows, const int64_t *from,
                      const int64_t *to, double *acc, double *axial, int wide)
{
#ifdef MGML_HAS_CLONES
    if (wide && __builtin_cpu_supports("x86-64-v4")) {
        add_pairs_avx512(s, self, n_rows, from, to, acc, axial);
        return;
    }
#endif
    add_pairs_plain(s, self, n_rows, from, to, acc, axial);
}
#endif
