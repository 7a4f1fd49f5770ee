"""Checks of what a model file holds.  Each returns the value, or raises a ModelError that names the
entry, what is allowed there and what was found."""
from __future__ import annotations

import math
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..errors import ModelError
from ..system.arrays import Floats

# Bounds of a whole file.  The largest shipped one has 0.25 MB, 600 objects and lists, 2500 values.
MAX_BYTES = 8 << 20
MAX_CONTAINERS = 50_000
MAX_VALUES = 500_000
MAX_DEPTH = 20
MAX_TEXT = 200                 # characters of a name, a feature, a word of the card
LARGEST = 1e12                 # of weights, leaves and margins: sums of them stay finite
_WHOLE = 53                    # bits of a whole number that a double holds

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 40
_short.maxlevel = 1
_short.maxdict = _short.maxlist = _short.maxtuple = 3


def shown(value: Any) -> str:
    """``value`` in a message: one short line, whatever it is."""
    return ascii(_short.repr(value))[1:-1] if not isinstance(value, str) else (
        ascii(value[:40]) + ("..." if len(value) > 40 else ""))


def kind_of(value: Any) -> str:
    """What JSON calls ``value``."""
    return {dict: "an object", list: "a list", tuple: "a list", str: "a text", bool: "true or false",
            type(None): "null"}.get(type(value), "a number")


def entry(card: dict[str, Any], key: str, within: str = "") -> Any:
    """``card[key]``; ModelError if it is missing."""
    if key not in card:
        raise ModelError(f"{within}{key} is missing")
    return card[key]


def an_object(value: Any, what: str) -> dict[str, Any]:
    """``value``; ModelError if it is no JSON object."""
    if not isinstance(value, dict):
        raise ModelError(f"{what} must be an object, not {kind_of(value)}")
    return value


def a_list(value: Any, what: str, most: int) -> Sequence[Any]:
    """``value``; ModelError if it is no list of at most ``most`` entries."""
    if not isinstance(value, (list, tuple)):
        raise ModelError(f"{what} must be a list, not {kind_of(value)}")
    if len(value) > most:
        raise ModelError(f"{what} must have at most {most} entries, not {len(value)}")
    return value


def a_text(value: Any, what: str, most: int = MAX_TEXT) -> str:
    """``value``; ModelError if it is no printable text of 1 to ``most`` characters."""
    if not isinstance(value, str):
        raise ModelError(f"{what} must be a text, not {kind_of(value)}")
    if not (0 < len(value) <= most and value.isprintable()):
        raise ModelError(f"{what} must be 1 to {most} printable characters, not {shown(value)}")
    return value


def texts(value: Any, what: str, most: int) -> tuple[str, ...]:
    """Tuple of the texts of a list; ModelError if one is not."""
    return tuple(a_text(v, f"{what}[{k}]") for k, v in enumerate(a_list(value, what, most)))


def a_number(value: Any, what: str, low: float = -LARGEST, high: float = LARGEST,
             unit: str = "") -> float:
    """``value`` as a float; ModelError if it is no number from ``low`` to ``high``."""
    if _is_number(value) and low <= value <= high:
        return float(value)
    raise ModelError(f"{what} must be a number from {low:g} to {high:g}{unit and ' '}{unit}, not "
                     f"{shown(value)}")


def numbers(value: Any, what: str, most: int, low: float = -LARGEST,
            high: float = LARGEST) -> Floats:
    """(n,) float64 of a list of numbers; ModelError if one is not a number from low to high."""
    values = a_list(value, what, most)
    if not all(map(_is_number, values)):
        k = next(k for k, v in enumerate(values) if not _is_number(v))
        raise ModelError(f"{what}[{k}] must be a number, not {shown(values[k])}")
    try:
        out = np.array(values, dtype=np.float64)
    except OverflowError:
        raise ModelError(f"{what} has a whole number that is too large") from None
    if not np.isfinite(out).all():
        raise ModelError(f"{what}[{int(np.argmin(np.isfinite(out)))}] is not finite")
    bad = (out < low) | (out > high)
    if bad.any():
        k = int(np.argmax(bad))
        raise ModelError(f"{what}[{k}] must be a number from {low:g} to {high:g}, not {out[k]:g}")
    return out


def fits(value: Any, form: Any, what: str) -> None:
    """ModelError if ``value`` is not of ``form``.

    form : str or float; [form of each entry]; {key: form of the entry, if it is there}; {str: form
    of every entry}.  Entries of other keys are not looked at.
    """
    if form is str:
        a_text(value, what, 1000)
    elif form is float:
        if value is not None:                 # what could not be computed
            a_number(value, what, -1e15, 1e15)
    elif isinstance(form, list):
        for k, v in enumerate(a_list(value, what, MAX_VALUES)):
            fits(v, form[0], f"{what}[{k}]")
    else:
        for key, v in an_object(value, what).items():
            part = form.get(key, form.get(str))
            if part is not None:
                fits(v, part, f"{what}.{_key(key)}")


def whole_card(card: dict[str, Any]) -> str | None:
    """Where the first number is that is not finite, or None.

    Raises
    ------
    ModelError : too deep, too many entries, a whole number beyond 2^53, or no JSON at all; so that
    the card can be written as JSON, and its entries looked at one by one.
    """
    not_finite, room = None, MAX_VALUES
    left: list[tuple[Any, str, int]] = [(card, "", 1)]
    while left:
        container, where, depth = left.pop()
        room -= len(container)
        if room < 0:
            raise ModelError(f"it has more than {MAX_VALUES} values")
        if depth > MAX_DEPTH:
            raise ModelError(f"it is nested deeper than {MAX_DEPTH} levels")
        named = isinstance(container, dict)
        pairs: Iterable[tuple[Any, Any]] = container.items() if named else enumerate(container)
        for key, value in pairs:
            kind = type(value)
            if named and type(key) is not str:
                raise ModelError(f"{where or 'it'} has a key that is no text: {shown(key)}")
            if kind is int:
                if value.bit_length() > _WHOLE:
                    raise ModelError(f"{_path(where, key, named)} is a whole number beyond 2^53")
            elif kind in (dict, list, tuple):
                left.append((value, _path(where, key, named), depth + 1))
            elif isinstance(value, float):
                if not_finite is None and not math.isfinite(value):
                    not_finite = _path(where, key, named)
            elif not (value is None or isinstance(value, (str, bool))):
                raise ModelError(f"{_path(where, key, named)} is a {kind.__name__}, no JSON value")
    return not_finite


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _key(key: str) -> str:
    return ascii(key[:40])[1:-1] + ("..." if len(key) > 40 else "")


def _path(where: str, key: Any, named: bool) -> str:
    if not named:
        return f"{where[:200]}[{key}]"
    return f"{where[:200]}.{_key(key)}" if where else _key(key)
