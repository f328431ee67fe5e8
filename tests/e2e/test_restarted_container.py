"""A container that is started again takes up the study that its predecessor was killed in."""

import signal
from pathlib import Path

import pytest
from command import DEADLINE_S, ENDLESS, measured, prepare, rows, started, until
from elsewhere import container


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_study_whose_driver_was_killed_in_another_container_resumes(tmp_path: Path):
    """A process that no longer exists, and cannot be seen, does not count as a driver."""
    here, within = prepare(tmp_path / "here"), container()
    folder = here / "studies/tiny"
    with started(*ENDLESS, cwd=here, within=within) as first:
        until(lambda: measured(folder), "the first measurement")
        first.process.kill()
    with started(*ENDLESS, cwd=here, within=within) as again:
        until(lambda: len(rows(folder, "SELECT run FROM runs")) == 2, "the second run", 2 * DEADLINE_S)
        assert "tiny: waiting for up to" in again.err_text
        again.send(signal.SIGINT)
        assert again.wait().code == 130
    assert rows(folder, "SELECT reason FROM runs ORDER BY run")[0] == ("died",)
