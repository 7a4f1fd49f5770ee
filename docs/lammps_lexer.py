"""Colours for LAMMPS input scripts and for commands."""
from pygments.lexer import RegexLexer, bygroups
from pygments.lexers.shell import BashLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String, Text, Whitespace


class LammpsLexer(RegexLexer):
    name, aliases = "LAMMPS", ["lammps"]
    tokens = {
        "root": [
            (r"(\s*)(\$\{\w+\})", bygroups(Whitespace, Name.Variable)),
            (r"(\s*)([\w/]+)", bygroups(Whitespace, Keyword), "rest"),
            (r"#.*\n?", Comment),
            (r"\s+", Whitespace),
            (r".", Text),
        ],
        "rest": [
            (r"\n", Whitespace, "#pop"),
            (r"#.*", Comment),
            (r"&\s*\n", Operator),
            (r'"[^"\n]*"', String),
            (r"\$(\{\w+\}|\([^)]*\)|\w)", Name.Variable),
            (r"\b[vcf]_\w+", Name.Variable),
            (r"\b\d[\w.+-]*\b", Number),
            (r"[^\S\n]+", Whitespace),
            (r"[\w/.]+", Text),
            (r".", Operator),
        ],
    }


class CommandLexer(BashLexer):
    """Shell commands; ``in``, ``continue`` ... are keywords at the start of a line only: lmp -in in.deck."""

    def get_tokens_unprocessed(self, text, stack=("root",)):
        for at, kind, value in super().get_tokens_unprocessed(text, stack):
            if kind in Keyword and text[:at].rpartition("\n")[2].strip():
                kind = Text
            yield at, kind, value
