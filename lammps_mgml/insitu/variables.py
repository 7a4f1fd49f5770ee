"""LAMMPS' variables, read through its C library."""
import ctypes
from typing import Any


def address_of(lmp: Any) -> int:
    return lmp.lmp.value or 0 if isinstance(lmp.lmp, ctypes.c_void_p) else int(lmp.lmp)


def variable_names(lmp: Any) -> list[str]:
    count, name_of = lmp.lib.lammps_id_count, lmp.lib.lammps_id_name
    buffer = ctypes.create_string_buffer(256)
    names = []
    for k in range(count(ctypes.c_void_p(address_of(lmp)), b"variable")):
        name_of(ctypes.c_void_p(address_of(lmp)), b"variable", k, buffer, 256)
        names.append(buffer.value.decode())
    return names


def string_variable(lmp: Any, name: str) -> str | None:
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
