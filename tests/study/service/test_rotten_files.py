"""Files that the service keeps beside the studies may have any content."""

import json
from pathlib import Path

import pytest
from serving import done, served

from study.remote import local_ray
from study.service import reports
from study.service.reports import MADE_FROM_FILE, REPORT_FILE
from study.service.summary_file import SUMMARY_FILE
from study.service.tokens import TOKENS_FILE, Tokens
from trainable.contract import StudyError
from trainable.disk import write_atomically

ROTTEN = {
    "empty": b"",
    "bytes": b"\xff\xfe\0",
    "deep": b"[" * 100_000,
    "numbers": b"[1]",
    "an object": b"{}",
    "objects": b"[{}]",
}
each = pytest.mark.parametrize("content", ROTTEN.values(), ids=ROTTEN)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("rotten") / "studies"
    done(home, "done")
    return home


@each
def test_summaries_and_pages_are_made_again(home: Path, monkeypatch: pytest.MonkeyPatch, content: bytes):
    """Catches: a page, or the list of all studies, that is refused because of one file."""

    async def make(folder: Path) -> None:
        (folder / "report").mkdir(exist_ok=True)
        write_atomically(folder / REPORT_FILE, b"page")

    monkeypatch.setattr(reports, "_made", make)
    monkeypatch.setattr(reports, "STALE_S", 0.0)
    pages = ("/studies", "/studies/done", "/studies/done/report/")
    with served(home) as service, service.client() as client:
        assert [client.get(page).status_code for page in pages] == [200] * len(pages)
    for name in (SUMMARY_FILE, MADE_FROM_FILE, REPORT_FILE):
        (home / "done" / name).write_bytes(content)
    with served(home) as service, service.client() as client:
        assert [client.get(page).status_code for page in pages] == [200] * len(pages)
        (study,) = client.get("/studies").json()["studies"]
        assert study["state"] == "complete"


VALUES = {
    "id": 1,
    "scope": "all",
    "hash": "é",
    "created": "today",
    "expires": "2026-01-01T00:00:00",
    "label": None,
}


@pytest.mark.parametrize("content", [*ROTTEN.values(), *VALUES], ids=[*ROTTEN, *VALUES])
def test_a_damaged_file_of_tokens_refuses_every_request(tmp_path: Path, content: bytes | str):
    """A damaged file, or one damaged value. Catches: code 500, and a token that is accepted."""
    token, path = Tokens(tmp_path).create("write"), tmp_path / TOKENS_FILE
    if isinstance(content, str):
        (entry,) = json.loads(path.read_bytes())
        content = json.dumps([entry | {content: VALUES[content]}]).encode()
    path.write_bytes(content)
    with served(tmp_path) as service, service.client() as client:
        answer = client.get("/studies", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, "holds no tokens" in answer.json()["detail"]) == (503, True)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0", b"two\nlines"])
def test_a_damaged_token_of_a_ray_is_named(tmp_path: Path, content: bytes):
    """Catches: a Ray that does not start in a minute."""
    (tmp_path / local_ray.RAY_TOKEN_FILE).write_bytes(content)
    with (
        pytest.raises(StudyError, match=r"\.ray\.token: holds no token; "),
        local_ray.dashboard(tmp_path, print),
    ):
        pass
