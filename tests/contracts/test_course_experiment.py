"""The course experiment, `ps1`, has the same numbers on every engine."""

import pytest
from alone import recorded

from study.record.ledger import Ledger
from study.runtime.run import run
from study.spec import StudySpec
from trainable.engines.registry import ENGINES

EPOCHS = 20


def course(engine, home):
    """Measurements of the preset's four cells in EPOCHS epochs with one seed, in one session."""
    overrides = [
        "runtime.address=inline",
        "runtime.slots=4",
        f"runtime.engine={engine}",
        "search.replicates=1",
        f"train.epochs={EPOCHS}",
    ]
    return recorded(Ledger.read(run(StudySpec.preset("ps1", overrides), home).folder))


@pytest.mark.long
@pytest.mark.data
@pytest.mark.timeout(1800)
def test_it_keeps_its_numbers_with_every_engine(tmp_path):
    """In float32, on the real ratings. Losses and MSE differed by 1e-7; ranking metrics change in steps, when
    two items swap ranks. Catches errors that need large data: a wrong chunk, stack or block.
    """
    expected = course("plain", tmp_path / "plain")
    assert len(expected) == 4
    for engine in set(ENGINES) - {"plain"}:
        found = course(engine, tmp_path / engine)
        assert found.keys() == expected.keys()
        for cell, epochs in expected.items():
            assert found[cell].keys() == epochs.keys()
            for epoch, numbers in epochs.items():
                for name, value in numbers.items():
                    rel = 1e-3 if name.startswith("mrr") else 1e-5
                    told = f"{engine}, cell {cell}, epoch {epoch}: {name}"
                    assert found[cell][epoch][name] == pytest.approx(value, rel=rel), told
