"""Reading a study's folder: required files, keys and columns, and the tables read."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.errors import AnalysisError
from analysis.front import hypervolume
from analysis.tables import Tables


def change(folder, table, edit):
    path = folder / "tables" / f"{table}.parquet"
    edit(pd.read_parquet(path)).to_parquet(path, index=False)


def test_missing_files_are_named(search):
    (search / "tables" / "points.parquet").unlink()
    with pytest.raises(AnalysisError, match=r"points\.parquet: no such file; export the study first"):
        Tables.load(search)
    (search / "manifest.json").unlink()
    with pytest.raises(AnalysisError, match=r"manifest\.json: no such file"):
        Tables.load(search)


@pytest.mark.parametrize(
    ("table", "column"), [("trials", "reason"), ("points", "candidate"), ("measurements", "mse")]
)
def test_missing_columns_are_named(search, table, column):
    change(search, table, lambda rows: rows.drop(columns=column))
    with pytest.raises(AnalysisError, match=rf"{table}\.parquet: lacks columns {column};"):
        Tables.load(search)


def test_missing_keys_are_named(search):
    path = search / "manifest.json"
    facts = json.loads(path.read_text())
    del facts["split"], facts["trivial"]["bias"], facts["data"]["sha256"]
    path.write_text(json.dumps(facts))
    with pytest.raises(AnalysisError, match=r"lacks split, trivial\.bias, data\.sha256"):
        Tables.load(search)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "not JSON"),
        ("[]", "not a manifest of schema 1"),
        ('{"schema": 2}', "not a manifest of schema 1"),
    ],
)
def test_a_manifest_that_is_none(search, text, match):
    (search / "manifest.json").write_text(text)
    with pytest.raises(AnalysisError, match=match):
        Tables.load(search)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"objectives": ["mse"]}, "a study has two"),
        ({"objectives": ["mrr", "rmse"]}, "'rmse' is not known"),
        ({"reference": {"mrr": 0.2}}, "no finite mse"),
        ({"reference": {"mrr": float("nan"), "mse": 1.0}}, "no finite mrr"),
    ],
)
def test_objectives_and_reference_must_fit(study, changes, match):
    with pytest.raises(AnalysisError, match=match):
        Tables.load(study([], [], **changes))


def test_values_of_the_wrong_kind_are_refused(search):
    change(search, "points", lambda rows: rows.assign(mse="low"))
    with pytest.raises(AnalysisError, match="column mse must hold numbers"):
        Tables.load(search)


def test_unknown_sharing_and_unknown_trials_are_refused(search):
    change(search, "points", lambda rows: rows.assign(trial=rows["trial"] + 1))
    with pytest.raises(AnalysisError, match="trial 12 is not in"):
        Tables.load(search)
    change(search, "trials", lambda rows: rows.assign(sharing="soft"))
    with pytest.raises(AnalysisError, match="'soft'; use none, users, items, both"):
        Tables.load(search)


def test_a_file_that_is_no_table_is_refused(search):
    (search / "tables" / "trials.parquet").write_text("not parquet")
    with pytest.raises(AnalysisError, match="not a Parquet table"):
        Tables.load(search)


def test_only_finite_candidates_count_as_evaluated(search):
    change(search, "points", lambda rows: rows.assign(candidate=rows["epoch"] > 1))
    change(search, "points", lambda rows: rows.assign(mse=rows["mse"].where(rows["trial"] != 4, np.inf)))
    tables = Tables.load(search)
    assert len(tables.evaluated) == 11 * 2
    assert tables.evaluated["stands"].sum() == 11


def test_front_hypervolume_and_order(search):
    tables = Tables.load(search)
    losses = np.column_stack([-tables.evaluated["mrr"], tables.evaluated["mse"]])
    assert tables.hypervolume == pytest.approx(hypervolume(losses, [-0.274, 0.871]))
    assert tables.hypervolume > 0
    assert tables.front["mrr"].is_monotonic_decreasing
    assert tables.front["mse"].is_monotonic_decreasing


def test_goals_put_the_larger_is_better_first(study):
    tables = Tables.load(study([], [], objectives=["mse", "mrr"]))
    assert tables.names == ["mrr", "mse"]
    assert tables.reference.tolist() == [0.274, 0.871]


def test_nothing_confirmed_is_an_empty_table_of_the_same_columns(search):
    confirmed = Tables.load(search).confirmed
    assert len(confirmed) == 0
    assert list(confirmed) == ["split", "trial", "replicate", "epoch", "mrr", "mrr_all", "mse"]


AGAIN = {"trial": 0, "epoch": 3, "replicate": 0, "mrr": 0.3, "mse": 0.9}


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"trial": 12}, r"trial 12 after 3 epochs is not in tables/points\.parquet"),
        ({"epoch": 4}, r"trial 0 after 4 epochs is not in tables/points\.parquet"),
        ({"replicate": 0}, "trial 0 after 3 epochs has a replicate twice"),
        ({"split": "validation"}, "split 'validation'; its points are measured on test"),
    ],
)
def test_a_confirmed_row_is_a_fresh_seed_of_a_point_on_test(study, changes, match):
    searched = [{"trial": 0}], [AGAIN]
    second = AGAIN | {"replicate": 1}
    assert len(Tables.load(study(*searched, [AGAIN, second])).confirmed) == 2
    with pytest.raises(AnalysisError, match=match):
        Tables.load(study(*searched, [AGAIN, second | changes]))


def test_a_fresh_row_is_a_fresh_seed_of_a_point_on_validation(study):
    """The table of fresh seeds is checked as that of the confirmed points is."""
    searched = [{"trial": 0}], [AGAIN]
    assert len(Tables.load(study(*searched, fresh=[AGAIN])).fresh) == 1
    for changes, match in (
        ({"epoch": 4}, r"fresh\.parquet: trial 0 after 4 epochs is not in tables/points\.parquet"),
        ({"split": "test"}, "split 'test'; its points are measured on validation"),
    ):
        with pytest.raises(AnalysisError, match=match):
            Tables.load(study(*searched, fresh=[AGAIN | changes]))


@pytest.mark.parametrize(
    ("confirmation", "match"),
    [
        (None, "confirmation lacks replicates, points, reference, mrr, mse;"),
        ({"replicates": 1, "points": [], "reference": {"mrr": 0.3, "mse": None}}, "confirmation lacks mse;"),
    ],
)
def test_confirmed_rows_need_a_confirmation_in_the_manifest(study, confirmation, match):
    with pytest.raises(AnalysisError, match=match):
        Tables.load(study([{"trial": 0}], [AGAIN], [AGAIN], confirmation=confirmation))
