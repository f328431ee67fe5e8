"""Types of the service's answers: the routes write them, the Python client reads them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from study.record.rows import ShownState
from study.search.origin import ConfigOrigin
from study.spec.sections import SamplerName
from study.status.stage import StageName, Unit
from trainable.contract import Negatives, RankingLoss, Sharing

StudyState = Literal["running", "complete", "stopped", "failed", "died", "not begun", "unreadable", "unread"]
JobState = Literal["waiting", "running", "ended", "failed", "stopped", "unknown"]


class Schema(BaseModel):
    """Strict base class of all answers."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        from_attributes=True,
        model_title_generator=lambda model: model.__name__.removesuffix("Out"),
    )


class Page(Schema):
    """A page of rows: at most `limit` of all `total`, from row `offset` on."""

    total: int
    offset: int
    limit: int


class Counts(Schema):
    """Trials by state."""

    completed: int = 0
    stopped: int = 0
    failed: int = 0
    running: int = 0
    unfinished: int = 0
    """Trials that have not ended in a study that is not running; the next run resumes them."""


class StageProgressOut(Schema):
    """The present stage of the study's run, or the next one if it is not running."""

    name: StageName
    done: int
    planned: int | None
    """Null if it has no limit, or is not known yet."""
    unit: Unit
    words: str
    """The stage in words, as in "searching 31 of 60 trials"."""


class Summary(Schema):
    """A study in a list."""

    name: str
    fingerprint: str | None
    """16 hexadecimal digits, equal for the same question. Null if the record is unread or unreadable."""
    state: StudyState
    reason: str
    """The reason for the state, in words."""
    stage: StageProgressOut | None
    """Null if nothing is left to do, or the record is unread or unreadable."""
    counts: Counts = Counts()
    member_epochs: int = 0
    """Epochs trained, summed over configurations and seeds."""
    share: float = 0.0
    """Share of the training that is done, 0 to 1, including the confirmation."""
    wall_s: float = 0.0
    left_s: float | None = None
    """Estimate of the seconds until the study is complete; null while too little is measured."""
    front: int = 0
    """Points on the front."""
    hypervolume: float = 0.0


class Summaries(Page):
    """A page of the list of studies, by name; `total` counts all studies."""

    studies: list[Summary]


class ConfigOut(Schema):
    """The configuration of a trial."""

    weight: float | None
    """λ; null if nothing is shared and the spec gives none."""
    sharing: Sharing
    learning_rate: float
    weight_decay: float
    ranking_loss: RankingLoss
    batch_size: int | Literal["full"]
    dim: int
    hidden: int
    epochs: int
    evaluate_every: int
    average: float
    negatives: Negatives


class TestedOut(Schema):
    """A confirmed point on the test set: means over its fresh seeds, and their standard deviations."""

    mrr: float
    mrr_all: float
    mse: float
    mrr_sd: float | None
    """Null for a single seed."""
    mrr_all_sd: float | None
    mse_sd: float | None
    replicates: int
    """Number of fresh seeds measured."""


class PointOut(Schema):
    """Metrics of a trial after an epoch: means over its seeds."""

    trial: int
    epoch: int
    mrr: float
    mrr_all: float
    mse: float


class FrontPoint(PointOut):
    """A point of the front: a configuration after some epochs; means over its seeds."""

    beats_trivial: bool
    """True if it beats the trivial models in both objectives."""
    test: TestedOut | None
    """The point on the test set; null if it is not confirmed."""
    config: ConfigOut


class Growth(Schema):
    """The hypervolume after a trial ended, `at_s` seconds after the first trial started."""

    trial: int
    at_s: float
    hypervolume: float


class HeldOut(Schema):
    """A trial that a lane is training; `epoch` of its `of` epochs are on record."""

    trial: int
    epoch: int
    of: int


class LaneOut(Schema):
    """A lane that is training, and its trials."""

    lane: str
    trials: list[HeldOut]


class FreshOut(Schema):
    """Progress of the fresh-seed stage: `ended` of `planned` configurations of the front."""

    begun: str
    """Time at which it was planned: ISO 8601, UTC."""
    planned: int
    ended: int
    replicates: int
    """Fresh seeds of each configuration."""


class ConfirmationOut(Schema):
    """Progress of the confirmation: `ended` of `planned` points."""

    opened: str
    """Time at which the test set was opened: ISO 8601, UTC."""
    planned: int
    ended: int
    replicates: int
    found_later: int
    """Points of the front that were found later; they are not confirmed."""


class JobOut(Schema):
    """The last Ray job of the study."""

    id: str
    state: JobState
    said: str
    """Ray's message on the job."""


class Study(Schema):
    """A study in full: state, budget, front, hypervolume and spec."""

    summary: Summary
    sampler: SamplerName
    objectives: tuple[str, str]
    reference: dict[str, float] | None
    """Scores of the trivial models, by metric; null if the study has not started."""
    front: list[FrontPoint]
    growth: list[Growth]
    """At most 400 of the ended trials, in order of their end, including the last."""
    lanes: list[LaneOut]
    fresh: FreshOut | None
    confirmation: ConfirmationOut | None
    job: JobOut | None
    cursor: str
    """`/events?after=CURSOR` continues from this state."""
    spec: dict[str, Any]


class EndedOut(Schema):
    """A trial that has ended, with the reason."""

    trial: int
    state: Literal["completed", "stopped", "failed"]
    reason: str | None
    epochs: int
    epoch: int | None
    """Epoch of the point that stands for the trial; null if there is none."""
    finished: str | None


class News(Schema):
    """New points, by trial and epoch, and trials that have ended. Each is sent once."""

    points: list[PointOut]
    trials: list[EndedOut]


class Trial(Schema):
    """A row of the table of trials, with the columns of the export."""

    trial: int
    state: ShownState
    reason: str | None
    origin: ConfigOrigin
    weight: float | None
    sharing: Sharing | None
    learning_rate: float | None
    weight_decay: float | None
    ranking_loss: RankingLoss | None
    batch_size: str | None
    dim: int | None
    hidden: int | None
    average: float | None
    negatives: Negatives | None
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


class Measured(Schema):
    """A row of the table of measurements: one seed of a trial after an epoch."""

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


class Trials(Page):
    """A page of the table of trials; `total` counts all rows."""

    rows: list[Trial]


class Measurements(Page):
    """A page of the table of measurements; `total` counts all rows."""

    rows: list[Measured]


class Problem(Schema):
    """An error: the value given, the values allowed, and the remedy. One line per error."""

    detail: str


class Health(Schema):
    """The service answers."""

    status: Literal["ok"] = "ok"
