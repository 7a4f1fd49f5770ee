"""The rows, by what they are about; importing this package fills ``table.ROWS``."""
from . import (  # noqa: F401
    families, faults, history, long_runs, orders, outside, ranks, shapes)
