"""Half of the table of trust (`make trust`), each row with its smaller counts.

Left out are rows that run tests of this folder once more, and those that take minutes or measure time.
"""
import json
import os
import subprocess
import sys

import pytest
from decks import ROOT

ROWS = ("O1", "R5", "R6", "R7", "R8", "R9", "R10", "R14", "R16", "R23", "R24", "R27",
        "A identity", "A phase", "A minimise", "A ghosts", "A restart", "A options", "A files",
        "B mpi4py", "B models", "B hosts", "C messages")


@pytest.mark.parametrize("name", ROWS)
def test_row(name, tmp_path):
    out = tmp_path / "row.json"
    done = subprocess.run([sys.executable, "-m", "trust", "--fast", "--row", name, "--out", str(out)],
                          cwd=ROOT, text=True, capture_output=True, stdin=subprocess.DEVNULL,
                          env={**os.environ, "PYTHONPATH": str(ROOT / "tests")})
    assert out.exists(), done.stdout[-2000:] + done.stderr[-2000:]
    result = json.loads(out.read_text())
    if result["state"] == "not run":
        pytest.skip(result["figure"])
    assert result["state"] == "pass", [result["figure"], *result["failures"][:3]]
