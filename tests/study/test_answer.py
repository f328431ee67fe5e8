"""What a command said travels through a log whole, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.answer import Answer, answered, packed, unpacked
from trainable.contract import StudyError

names = st.text("abc/.", min_size=1, max_size=9)
answers = st.builds(
    Answer, st.integers(0, 255), st.text(), st.text(), st.dictionaries(names, st.binary(), max_size=3)
)


@given(answers, st.text(), st.text())
def test_it_is_found_in_any_log(answer, before, after):
    """Catches: an encoding that a log's other lines, or a line's length, would break."""
    assert unpacked(f"{before}\n{packed(answer)}{after}") == answer


@given(answers, st.data())
def test_a_log_that_is_cut_holds_none(answer, data):
    text = packed(answer)
    cut = data.draw(st.integers(0, len(text) - 2))
    assert unpacked(text[:cut]) is None


def test_a_log_in_which_a_line_is_missing_holds_none():
    first, *lines = packed(Answer(0, "word" * 99, "", {})).splitlines(keepends=True)
    assert len(lines) > 2
    assert unpacked("".join([first, *lines[1:]])) is None


def test_the_command_answers_with_what_it_said_and_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "left" / "deep").mkdir(parents=True)
    (tmp_path / "left" / "deep" / "file").write_bytes(b"\0\1")
    answer = answered(["status", "nobody"], ["left", "nothing"])
    assert answer.code == 2
    assert "'nobody' is no study here" in answer.err
    assert answer.files == {"left/deep/file": b"\0\1"}
    answer.save(tmp_path / "here", below=tmp_path.relative_to(tmp_path) / "left")
    assert (tmp_path / "here" / "deep" / "file").read_bytes() == b"\0\1"


@pytest.mark.parametrize("name", ["/etc/passwd", "../out", "left/../../out"])
def test_no_file_leaves_the_folder(tmp_path, name):
    with pytest.raises(StudyError, match="outside"):
        Answer(0, "", "", {name: b""}).save(tmp_path / "here")
    assert not list(tmp_path.iterdir())
