import pytest
from serving import done, served


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with the complete study "done"."""
    home = tmp_path_factory.mktemp("service") / "studies"
    done(home, "done")
    return home


@pytest.fixture(scope="module")
def service(home):
    """An open service of that folder."""
    with served(home, stream_s=1.0) as running:
        yield running


@pytest.fixture
def client(service):
    with service.client() as asking:
        yield asking
