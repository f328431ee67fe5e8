"""Typed client of a study service. Needs only the standard library and pydantic.

Requests that only read are repeated while the service is away. Requests that change something are sent once
and raise their error. Posting the same study again is safe.
"""

import json
import math
import time
from collections.abc import Iterator, Mapping
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from pydantic import ValidationError

from study.remote.direct import direct
from study.service.schemas import (
    Measured,
    Measurements,
    News,
    Page,
    Schema,
    Study,
    Summaries,
    Summary,
    Trial,
    Trials,
)
from study.spec import SpecError, StudySpec
from study.spec.study import text_of
from trainable.contract import StudyError

FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 4.0
"""First and longest wait before a request is repeated; each wait is twice the one before."""

SILENCE_S = 60.0
"""Time without data after which a service counts as away; a stream sends something every 15 s."""

GATEWAYS = (502, 503, 504)
"""Statuses of a service that is away."""

ROWS_PER_PAGE = 1000

A = TypeVar("A", bound=Schema)
P = TypeVar("P", bound=Page)


class ServiceError(StudyError):
    """Refusal of a service, in its words; `status` is the HTTP status, None without an answer."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """Client of the service at `url`, as "https://studies.example.org"; `study token create` makes a `token`.

    While the service is away, a request that only reads is repeated for `patience_s` seconds. Every method
    raises ServiceError if the service refuses: status 401 without a valid token, 403 if the token may only
    read, 404 for an unknown study, and those that the method names.
    """

    def __init__(self, url: str, token: str | None = None, *, patience_s: float = 60.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise StudyError(f"{url!r} is not the address of a service; write it as http://127.0.0.1:8300")
        self._url = url.rstrip("/")
        self._patience_s = patience_s
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        past = [ProxyHandler({})] if direct(url, token=token is not None) else []
        self._opener = build_opener(_NoRedirect, *past)

    # --- changes ---------------------------------------------------------------------------------------

    def post(self, spec: StudySpec | Path | str) -> Study:
        """Start the study of a spec, given as such, as a file or as TOML text; return the study.

        An ended study resumes if the budget is larger than before. ServiceError 409 if a study of this name
        has another fingerprint, or runs with a smaller budget; 422 if the spec is invalid. SpecError if the
        file cannot be read.
        """
        if isinstance(spec, Path):
            spec = text_of(spec)
        if isinstance(spec, str):
            if "\n" not in spec and spec.endswith(".toml"):
                raise SpecError(
                    f"post: {spec!r} is neither TOML text nor a Path; for a file write Path({spec!r})"
                )
            return self._changed("/studies", spec.encode(), "application/toml")
        values = spec.model_dump(mode="json", exclude_none=True)
        return self._changed("/studies", json.dumps(values).encode(), "application/json")

    def stop(self, name: str) -> Study:
        """Ask the study to stop; return it."""
        return self._changed(f"{_path(name)}/stop")

    def resume(self, name: str) -> Study:
        """Resume the study; return it. ServiceError 409 if it is complete or its job has not ended."""
        return self._changed(f"{_path(name)}/resume")

    # --- reads -----------------------------------------------------------------------------------------

    def studies(self) -> list[Summary]:
        """Summaries of all studies, by name. Repeats the request until the service has read all of them."""
        until = time.monotonic() + self._patience_s
        while True:
            found = [study for page in self._pages("/studies", Summaries) for study in page.studies]
            if all(study.state != "unread" for study in found) or time.monotonic() > until:
                return found
            time.sleep(FIRST_WAIT_S)

    def study(self, name: str) -> Study:
        """One study: state, budget, front, hypervolume."""
        return self._asked(_path(name), Study)

    def trials(self, name: str) -> Iterator[Trial]:
        """The rows of the table of trials."""
        for page in self._pages(f"{_path(name)}/trials", Trials):
            yield from page.rows

    def measurements(self, name: str) -> Iterator[Measured]:
        """The rows of the table of measurements."""
        for page in self._pages(f"{_path(name)}/measurements", Measurements):
            yield from page.rows

    def table(
        self,
        name: str,
        which: Literal["trials", "measurements"],
        form: Literal["csv", "parquet"],
        *,
        offset: int = 0,
        limit: int = 10_000,
    ) -> bytes:
        """A table as a file: at most `limit` (<= 10,000) rows, from row `offset` on.

        `trials` and `measurements` return all rows. ServiceError 404 if the study has no record yet.
        """
        accept = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}[form]
        query = urlencode({"offset": offset, "limit": limit})
        return self._read(f"{_path(name)}/{which}?{query}", accept)

    def report(self, name: str) -> str:
        """The report as an HTML page."""
        return self._read(f"{_path(name)}/report/", "text/html").decode()

    def events(self, name: str, *, after: str = "0", follow: bool = True) -> Iterator[News | Study]:
        """Events of a study from `after` on, until no run drives it.

        Each event comes once, even if the connection is lost meanwhile. Without `follow` it ends with the
        events on record now.
        """
        cursor, patience = after, _Patience(self._url, self._patience_s)
        while True:
            query = urlencode({"after": cursor, "follow": str(follow).lower()})
            try:
                with self._open(f"{_path(name)}/events?{query}", "text/event-stream") as answer:
                    for event in _events(answer):
                        patience = _Patience(self._url, self._patience_s)
                        cursor = event.get("id", cursor)
                        if event["event"] == "news":
                            yield _parsed(News, event["data"])
                        else:
                            study = _parsed(Study, event["data"])
                            yield study
                            if follow and _over(study):
                                return
                if not follow:
                    return
            except (OSError, HTTPException) as error:
                patience.wait(error)

    # --- inside ----------------------------------------------------------------------------------------

    def _pages(self, path: str, kind: type[P]) -> Iterator[P]:
        """The pages of a list or table, in order."""
        offset, total = 0, 1
        while offset < total:
            page = self._asked(path, kind, offset=offset, limit=ROWS_PER_PAGE)
            yield page
            offset, total = offset + page.limit, page.total

    def _asked(self, path: str, kind: type[A], **query: int) -> A:
        text = self._read(f"{path}?{urlencode(query)}" if query else path, "application/json")
        return _parsed(kind, text)

    def _read(self, path: str, accept: str) -> bytes:
        """The body of an answer; the request is repeated while the service is away."""
        patience = _Patience(self._url, self._patience_s)
        while True:
            try:
                with self._open(path, accept) as answer:
                    body: bytes = answer.read()
                    return body
            except (OSError, HTTPException) as error:
                patience.wait(error)

    def _changed(self, path: str, body: bytes = b"", kind: str = "application/json") -> Study:
        """Send a change, once; return the study."""
        try:
            with self._open(path, "application/json", body, kind) as answer:
                return _parsed(Study, answer.read())
        except (OSError, HTTPException) as error:
            raise _refused(error, self._url) from error

    def _open(
        self, path: str, accept: str, body: bytes | None = None, kind: str | None = None
    ) -> HTTPResponse:
        headers = self._headers | {"Accept": accept} | ({} if kind is None else {"Content-Type": kind})
        request = Request(self._url + path, body, headers)  # noqa: S310 - the address was checked
        answer: HTTPResponse = self._opener.open(request, timeout=SILENCE_S)
        return answer


class _Patience:
    """Waits between repetitions of a request to a service that is away."""

    def __init__(self, url: str, for_s: float) -> None:
        self._url, self._for_s = url, for_s
        self._until, self._next_s = math.inf, FIRST_WAIT_S

    def wait(self, error: OSError | HTTPException) -> None:
        """Wait, longer each time. ServiceError if a repetition would not help, or the time is over."""
        refused = isinstance(error, HTTPError) and error.code not in GATEWAYS
        self._until = min(self._until, time.monotonic() + self._for_s)
        if refused or time.monotonic() >= self._until:
            raise _refused(error, self._url) from error
        time.sleep(self._next_s)
        self._next_s = min(LONGEST_WAIT_S, 2 * self._next_s)


class _NoRedirect(HTTPRedirectHandler):
    """Follows no redirect, so that a token reaches no other server."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _events(answer: HTTPResponse) -> Iterator[Mapping[str, str]]:
    """The fields of each server-sent event."""
    fields: dict[str, str] = {}
    for line in answer:
        text = line.decode().rstrip("\n")
        if text:
            name, _, value = text.partition(": ")
            fields[name] = value
        else:
            if "data" in fields:
                yield fields
            fields = {}


def _over(study: Study) -> bool:
    """True if no run and no waiting job will change the study."""
    state, job = study.summary.state, study.job
    begins = state == "not begun" if job is None else job.state in ("waiting", "running", "unknown")
    return state != "running" and not begins


def _refused(error: OSError | HTTPException, url: str) -> ServiceError:
    if not isinstance(error, HTTPError):
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, OSError) and reason.strerror:
            reason = reason.strerror
        return ServiceError(f"{url}: no service answers: {reason or type(error).__name__}")
    text = error.read().decode(errors="replace")
    try:
        detail = str(json.loads(text)["detail"])
    except (ValueError, KeyError, TypeError):
        detail = text.strip().partition("\n")[0] or error.reason
    return ServiceError(f"{error.code}: {detail}", error.code)


def _parsed(kind: type[A], text: str | bytes) -> A:
    """Parse an answer. ServiceError if it does not fit, because the service has another version."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        what = f"{kind.__name__}: {error.errors(include_url=False)[0]['msg']}"
        raise ServiceError(f"the service has another version, its answer does not fit ({what})") from error


def _path(name: str) -> str:
    return f"/studies/{quote(name, safe='')}"
