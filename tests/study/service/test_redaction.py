"""Read tokens see that something failed; write tokens see the reason, too."""

import pytest
from serving import Notes, driven, served

from study.service.cache import StudyCache
from study.service.schemas import JobOut
from study.service.submission import add_study
from study.service.tokens import Tokens
from study.spec import StudySpec

SECRET = "OperationalError: /home/ann/lab: no answer from db.internal, see $LAB_PASSWORD"
"""Text that an exception or a job's log may contain."""


class Failed(Notes):
    """A backend with the log of the last job."""

    def last(self, name: str) -> JobOut:
        return JobOut(id=f"{name}-1", state="failed", said=f"Job entrypoint failed, last lines: {SECRET}")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A service of a study that failed, one that waits for a job that failed, and one that is torn."""
    home = tmp_path_factory.mktemp("lab") / "studies"
    study = driven(home, "failed")
    study.step()
    study.ledger.release(study.run, f"failed: {SECRET}")
    add_study(StudyCache(home), StudySpec.preset("smoke", ["name=waits"]))
    (home / "torn").mkdir()
    (home / "torn" / "study.toml").write_text("name = $LAB_PASSWORD")
    tokens = {scope: Tokens(home).create(scope) for scope in ("read", "write")}
    with served(home, runner=Failed()) as service:
        yield service, tokens


PAGES = ("/studies", "/studies/failed", "/studies/waits", "/studies/torn")
STREAMS = tuple(f"{page}/events?follow=false" for page in PAGES[1:3])


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_a_failure_is_redacted_for_a_read_token(lab, accept):
    """In lists, studies, pages, streams and errors. Catches: a log that a read token opens."""
    service, tokens = lab
    for path in PAGES + STREAMS:
        pages = {}
        for scope, token in tokens.items():
            headers = {"Authorization": f"Bearer {token}", "Accept": accept}
            with service.client(headers=headers) as client:
                pages[scope] = client.get(path, headers={} if path in PAGES else {"Accept": "*/*"}).text
        assert "a write token shows the reason" in pages["read"], path
        for secret in ("/home/ann", "db.internal", "LAB_PASSWORD", "study.toml"):
            assert secret not in pages["read"], path
        assert any(secret in pages["write"] for secret in ("db.internal", "study.toml")), path


def test_without_tokens_failures_are_not_redacted(tmp_path):
    """Without tokens every client may write. Catches: a reason that no client can see."""
    add_study(StudyCache(tmp_path / "studies"), StudySpec.preset("smoke", ["name=waits"]))
    with served(tmp_path / "studies", runner=Failed()) as service, service.client() as client:
        assert SECRET in client.get("/studies/waits").json()["job"]["said"]
