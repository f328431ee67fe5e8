"""An exported model: a folder of two files that NumPy and safetensors read, and nothing else is needed.

`model.safetensors` holds the parameters by their names, the original ids, and the items that each user has
rated; `model.json` says what the model is and how it came to be, and seals both files with one sha256. A file
that is torn, changed, or of another model is refused, never read.
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from trainable.contract import Config, StudyError
from trainable.disk import seal
from trainable.models.two_task.parameters import shapes

FORMAT = 1
"""Version of what `Model.save` writes; another one is refused."""

TENSORS, CARD = FILES = "model.safetensors", "model.json"
CATALOGUES = ("users", "items")

Tensors = Mapping[str, NDArray[np.generic]]
Id = str | int
"""An original id. Ids are text, as in the source; a number stands for its text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a model is, and all that it takes to train it again.

    It is a replicate of a trial's `config`, trained for `epochs` epochs with the streams of (`seed`,
    `replicate`) on the parts that `trained_on` names. `metrics` were measured on the part `measured_on`.
    `source` names the ratings, `data_sha256` is the hash of their split, `version` that of pareto-study.
    """

    study: str
    trial: int
    config: Config
    epochs: int
    seed: int
    replicate: int
    trained_on: str
    measured_on: str
    metrics: Mapping[str, float]
    source: str
    data_sha256: str
    version: str

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Card":
        """The inverse of `dataclasses.asdict`."""
        config = Config.from_dict(values["config"])
        return cls(**{f.name: values[f.name] for f in fields(cls)} | {"config": config})


class Recommendation(NamedTuple):
    """An item by its original id, and its ranking score: larger is better, the unit means nothing."""

    item: str
    score: float


class Model:
    """A trained model over the ids of its ratings, computing in float64.

    `users` and `items` are the catalogues, original ids in the order of the tables. `seen` (2, n) has a user
    row and an item row for each rating that it was trained on. ValueError where the parts do not fit.
    """

    def __init__(
        self,
        card: Card,
        parameters: Tensors,
        *,
        users: Iterable[str],
        items: Iterable[str],
        seen: NDArray[np.integer],
    ) -> None:
        self.card = card
        self.users, self.items = tuple(map(str, users)), tuple(map(str, items))
        self._rows = {"user": _index(self.users), "item": _index(self.items)}
        _check(card, parameters, seen, len(self.users), len(self.items))
        self._stored = dict(parameters)
        self._p = {name: values.astype(np.float64) for name, values in parameters.items()}
        order = np.lexsort((seen[1], seen[0]))
        self._seen: NDArray[np.int32] = seen[1][order].astype(np.int32)
        self._seen_starts: NDArray[np.int64] = np.searchsorted(seen[0][order], np.arange(len(self.users) + 1))

    def recommend(self, user: Id, n: int = 10, *, include_seen: bool = False) -> list[Recommendation]:
        """The `n` items that rank highest for a user, best first; fewer where there are not as many.

        Equal scores stand in the order of `items`. Items that the user rated in what the model was trained on
        are left out, unless `include_seen`. StudyError for an unknown user, or an `n` below 1.
        """
        row = self._row("user", user)
        if n < 1:
            raise StudyError(f"n: {n} items cannot be recommended; use 1 or more")
        scores = self._scores(row)
        best = np.argsort(-scores, kind="stable")
        if not include_seen:
            best = best[~np.isin(best, self._seen_by(row))]
        return [Recommendation(self.items[i], float(scores[i])) for i in best[:n]]

    def rate(self, user: Id, items: Sequence[Id]) -> NDArray[np.float64]:
        """Predicted ratings (n,) that a user gives items (n,), in the source's unit, unclipped.

        StudyError for an unknown user or item.
        """
        if isinstance(items, str):
            raise StudyError(f"items: {items!r} is one item; give a list, as in [{items!r}]")
        row, columns = self._row("user", user), [self._row("item", item) for item in items]
        u, q = self._table("rating.users")[row], self._table("rating.items")[columns]
        pairs = np.concatenate([np.broadcast_to(u, q.shape), q, u * q], axis=1)
        hidden = np.maximum(pairs @ self._p["hidden.weight"].T + self._p["hidden.bias"], 0.0)
        return np.asarray((hidden @ self._p["output.weight"].T + self._p["output.bias"])[:, 0])

    def seen(self, user: Id) -> tuple[str, ...]:
        """The items that a user rated in what the model was trained on; StudyError for an unknown user."""
        return tuple(self.items[i] for i in self._seen_by(self._row("user", user)))

    def save(self, folder: Path) -> None:
        """Write the model as `folder`, whole or not at all; a model that is there gives way to it."""
        tensors = dict(self._stored)
        for name, ids in zip(CATALOGUES, (self.users, self.items), strict=True):
            tensors[f"ids.{name}"], tensors[f"ids.{name}.ends"] = _as_bytes(ids)
        tensors["seen.items"] = self._seen
        tensors["seen.starts"] = self._seen_starts.astype(np.int64)
        content = save({name: np.ascontiguousarray(values) for name, values in tensors.items()})
        about = {"format": FORMAT, **asdict(self.card)}
        about["sha256"] = seal(about, content)
        text = json.dumps(about, indent=2, ensure_ascii=False, allow_nan=False)
        beside, before = (folder.with_name(f".{folder.name}.{kind}{os.getpid()}") for kind in ("", "old."))
        for left in (beside, before):
            shutil.rmtree(left, ignore_errors=True)
        try:
            beside.mkdir(parents=True)
            (beside / TENSORS).write_bytes(content)
            (beside / CARD).write_text(text, encoding="utf-8")
            if folder.exists():
                folder.rename(before)
            beside.rename(folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(before, ignore_errors=True)

    def _scores(self, row: int) -> NDArray[np.float64]:
        """Ranking scores (items,) for the user in a row: u·q + a + b."""
        u = self._p["ranking.users"][row]
        return np.asarray(self._p["ranking.items"] @ u + self._p["user_bias"][row] + self._p["item_bias"])

    def _seen_by(self, row: int) -> NDArray[np.int32]:
        first, last = self._seen_starts[row : row + 2]
        return self._seen[first:last]

    def _table(self, name: str) -> NDArray[np.float64]:
        """The table that the rating task reads: its own, or the shared one."""
        return self._p.get(name, self._p[name.replace("rating", "ranking")])

    def _row(self, kind: str, given: Id) -> int:
        rows = self._rows[kind]
        if str(given) not in rows:
            some = ", ".join(repr(known) for known in list(rows)[:3])
            raise StudyError(
                f"{kind}: {given!r} is not known to this model; use one of its {len(rows)} {kind}s "
                f"({some} …), which `model.{kind}s` lists"
            )
        return rows[str(given)]


def load_model(folder: str | Path) -> Model:
    """The model that `study pick` exported to `folder`. Needs NumPy and safetensors, nothing else.

    StudyError where there is none, where it is of another format, or where its files are not as they were
    written.
    """
    folder = Path(folder)
    try:
        text, content = (folder / CARD).read_bytes(), (folder / TENSORS).read_bytes()
    except OSError as error:
        raise StudyError(
            f"{folder}: holds no model that can be read ({error.strerror}); give a folder with {CARD} and "
            f"{TENSORS}, as `study pick` writes it"
        ) from error
    try:
        about = dict(json.loads(text))
        written, sealed = about.pop("format"), about.pop("sha256")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise StudyError(
            f"{folder / CARD}: is not a model's; export the model again with `study pick`"
        ) from error
    if written != FORMAT:
        raise StudyError(
            f"{folder / CARD}: written in format {written!r}, this version reads {FORMAT}; use the version "
            "of pareto-study that wrote it, or export the model again"
        )
    damaged = f"{folder}: is damaged, or its files are of two models; export it again with `study pick`"
    try:
        if sealed != seal({"format": written, **about}, content):
            raise StudyError(damaged)
        return _model(Card.from_dict(about), load(content))
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StudyError(damaged) from error


def _model(card: Card, tensors: dict[str, NDArray[np.generic]]) -> Model:
    """The model of what a file holds; an error of any kind where that is not a model's."""
    users, items = (
        _as_ids(tensors.pop(f"ids.{name}"), tensors.pop(f"ids.{name}.ends")) for name in CATALOGUES
    )
    starts, seen = _whole(tensors.pop("seen.starts")), _whole(tensors.pop("seen.items"))
    if starts.shape != (len(users) + 1,) or starts[0] != 0 or starts[-1] != len(seen):
        raise ValueError("what was seen is not parted among the users")
    if (starts[1:] < starts[:-1]).any():
        raise ValueError("a user's part of what was seen ends before it begins")
    rows = np.repeat(np.arange(len(users)), np.diff(starts))
    return Model(card, tensors, users=users, items=items, seen=np.stack([rows, seen]))


