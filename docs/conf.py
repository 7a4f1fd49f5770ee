"""Sphinx: `make docs` builds the site into docs/_build/html."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import generate  # noqa: E402
from lammps_lexer import CommandLexer, LammpsLexer  # noqa: E402

import lammps_mgml  # noqa: E402

project = "lammps_mgml"
author = "The lammps_mgml developers"
copyright = "The lammps_mgml developers. GPL-2.0-or-later"
release = version = lammps_mgml.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton", "mathml"]
html_math_renderer = "mathml"
exclude_patterns = ["_build", "pieces"]
root_doc = "index"
nitpicky = True
smartquotes = False                   # --option must stay --option
# Types of other packages and of our own modules below the public ones have no page.
nitpick_ignore_regex = [("py:.*", r".*")]

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 4

autodoc_typehints = "none"            # the docstrings give shapes and units, which say more
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = f"lammps_mgml {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
copybutton_exclude = ".linenos, .gp, .go"
pygments_style = "friendly"
highlight_language = "none"           # of blocks that do not say theirs: what programs print


def sections(app, what, name, obj, options, lines):
    """Our docstrings' Parameters, Returns and Raises, whose entries are "name : text", as lists."""
    out, known = [], ("Parameters", "Returns", "Raises")
    title = None
    for k, line in enumerate(lines):
        if line in known and lines[k + 1:k + 2] and set(lines[k + 1].strip()) == {"-"}:
            title = line
            out += ["", f"**{title}**", ""]
        elif title and line.strip() and set(line.strip()) == {"-"}:
            continue
        elif title in ("Parameters", "Raises") and line and not line[0].isspace():
            entry, colon, text = line.partition(" : ")
            out.append(f"* **{entry}**{':' if colon else ''} {text}".rstrip())
        elif title in ("Parameters", "Raises") and line.strip():
            out.append(f"  {line.strip()}")
        else:
            out.append(line)
    lines[:] = [*out, ""]


def matrix(app, docname, source):
    """`make matrix` writes docs/lammps.md; where it is there, the page of the builds leads to it."""
    if docname == "lammps-builds" and (Path(app.srcdir) / "lammps.md").exists():
        source[0] += "\n## What was tried\n\n```{toctree}\nlammps\n```\n"


def setup(app):
    app.add_lexer("lammps", LammpsLexer)
    app.add_lexer("bash", CommandLexer)
    app.connect("autodoc-process-docstring", sections)
    app.connect("source-read", matrix)
    app.connect("builder-inited", lambda app: generate.write(Path(app.srcdir)))
