"""Blocks of the documentation's pages, and which of them the tests run.

A block that a reader may copy stands under a line  <!-- run: NAME -->  ; a test takes it by
``block(page, NAME)`` and says so by ``@runs``.  One that cannot be run here stands under
<!-- not run: WHY -->.  ```text blocks are what programs print.
"""
import re

from decks import ROOT

DOCS = ROOT / "docs"
RUN = set()            # (page, name) of all blocks that the tests of the imported files run
FENCE = re.compile(r"^(?:<!-- (run|not run): ([^\n]*?) -->\n)?^(```+)([^\n]*)\n(.*?)^\3$", re.M | re.S)


def pages():
    """{name: text} of the pages that are written by hand, by their paths below docs/, and README.md."""
    found = {str(p.relative_to(DOCS)): p.read_text() for p in sorted(DOCS.rglob("*.md"))
             if p.relative_to(DOCS).parts[0] not in ("_build", "generated")}
    return {**found, "README.md": (ROOT / "README.md").read_text()}


def fences(text):
    """(kind, name, language, content) of each; kind is run, not run or "" for one without a line above."""
    return [(kind, name, language, content)
            for kind, name, _, language, content in FENCE.findall(text)]


def block(page, name, changes=()):
    """Text of a block.  changes : (old, new), each old of which must be there, as numbers made small."""
    path = ROOT / page if page == "README.md" else DOCS / page
    text, = [content for kind, found, _, content in fences(path.read_text())
             if kind == "run" and found == name]
    for old, new in changes:
        assert old in text, f"{page}, {name}: {old!r} is not there any more"
        text = text.replace(old, new)
    return text


def runs(page, *names):
    """Decorator of a test: it runs these blocks of the page."""
    RUN.update((page, name) for name in names)
    return lambda test: test
