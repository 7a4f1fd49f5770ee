"""Damaged and hostile model files, made at random; each must be refused or score within bounds.

    python tests/hostile_models.py 10000 1          # cases, seed

prints one line with counts, worst time and worst memory; the exit status is 1 if a case failed.
Most of the files have a valid checksum: they are what an author with bad intent can make.
"""
import copy
import json
import resource
import signal
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

import numpy as np

from lammps_mgml import softness
from lammps_mgml.errors import MgmlError, ModelError
from lammps_mgml.models.model import SHIPPED, checksum_of, load_model, with_envelope

SECONDS, MEGABYTES = 1.0, 200          # CPU time and memory that one file may take
HANG = 30                              # s, after which a case is given up
ROWS = 130                             # two blocks of rows of the kernels, and a bit


def shipped(name):
    """Card of a shipped model."""
    return json.loads(text_of(name))


@cache
def text_of(name, trees=12):
    """JSON of a shipped model; of its trees only the first ones, so that it reads quickly."""
    card = json.loads((SHIPPED / f"{name}.mgml").read_text())
    if "trees" in card:
        head, *blocks = card["trees"].split("\nTree=")
        head = "\n".join(" ".join(line.split(" ")[:trees]) if line.startswith("tree_sizes") else line
                         for line in head.split("\n"))
        card["trees"] = "\nTree=".join([head, *blocks[:trees]]) + "\n\nend of trees\n"
    return json.dumps(card)


def odd_value(rng):
    """A value that no entry of a card expects, or expects within bounds only."""
    depth = int(rng.choice([3, 30, 300]))
    nested = json.loads("[" * depth + "]" * depth)
    values = [
        None, True, False, 0, -1, 1, 2, 3.5, -0.0, 1e9, -1e9, 1e308, -1e308, 5e-324, 1e-7,
        float("nan"), float("inf"), float("-inf"), 2**31, 2**63, -2**63, 10**400, "", "x", "0.05",
        "nan", "\x1b[31m%s%n", "\ud800", "\x00", "é" * 1000, "Cu", "element_type", "x" * 100_000, [],
        {}, [[]], [None], {"a": 1}, {"": {}}, [1e308] * 3, [0.0] * 100_000, list(range(100_000)),
        {str(k): k for k in range(20_000)}, [[]] * 20_000, ["Cu"] * 1000, nested,
        {"weights": [], "intercept": []}, {"margin": [0.0], "probability": [0.5]}]
    return values[rng.integers(len(values))]


def places(card):
    """(container, key) of some entry: a walk down from the top that ends at random."""
    def walk(rng):
        container = card
        while True:
            keys = list(container) if isinstance(container, dict) else range(len(container))
            key = keys[rng.integers(len(keys))]
            inner = container[key]
            if not isinstance(inner, (dict, list)) or not len(inner) or rng.random() < 0.3:
                return container, key
            container = inner
    return walk


def change_entry(card, rng):
    """One entry: another value, another type, gone, doubled, scaled."""
    container, key = places(card)(rng)
    value, how = container[key], rng.integers(7)
    if how <= 2:
        container[key] = odd_value(rng)
    elif how == 3:
        del container[key]
    elif how == 4 and isinstance(container, list):
        container.insert(int(rng.integers(len(container) + 1)), copy.deepcopy(value))
    elif how == 5 and isinstance(value, (int, float)):
        container[key] = float(value * 10.0 ** rng.integers(-320, 308) * rng.choice([-1, 1]))
    else:
        container[key] = {
            list: lambda: {str(k): v for k, v in enumerate(value)}, dict: lambda: list(value),
            str: lambda: list(value[:1000])}.get(type(value), lambda: str(value))()
    return f"{how} {str(key)[:30]}"


def change_parameter(card, rng):
    """One of the parameters of the features, about and beyond its range."""
    key = str(rng.choice([*card["parameters"], "density_first", "density_spacing", "nearest"]))
    value = [1e9, 60.0, -1.0, 0, 100.0, 1e-300, float("nan"), float("inf"), True, "4", None,
             float(rng.uniform(0.0, 12.0)), float(rng.uniform(0.0, 0.6))][rng.integers(13)]
    card["parameters"][key] = value
    return f"{key} {value}"


