"""The catalogue as a user meets it: mgml features, and the page that explains it."""
import csv
import io
import re
import subprocess

import pytest
from decks import BIN, ROOT, mgml

from lammps_mgml.features import TABLE3, by_name, catalogue, set_names


def sizes(elements=("Cu", "Zr")):
    return {name: sum(f.set == name for f in by_name(elements).values()) for name in set_names()}


def test_page_tells_every_set_and_its_size():
    text = (ROOT / "docs" / "features.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([\d K+]+) \|", text, re.MULTILINE)
    assert [name for name, _ in rows] == list(set_names())
    for k, elements in ((1, ("Cu",)), (2, ("Cu", "Zr")), (3, ("Cu", "Zr", "Al"))):
        expected = sizes(elements)
        for name, count in rows:
            assert eval(re.sub(r"(\d+) K", rf"\1 * {k}", count)) == expected[name], name


def test_page_names_features_that_exist():
    text = (ROOT / "docs" / "features.md").read_text()
    known = {f.name for f in catalogue()} | set(set_names())
    kinds = "motif|voronoi_idx|symm|boop|distance|cn|facet_area"
    for name in re.findall(rf"`((?:{kinds})_\w+)`", text):
        name = name.replace("_kfold", "_5fold").replace("idx_k", "idx_5")
        assert name in known, name


def test_overview_lists_every_set():
    text = mgml("features")
    for name, size in sizes().items():
        assert re.search(rf"^  {name} +{size}  \w", text, re.MULTILINE), name
    assert "all: the paper's 746" in text


def test_csv_is_the_catalogue():
    rows = list(csv.DictReader(io.StringIO(mgml("features", "all", "--csv"))))
    assert [tuple(row.values()) for row in rows] == [
        (f.name, f.set, f.order, f.units, f.neighbours, f.definition) for f in catalogue()]


def test_sets_names_and_elements_can_be_asked_for():
    text = mgml("features", "boop_q", "--set", "cn,table3", "--elements", "Zr Cu")
    assert "boop_q10_dist" in text and "cn_voro" in text and "distance_dist_min_min_nn" in text
    assert "motif_ico" not in text
    assert "number_al_voro" in mgml("features", "--elements", "Mg Al", "csro")
    text = mgml("features", "table3").splitlines()
    assert [line.split()[0] for line in text] == list(TABLE3), "by importance, without headings"


@pytest.mark.parametrize("words, message", [
    (["boop_q5_voro"], "unknown feature 'boop_q5_voro' .*did you mean boop_q"),
    (["--elements", "Cu,Zr"], "'Cu,Zr': write symbols with spaces"),
    (["--elements", ""], "'': write symbols with spaces"),
    (["--elements", "Fe", "table3"], "'number_zr_dist_mean_nn' for elements Fe"),
])
def test_wrong_words_end_with_status_1_and_one_line(words, message):
    done = subprocess.run([BIN / "mgml", "features", *words], capture_output=True, text=True)
    assert done.returncode == 1 and not done.stdout
    assert re.search(message, done.stderr) and len(done.stderr.splitlines()) == 1
