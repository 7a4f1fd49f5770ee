"""Runs the kernels under AddressSanitizer and UndefinedBehaviorSanitizer; one line tells the result.

    python tests/sanitize.py

Builds into build/sanitized (minutes at first, then nothing), needs GCC with libasan and libubsan.
The exercise takes all cutters, one and three threads, and the inputs at which index errors hide:
free surfaces, vacuum, gas, 0 to 4 atoms, tiny boxes, atoms at one point, NaN, lost partners.  Where
the processor has no AVX-512, its cutter runs in plain C (avx512_in_c.h).  Before that two
faults are planted, which the sanitizers must find.  Exit code 0: all is well.
"""
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "sanitized"
FAULTS = {
    "AddressSanitizer: heap-buffer-overflow":
        "density.averaged(np.zeros((9, 4)), np.zeros(9, np.int64), np.ones(9, np.int32), "
        "np.full(9, 9, np.int32), np.empty((9, 4)), 1)",
    "is outside the range of representable values":
        # a position that no caller lets through
        "density.pair_sums(np.array([[0.0, 0, 0], [1e300, 1, 1], [3, 3, 3]]), np.ones(3, np.int32), "
        "np.zeros(3, np.uint8), 1, 1.0, 0.5, 3, np.empty(0), np.empty((3, 3)), np.empty(0), "
        "np.empty((0, 6)), 1)",
}


def build():
    """Builds what has changed; SystemExit with the compiler's words.  True: AVX-512 in plain C."""
    done = subprocess.run(
        [sys.executable, "-c", "from lammps_mgml._kernels import cells; print(*cells.CUTTERS)"],
        cwd=ROOT, text=True, capture_output=True, check=True,
        env={**os.environ, "MGML_KERNELS": "", "MGML_SIMD": ""})
    emulated = "avx512" not in done.stdout.split()
    done = subprocess.run([sys.executable, "setup.py", "build_ext", "-q"], cwd=ROOT, text=True,
                          capture_output=True, env={**os.environ, "MGML_SANITIZE": "1",
                                                    "MGML_EMULATE": str(int(emulated))})
    if done.returncode:
        raise SystemExit(f"sanitize: the build failed\n{done.stdout}{done.stderr}")
    return emulated


def library(name):
    """Path of one of GCC's run-time libraries; SystemExit without it."""
    path = subprocess.run([os.environ.get("CC", "gcc"), f"-print-file-name={name}"], text=True,
                          capture_output=True, check=True).stdout.strip()
    if not os.path.isabs(path):
        raise SystemExit(f"sanitize: the compiler has no {name}")
    return path


def child(*arguments, simd=""):
    """A Python with the sanitizers and the sanitized kernels."""
    environment = {
        **os.environ, "LD_PRELOAD": f"{library('libasan.so')}:{library('libubsan.so')}",
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0", "MGML_KERNELS": str(BUILD),
        "PYTHONMALLOC": "malloc",      # so that each object of Python's has its own fence
        "UBSAN_OPTIONS": "print_stacktrace=1", "MGML_SIMD": simd,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, text=True,
                          capture_output=True)


def main():
    emulated = build()
    for told, fault in FAULTS.items():
        code = ("import numpy as np\nfrom lammps_mgml._kernels import density\n"
                f"{fault}\nprint('survived')")
        done = child("-c", code)
        if done.returncode == 0 or told not in done.stderr:
            raise SystemExit(f"sanitize: a planted fault was not found ({told})\n{done.stderr}")
    parts = []
    cutters = child("-c", "from lammps_mgml._kernels import cells; print(*cells.CUTTERS)").stdout.split()
    if "avx512" not in cutters:
        raise SystemExit("sanitize: the cutter avx512 is missing")
    for name in cutters:
        done = child(__file__, "--exercise", simd=name)
        name += " (in C)" if name == "avx512" and emulated else ""
        if done.returncode:
            raise SystemExit(f"sanitize: {name}: exit code {done.returncode}\n{done.stdout}"
                             f"{done.stderr}")
        parts.append(f"{name} {done.stdout.strip()}")
    print(f"sanitize: no fault: {'; '.join(parts)}; 2 planted faults found")


