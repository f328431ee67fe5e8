"""The service below a path of a site, behind a proxy that removes the path: every link stays below it."""

import os
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import pytest
from serving import done, driven, served

from study.service.auth import COOKIE
from study.service.serve import serve
from study.service.tokens import Tokens
from trainable.contract import StudyError

BELOW = "/lab/studies"
APART = ("#", "data:", "https:")


class Links(HTMLParser):
    """The links and forms of a page that lead to other pages of the service."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.forms: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "action":
                self.forms.add(value or "")
            elif name in ("href", "src", "data-events", "data-page") and not (value or "#").startswith(APART):
                self.found.add(value or "")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A complete study and one that runs, each with a report as one is laid out."""
    home = tmp_path_factory.mktemp("below") / "studies"
    done(home, "done", "budget.trials=3")
    driven(home, "live", "budget.trials=9").step()
    for name in ("done", "live"):
        (home / name / "report").mkdir()
        page = home / name / "report" / "index.html"
        page.write_text("<a href='front.svg'>The front</a>")
        os.utime(page, (2**31, 2**31))  # newer than its record for as long as the tests take
        (home / name / "report" / "front.svg").write_text("<svg/>")
    return home


def test_every_link_of_every_page_stays_below_the_path(home):
    """Seen from the proxy. Catches: a link to the root, which leads to another site."""
    token = Tokens(home).create("write")
    with served(home, root_path=BELOW) as service, service.client() as proxied:
        signed = proxied.post("/sign-in", data={"token": token, "here": f"{BELOW}/studies/live"})
        assert (signed.status_code, signed.headers["location"]) == (303, f"{BELOW}/studies/live")
        assert f"Path={BELOW}" in signed.headers["set-cookie"]
        proxied.headers.update({"Cookie": f"{COOKIE}={token}", "Accept": "text/html, */*;q=0.1"})
        waiting, seen, forms = [f"{BELOW}/", f"{BELOW}/studies?limit=1"], set(), set()
        while waiting:
            link = waiting.pop()
            path = urlsplit(link)
            seen.add(link)
            answer = proxied.get(f"{inside(path.path)}?{path.query}&follow=false")
            assert answer.status_code < 400, link
            new = {answer.headers["location"]} if "location" in answer.headers else set()
            if "html" in answer.headers.get("content-type", ""):
                links = Links(answer.text)
                new |= links.found
                forms |= {urljoin(link, form) for form in links.forms}
            to = {urljoin(link, there) for there in new}
            waiting += [there for there in to if there not in seen]
        paths = {urlsplit(link).path.removeprefix(f"{BELOW}/studies/") for link in seen}
        assert {"done", "done/report/front.svg", "live/events"} <= paths
        assert forms == {f"{BELOW}/studies/live/stop", f"{BELOW}/sign-out"}
        refused = proxied.get("/static/nothing.css", headers={"Accept": "text/html"})
        assert (refused.status_code, f'href="{BELOW}/studies"' in refused.text) == (404, True)


def inside(path: str) -> str:
    """The path as the service receives it."""
    assert path.startswith(f"{BELOW}/"), path
    return path.removeprefix(BELOW)


def test_headers_and_forms_lead_below_the_path(home):
    token = Tokens(home).create("write")
    with served(home, root_path=BELOW) as service, service.client() as proxied:
        proxied.headers.update({"Authorization": f"Bearer {token}"})
        page = proxied.get("/studies/done/trials?limit=1")
        assert page.links["next"]["url"] == f"{BELOW}/studies/done/trials?offset=1&limit=1"
        spec = {"name": "fresh", "data": {"source": "synthetic"}, "budget": {"trials": 1}}
        assert proxied.post("/studies", json=spec).headers["location"] == f"{BELOW}/studies/fresh"
        stopped = proxied.post("/studies/live/stop", headers={"Accept": "text/html"})
        assert stopped.headers["location"] == f"{BELOW}/studies/live"
        assert proxied.post("/sign-out").headers["location"] == f"{BELOW}/sign-in"
        assert proxied.get("/openapi.json").json()["servers"] == [{"url": BELOW}]
        for here in ("/elsewhere", "//evil.example", "https://evil.example"):
            sent = proxied.post("/sign-in", data={"token": token, "here": here})
            assert sent.headers["location"] == f"{BELOW}/studies"


@pytest.mark.parametrize("path", ["lab", "/lab/", "//evil.example", "/a b", "/..", "/<x>"])
def test_what_is_no_path_is_refused(tmp_path, path):
    with pytest.raises(StudyError, match=r"--root-path: .* is no path below a site"):
        serve(tmp_path, host="127.0.0.1", port=0, address=None, data=None, say=print, root_path=path)
