"""Softness and D2min in OVITO: a modifier for its pipelines, and pictures of a dump.

The only part that imports the package ``ovito``.
"""
