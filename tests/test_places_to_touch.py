"""What a newcomer must touch: a place for a statistic of facets, a class and a line for a family.

Run under mpirun, this file compares the family's features on all ranks with those on one.
"""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from decks import BIN, ROOT, environment
from glasses import crystal, glass, liquid, slab
from reference import neighbour_lists
from scipy.spatial import cKDTree

from lammps_mgml import catalogue, features, featurize
from lammps_mgml.api import sites
from lammps_mgml.cli import main
from lammps_mgml.errors import MissingInputError, OptionError
from lammps_mgml.families.averages import averaged, levels
from lammps_mgml.families.family import STATISTICS, Family, Feature, Set
from lammps_mgml.pipeline import PARAMETERS, site_features
from lammps_mgml.system.atoms import periodic_atoms
from lammps_mgml.system.box import Box

# A statistic of facets

PLACE = 'site = partial(self.site, neighbours="voro")\n'
STATISTIC = """
        yield (site("facet_area_span", "facet_area_stats", AREA, "max - min of A_ij / <A>",
                    mean="area"), lambda facets: facets.max(facets.area) - facets.min(facets.area))
"""
SPAN = "facet_area_span,facet_area_span_mean_nn,facet_area_span_diff_nn,facet_area_mean"
SCRIPT = f"""
import sys
import numpy as np
from lammps_mgml import catalogue, featurize
from lammps_mgml.cli import main
system = np.load("system.npz")
np.savez("found.npz", n=len(catalogue()), features=featurize(*system.values(), features="{SPAN}"))
sys.exit(main(["features", "facet_area_stats"]))
"""


@pytest.mark.parametrize("system", [lambda: slab(liquid()), lambda: crystal("fcc", 4, noise=0.1)])
def test_a_statistic_of_facets_is_added_in_one_place(tmp_path, system):
    system = system()
    package = tmp_path / "lammps_mgml"
    shutil.copytree(ROOT / "lammps_mgml", package, ignore=shutil.ignore_patterns("__pycache__"))
    file = package / "families" / "facets.py"
    text = file.read_text()
    assert text.count(PLACE) == 1
    file.write_text(text.replace(PLACE, PLACE + STATISTIC))

    np.savez(tmp_path / "system.npz", *system)
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True,
                          text=True, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert "facet_area_span " in done.stdout and "max - min of A_ij / <A>" in done.stdout
    found = np.load(tmp_path / "found.npz")
    assert found["n"] == len(catalogue()) + 1 + 4 + 1     # itself, over the neighbours, difference

    is_open, facets, _ = neighbour_lists(system, PARAMETERS["small_facet"], 4.0)
    mean = np.concatenate([f[0] for f, o in zip(facets, is_open) if not o]).mean()
    span = np.array([np.nan if o else np.ptp(f[0]) / mean for f, o in zip(facets, is_open)])
    over = np.array([np.nan if o else span[f[-1]].mean() for f, o in zip(facets, is_open)])
    assert 0.3 < np.isfinite(over).mean() and span[~is_open].min() > 0
    np.testing.assert_allclose(found["features"].T[:3], [span, over, over - span], rtol=1e-11,
                               atol=1e-12)


# A family


def pairs_of(start, count):
    """(centre, place in the list) of all pairs."""
    first = np.cumsum(count) - count
    return (np.repeat(np.arange(len(count)), count),
            np.arange(count.sum()) + np.repeat(start - first, count))


