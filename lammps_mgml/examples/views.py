"""Views of a run by OVITO, without a display: S^q against what slips, D2min, and why.

    python views.py compression.dump

Change the slices, colours and frames below; lammps_mgml/ovito/views.py tells what there is.
"""
import sys

from lammps_mgml.ovito.picture import Cut
from lammps_mgml.ovito.views import arranged, render

dump = sys.argv[1]
elements = "Cu", "Zr"                                # of types 1, 2, ...
slice_of = Cut(axis=1, at=None, thickness=3.0)       # normal to y, at mid cell, 3 A thick

# the last frame: S^q of the undeformed glass, and the atoms that have slipped since
plastic = arranged(dump, "plastic", slice_of, elements)
render(plastic, "plastic.png")
# all frames; .mp4 as well
render(plastic, "plastic.gif", size=(800, 440))

# after Fig. 2a of the paper: D2min, with a dot on each atom of S^q above 0.5
render(arranged(dump, "2a", slice_of, elements), "2a.png")

# what each family of features adds to the margin, of which S^q is made
model = {"model": "cuzr-wang13"}
render(arranged(dump, "why", slice_of, elements, model), "why.png", frame=0)
