"""Threads that the kernels of one rank may use."""
import os

_number: int | None = None


def use_threads(n: int) -> None:
    """Let every kernel of this process run on ``n`` threads; results do not depend on it."""
    global _number
    _number = max(1, int(n))


def threads() -> int:
    """As told by ``use_threads`` (in a run LAMMPS' own number), else OMP_NUM_THREADS, else 1."""
    if _number is None:
        first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
        use_threads(int(first) if first.isdigit() else 1)
    assert _number is not None
    return _number
