#!/usr/bin/env bash
# Kernels for arm64 (NEON), run under qemu-user: are the numbers those of this machine, bit for bit?
#
#     bash tests/arm64.sh            Debian or Ubuntu, as root: it installs a cross compiler and qemu
#
# Python and numpy for arm64 are Debian's, unpacked into build/arm64 and not installed.
set -euo pipefail
cd "$(dirname "$0")/.."
here=$PWD work=$PWD/build/arm64 python=python3.11
mkdir -p "$work/debs" "$work/c" "$work/package" "$work/root"
apt-get install -y -qq qemu-user g++-aarch64-linux-gnu >/dev/null
dpkg --add-architecture arm64
trap 'dpkg --remove-architecture arm64' EXIT
apt-get update -qq
(cd "$work/debs" && apt-get download -qq $(printf '%s:arm64 ' libc6 libgcc-s1 libstdc++6 zlib1g \
    libexpat1 lib$python-minimal lib$python-stdlib $python-minimal lib$python lib$python-dev \
    libbz2-1.0 liblzma5 libffi8 libssl3 libsqlite3-0 libuuid1 libcrypt1 libgomp1 libblas3 liblapack3 \
    libgfortran5 python3-numpy libncursesw6 libtinfo6 libdb5.3 libreadline8))
for package in "$work"/debs/*.deb; do dpkg-deb -x "$package" "$work/root"; done

rm -rf "$work/package/lammps_mgml"
cp -r lammps_mgml "$work/package/"
rm -f "$work"/package/lammps_mgml/_kernels/*.so
cd cython_ext
for kernel in *.pyx; do
    name=${kernel%.pyx}
    "$here/.venv/bin/cython" -3 -I . --module-name lammps_mgml._kernels.$name -o "$work/c/$name.c" "$kernel"
    aarch64-linux-gnu-gcc -O3 -fno-math-errno -fno-trapping-math -ffp-contract=off -fopenmp -fPIC \
        -shared -I. -I"$work/root/usr/include/$python" -I"$work/root/usr/include" \
        "$work/c/$name.c" -o "$work/package/lammps_mgml/_kernels/$name.cpython-311-aarch64-linux-gnu.so"
done
cd "$here"

cat >"$work/kernels_here_and_there.py" <<'END'
import platform, sys
import numpy as np
import lammps_mgml
from lammps_mgml._kernels import cells
from lammps_mgml.io.dump import read_data
g = read_data(sys.argv[1])
x, edges = g.positions, g.box.edges
hot = x + np.random.default_rng(1).normal(0, 0.2, x.shape)
out = {"features": lammps_mgml.featurize(x, g.types, edges, features="all"),
       "features, hot": lammps_mgml.featurize(hot, g.types, edges, features="all"),
       **dict(zip(("d2min", "eta", "partners"), lammps_mgml.d2min(x, edges, hot, edges)))}
for model in ("cuzr", "cuzr-wang13"):
    out[model] = lammps_mgml.softness(x, g.types, edges, model=model)
np.savez(sys.argv[2], **out)
print(platform.machine(), "cutter", cells.CUTTER, "of", *cells.CUTTERS)
END
.venv/bin/python "$work/kernels_here_and_there.py" inputs/glass-13.data.gz "$work/here.npz"
lib=$work/root/usr/lib/aarch64-linux-gnu
qemu-aarch64 -L "$work/root" -E LD_LIBRARY_PATH="$lib:$lib/blas:$lib/lapack" \
    -E PYTHONHOME="$work/root/usr" -E PYTHONPATH="$work/package:$work/root/usr/lib/python3/dist-packages" \
    -E OMP_NUM_THREADS=1 "$work/root/usr/bin/$python" "$work/kernels_here_and_there.py" inputs/glass-13.data.gz "$work/arm64.npz"
.venv/bin/python - "$work/here.npz" "$work/arm64.npz" <<'END'
import sys
import numpy as np
one, two = map(np.load, sys.argv[1:])
for name in one.files:
    equal = np.array_equal(one[name], two[name], equal_nan=True)
    print(f"{name:<14} {str(one[name].shape):<12} {'the same bits' if equal else 'DIFFERENT'}")
sys.exit(not all(np.array_equal(one[n], two[n], equal_nan=True) for n in one.files))
END
