"""The figures of the paper from runs: ``mgml study``."""
