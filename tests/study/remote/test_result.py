"""The answer of a command survives a log whole, or not at all."""

from base64 import b64encode
from hashlib import sha256
from io import BytesIO
from types import SimpleNamespace
from zipfile import ZipFile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.cli import report
from study.remote import commands
from study.remote.result import BEGIN, END, CommandResult, answered, packed, unpacked
from trainable.contract import StudyError

names = st.text("abc/.", min_size=1, max_size=9)
answers = st.builds(
    CommandResult, st.integers(0, 255), st.text(), st.text(), st.dictionaries(names, st.binary(), max_size=3)
)


@given(answers, st.text(), st.text())
def test_answer_is_found_in_any_log(answer, before, after):
    """Other lines and the length of a line do not break the encoding."""
    assert unpacked(f"{before}\n{packed(answer)}{after}") == answer


@given(answers, st.data())
def test_a_log_that_is_cut_holds_none(answer, data):
    text = packed(answer)
    cut = data.draw(st.integers(0, len(text) - 2))
    assert unpacked(text[:cut]) is None


def test_a_log_in_which_a_line_is_missing_holds_none():
    first, *lines = packed(CommandResult(0, "word" * 99, "", {})).splitlines(keepends=True)
    assert len(lines) > 2
    assert unpacked("".join([first, *lines[1:]])) is None


def test_answer_has_the_output_and_files_of_a_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "left" / "deep").mkdir(parents=True)
    (tmp_path / "left" / "deep" / "file").write_bytes(b"\0\1")
    answer = answered(["status", "nobody"], ["left", "nothing"])
    assert answer.code == 2
    assert "no study 'nobody' here" in answer.err
    assert answer.files == {"left/deep/file": b"\0\1"}
    answer.save(tmp_path / "here", below=tmp_path.relative_to(tmp_path) / "left")
    assert (tmp_path / "here" / "deep" / "file").read_bytes() == b"\0\1"


@pytest.mark.parametrize("name", ["/etc/passwd", "../out", "left/../../out"])
def test_no_file_leaves_the_folder(tmp_path, name):
    with pytest.raises(StudyError, match="outside"):
        CommandResult(0, "", "", {name: b""}).save(tmp_path / "here")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "parts", [{}, {"code": "none", "out": "", "err": ""}, {"code": "0", "out": b"\xff", "err": ""}, None]
)
def test_malformed_answer_with_a_valid_hash_is_none(parts):
    """Another machine's answer causes no traceback."""
    file = BytesIO(b"no archive")
    if parts is not None:
        with ZipFile(file, "w") as archive:
            for name, content in parts.items():
                archive.writestr(name, content)
    mark = sha256(file.getvalue()).hexdigest()
    assert unpacked(f"{BEGIN} {mark}\n{b64encode(file.getvalue()).decode()}\n{END} {mark}\n") is None
    assert unpacked(f"{BEGIN} {mark}\nno base 64!\n{END} {mark}\n") is None


def test_oversized_answer_is_none(monkeypatch):
    monkeypatch.setattr("study.remote.result.MOST_RESULT_BYTES", 1000)
    assert unpacked(packed(CommandResult(0, "x" * 900, "", {}))) is not None
    assert unpacked(packed(CommandResult(0, "x" * 1001, "", {}))) is None


ASKED = ["studies/mine/study.toml", "studies/mine/tables", "studies/mine/front.csv"]


def test_only_the_files_that_were_asked_for_are_kept():
    """The head cannot write a hook, a configuration, or a file of another study."""
    wanted = {"studies/mine/front.csv", "studies/mine/study.toml", "studies/mine/tables/trials.parquet"}
    others = {
        *(".git/hooks/post-checkout", "pyproject.toml", "studies/mine/ledger.db", "studies/other/front.csv"),
        *("studies/mine/tables/.mark", "studies/mine/tables/run.py", "studies/mine/tables/a/b.csv"),
        *(
            "studies/mine/tables/../../x.csv",
            "studies/mine/front.csv/x",
            "/studies/mine/front.csv",
            "front.csv",
        ),
        *(
            "studies/mine/tables/a\nb.csv",
            "studies/mine/tables/",
            "studies/mine/tables/x.csv\n",
            "",
            "tables",
        ),
    }
    answer = CommandResult(0, "", "", dict.fromkeys(wanted | others, b"1"))
    assert set(answer.only(ASKED).files) == wanted
    assert answer.only([]).files == {}


@pytest.mark.parametrize("link", ["studies", "studies/mine", "studies/mine/tables", "studies/mine/front.csv"])
def test_no_file_goes_through_a_symbolic_link(tmp_path, link):
    """No file of another study, or outside the folder, is written through this one's name."""
    elsewhere, here = tmp_path / "elsewhere", tmp_path / "here"
    elsewhere.mkdir()
    (here / link).parent.mkdir(parents=True)
    (here / link).symlink_to(elsewhere)
    files = {"studies/mine/tables/trials.parquet": b"1", "studies/mine/front.csv": b"2"}
    with pytest.raises(StudyError, match="is a symbolic link"):
        CommandResult(0, "", "", files).save(here)
    assert list(elsewhere.iterdir()) == []


def test_a_command_keeps_what_it_asked_for(monkeypatch, tmp_path):
    """Files that the head sends without a request are dropped."""
    monkeypatch.chdir(tmp_path)
    files = {".git/hooks/post-checkout": b"#!", "studies/mine/front.csv": b"trial", "studies/mine/x.csv": b""}
    head = SimpleNamespace(ask=lambda *_, **__: CommandResult(0, "", "", files))
    monkeypatch.setattr(commands, "_head", lambda _: head)
    report.export("mine", address="http://head:8265")
    written = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    assert written == ["studies/mine/front.csv"]
