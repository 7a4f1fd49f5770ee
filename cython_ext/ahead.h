/* Lists that are read in turn, a few entries for each atom: what comes is asked for before it is needed. */
#ifndef MGML_AHEAD_H
#define MGML_AHEAD_H
#include <stdint.h>

#define MGML_AHEAD 1024                /* bytes */

/* The ``bytes`` at ``p`` are read now: those as long, MGML_AHEAD further on, soon.  Any address will do. */
static inline void ask_ahead(const void *p, int64_t bytes)
{
#ifdef __GNUC__
    for (int64_t k = 0; k < bytes; k += 64)
        __builtin_prefetch((const char *)p + MGML_AHEAD + k);
#endif
}
#endif
