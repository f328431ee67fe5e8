"""What the service answers, as types: the routes write them, the Python client reads them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from study.record.rows import ShownState
from study.spec.sections import SamplerName
from study.status.stage import StageName, Unit
from trainable.contract import RankingLoss, Sharing

State = Literal["running", "complete", "stopped", "failed", "died", "not begun", "unreadable", "unread"]
JobState = Literal["waiting", "running", "ended", "failed", "stopped", "unknown"]


class Answer(BaseModel):
    """One strict base for every answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Counts(Answer):
    """Trials by state."""

    completed: int = 0
    stopped: int = 0
    failed: int = 0
    running: int = 0
    unfinished: int = 0
    """Trials without an end in a study without a run; the next run resumes them."""


class StageProgress(Answer):
    """The stage that a run of the study is in, or would enter next."""

    name: StageName
    done: int
    planned: int | None
    """Null where nothing limits it, or where it is not known yet."""
    unit: Unit
    words: str
    """The same in words, as in "searching 31 of 60 trials"."""


class Summary(Answer):
    """A study in a list."""

    name: str
    fingerprint: str | None
    """16 hexadecimal digits; equal where the question is the same. Null where the record is not read."""
    state: State
    reason: str
    """Why it stands so, in words."""
    stage: StageProgress | None
    """Null where nothing is left to do, and where the record is not read."""
    counts: Counts = Counts()
    member_epochs: int = 0
    """Epochs trained, summed over configurations and seeds."""
    share: float = 0.0
    """The share of all training that is done, 0 to 1, the confirmation's included."""
    wall_s: float = 0.0
    left_s: float | None = None
    """An estimate of the seconds until it is complete; null while too little is known."""
    front: int = 0
    """Points on the front."""
    hypervolume: float = 0.0


class Summaries(Answer):
    """A page of the list, by name; `total` counts all studies."""

    total: int
    offset: int
    limit: int
    studies: list[Summary]


class Config(Answer):
    """The values of one trial."""

    weight: float | None
    """λ; null where nothing is shared and the spec names none."""
    sharing: Sharing
    learning_rate: float
    weight_decay: float
    ranking_loss: RankingLoss
    batch_size: int | Literal["full"]
    dim: int
    hidden: int
    epochs: int
    evaluate_every: int


class Tested(Answer):
    """A confirmed point on the test set: means over its fresh seeds, and their standard deviations."""

    mrr: float
    mrr_all: float
    mse: float
    mrr_sd: float | None
    """Null for one seed."""
    mrr_all_sd: float | None
    mse_sd: float | None
    replicates: int
    """Fresh seeds that are measured."""


class FrontPoint(Answer):
    """A point of the front: a configuration after some epochs; means over its seeds."""

    trial: int
    epoch: int
    mrr: float
    mrr_all: float
    mse: float
    beats_trivial: bool
    """True if it beats the trivial models in both objectives."""
    test: Tested | None
    """The same point on the test set; null where it is not confirmed."""
    config: Config


class Growth(Answer):
    """The hypervolume once another trial had ended, `at_s` seconds after the first began."""

    trial: int
    at_s: float
    hypervolume: float


class Held(Answer):
    """A trial that a lane trains now, and the epochs that are on record."""

    trial: int
    epoch: int
    of: int


class Lane(Answer):
    """A lane that trains, and what it holds."""

    lane: str
    trials: list[Held]


class Confirmation(Answer):
    """How far the confirmation is: points ended of those planned."""

    opened: str
    """When it opened the test set: ISO 8601, UTC."""
    planned: int
    ended: int
    replicates: int
    found_later: int
    """Points of the front that were found after it opened the test set: they are not confirmed."""


class Job(Answer):
    """The last job that was to run the study on Ray."""

    id: str
    state: JobState
    said: str
    """What Ray says of it."""


class Study(Answer):
    """One study in full: state, budget, front and hypervolume, and the spec it goes by."""

    summary: Summary
    sampler: SamplerName
    objectives: tuple[str, str]
    reference: dict[str, float] | None
    """What the trivial models reach, by metric; null while the study has not begun."""
    front: list[FrontPoint]
    growth: list[Growth]
    """At most 400 of the trials that have ended, in the order in which they did; the last is there."""
    lanes: list[Lane]
    confirmation: Confirmation | None
    job: Job | None
    cursor: str
    """Where `/events?after=` goes on from what is told here."""
    spec: dict[str, Any]


class Ended(Answer):
    """A trial that ended, and why."""

    trial: int
    state: Literal["completed", "stopped", "failed"]
    reason: str | None
    epochs: int
    epoch: int | None
    """That of the point it stands for; null where it has none."""
    finished: str | None


class Point(Answer):
    """What a configuration measured after some epochs; means over its seeds."""

    trial: int
    epoch: int
    mrr: float
    mrr_all: float
    mse: float


class News(Answer):
    """What was new on record: points by trial and epoch, and trials that ended. Each is told once."""

    points: list[Point]
    trials: list[Ended]


class Trial(Answer):
    """A row of the table of trials, with the columns of the export."""

    trial: int
    state: ShownState
    reason: str | None
    weight: float | None
    sharing: Sharing | None
    learning_rate: float | None
    weight_decay: float | None
    ranking_loss: RankingLoss | None
    batch_size: str | None
    dim: int | None
    hidden: int | None
    max_epochs: int | None
    epochs: int
    epoch: int | None
    started: str | None
    finished: str | None
    lane: str | None
    attempt: int
    mrr: float | None
    mrr_all: float | None
    mse: float | None
    mrr_sd: float | None
    mrr_all_sd: float | None
    mse_sd: float | None
    front: bool
    wall_s: float


class Measured(Answer):
    """A row of the table of measurements: one seed of one configuration after some epochs."""

    trial: int
    replicate: int
    epoch: int
    ranking_loss: float
    rating_loss: float
    joint_loss: float
    mrr: float
    mrr_all: float
    mse: float
    wall_s: float


class Trials(Answer):
    """A page of the table of trials; `total` counts all rows."""

    total: int
    offset: int
    limit: int
    rows: list[Trial]


class Measurements(Answer):
    """A page of the table of measurements; `total` counts all rows."""

    total: int
    offset: int
    limit: int
    rows: list[Measured]


class Problem(Answer):
    """What went wrong: what was given, what is allowed, where to mend it. One line a mistake."""

    detail: str


class Health(Answer):
    """The service is there."""

    status: Literal["ok"] = "ok"
