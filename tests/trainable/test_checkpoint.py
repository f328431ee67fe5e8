"""A checkpoint is complete or refused: after a kill at any moment, any damage, or another kind of file."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from math import inf, nan
from pathlib import Path

import pytest
from members import CONFIG, ITEMS, USERS, make_fold, new_engine
from sessions import everything, files, new_session, put, sealed, trained

from trainable.checkpoint import CHECKPOINT_FORMAT, RECORD, CheckpointError, Saved, read, write
from trainable.contract import SHARINGS, StudyError
from trainable.models.two_task.parameters import fresh, initial, layout
from trainable.session import Session
from trainable.slots import Slot


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Session, dict[str, bytes]]:
    """A session after two epochs, and the files of its checkpoint."""
    session = trained(2)
    folder = tmp_path_factory.mktemp("saved")
    session.save(folder)
    return session, files(folder)


# --- a kill at any moment --------------------------------------------------------------------------------


class Killed(BaseException):
    """The simulated end of the process."""


@pytest.mark.parametrize("first", [True, False], ids=["no earlier one", "an earlier one"])
def test_a_kill_during_a_save_leaves_a_whole_checkpoint(
    first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The record is renamed after its tensors, no tensors are overwritten, and no file is half written."""
    before, after = trained(1), trained(2)
    survived, deaths, done = [], 0, False
    while not done:
        folder = tmp_path / str(deaths)
        folder.mkdir()
        if not first:
            before.save(folder)
        with monkeypatch.context() as patch:
            kill_at(deaths, patch)
            try:
                after.save(folder)
                done = True
            except Killed:
                deaths += 1
        session = new_session()
        try:
            session.load(folder)
            survived.append(everything(session))
        except CheckpointError:
            survived.append(None)
    old = None if first else everything(before)
    turn = survived.index(everything(after))
    assert survived == [old] * turn + [everything(after)] * (deaths + 1 - turn)
    assert 0 < turn <= deaths
    assert len(files(tmp_path / str(deaths))) == 2


def kill_at(operation: int, patch: pytest.MonkeyPatch) -> None:
    """Die in this file operation, counted from 0: with half a file instead of a flush, after any other."""
    left = operation

    def mortal(act, last):
        def step(*arguments, **options):
            nonlocal left
            left -= 1
            if left == -1:
                last(*arguments, **options)
            if left < 0:  # the dead clean nothing up
                raise Killed
            return act(*arguments, **options)

        return step

    def halve(number: int) -> None:
        os.ftruncate(number, os.fstat(number).st_size // 2)

    patch.setattr(os, "fsync", mortal(os.fsync, halve))
    patch.setattr(Path, "replace", mortal(Path.replace, Path.replace))
    patch.setattr(Path, "unlink", mortal(Path.unlink, Path.unlink))


# --- damaged files ---------------------------------------------------------------------------------------


FOREIGN = {
    "nothing": ({}, "slots.json: cannot be read .No such file"),
    "empty": ({RECORD: b""}, "slots.json: is torn, or not JSON"),
    "a list": ({RECORD: b"[1]"}, "slots.json: is not a record of slots"),
    "deep": ({RECORD: b"[" * 100_000}, "slots.json: is torn, or not JSON"),
    "not text": ({RECORD: b"\xff\xfe\xff"}, "slots.json: is torn, or not JSON"),
    "an older one": ({RECORD: b'{"slots": [], "unsent": []}'}, "slots.json: has no format"),
    "a later one": (sealed({"format": 4}, b""), "has format 4, and this version reads 3"),
    "no seal": ({RECORD: b'{"format": 3, "tensors": 0}'}, "slots.json: does not name its tensors"),
    "elsewhere": (
        {
            RECORD: json.dumps(
                {"format": CHECKPOINT_FORMAT, "tensors": 0, "sha256": "../" * 20 + "0000"}
            ).encode()
        },
        "slots.json: does not name its tensors",
    ),
    "no tensors": (
        {RECORD: json.dumps({"format": CHECKPOINT_FORMAT, "tensors": 0, "sha256": "0" * 64}).encode()},
        "states-0{16}.safetensors: cannot be read .No such file",
    ),
    "no slots": (
        sealed({"format": CHECKPOINT_FORMAT, "tensors": 0}, b""),
        "its fields must be slots, unsent",
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_other_files_are_refused_with_a_message(kind: str, tmp_path: Path):
    contents, message = FOREIGN[kind]
    with pytest.raises(CheckpointError, match=message) as refused:
        read(put(tmp_path / "it", contents), new_engine("plain"))
    assert isinstance(refused.value, StudyError)


def test_torn_and_changed_files_have_different_messages(saved, tmp_path: Path):
    _, contents = saved
    name = next(n for n in contents if n != RECORD)
    for change, message in [
        ({name: contents[name][:-1]}, rf"is torn: it has {len(contents[name]) - 1} bytes"),
        ({name: contents[name][:-1] + b"\1"}, "it or slots.json has changed since it was written"),
        (
            {RECORD: contents[RECORD].replace(b'"attempt": 2', b'"attempt": 3')},
            "it or slots.json has changed since it was written",
        ),
    ]:
        with pytest.raises(CheckpointError, match=message):
            read(put(tmp_path / "it", contents | change), new_engine("plain", dtype="float32"))


def test_mixed_files_of_two_checkpoints_are_refused(saved, tmp_path: Path):
    _, contents = saved
    trained(3).save(tmp_path)
    (name,) = (n for n in contents if n != RECORD)
    (other,) = (n for n in files(tmp_path) if n != RECORD)
    mixed = {RECORD: contents[RECORD], name: files(tmp_path)[other]}
    with pytest.raises(CheckpointError, match="has changed since"):
        read(put(tmp_path / "it", mixed), new_engine("plain", dtype="float32"))


def with_config(**values: object) -> Callable[[Slot], Slot]:
    """A change of a slot: new values in its trial's configuration."""
    return lambda s: replace(s, lease=replace(s.lease, config=replace(s.lease.config, **values)))


ODD = (
    *({"learning_rate": value} for value in (-1e-9, 0.0, nan, inf, 10**400)),
    *({"weight_decay": value} for value in (-1e-9, nan, inf)),
    *({"weight": value} for value in (-0.1, 1.1, nan)),
    *({"average": value} for value in (-0.1, 1.1, nan)),
)
"""Values that no spec allows, and that PyTorch accepts or refuses with its own message."""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: replace(s, epoch=10), r"trial 7: epoch 10 is not from 0 to 9"),
        (lambda s: replace(s, epoch=3), r"7/0/epoch is 2 instead of 3"),
        (lambda s: replace(s, epoch=True), r"slots.json.slots\[1\].epoch: 'True' has the wrong type"),
        (lambda s: replace(s, lease=replace(s.lease, trial=3)), "a replicate occurs twice"),
        (lambda s: replace(s, lease=replace(s.lease, attempt=0)), "a number is too small"),
        (lambda s: replace(s, lease=replace(s.lease, replicates=())), "a number is too small"),
        *((with_config(**odd), "out of range") for odd in ODD),
        (
            with_config(dim=5),
            r"7/0/ranking.users is \(\(12, 4\), dtype\('float32'\)\) instead of \(\(12, 5\)",
        ),
    ],
)
def test_an_impossible_slot_is_refused(change, message, saved, tmp_path: Path):
    whole, _ = saved
    first, second = whole._held.values()
    members = (*first.members, *second.members)
    record = Saved((first, change(second)))
    states = {m: whole.engine.state(m) for m in members}
    write(tmp_path, record, states)
    with pytest.raises(CheckpointError, match=message):
        new_session().load(tmp_path)


