"""Formulas as MathML, made by docutils at the build: they show without a network and without scripts."""
import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging


def mathml(node, as_block):
    # docutils knows no \big: without it brackets grow by themselves or stay small
    text = re.sub(r"\\[bB]ig(?![a-zA-Z])", "", node.astext()).replace(r"\dots", r"\ldots")
    try:
        return tex2mathml(text, as_block=as_block)
    except MathError as e:
        logging.getLogger(__name__).warning("%s: %s", text, e, location=node)
        return ""


def inline(self, node):
    self.body.append(mathml(node, False))
    raise nodes.SkipNode


def block(self, node):
    self.body.append(f'<div class="math">{mathml(node, True)}</div>\n')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True}
