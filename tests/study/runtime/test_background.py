"""The work of a run while Ray starts and ends, and its order."""

from contextlib import closing, contextmanager, nullcontext
from threading import Event, current_thread, main_thread

import pytest
from formula import SPEC

from study.record.reader import Reader
from study.runtime import ray_head, ray_start, tune
from study.runtime import run as runtime
from study.runtime.background import in_background
from study.runtime.run import COMPILING, Finish, run
from study.spec import StudySpec
from trainable.contract import StudyError

DEADLINE_S = 120.0


def test_a_call_beside_gives_its_result_or_raises_its_error():
    assert in_background(lambda: 5).result(DEADLINE_S) == 5
    with pytest.raises(ZeroDivisionError):
        in_background(lambda: 1 / 0).result(DEADLINE_S)


@pytest.fixture
def ray_alike(monkeypatch):
    """Ray replaced by events: its start waits for `may_start`, its end for `may_end`; lanes train here."""
    began, may_start, may_end = Event(), Event(), Event()

    @contextmanager
    def connected(spec):
        assert current_thread() is main_thread()
        began.set()
        assert may_start.wait(DEADLINE_S)
        yield False
        assert may_end.wait(DEADLINE_S)

    monkeypatch.setattr(ray_start, "connected", connected)
    monkeypatch.setattr(ray_head, "watch_heads", lambda *_: nullcontext())
    monkeypatch.setattr(tune, "drive", runtime.inline.drive)
    return began, may_start, may_end


def local(*overrides: str) -> StudySpec:
    return StudySpec.from_text(
        SPEC, where="test", overrides=["runtime.address=local", "budget.trials=2", *overrides]
    )


def test_report_is_prepared_while_ray_starts_and_written_while_it_ends(tmp_path, monkeypatch, ray_alike):
    """Ray starts once both are ready and ends once the report is written: any other order hangs."""
    began, may_start, may_end = ray_alike
    prepared, imported, seen = Event(), Event(), []

    def prepare(_engine, compiling):
        compiling()
        prepared.set()

    def preload():
        assert began.wait(DEADLINE_S)
        assert prepared.wait(DEADLINE_S)
        imported.set()
        may_start.set()

    def write(folder):
        assert imported.is_set()
        with closing(Reader.read(folder)) as reader:
            seen.extend((r.reason, r.ended is not None) for r in reader.runs())
        may_end.set()
        return folder / "page"

    monkeypatch.setattr(runtime, "prepare", prepare)
    lines = []
    outcome = run(
        local(),
        tmp_path,
        watch=lambda *_: nullcontext(lines.append),
        finish=Finish("writing", write=write, preload=preload),
    )
    assert outcome.report == outcome.folder / "page"
    assert seen == [("trials: 2 of 2", True)]
    assert lines == [COMPILING, "writing"]


def test_complete_study_and_bad_data_start_no_ray(tmp_path, monkeypatch, ray_alike):
    began, may_start, may_end = ray_alike
    may_start.set()
    may_end.set()
    assert run(local(), tmp_path).trained
    began.clear()
    written = Finish("", write=lambda folder: folder / "page", preload=lambda: None)
    outcome = run(local(), tmp_path, finish=written)
    assert (outcome.trained, outcome.report) == (False, outcome.folder / "page")
    with pytest.raises(StudyError, match=r"missing\.csv"):
        run(local(f"data.source={tmp_path}/missing.csv", "name=other"), tmp_path)
    assert not began.is_set()


def test_report_error_is_raised_and_keeps_the_end_of_the_run(tmp_path, ray_alike):
    _, may_start, may_end = ray_alike
    may_start.set()
    may_end.set()

    def write(_folder):
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        run(local(), tmp_path, finish=Finish("", write=write, preload=lambda: None))
    with closing(Reader.read(tmp_path / "formula")) as reader:
        assert [r.reason for r in reader.runs()] == ["trials: 2 of 2"]
