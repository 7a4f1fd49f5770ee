# cython: language_level=3
"""Atoms are shared out to threads by the chunk; sums are made by chunk, so that their last bits do
not depend on the number of threads."""
from libc.stdint cimport int64_t

cdef enum:
    ATOMS_AT_ONCE = 512


cdef inline int64_t n_chunks(int64_t n) noexcept nogil:
    return (n + ATOMS_AT_ONCE - 1) // ATOMS_AT_ONCE
