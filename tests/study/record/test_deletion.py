"""Only the confirmed study is deleted; a copy of a study is not the study."""

import shutil
from contextlib import closing, contextmanager

import pytest
from formula import BASELINE, SPEC
from postgres import VARIABLE
from serving import done

from study.record import deletion
from study.record.backends.backend import MisnamedError
from study.record.ledger import Ledger
from study.record.location import studies
from study.record.reader import Reader
from study.service.cache import StudyCache
from study.spec import SpecError, resolve
from trainable.contract import StudyError


@pytest.fixture
def home(storage, tmp_path):
    """A folder of studies with one that is done, in each kind of database."""
    done(tmp_path / "studies", "mine", *storage)
    return tmp_path / "studies"


def trials(folder):
    with closing(Reader.read(folder)) as record:
        return len(record.records())


def delete(folder):
    return deletion.delete(folder, deletion.look(folder))


def test_a_study_is_deleted_with_all_that_was_recorded_of_it(home):
    """A new study of the same name finds neither rows nor files."""
    with closing(Reader.read(home / "mine")) as record:
        spec = record.spec
    assert delete(home / "mine") is None
    assert [*home.iterdir()] == []
    with closing(Ledger.open(spec, home / "mine", BASELINE)) as again:
        assert again.records() == []


def test_a_copied_folder_is_not_taken_for_the_study(home):
    """The copy is not listed, run, stopped or erased as the study."""
    shutil.copytree(home / "mine", home / "copy")
    for act in (Reader.read, Ledger.read):
        with pytest.raises(
            MisnamedError, match="copy: contains the study 'mine', so it is a copy or was renamed"
        ):
            act(home / "copy")
    with pytest.raises(SpecError, match="is the spec of 'mine', so its folder is a copy"):
        resolve("copy", [], home)
    cache = StudyCache(home)
    assert [(s.name, s.state) for s in cache.summaries(cache.names(), within_s=60)] == [
        ("copy", "unreadable"),
        ("mine", "complete"),
    ]
    cache.close()
    assert delete(home / "copy") is None
    assert studies(home) == [home / "mine"]
    assert trials(home / "mine") == 6


@pytest.mark.parametrize("storage", ["postgresql"], indirect=True)
def test_rows_in_a_database_go_with_the_folder_that_they_belong_to(home, tmp_path):
    """A copied folder does not delete the rows of the original; a moved one does."""
    copy = tmp_path / "copies/mine"
    shutil.copytree(home / "mine", copy)
    assert f"it belongs to {home / 'mine'} on " in delete(copy)
    assert not copy.exists()
    assert trials(home / "mine") == 6
    moved = (home / "mine").rename(tmp_path / "copies/mine")
    assert delete(moved) is None
    moved.mkdir()
    spec = SPEC.replace("formula", "mine") + f'[storage]\nurl="env:{VARIABLE}"'
    (moved / "study.toml").write_text(spec)
    with pytest.raises(StudyError, match="does not have this study"):
        Reader.read(moved)


def test_a_link_is_refused_and_nothing_is_deleted(home, tmp_path):
    """The record stays, and the error says that the folder is a link."""
    (tmp_path / "links").mkdir()
    link = tmp_path / "links/mine"
    link.symlink_to(home / "mine", target_is_directory=True)
    with pytest.raises(StudyError, match=r"is a link to .*; delete the study there"):
        delete(link)
    assert trials(home / "mine") == trials(link) == 6


@contextmanager
def running(folder):
    with closing(Ledger.read(folder)) as ledger:
        run = ledger.claim()
        yield
        ledger.release(run, "stopped on request")


def test_what_began_after_the_question_is_not_deleted(home):
    """A study is not deleted during its run, nor with results newer than the question."""
    seen = deletion.look(home / "mine")
    with running(home / "mine"), pytest.raises(StudyError, match="is being run by process"):
        deletion.delete(home / "mine", seen)
    with pytest.raises(StudyError, match="has changed since the question; nothing was deleted"):
        deletion.delete(home / "mine", seen)
    assert trials(home / "mine") == 6


def test_a_study_is_claimed_before_it_is_deleted(home, monkeypatch):
    """No run can begin between the last check and the deletion."""
    seen, real, begun = deletion.look(home / "mine"), deletion.look, []

    def and_then_begun(folder):
        found = real(folder)
        begun.append(Ledger.read(folder))
        begun[-1].claim()
        return found

    monkeypatch.setattr(deletion, "look", and_then_begun)
    with pytest.raises(StudyError, match="already being run by process"):
        deletion.delete(home / "mine", seen)
    begun[-1].close()
    assert trials(home / "mine") == 6
