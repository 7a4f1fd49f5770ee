"""mgml featurize"""


def arguments(parser):
    parser.add_argument("frame", help="LAMMPS text dump or data file (.data), gzipped or not")
    parser.add_argument("--features", default="table3",
                        help="table3, or feature names separated by commas")
    parser.add_argument("--elements", default="Cu Zr", help="symbols of types 1, 2, ... (Cu Zr)")
    parser.add_argument("--model", help="also write d_sq by this model")
    parser.add_argument("-o", "--output", help="HDF5 file to write; else a table on the screen")


def run(args):
    from ..api import featurize, softness
    from ..catalogue import resolve
    from ..io.dump import read_frames

    names, elements = resolve(args.features), args.elements.split()
    found = []
    for frame in read_frames(args.frame):
        system = (frame.positions, frame.types, frame.box.edges, frame.box.periodic)
        columns = dict(zip(names, featurize(*system, names, elements).T))
        if args.model:
            columns["d_sq"] = softness(*system, args.model)
        found.append((frame, columns))
    if args.output:
        _write(args.output, args.frame, elements, found)
    else:
        for frame, columns in found:
            print("#", f"step {frame.step}")
            print("# id", *columns)
            for i, *row in zip(frame.columns["id"], *columns.values()):
                print(i, *(f"{v:.10g}" for v in row))


def _write(path, source, elements, found):
    """One group a frame; the file appears whole or not at all."""
    import os

    import h5py

    from .. import __version__
    from ..catalogue import DEFINITION
    from ..pipeline import PARAMETERS

    with h5py.File(f"{path}.part", "w") as file:
        file.attrs.update({"source": str(source), "lammps_mgml": __version__,
                           "feature_definition": DEFINITION, "elements": list(elements),
                           **PARAMETERS})
        for frame, columns in found:
            group = file.create_group(str(frame.step))
            group["id"] = frame.columns["id"]
            for name, values in columns.items():
                group.create_dataset(name, data=values, compression="gzip", shuffle=True)
    os.replace(f"{path}.part", path)
    print(f"wrote {path}: {len(found)} frames, {len(found[0][1])} columns")
