"""An exported model: a folder of two files; NumPy and safetensors are enough to read it.

`model.safetensors` holds the parameters by name, the original ids, and the items that each user has rated.
`model.json` describes the model and its training, and seals both files with one sha256. Files that are
damaged, changed, or of different models are refused.
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
from trainable.disk import seal, write_atomically
from trainable.models.two_task.parameters import shapes

MODEL_FORMAT = 1
"""Version of the format that `Model.save` writes; any other is refused."""

TENSORS, CARD = MODEL_FILES = "model.safetensors", "model.json"
CATALOGUES = ("users", "items")

Tensors = Mapping[str, NDArray[np.generic]]
Id = str | int
"""An original id: text, as in the source. A number stands for its text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The description of a model, sufficient to train it again.

    The model is a replicate of a trial's `config`, trained for `epochs` epochs with the streams of (`seed`,
    `replicate`) on the parts named by `trained_on`. `metrics` were measured on the part `measured_on`.
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
    """An item by its original id, and its ranking score: larger is better; it has no unit."""

    item: str
    score: float


class Model:
    """A trained model that takes original ids and computes in float64.

    `users` and `items` are the catalogues: original ids in the order of the tables. `seen` (2, n) has the
    user row and the item row of each training rating. ValueError for inconsistent parts.
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
        """The `n` highest-ranked items for a user, best first; fewer if the catalogue has fewer.

        Ties keep the order of `items`. Items that the user rated in the training data are left out, unless
        `include_seen`. StudyError for an unknown user, or an `n` below 1.
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
        """Predicted ratings (n,) of items (n,) by a user, in the source's unit, unclipped.

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
        """Items that a user rated in the training data; StudyError for an unknown user."""
        return tuple(self.items[i] for i in self._seen_by(self._row("user", user)))

    def save(self, folder: Path) -> None:
        """Write the model to `folder`, completely or not at all; replaces an existing model."""
        tensors = dict(self._stored)
        for name, ids in zip(CATALOGUES, (self.users, self.items), strict=True):
            tensors[f"ids.{name}"], tensors[f"ids.{name}.ends"] = _as_bytes(ids)
        tensors["seen.items"] = self._seen
        tensors["seen.starts"] = self._seen_starts.astype(np.int64)
        content = save({name: np.ascontiguousarray(values) for name, values in tensors.items()})
        about = {"format": MODEL_FORMAT, **asdict(self.card)}
        about["sha256"] = seal(about, content)
        text = json.dumps(about, indent=2, ensure_ascii=False, allow_nan=False)
        beside, before = (folder.with_name(f".{folder.name}.{kind}{os.getpid()}") for kind in ("", "old."))
        for left in (beside, before):
            shutil.rmtree(left, ignore_errors=True)
        try:
            beside.mkdir(parents=True)
            write_atomically(beside / TENSORS, content)
            write_atomically(beside / CARD, text.encode())
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
        """The table of the rating task: its own, or the shared one."""
        return self._p.get(name, self._p[name.replace("rating", "ranking")])

    def _row(self, kind: str, given: Id) -> int:
        rows = self._rows[kind]
        if str(given) not in rows:
            some = ", ".join(repr(known) for known in list(rows)[:3])
            raise StudyError(
                f"{kind}: {given!r} is not known to this model; use one of its {len(rows)} {kind}s "
                f"({some} …), listed in `model.{kind}s`"
            )
        return rows[str(given)]


def load_model(folder: str | Path) -> Model:
    """Load a model that `study pick` exported to `folder`. Needs NumPy and safetensors only.

    StudyError if there is no model, or if its format is different or its files are damaged.
    """
    folder = Path(folder)
    try:
        text, content = (folder / CARD).read_bytes(), (folder / TENSORS).read_bytes()
    except OSError as error:
        raise StudyError(
            f"{folder}: contains no readable model ({error.strerror}); give a folder with {CARD} and "
            f"{TENSORS}, as `study pick` writes it"
        ) from error
    try:
        about = dict(json.loads(text))
        written, sealed = about.pop("format"), about.pop("sha256")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise StudyError(
            f"{folder / CARD}: does not describe a model; export the model again with `study pick`"
        ) from error
    if written != MODEL_FORMAT:
        raise StudyError(
            f"{folder / CARD}: has format {written!r}, this version reads {MODEL_FORMAT}; use the "
            "version of pareto-study that wrote it, or export the model again"
        )
    damaged = f"{folder}: is damaged, or mixes files of two models; export it again with `study pick`"
    try:
        if sealed != seal({"format": written, **about}, content):
            raise StudyError(damaged)
        return _model(Card.from_dict(about), load(content))
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StudyError(damaged) from error


def _model(card: Card, tensors: dict[str, NDArray[np.generic]]) -> Model:
    """Build the model from the tensors of a file; raises any error for invalid tensors."""
    users, items = (
        _as_ids(tensors.pop(f"ids.{name}"), tensors.pop(f"ids.{name}.ends")) for name in CATALOGUES
    )
    starts, seen = _whole(tensors.pop("seen.starts")), _whole(tensors.pop("seen.items"))
    if starts.shape != (len(users) + 1,) or starts[0] != 0 or starts[-1] != len(seen):
        raise ValueError("the seen items are not divided among the users")
    if (starts[1:] < starts[:-1]).any():
        raise ValueError("a user's seen items end before they begin")
    rows = np.repeat(np.arange(len(users)), np.diff(starts))
    return Model(card, tensors, users=users, items=items, seen=np.stack([rows, seen]))


def _check(card: Card, parameters: Tensors, seen: NDArray[np.integer], n_users: int, n_items: int) -> None:
    wanted = shapes(card.config, n_users, n_items)
    given = {name: values.shape for name, values in parameters.items()}
    if given != wanted:
        raise ValueError(f"the shapes of the parameters are {given}, the configuration needs {wanted}")
    if not all(values.dtype.kind == "f" and np.isfinite(values).all() for values in parameters.values()):
        raise ValueError("a parameter is not a finite real number")
    if seen.ndim != 2 or len(seen) != 2 or (seen < 0).any() or (seen >= [[n_users], [n_items]]).any():
        raise ValueError("a seen item is outside the catalogues")


def _whole(values: NDArray[np.generic]) -> NDArray[np.int64]:
    if values.dtype.kind != "i":
        raise ValueError(f"type {values.dtype} instead of whole numbers")
    return values.astype(np.int64)


def _index(ids: Sequence[str]) -> dict[str, int]:
    rows = {name: row for row, name in enumerate(ids)}
    if len(rows) < len(ids):
        raise ValueError("an id occurs twice in its catalogue")
    return rows


def _as_bytes(ids: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Concatenate ids as UTF-8; return the bytes and the end of each id. Ids may contain any character."""
    encoded = [name.encode() for name in ids]
    ends = np.cumsum([len(name) for name in encoded], dtype=np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8), ends


def _as_ids(content: NDArray[np.generic], ends: NDArray[np.generic]) -> list[str]:
    """The inverse of `_as_bytes`."""
    text, bounds = content.tobytes(), [0, *ends.tolist()]
    return [text[a:b].decode() for a, b in pairwise(bounds)]
