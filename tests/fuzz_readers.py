"""Damage valid dumps and data files in many ways: each must be read as a plain reading of its lines
gives it, or be refused with one line.

    python tests/fuzz_readers.py [N] [--seed S]          # N cases (300)

A cut file may give what was in it before, and nothing else.  No other exception, no more than 2 s
and 1 GB for a file of a few kilobytes.  Exit status 1 and the case's number if one fails; the same
number and seed make the same file.
"""
import argparse
import gzip
import math
import random
import resource
import shlex
import sys
import tempfile
from collections import Counter
from pathlib import Path
from time import perf_counter

import numpy as np

from lammps_mgml.errors import InputError
from lammps_mgml.io.dump import read_frames
from lammps_mgml.system.lengths import STYLES

SECONDS, MEMORY = 2.0, 1 << 30


# Valid files -------------------------------------------------------------------------------------

def dump(head, bounds, names, rows, steps=(0, 100)):
    return "".join(f"{head}ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{len(rows)}\n"
                   f"ITEM: BOX BOUNDS {bounds}\nITEM: ATOMS {names}\n" + "".join(
                       " ".join(map(str, row)) + "\n" for row in rows) for step in steps)


def valid_files(rng):
    """{name: text} of files that are read, with some atoms at random places."""
    n = 12
    ids = rng.sample(range(1, 40), n)
    x = [[rng.uniform(-1, 11) for _ in range(3)] for _ in ids]
    types = [1, 2] * (n // 2)
    box = "\n".join(["0.5 9.75"] * 3)
    tilted = "-1.25 9.75 0.5\n0.0 9.75 -1.75\n0.5 9.75 0.25"
    general = "10 1 0.5 -3\n0 9 -1 2.5\n0.25 0 8 0"
    head = "a data file, units = metal\n\n12 atoms\n2 atom types\n\n"
    edges = "".join(f"0.5 9.75 {a}lo {a}hi\n" for a in "xyz")
    masses = "\nMasses\n\n1 63.546\n2 91.224  # Zr\n"
    moves = "\nVelocities\n\n" + "".join(f"{i} 0.1 -0.2 0.3\n" for i in ids)

    def rows(style, images=False):
        extra = {"atomic": (), "charge": (0.5,), "full": (0.5,)}[style]
        first = (1,) if style == "full" else ()
        last = (0, -1, 12) if images else ()
        return "".join(" ".join(map(str, (i, *first, t, *extra, *p, *last))) + "\n"
                       for i, t, p in zip(ids, types, x))

    return {
        "plain": dump("", f"pp pp pp\n{box}", "id type x y z d_sq",
                      [(i, t, *p, rng.choice(["nan", "0.25", "0.125"]))
                       for i, t, p in zip(ids, types, x)]),
        "images": dump("", f"pp ff ss\n{box}", "id type xu yu zu ix iy iz",
                       [(i, t, *p, 0, -1, rng.choice([0, 1, 12, -10]))
                        for i, t, p in zip(ids, types, x)]),
        "fixed": dump("", f"pp pp fs\n{box}", "id type x y z",
                      [(i, t, *(f"{v:.4f}" for v in p)) for i, t, p in zip(ids, types, x)]),
        "tilted": dump("ITEM: UNITS\nmetal\nITEM: TIME\n0.5\n", f"xy xz yz pp pp pp\n{tilted}",
                       "id type xs ys zs",
                       [(i, t, *(v / 10 for v in p)) for i, t, p in zip(ids, types, x)], (7,)),
        "general": dump("", f"abc origin pp pp pp\n{general}", "type id x y z element",
                        [(t, i, *p, ("Cu", "Zr")[t - 1]) for i, t, p in zip(ids, types, x)]),
        "symbols": dump("", f"pp pp pp\n{box}", "id element x y z",
                        [(i, ("Ni", "Al")[t - 1], *p) for i, t, p in zip(ids, types, x)]),
        "xyz": "".join(
            f'12\nLattice="10 0 0 -1 9 0 0.5 0.25 8" Properties=species:S:1:pos:R:3:id:I:1 '
            f'pbc="T F T" Origin="-1 0 2.5" Timestep={step}\n' + "".join(
                f"{('Cu', 'Zr')[t - 1]} {p[0]} {p[1]} {p[2]} {i}\n" for i, t, p in zip(ids, types, x))
            for step in (0, 50)),
        "data": head + edges + masses + "\nAtoms # atomic\n\n" + rows("atomic") + moves,
        "data images": head + edges + "1.5 -0.5 2 xy xz yz\n" + "\nAtoms  # charge\n\n"
        + rows("charge", True),
        "data full": head + edges + masses + "\nAtoms # full\n\n" + rows("full"),
        "data unnamed": head + edges + "\nAtoms\n\n" + rows("atomic") + moves,
        "data general": head + "10 1 0.5 avec\n0 9 -1 bvec\n0.25 0 8 cvec\n-3 2.5 0 abc origin\n"
        + "\nAtoms # atomic\n\n" + rows("atomic", True) + masses,
    }


# Damage ------------------------------------------------------------------------------------------

WORDS = ("nan", "-nan", "inf", "1e400", "1e18", "-1", "0", "1.7", "99999999999999999999", "0x10",
         "1_0", "\u0663", "Cu", "", "ITEM:", "1e-400", "2147483648", "+3", "3.", "#", "12 atoms",
         "Atoms", "\u00c5")


def cut(rng, data):
    return data[:rng.randrange(len(data))]


def cut_near_the_end(rng, data):
    return data[:len(data) - rng.randrange(1, min(60, len(data)))]


def flip_bits(rng, data):
    out = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def other_line(rng, data):
    lines = data.split(b"\n")
    k, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(4)
    if kind == 0:
        lines.insert(other, lines[k])
    elif kind == 1:
        del lines[k]
    elif kind == 2:
        lines[k], lines[other] = lines[other], lines[k]
    else:
        lines.insert(k, b"")
    return b"\n".join(lines)


def other_word(rng, data):
    lines = data.split(b"\n")
    k = rng.choice([k for k, line in enumerate(lines) if line.strip()] or [0])
    words = lines[k].split(b" ")
    words[rng.randrange(len(words))] = rng.choice(WORDS).encode()
    lines[k] = b" ".join(words)
    return b"\n".join(lines)


def strange_byte(rng, data):
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice([b"\0", b"\xff", b"\xe5", b"\r", b"\x1f", b"\t", b"\xc2\xa0",
                                   b"_", b"-", b"#", b"\0" * 50]) + data[at:]


def windows(rng, data):
    return data.replace(b"\n", b"\r\n")


DAMAGE = (cut, cut_near_the_end, flip_bits, other_line, other_word, strange_byte, windows)


# What the lines say, read one by one ---------------------------------------------------------------

class Unclear(Exception):
    """The file cannot be understood."""


def need(truth):
    if not truth:
        raise Unclear


def number(word):
    need(word.isascii() and (set(word) <= set("0123456789+-.eE")
                             or word.lower().lstrip("+-") in ("nan", "inf", "infinity")))
    try:
        return float(word)
    except ValueError:
        raise Unclear from None


def whole(word):
    value = number(word)
    need(math.isfinite(value) and value == int(value))
    return int(value)


def plain_lines(data):
    text = data.decode("utf-8", "surrogateescape").replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def one_atom(atoms, name, values, most):
    i = whole(values["id"])
    need(i >= 1 and i not in atoms)
    if "type" in values:
        need(1 <= whole(values["type"]) <= most)
    need(all(math.isfinite(number(values[c])) for c in ("x", "y", "z", "xu", "yu", "zu", "xs", "ys",
                                                        "zs") if c in values))
    atoms[i] = values


def read_plainly(data):
    """[(step, edges, origin, periodic, {id: {column: word}})], or Unclear."""
    lines = plain_lines(data)
    try:
        if lines[0].startswith("ITEM:"):
            return list(plain_dump(lines))
        if lines[0].strip().isdigit() and "=" in lines[1]:
            return list(plain_xyz(lines))
        return [plain_data(lines)]
    except (IndexError, KeyError):
        raise Unclear from None


def plain_dump(lines):
    k = 0
    while k < len(lines):
        if k and not lines[k].strip():
            need(not any(line.strip() for line in lines[k:]))
            return
        items = {}
        while lines[k].split()[:2] != ["ITEM:", "ATOMS"]:
            words = lines[k].split()
            need(words[0] == "ITEM:")
            key = "BOX" if words[1] == "BOX" else " ".join(words[1:])
            need(key not in items and key in ("BOX", "TIMESTEP", "NUMBER OF ATOMS", "UNITS", "TIME"))
            size = 3 if key == "BOX" else 1
            items[key] = (words[3:], lines[k + 1:k + 1 + size])
            k += 1 + size
        names = lines[k].split()[2:]
        n = whole(items["NUMBER OF ATOMS"][1][0].strip())
        need(len(set(names)) == len(names) and 0 <= n <= len(lines))
        if "UNITS" in items:
            need(items["UNITS"][1][0].strip() in STYLES)
        atoms = {}
        for line in lines[k + 1:k + 1 + n]:
            words = line.split()
            need(len(words) == len(names))
            one_atom(atoms, names, dict(zip(names, words)), 100000)
        need(len(atoms) == n)
        k += 1 + n
        yield (whole(items["TIMESTEP"][1][0].strip()), *plain_box(*items["BOX"]), atoms)


def plain_xyz(lines):
    k = 0
    while k < len(lines):
        if k and not lines[k].strip():
            need(not any(line.strip() for line in lines[k:]))
            return
        n = whole(lines[k].strip())
        try:
            pairs = [word.split("=", 1) for word in shlex.split(lines[k + 1]) if "=" in word]
        except ValueError:                   # quotes
            raise Unclear from None
        told = {key.lower(): value for key, value in pairs}
        need(len(told) == len(pairs) and 0 <= n <= len(lines))
        columns = told["properties"].split(":")
        need(columns[1::3] + columns[2::3] == ["S", "R", "I", "1", "3", "1"])
        names = [one.lower() if one.lower() in ("species", "pos") else one for one in columns[::3]]
        names = [one for name in names for one in {"species": ("element",), "pos": ("x", "y", "z")}.get(
            name, (name,))]
        flags = told.get("pbc", "T T T").lower().split()
        need(len(flags) == 3 and set(flags) <= {"t", "f", "1", "0"})
        atoms = {}
        for place, line in enumerate(lines[k + 2:k + 2 + n], start=1):
            words = line.split()
            need(len(words) == len(names) == 5)
            values = dict(zip(names, words))
            need(values["element"].isalpha() and values["element"].isascii())
            values["element"] = values["element"].capitalize()
            one_atom(atoms, names, {"id": str(place), **values}, 1)
        need(len(atoms) == n)
        cell, origin = ([number(w) for w in told.get(key, default).split()]
                        for key, default in (("lattice", ""), ("origin", "0 0 0")))
        need(len(cell) == 9 and len(origin) == 3)
        step = next((whole(told[key]) for key in ("timestep", "step") if key in told), None)
        yield step, [cell[:3], cell[3:6], cell[6:]], origin, [f in "t1" for f in flags], atoms
        k += 2 + n


def plain_box(words, rows):
    flags = [w for w in words if len(w) == 2 and set(w) <= set("pfsm")]
    rows = [[number(w) for w in row.split()] for row in rows]
    need(len(flags) == 3)
    kind = words[:len(words) - 3]
    need(words[len(words) - 3:] == flags or words[:3] == flags)
    need({"": 2, "xy xz yz": 3, "abc origin": 4}.get(" ".join(
        w for w in words if w not in flags)) == len(rows[0]) == len(rows[1]) == len(rows[2]))
    periodic = [f == "pp" for f in flags]
    if len(rows[0]) == 4:
        return [r[:3] for r in rows], [r[3] for r in rows], periodic
    xy, xz, yz = (r[2] for r in rows) if kind and len(rows[0]) == 3 else (0.0, 0.0, 0.0)
    low = [rows[0][0] - min(0, xy, xz, xy + xz), rows[1][0] - min(0, yz), rows[2][0]]
    high = [rows[0][1] - max(0, xy, xz, xy + xz), rows[1][1] - max(0, yz), rows[2][1]]
    need(all(b > a for a, b in zip(low, high)))
    lx, ly, lz = (b - a for a, b in zip(low, high))
    return [[lx, 0, 0], [xy, ly, 0], [xz, yz, lz]], low, periodic


def plain_data(lines):
    bare = [line.split("#")[0].strip() for line in lines]
    header, k = {}, 1
    while not bare[k] or bare[k][0] in "+-.0123456789" or bare[k].lower().startswith(("nan", "inf")):
        words = bare[k].split()
        keys = [w for w in words if w[0].isalpha() and w.lower() not in ("nan", "inf", "infinity")]
        if words:
            need(" ".join(keys) not in header)
            header[" ".join(keys)] = [number(w) for w in words[:len(words) - len(keys)]]
        k += 1
    n, kinds = (header[key][0] for key in ("atoms", "atom types"))
    need(len(header["atoms"]) == len(header["atom types"]) == 1)
    if "avec" in header:
        edges = [header[f"{a}vec"] for a in "abc"]
        origin = header["abc origin"]
    else:
        bounds = [header[f"{a}lo {a}hi"] for a in "xyz"]
        need(all(len(b) == 2 and b[1] > b[0] for b in bounds))
        tilts = header.get("xy xz yz", (0.0, 0.0, 0.0))
        need(len(tilts) == 3)
        xy, xz, yz = tilts
        lx, ly, lz = (b[1] - b[0] for b in bounds)
        edges, origin = [[lx, 0, 0], [xy, ly, 0], [xz, yz, lz]], [b[0] for b in bounds]
    heads = [j for j in range(k, len(lines)) if bare[j] == "Atoms"]
    need(len(heads) == 1)
    comment = lines[heads[0]].partition("#")[2].strip()
    rows, j = [], heads[0] + 1
    while not bare[j]:
        j += 1
    while j < len(lines) and lines[j].strip() and not bare[j][:1].isalpha():
        rows.append(bare[j].split())
        j += 1
    while j < len(lines) and not bare[j]:
        j += 1
    need(j >= len(lines) or bare[j][0].isalpha())
    need(len(rows) == n and len({len(row) for row in rows}) == 1)
    order = {"atomic": "id type x y z", "charge": "id type q x y z", "full": "id mol type q x y z",
             "": "id type x y z"}.get(comment)
    need(order is not None)
    order = order.split()
    need(len(rows[0]) in (len(order), len(order) + 3))
    atoms = {}
    for row in rows:
        [number(word) for word in row]
        one_atom(atoms, order, dict(zip(order, row)), kinds)
    for atom in atoms.values():
        for name in ("q", "mol"):
            atom.pop(name, None)
    need(len(atoms) == n)
    return 0, edges, origin, [True] * 3, atoms


# Comparison --------------------------------------------------------------------------------------

def differs(frames, plain):
    """Text of the first difference, or None."""
    if len(frames) != len(plain):
        return f"{len(frames)} frames, {len(plain)} in the lines"
    for frame, (step, edges, origin, periodic, atoms) in zip(frames, plain):
        if step not in (frame.step, None) or list(frame.box.periodic) != list(periodic):
            return f"step {frame.step} for {step}, or periodic"
        if not (np.allclose(frame.box.edges, edges, rtol=1e-12, atol=1e-12)
                and np.allclose(frame.origin, origin, rtol=1e-12, atol=1e-12)):
            return f"box {frame.box.edges.tolist()} for {edges}"
        if frame.columns["id"].tolist() != sorted(atoms):
            return "ids"
        for name in next(iter(atoms.values()), ()):
            words = [atoms[i][name] for i in sorted(atoms)]
            found = frame.columns[name]
            if found.dtype.kind == "U":
                if found.tolist() != words:
                    return f"column {name}"
            elif not np.array_equal(found, [number(w) for w in words], equal_nan=True):
                return f"column {name}"
    return None


def case(k, seed, folder):
    """(kind of damage, "read" or "refused"); AssertionError if neither is right."""
    rng = random.Random(f"{seed} {k}")
    name, text = rng.choice(sorted(valid_files(rng).items()))
    original = text.encode()
    plain = read_plainly(original)
    path = folder / f"case.{'gz' if k % 7 == 0 else 'txt'}"
    damage = rng.choice(DAMAGE)
    if k % 7 == 0:                           # a damaged compressed file: what it held, or refused
        path.write_bytes(damage(rng, gzip.compress(original, mtime=0)))
        what = f"{damage.__name__}, compressed"
    elif k % 7 == 1:                         # whole
        path.write_bytes(original)
        what = "none"
    else:
        changed = damage(rng, original)
        path.write_bytes(changed)
        what = damage.__name__
        try:
            if not damage.__name__.startswith("cut"):
                plain = read_plainly(changed)
        except Unclear:
            plain = None
    began = perf_counter()
    try:
        frames = list(read_frames(path))
        for frame in frames:
            _ = frame.positions, frame.fractional, frame.types, frame.elements
    except InputError as e:
        assert len(str(e).splitlines()) == 1 and path.name in str(e), f"{name}, {what}: {str(e)!r}"
        assert what != "none", f"{name}: refused though whole: {e}"
        return what, "refused"
    finally:
        assert perf_counter() - began < SECONDS, f"{name}, {what}: too slow"
    if what.startswith("cut") and plain is not None:
        plain = plain[:len(frames)] if frames else plain      # cut between two frames
    assert plain is not None, f"{name}, {what}: read, though it cannot be understood"
    difference = differs(frames, plain)
    assert difference is None, f"{name}, {what}: {difference}"
    return what, "read"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("n", type=int, nargs="?", default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="this case alone; its file is kept")
    args = parser.parse_args()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    counts, failed = Counter(), 0
    folder = tempfile.mkdtemp() if args.only is not None else None
    with tempfile.TemporaryDirectory() as other:
        for k in range(args.n) if args.only is None else (args.only,):
            try:
                counts[case(k, args.seed, Path(folder or other))] += 1
            except Exception as e:
                failed += 1
                print(f"case {k}, seed {args.seed}: {type(e).__name__}: {e}", file=sys.stderr)
    for (what, how), n in sorted(counts.items()):
        print(f"{what:<32} {how:<8} {n}")
    print(f"{sum(counts.values())} right, {failed} wrong" + (f"; file in {folder}" if folder else ""))
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
