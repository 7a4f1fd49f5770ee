/* Functions marked MGML_CLONES are compiled for several instruction sets; the loader takes the best
   that the processor has.  Without contraction all give the same bits. */
#ifndef MGML_CLONES_H
#define MGML_CLONES_H
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(MGML_NO_CLONES)
#define MGML_HAS_CLONES
#define MGML_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MGML_CLONES
#endif
#endif
