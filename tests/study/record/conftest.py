"""The databases that a record may be in."""

import pytest
from postgres import VARIABLE


@pytest.fixture
def stored(request, monkeypatch):
    """A function (database) → overrides of a spec that put its record into a new one of this kind."""

    def stored(database):
        if database == "sqlite":
            return []
        server = request.getfixturevalue({"postgresql": "postgres"}[database])
        monkeypatch.setenv(VARIABLE, server.database())
        return [f"storage.url=env:{VARIABLE}"]

    return stored


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def storage(request, stored):
    """Overrides of a spec, for each kind of database."""
    return stored(request.param)
