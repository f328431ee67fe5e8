"""Ray's own client for jobs, with an end to its waiting, and each of its errors in one line."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import ray
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from study.remote.direct import direct
from trainable.contract import StudyError

RESPONSE_S = 30.0
"""How long a head may take to answer one request."""

OVERRIDING = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
"""Environment variables that Ray's client puts in the place of the address it is given."""

PAST = {"http": None, "https": None, "all": None}
"""The `proxies` argument of `requests` that overrides the environment: no proxy."""

NEEDS = (
    "set RAY_AUTH_MODE=token, and the cluster's token in RAY_AUTH_TOKEN or its file in RAY_AUTH_TOKEN_PATH"
)


class AwayError(StudyError):
    """A head that does not answer, now."""


class RefusedError(StudyError):
    """A head that answers, and does not do what it is asked."""


class Client(JobSubmissionClient):
    """Ray's client; all its requests go through the one method, all their errors through the other."""

    _response_s: float | None = None

    @contextmanager
    def answering_within(self, seconds: float) -> Iterator[None]:
        """In this block, a head that takes longer than `seconds` to answer a request is away."""
        self._response_s = seconds
        try:
            yield
        finally:
            self._response_s = None

    def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
        try:
            with _token():
                token = any(name.lower() == "authorization" for name in self._headers)
                if direct(self._address, token=token):
                    options["proxies"] = PAST
                within_s = RESPONSE_S if self._response_s is None else self._response_s
                return super()._do_request(method, endpoint, timeout=within_s, **options)
        except OSError as error:
            raise AwayError(f"{self._address}: no Ray answers there: {_cause(error)}") from error

    def get(self, endpoint: str) -> Any:
        """What the head answers there, read as JSON; RefusedError where it does not."""
        response = self._do_request("GET", endpoint)
        if response.status_code != 200:
            self._raise_error(response)
        return response.json()

    def _raise_error(self, r: Any) -> NoReturn:
        *_, last = r.text.strip().splitlines() or [""]
        raise RefusedError(f"{self._address}: {last} (HTTP {r.status_code})")


def connected(address: str) -> Client:
    """The client of the head at `address`, which has answered, and runs the Ray that this machine has.

    StudyError where nothing answers there, something else does, or it does not let us in.
    """
    if address != "auto" and not address.startswith(("http://", "https://")):
        raise StudyError(
            f"--address: {address!r} is no URL of a Ray dashboard; use one as in http://head:8265, "
            "or 'auto' on a machine of the cluster"
        )
    for variable in OVERRIDING:
        if os.environ.get(variable, address) != address and address != "auto":
            raise StudyError(
                f"--address: Ray would go to {os.environ[variable]} instead of {address}, for {variable} "
                "is set; unset it"
            )
    for name in ("ray", "ray.dashboard.modules.dashboard_sdk"):  # they would tell of each upload
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with _token():
            client = Client(address)
    except (OSError, RuntimeError, LookupError, TypeError, ValueError) as error:
        raise StudyError(
            f"--address: {address} is not the dashboard of a Ray ({_first_line(error)}); "
            "its port is 8265 where nobody chose another"
        ) from error
    there = client._server_ray_version
    if there.split(".")[:2] != ray.__version__.split(".")[:2]:
        raise StudyError(
            f"--address: {address} runs Ray {there}, this machine {ray.__version__}; use one of them"
        )
    return client


@contextmanager
def _token() -> Iterator[None]:
    """Ray's word for a token that is refused, or missing, and what to do about it."""
    try:
        yield
    except AuthenticationError as error:
        raise StudyError(f"{_first_line(error)}; {NEEDS}") from error


def _cause(error: BaseException) -> str:
    """The innermost reason of an error that others wrap."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return _first_line(error)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0]
