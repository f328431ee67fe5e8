"""The nouns that a study and its sessions exchange. Needs neither torch nor Ray nor Optuna.

The protocol is one call, `Exchange`. A lane says what it holds and measured and how many slots are
free; the answer says what becomes of each trial, what to start, and whether to park. Every call
names everything held, so every call reconciles both sides, and repeating a call changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from math import isfinite
from typing import Any, Literal, Protocol, get_args

Sharing = Literal["none", "users", "items", "both"]
RankingLoss = Literal["one-minus-sigmoid", "bpr"]
Verdict = Literal["go", "complete", "stop", "fail", "drop"]

SHARINGS: tuple[Sharing, ...] = get_args(Sharing)
RANKING_LOSSES: tuple[RankingLoss, ...] = get_args(RankingLoss)
METRICS = ("mrr", "mrr_all", "mse")

UNNAMED_WEIGHT = 0.5
"""λ_F where nothing is shared and none was named: there it changes nothing under Adam (law 7)."""


class StudyError(Exception):
    """Something the user can mend: the message says what was given, what is allowed, and where."""


class Unreachable(Exception):  # noqa: N818 - it is a state of the world, not a fault of the caller
    """The referee did not answer in time. The lane keeps what it holds and asks again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The values of one trial: everything that decides what it learns, but for the seed.

    `weight` is λ_F, the weight of the ranking loss; λ_R = 1 − λ_F. It is None where nothing is
    shared and the study named none. `batch_size` counts ratings per step, or is "full".
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

    def measured_at(self, epoch: int) -> bool:
        """Whether this trial is evaluated after `epoch` (1-based): every so often, and at its end."""
        return epoch % self.evaluate_every == 0 or epoch == self.epochs

    def as_dict(self) -> dict[str, Any]:
        """The values by name, JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Config":
        """The inverse of `as_dict`."""
        return cls(**{name: values[name] for name in _CONFIG})


_CONFIG = tuple(f.name for f in fields(Config))


@dataclass(frozen=True, slots=True)
class Lease:
    """A trial that a lane is to train: its configuration, its replicates, and which attempt this is."""

    trial: int
    attempt: int
    config: Config
    replicates: tuple[int, ...]


FaultKind = Literal["memory", "error", "lane", "deadly"]
"""Why a trial has to start again: it did not fit, its training raised something, its lane was lost, it killed
its lane. The last two are found by the referee.
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong in a trial's training, for it alone was trained then: the kind, and in words."""

    kind: FaultKind
    words: str


@dataclass(frozen=True, slots=True)
class Held:
    """A trial in a slot, and how many epochs it has behind it; with a `fault` it is in no slot any more.

    `epoch_s` is what its lane's last epoch took, compiling excluded; 0 before the first.
    """

    trial: int
    attempt: int
    epoch: int
    fault: Fault | None = None
    epoch_s: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class UserMetrics:
    """What one user, by its original id, adds to the metrics of a measurement.

    `reciprocal_rank` is that of the user's first target item and `reciprocal_rank_all` the mean over all of
    them: their means over users are `mrr` and `mrr_all`. `squared_error` is summed over the user's `ratings`,
    so the sum of the one over users by the sum of the other is `mse`.
    """

    user: str
    reciprocal_rank: float
    reciprocal_rank_all: float
    squared_error: float
    ratings: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """One replicate of one trial after `epoch` epochs.

    The losses are means over the epoch's training batches; the metrics are exact, on the split the
    session evaluates on; `wall_s` is what this replicate has cost since its last measurement, in seconds.
    `users` has the metrics user by user where the job asks for that, else it is empty.
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
        """The losses and metrics that are NaN or infinite: names, empty where all is well."""
        names = ("ranking_loss", "rating_loss", "joint_loss", *METRICS)
        return tuple(name for name in names if not isfinite(getattr(self, name)))


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a trial, and why. There is no decision without a reason."""

    trial: int
    verdict: Verdict
    reason: str

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise ValueError(f"trial {self.trial}: a {self.verdict!r} decision needs a reason")


@dataclass(frozen=True, slots=True)
class Answer:
    """The referee's word: decisions on what is held, leases to start, and whether to park.

    `incarnation` is the caller's number from now on. Until a lane is given one, its calls carry a number
    below 0 that it has made up, the same in each: so a first call that is repeated is no second start.
    A parked lane trains nothing and asks again later; `over` says that it need not ask again.
    """

    incarnation: int
    decisions: tuple[Decision, ...] = ()
    leases: tuple[Lease, ...] = ()
    park: bool = False
    over: bool = False


class Exchange(Protocol):
    """The one call between a lane and the referee."""

    def __call__(
        self,
        lane: str,
        incarnation: int,
        held: Sequence[Held],
        measurements: Sequence[Measurement],
        free: int,
    ) -> Answer:
        """The answer to what the lane holds and measured, with `free` slots to fill; below 0 it holds too
        many.
        """
        ...
