"""The messages between lanes and the referee. Needs neither torch nor Ray nor Optuna.

The protocol is one call, `Exchange`: from a `LaneReport` to an `Answer`. Every report names everything held,
so every call reconciles both sides, and repeating a call changes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from math import isfinite
from typing import Any, Literal, get_args

Sharing = Literal["none", "users", "items", "both"]
RankingLoss = Literal["one-minus-sigmoid", "bpr"]
Negatives = Literal["all", "unseen"]
Metric = Literal["mrr", "mrr_all", "mse"]
Verdict = Literal["go", "complete", "stop", "fail", "drop"]

SHARINGS: tuple[Sharing, ...] = get_args(Sharing)
RANKING_LOSSES: tuple[RankingLoss, ...] = get_args(RankingLoss)
NEGATIVES: tuple[Negatives, ...] = get_args(Negatives)
METRICS: tuple[str, ...] = get_args(Metric)

UNNAMED_WEIGHT = 0.5
"""λ_F if nothing is shared and no weight was named: there it has no effect under Adam (law 7)."""


class StudyError(Exception):
    """A usage error: the message names the given value, the allowed ones, and the place."""


class Unreachable(Exception):  # noqa: N818 - it is a state of the world, not a fault of the caller
    """The referee did not answer in time. The lane keeps what it holds and asks again."""


def first_line(error: BaseException) -> str:
    """The first line of an error, else its type. Further lines of a database error quote its statement."""
    return (str(error).strip() or type(error).__name__).partition("\n")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration of a trial: all values that decide what it learns, except the seed.

    `weight` is λ_F, the weight of the ranking loss; λ_R = 1 − λ_F. It is None if nothing is shared and the
    spec names no weight. `batch_size` is the number of ratings per step, or "full". `average` is the decay of
    the moving average of the parameters; 0 is none. `negatives` are drawn from all items, or from those that
    the user has not rated.
    """

    weight: float | None
    sharing: Sharing
    learning_rate: float
    weight_decay: float
    ranking_loss: RankingLoss
    batch_size: int | Literal["full"]
    dim: int
    hidden: int
    epochs: int
    evaluate_every: int = 1
    average: float = 0.0
    negatives: Negatives = "all"

    @property
    def ranking_weight(self) -> float:
        """λ_F as the engines use it."""
        return UNNAMED_WEIGHT if self.weight is None else self.weight

    @property
    def shares_users(self) -> bool:
        """Both tasks read one user table."""
        return self.sharing in ("users", "both")

    @property
    def shares_items(self) -> bool:
        """Both tasks read one item table."""
        return self.sharing in ("items", "both")

    @property
    def averages(self) -> bool:
        """The averaged parameters are measured and exported."""
        return self.average > 0

    def kept(self, epoch: int) -> float:
        """Share of the average that is kept at the end of `epoch` (1-based); the parameters are the rest.

        At most 1 − 1/epoch, so the average of the first epochs is their plain mean.
        """
        return min(self.average, 1 - 1 / epoch)

    def measured_at(self, epoch: int) -> bool:
        """True if measured after `epoch` (1-based): every `evaluate_every` epochs, and at the end."""
        return epoch % self.evaluate_every == 0 or epoch == self.epochs

    def as_dict(self) -> dict[str, Any]:
        """The values by name, JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Config":
        """The inverse of `as_dict`; other names are ignored. Names with a default may be missing."""
        return cls(**{name: values[name] for name in _CONFIG_NAMES if name in values})


_CONFIG_NAMES = tuple(f.name for f in fields(Config))


@dataclass(frozen=True, slots=True)
class Lease:
    """A trial given to a lane: its number, attempt, configuration and replicates."""

    trial: int
    attempt: int
    config: Config
    replicates: tuple[int, ...]


FaultKind = Literal["memory", "error", "lane", "deadly"]
"""The reason for a trial to start again: out of memory, an exception in training, its lane lost, or its lane
killed by it. The referee finds the last two.
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault in the training of one trial, which was alone in its lane: its kind, and a description."""

    kind: FaultKind
    words: str


@dataclass(frozen=True, slots=True)
class Held:
    """A trial in a slot, with its number of epochs. A trial with a `fault` has left its slot.

    `epoch_s` is the duration of the lane's last epoch without compilation; 0 before the first.
    """

    trial: int
    attempt: int
    epoch: int
    fault: Fault | None = None
    epoch_s: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class UserMetrics:
    """The contribution of one user, by original id, to the metrics of a measurement.

    `reciprocal_rank` is 1/rank of the user's first target item, `reciprocal_rank_all` the mean over all of
    them: their means over users are `mrr` and `mrr_all`. `squared_error` is the sum over the user's ratings
    and `ratings` their number: the sum of the first over users, divided by that of the second, is `mse`.
    """

    user: str
    reciprocal_rank: float
    reciprocal_rank_all: float
    squared_error: float
    ratings: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """One replicate of one trial after `epoch` epochs.

    The losses are means over the epoch's training rows; the metrics are exact, on the target of the session's
    fold; `wall_s` is the time that this replicate took since its last measurement. `users` has the metrics by
    user if the job requests them, else it is empty.
    """

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
    users: tuple[UserMetrics, ...] = ()

    @property
    def not_finite(self) -> tuple[str, ...]:
        """Names of the losses and metrics that are NaN or infinite."""
        names = ("ranking_loss", "rating_loss", "joint_loss", *METRICS)
        return tuple(name for name in names if not isfinite(getattr(self, name)))


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict on a trial, with its reason; ValueError without a reason."""

    trial: int
    verdict: Verdict
    reason: str

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise ValueError(f"trial {self.trial}: a {self.verdict!r} decision needs a reason")


@dataclass(frozen=True, slots=True)
class LaneReport:
    """A lane's report: the trials that it holds, its new measurements, and its free slots.

    Before its first answer, a lane uses one random `incarnation` below 0 in every report, so a repeated first
    report is not a second start. `free` is negative if more trials are held than there are slots. A `leaving`
    lane gives its trials back.
    """

    lane: str
    incarnation: int
    held: Sequence[Held] = ()
    measurements: Sequence[Measurement] = ()
    free: int = 0
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """The referee's answer: decisions on held trials, leases to start, and whether to park.

    `incarnation` is the lane's number from now on. A parked lane trains nothing and reports again later; with
    `over` it need not report again.
    """

    incarnation: int
    decisions: tuple[Decision, ...] = ()
    leases: tuple[Lease, ...] = ()
    park: bool = False
    over: bool = False


Exchange = Callable[[LaneReport], Answer]
"""The one call between a lane and the referee."""
