/* Stiffness of the place of one atom: pairs pull with k u u + t 1, k and t cubic in the distance between even
   knots.  Passes without branches that the compiler turns into vector lanes; the sums are made in the order of
   the atoms, so that they do not depend on them. */
#ifndef MGML_STIFFNESS_H
#define MGML_STIFFNESS_H
#include <math.h>
#include <stdint.h>

#include "clones.h"

#define STIFF_AT_ONCE 128
#define ROW_AT_ONCE 32            /* atoms of one row of the grid */
#define STIFF_FLOOR 0.1           /* of the mean eigenvalue: none counts as lower */

typedef struct {
    const double *x, *y, *z;      /* positions in grid order */
    const int32_t *element;       /* 0, 1, ... in grid order */
    double first, spacing;        /* knot m begins at first + (m - 2) * spacing */
    int n_knots, n_elements;
    const double *pieces;         /* (n_elements, n_elements, n_knots, 8): k and t, powers 0 to 3 each */
} Springs;

/* Those of ``pieces``, of which there are ``size`` numbers; without a grid. */
static inline Springs springs_of(const double *pieces, int64_t size, int n_elements, double first, double spacing)
{
    const Springs s = {.first = first, .spacing = spacing, .n_elements = n_elements, .pieces = pieces,
                       .n_knots = (int)(size / (8 * n_elements * n_elements))};
    return s;
}

/* Row of ``pieces`` of an atom of type a with one of type b; 0 is the last element, that of unknown types. */
static inline int64_t row_of_types(const Springs *s, int32_t a, int32_t b)
{
    return (int64_t)((a ? a : s->n_elements) - 1) * s->n_elements + (b ? b : s->n_elements) - 1;
}

/* k and t of a pair r apart.  row : of the two elements. */
static inline void spring(const Springs *s, int64_t row, double r, double *k, double *t)
{
    const double at = (r - s->first) / s->spacing + 2.0;
    if (!(at > 0.0 && at < s->n_knots)) {
        *k = *t = 0.0;
        return;
    }
    const int32_t knot = (int32_t)at;
    const double u = at - knot, *c = s->pieces + 8 * (row * s->n_knots + knot);
    *k = c[0] + u * (c[1] + u * (c[2] + u * c[3]));
    *t = c[4] + u * (c[5] + u * (c[6] + u * c[7]));
}

static inline __attribute__((always_inline)) void pull_pairs(
    const Springs *s, int64_t self, int n, const int32_t *place, const double *r2, double *sum)
{
    double at[STIFF_AT_ONCE], k[STIFF_AT_ONCE], t[STIFF_AT_ONCE];
    const double x = s->x[self], y = s->y[self], z = s->z[self], first = s->first, spacing = s->spacing;
    const int64_t own = (int64_t)s->element[self] * s->n_elements;
    const double end = s->n_knots * (1.0 - 0x1p-52);
    for (int p = 0; p < n; p++) {
        const double m = (sqrt(r2[p]) - first) / spacing + 2.0, from = m > 0.0 ? m : 0.0;
        at[p] = from < end ? from : end;        /* both are 0 at either end */
    }
    for (int p = 0; p < n; p++) {
        const int32_t knot = (int32_t)at[p];
        const double u = at[p] - knot;
        const double *c = s->pieces + 8 * ((own + s->element[place[p]]) * s->n_knots + knot);
        k[p] = c[0] + u * (c[1] + u * (c[2] + u * c[3]));
        t[p] = c[4] + u * (c[5] + u * (c[6] + u * c[7]));
    }
    for (int p = 0; p < n; p++)
        k[p] /= r2[p];
    for (int p = 0; p < n; p++) {
        const double dx = s->x[place[p]] - x, dy = s->y[place[p]] - y, dz = s->z[place[p]] - z;
        sum[0] += k[p] * dx * dx + t[p];
        sum[1] += k[p] * dy * dy + t[p];
        sum[2] += k[p] * dz * dz + t[p];
        sum[3] += k[p] * dx * dy;
        sum[4] += k[p] * dx * dz;
        sum[5] += k[p] * dy * dz;
    }
}

/* Adds the pairs of the atom at ``self`` with those at the places from[k] .. to[k] - 1 to sum (6):
   xx yy zz xy xz yz. */
MGML_CLONES static __attribute__((unused)) void add_springs(const Springs *s, int64_t self, int n_rows,
                                                            const int64_t *from, const int64_t *to, double *sum)
{
    double all[ROW_AT_ONCE], r2[STIFF_AT_ONCE];
    int32_t place[STIFF_AT_ONCE];
    const double x = s->x[self], y = s->y[self], z = s->z[self];
    const double reach = s->first + (s->n_knots - 2) * s->spacing, most = reach * reach;
    int n = 0;
    for (int q = 0; q < n_rows; q++) {
        for (int64_t begin = from[q]; begin < to[q]; begin += ROW_AT_ONCE) {
            const int m = (int)(to[q] - begin < ROW_AT_ONCE ? to[q] - begin : ROW_AT_ONCE);
            if (n + m >= STIFF_AT_ONCE) {
                pull_pairs(s, self, n, place, r2, sum);
                n = 0;
            }
            for (int p = 0; p < m; p++) {
                const double dx = s->x[begin + p] - x, dy = s->y[begin + p] - y, dz = s->z[begin + p] - z;
                all[p] = dx * dx + dy * dy + dz * dz;
            }
            for (int p = 0; p < m; p++) {       /* always written, kept if near */
                place[n] = (int32_t)(begin + p);
                r2[n] = all[p];
                n += (all[p] < most) & (begin + p != self);
            }
        }
    }
    pull_pairs(s, self, n, place, r2, sum);
}

