"""Glasses of one to six elements, from features to a model in a deck."""
from dataclasses import replace

import numpy as np
import pytest
from decks import GLASS, ROOT, mgml, run_lammps

import lammps_mgml
from lammps_mgml.errors import InputError
from lammps_mgml.features import catalogue
from lammps_mgml.io.dump import read_data, read_dump
from lammps_mgml.io.glass import read_glass, write_glass
from lammps_mgml.io.table import read_table
from lammps_mgml.models.model import load_model
from lammps_mgml.plasticity.d2min import d2min
from lammps_mgml.system.elements import MASSES
from lammps_mgml.train.dataset import read_loadings
from lammps_mgml.train.fit import one_system

ALLOY = ("Zr", "Cu", "Ni", "Al", "Ti", "Be")
GLASSES = [ROOT / "inputs" / "glasses" / f"glass-{k}.h5" for k in (11, 12, 13)]


def named(glass, k):
    """The glass with ``k`` elements, dealt out at random."""
    types = np.random.default_rng(3).integers(1, k + 1, len(glass)).astype(np.int32)
    loadings = tuple(x for x in glass.loadings if x.name == "z-compression")
    return replace(glass, elements=ALLOY[:k], types=types, loadings=loadings)


@pytest.mark.parametrize("k", [1, 3, 4, 6])
def test_features_of_any_number_of_elements(k):
    frame = read_data(GLASS)
    take = np.arange(1000)              # of a box too large for them: a cluster with open cells
    x, box = frame.positions[take], frame.box.edges
    types = np.random.default_rng(k).integers(1, k + 1, len(x))
    elements = ALLOY[:k]
    assert len(catalogue(elements)) == 674 + 36 * k
    found = lammps_mgml.featurize(x, types, box, (False,) * 3, "all,density", elements)
    assert found.shape[1] == 674 + 36 * k + 9 * k
    # in another order the same numbers, under other columns; element_type counts the elements
    order = np.random.default_rng(1).permutation(k)
    turned = tuple(np.array(elements)[order].tolist())
    again = lammps_mgml.featurize(x, np.argsort(order)[types - 1] + 1, box, (False,) * 3,
                                  "all,density", turned)
    names = lammps_mgml.feature_names("all,density", elements)
    others = lammps_mgml.feature_names("all,density", turned)
    columns = [others.index(n) for n in names]
    plain = [n for n, name in enumerate(names) if not name.startswith("element_type")]
    np.testing.assert_allclose(again[:, columns][:, plain], found[:, plain], rtol=1e-10, atol=1e-12)


@pytest.fixture(scope="module", params=[4, pytest.param(1, marks=pytest.mark.slow)])
def trained(request, tmp_path_factory):
    """(k, folder, model file) of a model of k elements."""
    k, folder = request.param, tmp_path_factory.mktemp(f"elements{request.param}")
    for path in GLASSES:
        write_glass(folder / path.name, named(read_glass(path), k))
    mgml("train", folder / "glass-11.h5", folder / "glass-12.h5", "--unseen",
         folder / "glass-13.h5", "-o", folder / "m.mgml")
    return k, folder, folder / "m.mgml"


def test_training_takes_elements_and_masses_from_the_glasses(trained):
    k, folder, path = trained
    model = load_model(path)
    assert model.elements == ALLOY[:k] and model.name == "".join(ALLOY[:k]).lower()
    assert model.card["masses"] == [MASSES[e] for e in ALLOY[:k]]
    assert set(model.card["scores"]["loadings"]["glass-13.z-compression"]["auc_by_type"]) == set(
        ALLOY[:k])
    text = mgml("score", "cuzr", folder / "glass-13.h5", ok=False)
    assert f"elements {' '.join(ALLOY[:k])}, not Cu Zr" in text


