"""The routes of the API."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request
from fastapi import Path as InPath
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, RedirectResponse, Response, StreamingResponse

from study.service import events, pages, redaction
from study.service.accept import CSV, HTML, JSON, PARQUET, TOML, chosen
from study.service.actions import StudyActions
from study.service.auth import needs
from study.service.cursor import LONGEST_CURSOR, Cursor
from study.service.openapi import SPEC_BODY, problems
from study.service.reports import policy
from study.service.schemas import Health, Measurements, Study, Summaries, Trials
from study.service.submission import parsed
from study.service.tables import TableName, as_answer, as_file
from study.spec.study import NAME

PathName = Annotated[
    str, InPath(pattern=f"^{NAME.pattern}$", description="Name of a study.", examples=["mine"])
]
PageOffset = Annotated[int, Query(ge=0, le=10**9, description="Number of rows to skip.")]
PageLimit = Annotated[int, Query(ge=1, le=10_000, description="Most rows to return.")]

anyone = APIRouter()
ALWAYS = problems(400, 401, 403, 503)
reads = APIRouter(dependencies=[Depends(needs("read"))], responses=ALWAYS)
writes = APIRouter(dependencies=[Depends(needs("write"))], responses=ALWAYS)


def actions(request: Request) -> StudyActions:
    """The studies of this service."""
    found: StudyActions = request.app.state.actions
    return found


def _html(more: str = "") -> dict[str, Any]:
    return {"description": f"OK{more}", "content": {HTML: {"schema": {"type": "string"}}}}


@anyone.get("/health", responses=problems(400))
def health() -> Health:
    """Check that the service answers; needs no token."""
    return Health()


@reads.get("/openapi.json")
def openapi(request: Request) -> dict[str, Any]:
    """The present OpenAPI document."""
    found: dict[str, Any] = request.app.openapi()
    below = pages.root(request)
    return found | {"servers": [{"url": below}]} if below else found


@reads.get("/studies", response_model=Summaries, responses={200: _html(), **problems(406, 422)})
def studies(request: Request, offset: PageOffset = 0, limit: PageLimit = 1000) -> Response:
    """List the studies by name, each with its state. Browsers get a page."""
    cache = actions(request).cache
    names = cache.names()
    shown = cache.summaries(names[offset : offset + limit])
    if not request.state.writes:
        shown = list(map(redaction.summary, shown))
    page = Summaries(total=len(names), offset=offset, limit=limit, studies=shown)
    if _form(request, JSON, HTML) == HTML:
        return pages.studies(request, page)
    return _json(page.model_dump_json())


@writes.post(
    "/studies",
    response_model=Study,
    status_code=201,
    responses={
        200: {
            "model": Study,
            "description": "The study is known. It starts or resumes if the spec allows it to train more.",
        },
        201: {"description": "The study is new; its job starts."},
        **problems(408, 409, 413, 415, 422),
    },
    openapi_extra=SPEC_BODY,
)
async def post(request: Request) -> Response:
    """Post a study: its spec as JSON or TOML. Posting the same spec again changes nothing.

    Studies with the same name and fingerprint are the same study. A larger budget, or a new [confirm],
    resumes a study that has ended; while it runs, the answer is 409. A smaller budget and other changes of
    [confirm], [storage] and [runtime] do not affect a study that has started.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (JSON, TOML):
        raise HTTPException(415, f"Content-Type: send the spec as {JSON} or {TOML}")
    body = await request.body()
    spec = await run_in_threadpool(parsed, body, kind, data=actions(request).data)
    request.state.study = spec.name
    study, new = await run_in_threadpool(actions(request).post, spec)
    where = {"Location": f"{pages.root(request)}/studies/{study.summary.name}"}
    return _json(study.model_dump_json(), 201 if new else 200, where)


@reads.get("/studies/{name}", response_model=Study, responses={200: _html(), **problems(404, 406, 422)})
def study(request: Request, name: PathName) -> Response:
    """Show a study: state, budget, front, hypervolume. Browsers get a page."""
    if _form(request, JSON, HTML) == HTML:
        return pages.study(request, actions(request), name)
    return _json(actions(request).line(actions(request).cache.look(name), writes=request.state.writes))


@writes.post("/studies/{name}/stop", response_model=Study, responses=problems(404, 408, 413, 422))
def stop(request: Request, name: PathName) -> Response:
    """Ask a study to stop; its record is kept. Does nothing if it is not running."""
    request.state.study = name
    return _done(request, actions(request).stop(name))


@writes.post("/studies/{name}/resume", response_model=Study, responses=problems(404, 408, 409, 413, 422))
def resume(request: Request, name: PathName) -> Response:
    """Resume a study from its record. Does nothing if it is running."""
    request.state.study = name
    return _done(request, actions(request).resume(name))


TABLE_RESPONSES = {
    "description": "Rows in the format that Accept requests; the header Link has the next page.",
    "content": {
        CSV: {"schema": {"type": "string"}},
        PARQUET: {"schema": {"type": "string", "format": "binary"}},
    },
}