def test_a_state_without_a_slot_is_refused(saved, tmp_path: Path):
    whole, _ = saved
    first, second = whole._held.values()
    states = {member: whole.engine.state(member) for member in (*first.members, *second.members)}
    write(tmp_path, Saved((first,)), states)
    with pytest.raises(CheckpointError, match=r"'7/0/.+' belongs to no slot"):
        new_session().load(tmp_path)


@pytest.mark.parametrize(
    "other", [{"fold": make_fold(USERS, ITEMS + 1, 90, 20)}, {"dtype": "float64"}], ids=["data", "dtype"]
)
def test_another_engines_checkpoint_is_refused(other, saved, tmp_path: Path):
    trained(1, **other).save(tmp_path)
    with pytest.raises(CheckpointError, match="instead of"):
        new_session().load(tmp_path)


# --- all or nothing --------------------------------------------------------------------------------------


def test_a_checkpoint_replaces_held_trials(saved, tmp_path: Path):
    whole, contents = saved
    session = trained(1)
    session.load(put(tmp_path / "it", contents))
    assert everything(session) == everything(whole)


def test_a_checkpoint_too_large_for_memory_leaves_empty_slots(saved, tmp_path: Path):
    """The session holds no part of a checkpoint, and no trial that its engine has lost."""
    _, contents = saved
    session = new_session()
    engine, joined = session.engine, []

    def join(member, state=None):
        joined.append(member)
        if len(joined) == 3:
            raise MemoryError

    engine.join = join
    session.load(put(tmp_path / "it", contents))
    assert len(joined) == 3
    assert session.held == ()
    assert session.engine is not engine
    assert session.slots.count == 1


@pytest.mark.parametrize("average", [0.0, 0.9])
@pytest.mark.parametrize("sharing", SHARINGS)
def test_the_layout_is_that_of_a_fresh_state(sharing: str, average: float):
    config = replace(CONFIG, sharing=sharing, average=average)
    state = fresh(config, initial(config, USERS, ITEMS, seed=0, replicate=0))
    assert layout(config, USERS, ITEMS, "float64") == {k: (v.shape, v.dtype) for k, v in state.items()}
