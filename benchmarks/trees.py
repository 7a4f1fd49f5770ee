"""Margins of 32 000 sites by the shipped model of boosted trees, by us and by others.

    python benchmarks/trees.py [--model NAME] [--repeats N] [--json FILE]

The rows are the features of the atoms of features.py, 13 each, without gaps.  One thread, CPU time,
medians over the repeats, all programs in turn; float64 rows, but float32 ones for ONNX, whose trees
have no other (a feature near a threshold then falls on the other side).  The last column is the
largest difference from LightGBM's own margins.  LightGBM one row at a time (its fast C call, from
ctypes) is timed on 2000 of the rows.
"""
import argparse
import ctypes
import json
import os
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import lightgbm  # noqa: E402
import numpy as np  # noqa: E402
from features import system  # noqa: E402
from measure import header, machine, medians, not_run, versions  # noqa: E402

import lammps_mgml  # noqa: E402
from lammps_mgml.models.model import SHIPPED  # noqa: E402

PACKAGES = ("lightgbm", "onnxruntime", "treelite", "tl2cgen")
OURS, SCORER, SINGLE = "ours", "ours, gaps not looked for", "LightGBM, row by row"
ROWS = 2000            # of the row by row prediction


def row_by_row(booster, rows):
    """Function that fills, and the array of, LightGBM's margins of ``rows``, each by one C call."""
    library, n = lightgbm.basic._LIB, rows.shape[1]
    handle = ctypes.c_void_p()
    problem = library.LGBM_BoosterPredictForMatSingleRowFastInit(
        booster._handle, 1, 0, -1, 1, ctypes.c_int32(n), b"num_threads=1", ctypes.byref(handle))
    if problem:
        raise RuntimeError("LGBM_BoosterPredictForMatSingleRowFastInit failed")
    out, length = np.empty(len(rows)), ctypes.c_int64()
    predict, told = library.LGBM_BoosterPredictForMatSingleRowFast, ctypes.byref(length)
    calls = [(handle, ctypes.c_void_p(rows.ctypes.data + 8 * n * i), told,
              ctypes.c_void_p(out.ctypes.data + 8 * i)) for i in range(len(rows))]

    def run():
        for call in calls:
            predict(*call)
    return run, out


def onnx(text, x):
    """Function that predicts by onnxruntime; the margins, not their sigmoid."""
    import onnxmltools
    import onnxruntime
    from onnxmltools.convert.common.data_types import FloatTensorType

    # as a regression, whose prediction is the sum of the leaves
    plain = lightgbm.Booster(model_str=text.replace(
        "objective=binary sigmoid:1", "objective=regression").replace(
        "[objective: binary]", "[objective: regression]"))
    graph = onnxmltools.convert_lightgbm(
        plain, initial_types=[("x", FloatTensorType([None, x.shape[1]]))])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])
    single = x.astype(np.float32)
    return lambda: session.run(None, {"x": single})[0].ravel()


def peers(text, x, folder):
    """{name: function that returns the margins} of the programs that are here."""
    found = {}
    try:
        found["onnxruntime (float32)"] = onnx(text, x)
    except Exception as e:             # not installed, or versions that do not go together
        not_run("onnxruntime", e)
    try:
        import treelite

        model = treelite.frontend.from_lightgbm(lightgbm.Booster(model_str=text))
        found["treelite (GTIL)"] = lambda: treelite.gtil.predict(
            model, x, nthread=1, pred_margin=True).ravel()
        import tl2cgen

        library = str(folder / "trees.so")
        tl2cgen.export_lib(model, toolchain="gcc", libpath=library, params={"quantize": 0},
                           options=["-O3", "-march=native"])
        predictor, rows = tl2cgen.Predictor(library, nthread=1), tl2cgen.DMatrix(x, dtype="float64")
        found["tl2cgen (compiled C)"] = lambda: predictor.predict(rows, pred_margin=True).ravel()
    except Exception as e:
        not_run("treelite or tl2cgen", e)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="cuzr-wang13", help="a shipped model of trees")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", help="file for the numbers")
    args = parser.parse_args()
    text = json.loads((SHIPPED / f"{args.model}.mgml").read_text()).get("trees")
    if text is None:
        raise SystemExit(f"model {args.model} is not made of trees")
    model, booster = lammps_mgml.load_model(args.model), lightgbm.Booster(model_str=text)
    x = lammps_mgml.featurize(*system(), features=",".join(model.features))
    x = np.ascontiguousarray(x[~np.isnan(x).any(axis=1)])
    with tempfile.TemporaryDirectory() as folder:
        works = {OURS: lambda: model.margins(x), SCORER: lambda: model.scorer.raw_scores(x),
                 "LightGBM": lambda: booster.predict(x, raw_score=True, num_threads=1),
                 **peers(text, x, Path(folder))}
        off = {name: work() for name, work in works.items()}
        single, margins = row_by_row(booster, x[:ROWS])
        seconds = medians({**works, SINGLE: single}, args.repeats)
    reference = off["LightGBM"]
    off = {name: float(abs(values - reference).max()) for name, values in off.items()}
    off[SINGLE] = float(abs(margins - reference[:ROWS]).max())
    micro = {name: 1e6 * s / (ROWS if name == SINGLE else len(x)) for name, s in seconds.items()}
    header(f"{args.model}: {text.count('Tree=')} trees, {len(x)} rows of {x.shape[1]}, one thread",
           PACKAGES)
    print("                              us per row   times ours   largest difference")
    for name, value in micro.items():
        print(f"{name:<28} {value:11.3f} {value / micro[OURS]:12.1f} {off[name]:20.1e}")
    if args.json:
        Path(args.json).write_text(json.dumps(
            {"rows": len(x), "model": args.model, "microseconds_per_row": micro, **machine(),
             "times_ours": {k: v / micro[OURS] for k, v in micro.items()},
             "largest_difference": off, "versions": versions(*PACKAGES)}, indent=1))
    if off[OURS] or off[SCORER]:
        raise SystemExit("our margins are not those of LightGBM")


if __name__ == "__main__":
    main()
