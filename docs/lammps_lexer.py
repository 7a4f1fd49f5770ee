"""Colours for LAMMPS input scripts."""
from pygments.lexer import RegexLexer, bygroups
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
