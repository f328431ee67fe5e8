import pytest
from formula import BASELINE, SPEC

from study.record.ledger import Ledger
from study.spec import StudySpec


@pytest.fixture
def open_ledger(tmp_path):
    """A function that opens the ledger of SPEC with overrides, again and again the same one."""
    ledgers = []

    def open_(*overrides: str) -> Ledger:
        spec = StudySpec.from_text(SPEC, where="test", overrides=overrides)
        ledgers.append(Ledger.open(spec, tmp_path / spec.name, BASELINE))
        return ledgers[-1]

    yield open_
    for ledger in ledgers:
        ledger.close()
