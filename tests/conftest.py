"""What every room's tests may ask for, how long `make fuzz` looks, what `make chaos` draws from."""

import signal

import postgres as support
import pytest
from hypothesis import settings

settings.register_profile("long", max_examples=1500)

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # as a shell leaves it to what it runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the programs under test inherit it


def pytest_addoption(parser: pytest.Parser) -> None:
    """The one seed from which `tests/e2e/test_chaos.py` draws everything."""
    parser.addoption(
        "--chaos-seed", type=int, default=0, help="seed of the storms in tests/e2e/test_chaos.py"
    )


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of this session's own."""
    with support.server() as server:
        yield server
