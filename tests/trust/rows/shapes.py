"""Boxes, surfaces, few atoms, symmetry, known answers: R8 to R12."""
import numpy as np

from ..launch import EAM, LJ, lines, small, system
from ..offline import read, verify
from ..table import row
from .ranks import NVE, PUSH


@row("R8", "Tilted and flipped boxes, any origin",
     "An orthogonal glass as triclinic, tilted, sheared through several flips (xy and xz), with its "
     "origin at -37.5 and 1000 A, on 1 and 2 ranks.", 90, 40)
def r8(case):
    data = small(case.folder, 6, "eam")
    tri = "change_box all triclinic\n"
    decks = {
        "triclinic": (tri, "", 10),
        "tilted": (tri + "change_box all xy final 3.0 xz final -2.0 yz final 2.5 remap units box\n",
                   "", 10),
        "flips xy": (tri, "fix load all deform 1 xy erate 10.0 remap x\n", 150),
        "flips xz": (tri, "fix load all deform 1 xz erate -10.0 remap x flip yes\n", 150),
        "origin": ("change_box all x delta -37.5 -37.5 y delta 1000 1000\n"
                   "displace_atoms all move -37.5 1000 0 units box\n", "", 10),
    }
    flips = 0
    for install in case.installs():
        for name, (before, load, steps) in decks.items():
            for ranks in case.pick((2,), (1, 2)):
                folder = case.sub(f"{install.name}-{name}-{ranks}".replace(" ", ""))
                deck = system(data) + before + PUSH + NVE + load + lines(5) + f"run {steps}\n"
                if case.attempt(install.must, folder, deck, ranks, out="o.dump"):
                    case.judge(verify(folder / "o.dump", due=lambda step: True),
                               f"{install.name} {name}")
                    tilt = [f.edges[1:, 0] for f in read(folder / "o.dump")]
                    flips += int((abs(np.diff(tilt, axis=0)) > 8).sum())
    case.expect(flips > 0, "no box flipped")
    case.say(f"{flips} flips")


@row("R9", "Small cells and few atoms",
     "1, 2, 4 and 32 atoms in periodic cells down to 2.6 A, and alone in a large box: right or "
     "refused.", 60, 40)
def r9(case):
    head = "units metal\natom_style atomic\nboundary {boundary}\n"
    mass = f"mass 1 63.546\nmass 2 91.224\n{LJ}neighbor 1.0 bin\ntimestep 0.0005\n"
    cells = {
        "1 sc": "lattice sc 2.6\nregion b block 0 1 0 1 0 1\ncreate_box 2 b\ncreate_atoms 1 box\n",
        "2 bcc": "lattice bcc 3.0\nregion b block 0 1 0 1 0 1\ncreate_box 2 b\ncreate_atoms 1 box\n",
        "4 fcc": "lattice fcc 3.7\nregion b block 0 1 0 1 0 1\ncreate_box 2 b\ncreate_atoms 1 box\n",
        "4 flat": "lattice fcc 3.7\nregion b block 0 1 0 1 0 4\ncreate_box 2 b\n"
                  "region s block 0 1 0 1 0 1\ncreate_atoms 1 region s\n",
        "32 fcc": "lattice fcc 3.7\nregion b block 0 2 0 2 0 2\ncreate_box 2 b\ncreate_atoms 1 box\n",
        "1 alone": "region b block 0 30 0 30 0 30\ncreate_box 2 b\ncreate_atoms 1 single 3 3 3\n",
        "2 alone": "region b block 0 30 0 30 0 30\ncreate_box 2 b\ncreate_atoms 1 single 3 3 3\n"
                   "create_atoms 2 single 5.6 3 3\n",
        "0": "region b block 0 30 0 30 0 30\ncreate_box 2 b\n",
    }
    shake = "displace_atoms all random 0.05 0.05 0.05 99 units box\n"
    refused = 0
    for install in case.installs():
        for name, cell in cells.items():
            for boundary in case.pick(("p p p",), ("p p p", "f p p", "f f f")):
                folder = case.sub(f"{install.name}-{name}-{boundary}".replace(" ", ""))
                deck = (head.format(boundary=boundary) + cell + mass + shake
                        + "velocity all create 300 7 loop geom\n" * (name != "0") + NVE + lines(2)
                        + "run 4\n")
                done = install.run(folder, deck, 1, out="o.dump")
                if done.code != 0:
                    refused += 1
                    case.expect("ERROR" in done.text and "Traceback" not in done.text,
                                f"{install.name}, {name}, {boundary}: {done.tail()}")
                    case.details.setdefault("refusals", []).append(f"{name} {boundary}: {done.tail(160)}")
                elif read(folder / "o.dump")[0].columns["id"].size:
                    case.judge(verify(folder / "o.dump", due=lambda step: True),
                               f"{install.name} {name} {boundary}")
    case.say(f"{refused} cells refused with one message")


@row("R10", "Surfaces, voids, lone atoms, wires",
     "Slab, wire, cluster, a void and a lone atom over a slab, with periodic, fixed, shrinking and "
     "minimum faces: finite where the cell is closed, else NaN with a flag.", 90, 40)
