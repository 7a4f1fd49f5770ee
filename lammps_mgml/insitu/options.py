"""Options of a deck: LAMMPS variables whose names begin with mgml_."""
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from ..errors import ModelError, OptionError
from ..evaluation.live import QUANTITIES
from ..system.lengths import STYLES, Lengths, kind_of, scale_of
from .variables import string_variable, variable_names

# Set by the include file and the plugin, not by users.
INTERNAL = ("mgml_plugin", "mgml_came", "mgml_inside", "mgml_watched_inside", "mgml_force",
            "mgml_kind", "mgml_kokkos", "mgml_evaluate",
            *(f"mgml_{q.name}{end}" for q in QUANTITIES for end in ("", "_text")))

# A, cutoffs for which D2min means something: less holds no neighbours, more holds far ones.  For
# Cu-Zr; other glasses scale them.
LEAST_CUTOFF, MOST_CUTOFF = 2.0, 8.0


@dataclass(frozen=True)
class Options:
    """Each field is the deck variable ``mgml_<name>``.

    model : a shipped model's name, a model file's path, or none (features and D2min only)
    elements : symbols of the LAMMPS types 1, 2, ... (NULL: not the model's), if masses do not tell
    d2_cutoff : neighbours in the reference that enter D2min, in the deck's units; 0 for the model's,
        or for Cu-Zr's scaled by ``nearest``
    nearest : with model none, the mean distance to the nearest neighbour in the glass, in the deck's
        units, by which all lengths are scaled; 0 for Cu-Zr's
    running : yes or no, the running softness d_s (no: the columns cost much less)
    reference : restart (go on with the reference that came with a restart file, if one did) or
        now (the structure at the first evaluation of this deck)
    load : as "z compression" or "xy shear", for models and features that go by the load
    columns : per-atom columns of the present structure's features, each d_<feature>
    features : sets or names of features whose matrix every evaluation adds to a file
    features_file : that HDF5 file
    """

    model: str = "cuzr"
    elements: str = ""
    d2_cutoff: float = 0.0
    nearest: float = 0.0
    running: bool = True
    reference: str = "restart"
    load: str = ""
    columns: str = ""
    features: str = ""
    features_file: str = "mgml_features.h5"


def read_options(lmp: Any) -> Options:
    """Options of the deck that ``lmp`` runs.  OptionError names the variable and what it may be."""
    known = {f"mgml_{f.name}": f for f in fields(Options)}
    given: dict[str, Any] = {}
    for name in variable_names(lmp):
        if not name.startswith("mgml_") or name in INTERNAL:
            _may_be_meant(name, known)
            continue
        if name not in known:
            raise OptionError(f"variable {name} is no option of lammps_mgml; options: "
                              f"{', '.join(sorted(known))}")
        given[known[name].name] = _value(name, known[name].type, string_variable(lmp, name))
    options = Options(**given)
    if "," in options.elements:
        raise OptionError(f"variable mgml_elements is {options.elements!r}: separate by spaces, e.g. "
                          f"\"Cu Zr\"")
    if options.reference not in ("restart", "now"):
        raise OptionError(f"variable mgml_reference is {options.reference!r}: restart or now")
    if options.model == "none" and not options.elements:
        raise OptionError("with mgml_model none, say which type is what: variable mgml_elements "
                          "string \"Cu Zr\"")
    return options


def lengths_of(options: Options, units: str, of_model: Lengths | None) -> Lengths:
    """Lengths of a run in a deck of ``units``, in A (lj: sigma).

    of_model : those of its model, None without one.

    Raises
    ------
    InputError : no unit style of LAMMPS.
    ModelError : the model's lengths are in units that the deck's cannot be turned into.
    OptionError : a length is told that the model brings, one is missing, or out of its range.
    """
    kind, style = kind_of(units), STYLES[units]
    if of_model is not None:
        if of_model.units != kind:
            raise ModelError(
                f"units {units}: model {options.model} is for lengths in {of_model.unit} (units "
                f"{'lj' if of_model.units == 'lj' else 'metal, real, si, ...'}): choose a model of "
                f"this system, trained in its units")
        if options.nearest:
            raise OptionError(f"variable mgml_nearest: model {options.model} brings its own "
                              f"({of_model.nearest:g} {of_model.unit}): leave it out")
        lengths = of_model
    elif options.nearest:
        lengths = Lengths.scaled(options.nearest * style.length, units)
    elif kind == "lj":
        raise OptionError(
            "units lj: with mgml_model none, tell the mean distance to the nearest neighbour in the "
            "glass, by which cutoffs and shells are scaled, e.g.  variable mgml_nearest string 0.95")
    else:
        lengths = Lengths()
    if not options.d2_cutoff:
        return lengths
    cutoff, scale = options.d2_cutoff * style.length, scale_of(lengths.nearest)
    least, most = (x if lengths.nearest == Lengths.nearest else x * scale
                   for x in (LEAST_CUTOFF, MOST_CUTOFF))
    if not least <= cutoff <= most:
        raise OptionError(f"variable mgml_d2_cutoff is '{options.d2_cutoff:g}': a length in "
                          f"{style.name}, from {least / style.length:g} to {most / style.length:g}")
    return replace(lengths, d2_cutoff=cutoff)


def _may_be_meant(name: str, known: Iterable[str]) -> None:
    """OptionError for a variable that looks like a misspelt option, such as mgmlmodel."""
    from difflib import get_close_matches

    if name in INTERNAL or name == "mgml" or not name.lower().startswith("mgml"):
        return
    near = get_close_matches(name.lower(), known, 1, 0.8)
    if near:
        raise OptionError(f"variable {name}: is {near[0]} meant? Give it that name, or another that "
                          f"does not begin with mgml")


def _value(name: str, kind: Any, text: str | None) -> str | bool | float:
    if text is None:
        raise OptionError(f"variable {name} must be of style string or index")
    if kind in (bool, "bool"):
        if text not in ("yes", "no"):
            raise OptionError(f"variable {name} is {text!r}: yes or no")
        return text == "yes"
    if kind in (float, "float"):
        try:
            number = float(text)
        except ValueError:
            number = 0.0
        if not 0.0 < number < math.inf:
            raise OptionError(f"variable {name} is {text!r}: a length above 0, in the deck's units")
        return number
    return text
