"""Figures and tables of numbers as the bytes of files."""
from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def picture(fig: Figure, kind: str) -> bytes:
    """A figure as png, svg, pdf ...: the same figure gives the same bytes, without a date."""
    file, undated = BytesIO(), {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    metadata: Any = undated.get(kind)
    fig.savefig(file, format=kind, dpi=300, metadata=metadata)
    return file.getvalue()


def csv(header: Iterable[str], rows: Iterable[Iterable[object]]) -> bytes:
    """Lines of comma-separated values; a number that is NaN is left empty."""
    lines = [",".join(header), *(",".join(map(_word, row)) for row in rows), ""]
    return "\n".join(lines).encode()


def _word(value: object) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.8g}"
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n') else text