def test_a_deck_table_and_report_of_these_elements(trained):
    k, folder, path = trained
    frame = read_data(GLASS)
    types = named(read_glass(GLASSES[0]), k).types
    rows = "".join(f"{i} {t} {x:.17g} {y:.17g} {z:.17g}\n" for i, t, (x, y, z) in zip(
        range(1, len(types) + 1), types, frame.positions))
    bounds = "".join(f"0 {e:.17g} {a}lo {a}hi\n" for a, e in zip("xyz", np.diag(frame.box.edges)))
    masses = "".join(f"{t} {MASSES[e]}\n" for t, e in enumerate(ALLOY[:k], start=1))
    (folder / "k.data").write_text(f"a glass\n\n{len(types)} atoms\n{k} atom types\n\n{bounds}\n"
                                   f"Masses\n\n{masses}\nAtoms # atomic\n\n{rows}")
    done = run_lammps(folder, f"""units metal
atom_style atomic
boundary p p p
read_data k.data
pair_style lj/cut 4.5
pair_coeff * * 0.1 2.3
variable mgml_model string {path}
variable mgml_features string cn,csro
variable mgml_features_file string k.h5
variable mgml getenv MGML_DECK
include ${{mgml}}
fix sq all python/invoke 1 end_of_step softness
run 0
WRITE
change_box all z scale 0.96 remap
displace_atoms all random 0.3 0.3 0.3 17 units box
reset_timestep 10
run 0
WRITE
""".replace("WRITE", f"write_dump all custom k.dump id type element x y z d_sq d_d2min d_eta i_site "
            f"modify sort id element {' '.join(ALLOY[:k])} format float %.17g append yes"))
    assert not done.returncode, done.stdout[-1500:]
    assert f"types {' '.join(ALLOY[:k])}, D2min within 4.5 A" in done.stdout
    first, last = read_dump(folder / "k.dump")
    assert first.elements == ALLOY[:k]
    expected = lammps_mgml.softness(frame.positions, types, frame.box.edges, model=path)
    np.testing.assert_allclose(first.columns["d_sq"], expected, atol=1e-9)
    d2 = d2min(first.positions, first.box.edges, last.positions, last.box.edges)
    np.testing.assert_allclose(last.columns["d_d2min"], d2.d2min, rtol=1e-6, atol=1e-9)
    table = read_table(folder / "k.h5", 0)
    assert table["attributes"]["elements"].tolist() == list(ALLOY[:k])
    assert f"number_{ALLOY[k - 1].lower()}_voro" in table["names"]
    text = mgml("report", folder / "k.dump", "-o", folder / "k.png", "--csv", folder / "k.csv")
    assert "0.0400" in text
    words = {line.split(",")[1] for line in (folder / "k-map.csv").read_text().split()[1:]}
    assert words == set(ALLOY[:k])


def test_glasses_of_different_elements_or_lengths_are_not_mixed(tmp_path):
    glass = read_glass(GLASSES[0])
    write_glass(tmp_path / "a.h5", named(glass, 4))
    write_glass(tmp_path / "b.h5", replace(named(glass, 4), name="b", lengths=replace(
        glass.lengths, near_cutoff=3.7)))
    with pytest.raises(InputError, match="elements Cu Zr, not Zr Cu Ni Al"):
        read_loadings([tmp_path / "a.h5", GLASSES[1]])
    with pytest.raises(InputError, match="near_cutoff 4 and 3.7.* same; give them in .cutoffs"):
        read_loadings([tmp_path / "a.h5", tmp_path / "b.h5"])
    write_glass(tmp_path / "c.h5", replace(glass, elements=("Cu", "Zr", "Al")))
    with pytest.raises(InputError, match="no glass has an atom of Al"):
        one_system(read_loadings([tmp_path / "c.h5"]))
    assert read_glass(tmp_path / "c.h5").lengths == glass.lengths


def test_elements_come_from_masses_and_are_not_taken_in_another_order(tmp_path):
    text = ("a cell\n\n2 atoms\n2 atom types\n\n0 3 xlo xhi\n0 3 ylo yhi\n0 3 zlo zhi\n\nMasses\n\n"
            "1 91.22\n2 26.98\n\nAtoms # atomic\n\n1 1 0 0 0\n2 2 1.5 1.5 1.5\n")
    path = tmp_path / "zral.data"
    path.write_text(text)
    assert read_data(path).elements == ("Zr", "Al")
    assert "number_al_voro" in mgml("featurize", path, "--features", "csro")
    message = mgml("featurize", path, "--features", "cn", "--elements", "Al Zr", ok=False)
    assert "the mass of type 1 is that of Zr, not of Al" in message
    path.write_text(text.replace("26.98", "58.7"))       # nickel or cobalt
    assert read_data(path).elements is None
    path.write_text(text.replace("units", "").replace("a cell", "a cell, units = lj"))
    assert read_data(path).elements is None
