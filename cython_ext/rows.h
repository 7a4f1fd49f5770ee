/* Sums of rows of tables. */
#ifndef MGML_ROWS_H
#define MGML_ROWS_H
#include <stdint.h>

#include "clones.h"

typedef double MgmlFour __attribute__((vector_size(32), aligned(8), may_alias));

/* sum (width,) += n rows of ``values``, in turn.  Some columns at a time, which stay in registers. */
MGML_CLONES static void add_rows_of(const double *restrict values, int64_t width, const int32_t *restrict row,
                                    int64_t n, double *restrict sum)
{
    int64_t k = 0;
    for (; k + 16 <= width; k += 16) {
        MgmlFour *to = (MgmlFour *)(sum + k), a = to[0], b = to[1], c = to[2], d = to[3];
        for (int64_t s = 0; s < n; s++) {
            const MgmlFour *from = (const MgmlFour *)(values + width * row[s] + k);
            a += from[0];
            b += from[1];
            c += from[2];
            d += from[3];
        }
        to[0] = a;
        to[1] = b;
        to[2] = c;
        to[3] = d;
    }
    for (; k + 4 <= width; k += 4) {
        MgmlFour *to = (MgmlFour *)(sum + k), a = to[0];
        for (int64_t s = 0; s < n; s++)
            a += *(const MgmlFour *)(values + width * row[s] + k);
        to[0] = a;
    }
    for (; k < width; k++) {
        double a = sum[k];
        for (int64_t s = 0; s < n; s++)
            a += values[width * row[s] + k];
        sum[k] = a;
    }
}
#endif
