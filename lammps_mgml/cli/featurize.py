"""mgml featurize"""


def arguments(parser):
    parser.add_argument("frame", help="LAMMPS text dump or data file (.data), gzipped or not")
    parser.add_argument("--features", default="table3",
                        help="table3, or feature names separated by commas")
    parser.add_argument("--elements", default="Cu Zr", help="symbols of types 1, 2, ... (Cu Zr)")
    parser.add_argument("--model", help="also write the softness d_sq by this model")
    parser.add_argument("--frozen", action="store_true",
                        help="normalise all frames by the means of the first, as a run does")
    parser.add_argument("-o", "--output", help="HDF5 file to write; else a table on the screen")


def run(args):
    from ..api import sites
    from ..catalogue import resolve
    from ..errors import ModelError
    from ..io.dump import read_frames
    from ..model import load_model
    from ..pipeline import PARAMETERS

    names, elements = resolve(args.features), tuple(args.elements.split())
    model = load_model(args.model) if args.model else None
    if model and model.elements != elements:
        raise ModelError(f"model {model.name} knows types {' '.join(model.elements)}, "
                         f"not {' '.join(elements)}: give --elements or another model")
    parameters = model.parameters if model else PARAMETERS
    wanted = tuple(dict.fromkeys((*names, *(model.features if model else ()))))
    found, means = [], None
    for frame in read_frames(args.frame):
        done = sites(frame.positions, frame.types, frame.box.edges, frame.box.periodic, wanted,
                     elements, parameters, means)
        if args.frozen:
            means = done.means
        columns = dict(zip(wanted, done.features.T))
        shown = {name: columns[name] for name in names}
        if model:
            shown["d_sq"] = model.softness(done.features[:, [wanted.index(f)
                                                             for f in model.features]])
        shown["i_site"] = done.flags
        found.append((frame, shown))
    if args.output:
        _write(args.output, args.frame, elements, parameters, found)
    else:
        for frame, columns in found:
            print("#", f"step {frame.step}")
            print("# id", *columns)
            for i, *row in zip(frame.columns["id"], *columns.values()):
                print(i, *(f"{v:.10g}" for v in row))


def _write(path, source, elements, parameters, found):
    """One group a frame; the file appears whole or not at all."""
    import os

    import h5py

    from .. import __version__
    from ..catalogue import DEFINITION

    with h5py.File(f"{path}.part", "w") as file:
        file.attrs.update({"source": str(source), "lammps_mgml": __version__,
                           "feature_definition": DEFINITION, "elements": list(elements),
                           **parameters})
        for frame, columns in found:
            group = file.create_group(str(frame.step))
            group["id"] = frame.columns["id"]
            for name, values in columns.items():
                group.create_dataset(name, data=values, compression="gzip", shuffle=True)
    os.replace(f"{path}.part", path)
    print(f"wrote {path}: {len(found)} frames, {len(found[0][1])} columns")
