"""Options of a deck: LAMMPS variables whose names begin with mgml_."""
import ctypes
from dataclasses import dataclass, fields

from ..errors import OptionError
from ..plasticity.d2min import CUTOFF

# Set by the include file and the plugin, not by users.
INTERNAL = ("mgml_plugin", "mgml_first")


@dataclass(frozen=True)
class Options:
    """Each field is the deck variable ``mgml_<name>``.

    model : a shipped model's name, a model file's path, or none (features and D2min only)
    elements : symbols of the LAMMPS types 1, 2, ... (NULL: not the model's), if masses do not tell
    d2_cutoff : neighbours in the reference that enter D2min, A
    running : yes or no, the running softness d_s (no: the columns cost much less)
    reference : restart (go on with the reference that came with a restart file, if one did) or
        now (the structure at the first evaluation of this deck)
    load : axis and sense, as "z compression", for models and features that go by the load
    columns : per-atom columns of the present structure's features, each d_<feature>
    features : sets or names of features whose matrix every evaluation adds to a file
    features_file : that HDF5 file
    """

    model: str = "cuzr"
    elements: str = ""
    d2_cutoff: float = CUTOFF
    running: bool = True
    reference: str = "restart"
    load: str = ""
    columns: str = ""
    features: str = ""
    features_file: str = "mgml_features.h5"


def read_options(lmp):
    """Options of the deck that ``lmp`` runs.  OptionError names the variable and what it may be."""
    known = {f"mgml_{f.name}": f for f in fields(Options)}
    given = {}
    for name in variable_names(lmp):
        if not name.startswith("mgml_") or name in INTERNAL:
            continue
        if name not in known:
            raise OptionError(f"variable {name} is no option of lammps_mgml; options: "
                              f"{', '.join(sorted(known))}")
        given[known[name].name] = _value(name, known[name].type, string_variable(lmp, name))
    options = Options(**given)
    if options.reference not in ("restart", "now"):
        raise OptionError(f"variable mgml_reference is {options.reference!r}: restart or now")
    if options.model == "none" and not options.elements:
        raise OptionError("with mgml_model none, say which type is what: variable mgml_elements "
                          "string \"Cu Zr\"")
    return options


def _value(name, kind, text):
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
        if not 0.0 < number < 100.0:
            raise OptionError(f"variable {name} is {text!r}: a length in A")
        return number
    return text


def variable_names(lmp):
    count, name_of = lmp.lib.lammps_id_count, lmp.lib.lammps_id_name
    buffer = ctypes.create_string_buffer(256)
    names = []
    for k in range(count(ctypes.c_void_p(address_of(lmp)), b"variable")):
        name_of(ctypes.c_void_p(address_of(lmp)), b"variable", k, buffer, 256)
        names.append(buffer.value.decode())
    return names


def string_variable(lmp, name):
    """Text of a string-like variable, None for other styles.

    LAMMPS of 2021 owns the string it returns, but its Python module frees it: so by ctypes.
    """
    extract = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p, ctypes.c_char_p,
                                ctypes.c_char_p)(("lammps_extract_variable", lmp.lib))
    if hasattr(lmp.lib, "lammps_extract_variable_datatype"):
        kind = lmp.lib.lammps_extract_variable_datatype(ctypes.c_void_p(address_of(lmp)),
                                                        name.encode())
        if kind != 3:                        # LMP_VAR_STRING
            return None
    text = extract(address_of(lmp), name.encode(), None)
    return None if text is None else text.decode()


def address_of(lmp):
    return lmp.lmp.value if isinstance(lmp.lmp, ctypes.c_void_p) else int(lmp.lmp)
