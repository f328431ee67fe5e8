"""A damaged record, spec or backup is one StudyError, and the other studies are listed."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path

import pytest
import rotten
from formula import BASELINE, SPEC, FormulaLane
from fuzz import damaged, refusal
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from study.loop.confirmation import begin, begin_fresh
from study.loop.referee import Referee
from study.record import deletion
from study.record.backup import backup, restore
from study.record.ledger import Ledger
from study.record.location import studies
from study.record.reader import Reader
from study.record.rows import Judgement, Place
from study.results.export import export
from study.service.cache import StudyCache
from study.spec import StudySpec
from study.spec.sections import Confirm
from study.status import snapshot as progress
from study.status.text import view
from trainable.contract import Decision

pytestmark = [pytest.mark.fuzz, pytest.mark.filterwarnings("ignore::RuntimeWarning")]

LONG = settings.default.max_examples > 100
heavily = settings(max_examples=150 if LONG else 10)
"""Each case opens a database twenty times, so there are few."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies and a backup; the second has all stages, replicates, lanes' places and judgements."""
    home = tmp_path_factory.mktemp("rotten") / "studies"
    for name in ("sound", "rotten"):
        spec = StudySpec.from_text(SPEC, where="test", overrides=[f"name={name}", "search.replicates=2"])
        with closing(Ledger.open(spec, home / name, BASELINE)) as ledger:
            drive(ledger)
            ledger.judge(Judgement(1, Decision(0, "go", "rung 1 epoch: rank 1 of 1")))
            ledger.note_place(Place("1.0", 1, "node", "127.0.0.1", ["0"]))
            for plan in (begin_fresh, begin):
                stage = plan(ledger, Confirm(points=2, replicates=2))
                stage.fix(BASELINE)
                drive(stage)
    backup(home / "rotten", home.parent / "rotten.backup")
    shutil.copy(home / "rotten/ledger.db", home.parent / "whole.db")
    return home


def drive(ledger: Ledger) -> None:
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0", 2)
    while referee.over is None:
        lane.advance(referee.exchange)
    ledger.release(run, referee.over)


def put(home: Path, content: bytes) -> Path:
    """The rotten study's folder with this record and nothing else of another case."""
    shutil.rmtree(home / "rotten")
    (home / "rotten").mkdir()
    (home / "rotten/ledger.db").write_bytes(content)
    return home / "rotten"


def acts(folder: Path) -> Iterator[str | None]:
    """The messages of refused actions on a study; each may raise only a StudyError."""

    def seen() -> None:
        with closing(Reader.read(folder)) as record:
            snapshot = progress.snapshot(record)
            json.dumps(progress.as_dict(snapshot), allow_nan=False)
            Console(file=StringIO()).print(view(snapshot))

    def exported() -> None:
        with closing(Reader.read(folder)) as record:
            export(record, folder)

    def deleted() -> None:
        deletion.delete(folder, deletion.look(folder))
        assert not folder.exists()

    made = folder.parent.parent / "made.backup"
    made.unlink(missing_ok=True)
    for act in (seen, exported, lambda: backup(folder, made)):
        yield refusal(act)
    if made.exists():  # a backup that was made can be restored
        shutil.rmtree(folder.parent.parent / "restored", ignore_errors=True)
        restore(made, folder.parent.parent / "restored")
    cache = StudyCache(folder.parent)
    states = {one.name: one.state for one in cache.summaries(cache.names(), within_s=60)}
    cache.close()
    assert states["sound"] == "complete"
    assert [found.name for found in studies(folder.parent)] == ["rotten", "sound"]
    yield refusal(deleted)


def check(folder: Path) -> None:
    home = folder.parent
    *_, deleting = acts(folder)
    assert deleting is None or "is being run" in deleting, deleting
    (home / "rotten").mkdir(exist_ok=True)


@heavily
@given(data=st.data())
def test_any_value_of_a_record(home: Path, data: st.DataObject):
    """Each value is checked, so none breaks later code or hides the other studies."""
    whole = home.parent / "whole.db"
    folder = put(home, whole.read_bytes())
    changed = data.draw(rotten.changes(whole, rotten.places(whole)))
    rotten.change(folder / "ledger.db", *changed)
    check(folder)


@heavily
@given(data=st.data())
def test_any_byte_of_a_record(home: Path, data: st.DataObject):
    """Errors of SQLite, invalid UTF-8 and text in place of numbers become errors of the study."""
    whole = (home.parent / "whole.db").read_bytes()
    content = bytearray(whole)
    used = [n for n, byte in enumerate(whole) if byte]
    for place in data.draw(st.lists(st.sampled_from(used), min_size=1, max_size=3)):
        content[place] ^= data.draw(st.integers(1, 255))
    check(put(home, bytes(content)))


@heavily
@given(data=st.data())
def test_any_spec_in_a_folder(home: Path, data: st.DataObject):
    """A spec that is not text does not hide the other studies."""
    text = StudySpec.from_text(SPEC, where="test", overrides=["name=rotten", "storage.url=env:NOT_SET"])
    folder = put(home, b"")
    (folder / "ledger.db").unlink()
    (folder / "study.toml").write_bytes(data.draw(st.binary() | damaged(text.as_toml().encode())))
    found = [path.name for path in studies(home)]
    assert "sound" in found
    refusal(lambda: Reader.read(folder))
    cache = StudyCache(home)
    assert {s.name: s.state for s in cache.summaries(cache.names(), within_s=60)}["sound"] == "complete"
    cache.close()


@heavily
@given(data=st.data())
def test_any_backup(home: Path, tmp_path: Path, data: st.DataObject):
    """No study is made from half a backup, and a refusal leaves no files."""
    shutil.rmtree(tmp_path / "made", ignore_errors=True)
    file, whole = tmp_path / "one.backup", home.parent / "rotten.backup"
    if data.draw(st.booleans()):
        shutil.copy(whole, file)
        rotten.change(file, *data.draw(rotten.changes(whole, rotten.places(whole))))
    else:
        file.write_bytes(data.draw(damaged(whole.read_bytes())))
    if refusal(lambda: restore(file, tmp_path / "made")) is None:
        for folder in (tmp_path / "made").iterdir():
            with closing(Reader.read(folder)) as record:
                progress.snapshot(record)
    else:
        assert not (tmp_path / "made").exists() or [*(tmp_path / "made").iterdir()] == []


@pytest.mark.parametrize("column", ["trial", "replicate", "epoch", "mrr", "wall_s"])
def test_text_in_a_measurement(home: Path, column: str):
    """Sums over measurements check their column, also for a confirmation."""
    folder = put(home, (home.parent / "whole.db").read_bytes())
    with closing(sqlite3.connect(folder / "ledger.db")) as connection, connection:
        last = "SELECT max(rowid) FROM measurements"
        connection.execute(f"UPDATE measurements SET {column} = '' WHERE rowid = ({last})")
    check(folder)


@pytest.mark.parametrize("value", ["[]", '"x"', '{"starts": -1}', '{"longest_s": "x"}'])
def test_a_damaged_state_of_a_lane(home: Path, value: str):
    """The referee reports the damage; it raises no TypeError."""
    folder = put(home, (home.parent / "whole.db").read_bytes())
    with closing(sqlite3.connect(folder / "ledger.db")) as connection, connection:
        change = "UPDATE study_user_attributes SET value_json = ? WHERE key = 'lane/1.0'"
        assert connection.execute(change, (value,)).rowcount
    with closing(Reader.read(folder)) as record:
        assert "rotten" in (refusal(lambda: record.lane("1.0")) or "")
