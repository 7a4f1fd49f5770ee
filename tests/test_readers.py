"""Dumps and data files: what they say is read, what is not sure is refused, and no file misleads."""
import gzip
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from decks import BIN, run_lammps

from lammps_mgml.errors import InputError
from lammps_mgml.io.dump import read_data, read_dump, read_frames
from lammps_mgml.io.table import read_table

HEAD = "ITEM: TIMESTEP\n40\nITEM: NUMBER OF ATOMS\n{n}\nITEM: BOX BOUNDS {box}\nITEM: ATOMS {names}\n"
BOX = "pp pp pp\n-2 6\n-2 6\n-2 6"
ROWS = ("3 1 0.5 1.5 2.5", "1 2 3.0 4.0 5.0", "2 1 -1.0 -1.5 0.0")


def dump(names="id type x y z", rows=ROWS, box=BOX, n=None, end="\n"):
    return HEAD.format(n=len(rows) if n is None else n, box=box, names=names) + "\n".join(rows) + end


def frames_of(tmp_path, text, name="shear.dump", **words):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_frames(tmp_path / name, **words))


def refused(tmp_path, text, message, name="shear.dump"):
    with pytest.raises(InputError, match=message) as e:
        frames_of(tmp_path, text, name)
    assert name in str(e.value) and len(str(e.value).splitlines()) == 1


# dumps

@pytest.mark.parametrize("text, message", [
    (dump(rows=(*ROWS, "3 2 1 1 1")), r"step 40: lines 10 and 13: atom 3 comes twice"),
    (dump(rows=(*ROWS, "4.5 2 1 1 1")), "step 40: line 13: atom id 4.5"),
    (dump(rows=(*ROWS, "nan 2 1 1 1")), "line 13: atom id nan"),
    (dump(rows=("0 2 1 1 1", *ROWS)), "line 10: atom id 0"),
    (dump(rows=("-7 2 1 1 1", *ROWS)), "line 10: atom id -7"),
    (dump(rows=("18446744073709551617 2 1 1 1", *ROWS)), "line 10: atom id 1.8446744073709552e.19"),
    (dump(rows=(*ROWS, "8 1.3 1 1 1")), "line 13: atom 8 has type 1.3"),
    (dump(rows=(*ROWS, "8 0 1 1 1")), "line 13: atom 8 has type 0"),
    (dump(rows=(*ROWS, "8 4000000000 1 1 1")), "line 13: atom 8 has type 4000000000"),
    (dump(rows=(*ROWS, "8 1 1 nan 1")), "line 13: atom 8 is at 1 nan 1, not finite"),
    (dump(rows=(*ROWS, "8 1 1 1 -1e300")), "line 13: atom 8 is at 1 1 -1e.300, .*far outside"),
    (dump(rows=(*ROWS, "8 1 1 1 1e400")), "line 13: atom 8 is at 1 1 inf"),
    (dump(rows=(*ROWS, "8 1 1 1")), "line 13: cut off or damaged: 4 words for 5 columns"),
    (dump(rows=(*ROWS, "8 1 1 1_0 1")), "line 13: column y: '1_0' is no number"),
    (dump(rows=(*ROWS, "8 1 1 1,5 1")), "line 13: column y: '1,5' is no number"),
    (dump(rows=("8 1 1x 1 1", *ROWS)), "line 10: column x: '1x' is no number"),
    (dump(n=2), "line 12: damaged: ITEM: ... must come here, .*more atoms than the 2 announced"),
    (dump(n=4), "cut off: 4 atoms are announced, 3 lines follow"),
    (dump(n=4) + dump(), "cut off: 4 atoms are announced, 3 follow"),
    (dump(n="3.5"), "number of atoms must be a whole number, not '3.5'"),
    (dump(n=10 ** 17), "cut off: 10{17} atoms"),
    (dump().replace("\n40\n", "\n4e1\n"), "the step must be a whole number, not '4e1'"),
    (dump().replace("\n40\n", "\n-40\n"), "the step must be a whole number"),
    (dump("id x y z type"), "line 10: atom 3 has type 2.5"),
    (dump("id type x x z"), "a column comes twice"),
    (dump("mol type x y z"), "columns id and type .or element. are needed, found mol type x y z"),
    (dump(""), "ITEM: ATOMS names no columns, as in LAMMPS before 2009: write them"),
    (dump(box="pp pp pp\n-2 6 0.5\n-2 6 0\n-2 6 0"), "must be 2 numbers, a tilted box says"),
    (dump(box="xy xz yz pp pp pp\n-2 6\n-2 6\n-2 6"), "must be 3 numbers"),
    (dump(box="abc origin pp pp pp\n-2 6 0.5\n-2 6 0\n-2 6 0"), "must be 4 numbers"),
    (dump(box="abc pp pp pp\n-2 6 0.5\n-2 6 0\n-2 6 0"), "unknown kind of box"),
    (dump(box="pp pp\n-2 6\n-2 6\n-2 6"), "unknown kind of box"),
    (dump(box="pp pp pp\n-2 6\n6 -2\n-2 6"), "the box has lengths 8 -8 8"),
    (dump(box="pp pp pp\n-2 6\n-2 6\n-2 inf"), "no volume or is not finite"),
    (dump(box="abc origin pp pp pp\n0 8 0 0\n8 0 0 0\n0 0 8 0"), "no volume"),
    (dump(box="\n-2 6\n-2 6\n-2 6"), "tells no boundaries: write them there"),
    ("ITEM: UNITS\nparsec\n" + dump() + dump(), "units parsec: lammps_mgml knows metal, real"),
    (dump().replace("NUMBER OF ATOMS", "NUMBER OF ENTRIES"), "no dump of atoms"),
    (dump().replace("ITEM: NUMBER OF ATOMS\n3\n", ""), "no ITEM: NUMBER OF ATOMS"),
    (dump() + "\n\n7 1 1 1 1\n", "line 15: text after blank lines"),
    (b"\xf8\xff\xff\xff\xff\xff\xff\xffDUMPATOM" + bytes(100), "binary dump .*: write a text dump"),
    (dump().encode()[:150] + b"\0\0\0" + dump().encode()[153:], "binary dump or damaged"),
    ("", "it is empty"),
])
def test_dump_that_misleads_is_refused_with_its_step_and_line(tmp_path, text, message):
    refused(tmp_path, text, message)


