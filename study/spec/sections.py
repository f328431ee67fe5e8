"""Sections of a spec: one class for each table of the TOML, one attribute for each key.

A value with a default is optional. Unknown keys are errors.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from study.spec.database_url import without_password
from study.spec.domains import (
    BatchSize,
    Count,
    Fraction,
    Length,
    Logit,
    NonNegative,
    Part,
    Positive,
    SearchedBatchSize,
    SearchedCount,
    SearchedLength,
    SearchedNegatives,
    SearchedNonNegative,
    SearchedPositive,
    SearchedRankingLoss,
    SearchedShare,
    SearchedSharing,
    Seeds,
)
from study.spec.gpu_share import of_a_gpu
from study.spec.lane_needs import node_labels, node_resources
from trainable.contract import SHARINGS, Negatives, RankingLoss, Sharing
from trainable.data.registry import FILE_READERS, SOURCES, SPLITS
from trainable.engines.registry import ENGINES

SamplerName = Literal["tpe", "nsga2", "gp", "qmc", "random", "grid"]

EVEN: tuple[SamplerName, ...] = ("qmc", "grid")
"""Samplers that cover the space evenly by themselves and need no exploration."""

RuleName = Literal["never", "median", "pareto-asha"]

MOST_INITIAL = 1_000
"""Limit of initial configurations: each ask searches the list."""

Lanes = Annotated[int, Field(ge=1, le=1_024)]
"""Number of lanes: each is a process and a trial of Ray Tune, which scales to about a thousand."""

Places = Annotated[int, Field(ge=1, le=4_096)]
"""Slots of a lane, which has the models of all of them in memory."""


def is_file(source: str) -> bool:
    """True if a data source has the suffix of a data file."""
    return Path(source).suffix.lower() in FILE_READERS


def _among(*names: str) -> Callable[[str], str]:
    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"{name!r} is not known; use {', '.join(names)}")
        return name

    return check


def _source(source: str) -> str:
    if source not in SOURCES and not is_file(source):
        allowed = f"{', '.join(SOURCES)}, or a path that ends in {' or '.join(FILE_READERS)}"
        raise ValueError(f"{source!r} is not known; use {allowed}")
    return source


SplitName = Annotated[str, AfterValidator(_among(*SPLITS)), Field(json_schema_extra={"enum": [*SPLITS]})]

EngineName = Annotated[
    str, AfterValidator(_among("auto", *ENGINES)), Field(json_schema_extra={"enum": ["auto", *ENGINES]})
]


class Data(Part):
    """The ratings and their split."""

    source: Annotated[str, AfterValidator(_source)]
    """A dataset's name, or a .csv or .parquet file; a relative path is relative to the spec's folder."""
    split: SplitName = "per-user"
    """The rule that divides the ratings into training, validation and test data."""
    split_seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of a split that draws at random."""


class Train(Part):
    """Training of each configuration; `[space]` overrides it."""

    epochs: Count = 20
    """Passes over the training ratings."""
    candidates: Literal["every", "last"] = "every"
    """Points that the front may choose: every measured epoch of a trial, or its last one only."""
    batch_size: BatchSize = 256
    """Ratings in a step, or "full" for all of them in one."""
    dim: Length = 32
    """Length of the vectors of users and items."""
    hidden: Length = 64
    """Hidden units of the network that predicts the rating."""
    ranking_loss: RankingLoss = "one-minus-sigmoid"
    """Loss of the ranking task."""
    negatives: Negatives = "all"
    """Items that the ranking loss compares with rated ones: any, or "unseen": not rated by the user."""
    learning_rate: Positive = 1e-3
    """Adam's learning rate."""
    weight_decay: NonNegative = 0.0
    """Decoupled weight decay (AdamW); 0 is Adam."""
    average: Fraction = 0.0
    """Decay of the moving average of the parameters, which is measured; 0 is none, 1 is their plain mean."""
    evaluate_every: Count = 1
    """Epochs between measurements; the last epoch is always measured."""


