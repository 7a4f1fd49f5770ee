"""Which module makes which figures of the study: one line each."""
from __future__ import annotations

# Module, and whether its ``figures`` takes the model: figures(runs, model, strain), or (runs, strain)
# of modules that make models of their own.
PARTS = (
    ("stages", True),
    ("transfer", False),
    ("explain", True),
)