def r10(case):
    data = small(case.folder, 8, "eam")
    wide = "change_box all x delta -12 12\n"
    shapes = {
        "slab p": ("p p p", wide), "slab f": ("f p p", wide), "slab s": ("s p p", ""),
        "slab m": ("m p p", ""), "wire": ("f f p", "change_box all x delta -12 12 y delta -12 12\n"),
        "cluster": ("s s s", ""),
        "void": ("p p p", "region hole sphere 10 10 10 6 units box\ndelete_atoms region hole compress no\n"),
        "lone atom": ("f p p", "change_box all x delta -12 25\ncreate_atoms 1 single "
                      "$(xhi-8) $(ly/2) $(lz/2) units box\n"),
    }
    open_cells = 0
    for install in case.installs():
        for name, (boundary, make) in shapes.items():
            for ranks in case.pick((2,), (1, 4)):
                folder = case.sub(f"{install.name}-{name}-{ranks}".replace(" ", ""))
                pair = EAM
                deck = (system(data, pair, boundary="p p p") +
                        (f"change_box all boundary {boundary}\n" if boundary != "p p p" else "")
                        + make + PUSH + NVE + lines(5) + "run 10\n")
                if case.attempt(install.must, folder, deck, ranks, out="o.dump"):
                    case.judge(verify(folder / "o.dump", due=lambda step: True),
                               f"{install.name} {name}")
                    open_cells += int((read(folder / "o.dump")[-1].columns["i_site"].astype(int)
                                       & 1 > 0).sum())
    case.expect(open_cells > 100, "no surface was found open")
    case.say(f"{open_cells} open cells flagged")


def _glass(case):
    return read_data(small(case.folder, 8, "eam"))


def read_data(path):
    """(positions, types, edges) of a data file of ours."""
    from lammps_mgml.io.dump import read_data as read

    frame = read(path)
    return np.array(frame.positions), frame.types, np.array(frame.box.edges)


@row("R11", "Rotation, inversion, translation, order of atoms",
     "All features and the softness of 512 atoms by the Python API, after each of these.", 60, 30)
def r11(case):
    from scipy.spatial.transform import Rotation

    import lammps_mgml

    x, types, edges = _glass(case)
    base = lammps_mgml.featurize(x, types, edges, features="all")
    soft = lammps_mgml.softness(x, types, edges)
    turn = Rotation.from_rotvec([0.3, -0.8, 0.5]).as_matrix()
    order = np.random.default_rng(3).permutation(len(x))
    moves = {"rotation": (x @ turn, types, edges @ turn, slice(None)),
             "inversion": (-x, types, -edges, slice(None)),
             "translation": (x + [3.3, -7.1, 0.4], types, edges, slice(None)),
             "order": (x[order], types[order], edges, order),
             "images": (x + edges[0] * 2 - edges[2], types, edges, slice(None))}
    for name, (a, t, e, at) in moves.items():
        f, s = lammps_mgml.featurize(a, t, e, features="all"), lammps_mgml.softness(a, t, e)
        off = np.nanmax(np.abs(f - base[at]) / np.fmax(1, np.abs(base[at])))
        flips = int((np.abs(s - soft[at]) > 1e-9).sum())
        case.expect(off < 1e-9 and np.array_equal(np.isnan(f), np.isnan(base[at])),
                    f"{name}: features differ by {off:.1e}")
        case.expect(flips <= 1, f"{name}: softness of {flips} atoms differs")
        case.say(f"{name} {off:.1e}")


@row("R12", "Known answers",
     "sc, bcc, fcc have 6, 14, 12 facets; the cells of a random gas fill the box; D2min of an affine "
     "map and of a rotation is 0.", 30, 20)
def r12(case):
    import lammps_mgml
    from lammps_mgml import feature_names, featurize

    rng = np.random.default_rng(2)
    for name, basis, a, facets in (
            ("sc", [(0, 0, 0)], 2.9, 6), ("bcc", [(0, 0, 0), (.5, .5, .5)], 2.9, 14),
            ("fcc", [(0, 0, 0), (.5, .5, 0), (.5, 0, .5), (0, .5, .5)], 3.6, 12)):
        grid = np.stack(np.meshgrid(*[np.arange(4)] * 3), axis=-1).reshape(-1, 1, 3)
        x = ((grid + np.array(basis)).reshape(-1, 3) + 0.2) * a + 0.0
        x += rng.uniform(-1e-7, 1e-7, x.shape)
        cn = featurize(x, np.arange(len(x)) % 2 + 1, [4 * a] * 3, features="cn_voro")[:, 0]
        case.expect((cn == facets).all(), f"{name}: {np.unique(cn)} facets, not {facets}")
    x, edges = rng.random((2000, 3)) * 28.0, np.eye(3) * 28.0
    at = list(feature_names("voronoi_volume"))
    volume = featurize(x, np.ones(2000, int), edges, features=",".join(at), normalize=False,
                       small_facet=0.0, open_radius=20.0)
    off = abs(volume.sum() / 28.0**3 - 1)
    case.expect(off < 1e-12, f"the cells of a gas miss the box by {off:.1e}")
    case.say(f"volume of a gas to {off:.1e}")
    g, types, e = _glass(case)
    f = np.eye(3) + rng.normal(0, 0.05, (3, 3))
    d = lammps_mgml.d2min(g, e, g @ f, e @ f).d2min.max()
    from scipy.spatial.transform import Rotation
    turn = Rotation.from_rotvec([0.3, -0.8, 0.5]).as_matrix()
    r = lammps_mgml.d2min(g, e, g @ turn, e @ turn)
    case.expect(max(d, r.d2min.max()) < 1e-20 and r.eta.max() < 1e-12, f"affine map: D2min {d:.1e}")
    case.say(f"D2min of affine maps {max(d, r.d2min.max()):.1e} A^2")
