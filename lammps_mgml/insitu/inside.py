"""What ``mgml doctor`` asks for from inside a running LAMMPS."""
from __future__ import annotations

import json
import os
import sys
from typing import Any

MARK = "lammps_mgml inside: "


def report(pointer: Any) -> None:
    """end_of_step callback of the doctor's deck: one line of JSON on each rank."""
    import mpi4py
    import numpy as np
    from mpi4py import MPI

    from .. import __version__
    from .adapter import Adapter, attach, mpi_libraries

    lmp = attach(pointer)
    adapter = Adapter(lmp)
    softness = adapter.column("d_sq")
    told = {
        "rank": MPI.COMM_WORLD.rank, "world": MPI.COMM_WORLD.size, "ranks": adapter.comm.size,
        "python": sys.version.split()[0], "prefix": sys.prefix, "numpy": np.__version__,
        "mpi4py": mpi4py.__version__, "lammps_mgml": __version__,
        "package": os.path.dirname(os.path.dirname(__file__)),
        "mpi": MPI.Get_library_version().splitlines()[0].strip(" \0"),
        "libraries": mpi_libraries(), "lammps": adapter.version(), "plugin": adapter.plugin,
        "kokkos": adapter.kokkos or (
            "not active" if "KOKKOS" in lmp.installed_packages else "no"),
        "threads": adapter.threads or 1, "atoms": len(softness),
        "scored": int(np.isfinite(softness).sum())}
    # one write: ranks share the terminal, where LAMMPS' own buffer may have ended within a line
    sys.stdout.write(f"\n{MARK}{json.dumps(told)}\n")
    sys.stdout.flush()
