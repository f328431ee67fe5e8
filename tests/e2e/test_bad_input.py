"""A usage error names the value, its place and the allowed values, and leaves no files."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from command import TINY, Ended, prepare, record
from formula import BASELINE
from warm import study

from study.record.ledger import Ledger
from study.spec import StudySpec


def rated(*rows: str, header: str = "user,item,rating,timestamp") -> str:
    return "\n".join([header, *rows, ""])


OVERRIDES = {
    "bugdet.trials=3": "bugdet: unknown key; use name, objectives, data, train,",
    "budget.trails=3": "budget.trails: unknown key; use trials, member_epochs, wall_time_s, plateau (--set)",
    "train.epochs=many": "train.epochs: 'many' is not possible; use a whole number (--set)",
    "train.epochs": "--set: 'train.epochs' is not section.key=value; write e.g. budget.trials=10",
    "space.learning_rate={log=[nan,1.0]}": "learning_rate.log[0]: nan is not possible; use a finite number",
    "space.learning_rate={log=[1e-3,inf]}": "learning_rate.log[1]: inf is not possible; use a finite number",
    "space.weight={logit=[0.9,0.5]}": "weight.logit: the lower bound 0.9 must be below the upper bound 0.5",
    "space.sharing=['soft']": "sharing[0]: 'soft' is not known; use none, users, items, both",
    "search.sampler=magic": "search.sampler: 'magic' is not known; use ",
    "stopping.rule=hunch": "stopping.rule: 'hunch' is not known; use never, median, pareto-asha",
    "data.split=half": "data.split: 'half' is not known; use per-user, ps1, leave-last, by-time (--set)",
    "data.source=netflix": "data.source: 'netflix' is not known; use ml-100k, ml-1m, synthetic, or a path",
    "data.source=other.csv": "other.csv: there is no such file; give the path of a .csv or .parquet file",
    "runtime.gpus_per_lane=0.3": "runtime.gpus_per_lane: 0.3 is neither a number of GPUs nor one k-th of one",
    "name=a/b": "name: 'a/b' cannot be a study's name; use up to 64 letters, digits,",
}
"""Values of `--set`, with their errors."""

RATINGS = {
    "": "no column 'user' among []; user, item, rating are required, timestamp is optional",
    rated(): "ratings.csv: no ratings; give at least one row below the header",
    rated("a,x,3,1", "b,y,4,2", "a,x,5,3"): "row 4 rates user 'a', item 'x' again, after row 2; keep one",
    rated("a,x,3,1", "b,y,good,2"): "ratings.csv: column 'rating', row 3: 'good' is not a finite number",
    rated("a,x,3", header="user,item,stars"): "no column 'rating' among ['user', 'item', 'stars']; user",
    rated("a,x,3,1", "a,y,3,2"): "ratings.csv: column 'user': every row has 'a'; give at least two users",
    rated("a,x,3,1", "b,x,3,2"): "ratings.csv: column 'item': every row has 'x'; give at least two items",
    rated("a,x,3,1", "b,y,3,2"): "data.split: 'per-user' leaves the validation part empty; give more",
}
"""Files of ratings, with their errors."""

COMMANDS = {
    "run broken.toml": "broken.toml: is not valid TOML: ",
    "run endless.toml": "budget: has no hard limit; set trials, member_epochs or wall_time_s",
    "run other.toml": "other.toml: cannot be read as a spec: No such file or directory",
    "run ml200k": "'ml200k' is not known; use a path with '/' or '.toml', a study (none yet), or a preset",
    "run timeless.toml": "data.split: 'leave-last' needs timestamps and these ratings have none",
    "status other": "no study 'other' here; studies here: none yet",
    "delete ../here --yes": "no study '../here' here; studies here: none yet",
    "doctor tiny.toml --set runtime.cpus_per_lane=1e6": "runtime: no node has room for a lane of 1e+06 CPUs",
    "list --address head:8265": "--address: 'head:8265' is not the URL of a Ray dashboard; use a URL like http://",
    "submit tiny.toml": "Missing option '--address'",
    "front": "Missing argument",
    "rnu": "No such command 'rnu'",
}
"""Commands, with their errors; `FILES` are in the folder."""

FILES = {
    "broken.toml": "name = 'tiny'\nepochs\n",
    "endless.toml": TINY.replace("trials = 4", ""),
    "timeless.toml": TINY.replace("ratings.csv", "timeless.csv").replace(
        "[train]", "split = 'leave-last'\n[train]"
    ),
    "timeless.csv": rated("a,x,3", "b,y,3", header="user,item,rating"),
}

CASES = [
    *((("run", "tiny.toml", "--set", override), {}, message) for override, message in OVERRIDES.items()),
    *((("run", "tiny.toml"), {"ratings.csv": text}, message) for text, message in RATINGS.items()),
    *((tuple(command.split()), FILES, message) for command, message in COMMANDS.items()),
]


@dataclass(frozen=True)
class Seen:
    """The end of a command, and the content of its folder before and after."""

    ended: Ended
    before: Mapping[str, bytes]
    after: Mapping[str, bytes]


def holds(folder: Path) -> dict[str, bytes]:
    """Every file and folder in `folder`, by its path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b"a folder"
        for path in folder.rglob("*")
    }


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> list[Seen]:
    """Every case, in a folder of its own."""

    def see(arguments: Sequence[str], files: Mapping[str, str], _: str) -> Seen:
        here = prepare(tmp_path_factory.mktemp("case") / "here")
        for name, text in files.items():
            (here / name).write_text(text, encoding="utf-8")
        before = holds(here)
        return Seen(study(*arguments, cwd=here), before, holds(here))

    return [see(*case) for case in CASES]


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case[-1][:40] for case in CASES])
def test_a_usage_error_is_explained_and_leaves_no_files(seen: Sequence[Seen], number: int):
    ended = seen[number].ended
    assert ended.code == 2, ended
    assert CASES[number][-1] in ended.err
    assert "Traceback" not in ended.err
    assert seen[number].after == seen[number].before


