"""The application: routes, middleware and error handlers."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from functools import partial
from importlib.resources import files
from pathlib import Path
from threading import Thread

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from study.record.optuna_storage import STORAGE_ERRORS
from study.service import events, openapi, pages, redaction, routes
from study.service.actions import BusyError, CompleteError, StudyActions
from study.service.auth import Access
from study.service.cache import NoStudyError, StudyCache
from study.service.cursor import CursorError
from study.service.middleware import Middleware
from study.service.reports import Reports
from study.service.runner import Runner
from study.service.submission import NameTakenError
from study.service.summary_file import VERSION
from study.service.tables import TableCache
from study.service.tokens import Tokens
from study.spec import SpecError
from trainable.contract import StudyError

STATUSES: dict[type[Exception], int] = {
    NoStudyError: 404,
    NameTakenError: 409,
    CompleteError: 409,
    BusyError: 409,
    CursorError: 422,
    SpecError: 422,
    StudyError: 503,
    OSError: 503,
    **dict.fromkeys(STORAGE_ERRORS, 503),
}
"""HTTP status of each error class; the nearest base class counts."""


def application(
    home: Path,
    runner: Runner,
    *,
    required: bool = False,
    hosts: Collection[str] | None = None,
    data: Path | None = None,
    stream_s: float = events.LASTS_S,
) -> FastAPI:
    """The service of the studies in `home`, which `runner` runs.

    With `required` every request needs a token, else only once a token exists; until then, a request must
    name one of `hosts`. Posted specs may name files in `data`. A stream of events lasts `stream_s` seconds.
    """
    app = FastAPI(
        title="pareto-study",
        version=VERSION,
        summary="Post Pareto studies of two-task recommenders, watch them, and read their reports.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=_warming,
        separate_input_output_schemas=False,
        redirect_slashes=False,
    )
    app.state.access = Access(Tokens(home), required=required)
    cache = StudyCache(home)
    app.state.actions = StudyActions(cache, runner, data=data)
    app.state.tables, app.state.reports = TableCache(cache.versions), Reports(cache.versions)
    app.state.stream_s = stream_s
    app.openapi = partial(openapi.document, app)  # type: ignore[method-assign]
    for router in (routes.anyone, routes.reads, routes.writes, pages.router):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=str(files("study.service") / "static")), name="static")
    app.add_middleware(Middleware, hosts=hosts, locked=partial(_locked, app.state.access))
    app.exception_handler(HTTPException)(_refused)
    app.exception_handler(RequestValidationError)(_invalid)
    for kind, status in STATUSES.items():
        app.exception_handler(kind)(partial(_mendable, status=status))
    return app


def _locked(access: Access) -> bool:
    """True if requests need a token; also if the tokens cannot be read."""
    try:
        return access.locked
    except StudyError:
        return True


@asynccontextmanager
async def _warming(app: FastAPI) -> AsyncIterator[None]:
    """Read every study once in a thread, so that lists answer quickly; close the databases at the end."""
    cache: StudyCache = app.state.actions.cache
    Thread(target=cache.warm, name="warming", daemon=True).start()
    yield
    cache.close()


async def _refused(request: Request, error: HTTPException) -> Response:
    return _problem(request, error.status_code, str(error.detail), dict(error.headers or {}))


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    lines = [f"{details['loc'][-1]}: {details['msg']}" for details in error.errors()]
    return _problem(request, 422, "\n".join(lines))


async def _mendable(request: Request, error: Exception, *, status: int) -> Response:
    cache: StudyCache = request.app.state.actions.cache
    if isinstance(error, OSError) and error.filename is not None:
        error = StudyError(f"{error.filename}: {error.strerror}")
    plain = status >= 500 and not getattr(request.state, "writes", True)
    return _problem(request, status, redaction.PROBLEM if plain else cache.error_text(error))


def _problem(request: Request, status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """An error, as a page for a browser, else as JSON."""
    if pages.wanted(request):
        return pages.problem(request, status, detail, headers or {})
    return JSONResponse({"detail": detail}, status, headers)
