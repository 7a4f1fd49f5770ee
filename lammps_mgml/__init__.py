"""Quench-in softness of metallic glasses, inside the running LAMMPS simulation."""
from importlib import import_module

__version__ = "0.1.0"

_PUBLIC = {"featurize": "api", "feature_names": "api", "SiteFeatures": "api", "softness": "api",
           "catalogue": "catalogue", "d2min": "plasticity.d2min",
           "load_model": "models.model",
           "read_table": "io.table", "MgmlError": "errors"}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
    globals()[name] = value
    return value