/* out = M v, M symmetric. */
static inline void times_symmetric(const double *m, const double *v, double *out)
{
    out[0] = m[0] * v[0] + m[3] * v[1] + m[4] * v[2];
    out[1] = m[3] * v[0] + m[1] * v[1] + m[5] * v[2];
    out[2] = m[4] * v[0] + m[5] * v[1] + m[2] * v[2];
}

static inline double trace(const double *m) { return m[0] + m[1] + m[2]; }

/* E : M / trace M of symmetric matrices. */
static inline double along(const double *m, const double *e)
{
    return (m[0] * e[0] + m[1] * e[1] + m[2] * e[2]
            + 2.0 * (m[3] * e[3] + m[4] * e[4] + m[5] * e[5])) / trace(m);
}

/* Lowest eigenvalue of a symmetric matrix (O. K. Smith, Commun. ACM 4, 168, 1961). */
static inline double lowest_eigenvalue(const double *m)
{
    const double mean = trace(m) / 3.0, off = m[3] * m[3] + m[4] * m[4] + m[5] * m[5];
    const double a = m[0] - mean, b = m[1] - mean, c = m[2] - mean;
    const double p = sqrt((a * a + b * b + c * c + 2.0 * off) / 6.0);
    if (p == 0.0)
        return mean;
    double r = (a * (b * c - m[5] * m[5]) - m[3] * (m[3] * c - m[5] * m[4])
                + m[4] * (m[3] * m[5] - b * m[4])) / (2.0 * p * p * p);
    r = r < -1.0 ? -1.0 : r > 1.0 ? 1.0 : r;
    return mean + 2.0 * p * cos((acos(r) + 6.283185307179586) / 3.0);
}

/* inverse (6) of a symmetric matrix; its lowest eigenvalue, which a multiple of 1 lifts to the floor before.
   Returns 0 if the mean eigenvalue is not above 0 or lost in rounding. */
static inline int invert(const double *m, double *lowest, double *inverse)
{
    const double mean = trace(m) / 3.0, least = STIFF_FLOOR * mean;
    if (!(mean > 0.0))
        return 0;
    const double w = lowest_eigenvalue(m), lift = w < least ? least - w : 0.0;
    const double a = m[0] + lift, b = m[1] + lift, c = m[2] + lift, f = m[3], g = m[4], h = m[5];
    const double bc = b * c - h * h, fg = g * h - f * c, gh = f * h - b * g;
    const double det = a * bc + f * fg + g * gh;
    *lowest = w + lift;
    if (!(det > 0.0 && *lowest > 0.0))          /* lost in rounding */
        return 0;
    const double one = 1.0 / det;
    inverse[0] = one * bc;
    inverse[1] = one * (a * c - g * g);
    inverse[2] = one * (a * b - f * f);
    inverse[3] = one * fg;
    inverse[4] = one * gh;
    inverse[5] = one * (f * g - a * h);
    return 1;
}

/* sum += B X B, B = k u u + t 1, d the vector along u. */
static inline void add_give(double k, double t, const double *d, double r2, const double *x, double *sum)
{
    const double kk = k / r2;
    double v[3];
    times_symmetric(x, d, v);
    const double vx = v[0], vy = v[1], vz = v[2];
    const double uxu = kk * kk * (vx * d[0] + vy * d[1] + vz * d[2]), kt = kk * t, tt = t * t;
    sum[0] += uxu * d[0] * d[0] + 2.0 * kt * d[0] * vx + tt * x[0];
    sum[1] += uxu * d[1] * d[1] + 2.0 * kt * d[1] * vy + tt * x[1];
    sum[2] += uxu * d[2] * d[2] + 2.0 * kt * d[2] * vz + tt * x[2];
    sum[3] += uxu * d[0] * d[1] + kt * (d[0] * vy + d[1] * vx) + tt * x[3];
    sum[4] += uxu * d[0] * d[2] + kt * (d[0] * vz + d[2] * vx) + tt * x[4];
    sum[5] += uxu * d[1] * d[2] + kt * (d[1] * vz + d[2] * vy) + tt * x[5];
}

/* out = A S A of symmetric matrices. */
static inline void between(const double *a, const double *s, double *out)
{
    double b[9];                                   /* S A */
    const double sx[3] = {s[0], s[3], s[4]}, sy[3] = {s[3], s[1], s[5]}, sz[3] = {s[4], s[5], s[2]};
    const double ax[3] = {a[0], a[3], a[4]}, ay[3] = {a[3], a[1], a[5]}, az[3] = {a[4], a[5], a[2]};
    const double *rows[3] = {sx, sy, sz}, *columns[3] = {ax, ay, az};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            b[3 * i + j] = rows[i][0] * columns[j][0] + rows[i][1] * columns[j][1] + rows[i][2] * columns[j][2];
    out[0] = ax[0] * b[0] + ax[1] * b[3] + ax[2] * b[6];
    out[1] = ay[0] * b[1] + ay[1] * b[4] + ay[2] * b[7];
    out[2] = az[0] * b[2] + az[1] * b[5] + az[2] * b[8];
    out[3] = ax[0] * b[1] + ax[1] * b[4] + ax[2] * b[7];
    out[4] = ax[0] * b[2] + ax[1] * b[5] + ax[2] * b[8];
    out[5] = ay[0] * b[2] + ay[1] * b[5] + ay[2] * b[8];
}
#endif