class Space(Part):
    """The search space: { uniform, log, logit or int = [low, high] }, a list, or one fixed value.

    Values here override `[train]`. Bounds are in the value's own unit and included.
    """

    weight: SearchedShare = Logit(logit=(0.5, 0.9997))
    """λ_F, the weight of the ranking loss; λ_R = 1 − λ_F. Searched only where tables are shared."""
    sharing: SearchedSharing = SHARINGS
    """Embedding tables that both tasks use."""
    learning_rate: SearchedPositive | None = None
    """Adam's learning rate."""
    weight_decay: SearchedNonNegative | None = None
    """Decoupled weight decay (AdamW)."""
    average: SearchedShare | None = None
    """Decay of the moving average of the parameters; 0 is none."""
    epochs: SearchedCount | None = None
    """Passes over the training ratings."""
    batch_size: SearchedBatchSize | None = None
    """Ratings in a step, or "full"."""
    dim: SearchedLength | None = None
    """Length of the vectors of users and items."""
    hidden: SearchedLength | None = None
    """Hidden units of the network that predicts the rating."""
    ranking_loss: SearchedRankingLoss | None = None
    """Loss of the ranking task."""
    negatives: SearchedNegatives | None = None
    """Items that the ranking loss compares with rated ones."""


class Initial(Part):
    """Values of a configuration to try first; those not named are drawn at random."""

    weight: Fraction | None = None
    """λ_F. With sharing = "none" any value is kept, although it changes nothing under Adam."""
    sharing: Sharing | None = None
    learning_rate: Positive | None = None
    weight_decay: NonNegative | None = None
    average: Fraction | None = None
    epochs: Count | None = None
    batch_size: BatchSize | None = None
    dim: Length | None = None
    hidden: Length | None = None
    ranking_loss: RankingLoss | None = None
    negatives: Negatives | None = None


def _explore(search: Mapping[str, Any]) -> float:
    """The default of `explore`, by the sampler."""
    return 0.0 if search.get("sampler") in EVEN else 0.33


class Search(Part):
    """The search for configurations."""

    sampler: SamplerName = "tpe"
    """The sampler that proposes them."""
    explore: Fraction = Field(default_factory=_explore)
    """Share of configurations drawn at random, evenly over the sharings; 0 with "qmc" and "grid"."""
    replicates: Seeds = 1
    """Seeds for each configuration; a point is the mean over them."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the study: of its sampler, initial values, batches and negatives."""
    initial: Annotated[tuple[Initial, ...], Field(strict=False, max_length=MOST_INITIAL)] = ()
    """Configurations tried first, in this order."""


class Stopping(Part):
    """Early stopping of trials."""

    rule: RuleName = "never"
    """The stopping rule."""
    min_epochs: Count = 27
    """Epochs before the first rung; no trial stops earlier."""
    reduction_factor: Annotated[int, Field(ge=2, lt=2**31)] = 3
    """At a rung one trial in `reduction_factor` continues; the next rung has that many times its epochs."""


class PlateauSection(Part):
    """Improvement-based stopping: the last trials raised the hypervolume too little."""

    trials: Count = 40
    """Ended trials to look back over."""
    gain: Positive = 0.001
    """Share by which all of them together must raise the hypervolume."""


class Budget(Part):
    """Limits of the search; the first one reached ends it. At least one hard limit is required."""

    trials: Count | None = None
    """Configurations."""
    member_epochs: Annotated[int, Field(ge=1, lt=2**63)] | None = None
    """Epochs, summed over trials and replicates."""
    wall_time_s: Positive | None = None
    """Seconds from a run's first lane to its end, summed over runs; waiting for a lane does not count."""
    plateau: PlateauSection | None = None
    """End when the hypervolume no longer grows; not a hard limit, because it may grow for ever."""

    @model_validator(mode="after")
    def _bounded(self) -> "Budget":
        if self.trials is None and self.member_epochs is None and self.wall_time_s is None:
            raise ValueError("has no hard limit; set trials, member_epochs or wall_time_s")
        return self


