/* Trees of two levels, many rows at a time: no branches, so that the compiler uses vector lanes. */
#ifndef MGML_SHALLOW_TREES_H
#define MGML_SHALLOW_TREES_H
#include <stdint.h>

#include "clones.h"

#define SHALLOW_ROWS 64

/* total[r] += leaf of each tree, in their order.  x : (n_features, SHALLOW_ROWS); feature, threshold :
   (n_trees, 3) root, left child, right child; leaf : (n_trees, 4) from left to right. */
MGML_CLONES static void add_shallow_trees(const double *x, const int32_t *feature,
                                          const double *threshold, const double *leaf, int n_trees,
                                          double *total)
{
    for (int t = 0; t < n_trees; t++, feature += 3, threshold += 3, leaf += 4) {
        const double *root = x + (int64_t)feature[0] * SHALLOW_ROWS;
        const double *left = x + (int64_t)feature[1] * SHALLOW_ROWS;
        const double *right = x + (int64_t)feature[2] * SHALLOW_ROWS;
        const double t0 = threshold[0], t1 = threshold[1], t2 = threshold[2];
        const double a = leaf[0], b = leaf[1], c = leaf[2], d = leaf[3];
        for (int r = 0; r < SHALLOW_ROWS; r++) {
            const double on_left = left[r] <= t1 ? a : b;
            const double on_right = right[r] <= t2 ? c : d;
            total[r] += root[r] <= t0 ? on_left : on_right;
        }
    }
}
#endif
