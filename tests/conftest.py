"""What every room's tests may ask for."""

import postgres as support
import pytest


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of this session's own."""
    with support.server() as server:
        yield server
