"""``mgml featurize``: elements, boundaries, steps, launchers; every end says what happened."""
import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from decks import BIN, GLASS, ROOT

from lammps_mgml.cli.launcher import has_launcher, ranks_told
from lammps_mgml.io.dump import read_data
from lammps_mgml.io.table import read_table, table_steps

LOADED = GLASS.parent / "glasses" / "glass-13.z-compression.dump.gz"


def featurize(*words, before=(), program=(BIN / "mgml",), ok=True, **environment):
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **environment}
    done = subprocess.run([*map(str, (*before, *program, "featurize", *words))], capture_output=True,
                          text=True, env=env)
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def frames():
    """Text of the first frames of a loaded glass."""
    text = gzip.decompress(LOADED.read_bytes()).decode()
    return ["ITEM: TIMESTEP" + part for part in text.split("ITEM: TIMESTEP")[1:4]]


def test_symbols_with_commas_are_told_to_be_separated_by_spaces(tmp_path):
    for wrong, right in (("Zr,Cu", "Zr Cu"), ("Ni;Nb", "Ni Nb"), ("cu zr", "Cu Zr")):
        text = featurize(GLASS, "--elements", wrong, "-o", tmp_path / "f.h5", ok=False)
        assert len(text.splitlines()) == 1
        assert f"separated by spaces, as \"{right}\"" in text


@pytest.mark.parametrize("elements, features, name, instead", [
    ("Ni Nb", (), "number_zr_dist_mean_nn", "number_nb_dist_mean_nn"),
    ("Mg Al", ("--features", "cn_voro,csro_cu_voro"), "csro_cu_voro", "csro_mg_voro"),
    ("Cu Al", ("--features", "density_zr_3_avg"), "density_zr_3_avg", "density_al_3_avg")])
def test_features_of_other_elements_are_refused_with_what_to_write(tmp_path, elements, features, name,
                                                                   instead):
    words = (GLASS, "--elements", elements, "-o", tmp_path / "f.h5")
    text = featurize(*words, *features, ok=False)
    assert len(text.splitlines()) == 1 and text.startswith(f"mgml featurize: {name} counts")
    assert f"the elements are {elements}" in text and instead in text
    advice = text.split("--features ")[1].split()[0]
    featurize(*words, "--features", advice)
    assert len(read_table(tmp_path / "f.h5")["names"]) == advice.count(",") + 1


def test_boundary_of_a_data_file_makes_free_surfaces(tmp_path):
    words = (GLASS, "--features", "cn", "-o", tmp_path / "f.h5")
    featurize(*words)
    table = read_table(tmp_path / "f.h5")
    assert not table["i_site"].any() and table["attributes"]["periodic"].all()
    featurize(*words, "--boundary", "p f p")
    free = read_table(tmp_path / "f.h5")
    assert free["attributes"]["periodic"].tolist() == [True, False, True]
    y = read_data(GLASS).positions[:, 1] % free["attributes"]["box"][1, 1]
    inside = (y > 10) & (y < free["attributes"]["box"][1, 1] - 10)
    assert not free["i_site"][inside].any() and free["i_site"][y < 1].all()
    np.testing.assert_array_equal(free["features"][inside], table["features"][inside])
    for wrong in ("p p", "p p q", "pp pp ff"):
        text = featurize(*words, "--boundary", wrong, ok=False)
        assert f"--boundary {wrong!r}: write it as" in text


def test_table_keeps_the_origin_of_the_file(tmp_path):
    featurize(GLASS, "--features", "cn", "-o", tmp_path / "f.h5")
    origin = read_table(tmp_path / "f.h5")["attributes"]["origin"]
    np.testing.assert_allclose(origin, 0.7621044797141476, rtol=1e-15)


def test_symbols_without_types_give_what_types_give(tmp_path, frames):
    head, rows = frames[1].split("xu yu zu\n")
    rows = [row.split() for row in rows.splitlines()]
    symbols = "\n".join(" ".join((i, ("Cu", "Zr")[int(t) - 1], *x)) for i, t, *x in rows) + "\n"
    (tmp_path / "types.dump").write_text(frames[1])
    (tmp_path / "symbols.dump").write_text(head.replace(" type", " element") + "xu yu zu\n" + symbols)
    tables = []
    for name, *words in (("types",), ("symbols",), ("symbols", "--elements", "Zr Cu"),
                         ("types", "--elements", "Zr Cu")):
        featurize(tmp_path / f"{name}.dump", *words, "--features",
                  "number_zr_voro,csro_cu_dist,boop_q", "-o", tmp_path / "f.h5")
        tables.append(read_table(tmp_path / "f.h5")["features"])
    np.testing.assert_array_equal(tables[1], tables[0])
    np.testing.assert_array_equal(tables[2], tables[0])
    assert (tables[3] != tables[0]).any(), "types are numbered by --elements"


