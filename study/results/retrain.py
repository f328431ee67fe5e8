"""Models of a study: trained again from their keys, compared with the record, and saved.

Models never travel from lanes. A replicate is fixed by its configuration, its seed and its epochs (laws 1 and
3), so it can be trained again at any time, on any machine.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from analysis.objective import written
from study.record.reader import Reader
from study.record.rows import Point
from trainable.artifact import Card, Model, load_model
from trainable.contract import METRICS, StudyError
from trainable.data.description import describe
from trainable.data.interactions import Fold
from trainable.data.registry import load
from trainable.engines.engine import Member
from trainable.job import Job
from trainable.models.two_task.parameters import measured

RETRAIN_TOLERANCE = 0.05
"""Relative tolerance of a recorded metric when its model is trained again.

The same engine on the same machine repeats it bit for bit. Elsewhere sums round differently, and float32 lets
that grow: on MovieLens-100K, with initial values changed by 1e-7 of their size, 6 configurations differed by
at most 1.3 % in MSE and 0.3 % in MRR within 30 epochs. A larger difference has another cause.
"""

Progress = Callable[[range], Iterable[int]]
"""Shows the progress of a training: yields the epochs of a range, as `rich.progress.track` does."""


def source(ledger: Reader, point: Point) -> tuple[Reader, int]:
    """The record of a point's model, and its trial's number there.

    That is the study's confirmation if the point was confirmed to its end, else the search.
    """
    confirmation = ledger.confirmation()
    if confirmation is not None and confirmation.plan is not None:
        ended = {r.trial for r in confirmation.records() if r.state == "completed"}
        for number, planned in enumerate(confirmation.plan.points):
            if number in ended and (planned.trial, planned.epoch) == (point.trial, point.epoch):
                return confirmation, number
    return ledger, point.trial


def card_of(record: Reader, number: int, epoch: int, *, replicate: int = 0) -> Card:
    """The card of a replicate of trial `number` in a search or a confirmation, with its recorded metrics."""
    config, both = record.records()[number].config, record.baseline.data["has_validation"]
    measured = next(
        m for m in record.measurements() if (m.trial, m.replicate, m.epoch) == (number, replicate, epoch)
    )
    if config is None:
        raise RuntimeError(f"trial {number} has measurements and no configuration")
    again = record.plan is not None
    return Card(
        study=record.spec.name,
        trial=number if record.plan is None else record.plan.points[number].trial,
        config=config,
        epochs=epoch,
        seed=record.spec.search.seed,
        replicate=replicate,
        trained_on="train + validation" if again and both else "train",
        measured_on="validation" if both and not again else "test",
        metrics={name: getattr(measured, name) for name in METRICS},
        source=Path(record.spec.data.source).name,
        data_sha256=record.baseline.data["sha256"],
        version=version("pareto-study"),
    )


def fold_of(record: Reader) -> Fold:
    """The fold of a record. StudyError if the ratings have changed since the record began."""
    data = record.spec.data
    split = load(data.source, split=data.split, split_seed=data.split_seed)
    if describe(split).sha256 != record.baseline.data["sha256"]:
        raise StudyError(
            f"data.source: the ratings of {data.source!r} are not those that {record.spec.name} began with; "
            "restore them to train its model again"
        )
    return split.final if record.stage == "confirm" else split.search


def exported(
    card: Card, folder: Path, fold: Callable[[], Fold], *, engine: str = "auto", watch: Progress = iter
) -> Model:
    """The model of a card in `folder`: the saved one if it fits, else trained again and saved.

    Errors as in `trained`; then nothing is saved.
    """
    there = _there(folder)
    if there is not None and _is_of(there, card):
        return there
    model = trained(card, fold(), engine=engine, watch=watch)
    model.save(folder)
    return model


def trained(card: Card, fold: Fold, *, engine: str = "auto", watch: Progress = iter) -> Model:
    """The model of a card, trained on a fold for exactly its epochs, with the metrics of this training.

    StudyError if they differ from the card's by more than rounding explains.
    """
    running = Job(fold=fold, seed=card.seed, engine=engine).build()
    member = Member(card.trial, card.replicate, card.config)
    running.join(member)
    metrics: Mapping[str, float] = {}
    for epoch in watch(range(1, card.epochs + 1)):
        metrics = running.epoch({member} if epoch == card.epochs else ())[member].metrics or {}
    if not _agree(metrics, card.metrics):
        raise StudyError(
            f"trial {card.trial} after {card.epochs} epochs: trained again it has {_words(metrics)}; "
            f"recorded is {_words(card.metrics)}. Rounding explains at most {RETRAIN_TOLERANCE:.0%}, so "
            "nothing was saved; use the version of pareto-study and the runtime.engine that the study ran "
            "with"
        )
    train = fold.train
    return Model(
        replace(card, metrics=dict(metrics)),
        measured(card.config, running.state(member)),
        users=train.user_ids,
        items=train.item_ids,
        seen=np.stack([train.users, train.items]),
    )


def _there(folder: Path) -> Model | None:
    try:
        return load_model(folder)
    except StudyError:  # missing or unreadable: it is trained again
        return None


def _is_of(model: Model, card: Card) -> bool:
    """True if this is the card's model; the version that trained it may differ."""
    same = replace(model.card, metrics=card.metrics, version=card.version) == card
    return same and _agree(model.card.metrics, card.metrics)


def _agree(metrics: Mapping[str, float], recorded: Mapping[str, float]) -> bool:
    """True if all metrics are within rounding of the recorded ones; NaN never is."""
    return all(abs(metrics[n] - recorded[n]) <= RETRAIN_TOLERANCE * abs(recorded[n]) for n in METRICS)


def _words(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {written(metrics[name])}" for name in METRICS)
