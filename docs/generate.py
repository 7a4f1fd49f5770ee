"""Pages made of the code itself, written into docs/generated/ when Sphinx starts.

A page for each column and each live quantity (lammps_mgml/evaluation), for each verb of ``mgml`` (its
argparse parser), and copies of the texts that stand elsewhere in the repository.  What the code does
not tell is in docs/pieces/, one file a page, and optional: a new column or verb has its page without it.
"""
import argparse
import inspect
import re
from pathlib import Path

from lammps_mgml import flags
from lammps_mgml.cli import VERBS, parser_of
from lammps_mgml.evaluation.columns import COLUMNS, REFERENCE
from lammps_mgml.evaluation.live import QUANTITIES

ROOT = Path(__file__).resolve().parents[1]
UNITS = {"A": "Å", "A^2": "Å²", "A^3": "Å³", "1": "1 (no unit)"}

OF = {
    True: "The reference structure. The value is set when the reference is taken, rides with its atom and "
          "in restart files, and stays until there is a new reference.",
    False: "The present structure. The value is set at each evaluation: at the setup of each run and "
           "minimisation, at every `rerun` frame, whenever the callback `softness` is due, and with the "
           "plugin at the end of each run and minimisation.",
}
# Which bits of i_site go with NaN in a column.
BITS = {
    "d_sq": (1, 2, 8, 32), "d_p": (1, 2, 8, 32), "d_s": (1, 2, 8, 16),
    "d_d2min": (4, 16, 32), "d_eta": (4, 16, 32), "d_d2mean": (4, 16, 32),
}


def unit(text):
    return UNITS.get(text, text)


def short(text):
    return unit(text).split(" (")[0]


def flag_rows():
    """[(bit, name, meaning)] of lammps_mgml/flags.py, by its own comments."""
    return [(int(bit), name, text) for name, bit, text in
            re.findall(r"^(\w+) = (\d+) +# (.*)$", inspect.getsource(flags), re.M)]


def piece(folder, name):
    path = Path(__file__).parent / "pieces" / folder / f"{name}.md"
    return f"\n{path.read_text().strip()}\n" if path.exists() else ""


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(str(c).replace("|", "\\|") for c in row) + " |\n" for row in lines)


def sentence(text):
    """With a capital, a full stop, and Å for A."""
    text = re.sub(r"\bA\^2", "Å²", text)
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def column_page(column):
    meanings = {bit: text for bit, _, text in flag_rows()}
    bits = BITS.get(column.name, ())
    undefined = "NaN where the value is not known"
    undefined += (". The bits of [`i_site`](i_site.md) that can go with it:\n\n"
                  + table(["bit", "meaning"], [(bit, meanings[bit]) for bit in bits]) if bits
                  else "; [`i_site`](i_site.md) tells why.\n")
    ask = ("In every deck that includes the file: name it in `dump ... custom`." if column.standard else
           f"On request: `variable mgml_columns string \"{column.name}\"` before `include`, then name it in "
           f"`dump ... custom`.")
    return (f"# {column.name}\n\n{sentence(column.definition)}\n\n"
            + table(["", ""], [("name", f"`{column.name}`"), ("kind", "per-atom column"),
                               ("unit", unit(column.unit)),
                               ("belongs to", f"the {column.of} structure")])
            + f"\n## Which structure\n\n{OF[column.of == REFERENCE]}\n"
            + f"\n## How to ask for it\n\n{ask}\n\n## When it is undefined\n\n{undefined}"
            + piece("quantities", column.name)
            + "\nIn the code: `lammps_mgml/evaluation/columns.py`.\n")


def live_page(quantity):
    name = f"v_mgml_{quantity.name}"
    return (f"# {name}\n\n{sentence(quantity.definition)}\n\n"
            + table(["", ""], [("name", f"`{name}`"), ("kind", "quantity of the whole run at one step"),
                               ("unit", unit(quantity.unit))])
            + f"\n## How to ask for it\n\nAs a variable after the `include`, wherever LAMMPS takes one: "
              f"`thermo_style custom step {name}`, `fix ave/time`, `fix halt`, `variable ... if`.\n"
            + "\n## When it is undefined\n\n`nan` at a step that is not evaluated, and where no atom has "
              "the values that it is made of. Print thermo output at the steps of `fix python/invoke`.\n"
            + piece("quantities", name)
            + "\nIn the code: `lammps_mgml/evaluation/live.py`. One reduction over the ranks serves all "
              "live quantities.\n")


def site_page():
    rows = [(bit, f"`{name}`", text) for bit, name, text in flag_rows()]
    return ("# i_site\n\nTells of an atom why a value of it is missing: 0, or a sum of bits.\n\n"
            + table(["", ""], [("name", "`i_site`"), ("kind", "per-atom column, whole numbers"),
                               ("unit", "none")])
            + "\n## Bits\n\n" + table(["bit", "name in `lammps_mgml.flags`", "meaning"], rows)
            + piece("quantities", "i_site"))


