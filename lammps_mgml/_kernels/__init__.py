"""Compiled kernels (sources in cython_ext/): arrays in, arrays out."""
