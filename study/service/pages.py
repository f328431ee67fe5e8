"""HTML pages. They are complete without scripts; scripts update them."""

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException

from analysis.objective import objectives
from study.record.rows import Point, ShownState, TrialRecord, shown_state
from study.service.accept import HTML, JSON, chosen
from study.service.actions import LIVE, StudyActions
from study.service.auth import COOKIE, Access
from study.service.cache import Look
from study.service.middleware import SAFE
from study.service.openapi import problems
from study.service.schemas import Counts, Summaries
from study.spec import StudySpec
from study.status.front_table import searched
from study.status.text import duration, left

MOST_TRIALS_LISTED = 50
"""Most trials on a page, the last ones; the table has all."""

MOST_EVENTS_DRAWN = 5000
"""Most points on record that a page draws beside the front; of a longer record, only new points."""

REFRESH_S = 10
"""Seconds until an open list is fetched again."""

SECONDS_SIGNED_IN = 30 * 24 * 3600

router = APIRouter()


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("study.service"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    made.filters |= {"duration": duration, "percent": _percent, "total": _total, "words": _words}
    made.filters |= {"left": left, "value": _value}
    return made


def _percent(share: float) -> str:
    """A share in percent, without a line break."""
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def _value(value: float | str | None) -> str:
    """A value of a configuration; floats with two significant digits."""
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def _total(counts: Counts) -> int:
    """Number of trials in all states."""
    return sum(counts.model_dump().values())


def _words(counts: Counts) -> str:
    """Trials by state in words, without states that have none."""
    named = counts.model_dump() | {"stopped early": counts.stopped}
    order = ("completed", "stopped early", "failed", "running", "unfinished")
    return ", ".join(f"{named[state]} {state}" for state in order if named[state]) or "none yet"


def root(request: Request) -> str:
    """The path prefix of the service, as "/x"; "" at the root of a site."""
    path: str = request.scope.get("app_root_path", request.scope.get("root_path", ""))
    return path


def wanted(request: Request) -> bool:
    """True if the client prefers HTML to JSON."""
    return chosen(request.headers.get("accept"), (JSON, HTML)) == HTML


def studies(request: Request, page: Summaries) -> Response:
    """The page of the list of studies."""
    locked = request.app.state.access.locked
    url = str(request.base_url).rstrip("/")
    return _page(request, "studies.html", page=page, every_s=REFRESH_S, locked=locked, url=url)


def study(request: Request, actions: StudyActions, name: str) -> Response:
    """The page of a study."""
    look, shown = actions.cache.look(name), actions.study(name, writes=request.state.writes)
    count, waits = sum(map(len, look.points.values())), shown.job is not None and shown.job.state in LIVE
    return _page(
        request,
        "study.html",
        study=shown,
        seen=shown.summary,
        goals=objectives(look.spec.objectives),
        searched=searched(look.spec),
        trials=_trials(look),
        trained=len(look.records),
        after="0" if count <= MOST_EVENTS_DRAWN else shown.cursor,
        toml=StudySpec.model_validate(shown.spec).as_toml(),
        can_stop=request.state.writes and (shown.summary.state == "running" or waits),
        can_resume=request.state.writes and not waits and shown.summary.state not in ("running", "complete"),
    )


def problem(request: Request, status: int, detail: str, headers: Mapping[str, str]) -> Response:
    """The page of an error; the sign-in page for 401."""
    if status == 401 and request.method in SAFE:
        detail = detail if COOKIE in request.cookies else "Sign in to see this page."
        return _signing_in(request, detail, here=request.url.path, headers=headers)
    values = {"code": status, "phrase": HTTPStatus(status).phrase, "detail": detail}
    return _page(request, "problem.html", status=status, headers=headers, **values)


def back(request: Request, name: str) -> Response:
    """Redirect to the page of a study, after a form was sent."""
    return RedirectResponse(f"{root(request)}/studies/{name}", 303)


@router.get("/", status_code=307, response_class=RedirectResponse, responses=problems(400))
def first(request: Request) -> RedirectResponse:
    """Redirect to the list of studies."""
    return RedirectResponse(f"{root(request)}/studies", 307)


@router.get("/sign-in", response_class=HTMLResponse, responses=problems(400))
def sign_in(request: Request) -> Response:
    """The sign-in page, which stores a token in an HttpOnly cookie."""
    return _signing_in(request, "", here="", status=200)


@router.post(
    "/sign-in",
    status_code=303,
    response_class=RedirectResponse,
    responses={**problems(400, 403, 408, 413), 401: {"content": {HTML: {"schema": {"type": "string"}}}}},
    openapi_extra={
        "requestBody": {
            "content": {
                "application/x-www-form-urlencoded": {
                    "schema": {
                        "type": "object",
                        "properties": {"token": {"type": "string"}, "here": {"type": "string"}},
                    }
                }
            }
        }
    },
)
async def signed_in(request: Request) -> Response:
    """Store the token and redirect to the page requested before; 401 if it is unknown or expired."""
    form = parse_qs((await request.body()).decode("latin-1"))
    token, here = form.get("token", [""])[0].strip(), _local(request, form.get("here", [""])[0])
    access: Access = request.app.state.access
    try:
        known = await run_in_threadpool(access.check, token, "read")
        request.state.token = None if known is None else known.id
    except HTTPException as error:
        return _signing_in(request, str(error.detail), here=here, headers=error.headers)
    answer = RedirectResponse(here, 303)
    if access.locked:
        path, secure = root(request) or "/", request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, token, SECONDS_SIGNED_IN, path=path, secure=secure, httponly=True, samesite="lax"
        )
    return answer


@router.post(
    "/sign-out", status_code=303, response_class=RedirectResponse, responses=problems(400, 403, 408, 413)
)
def signed_out(request: Request) -> RedirectResponse:
    """Delete the cookie with the token."""
    answer = RedirectResponse(f"{root(request)}/sign-in", 303)
    answer.delete_cookie(COOKIE, path=root(request) or "/", httponly=True, samesite="lax")
    return answer


def _signing_in(
    request: Request, detail: str, *, here: str, status: int = 401, headers: Mapping[str, str] | None = None
) -> Response:
    here = _local(request, here)
    return _page(request, "sign_in.html", status=status, headers=headers, detail=detail, here=here)


def _local(request: Request, path: str) -> str:
    """`path` if it is a path of this service, else the path of the list."""
    below = f"{root(request)}/"
    plain = path.isascii() and path.isprintable() and "\\" not in path
    return path if plain and path.startswith(below) and not path.startswith("//") else f"{below}studies"


def _page(
    request: Request,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **values: object,
) -> Response:
    values |= {"root": root(request), "signed_in": COOKIE in request.cookies}
    text = _environment().get_template(template).render(values)
    return HTMLResponse(text, status, {"Vary": "Accept, Cookie", **(headers or {})})


def _trials(look: Look) -> list[tuple[TrialRecord, ShownState, int, Point | None]]:
    """The last trials, the latest first: record, shown state, epochs on record, point.

    The point is the one that stands for the trial; for a trial that has not ended, its last point.
    """
    shown, driven = [], look.summary.state == "running"
    for number in sorted(look.records, reverse=True)[:MOST_TRIALS_LISTED]:
        record, points = look.records[number], look.points.get(number, ())
        last, state = points[-1] if points else None, shown_state(record.state, driven=driven)
        if record.state == "running":
            shown.append((record, state, 0 if last is None else last.epoch, last))
        else:
            stands = next((point for point in points if point.epoch == record.epoch), None)
            shown.append((record, state, record.epochs, stands))
    return shown