def exercise():
    """All kernels on hard inputs; prints how many cases were run."""
    import numpy as np
    from glasses import ALL, atoms_of, crystal, glass, random_system, sheared, slab

    import lammps_mgml
    from lammps_mgml import api
    from lammps_mgml._kernels import cells as kernel
    from lammps_mgml.errors import InputError
    from lammps_mgml.models.model import load_model, shipped_models
    from lammps_mgml.plasticity.d2min import partners_within, residual
    from lammps_mgml.system.threads import use_threads

    # gas and tiny boxes would be refused as lengths in other units, before any kernel meets them
    api.check_cell = api.check_distances = lambda *arguments: None
    assert Path(kernel.__file__).is_relative_to(BUILD), kernel.__file__
    assert kernel.CUTTER == os.environ["MGML_SIMD"]
    rng = np.random.default_rng(5)
    whole = glass()
    inside = (whole.positions < 0.62 * whole.edges[0, 0]).all(axis=1)
    block = whole._replace(positions=whole.positions[inside], types=whole.types[inside],
                           edges=0.62 * whole.edges + 0.4 * np.eye(3))
    hot = block._replace(positions=block.positions + rng.normal(0, 0.25, block.positions.shape))
    systems = {
        "glass": block, "hot": hot, "slab": slab(block), "cluster": block._replace(pbc=(False,) * 3),
        "tilted": sheared(crystal("bcc", 4, noise=0.3), 0.4, -0.3, 0.2),
        **{name: crystal(name, 3, noise=0.0) for name in ("sc", "fcc", "bcc", "hcp")},
        "nearly fcc": crystal("fcc", 3, noise=1e-10),
        "gas": random_system(200, (30.0, 40.0, 50.0), seed=1, pbc=(False, True, False)),
        "far gas": random_system(40, 4000.0, seed=2, pbc=(False,) * 3),
        "dense": random_system(500, 8.0, seed=3), "tiny box": random_system(3, 1.1, seed=4),
        "flat box": random_system(20, (0.9, 9.0, 9.0), seed=6),
        **{f"{n} atoms": random_system(n, (6.0, 7.0, 8.0), seed=n) for n in (1, 2, 4)},
        **{f"{n} free atoms": random_system(n, 8.0, seed=n, pbc=(False,) * 3) for n in (0, 1, 2, 4)},
    }
    cases = 0
    for threads in (1, 3):
        use_threads(threads)
        for name, s in systems.items():
            n = len(s.positions)
            atoms, _ = atoms_of(s)
            for first, near in ((3.4, 4.0), (1.0, 0.0), (12.0, 8.0)):
                both = [kernel.tessellate(atoms.positions, n, 3.6, first, near, threads, cutter)
                        for cutter in (kernel.CUTTER, "scalar")]
                assert both[0][1:] == both[1][1:] == (0, -1, -1), (name, both[0][1:])
                for field in ("facet_count", "near_count", "is_open"):
                    a, b = (getattr(one[0], field) for one in both)
                    np.testing.assert_array_equal(a, b, err_msg=f"{name} {field}")
                cases += 1
            if n == 0:
                continue
            found = lammps_mgml.featurize(s.positions, s.types, s.edges, s.pbc,
                                          "all,pair,elastic,strained", load="1 2 0 tension", msd=np.full(n, 0.01),
                                          force_constants=rng.normal(0.3, 1.0, 72))
            assert len(found) == n
            for definition in ("ovito", "lammps"):
                moved = s.positions + rng.normal(0, 0.1, s.positions.shape)
                lammps_mgml.d2min(s.positions, s.edges, moved, s.edges, s.pbc, 4.4, definition)
            lost = atoms.positions.copy()
            lost[rng.random(len(lost)) < 0.2] = np.nan
            start, partner = partners_within(atoms.positions, n, 9.0)
            residual(atoms.positions, lost, n, start, partner)
            cases += 4
        start, partner = partners_within(np.empty((0, 3)), 0, 4.5)
        assert len(start) == 1 and len(partner) == 0
        broken = random_system(50, 9.0, seed=7)
        twice, lone = broken.positions.copy(), broken.positions.copy()
        twice[31], lone[17, 1] = twice[4], np.nan
        for x in (twice, lone, np.full((9, 3), 2.0), np.full((9, 3), np.inf)):
            try:
                lammps_mgml.featurize(x, broken.types[:len(x)], broken.edges, ALL)
            except InputError:
                cases += 1
            else:
                raise SystemExit("wrong positions were accepted")
        for model in map(load_model, shipped_models()):
            for rows in (1, 63, 64, 65, 200):
                x = rng.normal(0.5, 0.5, (rows, len(model.features)))
                x[:, 0] = 0.0
                model.scorer.raw_scores(x)
                x[:, 1:][rng.random((rows, x.shape[1] - 1)) < 0.1] = np.nan
                model.softness(x)
                cases += 2
    print(f"{cases} cases")


if __name__ == "__main__":
    exercise() if "--exercise" in sys.argv else main()