def test_items_of_units_and_time_and_blank_end_are_read(tmp_path):
    first = "ITEM: UNITS\nmetal\nITEM: TIME\n0.25\n" + dump()
    later = "ITEM: TIME\n0.5\n" + dump().replace("\n40\n", "\n80\n")     # LAMMPS tells units once
    frames = frames_of(tmp_path, first + later + "\n \n")
    assert [f.step for f in frames] == [40, 80]
    np.testing.assert_array_equal(frames[1].columns["id"], [1, 2, 3])
    np.testing.assert_array_equal(frames[1].positions, [[5, 6, 7], [1, 0.5, 2], [2.5, 3.5, 4.5]])
    assert [f.units for f in frames] == ["metal", "metal"]


def test_lengths_of_any_units_come_in_A_those_of_lj_as_they_are(tmp_path):
    names, rows = "id type x y z d_d2min d_eta", ("4 1 1 2 3 0.5 0.25", "2 1 3 2 1 nan 0.5")
    plain, = frames_of(tmp_path, dump(names, rows))
    assert plain.units is None
    for units, factor in (("real", 1.0), ("lj", 1.0), ("nano", 10.0), ("si", 1e10),
                          ("electron", 0.529177210903)):
        frame, = frames_of(tmp_path, f"ITEM: UNITS\n{units}\n" + dump(names, rows))
        assert frame.units == ("lj" if units == "lj" else "metal")
        np.testing.assert_allclose(frame.positions, factor * plain.positions, rtol=1e-14)
        np.testing.assert_allclose(frame.box.edges, factor * plain.box.edges, rtol=1e-14)
        np.testing.assert_allclose(frame.origin, factor * plain.origin, rtol=1e-14)
        np.testing.assert_allclose(frame.columns["d_d2min"], factor**2 * plain.columns["d_d2min"])
        np.testing.assert_array_equal(frame.columns["d_eta"], plain.columns["d_eta"])
        data, = frames_of(tmp_path, DATA.replace("by hand", f"by hand, units = {units}"))
        usual, = frames_of(tmp_path, DATA)
        np.testing.assert_allclose(data.positions, factor * usual.positions, rtol=1e-14)
        np.testing.assert_allclose(data.box.edges, factor * usual.box.edges, rtol=1e-14)


