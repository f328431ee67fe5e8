"""Ray's own client for jobs, with timeouts, and each of its errors in one line."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import ray
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from study.remote.direct import direct
from trainable.contract import StudyError, first_line

RESPONSE_S = 30.0
"""Timeout of one request to a head."""

OVERRIDING = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
"""Environment variables that Ray's client prefers to the address it is given."""

PAST = {"http": None, "https": None, "all": None}
"""The `proxies` argument of `requests` that overrides the environment: no proxy."""

NEEDS = (
    "set RAY_AUTH_MODE=token, and the cluster's token in RAY_AUTH_TOKEN or its file in RAY_AUTH_TOKEN_PATH"
)


class ClusterAwayError(StudyError):
    """The head does not answer at present."""


class RefusedError(StudyError):
    """The head answers, and refuses the request."""


class RayJobsClient(JobSubmissionClient):
    """Ray's client; one method sends all its requests, another raises all their errors."""

    _response_s: float | None = None

    @contextmanager
    def answering_within(self, seconds: float) -> Iterator[None]:
        """Set the timeout of the requests in this block."""
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
            raise ClusterAwayError(f"{self._address}: no Ray answers there: {_cause(error)}") from error

    def get(self, endpoint: str) -> Any:
        """The head's answer at `endpoint`, parsed as JSON; RefusedError if its status is not 200."""
        response = self._do_request("GET", endpoint)
        if response.status_code != 200:
            self._raise_error(response)
        return response.json()

    def _raise_error(self, r: Any) -> NoReturn:
        *_, last = r.text.strip().splitlines() or [""]
        raise RefusedError(f"{self._address}: {last} (HTTP {r.status_code})")


def connected(address: str) -> RayJobsClient:
    """The client of the head at `address`, which has answered, and runs this machine's version of Ray.

    StudyError if nothing answers there, something else does, or it refuses access.
    """
    if address != "auto" and not address.startswith(("http://", "https://")):
        raise StudyError(
            f"--address: {address!r} is not the URL of a Ray dashboard; use a URL like http://head:8265, "
            "or 'auto' on a machine of the cluster"
        )
    for variable in OVERRIDING:
        if os.environ.get(variable, address) != address and address != "auto":
            raise StudyError(
                f"--address: {variable} is set, so Ray would connect to {os.environ[variable]} instead of "
                f"{address}; unset it"
            )
    for name in ("ray", "ray.dashboard.modules.dashboard_sdk"):  # they would log each upload
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with _token():
            client = RayJobsClient(address)
    except (OSError, RuntimeError, LookupError, TypeError, ValueError) as error:
        raise StudyError(
            f"--address: {address} is not the dashboard of a Ray ({first_line(error)}); "
            "its default port is 8265"
        ) from error
    there = client._server_ray_version
    if there.split(".")[:2] != ray.__version__.split(".")[:2]:
        raise StudyError(
            f"--address: {address} runs Ray {there}, this machine {ray.__version__}; use the same on both"
        )
    return client


@contextmanager
def _token() -> Iterator[None]:
    """Turn Ray's error for a refused or missing token into a StudyError with the remedy."""
    try:
        yield
    except AuthenticationError as error:
        raise StudyError(f"{first_line(error)}; {NEEDS}") from error


def _cause(error: BaseException) -> str:
    """First line of an error's innermost cause."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return first_line(error)