# --- studies that are there ------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return prepare(tmp_path / "here")


def begin(here: Path, name: str = "tiny") -> Path:
    """The folder of a study that is begun and has trained nothing."""
    spec = StudySpec.load(here / "tiny.toml", [f"name={name}"])
    Ledger.open(spec, here / "studies" / name, BASELINE).close()
    return here / "studies" / name


def refuses(ended: Ended, *words: str) -> None:
    assert (ended.code, "Traceback" in ended.err) == (2, False), ended
    assert ended.err.count("\n") == 1
    for word in words:
        assert word in ended.err


def test_another_spec_under_the_name_of_a_study_is_refused(here: Path):
    folder = begin(here)
    before = record(folder)
    refuses(
        study("run", "tiny.toml", "--set", "train.epochs=9", cwd=here),
        "name: 'tiny' is a study with another spec (train.epochs: 3 → 9); give this one another name",
    )
    assert record(folder) == before


def test_other_ratings_under_a_study_are_refused(here: Path):
    begin(here)
    refuses(
        study("run", "tiny.toml", cwd=here),
        "data.source: the ratings of ",
        "are not those that ",
    )


def a_file(here: Path) -> None:
    (here / "studies").touch()


def a_file_for_the_study(here: Path) -> None:
    (here / "studies").mkdir()
    (here / "studies/tiny").touch()


def a_folder_for_the_record(here: Path) -> None:
    (here / "studies/tiny/ledger.db").mkdir(parents=True)


def a_folder_without_leave_to_write(here: Path) -> None:
    if os.geteuid() == 0:  # root may write anywhere, but not into the kernel's own tree
        (here / "studies").symlink_to("/sys")
    else:
        (here / "studies").mkdir(mode=0o555)


@pytest.mark.parametrize(
    "obstacle", [a_file, a_file_for_the_study, a_folder_for_the_record, a_folder_without_leave_to_write]
)
def test_an_obstacle_at_the_study_folder_is_named(here: Path, obstacle: Callable[[Path], None]):
    obstacle(here)
    before = holds(here)
    refuses(study("run", "tiny.toml", cwd=here), "studies")
    assert holds(here) == before


def no_database(ledger: Path) -> None:
    ledger.write_bytes(b"this is not a database, and never was one")


def half_a_database(ledger: Path) -> None:
    ledger.write_bytes(ledger.read_bytes()[: ledger.stat().st_size // 2])


def an_empty_file(ledger: Path) -> None:
    ledger.write_bytes(b"")


@pytest.mark.parametrize("damage", [no_database, half_a_database, an_empty_file])
def test_a_damaged_record_is_named_and_does_not_hide_the_others(here: Path, damage: Callable[[Path], None]):
    begin(here, "sound")
    damage(begin(here) / "ledger.db")
    refuses(study("status", "tiny", cwd=here), "studies")
    listed = study("list", "--json", cwd=here)
    assert (listed.code, listed.err.startswith("tiny: ")) == (0, True), listed
    assert [s["name"] for s in json.loads(listed.out)] == ["sound"]


def test_a_damaged_record_can_be_deleted(here: Path):
    no_database(begin(here) / "ledger.db")
    refuses(
        study("run", "tiny.toml", cwd=here), "studies/tiny/ledger.db: cannot be opened as a study's record"
    )
    assert study("delete", "tiny", "--yes", cwd=here).code == 0
    assert not (here / "studies/tiny").exists()
