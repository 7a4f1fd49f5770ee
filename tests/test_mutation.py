"""The list of planted faults fits the sources; ``make mutation`` plants them."""
from pathlib import Path

import pytest
from mutation.faults import FAULTS

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("fault", FAULTS, ids=[f.id for f in FAULTS])
def test_text_to_replace_occurs_once_and_the_tests_are_there(fault):
    text = (ROOT / fault.file).read_text()
    assert text.count(fault.old) == 1, f"{fault.file}: {text.count(fault.old)} times {fault.old!r}"
    assert fault.new != fault.old and fault.harm.endswith(".")
    for name in fault.tests:
        file, _, test = name.partition("::")
        source = (ROOT / file).read_text()
        assert not test or f"def {test.partition('[')[0]}(" in source, f"no {name}"


def test_names_differ_and_there_are_enough():
    assert len({f.id for f in FAULTS}) == len(FAULTS) >= 60
