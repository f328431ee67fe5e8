"""Every command on one small study: the outputs agree with the record and with each other."""

import csv
import json
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from socket import gethostname

import pytest
from command import ENDLESS, answer, measured, prepare, record, started, until
from jsonschema import Draft202012Validator
from warm import study

from study.spec import presets
from trainable.contract import METRICS

TRIALS, EPOCHS = 4, 3
"""The settings of `command.TINY`."""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the study "tiny" has been run to its end."""
    folder = prepare(tmp_path_factory.mktemp("commands"))
    with started("run", "tiny.toml", cwd=folder) as run:
        ended = run.wait()
    assert ended.code == 0, ended
    assert ended.out.splitlines()[-1] == f"report: {folder}/studies/tiny/report/index.html"
    return folder


@pytest.fixture(scope="module")
def tiny(here: Path) -> Path:
    """The study's folder."""
    return here / "studies" / "tiny"


def test_a_study_writes_its_files(tiny: Path):
    assert {p.relative_to(tiny).as_posix() for p in tiny.rglob("*") if p.is_file()} >= {
        "study.toml",
        "ledger.db",
        "front.csv",
        "manifest.json",
        *(f"tables/{name}.parquet" for name in ("trials", "points", "measurements")),
        *(f"report/{name}" for name in ("index.html", "front.svg", "front.pdf", "front.png")),
    }


def test_a_complete_study_is_not_trained_again(here: Path, tiny: Path):
    before = record(tiny)
    ended = study("run", "tiny", cwd=here)
    assert ended.code == 0, ended
    assert "complete (trials: 4 of 4): nothing left to do" in ended.out
    assert f"report: {tiny}/report/index.html" in ended.out
    assert len(before["measurements"]) == TRIALS * EPOCHS
    assert record(tiny) == before


LOOKS = (
    "front tiny",
    "status tiny",
    "list",
    "front tiny --json",
    "status tiny --json",
    "list --json",
    "status --json",
)


@pytest.mark.parametrize("words", ["--help", "list", "status tiny", "front tiny", "logs tiny"])
def test_reading_commands_import_no_heavy_modules(here: Path, words: str):
    """No command spends a second on imports, not even at its end."""
    absent = "import sys; sys.modules.update(torch=None, numba=None, ray=None, optuna=None)"
    command = [sys.executable, "-P", "-c", f"{absent}\nfrom study.cli import main; main()", *words.split()]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def shown(here: Path) -> dict[str, str]:
    """The output of every reading command."""
    ended = {words: study(*words.split(), cwd=here) for words in LOOKS}
    assert [(e.code, e.err) for e in ended.values()] == [(0, "")] * len(LOOKS)
    return {words: e.out for words, e in ended.items()}