def test_frames_of_one_step_or_out_of_order_are_refused(tmp_path, frames):
    words = (tmp_path / "run.dump", "--features", "cn", "-o", tmp_path / "f.h5")
    (tmp_path / "run.dump").write_text(frames[0] + frames[1] + frames[1] + frames[2])
    text = featurize(*words, ok=False)
    assert "run.dump: frame 2 is of step 10, as frame 1 is" in text and "--frames" in text
    assert not (tmp_path / "f.h5").exists()
    featurize(*words, "--frames", "2:")
    assert table_steps(tmp_path / "f.h5") == [10, 20]
    (tmp_path / "run.dump").write_text(frames[0] + frames[2] + frames[1])
    assert "frame 2 is of step 10, frame 1 of step 20" in featurize(*words, ok=False)


def test_frames_of_other_elements_are_refused(tmp_path, frames):
    def named(frame, symbols):
        head, rows = frame.split("xu yu zu\n")
        return (head.replace("id type", "id type element") + "xu yu zu\n" + "".join(
            f"{i} {t} {symbols[int(t) - 1]} {x}\n"
            for i, t, x in (row.split(" ", 2) for row in rows.splitlines())))
    (tmp_path / "run.dump").write_text(
        named(frames[0], ("Cu", "Zr")) + named(frames[1], ("Ni", "Zr")))
    words = (tmp_path / "run.dump", "--features", "number_zr_voro", "-o", tmp_path / "f.h5")
    text = featurize(*words, ok=False)
    assert "step 10: elements Ni Zr, in the first frame Cu Zr" in text
    assert not (tmp_path / "f.h5").exists()
    featurize(*words, "--elements", "Cu Zr")


def test_tables_of_nothing_but_nan_say_so(tmp_path):
    text = "ITEM: TIMESTEP\n3\nITEM: NUMBER OF ATOMS\n64\nITEM: BOX BOUNDS pp pp pp\n" \
        + "0 4.4\n" * 3 + "ITEM: ATOMS id type xs ys zs\n" + "".join(
            f"{k + 1} 1 {k % 4 / 4} {k // 4 % 4 / 4} {k // 16 / 4}\n" for k in range(64))
    (tmp_path / "nm.dump").write_text(text.replace("4.4", "23.0"))       # all cells are open
    words = (tmp_path / "nm.dump", "--features", "cn,boop_q", "--elements", "Al")
    for out in ((), ("-o", tmp_path / "f.h5")):
        said = featurize(*words, *out)
        assert "WARNING" in said and "every value is NaN; 64 of 64 cells are open" in said
    (tmp_path / "nm.dump").write_text(text.replace("4.4", "10.0"))
    assert "WARNING" not in featurize(*words)


# launchers

@pytest.mark.parametrize("environ, told, ask", [
    ({}, 0, False),
    ({"PMI_RANK": "0", "PMI_SIZE": "1"}, 1, False),                              # mpirun -np 1
    ({"PMI_RANK": "1", "PMI_SIZE": "6"}, 6, True),                               # MPICH, Intel
    ({"OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_RANK": "0", "PMIX_RANK": "0"}, 3, True),
    ({"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0", "PMIX_RANK": "0"}, 1, False),
    ({"MV2_COMM_WORLD_SIZE": "8"}, 8, True),
    ({"PMIX_RANK": "0", "PMIX_NAMESPACE": "slurm.pmix.77.0"}, 1, True),          # size unknown
    ({"PMIX_RANK": "5"}, 6, True),
    ({"SLURM_JOB_ID": "9", "SLURM_NTASKS": "64"}, 0, False),                     # batch script
    ({"SLURM_JOB_ID": "9", "SLURM_NTASKS": "64", "SLURM_STEP_ID": "0"}, 64, True),
    ({"SLURM_NTASKS": "64", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "1"}, 1, False),
    ({"SLURM_NTASKS": "64", "SLURM_STEP_ID": "1", "SLURM_STEP_NUM_TASKS": "4", "PMIX_RANK": "2"},
     4, True),
    ({"FLUX_JOB_SIZE": "12"}, 12, True),
    ({"JSM_NAMESPACE_SIZE": "2"}, 2, True),
    ({"PALS_RANKID": "3"}, 4, True),
    ({"PMI_SIZE": "", "PMIX_RANK": "x"}, 0, False),
])
def test_ranks_that_a_launcher_tells(environ, told, ask):
    assert ranks_told(environ)[0] == told
    assert has_launcher(environ) == ask


