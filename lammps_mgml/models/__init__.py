"""Softness models: data, checked before use, and their scorers."""