class Lopsided(Family):
    """The length of the mean vector to the near neighbours; of the mean of these vectors, too."""

    order, title, stage = "LOPSIDED", "how one-sided neighbours lie, not in the paper", "lopsided"
    made_here = ("coarse",)
    sets = {"lopsided": Set("length of the mean vector to the near neighbours", STATISTICS, True),
            "lopsided_coarse": Set("the same of vectors averaged over the near neighbours")}

    def features(self, elements):
        yield self.site("lopsided", "lopsided", "A", "|mean of the vectors|", "dist")
        yield Feature("lopsided_cg", "lopsided_coarse", self.order, "A", "|mean of the mean vectors|",
                      "lopsided", "coarse", "dist")

    def plan(self, at, asked, elements):
        return at.get("lopsided"), [k for k, f in asked.items() if f.statistic == "coarse"]

    def fill(self, work, plan, table, sums):
        column, coarse = plan
        start, count, neighbour = work.lists["dist"]
        x, n_own = work.atoms.positions, work.atoms.n_own
        i, at = pairs_of(start, count)
        away = x[neighbour[at]] - x[i]
        vectors = np.zeros((work.n_rows, 3))
        with np.errstate(invalid="ignore"):
            for axis in range(3):
                vectors[:n_own, axis] = np.bincount(i, away[:, axis], n_own) / count
        if column is not None:
            table[:n_own, column] = np.linalg.norm(vectors[:n_own], axis=1)
        if coarse:
            yield vectors
            mean = averaged(vectors, work.rows["dist"], work.n_rows)[:n_own]
            return [(coarse, np.linalg.norm(mean, axis=1)[:, None], np.zeros(1, int))]


class Fields(Family):
    """The sum of charge / distance over all atoms within 9 A, and its averages."""

    order, title, stage = "FIELDS", "of charges, not in the paper", "fields"
    averaged, reach = True, 9.0
    inputs = {"charge": "the charge of each atom"}
    sets = {"field": Set("potential of the charges within 9 A, and averages")}

    def features(self, elements):
        return levels([self.site("field", "field", "e/A", "sum of q_j / r_ij", needs=("charge",))],
                      one_set=True)

    def fill(self, work, plan, table, sums):
        n_own, x = work.atoms.n_own, work.atoms.positions
        table[:n_own, 0] = work.inputs["charge"]
        yield table
        charge = table[work.row_of, 0]
        pairs = cKDTree(x).query_pairs(self.reach, output_type="ndarray")
        i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
        i, j = i[i < n_own], j[i < n_own]
        table[:n_own, 0] = np.bincount(i, charge[j] / np.linalg.norm(x[j] - x[i], axis=1), n_own)


@pytest.fixture
def registered():
    families = Lopsided(), Fields()
    for family in families:
        features.register(family)
    yield
    for family in families:
        features.unregister(family)


def around(system, reach):
    """Positions with images, the atom that each is, and for each atom those within ``reach``."""
    atoms, owner = periodic_atoms(system.positions, system.types,
                                  Box.make(system.edges, system.pbc), reach)
    own = np.concatenate([np.arange(atoms.n_own), owner])
    balls = cKDTree(atoms.positions).query_ball_point(atoms.positions[:atoms.n_own], reach)
    return atoms.positions, own, [np.array([j for j in ball if j != i], int)
                                  for i, ball in enumerate(balls)]