def test_all_reading_commands_agree(tiny: Path, shown: Mapping[str, str]):
    front, status = json.loads(shown["front tiny --json"]), json.loads(shown["status tiny --json"])
    assert json.loads(shown["list --json"]) == json.loads(shown["status --json"]) == [status]
    assert status["front"] == front
    assert (status["state"], status["share"], status["left_s"]) == ("complete", 1.0, None)
    assert status["counts"] == {"completed": TRIALS, "stopped": 0, "failed": 0, "running": 0, "unfinished": 0}
    assert status["member_epochs"] == TRIALS * EPOCHS

    with (tiny / "front.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert table
    assert [
        (point["trial"], point["epoch"], *(point[name] for name in METRICS), point["config"]["learning_rate"])
        for point in front
    ] == [
        (int(row["trial"]), int(row["epoch"]), *(float(row[name]) for name in (*METRICS, "learning_rate")))
        for row in table
    ]
    manifest = json.loads((tiny / "manifest.json").read_text())
    assert manifest["hypervolume"] == status["hypervolume"]
    assert manifest["fingerprint"] == status["fingerprint"]
    assert manifest["complete"] is True


def test_reading_commands_leave_a_record_at_rest(tiny: Path, shown: Mapping[str, str]):
    """No log or index stays beside the record, so it can be read on a full or read-only disk."""
    assert shown
    assert [path.name for path in tiny.glob("ledger.db*")] == ["ledger.db"]


def test_text_and_json_agree(shown: Mapping[str, str]):
    front = json.loads(shown["front tiny --json"])
    assert front
    for point in front:
        cells = [str(point["trial"]), str(point["epoch"]), point["config"]["sharing"], f"{point['mse']:.4f}"]
        for words in ("front tiny", "status tiny"):
            assert any(set(cells) <= set(line.split()) for line in shown[words].splitlines()), (cells, words)
    assert "complete: trials: 4 of 4" in shown["status tiny"]
    assert ["tiny", "complete", "100%", "4"] in [line.split()[:4] for line in shown["list"].splitlines()]


def test_export_and_report_can_be_made_again(here: Path, tiny: Path):
    written = ["front.csv", "report/front.svg", *(f"tables/{name}.parquet" for name in ("trials", "points"))]
    before = {name: (tiny / name).read_bytes() for name in written}
    for name in (*written, "manifest.json", "report/index.html"):
        (tiny / name).unlink()
    assert study("export", "tiny", cwd=here).code == 0
    assert (tiny / "manifest.json").is_file()
    ended = study("report", "tiny", cwd=here)
    assert (ended.code, ended.out) == (0, f"report: {tiny}/report/index.html\n")
    assert (tiny / "report/index.html").is_file()
    assert {name: (tiny / name).read_bytes() for name in written} == before


def test_one_study_has_one_driver_and_can_be_stopped_from_elsewhere(tmp_path: Path):
    here = prepare(tmp_path / "here")
    folder = here / "studies/tiny"
    with started(*ENDLESS, cwd=here) as run:
        until(lambda: measured(folder), "the first measurement")
        pid, host = run.process.pid, gethostname()

        second = study(*ENDLESS, cwd=here)
        assert (second.code, second.out.count("\n")) == (2, 1)
        assert f"tiny: already being run by process {pid} on {host}" in second.err
        deleted = study("delete", "tiny", "--yes", cwd=here)
        assert deleted.code == 2
        assert f"is being run by process {pid} on {host}; `study stop tiny` first" in deleted.err
        assert answer("status", "tiny", cwd=here)["state"] == "running"

        with started("logs", "tiny", "--follow", "--json", cwd=here) as follower:
            until(lambda: follower.printed("leased"), "what the log has by now")
            assert study("stop", "tiny", cwd=here).out == "tiny: asked to stop\n"
            ended = run.wait()
            followed = follower.wait()
        assert (followed.code, followed.err) == (0, "")
        assert followed.out == (folder / "log.jsonl").read_text(encoding="utf-8")
        assert json.loads(followed.out.splitlines()[-1])["words"] == "stopped on request"
    assert (ended.code, ended.err) == (0, "")
    assert "stopped on request; `study run tiny` resumes it" in ended.out
    assert study("stop", "tiny", cwd=here).out == "tiny: is not running\n"
    assert study("delete", "tiny", cwd=here).code == 1  # a question without an answer
    assert folder.is_dir()
    assert study("delete", "tiny", "--yes", cwd=here).out == "tiny: deleted\n"
    assert not folder.exists()
    assert study("list", cwd=here).out == "no studies in studies/ yet; `study run SPEC` starts one\n"


def test_schema_accepts_every_preset_and_refuses_what_the_spec_refuses(here: Path):
    schema = json.loads(study("schema", cwd=here).out)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for name in presets():
        values = tomllib.loads((files("study.spec") / "presets" / f"{name}.toml").read_text(encoding="utf-8"))
        validator.validate(values)
        assert not validator.is_valid(values | {"trian": {}})
        assert not validator.is_valid(values | {"space": {"sharing": "soft"}})


def test_the_other_lists(here: Path):
    shown = study("presets", cwd=here).out.splitlines()
    assert [line.split()[0] for line in shown] == list(presets())
    known = study("data", cwd=here)
    assert known.code == 0
    for name in ("ml-100k", "ml-1m", "synthetic"):
        assert name in known.out
    assert study("data", "synthetic", cwd=here).out == "synthetic: 6000 ratings of 150 items by 200 users\n"
    assert study("data", "ratings.csv", cwd=here).out == "ratings.csv: 360 ratings of 25 items by 30 users\n"


def test_doctor_finds_what_a_study_needs(here: Path):
    ended = study("doctor", cwd=here)
    assert ended.code == 0
    assert "missing" not in ended.out
    for name in ("torch", "numba", "ray", "optuna", "moocore", "CPU cores", "GPUs", "data synthetic"):
        assert name in ended.out


def test_doctor_reports_a_library_that_ends_its_process(here: Path, monkeypatch: pytest.MonkeyPatch):
    (here / "lib" / "numba").mkdir(parents=True)
    (here / "lib" / "numba" / "__init__.py").write_text("import os; os.abort()\n")
    monkeypatch.setenv("PYTHONPATH", str(here / "lib"))
    ended = study("doctor", cwd=here)
    assert ended.code == 0
    [row] = [line for line in ended.out.splitlines() if "numba" in line]
    assert "its import ends with code -6" in row
    assert "missing" in row
