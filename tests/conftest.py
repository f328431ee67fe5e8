"""What every room's tests may ask for, and how long `make fuzz` looks."""

import postgres as support
import pytest
from hypothesis import settings

settings.register_profile("long", max_examples=1500)


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of this session's own."""
    with support.server() as server:
        yield server
