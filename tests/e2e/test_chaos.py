"""Nothing lost: studies run while lanes, referee, driver, Ray and database are killed at random moments."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from chaos import BASE, DATABASE, NAME, WEIGHTS, Storm, Tally, forecast
from command import ratings
from law5 import check_judgements, check_measurements, check_record, tables
from pandas.testing import assert_frame_equal
from postgres import Server

from study.record.ledger import Ledger
from study.runtime.run import run
from study.spec import StudySpec

SHORT, LONG = 1, range(20)
"""The study of `.ci/run`, in PostgreSQL with a stopping rule, and the studies of `make chaos`."""


@pytest.fixture(scope="module")
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    """The log of all storms, printed at the end."""
    total = Tally()
    yield total
    with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        print(f"\n--chaos-seed={request.config.getoption('chaos_seed')}: {total}")


@pytest.fixture
def rage(
    request: pytest.FixtureRequest,
    postgres: Server,
    tmp_path: Path,
    tally: Tally,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[int], None]:
    """A function that lets one study of the storm run to its end, and holds its record to law 5."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(DATABASE, postgres.database())
    (tmp_path / "storm.toml").write_text(BASE, encoding="utf-8")
    (tmp_path / "ratings.csv").write_text(ratings(), encoding="utf-8")

    def rage(number: int) -> None:
        storm = Storm(forecast(request.config.getoption("chaos_seed"), number), tmp_path, postgres)
        print(storm.forecast)
        ended = storm.rage()
        assert (ended.code, ended.err) == (0, ""), ended
        tally.add(storm.tally)
        ledger = Ledger.read(tmp_path / "studies" / NAME)
        check_record(ledger, storm.trials)
        check_measurements(ledger)
        check_judgements(ledger)
        if storm.forecast.same_tables:
            check_tables(ledger, storm, tmp_path)
        ledger.close()

    return rage


def check_tables(ledger: Ledger, storm: Storm, here: Path) -> None:
    """The tables are those of the same study, undisturbed."""
    calm = [o for o in storm.forecast.overrides if not o.startswith("storage.")]
    inline = (f"budget.trials={storm.trials}", "runtime.address=inline")
    spec = StudySpec.load(here / "storm.toml", [*calm, *inline])
    undisturbed = Ledger.read(run(spec, here / "undisturbed").folder)
    expected = tables(undisturbed, here / "expected")
    found = tables(ledger, here / "found")
    assert found.keys() == expected.keys()
    for name, table in found.items():
        assert_frame_equal(table, expected[name], check_exact=True)
    undisturbed.close()


@pytest.mark.parametrize(("numbers", "kills"), [((SHORT,), 10), (LONG, 200)])
def test_storms_are_as_large_as_they_say(request: pytest.FixtureRequest, numbers: Iterable[int], kills: int):
    """A storm has its number of kills, and one of them while a run begins."""
    forecasts = [forecast(request.config.getoption("chaos_seed"), number) for number in numbers]
    blows = [blow for each in forecasts for blow in each.blows]
    assert sum(blow.what in WEIGHTS for blow in blows) >= kills
    assert all(any(blow.soon is not None for blow in each.blows) for each in forecasts)


@pytest.mark.ray
@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_storm(rage: Callable[[int], None]):
    """No trial is lost, doubled or left running, and every number equals that of the replicate alone."""
    rage(SHORT)


@pytest.mark.ray
@pytest.mark.postgres
@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", LONG)
def test_a_long_storm(rage: Callable[[int], None], number: int):
    """As `test_a_storm`, in more kinds of study."""
    rage(number)
