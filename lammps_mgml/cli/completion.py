"""mgml completion: a script for the shell, made from the parsers of all verbs."""
from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# How to use each, as the first line of the script says.
USE = {"bash": 'eval "$(mgml completion bash)"', "zsh": 'eval "$(mgml completion zsh)"',
       "fish": "mgml completion fish | source"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=USE, help="; ".join(
        f"{shell}: {line}, in its start-up file to keep it" for shell, line in USE.items()))


def run(args: argparse.Namespace) -> None:
    from . import VERBS, parser_of

    script = {"bash": _bash, "zsh": _zsh, "fish": _fish}[args.shell]
    print(f"# {USE[args.shell]}")
    print(script(parser_of(VERBS)), end="")


def parsers(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()
            ) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """(verbs, their parser) of the program and all verbs below it."""
    yield path, parser
    for name, sub in _verbs(parser).items():
        yield from parsers(sub, (*path, name))


def _verbs(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    return {name: sub for action in parser._actions
            if isinstance(action, argparse._SubParsersAction)
            for name, sub in action.choices.items()}


def _values(action: argparse.Action) -> list[str]:
    """What may stand for an argument; none: anything, perhaps a file."""
    from ..models.model import shipped_models

    if isinstance(action, argparse._SubParsersAction):
        return list(action.choices)
    if action.choices is not None:
        return [str(choice) for choice in action.choices]
    if action.metavar == "[show] NAME":
        return ["show", *shipped_models()]
    if action.dest in ("model", "against"):
        return list(shipped_models())
    if action.dest in ("system", "like"):
        from ..systems import shipped_systems

        return shipped_systems()
    if action.dest in ("features", "which", "sets"):
        from ..features import set_names

        return ["table3", "sro", "mro", "all", *set_names()]
    return []


def _quoted(words: Iterable[str]) -> str:
    return shlex.quote(" ".join(words))


def _bash(parser: argparse.ArgumentParser) -> str:
    """A function that finds the verbs typed so far, then looks the words up by them."""
    cases: list[str] = []
    after: dict[str, list[str]] = {}                 # words: options whose value they are
    for path, sub in parsers(parser):
        options = [name for action in sub._actions for name in action.option_strings]
        words = [word for action in sub._actions if not action.option_strings
                 for word in _values(action)]
        cases.append(f"            {shlex.quote(' '.join(path))}) verbs={_quoted(_verbs(sub))}"
                     f" options={_quoted(options)} words={_quoted(words)} ;;\n")
        for action in sub._actions:
            if action.nargs != 0:
                after.setdefault(_quoted(_values(action)), []).extend(
                    shlex.quote(" ".join((*path, name))) for name in action.option_strings)
    values = [f"        {'|'.join(where)}) options= words={words} ;;\n"
              for words, where in after.items() if where]
    return f"""_mgml() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
    local path= options= words= verbs= k
    for ((k = 0; k < COMP_CWORD; k++)); do
        if ((k > 0)); then
            [[ " $verbs " == *" ${{COMP_WORDS[k]}} "* ]] || continue
            path="${{path:+$path }}${{COMP_WORDS[k]}}"
        fi
        case $path in
{''.join(cases)}        esac
    done
    case "${{path:+$path }}$before" in
{''.join(values)}    esac
    if [[ $word == -* ]]; then
        words=$options
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _mgml mgml
"""


def _zsh(parser: argparse.ArgumentParser) -> str:
    return ("autoload -Uz compinit bashcompinit\n(( $+functions[compdef] )) || compinit\n"
            f"bashcompinit\n{_bash(parser)}")


def _fish(parser: argparse.ArgumentParser) -> str:
    lines = []
    for path, sub in parsers(parser):
        verbs = " ".join(_verbs(sub))
        seen = [f"__fish_seen_subcommand_from {verb}" for verb in path]
        unseen = [f"not __fish_seen_subcommand_from {verbs}"] if verbs else []
        start = f"complete -c mgml -n {shlex.quote('; and '.join(seen + unseen) or 'true')}"
        for action in sub._actions:
            text = f" -d {shlex.quote((action.help or '').replace('%%', '%'))}" if action.help else ""
            values = f" -a {_quoted(_values(action))}" if _values(action) else ""
            if isinstance(action, argparse._SubParsersAction):
                lines += [f"{start} -f -a {name} -d {shlex.quote(one.description or '')}"
                          for name, one in action.choices.items()]
            elif action.option_strings:
                names = "".join(f" -l {name[2:]}" if name.startswith("--") else f" -s {name[1:]}"
                                for name in action.option_strings)
                lines.append(f"{start}{names}{'' if action.nargs == 0 else ' -r'}{text}{values}")
            elif values:
                lines.append(f"{start}{values}")
    return "".join(f"{line}\n" for line in lines)
