"""Following a job ends with a reason and one of our exit codes, even if the head dies."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from study.remote import commands, jobs
from study.remote.jobs import Head, JobEnd
from study.remote.ray_client import ClusterAwayError, RefusedError
from trainable.contract import StudyError

DIES_AT = 100.0
NOTICED_S = 30.0
AGAIN = "`study submit far --address http://head:8265` with the same spec"


class Clock:
    """A clock that moves only when the code under test waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Client:
    """A head's client: each request takes `takes_s`; from `DIES_AT` on the head refuses or stays silent."""

    def __init__(self, clock: Clock, takes_s: float, death: str) -> None:
        self.clock, self.takes_s, self.death = clock, takes_s, death
        self.within_s = 0.0

    def answering_within(self, seconds: float):
        self.within_s = seconds
        return nullcontext()

    def get_job_info(self, _job: str):
        return self.answer(SimpleNamespace(status=SimpleNamespace(is_terminal=lambda: False)))

    def get_job_logs(self, _job: str):
        return self.answer("")

    def answer(self, answer):
        if self.clock.now < DIES_AT:
            assert self.takes_s <= self.within_s
            self.clock.now += self.takes_s
            return answer
        if self.death == "silent":
            self.clock.now += self.within_s
        raise (
            RefusedError("http://head:8265: no GCS")
            if self.death == "ill"
            else ClusterAwayError("no Ray answers")
        )


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch):
    """A function (seconds of a request, kind of death) → a head, and its clock."""
    clock = Clock()
    monkeypatch.setattr(jobs, "time", clock)

    def follow(takes_s: float, death: str):
        head = Head.__new__(Head)
        head.address, head._client = "http://head:8265", Client(clock, takes_s, death)
        return head, clock

    return follow


@pytest.mark.parametrize("takes_s", [0.01, 1.0, 6.9])
@pytest.mark.parametrize("death", ["refuses", "silent", "ill"])
def test_a_head_that_dies_is_noticed_within_30_s(follow, takes_s, death):
    """For slow heads and every kind of death. Catches: a wait that grows with the head's slowness."""
    head, clock = follow(takes_s, death)
    with pytest.raises((ClusterAwayError, RefusedError)):
        list(head.follow("far-1"))
    assert DIES_AT < clock.now <= DIES_AT + NOTICED_S + takes_s


def test_the_command_that_resumes_is_named_with_the_head(follow):
    head, _ = follow(0.01, "refuses")
    with pytest.raises(StudyError) as caught:
        commands._followed(head, "far", "far-1", AGAIN, lambda _said: None)
    assert str(caught.value) == (
        f"no Ray answers; once it answers again, {AGAIN} resumes or follows the study"
    )


def test_a_log_that_cannot_be_read_yet_is_waited_for(follow, monkeypatch):
    """While its head answers. Catches: a job that is given up while the agent that reads its log starts."""
    head, clock = follow(0.01, "refuses")
    read = head._client.get_job_logs

    def late(job: str):
        if clock.now < 60:
            raise RefusedError("the agent is not there yet")
        ended = SimpleNamespace(status=SimpleNamespace(is_terminal=lambda: True))
        head._client.get_job_info = lambda _job: ended
        return read(job) + f"{jobs.ENTRY}far-1\nsaid\n"

    monkeypatch.setattr(head._client, "get_job_logs", late)
    assert "".join(head.follow("far-1")) == "said\n"


@pytest.mark.parametrize(
    ("status", "code", "expected", "words"),
    [
        ("SUCCEEDED", 0, 0, "`study report far --address http://head:8265` fetches the report"),
        ("FAILED", -9, 1, f"SIGKILL ended its process, probably because memory ran out; {AGAIN} resumes it"),
        (
            "FAILED",
            137,
            1,
            f"SIGKILL ended its process, probably because memory ran out; {AGAIN} resumes it",
        ),
        ("FAILED", -15, 130, f"SIGTERM ended its process; {AGAIN} resumes it"),
        ("FAILED", -11, 1, f"its process ended with code -11 and no message; {AGAIN} resumes it"),
        ("FAILED", 127, 1, f"its process ended with code 127 and no message; {AGAIN} resumes it"),
        ("FAILED", 1, 1, "the node has failed"),
        ("FAILED", 2, 2, None),
        ("FAILED", 130, 130, None),
        ("STOPPED", 1, 130, f"its job was stopped; {AGAIN} resumes it"),
    ],
)
def test_every_end_has_a_documented_code_and_a_message(status, code, expected, words):
    """If the log lacks the reason. Catches: exit 247 without a reason."""
    lines: list[str] = []
    ended = JobEnd(status, code, "the node has failed\nat line 7")
    assert commands._ending("far", "http://head:8265", ended, AGAIN, lines.append) == expected
    assert lines == ([] if words is None else [words])
