"""What LAMMPS' ``compute voronoi/atom neighbors yes`` costs, beside our cells, by atoms a rank.

    python benchmarks/sizes.py [--repeats N] [--json FILE]

It runs insitu.py on one rank for each size (CPU time, medians).  8000 atoms are the shipped glass;
40 000 are five copies of it along x; about 1000 and 4000 are an eighth and a half of it, made
periodic: of atoms nearer than 1.6 A to each other across the cut one is taken out (so a few are
missing), the rest is minimised.  LAMMPS cuts cells of its ghost atoms, too; we only of the owned
ones ("per cell cut": LAMMPS' time, divided by its owned and ghost atoms).
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import header, machine

SYSTEMS = (("0.5 0.5 0.5", "1 1 1"), ("0.5 1 1", "1 1 1"), ("1 1 1", "1 1 1"), ("1 1 1", "5 1 1"))


def measured(cut, copies, repeats):
    """What insitu.py writes for one system."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        subprocess.run([sys.executable, Path(__file__).with_name("insitu.py"), "--cut", cut,
                        "--replicate", copies, "--model", "cuzr-wang13", "--cpu",
                        "--repeats", str(repeats), "--json", out], check=True,
                       stdout=subprocess.DEVNULL)
        return json.loads(out.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", help="file for the numbers")
    args = parser.parse_args()
    header("Cu65Zr35, one rank, model cuzr-wang13, us per owned atom")
    print("  atoms   ghosts  MD step  our cells  evaluation  voronoi/atom   of it to our cells  "
          "per cell cut")
    rows = []
    for cut, copies in SYSTEMS:
        found = measured(cut, copies, args.repeats)
        n, ghosts, micro = found["atoms"], found["ghosts"], found["microseconds_per_atom"]
        rows.append({**found, "ratio": micro["voronoi/atom"] / micro["cells"],
                     "lammps_per_cell": micro["voronoi/atom"] * n / (n + ghosts)})
        print(f"{n:7} {ghosts:8} {micro['MD step']:8.2f} {micro['cells']:10.2f} "
              f"{micro['evaluation']:11.2f} {micro['voronoi/atom']:13.2f} {rows[-1]['ratio']:20.1f} "
              f"{rows[-1]['lammps_per_cell']:13.2f}", flush=True)
    if args.json:
        Path(args.json).write_text(json.dumps({"sizes": rows, **machine()}, indent=1))


if __name__ == "__main__":
    main()
