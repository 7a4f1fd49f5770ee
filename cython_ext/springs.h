/* Stiffness of the place of one atom: pairs pull with k u u + t 1, k and t cubic in the distance between even
   knots.  Passes without branches that the compiler turns into vector lanes; the sums are made in the order of
   the atoms, so that they do not depend on them. */
#ifndef MGML_SPRINGS_H
#define MGML_SPRINGS_H
#include <math.h>
#include <stdint.h>

#include "clones.h"

#define NEAR_AT_ONCE 32           /* near neighbours of an atom */
#define STIFF_FLOOR 0.1           /* of the mean eigenvalue: none counts as lower */

typedef struct {
    double first, spacing;        /* knot m begins at first + (m - 2) * spacing */
    int n_knots, n_elements;
    const double *pieces;         /* (n_elements, n_elements, n_knots, 8): k and t, powers 0 to 3 each */
} Springs;

/* Those of ``pieces``, of which there are ``size`` numbers. */
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

/* k and t from the eight coefficients c of a piece, u in it. */
static inline void cubics(const double *c, double u, double *k, double *t)
{
    *k = c[0] + u * (c[1] + u * (c[2] + u * c[3]));
    *t = c[4] + u * (c[5] + u * (c[6] + u * c[7]));
}

/* k over the square of the distance, and t, of an atom i with each of n neighbours: (n, 2).
   x : (n_all, 3).  type : 0 is unknown. */
MGML_CLONES static __attribute__((unused)) void springs_near(
    const Springs *s, const double *x, const int32_t *type, int64_t i, const int32_t *neighbour, int64_t n,
    double *pairs)
{
    double r2[NEAR_AT_ONCE], at[NEAR_AT_ONCE];
    for (int64_t begin = 0; begin < n; begin += NEAR_AT_ONCE, pairs += 2 * NEAR_AT_ONCE) {
        const int32_t *j = neighbour + begin;
        const int m = (int)(n - begin < NEAR_AT_ONCE ? n - begin : NEAR_AT_ONCE);
        for (int p = 0; p < m; p++) {
            const double dx = x[3 * (int64_t)j[p]] - x[3 * i], dy = x[3 * (int64_t)j[p] + 1] - x[3 * i + 1],
                         dz = x[3 * (int64_t)j[p] + 2] - x[3 * i + 2];
            r2[p] = dx * dx + dy * dy + dz * dz;
        }
        for (int p = 0; p < m; p++)
            at[p] = (sqrt(r2[p]) - s->first) / s->spacing + 2.0;
        for (int p = 0; p < m; p++) {
            const int holds = at[p] > 0.0 && at[p] < s->n_knots;
            const double in = holds ? at[p] : 0.0;
            const int32_t knot = (int32_t)in;
            const double u = in - knot;
            double k, t;
            cubics(s->pieces + 8 * (row_of_types(s, type[i], type[j[p]]) * s->n_knots + knot), u, &k, &t);
            pairs[2 * p] = holds ? k : 0.0;
            pairs[2 * p + 1] = holds ? t : 0.0;
        }
        for (int p = 0; p < m; p++)
            pairs[2 * p] /= r2[p];
    }
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

/* Whether all eigenvalues of M - least 1 are above 0. */
static inline int all_above(const double *m, double least)
{
    const double a = m[0] - least, b = m[1] - least, c = m[2] - least, f = m[3], g = m[4], h = m[5];
    return a > 0.0 && a * b - f * f > 0.0 && a * (b * c - h * h) + f * (g * h - f * c) + g * (f * h - b * g) > 0.0;
}

/* inverse (6) of a symmetric matrix; its lowest eigenvalue, which a multiple of 1 lifts to the floor before.
   lowest : or NULL, which costs less.
   Returns 0 if the mean eigenvalue is not above 0 or lost in rounding. */
static inline int invert(const double *m, double *lowest, double *inverse)
{
    const double mean = trace(m) / 3.0, least = STIFF_FLOOR * mean;
    if (!(mean > 0.0))
        return 0;
    double lift = 0.0;
    if (lowest || !all_above(m, least)) {
        const double w = lowest_eigenvalue(m);
        lift = w < least ? least - w : 0.0;
        if (lowest)
            *lowest = w + lift;
    }
    const double a = m[0] + lift, b = m[1] + lift, c = m[2] + lift, f = m[3], g = m[4], h = m[5];
    const double bc = b * c - h * h, fg = g * h - f * c, gh = f * h - b * g;
    const double det = a * bc + f * fg + g * gh;
    if (!(det > 0.0 && (!lowest || *lowest > 0.0)))          /* lost in rounding */
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

/* sum (6) += B X B of an atom i with each of n neighbours, B = k u u + t 1.
   pairs : (n, 2) of ``springs_near``.  X : (n_rows, 6), those of the neighbours in ``row``. */
MGML_CLONES static __attribute__((unused)) void add_gives(
    const double *x, int64_t i, const int32_t *neighbour, const int32_t *row, int64_t n, const double *pairs,
    const double *inverse, double *sum)
{
    double d[3][NEAR_AT_ONCE], k[NEAR_AT_ONCE], t[NEAR_AT_ONCE], in[6][NEAR_AT_ONCE], out[6][NEAR_AT_ONCE];
    for (int64_t begin = 0; begin < n; begin += NEAR_AT_ONCE) {
        const int m = (int)(n - begin < NEAR_AT_ONCE ? n - begin : NEAR_AT_ONCE);
        for (int p = 0; p < m; p++) {
            const double *at = x + 3 * (int64_t)neighbour[begin + p], *give = inverse + 6 * (int64_t)row[begin + p];
            for (int a = 0; a < 3; a++)
                d[a][p] = at[a] - x[3 * i + a];
            for (int a = 0; a < 6; a++)
                in[a][p] = give[a];
            k[p] = pairs[2 * (begin + p)];
            t[p] = pairs[2 * (begin + p) + 1];
        }
        for (int p = 0; p < m; p++) {
            const double dx = d[0][p], dy = d[1][p], dz = d[2][p];
            const double vx = in[0][p] * dx + in[3][p] * dy + in[4][p] * dz,
                         vy = in[3][p] * dx + in[1][p] * dy + in[5][p] * dz,
                         vz = in[4][p] * dx + in[5][p] * dy + in[2][p] * dz;
            const double uxu = k[p] * k[p] * (vx * dx + vy * dy + vz * dz), kt = k[p] * t[p], tt = t[p] * t[p];
            out[0][p] = uxu * dx * dx + 2.0 * kt * dx * vx + tt * in[0][p];
            out[1][p] = uxu * dy * dy + 2.0 * kt * dy * vy + tt * in[1][p];
            out[2][p] = uxu * dz * dz + 2.0 * kt * dz * vz + tt * in[2][p];
            out[3][p] = uxu * dx * dy + kt * (dx * vy + dy * vx) + tt * in[3][p];
            out[4][p] = uxu * dx * dz + kt * (dx * vz + dz * vx) + tt * in[4][p];
            out[5][p] = uxu * dy * dz + kt * (dy * vz + dz * vy) + tt * in[5][p];
        }
        for (int p = 0; p < m; p++)
            for (int a = 0; a < 6; a++)
                sum[a] += out[a][p];
    }
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
