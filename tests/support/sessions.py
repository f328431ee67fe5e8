"""Sessions that train a little, and their checkpoints as files."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from members import CONFIG, FOLD, new_engine
from safetensors.numpy import load

from trainable.checkpoint import RECORD
from trainable.contract import Answer, Lease
from trainable.disk import seal
from trainable.session import Session

OTHER = replace(CONFIG, weight=None, sharing="none", average=0.9, negatives="unseen")
LEASES = (Lease(3, 1, CONFIG, (0, 1)), Lease(7, 2, OTHER, (0,)))


def new_session(*leases: Lease, seed: int = 7, fold=FOLD, dtype: str = "float32") -> Session:
    """A session of two slots that trains the leases, on the plain engine."""
    waiting = list(leases)

    def exchange(_report):
        given = tuple(waiting)
        waiting.clear()
        return Answer(1, leases=given)

    return Session(
        lambda: new_engine("plain", fold=fold, seed=seed, dtype=dtype), slots=2, lane="a", exchange=exchange
    )


def trained(epochs: int, **options: Any) -> Session:
    session = new_session(*LEASES, **options)
    for _ in range(epochs):
        session.advance()
    return session


def everything(session: Session) -> tuple[Any, ...]:
    """The complete state of a session, bit for bit."""
    members = [m for slot in session._held.values() for m in slot.members]
    states = {m: {k: v.tobytes() for k, v in session.engine.state(m).items()} for m in members}
    return session.held, session.measured, states


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def put(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def sealed(about: Any, tensors: bytes) -> dict[str, bytes]:
    """Two files with the seal of a checkpoint and any content."""
    sha256 = seal(about, tensors)
    return {
        RECORD: json.dumps(about | {"sha256": sha256}).encode(),
        f"states-{sha256[:16]}.safetensors": tensors,
    }


def opened(contents: dict[str, bytes]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Content of a checkpoint's files, without the seal."""
    about = json.loads(contents[RECORD])
    return about, load(contents[f"states-{about.pop('sha256')[:16]}.safetensors"])
