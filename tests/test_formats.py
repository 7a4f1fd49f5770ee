"""One structure in every format: the same numbers, to the last digit that the file carries, or refused."""
import bz2
import gzip
import lzma
import re
import subprocess
import sys

import ase.io
import numpy as np
import pytest
from decks import BIN, GLASS, ROOT, run_lammps

import lammps_mgml
from lammps_mgml.errors import InputError
from lammps_mgml.io.dump import read_dump, read_frames
from lammps_mgml.io.table import read_table

DECK = """
units metal
atom_style atomic
lattice custom 4.0 a1 1 0 0 a2 0.05 1 0 a3 0.1 -0.1 1 basis 0 0 0 basis 0.5 0.5 0 &
    basis 0.5 0 0.5 basis 0 0.5 0.5 triclinic/general
create_box 2 NULL 0 5 0 5 0 5
create_atoms 1 box
set type 1 type/fraction 2 0.4 4711
mass 1 63.546
mass 2 91.224
displace_atoms all random 0.2 0.2 0.2 99
pair_style zero 6.0
pair_coeff * *
velocity all create 6000 4711
fix md all nve
dump plain all custom 10 plain.dump id type x y z
dump_modify plain sort id format float %.17g
dump told all custom 10 told.dump id type x y z
dump_modify told sort id format float %.17g units yes time yes
dump symbols all custom 10 symbols.dump element id z y x
dump_modify symbols format float %.17g element Cu Zr
dump general all custom 10 general.dump id type element x y z
dump_modify general sort id format float %.17g triclinic/general yes element Cu Zr units yes time yes
dump packed all custom/gz 10 packed.dump.gz id type x y z
dump_modify packed sort id format float %.17g
dump xyz all extxyz 10 all.xyz
dump_modify xyz sort id element Cu Zr vel no forces no format line "%s %.17g %.17g %.17g"
run 10
"""
FEATURES = "sro,density,cn_stats_nn"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Folder with two frames in the formats of LAMMPS, of compressors, of ASE and of OVITO."""
    import zstandard

    folder = tmp_path_factory.mktemp("formats")
    done = run_lammps(folder, DECK)
    assert done.returncode == 0, done.stdout[-2000:]
    text = (folder / "plain.dump").read_bytes()
    half = text.index(b"ITEM: TIMESTEP", 20)
    (folder / "b.dump.bz2").write_bytes(bz2.compress(text[:half]) + bz2.compress(text[half:]))
    (folder / "x.dump.xz").write_bytes(lzma.compress(text))
    (folder / "g.dump").write_bytes(gzip.compress(text[:half]) + gzip.compress(text[half:]))
    pack = zstandard.ZstdCompressor().compress
    (folder / "z.dump.zst").write_bytes(pack(text[:half]) + pack(text[half:]))
    images = ase.io.read(folder / "symbols.dump", ":", "lammps-dump-text")
    ase.io.write(folder / "ase.traj", images)
    ase.io.write(folder / "POSCAR.vasp", images[-1], format="vasp", direct=False)
    with gzip.open(folder / "POSCAR.gz", "wt") as file:
        file.write((folder / "POSCAR.vasp").read_text())
    ase.io.write(folder / "ase.xyz", images, format="extxyz")
    # OVITO in a process of its own: its Qt and this one's memory limits do not go together
    subprocess.run([sys.executable, "-c", "from ovito.io import *\n"
                    "export_file(import_file('general.dump'), 'ovito.xyz', 'xyz', multiple_frames=True,\n"
                    "columns=['Particle Identifier', 'Particle Type', 'Position.X', 'Position.Y', "
                    "'Position.Z'], precision=17)"], cwd=folder, check=True)
    return folder


# digits: after the point, of positions in the file; None: all that a double has
FORMATS = [("told.dump", None), ("symbols.dump", None), ("general.dump", None), ("packed.dump.gz", None),
           ("b.dump.bz2", None), ("x.dump.xz", None), ("g.dump", None), ("z.dump.zst", None),
           ("all.xyz", None), ("ase.traj", None), ("ase.xyz", 8), ("ovito.xyz", 14),
           ("POSCAR.vasp", 16), ("POSCAR.gz", 16)]


def by_id(frame):
    """Types and positions of a frame, each atom brought into the box."""
    return frame.types, frame.fractional % 1.0


@pytest.mark.parametrize("name, digits", FORMATS)
def test_frames_of_each_format_are_those_of_the_plain_dump(written, name, digits):
    plain, found = list(read_dump(written / "plain.dump")), list(read_frames(written / name))
    assert len(found) == (1 if name.startswith("POSCAR") else 2)
    if name.startswith("POSCAR"):            # sorted by element: the atoms are told by their places
        a, b = plain[-1], found[0]
        order = [np.lexsort(np.round(f.positions.T, 6)) for f in (a, b)]
        assert b.elements == ("Cu", "Zr")
        np.testing.assert_array_equal(b.types[order[1]], a.types[order[0]])
        np.testing.assert_allclose(b.positions[order[1]], a.positions[order[0]], atol=2e-15 * 20)
        return
    for k, (a, b) in enumerate(zip(plain, found)):
        assert b.step == (k if name == "ovito.xyz" else a.step)
        assert b.box.periodic.all()
        np.testing.assert_array_equal(b.columns["id"], a.columns["id"])
        np.testing.assert_array_equal(b.types, a.types)
        np.testing.assert_array_equal(b.box.edges, a.box.edges)
        if digits is None:
            np.testing.assert_array_equal(b.positions, a.positions)
        else:
            np.testing.assert_allclose(b.positions, a.positions, atol=0.5000001 * 10.0 ** -digits)
    if name.endswith(".xyz"):                # what the file says, to the last bit
        for b, atoms in zip(found, ase.io.read(written / name, ":", "extxyz")):
            np.testing.assert_array_equal(b.positions, atoms.positions)
    d2 = [lammps_mgml.d2min(f[0].positions, f[0].box.edges, f[1].positions, f[1].box.edges).d2min
          for f in (plain, found)]
    assert 0.01 < d2[0].mean() < 10
    np.testing.assert_allclose(d2[1], d2[0], rtol=0 if digits is None else 1e-5)


@pytest.mark.parametrize("name", ["symbols.dump", "general.dump", "all.xyz", "ase.traj",
                                  "z.dump.zst"])
def test_features_of_each_format_are_those_of_the_plain_dump(written, tmp_path, name):
    """``mgml featurize`` on each: all bits."""
    tables = []
    for one in ("plain.dump", name):
        done = subprocess.run([BIN / "mgml", "featurize", written / one, "--features", FEATURES,
                               "--double", "--model", "cuzr", "-o", tmp_path / "f.h5"],
                              capture_output=True, text=True)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        tables.append(read_table(tmp_path / "f.h5", 10))
    for key in ("id", "features", "d_sq", "i_site"):
        np.testing.assert_array_equal(tables[1][key], tables[0][key])
    assert np.isfinite(tables[0]["d_sq"]).all()


# Who names the atoms of our decks' dumps -----------------------------------------------------------

@pytest.fixture(scope="module")
def deck_dumps(tmp_path_factory):
    """Dumps of inputs/in.softness and in.aqs, their first steps."""
    folder = tmp_path_factory.mktemp("decks")
    done = run_lammps(folder, (ROOT / "inputs/in.softness").read_text(), data=GLASS, out=folder,
                      strain=0.0004, every=10)
    assert done.returncode == 0, done.stdout[-2000:]
    (folder / "g.data").write_bytes(gzip.decompress(GLASS.read_bytes()))
    done = run_lammps(folder, (ROOT / "inputs/in.aqs").read_text(), name="g", last=0)
    assert done.returncode == 0, done.stdout[-2000:]
    return [folder / "compression.dump", folder / "g.z-compression.dump"]


ASE = ("import ase.io\nframes = ase.io.read(path, ':', 'lammps-dump-text')\n"
       "symbols = frames[-1].get_chemical_symbols()")
OVITO = ("from ovito.io import import_file\nparticles = import_file(path).compute().particles\n"
         "types = particles.particle_types\nids = particles.identifiers[...].argsort()\n"
         "symbols = [types.type_by_id(t).name for t in types[...][ids]]")
MDANALYSIS = ("import warnings\nwarnings.simplefilter('ignore')\nimport MDAnalysis\n"
              "u = MDAnalysis.Universe(path, format='LAMMPSDUMP', topology_format='LAMMPSDUMP')\n"
              "u.trajectory[-1]\nsymbols = u.atoms.elements.tolist()\n"
              "assert all(u.select_atoms('element Zr').elements == 'Zr')")


@pytest.mark.parametrize("package, code", [("ase", ASE), ("ovito", OVITO), ("MDAnalysis", MDANALYSIS)])
def test_other_programs_name_the_atoms_of_the_decks_dumps(deck_dumps, package, code):
    if package == "MDAnalysis":
        pytest.importorskip(package, reason="not run: pip install MDAnalysis")
    for path in deck_dumps:
        frame = list(read_dump(path))[-1]
        assert frame.elements == ("Cu", "Zr")
        done = subprocess.run([sys.executable, "-c", f"path = {str(path)!r}\n{code}\nprint(*symbols)"],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.split() == np.array(["Cu", "Zr"])[frame.types - 1].tolist()


# Extended XYZ ------------------------------------------------------------------------------------

ROWS = "".join(f"Cu {x} {y} {z}\n" for x in (0, 2.5, 5) for y in (0, 2.5, 5) for z in (0, 2.5, 5))
LATTICE = 'Lattice="7.5 0 0 0 7.5 0 0 0 7.5"'
POS = "Properties=species:S:1:pos:R:3"


def xyz(comment=f"{LATTICE} {POS}", rows=ROWS, n=None):
    return f"{rows.count(chr(10)) if n is None else n}\n{comment}\n{rows}"


def frames_of(tmp_path, text, name="all.xyz", **words):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_frames(tmp_path / name, **words))


@pytest.mark.parametrize("text, message", [
    (xyz(n=28), "frame 0: cut off: 28 atoms are announced, 27 lines follow"),
    (xyz(n=26), "frame 1: line 29: the number of atoms must be a whole number, not 'Cu 5 5 5'"),
    (xyz() + xyz(rows=ROWS[:-6], n=27), "frame 1: line 58: cut off or damaged: 1 words for 4"),
    (xyz()[:-1] + "1.25", "line 29: the last line does not end with a newline and may be cut"),
    (xyz(rows=ROWS.replace("Cu", "1")), "line 3: '1' is no symbol of an element: .*dump_modify ID elem"),
    (xyz(rows="Cu nan 0 0\n" + ROWS), "line 3: atom 1 is at nan 0 0, not finite"),
    (xyz(rows="Cu 1_0 0 0\n" + ROWS), "line 3: column x: '1_0' is no number"),
    (xyz(rows="Cu 1 0 0 0\n" + ROWS), "line 3: cut off or damaged: 5 words for 4 columns"),
    (xyz(f'Lattice="7.5 0 0 0 7.5 0 0 0" {POS}'), "lattice='7.5 0 0 0 7.5 0 0 0' must be 9 numbers"),
    (xyz(f'Lattice="7.5 0 0 0 7.5 0 0 0 nan" {POS}'), "no volume or is not finite"),
    (xyz(f'Lattice="0 7.5 0 7.5 0 0 0 0 7.5" {POS}'), "left-handed: exchange two"),
    (xyz(f'{LATTICE} {LATTICE} {POS}'), "line 2: lattice comes twice"),
    (xyz(f'{LATTICE} {POS} units=nano'), "units nano: positions must be in A"),
    (xyz(f'{LATTICE} {POS} pbc="T T"'), "pbc='T T' must be 3 flags"),
    (xyz(LATTICE, ROWS.replace("\n", " 7\n")), "5 columns and no Properties="),
    (xyz(f'{LATTICE} {POS} T F T"'), 'line 2: a quote outside of KEY="..."'),
    (xyz(f'{LATTICE} {POS} pbc="T F'), 'line 2: pbc="T begins with " that nothing closes'),
    (xyz(f'pbc="T T T" {POS}'), "periodic along edge 1 of the cell, which has none there"),
    (xyz(f'{LATTICE} Properties=species:S:1:pos:R:2'), "Properties: pos:R:2 is no column"),
    (xyz(f'{LATTICE} Properties=species:S:1:q:R:3'), "species:S:1 and pos:R:3 are needed"),
    (xyz(f"{LATTICE} {POS}:id:I:1", ROWS.replace("\n", " 7\n")), "lines 3 and 4: atom 7 comes twice"),
])
def test_xyz_that_misleads_is_refused_with_its_frame_and_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as e:
        frames_of(tmp_path, text)
    assert str(e.value).startswith(f"{tmp_path}/all.xyz, frame ") and "\n" not in str(e.value)


def test_xyz_tells_its_cell_origin_columns_and_steps(tmp_path):
    rows = "".join(f"{i} {row} {i / 4} T 1 2 3\n" for i, row in enumerate(ROWS.splitlines(), 11))
    comment = (f"{LATTICE} Properties=id:I:1:species:S:1:pos:R:3:d_msd:R:1:fixed:L:1:vel:R:3 "
               "Timestep=40 Origin='-1 0 2' pbc=[T,F,T] note=\"a b=c\"")
    frame, = frames_of(tmp_path, xyz(comment, rows))
    assert frame.step == 40 and frame.origin.tolist() == [-1, 0, 2]
    assert frame.box.periodic.tolist() == [True, False, True]
    np.testing.assert_array_equal(frame.positions[0], [1, 0, -2])
    np.testing.assert_array_equal(frame.columns["d_msd"], np.arange(11, 38) / 4)
    assert frame.columns["vel_3"].tolist() == [3.0] * 27 and frame.columns["fixed"][0] == "T"
    with pytest.raises(InputError, match="--boundary does not agree with the file: p f p"):
        frames_of(tmp_path, xyz(comment, rows), boundary=(True, True, True))
    # a Lattice alone is periodic, or as is said; without one nothing is sure
    for more, periodic in (({}, True), ({"boundary": (False,) * 3}, False)):
        frame, = frames_of(tmp_path, xyz(), **more)
        assert frame.box.periodic.tolist() == [periodic] * 3
    cluster = xyz("a cluster, 27 atoms").replace("Cu 0 0", "cu -3 0")
    with pytest.raises(InputError, match="frame 0: it tells no cell: give one .*or --boundary \"f f f\""):
        frames_of(tmp_path, cluster)
    frame, = frames_of(tmp_path, cluster, boundary=(False,) * 3)
    assert not frame.box.periodic.any() and frame.elements == ("Cu",)
    np.testing.assert_allclose(frame.box.edges, np.diag([8, 5, 5]))
    assert frame.origin.tolist() == [-3, 0, 0] and frame.positions[0].tolist() == [0, 0, 0]


def test_what_lammps_writes_as_plain_xyz_is_not_taken_for_a_cluster(tmp_path):
    """It has no cell, and numbers in the place of symbols where the deck names none."""
    deck = DECK[:DECK.index("dump plain")] + ("dump a all xyz 1 types.xyz\ndump b all xyz 1 named.xyz\n"
                                              "dump_modify b element Cu Zr\nrun 0\n")
    assert run_lammps(tmp_path, deck).returncode == 0
    for name, message in (("types.xyz", "is no symbol of an element: .* dump_modify ID element Cu Zr"),
                          ("named.xyz", "it tells no cell")):
        with pytest.raises(InputError, match=message):
            list(read_frames(tmp_path / name))


STYLES = ("atomic", "charge", "bond", "angle", "molecular", "full")


def test_data_files_of_each_atom_style_of_lammps(tmp_path):
    """data.NAME and NAME.data, with and without velocities, as write_data writes them."""
    deck = DECK[:DECK.index("dump plain")]
    done = run_lammps(tmp_path, "clear\n".join(
        deck.replace("atom_style atomic", f"atom_style {style}") + "run 0\n"
        f"write_data {style}.data nocoeff\nvelocity all set NULL NULL 0\nwrite_data data.{style} nocoeff\n"
        f"write_dump all custom {style}.dump id type x y z modify format float %.17g\n"
        for style in STYLES))
    assert done.returncode == 0, done.stdout[-2000:]
    for style in STYLES:
        a, = read_frames(tmp_path / f"{style}.dump")
        for name in (f"{style}.data", f"data.{style}"):
            assert re.search(rf"^Atoms +# {style}$", (tmp_path / name).read_text(), re.MULTILINE)
            b, = read_frames(tmp_path / name)
            np.testing.assert_array_equal(b.types, a.types)
            np.testing.assert_array_equal(b.box.edges, a.box.edges)
            np.testing.assert_allclose(b.positions, a.positions, rtol=1e-15, atol=0)


def test_cells_with_missing_edges_are_completed_across_the_others(tmp_path):
    x = np.array([row.split()[1:] for row in ROWS.splitlines()], dtype=float)
    cell = np.array([[5.0, 5.0, 0], [0, 0, 0], [0, 0, 7.5]])
    atoms = ase.Atoms("Cu27", x, cell=cell, pbc=(True, False, True))
    atoms.write(tmp_path / "film.traj")
    frame, = read_frames(tmp_path / "film.traj")
    assert frame.box.periodic.tolist() == [True, False, True]
    edges = frame.box.edges
    np.testing.assert_array_equal(edges[[0, 2]], cell[[0, 2]])
    np.testing.assert_allclose(edges[1] @ cell.T, 0, atol=1e-12)
    assert np.linalg.det(edges) > 0
    along = frame.fractional[:, 1]
    np.testing.assert_allclose([along.min(), along.max()], [0, 1], atol=1e-12)


def test_boundaries_are_those_of_the_file_or_of_the_user_where_it_tells_none(written):
    frame, = read_frames(written / "POSCAR.vasp", (True, True, False))
    assert frame.box.periodic.tolist() == [True, True, False]
    with pytest.raises(InputError, match="ase.traj, frame 0: --boundary does not agree with the file: p p p"):
        list(read_frames(written / "ase.traj", (True, True, False)))


def test_xyz_cut_anywhere_gives_its_whole_frames_or_nothing(tmp_path):
    rng = np.random.default_rng(3)
    text = "".join(xyz(f"{LATTICE} {POS} Timestep={step}", "".join(
        f"{('Cu', 'Zr')[k % 2]} " + " ".join(f"{v:.17g}" for v in x) + "\n"
        for k, x in enumerate(7 * rng.random((11, 3))))) for step in (0, 10))
    whole, read = frames_of(tmp_path, text), 0
    for k in range(1, len(text)):
        try:
            found = frames_of(tmp_path, text[:k])
        except InputError:
            continue
        read += 1
        for a, b in zip(found, whole):
            assert a.step == b.step
            np.testing.assert_array_equal(a.positions, b.positions)
    assert len(whole) == 2 and 1 <= read <= 3


# What cannot be read -------------------------------------------------------------------------------

@pytest.mark.parametrize("name, content, message", [
    ("notes.txt", b"dear diary\n\ntoday nothing happened\n", "neither a LAMMPS text dump or data file "
     "nor extended XYZ, and ASE does not know it"),
    ("picture.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(50), "binary dump or damaged file"),
    ("restart.1000", b"LammpS RestartT\0\1\0\0\0" + bytes(50), "binary dump or damaged file: write a"),
    ("cut.dump.xz", lzma.compress(b"ITEM: TIMESTEP\n0\n" * 999)[:60], "end-of-stream|truncated|ended"),
    ("not.bz2", b"ITEM: TIMESTEP\n", "not compressed, or damaged at its start"),
    ("bad.dump.bz2", b"BZh91AY&SY" + bytes(40), "Invalid data stream"),
    ("bad.xz", b"\xfd7zXZ\0" + bytes(40), "[Cc]orrupt|[Uu]nsupported"),
    ("a.cif", b"data_x\n_cell_length_a 3\nloop_\n_atom_site_label\n", "ASE finds no atoms in it .cif."),
    ("POSCAR", b"Cu\n1.0\n3 0 0\n0 3\n", "ASE cannot read it .vasp.: "),
])
def test_files_that_nobody_reads_are_refused_in_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    done = subprocess.run([BIN / "mgml", "featurize", tmp_path / name, "--features", "cn", "--elements",
                           "Cu Zr", "-o", tmp_path / "f.h5"], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert re.search(message, done.stderr) and name in done.stderr
    assert not (tmp_path / "f.h5").exists()


def test_without_ase_its_formats_are_refused_with_the_remedy_and_xyz_is_read(written):
    code = ("import sys; sys.modules['ase'] = None\nfrom lammps_mgml.io.dump import read_frames\n"
            "print(len(list(read_frames('all.xyz'))))\n"
            "for name in ('ase.traj', 'POSCAR.vasp'):\n"
            "    try:\n        list(read_frames(name))\n    except ValueError as e:\n        print(e)")
    done = subprocess.run([sys.executable, "-c", code], cwd=written, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert lines[0] == "2" and len(lines) == 3, done.stderr
    assert all(line.endswith("need the package ase: pip install 'lammps-mgml[ase]'") for line in lines[1:])


def test_types_that_are_all_carbon_are_refused(tmp_path):
    """LAMMPS writes C for every type where the deck has no dump_modify element."""
    deck = DECK[:DECK.index("dump plain")] + ("dump out all custom 1 out.dump id type element x y z\n"
                                              "run 0\n")
    assert run_lammps(tmp_path, deck).returncode == 0
    words = [BIN / "mgml", "featurize", tmp_path / "out.dump", "--features", "cn", "-o",
             tmp_path / "f.h5"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "all types are C, as LAMMPS writes where the deck names none: dump_modify" in done.stderr
    done = subprocess.run([*words, "--elements", "Cu Zr"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# Long files ------------------------------------------------------------------------------------------

STREAM = """
import resource, sys
from lammps_mgml.io.dump import read_frames
frames = read_frames(sys.argv[1])
next(frames)
first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
n = 1 + sum(1 for _ in frames)
print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - first)
"""


def grown(path):
    """(frames, kB of memory that reading all of them takes beyond the first)."""
    done = subprocess.run([sys.executable, "-c", STREAM, path], capture_output=True, text=True,
                          check=True)
    return tuple(map(int, done.stdout.split()))


@pytest.mark.parametrize("name, times", [("told.dump", 300), ("all.xyz", 300)])
def test_long_files_are_read_frame_by_frame(written, tmp_path, name, times):
    """20 MB: no more memory than for a few frames of them."""
    text = (written / name).read_bytes()
    (tmp_path / name).write_bytes(text * times)
    assert (tmp_path / name).stat().st_size > 18e6
    frames, more = grown(tmp_path / name)
    assert frames == 2 * times and more < 4000


@pytest.mark.slow
def test_a_dump_above_one_gigabyte_is_read_in_the_memory_of_a_frame(written, tmp_path):
    text = gzip.decompress((GLASS.parent / "glasses/glass-13.z-compression.dump.gz").read_bytes())
    times = int(1.1e9 / len(text)) + 1
    with gzip.open(tmp_path / "long.dump.gz", "wb", compresslevel=1) as file:
        for _ in range(times):
            file.write(text)
    frames, more = grown(tmp_path / "long.dump.gz")
    assert frames == times * text.count(b"ITEM: TIMESTEP") and more < 30_000
