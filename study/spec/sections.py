"""The parts of a spec: one class a table of the TOML, one attribute a key.

A value with a default may be left out. Keys that no part knows are refused.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from study.spec.database_url import without_password
from study.spec.domains import (
    BatchSize,
    Count,
    Length,
    Logit,
    NonNegative,
    Part,
    Positive,
    SearchedBatchSize,
    SearchedCount,
    SearchedLength,
    SearchedNonNegative,
    SearchedPositive,
    SearchedRankingLoss,
    SearchedShare,
    SearchedSharing,
    Seeds,
    Share,
)
from study.spec.gpu_share import of_a_gpu
from trainable.contract import SHARINGS, RankingLoss, Sharing
from trainable.data.registry import FILES, SOURCES, SPLITS
from trainable.engines.registry import ENGINES

Metric = Literal["mrr", "mrr_all", "mse"]

SamplerName = Literal["tpe", "nsga2", "gp", "qmc", "random", "grid"]

EVEN: tuple[SamplerName, ...] = ("qmc", "grid")
"""Samplers that cover the space evenly by themselves: they leave nothing to explore."""

RuleName = Literal["never", "median", "pareto-asha"]

MOST_INITIAL = 1_000
"""The most configurations to try first: each ask searches the list."""

Lanes = Annotated[int, Field(ge=1, le=1_024)]
"""Number of lanes: each is a process and a trial of Ray Tune, which scales to about a thousand."""

Places = Annotated[int, Field(ge=1, le=4_096)]
"""Slots of a lane: its memory holds the models of all of them."""


def is_file(source: str) -> bool:
    """Whether a data source is a file, by its suffix."""
    return Path(source).suffix.lower() in FILES


def _among(*names: str) -> Callable[[str], str]:
    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"{name!r} is not known; use {', '.join(names)}")
        return name

    return check


def _source(source: str) -> str:
    if source not in SOURCES and not is_file(source):
        allowed = f"{', '.join(SOURCES)}, or a path that ends in {' or '.join(FILES)}"
        raise ValueError(f"{source!r} is not known; use {allowed}")
    return source


SplitName = Annotated[str, AfterValidator(_among(*SPLITS)), Field(json_schema_extra={"enum": [*SPLITS]})]

EngineName = Annotated[
    str, AfterValidator(_among("auto", *ENGINES)), Field(json_schema_extra={"enum": ["auto", *ENGINES]})
]


class Data(Part):
    """The ratings, and how they are divided."""

    source: Annotated[str, AfterValidator(_source)]
    """A dataset's name, or a .csv or .parquet file; a relative path starts at the spec's folder."""
    split: SplitName = "per-user"
    """The rule that divides the ratings into training, validation and test."""
    split_seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of the division, where the rule draws at random."""


class Train(Part):
    """How each configuration is trained, where `[space]` says nothing else."""

    epochs: Count = 20
    """Times through the training ratings."""
    candidates: Literal["every", "last"] = "every"
    """The models one can have: after every measured epoch, or after the last one only."""
    batch_size: BatchSize = 256
    """Ratings a step, or "full" for all of them in one."""
    dim: Length = 32
    """Length of a user's and an item's vector."""
    hidden: Length = 64
    """Hidden units of the network that predicts the rating."""
    ranking_loss: RankingLoss = "one-minus-sigmoid"
    """Loss of the ranking task."""
    learning_rate: Positive = 1e-3
    """Adam's learning rate."""
    weight_decay: NonNegative = 0.0
    """Decoupled weight decay (AdamW); 0 is Adam."""
    evaluate_every: Count = 1
    """Epochs from one measurement to the next; the last epoch is always measured."""


class Space(Part):
    """The values searched over: { uniform, log, logit or int = [low, high] }, a list, or one fixed value.

    What is named here overrides `[train]`. Bounds are in the value's own unit and included.
    """

    weight: SearchedShare = Logit(logit=(0.5, 0.9997))
    """λ_F, the weight of the ranking loss; λ_R = 1 − λ_F. Searched only where something is shared."""
    sharing: SearchedSharing = SHARINGS
    """The tables that both tasks read."""
    learning_rate: SearchedPositive | None = None
    """Adam's learning rate."""
    weight_decay: SearchedNonNegative | None = None
    """Decoupled weight decay (AdamW)."""
    epochs: SearchedCount | None = None
    """Times through the training ratings."""
    batch_size: SearchedBatchSize | None = None
    """Ratings a step, or "full"."""
    dim: SearchedLength | None = None
    """Length of a user's and an item's vector."""
    hidden: SearchedLength | None = None
    """Hidden units of the network that predicts the rating."""
    ranking_loss: SearchedRankingLoss | None = None
    """Loss of the ranking task."""


class Initial(Part):
    """Values of a configuration to try first; those not named are drawn at random."""

    weight: Share | None = None
    """λ_F. Where nothing is shared it may be any: it is kept, though it changes nothing under Adam."""
    sharing: Sharing | None = None
    learning_rate: Positive | None = None
    weight_decay: NonNegative | None = None
    epochs: Count | None = None
    batch_size: BatchSize | None = None
    dim: Length | None = None
    hidden: Length | None = None
    ranking_loss: RankingLoss | None = None


def _explore(search: Mapping[str, Any]) -> float:
    """The default of `explore`, by the sampler."""
    return 0.0 if search.get("sampler") in EVEN else 0.33


