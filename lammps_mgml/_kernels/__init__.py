"""Compiled kernels (sources in cython_ext/): arrays in, arrays out.

MGML_KERNELS=FOLDER takes them from another build, such as build/checked (see setup.py).
"""
import os
from pathlib import Path

if os.environ.get("MGML_KERNELS"):
    _other = Path(os.environ["MGML_KERNELS"]) / "lammps_mgml/_kernels"
    if not any(_other.glob("*.so")):
        raise ImportError(f"MGML_KERNELS: there are no compiled kernels in {_other}")
    __path__.insert(0, str(_other))