def test_element_column_stands_in_for_types(tmp_path):
    text = dump("id element x y z", ("4 Zr 1 1 1", "2 Al 2 2 2", "9 Zr 3 3 3"))
    frame, = frames_of(tmp_path, text)
    assert frame.elements == ("Al", "Zr") and frame.types.tolist() == [1, 2, 2]
    again = frame.numbered_by(("Zr", "Ni", "Al"))
    assert again.types.tolist() == [3, 1, 1]
    with pytest.raises(InputError, match="step 40: atom 2 is Al, none of Zr Cu"):
        frame.numbered_by(("Zr", "Cu"))
    both, = frames_of(tmp_path, dump("id type element x y z", ("4 1 Zr 1 1 1", "2 1 Al 2 2 2")))
    with pytest.raises(InputError, match="atom 4 of type 1 is Zr, others of this type are Al"):
        _ = both.elements


def test_a_file_without_boundaries_takes_those_that_are_given(tmp_path):
    old = dump(box="\n-2 6\n-2 6\n-2 6")
    frame, = frames_of(tmp_path, old, boundary=(True, True, False))
    assert frame.box.periodic.tolist() == [True, True, False]
    with pytest.raises(InputError, match="--boundary does not agree with the dump: .* pp pp pp"):
        frames_of(tmp_path, dump(), boundary=(True, True, False))
    frame, = frames_of(tmp_path, dump(box="pp sm ff\n-2 6\n-2 6\n-2 6"))
    assert frame.box.periodic.tolist() == [True, False, False]


@pytest.mark.parametrize("rows, whole", [
    (ROWS, True),                                                   # as many decimals as the others
    (("3 1 0.5 1.5 2.25", "1 2 3.0 4.0 5.125", "2 1 1 1 0.375"), False),    # cannot be told
    (tuple(f"{k} 1 0 0 {k * 1.2345678901234567:.6g}" for k in range(1, 60)), True),
])
def test_without_a_final_newline_a_complete_line_counts_and_a_cut_one_does_not(tmp_path, rows, whole):
    text = dump(rows=rows, end="")
    frame, = frames_of(tmp_path, text + "\n")
    if whole:
        found, = frames_of(tmp_path, text)
        np.testing.assert_array_equal(found.positions, frame.positions)
    else:
        refused(tmp_path, text, f"step 40: line {9 + len(rows)}: .* may be cut: .* echo >> FILE")
    for k in range(1, len(rows[-1])):
        refused(tmp_path, text[:-k], "cut|no number|words for")


def test_dump_cut_anywhere_gives_its_whole_frames_or_nothing(tmp_path):
    rng = np.random.default_rng(3)
    text = "".join(dump(rows=[f"{k} {k % 2 + 1} " + " ".join(f"{v:.17g}" for v in x)
                              for k, x in enumerate(rng.random((9, 3)), start=1)]
                        ).replace("\n40\n", f"\n{step}\n") for step in (0, 10))
    whole = frames_of(tmp_path, text)
    read = 0
    for k in range(1, len(text)):
        try:
            found = frames_of(tmp_path, text[:k])
        except InputError:
            continue
        read += 1
        for a, b in zip(found, whole):
            np.testing.assert_array_equal(a.positions, b.positions)
            np.testing.assert_array_equal(a.columns["id"], b.columns["id"])
    assert 1 <= read <= 3


# data files

DATA = """a glass, made by hand

3 atoms
2 atom types

-2 6 xlo xhi
-2 6 ylo yhi
-2 6 zlo zhi

Masses

1 26.98
2 58.69  # Ni

Atoms # atomic

3 1 0.5 1.5 2.5
1 2 3.0 4.0 5.0
2 1 -1.0 -1.5 0.0

Velocities

3 0 0 0
"""
CHARGE = "3 1 7.5 0.5 1.5 2.5\n1 2 7.5 3.0 4.0 5.0\n2 1 7.5 -1.0 -1.5 0.0\n"
BODY = DATA[DATA.index("3 1 0.5"):DATA.index("\nVelocities")]