class Search(Part):
    """How configurations are chosen."""

    sampler: SamplerName = "tpe"
    """The sampler that proposes them."""
    explore: Share = Field(default_factory=_explore)
    """Share of asks drawn at random, spread evenly over the sharings; none with "qmc" and "grid"."""
    replicates: Seeds = 1
    """Seeds each configuration is trained with; a point is the mean over them."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the study: of its sampler, initial values, batches and negatives."""
    initial: Annotated[tuple[Initial, ...], Field(strict=False, max_length=MOST_INITIAL)] = ()
    """Configurations tried first, in this order."""


class Stopping(Part):
    """Which trials end early."""

    rule: RuleName = "never"
    """The stopping rule."""
    min_epochs: Count = 27
    """Epochs before the first rung: nothing is stopped earlier."""
    reduction_factor: Annotated[int, Field(ge=2, lt=2**31)] = 3
    """A rung lets one in so many go on, and lies at so many times the epochs of the rung before."""


class Plateau(Part):
    """The search has come to rest: so many trials in a row brought too little hypervolume."""

    trials: Count = 40
    """Ended trials to look back over."""
    gain: Positive = 0.001
    """Share by which they must have raised the hypervolume together."""


class Budget(Part):
    """When the study is complete: whichever comes first. One at least must be given."""

    trials: Count | None = None
    """Configurations."""
    member_epochs: Annotated[int, Field(ge=1, lt=2**63)] | None = None
    """Epochs, summed over trials and replicates."""
    wall_time_s: Positive | None = None
    """Seconds from a run's first lane to its end, summed over runs; waiting for a lane spends none."""
    plateau: Plateau | None = None
    """End when the hypervolume no longer grows; never the only limit, for it may grow for ever."""

    @model_validator(mode="after")
    def _bounded(self) -> "Budget":
        if self.trials is None and self.member_epochs is None and self.wall_time_s is None:
            raise ValueError("sets no limit that is sure to come; give trials, member_epochs or wall_time_s")
        return self


class Confirm(Part):
    """The front again, with fresh seeds on all ratings but the test set, which is then opened once."""

    points: Count = 10
    """Points of the front: those that together have the largest hypervolume."""
    replicates: Annotated[Seeds, Field(ge=2)] = 5
    """Fresh seeds for each; intervals need two at least."""


class Storage(Part):
    """Where the record is. Nothing here changes a result."""

    url: Annotated[str, AfterValidator(without_password)] | None = None
    """A PostgreSQL URL without a password, or "env:NAME" for one; left out, SQLite in the study's folder."""


def _absolute(folder: str) -> str:
    if not Path(folder).is_absolute():
        raise ValueError(f"{folder!r} is another folder on every node; write it in full, from '/' on")
    return folder


class Slots(Part):
    """Trials that a lane trains together, by the kind of its device."""

    cpu: Literal["auto"] | Places = "auto"
    """On CPU cores."""
    gpu: Literal["auto"] | Places = "auto"
    """On a GPU, or a share of one."""


Kind = Literal["cpu", "gpu"]


class Runtime(Part):
    """Where the study runs. Nothing here changes a result."""

    address: Literal["inline", "local", "auto"] = "local"
    """In this process ("inline"), on a Ray of its own ("local"), or on the cluster one is on ("auto")."""
    engine: EngineName = "auto"
    """The engine that trains; "auto" takes the best for the device."""
    lanes: Literal["auto"] | Lanes = "auto"
    """Lanes that train at the same time; "auto" is as many as fit."""
    max_lanes: Lanes | None = None
    """With lanes = "auto", lanes to ask for: those that do not fit yet wait for nodes to join."""
    slots: Literal["auto"] | Places | Slots = "auto"
    """Trials that a lane trains together; { cpu = 1, gpu = 64 } says it for each kind of device."""
    cpus_per_lane: Positive = 1.0
    """CPU cores of a lane."""
    gpus_per_lane: Annotated[Literal["auto"] | NonNegative, AfterValidator(of_a_gpu)] = "auto"
    """GPUs of a lane, or one k-th of one, as 0.25 or 0.3333; "auto" takes one where there is one."""
    cpu_nodes: bool = False
    """Whether nodes without a GPU get lanes too where lanes train on GPUs; their last digits differ."""
    placement: Literal["spread", "pack"] = "spread"
    """Lanes on as many nodes as there are, or on as few as they need; elsewhere where there is no room."""
    storage_path: Annotated[str, AfterValidator(_absolute)] | None = None
    """A folder that every node reaches, in full, for checkpoints; by default the study's own folder."""
    save_every_s: Positive = 60.0
    """Seconds from one checkpoint to the next."""
    home: Annotated[str, AfterValidator(_absolute)] | None = None
    """With address = "auto", the folder on the head, in full, that `studies/` lies in; left out, the working
    folder, and of a submitted study the home folder of whoever runs Ray there.
    """

    meters: bool = False
    """True shows the study's name and numbers at Ray's Prometheus endpoint, which requires no token."""

    def slots_on(self, kind: Kind) -> Literal["auto"] | int:
        """The slots of a lane on this kind of device."""
        if not isinstance(self.slots, Slots):
            return self.slots
        return self.slots.gpu if kind == "gpu" else self.slots.cpu
