"""Records in PostgreSQL through PgBouncer: two shared connections, in transaction mode."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest
from formula import BASELINE, SPEC, FormulaLane
from pgbouncer import bouncing

from study.loop.referee import Referee
from study.record.backends.postgres import POSTGRES_OPTIONS, PostgreSQL
from study.record.ledger import Ledger
from study.spec import StudySpec
from study.status.snapshot import snapshot

pytestmark = pytest.mark.postgres


@pytest.fixture
def bounced(postgres, monkeypatch: pytest.MonkeyPatch):
    """The URL of a new database by way of PgBouncer, which the variable STUDY_BOUNCED holds too."""
    with bouncing(postgres, postgres.database()) as url:
        monkeypatch.setenv("STUDY_BOUNCED", url)
        yield url


def driven(home: Path, name: str) -> int:
    """Begin a study and drive it to its end; return its trials."""
    spec = StudySpec.from_text(
        SPEC, where="test", overrides=[f"name={name}", "storage.url=env:STUDY_BOUNCED"]
    )
    with closing(Ledger.open(spec, home / name, BASELINE)) as ledger:
        run = ledger.claim()
        ledger.adopt(home / name)
        referee, lane = Referee(ledger, run), FormulaLane("a", slots=2)
        while referee.over is None:
            lane.advance(referee.exchange)
        ledger.release(run, referee.over)
        return len(snapshot(ledger).trials)


@pytest.mark.timeout(120)  # for a deadlock
def test_studies_are_begun_and_driven_at_the_same_time(bounced: str, tmp_path: Path):
    """Two processes that hold a connection each do not block one another, and prepared statements belong to
    their client.
    """
    names = [f"mine-{n}" for n in range(4)]
    with ThreadPoolExecutor(len(names)) as pool:
        assert list(pool.map(lambda name: driven(tmp_path, name), names)) == [6] * len(names)


@pytest.mark.timeout(120)
def test_nothing_is_left_on_a_connection_that_others_have_next(bounced: str, tmp_path: Path):
    """Other clients have neither our `lock_timeout` nor our prepared statements in their sessions."""
    driven(tmp_path, "mine")
    with ExitStack() as both:  # a transaction keeps its connection, so the second gets the other one
        for _ in range(2):
            other = both.enter_context(psycopg.connect(bounced, prepare_threshold=None))
            assert other.execute("SHOW lock_timeout").fetchone() == ("0",)
            assert other.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)


def test_a_transaction_waits_for_a_lock_no_longer_than_before(bounced: str):
    """The limit is set for each transaction, not for the session."""
    with PostgreSQL("env:STUDY_BOUNCED").opening() as engine:
        for _ in range(2):
            with engine.connect() as connection:
                assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "30s"
    engine.dispose()
    assert POSTGRES_OPTIONS["connect_args"]["prepare_threshold"] is None