def change_elements(card, rng):
    """Too many, doubled, odd, or other elements, with masses that fit."""
    n = int(rng.choice([1, 2, 3, 10, 11, 1000, 30_000]))
    kind = rng.integers(4)
    card["elements"] = [[f"E{k}" for k in range(n)], ["Cu"] * n, ["cu", "CU", "Zr"][:n],
                        [f"_{k} \n" for k in range(n)]][kind]
    card["masses"] = [float(rng.choice([1.0, 63.5, 0.0, 1e300, -5.0]))] * len(card["elements"])
    if rng.random() < 0.5 and "linear" in card:
        card["features"] = ["element_type"]
        card["linear"] = {"weights": [[0.0]] * n, "intercept": [0.5] * n}
    return f"{n} elements {kind}"


def change_sizes(card, rng):
    """Very many features, weights, knots, or numbers at the edge of what doubles hold."""
    n, how = int(rng.choice([1000, 20_000, 400_000], p=[0.6, 0.3, 0.1])), rng.integers(6)
    if how == 0:
        card["features"] = card["features"] * (n // len(card["features"]))
    elif how == 1:
        card["calibration"] = {"margin": [float(k) for k in range(n)],
                               "probability": [k / n for k in range(n)]}
    elif how == 2:
        step = float(rng.choice([5e-324, 1e-310, 1e-300, 1e-17, 1e300]))
        card["calibration"] = {"margin": [0.0, step], "probability": [0.0, 1.0]}
    elif how == 3 and "linear" in card:
        size = float(rng.choice([1e308, 1e155, 1e12, 1e11, 5e-324]))
        signs = rng.choice([-1.0, 1.0], (min(len(card["elements"]), 3), len(card["features"])))
        card["linear"]["weights"] = (size * signs).tolist()
    elif how == 4 and "linear" in card:
        card["linear"]["weights"] = [[0.0] * n] * 2
    else:
        card["natural_share"] = float(rng.choice([5e-324, 1e-300, 1e-6, 0.999999, 1 - 1e-16, 1.0]))
    return f"sizes {how} {n}"


def change_trees(card, rng):
    """The text of the trees: a token, a line, the number of trees, cycles."""
    text, how = card["trees"], rng.integers(8)
    if how <= 2:                                   # a token of a line
        lines = text.split("\n")
        at = [k for k, line in enumerate(lines) if "=" in line]
        k = at[rng.integers(len(at))]
        key, _, tail = lines[k].partition("=")
        words = tail.split(" ")
        words[rng.integers(len(words))] = str(rng.choice(
            ["nan", "inf", "-inf", "-1", "0", "1", "2", "1000000000", "-1000000000", "9" * 30,
             "1e308", "-1e308", "", "x", "0.5", "12", "é", "1" * 5000, "2147483648", "-2147483649"]))
        lines[k] = key + "=" + " ".join(words)
        card["trees"] = "\n".join(lines)
        return f"{key[:30]} of trees"
    if how == 3:                                   # a child that is its own ancestor
        key = str(rng.choice(["left_child", "right_child"]))
        head, _, tail = text.rpartition(f"\n{key}=")
        card["trees"] = f"{head}\n{key}={' '.join(['0', *tail.split(' ')[1:]])}"
        return "cycle"
    if how == 4:                                   # many trees, announced or there
        n = int(rng.choice([100, 3000, 100_000, 300_000]))
        card["trees"] = (f"tree\nnum_class=1\nmax_feature_idx={len(card['features']) - 1}\n"
                         + "\nTree=0\nleaf_value=1e11\n" * n)
        return f"{n} small trees"
    if how == 5:
        n = int(rng.choice([0, 1, 10**9]))
        card["trees"] = "\n".join(
            f"tree_sizes={' '.join(['9'] * min(n, 10**6))}" if line.startswith("tree_sizes") else
            f"num_leaves={n}" if line.startswith("num_leaves") else line for line in text.split("\n"))
        return f"{n} announced"
    if how == 6:                                   # one very long line, or very many
        n = int(rng.choice([5000, 500_000, 2_000_000]))
        key = str(rng.choice(["leaf_value", "threshold", "left_child", "zzz"]))
        more = f"{key}=" + "1 " * n if rng.random() < 0.5 else "a=\n" * n
        card["trees"] = text.replace("\nTree=0\n", f"\nTree=0\n{more}\n", 1)
        return f"{n} more of {key}"
    a, b = sorted(rng.integers(0, len(text), 2))
    card["trees"] = text[:a] + text[b:]
    return "part of the trees gone"


def chain(card, rng):
    """A tree as deep as it has nodes, and more of them than are read."""
    n = int(rng.choice([10, 4095, 4096, 50_000]))
    own = np.arange(n)
    lines = {"num_leaves": [n + 1], "num_cat": [0], "split_feature": own % len(card["features"]),
             "threshold": rng.normal(size=n), "decision_type": np.full(n, 2),
             "left_child": np.r_[own[1:], -n - 1], "right_child": -own - 1,
             "leaf_value": rng.normal(size=n + 1)}
    tree = "\n".join(f"{k}={' '.join(map(str, v))}" for k, v in lines.items())
    card["trees"] = (f"tree\nnum_class=1\nmax_feature_idx={len(card['features']) - 1}\n"
                     f"\nTree=0\n{tree}\n\n\nend of trees\n")
    return f"chain of {n}"


def spoil(text, rng):
    """The bytes of the file: cut, flipped, put in, keys twice, another encoding."""
    raw, how = bytearray(text.encode()), rng.integers(9)
    at = int(rng.integers(len(raw)))
    if how == 0:
        del raw[at:]
    elif how == 1:
        for k in rng.integers(0, len(raw), rng.integers(1, 20)):
            raw[k] ^= 1 << int(rng.integers(8))
    elif how == 2:
        raw[at:at] = rng.bytes(int(rng.integers(1, 50)))
    elif how == 3:
        del raw[at:at + int(rng.integers(1, 50))]
    elif how == 4:
        key = str(rng.choice(list(json.loads(text))))
        raw[1:1] = f"{json.dumps(key)}: {rng.choice(['0.5', '[]', 'null'])},".encode()
    elif how == 5:
        key = b'"zz": ' + [b"[" * 10**5, b"[[],[" + b"[]," * 10**6, b"NaN", b"1e999", b"9" * 10**4,
                           b'{"":0' + b',"":0' * 10**6, b"[" + b"{}," * 10**6 + b"0]",
                           b"[" + b"0," * 3 * 10**6 + b"0]", b"[" + b"0.1," * 10**5 + b"0]",
                           ][rng.integers(9)]
        raw[1:1] = key + b","
    elif how == 6:
        raw[1:1] = b" " * int(rng.choice([10**6, 8 * 10**6, 9 << 20]))
    elif how == 7:
        raw = bytearray(text.encode(str(rng.choice(["utf-16", "utf-32", "utf-8-sig"]))))
    else:
        wide = '"zz": "' + str(rng.choice(["é", "\U0001f600", "\\u0001", "\x7f", "\\ud800"])) * 10**6
        raw[1:1] = wide.encode() + b'",'
    return f"bytes {how}", bytes(raw)


def case(seed, k):
    """(what was done, bytes of the file) of case ``k``: the same for the same seed."""
    rng = np.random.default_rng([seed, k])
    name = str(rng.choice(["cuzr", "cuzr-wang13", "cuzr-axial"]))
    card, done = shipped(name), []
    if rng.random() < 0.7:
        del card["scores"]                         # most of the text, and only printed
    changes = [change_entry, change_parameter, change_elements, change_sizes]
    changes += [change_trees, change_trees, chain] if "trees" in card else []
    bytes_only = rng.random() < 0.15
    if not bytes_only:
        for _ in range(int(rng.choice([1, 1, 1, 2, 4]))):
            try:
                done.append(changes[rng.integers(len(changes))](card, rng))
            except (KeyError, TypeError, IndexError, AttributeError, ValueError):
                pass                               # what an earlier change has already taken away
    if rng.random() < 0.9:
        card = with_envelope(card)
    if isinstance(card.get("training"), dict) and rng.random() < 0.02:
        card["training"]["auc_out_of_fold"] = float("inf")      # which with_envelope would mend
        card["checksum"] = checksum_of(card)
    text = json.dumps(card)
    if bytes_only or rng.random() < 0.05:
        how, raw = spoil(text, rng)
        return f"{name}: {'; '.join([*done, how])}", raw
    return f"{name}: {'; '.join(done)}", text.encode()


def rows_for(model):
    """(ROWS, n_features) with ordinary, large, tiny and undefined values."""
    rng = np.random.default_rng(7)
    rows = rng.normal(0.5, 0.5, (ROWS, len(model.features)))
    odd = rng.random(rows.shape) < 0.05
    rows[odd] = rng.choice([0.0, -0.0, 1e-36, 5e-324, 1e3, -1e3], odd.sum())
    rows[rng.random(rows.shape) < 0.001] = np.nan
    if model.features[0] == "element_type":
        rows[:, 0] = rng.integers(0, len(model.elements), ROWS)
    return rows


def within(values, low, high):
    return bool((np.isnan(values) | (np.isfinite(values) & (values >= low) & (values <= high))).all())


def judge(path):
    """"refused" or "loaded"; AssertionError if it is neither as it must be."""
    try:
        model = load_model(path)
    except ModelError as error:
        text = str(error)
        assert str(path) in text and "\n" not in text and text.isprintable(), f"message {text!r}"
        assert len(text) < 600, f"message of {len(text)} characters"
        return "refused"
    rows = rows_for(model)
    margins, soft = model.margins(rows), model.softness(rows)
    assert margins.shape == soft.shape == (ROWS,)
    assert within(margins, -np.inf, np.inf), "a margin is infinite"
    assert within(soft, 0.0, 1.0), "S^q beyond 0 to 1"
    assert within(model.probability(soft), 0.0, 1.0), "a probability beyond 0 to 1"
    assert not np.isnan(soft[~np.isnan(rows).any(axis=1)]).any(), "S^q is NaN"
    known = ("cuzr", "cuzr-wang13", "cuzr-axial")
    if model.parameters != load_model(known[0]).parameters:
        x = np.stack(np.meshgrid(*[np.arange(4) * 2.7] * 3), axis=-1).reshape(-1, 3)
        x = x + np.random.default_rng(3).normal(0, 0.2, x.shape)
        types = np.arange(len(x)) % len(model.elements) + 1
        try:
            found = softness(x, types, [10.8] * 3, model=model, load="z")
        except MgmlError:
            return "loaded"
        assert within(found, 0.0, 1.0), "S^q of a structure beyond 0 to 1"
    return "loaded"


def memory():
    """MB that this process holds now, and the most since the last call."""
    try:
        told = dict(line.split(":", 1) for line in
                    Path("/proc/self/status").read_text().splitlines())
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:                                # the most since the start is all that is told
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return most, most
    now, most = (int(told[key].split()[0]) / 1024 for key in ("VmRSS", "VmHWM"))
    return now, most


def child(n, seed):
    """Judges the cases one by one; a line of JSON before and after each."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mgml"
        path.write_text(json.dumps(with_envelope(shipped("cuzr"))))
        assert judge(path) == "loaded"
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limit = size + (MEGABYTES << 20)
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        for k in range(n):
            what, raw = case(seed, k)
            path.write_bytes(raw)
            print(json.dumps({"case": k, "what": what}), flush=True)
            del raw
            signal.alarm(HANG)
            before, _ = memory()
            resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
            start, error = time.process_time(), ""
            try:
                outcome = judge(path)
            except Exception as e:
                outcome, error = "failed", f"{type(e).__name__}: {e}"[:300]
            seconds = time.process_time() - start
            resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
            megabytes = memory()[1] - before
            signal.alarm(0)
            if outcome != "failed" and seconds > SECONDS:
                outcome, error = "failed", f"{seconds:.2f} s"
            if outcome != "failed" and megabytes > MEGABYTES:
                outcome, error = "failed", f"{megabytes:.0f} MB"
            print(json.dumps({"outcome": outcome, "error": error, "seconds": seconds,
                              "megabytes": megabytes}), flush=True)


def run(n, seed):
    """(counts by outcome, worst seconds, worst MB, texts of the failures) of ``n`` cases."""
    counts, worst, failures = {"refused": 0, "loaded": 0, "failed": 0}, [0.0, 0.0], []
    process = subprocess.Popen([sys.executable, __file__, str(n), str(seed), "--child"],
                               stdout=subprocess.PIPE, text=True)
    last = {"case": -1, "what": "start"}
    for line in process.stdout:
        told = json.loads(line)
        if "case" in told:
            last = told
            continue
        counts[told["outcome"]] += 1
        worst = [max(worst[0], told["seconds"]), max(worst[1], told["megabytes"])]
        if told["outcome"] == "failed":
            failures.append(f"case {last['case']} ({last['what']}): {told['error']}")
    if process.wait() != 0 or sum(counts.values()) != n:
        counts["failed"] += 1
        failures.append(f"case {last['case']} ({last['what']}): the process ended with "
                        f"{process.returncode}")
    return counts, *worst, failures


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    if sys.argv[3:] == ["--child"]:
        return child(n, seed)
    counts, seconds, megabytes, failures = run(n, seed)
    for failure in failures[:20]:
        print(failure)
    print(f"hostile models: {n} files, seed {seed}: {counts['refused']} refused, {counts['loaded']} "
          f"loaded and scored within bounds, {counts['failed']} failed; at most {seconds:.2f} s and "
          f"{megabytes:.0f} MB a file")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
