"""How many ranks a launcher (mpirun, mpiexec, srun, jsrun, flux ...) has started of this program."""
from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from ..errors import MgmlError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

# Their sizes; of a launcher that speaks PMIx only, the rank alone is told.
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "PALS_NRANKS", "FLUX_JOB_SIZE",
         "JSM_NAMESPACE_SIZE", "SLURM_STEP_NUM_TASKS")
RANKS = ("PMIX_RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "PALS_RANKID", "FLUX_TASK_RANK",
         "JSM_NAMESPACE_RANK")


def ranks_told(environ: Mapping[str, str] = os.environ) -> tuple[int, str]:
    """(ranks, variable that tells it): at least so many were started; 0 without any launcher.

    A rank number alone tells that a launcher is there: (rank + 1, its variable).
    SLURM_NTASKS is of the step only within one (SLURM_STEP_ID); in a batch script it is what the
    job may start.
    """
    told = [(_number(environ.get(name)), name) for name in SIZES]
    told += [(_number(environ.get(name), 1), name) for name in RANKS]
    if "SLURM_STEP_ID" in environ and "SLURM_STEP_NUM_TASKS" not in environ:
        told.append((_number(environ.get("SLURM_NTASKS")), "SLURM_NTASKS"))
    return max(told, key=lambda one: one[0])


def _number(text: str | None, more: int = 0) -> int:
    return int(text) + more if text is not None and text.strip().isdigit() else 0


def has_launcher(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether MPI must be asked: several ranks were started, or a number unknown."""
    ranks, name = ranks_told(environ)
    return ranks > 1 or (ranks == 1 and name in RANKS and not any(
        _number(environ.get(size)) for size in SIZES))


def world_size(environ: Mapping[str, str] = os.environ) -> int:
    """Ranks of this program; 1 without a launcher.  Initialises MPI under one.

    Raises
    ------
    MgmlError : the launcher has started more ranks than MPI knows of, each of which would do the
        whole work; or mpi4py is missing.
    """
    if not has_launcher(environ):
        return 1
    ranks, name = ranks_told(environ)
    try:
        MPI = _library()
    except (ImportError, RuntimeError) as e:
        if ranks == 1:
            return 1
        raise MgmlError(f"{ranks} ranks were started ({name}), which needs mpi4py and the MPI that "
                        f"it was built with ({e}): install it, or start one rank with -j {ranks}"
                        ) from None
    library = MPI.Get_library_version().splitlines()[0].strip()[:60]
    # an MPI that does not speak PMIx may abort when it starts under Open MPI's launcher
    foreign = "OMPI_COMM_WORLD_SIZE" in environ and "Open MPI" not in library and ranks > 1
    if not foreign and not MPI.Is_initialized():
        MPI.Init_thread(MPI.THREAD_MULTIPLE)
    size = 1 if foreign else MPI.COMM_WORLD.size
    if size == 1 < ranks:
        raise MgmlError(f"the launcher started {ranks} ranks ({name}={environ.get(name)}), MPI knows "
                        f"of 1, so that each would do the whole work: use the launcher of mpi4py's "
                        f"MPI ({library}), for srun perhaps another --mpi=..., or start one rank "
                        f"with -j {ranks}")
    return size


def interrupted(verb: str | None) -> int:
    """Say so in one line, end all ranks if there are several, and return the exit status, 130."""
    from .. import progress

    world = _world()
    progress.end()
    if world is None or world.rank == 0:
        print(f"mgml {verb}: interrupted", file=sys.stderr, flush=True)
    if world is not None:
        time.sleep(0 if world.rank == 0 else 2)        # the first one says it before all end
        world.Abort(130)
    return 130


def _world() -> Any:
    """MPI's world if MPI runs and there are several ranks, else None."""
    MPI = sys.modules.get("mpi4py.MPI")
    if MPI is None or not MPI.Is_initialized() or MPI.Is_finalized() or MPI.COMM_WORLD.size == 1:
        return None
    return MPI.COMM_WORLD


def _library() -> ModuleType:
    """mpi4py's MPI, loaded but not started."""
    import mpi4py

    mpi4py.rc.initialize, mpi4py.rc.finalize = False, True
    from mpi4py import MPI

    return MPI