@pytest.mark.parametrize("environ", [
    {"SLURM_NTASKS": "4", "SLURM_STEP_ID": "0", "SLURM_PROCID": "1"},
    {"FLUX_JOB_SIZE": "4"}, {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "0"}])
def test_ranks_that_mpi_does_not_know_are_refused_with_both_numbers(tmp_path, environ):
    text = featurize(GLASS, "--features", "cn", "-o", tmp_path / "f.h5", ok=False, **environ)
    assert len(text.splitlines()) == 1
    assert "started 4 ranks" in text and "MPI knows of 1" in text and "-j 4" in text
    assert not list(tmp_path.iterdir())


SITE = {"PYTHONPATH": os.pathsep.join(["/usr/lib/python3/dist-packages",
                                       *(p for p in sys.path if p.endswith("site-packages")),
                                       str(ROOT)]),
        "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
SITE_PROGRAM = ("/usr/bin/python3", "-c", "import sys; from lammps_mgml.cli import main; "
                "sys.exit(main())")


def site_mpi():
    """Whether Debian's Open MPI and its mpi4py can run this package."""
    if not Path("/usr/bin/mpirun").exists():
        return False
    done = subprocess.run(["/usr/bin/python3", "-c", "from mpi4py import MPI; "
                           "import lammps_mgml.api, h5py; print(MPI.Get_library_version())"],
                          capture_output=True, text=True, env={**os.environ, **SITE})
    return "Open MPI" in done.stdout


@pytest.mark.skipif(not site_mpi(), reason="not run: no Open MPI with mpi4py in /usr/bin")
def test_ranks_under_two_kinds_of_mpi(tmp_path):
    words = (LOADED, "--frames", "0:3", "--features", "cn,csro", "-o")
    featurize(*words, tmp_path / "one.h5")
    openmpi = ("/usr/bin/mpirun", "--oversubscribe", "-np", 3)
    featurize(*words, tmp_path / "open.h5", before=openmpi, program=SITE_PROGRAM, **SITE)
    featurize(*words, tmp_path / "mpich.h5", before=(BIN / "mpirun", "-np", 3))
    for step in (0, 10, 20):
        one, *others = (read_table(tmp_path / f"{n}.h5", step)["features"]
                        for n in ("one", "open", "mpich"))
        for other in others:
            np.testing.assert_array_equal(other, one)
    # the launcher of the one, the library of the other
    text = featurize(*words, tmp_path / "no.h5", before=openmpi, ok=False,
                     **SITE | {"PYTHONPATH": ""})
    assert "started 3 ranks (OMPI_COMM_WORLD_SIZE=3), MPI knows of 1" in text
    text = featurize(*words, tmp_path / "no.h5", before=(BIN / "mpirun", "-np", 3),
                     program=SITE_PROGRAM, ok=False, **SITE)
    assert "started 3 ranks (PMI_SIZE=3), MPI knows of 1" in text
    assert not (tmp_path / "no.h5").exists()


def test_a_file_that_is_refused_stops_all_ranks(tmp_path, frames):
    (tmp_path / "cut.dump").write_text(frames[0] + frames[1][:90_000])
    for name, message in (("none.dump", "No such file"), ("cut.dump", "step 10: cut off")):
        done = subprocess.run([BIN / "mpirun", "-np", "3", BIN / "mgml", "featurize", tmp_path / name,
                               "--features", "cn", "-o", tmp_path / "f.h5"], capture_output=True,
                              text=True, timeout=60)
        assert done.returncode and message in done.stderr and "Traceback" not in done.stderr
        assert not (tmp_path / "f.h5").exists()