def quantity_pages():
    pages = {column.name: column_page(column) for column in COLUMNS}
    pages["i_site"] = site_page()
    for name in ("d_msd", "d_msd_hot", "d_feature"):
        pages[name] = piece("quantities", name).lstrip()
    live = {f"v_mgml_{q.name}": live_page(q) for q in QUANTITIES}
    rows = [(f"[`{c.name}`]({c.name}.md)", short(c.unit), c.of,
             sentence(c.definition) + ("" if c.standard else " On request")) for c in COLUMNS]
    rows += [("[`i_site`](i_site.md)", "bits", "present",
              "Why a value is missing; 0: nothing is missing."),
             ("[`d_msd`](d_msd.md)", "Å²", "undeformed glass",
              "Mean square displacement about the mean position. After `include ${vibration}`"),
             ("[`d_msd_hot`](d_msd_hot.md)", "Å²", "undeformed glass",
              "The same of a second, hotter watch, about the place in the reference"),
             ("[`d_<feature>`](d_feature.md)", "", "present",
              "Any of the site features. On request")]
    pages["index"] = (
        "# Columns and quantities\n\nAll that a run gives, with unit, definition and when it is undefined. "
        "These pages are made from the code that computes the values.\n\n## Per-atom columns\n\n"
        + table(["column", "unit", "of", "meaning"], rows)
        + "\n## Quantities of the whole run\n\n"
        + table(["name", "unit", "meaning"],
                [(f"[`v_mgml_{q.name}`](v_mgml_{q.name}.md)", short(q.unit), sentence(q.definition))
                 for q in QUANTITIES])
        + "\nFeatures gathered in a file: [d_feature](d_feature.md) and "
          "[site features](../../roads/features.md).\n\n"
        + toctree([*(n for n in pages if n != "index"), *live]))
    return {**pages, **live}


def toctree(names, **options):
    return ("```{toctree}\n" + "".join(f":{k}: {v}\n" for k, v in options.items())
            + ":hidden:\n\n" + "".join(f"{n}\n" for n in names) + "```\n")


def cell(text):
    """Help of argparse as text of a table's cell."""
    text = " ".join((text or "").split()).replace("%%", "%")
    return re.sub(r"([*_<>$])", r"\\\1", text)


def option_rows(parser):
    for action in parser._actions:
        if isinstance(action, (argparse._HelpAction, argparse._SubParsersAction)):
            continue
        if action.option_strings:
            value = "" if action.nargs == 0 else action.metavar or (
                "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper())
            names = ", ".join(f"`{o}`" for o in action.option_strings)
            name = f"{names} `{value}`" if value else names
        else:
            name = f"`{action.metavar or action.dest}`"
        text = cell(action.help)
        if action.required and action.option_strings:
            text += (". " if text else "") + "Required"
        yield name, text


def subparsers(parser):
    return {name: sub for action in parser._actions if isinstance(action, argparse._SubParsersAction)
            for name, sub in action.choices.items()}


def helps(parser):
    return {one.dest: one.help for action in parser._actions
            if isinstance(action, argparse._SubParsersAction) for one in action._choices_actions}


def usage(parser):
    formatter = argparse.HelpFormatter(parser.prog, width=78)
    formatter.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups, "")
    return formatter.format_help().strip()


def verb_page(name):
    """Of ``mgml NAME``, from its parser."""
    parser = subparsers(parser_of((name,)))[name]
    text = f"# mgml {name}\n\n{parser.description}\n"
    text += piece("commands", name)
    parts = subparsers(parser) or {"": parser}
    told = helps(parser)
    for what, one in parts.items():
        title = f"mgml {name} {what}".strip()
        text += (f"\n## {title}\n\n{sentence(told[what])}\n" if what else "\n## Arguments\n")
        rows = list(option_rows(one))
        text += f"\n```text\n{usage(one)}\n```\n"
        text += "\n" + (table(["argument", "meaning"], rows) if rows else "It takes no arguments.\n")
    return text + "\n`-h` prints this text. Exit status: see [the overview](index.md#exit-status).\n"


def verb_pages():
    pages = {name: verb_page(name) for name in VERBS}
    pages["index"] = (
        "# The program mgml\n\n```text\nmgml VERB ...\n```\n\n"
        + table(["verb", "what it does"], [(f"[`mgml {n}`]({n}.md)", sentence(cell(t)))
                                           for n, t in VERBS.items()])
        + "\n`mgml --version` prints the version, `mgml VERB -h` the options of a verb.\n\n"
          "## Exit status\n\n" + table(["status", "meaning"], [
              (0, "done"), (1, "failed, with one line on the standard error that tells why; `doctor`: "
                              "something is missing"),
              (2, "wrong usage"), (130, "interrupted (Ctrl-C)")])
        + "\nFiles are written whole or not at all; a path that cannot be written is refused before the "
          "work.\n\n" + toctree(VERBS))
    return pages


def copies():
    """Texts of the repository that are pages of the site as well, their links led to the site's pages."""
    examples = (ROOT / "lammps_mgml" / "examples" / "README.md").read_text().replace("\n### ", "\n## ")
    out = {"changelog": (ROOT / "CHANGELOG.md").read_text(),
           "contributing": (ROOT / "CONTRIBUTING.md").read_text(),
           "benchmarks": (ROOT / "benchmarks" / "README.md").read_text(),
           "inputs": (ROOT / "inputs" / "README.md").read_text(),
           # its blocks are commands
           "examples": re.sub(r"^```\n(.*?^```)$", r"```bash\n\1", examples, flags=re.M | re.S),
           "recipes": (ROOT / "packaging" / "README.md").read_text()}
    return {name: re.sub(r"\]\((?:\.\./)?docs/", "](../", text) for name, text in out.items()}


def pages():
    """{path below docs/generated, without .md: text}."""
    found = {f"quantities/{n}": t for n, t in quantity_pages().items()}
    found.update({f"commands/{n}": t for n, t in verb_pages().items()})
    found.update(copies())
    return found


def write(docs):
    """Into docs/generated; files that are as they should be keep their time."""
    folder = Path(docs) / "generated"
    wanted = {folder / f"{name}.md": text for name, text in pages().items()}
    for old in folder.rglob("*.md"):
        if old not in wanted:
            old.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
