"""Fixtures that several files of tests share."""
import shutil
import tempfile
from pathlib import Path

import pytest
from datasets import words
from decks import mgml


@pytest.fixture(scope="session")
def small_glass():
    """(folder with a small glass of seed 5 in md/ and out/, what the program said)."""
    folder = Path(tempfile.mkdtemp(prefix="mgml-glass-"))
    yield folder, mgml(*words("make", folder))
    shutil.rmtree(folder, ignore_errors=True)
