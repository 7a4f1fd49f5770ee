"""A short run of a system, which tells what is wrong with its file before hours of work are begun."""
from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import MgmlError
from ..systems import System, lammps_files

STEPS, N = 100, 10                     # steps of each part; N^3 atoms
LEAST_FORCE = 1e-3                     # of the forces in a melt: the tolerance must be smaller
DECK = f"""include ${{system}}
variable n index {N}
variable seed index 1
units ${{units}}
atom_style ${{style}}
atom_modify map yes
lattice sc ${{spacing}}
region box block 0 ${{n}} 0 ${{n}} 0 ${{n}}
create_box ${{types}} box
create_atoms 1 box
include ${{atoms}}
include ${{potential}}
neighbor ${{skin}} bin
neigh_modify every 1 delay 4 check yes
timestep ${{dt}}
thermo 10
thermo_style custom step temp press ke etotal vol density fnorm
thermo_modify norm no lost error
variable ke equal ke/atoms
variable e equal etotal/atoms
variable t equal temp
variable v equal vol
print "MGML start $(v_v)"
min_modify dmax ${{dmax}}
minimize 0 1e-3 20 100
velocity all create ${{tmelt}} ${{seed}} mom yes dist gaussian
fix md all npt temp ${{tmelt}} ${{tmelt}} ${{tdamp}} iso ${{pressure}} ${{pressure}} ${{pdamp}}
run {STEPS}
print "MGML melt $(v_t) $(v_v) $(fnorm)"
unfix md
fix md all nve
run 0
print "MGML before $(v_e) $(v_ke)"
run {STEPS}
print "MGML after $(v_e) $(v_ke)"
unfix md
minimize 0 1e-3 100 1000
print "MGML inherent $(v_e) $(v_v)"
"""


@dataclass
class Trial:
    """told : lines on what is right.  wrong : on what is not.  seconds : of a processor, for the
    forces on one atom; NaN if LAMMPS did not come so far."""

    told: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: float = float("nan")


def trial(system: System, command: Sequence[str]) -> Trial:
    """Run 1000 atoms of ``system``: a melt of 100 steps, then 100 at constant energy.

    command : the words that start LAMMPS.

    Raises
    ------
    MgmlError : LAMMPS does not end within 10 minutes, or tells no times.
    """
    out = Trial()
    with tempfile.TemporaryDirectory(prefix="mgml-") as name:
        folder = Path(name)
        path = lammps_files(system, folder)
        (folder / "in.check").write_text(DECK)
        try:
            done = subprocess.run([*command, "-in", "in.check", "-log", "log", "-var", "system",
                                   path.name], cwd=folder, capture_output=True, text=True,
                                  timeout=600, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise MgmlError(f"{STEPS} steps of {N ** 3} atoms took more than 10 minutes") from None
    text = done.stdout + done.stderr
    found = {words[1]: [float(w) for w in words[2:]] for words in (
        line.split() for line in text.splitlines() if line.startswith("MGML "))}
    if done.returncode or "inherent" not in found:
        out.wrong += _failure(system, text, found)
        return out
    loops = re.findall(r"Loop time of ([\d.eE+-]+) on \d+ procs for (\d+) steps with (\d+) atoms",
                       text)
    busy = [min(float(x) / 100, 1.0) for x in re.findall(r"([\d.]+)% CPU use", text)]
    busy = busy if len(busy) == len(loops) else [1.0] * len(loops)
    times = [float(t) * b / int(n) / int(atoms) for (t, n, atoms), b in zip(loops, busy)
             if int(n) == STEPS]
    if not times:
        raise MgmlError(f"LAMMPS told no loop time: {text[-300:]}")
    out.seconds = min(times)
    _judge(system, found, out)
    return out


def _failure(system: System, text: str, found: dict[str, list[float]]) -> list[str]:
    """Lines on a run that did not come to its end."""
    errors = [line for line in text.splitlines() if line.startswith("ERROR")]
    what = " ".join(errors[0].split()) if errors else "LAMMPS ended without a word"
    hint = ""
    for words, remedy in (
            ("potential file", "is the file beside the system file or in LAMMPS_POTENTIALS?"),
            ("Cannot open", "is the file beside the system file or in LAMMPS_POTENTIALS?"),
            ("coeffs are not set", "pair_coeff is needed for every pair of types"),
            ("Unrecognized pair style", "this LAMMPS lacks the package that has it"),
            ("ost atoms", "a smaller dynamics.timestep or another quench.spacing may help"),
            ("not computed", "a smaller dynamics.timestep or another quench.spacing may help"),
            ("Non-numeric", "a smaller dynamics.timestep or another quench.spacing may help"),
            ("element to type mappings", "pair_coeff must name one for each of [[elements]]"),
            ("Incorrect args for pair coeff", "do its symbols fit [[elements]], one for each?")):
        if words in what:
            hint = f": {remedy}"
            break
    where = "before the first step" if "start" not in found else (
        "in the melt" if "melt" not in found else "after the melt")
    last = next((line for line in reversed(text.splitlines()) if line.startswith("Last command:")
                 or "Last input line:" in line), "")
    return [f"{where}: {what}{f' ({last.strip()})' if last else ''}{hint}"]


def _judge(system: System, found: dict[str, list[float]], out: Trial) -> None:
    (t, melt, force), (start,) = found["melt"], found["start"]
    (e0, ke), (e1, _), (inherent, _) = found["before"], found["after"], found["inherent"]
    drift = abs(e1 - e0) / ke if ke > 0 else float("inf")
    wanted = system["quench.melt"]

    def judged(good: bool, right: str, wrong: str) -> None:
        (out.told if good else out.wrong).append(right if good else wrong)

    grown = melt / start
    judged(0.5 < grown < 1.6, f"the melt has {grown:.2f} of the volume of the start",
           f"the melt has {grown:.2g} times the volume of the start: "
           + ("it evaporates: lower quench.melt, or raise dynamics.pressure" if grown > 1 else
              "quench.spacing is far too large"))
    judged(0.5 * wanted < t < 2.0 * wanted, f"temperature {t:.4g} after {STEPS} steps",
           f"temperature {t:.4g} after {STEPS} steps where quench.melt is {wanted:g}: masses, units "
           f"or damping do not fit the potential, or the atoms begin too close (quench.spacing)")
    judged(drift < 2e-3, f"energy holds to {drift:.1e} of the kinetic energy in {STEPS} steps",
           f"at constant energy it changes by {drift:.2g} of the kinetic energy in {STEPS} steps: "
           f"dynamics.timestep = {system['dynamics.timestep']:g} is too large")
    judged(inherent < 0, f"cohesion: {inherent:.4g} in energy an atom",
           f"{inherent:.4g} in energy an atom at rest: nothing holds the atoms together at "
           f"pressure {system['dynamics.pressure']:g}")
    # Cu-Zr's of the shipped models: 2e-4
    ratio = system["loading.force"] / force
    judged(ratio < LEAST_FORCE, f"loading.force is {ratio:.1e} of the forces in the melt",
           f"loading.force = {system['loading.force']:g} is {ratio:.1e} of the norm of the forces on "
           f"{N ** 3} atoms in the melt: above {LEAST_FORCE:g} minimisations end early")
    out.told.append(f"{1e6 * out.seconds:.2g} us for the forces on an atom")
