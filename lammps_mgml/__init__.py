"""Quench-in softness of metallic glasses, inside the running LAMMPS simulation."""
import sys
from importlib import import_module
from types import ModuleType
from typing import Any

__version__ = "0.2.0"

_PUBLIC = {"featurize": "api", "feature_names": "api", "SiteFeatures": "api", "softness": "api",
           "contributions": "api", "catalogue": "features", "d2min": "api",
           "load_model": "models.model",
           "read_table": "io.table", "MgmlError": "errors"}
__all__ = ["__version__", *_PUBLIC]


class _Package(ModuleType):
    """Importing a submodule does not put it in the place of a public name, as softness."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _PUBLIC and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
    globals()[name] = value
    return value
