"""What a reference leaves behind, so that a restart goes on with it or is refused.

It is a text (JSON), the same on all ranks.  It rides with the atoms: every atom that is in the
reference carries the identity of the reference and one piece of the text.  So the text survives the
loss of atoms and a change of the number of ranks.
"""
from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass, replace
from secrets import randbits

import numpy as np

from ..errors import InputError, ModelError
from ..families.family import Means
from ..system.arrays import Bools, Floats
from ..system.box import Box
from ..system.domain import Domain
from ..system.lengths import NEAREST

VERSION = 2
WIDTH = 5                 # numbers that each atom carries: identity, piece, three numbers of text
_BYTES = 3                # of the text in a number: exact in single precision, which some builds use
_PIECE = 3 * _BYTES
NOW = "or take the present structure as the reference:  variable mgml_reference string now"


@dataclass(frozen=True)
class Settings:
    """What the columns depend on besides the atoms.  A restart with others is refused.

    model : name.  checksum : of the model file.  elements : symbol of each type, or NULL.
    load : as in ``mgml_load``, or empty.  d2_cutoff : A.  nearest : A, by which the lengths of the
    features are scaled.
    """

    model: str
    checksum: str
    elements: str
    load: str
    d2_cutoff: float
    nearest: float = NEAREST

    def must_be_those_of(self, state: RestartState) -> None:
        """ModelError that names the first setting in which ``state`` differs, and both values."""
        words = {"checksum": "model file", "elements": "elements of the types",
                 "load": "mgml_load", "d2_cutoff": "mgml_d2_cutoff", "nearest": "mgml_nearest"}
        for name, word in words.items():
            ours, theirs = getattr(self, name), getattr(state.settings, name)
            if ours == theirs:
                continue
            if name == "checksum":
                ours = f"{self.model} ({self.checksum[:15]})"
                theirs = f"{state.settings.model} ({theirs[:15]})"
            raise ModelError(
                f"the reference was taken with another {word}: {theirs or 'none'}, now it is "
                f"{ours or 'none'}. d_sq and d_d2min in the columns came from that one: use it "
                f"again, {NOW}")


@dataclass(frozen=True)
class RestartState:
    """A reference and the settings that it was taken with.

    identity : a random number.  n : atoms in it.  edges (3, 3) A, periodic (3,): its box.
    means : Means that normalise.  last : (3, 3) A, box edges at the latest evaluation, gone on
    continuously through flips of a tilted box.
    """

    settings: Settings
    n: int
    edges: list[list[float]]
    periodic: list[bool]
    means: Means
    last: list[list[float]]
    identity: int = 0

    @classmethod
    def new(cls, settings: Settings, n: int, box: Box, means: Means, identity: int) -> RestartState:
        return cls(settings, n, box.edges.tolist(), box.periodic.tolist(), means,
                   box.edges.tolist(), identity)

    @property
    def box(self) -> Box:
        return Box.make(self.edges, self.periodic)

    def moved_on(self, edges: Floats) -> RestartState:
        """The same with the box edges of the latest evaluation."""
        return replace(self, last=np.asarray(edges).tolist())


def new_identity() -> int:
    """A number of 24 bits, never 0.  The caller lets one rank choose it for all."""
    return 1 + randbits(24) % (2**24 - 1)


def pieces(state: RestartState) -> Floats:
    """(m, 3) float64, whole numbers below 2^24: the text of ``state`` in pieces."""
    text = zlib.compress(json.dumps({"version": VERSION, **asdict(state)}).encode(), 9)
    head = len(text).to_bytes(_BYTES, "big") + (zlib.crc32(text) & 0xffffff).to_bytes(_BYTES, "big")
    whole = head + text
    whole += bytes(-len(whole) % _PIECE)
    numbers = np.frombuffer(whole, np.uint8).reshape(-1, _BYTES).astype(np.int64)
    return (numbers @ [65536, 256, 1]).astype(np.float64).reshape(-1, 3)


def rows(state: RestartState, n: int, first: int) -> Floats:
    """(n, WIDTH), what ``n`` atoms of this rank carry.

    first : how many atoms the ranks before this one have, so that the pieces are dealt out evenly.
    """
    text = pieces(state)
    piece = (first + np.arange(n)) % len(text)
    return np.concatenate([np.full((n, 1), float(state.identity)), piece[:, None], text[piece]],
                          axis=1)


def identity(rows: Floats, known: Bools, domain: Domain) -> int:
    """Identity of the reference that the atoms carry; 0 if they carry none.  Collective.

    rows : (n_own, WIDTH).  known : (n_own,) bool, atoms that are in a reference.

    Raises
    ------
    InputError : the atoms carry two.
    """
    here = rows[known, 0]
    high, low = domain.max([here.max(initial=0.0), (-here).max(initial=-np.inf)])
    if high and high != -low:
        with domain.raise_on_all():
            raise InputError("the atoms come from two references: read_data add or read_restart "
                             f"has mixed them. Remove the columns of one, {NOW}")
    return int(high)


def read(rows: Floats, known: Bools, domain: Domain) -> RestartState:
    """RestartState that the atoms carry.  Collective.

    Raises
    ------
    InputError : a piece of the text is lost, as with fewer atoms than pieces; or it was written by
        a version that this one does not read.
    """
    piece = rows[known, 1].astype(np.int64)
    n = int(domain.max([piece.max(initial=0)])[0]) + 1
    table = np.full((n, 3), -1.0)
    table[piece] = rows[known, 2:]
    table = domain.max(table)
    with domain.raise_on_all():
        state = _from_table(table)
    return replace(state, identity=identity(rows, known, domain))


def _from_table(table: Floats) -> RestartState:
    lost = InputError(
        "the restart file holds a reference, but not all that belongs to it (a system of fewer than "
        f"about 60 atoms has no room for it, or most atoms were deleted). {NOW[3:].capitalize()}")
    if (table < 0).any() or (table >= 2**24).any() or (table != np.round(table)).any():
        raise lost
    whole = b"".join(int(x).to_bytes(_BYTES, "big") for x in table.ravel())
    length, mark = (int.from_bytes(whole[k:k + _BYTES], "big") for k in (0, _BYTES))
    text = whole[2 * _BYTES:2 * _BYTES + length]
    if len(text) != length or zlib.crc32(text) & 0xffffff != mark:
        raise lost
    content = json.loads(zlib.decompress(text))
    version = content.pop("version", None)
    if version != VERSION:
        raise InputError(f"the restart file was written by another version of lammps_mgml (state "
                         f"{version}, this one reads {VERSION}): go on with that version, {NOW}")
    content["settings"] = Settings(**content["settings"])
    means = content["means"]
    content["means"] = Means(**{**means, "composition": tuple(means["composition"])})
    return RestartState(**content)
