"""What every room's tests may ask for, how long `make fuzz` looks, what `make chaos` draws from."""

import signal
from collections.abc import Iterator
from functools import cache

import postgres as support
import pytest
from alembic.script import ScriptDirectory
from hypothesis import HealthCheck, settings

# No example fails by the clock, and a test may write each of its examples over the last one in one folder.
BUSY = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
for name, examples in (("same", 40), ("more", 100)):  # the same ones in every run; `make long` has more
    settings.register_profile(name, BUSY, max_examples=examples, derandomize=True, database=None)
settings.register_profile("long", BUSY, max_examples=1500)  # `make fuzz`: new examples in every run
settings.load_profile("same")

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # as a shell leaves it to what it runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the programs under test inherit it


def pytest_addoption(parser: pytest.Parser) -> None:
    """The one seed from which `tests/e2e/test_chaos.py` draws everything."""
    parser.addoption(
        "--chaos-seed", type=int, default=0, help="seed of the storms in tests/e2e/test_chaos.py"
    )


@pytest.fixture(scope="session", autouse=True)
def migrations_are_read_once() -> Iterator[None]:
    """Keep Optuna's migration scripts in memory: reading them is two thirds of the time to make a record."""
    read = cache(ScriptDirectory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            ScriptDirectory, "from_config", lambda config: read(config.get_main_option("script_location"))
        )
        yield


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of this session's own."""
    with support.server() as server:
        yield server