@pytest.mark.parametrize("name", ["data.aged", "aged.lammps", "aged.lmp", "aged.data", "aged"])
def test_data_file_by_any_name(tmp_path, name):
    frame, = frames_of(tmp_path, DATA, name)
    np.testing.assert_array_equal(frame.positions, [[5, 6, 7], [1, 0.5, 2], [2.5, 3.5, 4.5]])
    assert frame.types.tolist() == [2, 1, 1] and frame.origin.tolist() == [-2, -2, -2]


@pytest.mark.parametrize("rows", [BODY, "\n".join(r + " 0 -1 2" for r in BODY.splitlines()) + "\n"])
def test_atoms_without_a_style_are_atomic_where_nothing_else_fits(tmp_path, rows):
    frame, = frames_of(tmp_path, DATA.replace(" # atomic", "").replace(BODY, rows))
    np.testing.assert_array_equal(frame.positions[0], [5, 6, 7])


@pytest.mark.parametrize("old, new, message", [
    (("# atomic", BODY), ("", CHARGE), "6 columns fit several: write it there, e.g.  Atoms # charge"),
    (("# atomic", BODY), ("", CHARGE.replace("\n", " 1 1 1\n")), "9 columns fit several"),
    (("# atomic", BODY), ("", CHARGE.replace("\n", " 0.5 1\n")), "8 columns fit several"),
    ((BODY,), (CHARGE,), "line 17: 6 columns, atom style atomic has 5, or 8"),
    ((BODY,), (BODY.replace("\n", " 1 1 0.5\n"),), "style atomic has 5, or 8 with whole"),
    (("# atomic",), ("# sphere",), "atom style 'sphere' is none of atomic"),
    (("3 atoms",), ("2 atoms",), "2 atoms are announced, 3 lines follow Atoms"),
    (("3 atoms",), ("8000 atoms",), "8000 atoms are announced, 3 lines follow Atoms"),
    (("3 atoms",), ("3 atoms\n4 atoms",), "line 4: a second 'atoms'"),
    (("2 atom types",), ("1 atom types",), "1 atom types are announced, 2 masses follow"),
    (("2 atom types\n",), ("",), "must tell atoms and atom types"),
    (("1 26.98\n2 58.69  # Ni\n",), ("1 26.98\n3 58.69\n",), "13: '3 58.69' must be a type, 1 to 2"),
    (("26.98",), ("-26.98",), "line 12: '1 -26.98'"),
    (("3 1 0.5",), ("3 3 0.5",), "line 17: atom 3 has type 3, must be 1, 2, ... 2"),
    (("3 1 0.5",), ("1 1 0.5",), "lines 17 and 18: atom 1 comes twice"),
    (("3 1 0.5",), ("3.5 1 0.5",), "line 17: atom id 3.5"),
    (("3 1 0.5",), ("3 1 x",), "line 17: column 3: 'x' is no number"),
    (("3 1 0.5 1.5 2.5",), ("3 1 0.5 1.5",), "line 18: cut off or damaged: 5 words for 4"),
    (("-2 6 xlo xhi",), ("6 -2 xlo xhi",), "the box has lengths -8 8 8"),
    (("-2 6 xlo xhi\n",), ("",), "must have a line with 2 numbers and xlo xhi"),
    (("-2 6 zlo zhi",), ("-2 6 zlo zhi\n1 0 xy xz yz",), "3 numbers and xy xz yz"),
    (("-2 6 zlo zhi",), ("-2 6 zlo zhi\n1 o 0 xy xz yz",), "line 9: unknown line in the header"),
    (("by hand",), ("by hand, units = parsec",), "units parsec: lammps_mgml knows metal"),
    (("Velocities",), ("Atoms",), "a second section Atoms"),
    (("Atoms # atomic",), ("Bonds",), "has no section Atoms"),
    (("1 2 3.0 4.0 5.0\n",), ("1 2 3.0 4.0 5.0\n\n",), "line 20: text after a blank line within"),
])
def test_data_file_that_misleads_is_refused(tmp_path, old, new, message):
    text = DATA
    for a, b in zip(old, new):
        assert a in text
        text = text.replace(a, b)
    refused(tmp_path, text, message, "data.aged")


def test_data_file_cut_in_its_last_atom_is_refused(tmp_path):
    text = DATA[:DATA.index("\n\nVelocities")]
    frame, = frames_of(tmp_path, text)
    np.testing.assert_array_equal(frame.positions[1], [1, 0.5, 2])
    for k in range(1, 8):
        refused(tmp_path, text[:-k], "cut|words for|no number")


