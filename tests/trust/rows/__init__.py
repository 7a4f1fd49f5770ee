"""The rows, by what they are about; importing this package fills ``table.ROWS``."""
from . import families, faults, history, long_runs, orders, outside, ranks, shapes  # noqa: F401
