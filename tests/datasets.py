"""The smallest glass that ``mgml dataset`` makes in seconds."""
FAST = {"--n": "6", "--rate": "2e14", "--fast": "1e15", "--axes": "x", "--senses": "tension",
        "--strain": "0.01"}


def words(what, folder, **others):
    """The command line; ``others``: options that differ from FAST, without their hyphens."""
    options = {**FAST, "--seeds": "5",
               **{f"--{k.replace('_', '-')}": v for k, v in others.items()}}
    return ["dataset", what, folder / "md", "-o", folder / "out",
            *(w for pair in options.items() for w in pair)]
