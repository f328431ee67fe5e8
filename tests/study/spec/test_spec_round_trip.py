"""A spec is the same however it is written, and its fingerprint changes with the question it asks, only."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.objective import OBJECTIVES
from study.search.samplers.registry import SAMPLERS
from study.spec import SpecError, StudySpec, gpu_share, presets, resolve, sections
from study.spec.study import Part
from trainable.contract import METRICS, NEGATIVES, RANKING_LOSSES, SHARINGS
from trainable.data.registry import SOURCES, SPLITS

BASE = """
name = "base"
[data]
source = "synthetic"
[budget]
trials = 3
"""

# --- strategies ------------------------------------------------------------------------------------------

shares = st.floats(0, 1)
inner_shares = st.floats(0, 1, exclude_min=True, exclude_max=True)
positives = st.floats(0, 1e6, exclude_min=True)
counts = st.integers(1, 10_000)
lanes = st.integers(1, 1_024)
batch_sizes = counts | st.just("full")


def ranges(word: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    bounds = st.lists(values, min_size=2, max_size=2, unique=True).map(sorted)
    return bounds.map(lambda pair: {word: pair})


def choices(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(values, min_size=1, max_size=4, unique=True)


def tables(**optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=optional)


specs = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_-]{0,20}\Z"),
        "data": st.fixed_dictionaries(
            {"source": st.sampled_from([*SOURCES, "ratings.csv", "/somewhere/ä b.parquet"])},
            optional={"split": st.sampled_from(list(SPLITS)), "split_seed": st.integers(0, 2**32 - 1)},
        ),
        "budget": st.fixed_dictionaries({"trials": counts}, optional={"wall_time_s": positives}),
    },
    optional={
        "objectives": st.permutations(METRICS).map(lambda metrics: metrics[:2]),
        "train": tables(
            epochs=counts,
            batch_size=batch_sizes,
            learning_rate=positives,
            weight_decay=st.floats(0, 10) | st.just(-0.0),
            candidates=st.sampled_from(["every", "last"]),
            average=shares,
            negatives=st.sampled_from(NEGATIVES),
        ),
        "space": tables(
            weight=ranges("logit", inner_shares) | ranges("uniform", shares) | choices(shares) | shares,
            sharing=choices(st.sampled_from(SHARINGS)) | st.sampled_from(SHARINGS),
            learning_rate=ranges("log", positives) | ranges("uniform", positives) | choices(positives),
            epochs=ranges("int", counts) | choices(counts) | counts,
            batch_size=ranges("int", counts) | choices(batch_sizes) | batch_sizes,
            ranking_loss=choices(st.sampled_from(RANKING_LOSSES)),
            average=ranges("uniform", shares) | choices(shares) | shares,
            negatives=choices(st.sampled_from(NEGATIVES)),
        ),
        "search": tables(
            sampler=st.sampled_from(sorted({*SAMPLERS} - {*sections.EVEN})),
            explore=shares,
            seed=st.integers(0, 2**63 - 1),
        ),
        "runtime": tables(
            lanes=lanes | st.just("auto"),
            gpus_per_lane=st.integers(1, gpu_share.MOST_LANES).map(lambda k: 1 / k)
            | st.just(-0.0)
            | st.just("auto"),
            resources=st.dictionaries(
                st.sampled_from(["accelerator_type:H100", "memory", "a b"]), lanes.map(float)
            ),
            labels=st.dictionaries(st.sampled_from(["ray.io/market-type", "zone"]), st.just("a-1")),
            slots=lanes | st.just("auto") | tables(cpu=lanes, gpu=lanes | st.just("auto")),
        ),
    },
).map(StudySpec.model_validate)


# --- writing and reading ---------------------------------------------------------------------------------


@given(specs)
def test_toml_and_json_give_an_equal_spec_back(spec: StudySpec) -> None:
    absolute = StudySpec.from_text(spec.as_toml(), where="written", folder=Path("/elsewhere"))
    again = StudySpec.from_text(absolute.as_toml(), where="written again", folder=Path("/nowhere"))
    assert again == absolute
    assert absolute.fingerprint == spec.fingerprint
    assert absolute.differences(spec) == []
    stored = json.loads(json.dumps(spec.model_dump(mode="json")))
    assert StudySpec.model_validate(stored) == spec


@given(specs, specs)
def test_fingerprints_are_equal_exactly_where_nothing_differs(one: StudySpec, other: StudySpec) -> None:
    assert (one.fingerprint == other.fingerprint) == (one.differences(other) == [])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_default_exploration_survives_a_round_trip(sampler: str) -> None:
    overrides = [f"search.sampler={sampler}", "space.weight=[0.5, 0.9]"]
    spec = StudySpec.from_text(BASE, where="base", overrides=overrides)
    assert spec.search.explore == (0.0 if sampler in ("qmc", "grid") else 0.33)
    assert StudySpec.from_text(spec.as_toml(), where="written") == spec


def test_the_way_of_writing_does_not_matter() -> None:
    one = StudySpec.from_text(
        BASE + "[train]\nlearning_rate = 1e-3\nweight_decay = 0\n[space]\nweight = { logit = [0.5, 0.9] }\n",
        where="one",
    )
    other = StudySpec.from_text(
        "budget.trials = 3\ndata.source = 'synthetic'\nname = 'base'  # comment\n"
        "[space.weight]\nlogit = [\n  0.50,\n  9e-1,\n]\n"
        "[train]\nweight_decay = -0.0\nlearning_rate = 0.001\n",
        where="other",
    )
    assert one == other
    assert one.fingerprint == other.fingerprint


# --- the fingerprint -------------------------------------------------------------------------------------

QUESTION = ("objectives", "data", "train", "space", "search", "stopping")
CHANGED: dict[str, dict[str, str]] = {
    "data": {"source": "ml-100k", "split": "ps1", "split_seed": "1"},
    "train": {
        "epochs": "21",
        "candidates": "last",
        "batch_size": "full",
        "dim": "16",
        "hidden": "65",
        "ranking_loss": "bpr",
        "negatives": "unseen",
        "learning_rate": "0.5",
        "weight_decay": "0.1",
        "average": "0.9",
        "evaluate_every": "2",
    },
    "space": {
        "weight": "{ uniform = [0.5, 0.9997] }",
        "sharing": "['none', 'both']",
        "learning_rate": "{ log = [0.1, 0.2] }",
        "weight_decay": "[0.0]",
        "epochs": "{ int = [1, 2] }",
        "batch_size": "[256, 'full']",
        "dim": "[32, 64]",
        "hidden": "64",
        "ranking_loss": "['bpr']",
        "average": "0.0",
        "negatives": "['all', 'unseen']",
    },
    "search": {
        "sampler": "random",
        "explore": "0.5",
        "replicates": "2",
        "seed": "1",
        "initial": "[{ weight = 0.9 }]",
    },
    "stopping": {"rule": "pareto-asha", "min_epochs": "3", "reduction_factor": "2"},
    "budget": {
        "trials": "4",
        "member_epochs": "10",
        "wall_time_s": "60",
        "plateau": "{ trials = 10, gain = 0.01 }",
    },
    "confirm": {"points": "3", "replicates": "4", "fresh": "2"},
    "storage": {"url": "env:STUDY_DATABASE"},
    "runtime": {
        "address": "inline",
        "engine": "torch",
        "lanes": "2",
        "max_lanes": "3",
        "slots": "4",
        "cpus_per_lane": "0.5",
        "gpus_per_lane": "0.25",
        "resources": "{ 'accelerator_type:H100' = 0.01 }",
        "labels": "{ 'ray.io/market-type' = 'spot' }",
        "storage_path": "/elsewhere",
        "cpu_nodes": "true",
        "placement": "pack",
        "save_every_s": "1.5",
        "home": "/data",
        "meters": "true",
    },
}
SETTINGS = [(f"{part}.{key}", value) for part, keys in CHANGED.items() for key, value in keys.items()]


@pytest.mark.parametrize(("key", "value"), [("name", "other"), ("objectives", "['mse', 'mrr']"), *SETTINGS])
def test_fingerprint_changes_exactly_with_the_question(key: str, value: str) -> None:
    long = "train.epochs=81"  # longer than the default of stopping.min_epochs
    base = StudySpec.from_text(BASE, where="base", overrides=[long])
    changed = StudySpec.from_text(BASE, where="base", overrides=[long, f"{key}={value}"])
    assert changed != base
    differences = base.differences(changed)
    assert (changed.fingerprint != base.fingerprint) == (key.partition(".")[0] in QUESTION)
    assert [line.partition(":")[0] for line in differences] == ([key] if differences else [])
    assert bool(differences) == (changed.fingerprint != base.fingerprint)


def test_a_spec_keeps_the_fingerprint_that_it_had_without_later_keys() -> None:
    """Studies of earlier versions can be resumed."""
    overrides = ("train.epochs=81", "search.initial=[{ weight = 0.9 }]")
    spec = StudySpec.from_text(BASE, where="base", overrides=overrides)
    assert spec.fingerprint == "129d76add8c7ee3e"
    again = StudySpec.from_text(spec.as_toml(), where="written")
    assert ("average = 0" in spec.as_toml(), again.fingerprint) == (True, spec.fingerprint)


def test_every_key_is_known_to_the_test_above() -> None:
    keys = {
        f"{name}.{key}"
        for name, field in StudySpec.model_fields.items()
        for kind in (field.annotation, *get_args(field.annotation))
        if isinstance(kind, type) and issubclass(kind, Part)
        for key in kind.model_fields
    }
    assert keys == {key for key, _ in SETTINGS}


def test_a_difference_names_the_key_and_both_values() -> None:
    base = StudySpec.from_text(BASE, where="base")
    other = StudySpec.from_text(BASE, where="base", overrides=["train.epochs=40", "space.dim={int=[8, 64]}"])
    assert base.differences(other) == ["train.epochs: 20 → 40", 'space.dim: null → {"int": [8, 64]}']


def test_a_data_file_may_move(tmp_path: Path) -> None:
    text = BASE.replace('"synthetic"', '"ratings/mine.csv"')
    here = StudySpec.from_text(text, where="here", folder=tmp_path)
    there = StudySpec.from_text(text, where="there", folder=tmp_path / "there")
    assert here.data.source == str(tmp_path / "ratings" / "mine.csv")
    assert here.data.source != there.data.source
    assert here.fingerprint == there.fingerprint
    renamed = StudySpec.from_text(text.replace("mine", "yours"), where="here", folder=tmp_path)
    assert here.fingerprint != renamed.fingerprint


def test_a_data_file_in_an_override_starts_at_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = StudySpec.from_text(BASE, where="x", overrides=["data.source=mine.csv"], folder=Path("/elsewhere"))
    assert spec.data.source == str(tmp_path / "mine.csv")


# --- presets and names -----------------------------------------------------------------------------------


def test_every_preset_is_valid_described_and_named_after_its_file() -> None:
    assert set(presets()) == {"ml100k", "ps1", "smoke"}
    assert next(iter(presets())) == "ml100k"
    for name, description in presets().items():
        assert StudySpec.preset(name).name == name
        assert description
        assert not description.startswith("#")


def test_resolve_takes_a_path_then_a_study_then_a_preset(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    (studies / "mine").mkdir(parents=True)
    (studies / "mine" / "study.toml").write_text(BASE.replace("base", "mine"))
    (tmp_path / "spec.toml").write_text(BASE)
    assert resolve("smoke", ["budget.trials=1"], studies).budget.trials == 1
    assert resolve("mine", [], studies).name == "mine"
    assert resolve(str(tmp_path / "spec.toml"), [], studies).name == "base"
    (studies / "smoke").mkdir()
    (studies / "smoke" / "study.toml").write_text(BASE.replace("base", "smoke").replace("3", "77"))
    assert resolve("smoke", [], studies).budget.trials == 77
    with pytest.raises(SpecError, match=r"'nowhere' is not known.*mine, smoke.*ml100k, ps1, smoke"):
        resolve("nowhere", [], studies)
    (tmp_path / "study.toml").write_text(BASE)
    for outside in ("..", "", "."):
        with pytest.raises(SpecError, match="is not known"):
            resolve(outside, [], studies)


# --- what the spec leans on ------------------------------------------------------------------------------


def test_names_agree_with_the_tables_they_stand_for() -> None:
    assert tuple(OBJECTIVES) == METRICS
    assert set(sections.Initial.model_fields) == set(sections.Space.model_fields)


def test_every_key_is_described_in_the_schema() -> None:
    schema = StudySpec.model_json_schema()
    for part in ("Data", "Train", "Space", "Search", "Stopping", "Budget", "Runtime"):
        for key, entry in schema["$defs"][part]["properties"].items():
            assert entry.get("description"), f"{part}.{key}"


def test_importing_the_spec_imports_nothing_heavy() -> None:
    code = "import study.spec, sys; print({m.partition('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for heavy in ("optuna", "torch", "ray", "numba", "pandas", "sqlalchemy", "matplotlib"):
        assert repr(heavy) not in done.stdout