@pytest.mark.parametrize("system", [liquid, lambda: slab(liquid())])
def test_a_family_is_one_class_and_one_line(registered, capsys, system):
    system = system()
    names = features.resolve("lopsided,lopsided_coarse,field,cn_dist")
    assert names == ("lopsided", "lopsided_cg", "field", "field_avg", "field_avg2", "cn_dist")
    over = ("lopsided_std_nn", "lopsided_min_nn", "lopsided_diff_nn")
    charge = np.random.default_rng(8).normal(size=len(system.types))
    found = dict(zip((*names, *over), featurize(
        system.positions, system.types, system.edges, system.pbc, (*names, *over),
        charge=charge).T))

    x, own, near = around(system, 4.0)
    n = len(charge)
    vector = np.array([(x[j] - x[i]).mean(axis=0) for i, j in enumerate(near)])
    length = np.linalg.norm(vector, axis=1)
    coarse = np.array([(vector[i] + vector[own[j]].sum(axis=0)) / (len(j) + 1)
                       for i, j in enumerate(near)])
    y, self, far = around(system, 9.0)
    field = np.array([(charge[self[j]] / np.linalg.norm(y[j] - y[i], axis=1)).sum()
                      for i, j in enumerate(far)])
    once = np.array([(field[i] + field[own[j]].sum()) / (len(j) + 1) for i, j in enumerate(near)])
    expected = {
        "lopsided": length, "lopsided_cg": np.linalg.norm(coarse, axis=1), "field": field,
        "field_avg": once,
        "lopsided_std_nn": np.array([length[own[j]].std() for j in near]),
        "lopsided_min_nn": np.array([length[own[j]].min() for j in near]),
        "lopsided_diff_nn": np.array([length[own[j]].mean() for j in near]) - length}
    is_open = np.isnan(found["cn_dist"])
    assert is_open.any() == (not all(system.pbc)) and (~is_open).sum() > 0.4 * n
    for name, values in expected.items():
        np.testing.assert_allclose(found[name][~is_open], values[~is_open], rtol=1e-9, atol=1e-11,
                                   err_msg=name)
        assert np.isnan(found[name][is_open]).all()

    assert main(["features"]) == 0
    text = capsys.readouterr().out
    for line in ("LOPSIDED: 7 how one-sided neighbours lie", "neighbours' statistics of lopsided",
                 "FIELDS: 3 of charges", "sro, mro, pair, elastic, fields."):
        assert line in text
    assert features.needs(("field_avg",), ("Cu", "Zr")) == {"charge"}
    assert features.reach(("field_avg",), ("Cu", "Zr"), PARAMETERS) == pytest.approx(9.0, rel=2e-3)
    with pytest.raises(MissingInputError, match="feature field takes charge, .* the charge of each"):
        featurize(system.positions, system.types, system.edges, system.pbc, "field")


def test_the_paper_stays_what_it_is(registered):
    assert len(catalogue()) == 746 and len(features.resolve("pair,mro")) == 108 + 623
    assert features.reach(("cn_voro",), ("Cu", "Zr"), PARAMETERS) == pytest.approx(7.2, rel=2e-3)
    assert features.needs(features.resolve("all,density"), ("Cu", "Zr")) == set()
    with pytest.raises(OptionError, match="feature lopsided is there already"):
        features.register(Lopsided())


def test_a_family_that_is_gone_is_gone():
    with pytest.raises(OptionError, match="unknown feature 'lopsided'"):
        features.resolve("lopsided")


def test_a_family_on_three_ranks():
    env = {**environment(3), "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([BIN / "mpirun", "-np", "3", sys.executable, __file__], env=env,
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.count("the same") == 3, done.stdout + done.stderr


def on_ranks():
    """Each rank compares the features of its atoms with those of the whole system."""
    from mpi4py import MPI

    from lammps_mgml.system.mpi import MpiDomain

    for family in (Lopsided(), Fields()):
        features.register(family)
    system, elements = glass(), ("Cu", "Zr")
    box, comm = Box.make(system.edges), MPI.COMM_WORLD
    names = features.resolve("lopsided,lopsided_coarse,lopsided_stats_nn,field,boop_q6_cg_dist")
    charge = np.random.default_rng(8).normal(size=len(system.types))
    own = np.floor(box.fractional(system.positions)[:, 1] % 1.0 * comm.size) == comm.rank
    domain = MpiDomain(comm)
    atoms = domain.surround(np.flatnonzero(own) + 1, system.positions[own],
                            system.types[own].astype(np.int32), box,
                            features.reach(names, elements, PARAMETERS))
    found = site_features(atoms, domain, names, elements, charge=charge[own]).features
    whole = sites(system.positions, system.types, system.edges, system.pbc, names, elements,
                  charge=charge).features[own]
    np.testing.assert_allclose(found, whole, rtol=1e-11, atol=1e-11)
    assert len(found) > 2000 and np.isfinite(found).all()
    print("the same", flush=True)
    domain.close()


if __name__ == "__main__":
    on_ranks()
