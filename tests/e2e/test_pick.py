"""From a study to recommendations: run from Python, pick from the command line, load without torch."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from command import Ended
from warm import study

from analysis.front import knee
from study import StudySpec, load_model, run
from study.record.ledger import Ledger
from study.status.snapshot import as_dict, snapshot
from trainable.contract import METRICS
from trainable.data.registry import load

PICKS = ("--max-mse 0.9", "--min-mrr 0.3", "--knee", "--max-mse 0.01")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the preset "smoke" has been run, in this process, with two seeds each."""
    folder = tmp_path_factory.mktemp("pick")
    changes = ["runtime.address=inline", "search.replicates=2", "budget.trials=5"]
    outcome = run(StudySpec.preset("smoke", changes), folder / "studies")
    assert (outcome.complete, outcome.folder) == (True, folder / "studies" / "smoke")
    return folder


@pytest.fixture(scope="module")
def picks(here: Path) -> dict[str, Ended]:
    """The output of every way to pick."""
    return {words: study("pick", "smoke", *words.split(), cwd=here) for words in PICKS}


@pytest.fixture(scope="module")
def front(here: Path) -> list[dict]:
    """The front as `study front --json` has it."""
    return as_dict(snapshot(Ledger.read(here / "studies/smoke")))["front"]


def is_shown(ended: Ended, point: dict) -> None:
    """The command says this point, and nothing else went wrong."""
    assert (ended.code, ended.err) == (0, "")
    assert f"trial {point['trial']} after {point['epoch']} epochs: " in ended.out
    assert f"sharing {point['config']['sharing']}" in ended.out
    assert f"mrr {point['mrr']:.4f} ± " in ended.out
    assert (
        f"model: studies/smoke/models/{point['trial']}-{point['epoch']}, trained on train; validation: mrr "
        in ended.out
    )


def test_each_way_picks_its_point(picks: Mapping[str, Ended], front: list[dict]):
    is_shown(picks["--max-mse 0.9"], max((p for p in front if p["mse"] <= 0.9), key=lambda p: p["mrr"]))
    is_shown(picks["--min-mrr 0.3"], min((p for p in front if p["mrr"] >= 0.3), key=lambda p: p["mse"]))
    beats = [p for p in front if p["beats_trivial"]] or front
    row = knee([(-p["mrr"], p["mse"]) for p in beats], [1e9, 1e9])
    if row is None:
        assert picks["--knee"].code == 2
        assert "lies below the line between their two ends" in picks["--knee"].err
    else:
        is_shown(picks["--knee"], beats[row])


def test_an_impossible_pick_is_one_line(picks: Mapping[str, Ended], front: list[dict]):
    ended, best = picks["--max-mse 0.01"], min(p["mse"] for p in front)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert f"mse of 0.01 or better; the best has {best!r}" in ended.err


def test_the_example_recommends_what_the_user_has_not_rated_without_torch(here: Path, picks):
    *_, first, second, third = picks["--max-mse 0.9"].out.splitlines()
    code = "\n".join(
        [first, second, third, "import sys", "print({'torch', 'ray', 'numba'} & set(sys.modules))"]
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=here, check=True, capture_output=True, text=True)
    recommended, heavy = done.stdout.splitlines()
    assert heavy == "set()"

    (user,) = third.split("'")[1::2]
    train = load("synthetic", split="per-user", split_seed=0).search.train
    rated = set(train.item_ids[train.items[train.users == train.user_ids.tolist().index(user)]])
    model = load_model(here / second.split("'")[1])
    items = {item for item, _ in model.recommend(user)}
    assert recommended == str(model.recommend(user))
    assert len(items) == 10
    assert rated
    assert not items & rated
    assert set(model.seen(user)) == rated


def test_json_has_the_same_point_and_nothing_is_trained_again(here: Path, front: list[dict]):
    point = max((p for p in front if p["mse"] <= 0.9), key=lambda p: p["mrr"])
    folder = here / "studies/smoke/models" / f"{point['trial']}-{point['epoch']}"
    before = (folder / "model.json").stat().st_mtime_ns
    told = json.loads(study("pick", "smoke", "--max-mse", "0.9", "--json", cwd=here).out)
    assert (folder / "model.json").stat().st_mtime_ns == before
    named = ("trial", "epoch", *METRICS, "config")
    assert {name: told[name] for name in named} == {name: point[name] for name in named}
    assert told["replicates"] == 2
    assert told["mrr_sd"] > 0
    assert here / told["folder"] == folder
    assert told["model"]["epochs"] == point["epoch"]


def test_importing_study_costs_nothing_until_it_is_used():
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import study\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "assert new - sys.stdlib_module_names == {'study'}, new\n"
        "study.StudySpec\n"
        "from study import *\n"
        "print(sorted(study.__all__), run.__name__, load_model.__name__, StudySpec.__name__)\n"
        "try:\n"
        "    study.nonsense\n"
        "except AttributeError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "['Client', 'StudySpec', 'load_model', 'run'] run load_model StudySpec",
        "module 'study' has no attribute 'nonsense'",
    ]