@reads.get(
    "/studies/{name}/trials",
    response_model=Trials,
    responses={200: TABLE_RESPONSES, **problems(404, 406, 422)},
)
def trials(request: Request, name: PathName, offset: PageOffset = 0, limit: PageLimit = 1000) -> Response:
    """One row per trial: configuration, state, reason of its end, and the point that stands for it."""
    return _table(request, name, "trials", offset, limit)


@reads.get(
    "/studies/{name}/measurements",
    response_model=Measurements,
    responses={200: TABLE_RESPONSES, **problems(404, 406, 422)},
)
def measurements(
    request: Request, name: PathName, offset: PageOffset = 0, limit: PageLimit = 1000
) -> Response:
    """One row per measurement: one seed of a trial after an epoch."""
    return _table(request, name, "measurements", offset, limit)


EVENT_SCHEMA = {
    "type": "object",
    "properties": {
        "event": {"type": "string", "enum": ["news", "study"]},
        "id": {"type": "string", "description": "Only of `news`: the cursor to continue from."},
        "data": {
            "type": "string",
            "contentMediaType": JSON,
            "description": "`news`: new points and ended trials, each sent once. `study`: the state of the "
            "study; the last one counts.",
        },
    },
    "required": ["event", "data"],
}


@reads.get(
    "/studies/{name}/events",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events.",
            "content": {"text/event-stream": {"schema": EVENT_SCHEMA}},
        },
        **problems(404, 422),
    },
)
def follow(
    request: Request,
    name: PathName,
    after: Annotated[
        str, Query(max_length=LONGEST_CURSOR, description="The `cursor` of a study, or the id of an event.")
    ] = "0",
    follow: Annotated[bool, Query(description="Keep the stream open for new events.")] = True,
    last_event_id: Annotated[str | None, Header(max_length=LONGEST_CURSOR)] = None,
) -> Response:
    """Stream the events of a study. Last-Event-ID continues a stream without gaps or repeats."""
    here = actions(request)
    here.cache.look(name)
    pieces = events.stream(
        lambda: here.cache.look(name),
        partial(here.line, writes=request.state.writes),
        Cursor.parse(last_event_id or after),
        follow=follow,
        lasts_s=request.app.state.stream_s,
    )
    return StreamingResponse(pieces, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


@reads.get(
    "/studies/{name}/report", status_code=307, response_class=RedirectResponse, responses=problems(404, 422)
)
def report_of(request: Request, name: PathName) -> RedirectResponse:
    """Redirect to the report."""
    actions(request).cache.folder(name)
    return RedirectResponse(f"{pages.root(request)}/studies/{name}/report/", 307)


@reads.get("/studies/{name}/report/", response_class=Response, responses={200: _html(), **problems(404, 422)})
async def report(request: Request, name: PathName) -> Response:
    """The page of the report."""
    folder = await run_in_threadpool(actions(request).cache.folder, name)
    page = await request.app.state.reports.page(folder)
    return Response(page, media_type=HTML, headers={"Content-Security-Policy": policy(page)})


@reads.get(
    "/studies/{name}/report/{file}",
    response_class=FileResponse,
    responses={200: {"content": {"*/*": {}}}, **problems(404, 422)},
)
def figure(
    request: Request,
    name: PathName,
    file: Annotated[str, InPath(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}\.(svg|pdf|png)$")],
) -> FileResponse:
    """A figure of the report."""
    path = actions(request).cache.folder(name) / "report" / file
    if not path.is_file():
        raise HTTPException(404, f"the report of {name} has no file {file}")
    return FileResponse(
        path, headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    )


def _done(request: Request, study: Study) -> Response:
    """The answer to an action: the study, or for a form of a page the way back to it."""
    if pages.wanted(request):
        return pages.back(request, study.summary.name)
    return _json(study.model_dump_json())


def _table(request: Request, name: str, which: TableName, offset: int, limit: int) -> Response:
    form = _form(request, JSON, CSV, PARQUET)
    frame = request.app.state.tables.of(actions(request).cache.folder(name), which)
    total = 0 if frame is None else len(frame)
    rows = None if frame is None else frame.iloc[offset : offset + limit]
    headers = {"X-Total-Count": str(total)}
    if offset + limit < total:
        path = f"{pages.root(request)}/studies/{name}/{which}"
        headers["Link"] = f'<{path}?offset={offset + limit}&limit={limit}>; rel="next"'
    if form == JSON:
        page = as_answer(rows, which, total=total, offset=offset, limit=limit)
        return _json(page.model_dump_json(), headers=headers)
    if rows is None:
        raise HTTPException(404, f"{name}: has no record yet, and so no table")
    return Response(as_file(rows, form), media_type=form, headers=headers | {"Vary": "Accept"})


def _form(request: Request, *offered: str) -> str:
    form = chosen(request.headers.get("accept"), offered)
    if form is None:
        raise HTTPException(406, f"Accept: use one of {', '.join(offered)}")
    return form


def _json(text: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(text, status, {"Vary": "Accept", **(headers or {})}, JSON)