def _check(card: Card, parameters: Tensors, seen: NDArray[np.integer], n_users: int, n_items: int) -> None:
    wanted = shapes(card.config, n_users, n_items)
    given = {name: values.shape for name, values in parameters.items()}
    if given != wanted:
        raise ValueError(f"parameters of shapes {given} are not those of the configuration, {wanted}")
    if not all(values.dtype.kind == "f" and np.isfinite(values).all() for values in parameters.values()):
        raise ValueError("a parameter is not a finite real number")
    if seen.ndim != 2 or len(seen) != 2 or (seen < 0).any() or (seen >= [[n_users], [n_items]]).any():
        raise ValueError("what was seen lies outside the catalogues")


def _whole(values: NDArray[np.generic]) -> NDArray[np.int64]:
    if values.dtype.kind != "i":
        raise ValueError(f"{values.dtype} stands where whole numbers belong")
    return values.astype(np.int64)


def _index(ids: Sequence[str]) -> dict[str, int]:
    rows = {name: row for row, name in enumerate(ids)}
    if len(rows) < len(ids):
        raise ValueError("an id stands twice in its catalogue")
    return rows


def _as_bytes(ids: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Ids as UTF-8, one after the other, and where each ends; they may hold any character."""
    encoded = [name.encode() for name in ids]
    ends = np.cumsum([len(name) for name in encoded], dtype=np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8), ends


def _as_ids(content: NDArray[np.generic], ends: NDArray[np.generic]) -> list[str]:
    """The inverse of `_as_bytes`."""
    text, bounds = content.tobytes(), [0, *ends.tolist()]
    return [text[a:b].decode() for a, b in pairwise(bounds)]