class Confirm(Part):
    """Confirmation: train points of the front with fresh seeds, and measure them once on the test set.

    With `fresh` above 0, configurations of the front are first trained again on training data and measured on
    validation data. Their means choose the points: the knee and the ends of the front, then those that add
    the largest hypervolume. Together both stages train at most as much as a confirmation of `points` points
    and half as many rivals, unless the points that are always chosen need more.
    """

    points: Count = 10
    """Most points to measure on the test set; with `fresh` = 0, up to half as many rivals beside them."""
    replicates: Annotated[Seeds, Field(ge=2)] = 5
    """Fresh seeds for each point; intervals need at least two."""
    fresh: Annotated[int, Field(ge=0, le=1_000)] = 3
    """Fresh seeds on validation data, whose means choose the points; 0: the search's values choose them."""


class Storage(Part):
    """Place of the record. It changes no result."""

    url: Annotated[str, AfterValidator(without_password)] | None = None
    """A PostgreSQL URL without a password, or "env:NAME" for one; by default SQLite in the study's folder."""


def _absolute(folder: str) -> str:
    if not Path(folder).is_absolute():
        raise ValueError(f"{folder!r} is a different folder on each node; write an absolute path, from '/'")
    return folder


class SlotsSection(Part):
    """Trials that a lane trains together, by kind of device."""

    cpu: Literal["auto"] | Places = "auto"
    """On CPU cores."""
    gpu: Literal["auto"] | Places = "auto"
    """On a GPU, or a share of one."""


Kind = Literal["cpu", "gpu"]


class Runtime(Part):
    """Place and resources of the lanes. They change no result."""

    address: Literal["inline", "local", "auto"] = "local"
    """In this process ("inline"), on a private Ray ("local"), or on this machine's Ray cluster ("auto")."""
    engine: EngineName = "auto"
    """The training engine; "auto" takes the best one for the device."""
    lanes: Literal["auto"] | Lanes = "auto"
    """Lanes that train at the same time; "auto" is as many as fit."""
    max_lanes: Lanes | None = None
    """With lanes = "auto", lanes to request: those that do not fit yet wait for more nodes."""
    slots: Literal["auto"] | Places | SlotsSection = "auto"
    """Trials that a lane trains together; { cpu = 1, gpu = 64 } sets it by kind of device."""
    cpus_per_lane: Positive = 1.0
    """CPU cores of a lane."""
    gpus_per_lane: Annotated[Literal["auto"] | NonNegative, AfterValidator(of_a_gpu)] = "auto"
    """GPUs of a lane: 0, 1, or one k-th, as 0.25 or 0.3333. "auto": 1 if a node has one at the first run."""
    resources: Annotated[dict[str, float], AfterValidator(node_resources)] = Field(default_factory=dict)
    """Custom resources of Ray that a lane takes of its node, as { "accelerator_type:H100" = 0.01 }."""
    labels: Annotated[dict[str, str], AfterValidator(node_labels)] = Field(default_factory=dict)
    """Labels of Ray that a lane's node must have, as { "ray.io/market-type" = "spot" }."""
    cpu_nodes: bool = False
    """True gives lanes to nodes without a GPU too; their results differ in the last digits."""
    placement: Literal["spread", "pack"] = "spread"
    """Spread lanes over all nodes, or pack them onto as few as possible, if there is room."""
    storage_path: Annotated[str, AfterValidator(_absolute)] | None = None
    """Absolute path of a folder for checkpoints that every node reaches; by default the study's folder."""
    save_every_s: Positive = 60.0
    """Seconds from one checkpoint to the next."""
    home: Annotated[str, AfterValidator(_absolute)] | None = None
    """With address = "auto", absolute path of the folder on the head that contains `studies/`. Default: the
    working folder, or for a submitted study the home folder of the user that runs Ray there.
    """

    meters: bool = False
    """True shows the study's name and numbers at Ray's Prometheus endpoint, which requires no token."""

    def slots_on(self, kind: Kind) -> Literal["auto"] | int:
        """The slots of a lane on this kind of device."""
        if not isinstance(self.slots, SlotsSection):
            return self.slots
        return self.slots.gpu if kind == "gpu" else self.slots.cpu