def test_compressed_files_are_known_by_their_content(tmp_path):
    packed = gzip.compress(dump().encode())
    frame, = frames_of(tmp_path, packed, "shear.dump")
    assert len(frame) == 3
    refused(tmp_path, packed[:-12], "end-of-stream|CRC", "cut.dump.gz")
    refused(tmp_path, packed[:20] + bytes([packed[20] ^ 8]) + packed[21:], "shear.dump.gz",
            "shear.dump.gz")
    refused(tmp_path, dump(), "not compressed, or damaged", "shear.dump.gz")
    with pytest.raises(InputError, match="data.aged: not a LAMMPS data file: a dump"):
        (tmp_path / "data.aged").write_text(dump())
        read_data(tmp_path / "data.aged")
    with pytest.raises(InputError, match="data.aged: not a LAMMPS text dump"):
        (tmp_path / "data.aged").write_text(DATA)
        list(read_dump(tmp_path / "data.aged"))


# what LAMMPS itself writes

TILTED = """
units metal
atom_style atomic
lattice custom 4.0 a1 1 0.15 0 a2 0.05 1 0.25 a3 0.1 -0.1 1 basis 0 0 0 basis 0.5 0.5 0 &
    basis 0.5 0 0.5 basis 0 0.5 0.5 triclinic/general
create_box 2 NULL -2 3 0 5 1 6
create_atoms 1 box
set type 1 type/fraction 2 0.4 4711
mass 1 63.546
mass 2 91.224
displace_atoms all random 0.2 0.2 0.2 99
pair_style zero 6.0
pair_coeff * *
dump narrow all custom 1 narrow.dump id type x y z
dump_modify narrow format float %.17g
dump wide all custom 1 wide.dump id type x y z
dump_modify wide triclinic/general yes units yes time yes format float %.17g
dump scaled all custom 1 scaled.dump id type xs ys zs
dump_modify scaled format float %.17g
dump old all atom 1 old.bin
run 0
write_data narrow.data
write_data wide.data triclinic/general
"""


def test_restricted_general_and_scaled_files_of_lammps_give_the_same_features(tmp_path):
    done = run_lammps(tmp_path, TILTED)
    assert done.returncode == 0, done.stdout
    assert "abc origin" in (tmp_path / "wide.dump").read_text()
    tables = {}
    for name in ("narrow.dump", "wide.dump", "scaled.dump", "narrow.data", "wide.data"):
        out = tmp_path / f"{name}.h5"
        run = subprocess.run([BIN / "mgml", "featurize", tmp_path / name, "--features",
                              "sro,density,cn_stats_nn", "--double", "-o", out],
                             capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        tables[name] = read_table(out)
    first = tables["narrow.dump"]
    assert len(first["id"]) == 500 and np.isfinite(first["features"]).all()
    volume = np.linalg.det(first["attributes"]["box"])
    for table in tables.values():
        np.testing.assert_array_equal(table["id"], first["id"])
        np.testing.assert_allclose(np.linalg.det(table["attributes"]["box"]), volume)
        np.testing.assert_allclose(table["features"], first["features"], rtol=1e-9, atol=1e-9)
    with pytest.raises(InputError, match="old.bin: binary dump"):
        list(read_frames(tmp_path / "old.bin"))


def test_positions_and_box_share_one_origin(tmp_path):
    frame, = frames_of(tmp_path, dump())
    assert frame.box.origin.tolist() == [0, 0, 0] and frame.origin.tolist() == [-2, -2, -2]
    np.testing.assert_array_equal(frame.fractional, frame.box.fractional(frame.positions))
    np.testing.assert_array_equal(frame.positions[0] + frame.origin, [3, 4, 5])


def test_damaged_files_are_read_rightly_or_refused():
    fuzz = Path(__file__).with_name("fuzz_readers.py")
    done = subprocess.run([sys.executable, fuzz, "300", "--seed", "2026"], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    found = re.search(r"(\d+) right, (\d+) wrong", done.stdout)
    assert found.groups() == ("300", "0")
    assert sum(map(int, re.findall(r"read +(\d+)", done.stdout))) > 60, done.stdout
