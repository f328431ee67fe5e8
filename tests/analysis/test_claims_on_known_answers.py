"""The three claims and the published values, on studies made so that the answers are known."""

import pandas as pd
import pytest

from analysis.claims import PUBLISHED, SEPARATE_99, SHARED_50, SHARED_99, cells, judge, reproductions
from analysis.sections.claims import ABSENT, claims
from analysis.tables import Tables


def verdicts(folder):
    return {claim.name: claim.verdict for claim in judge(cells(Tables.load(folder)))}


def change(folder, table, edit):
    path = folder / "tables" / f"{table}.parquet"
    edit(pd.read_parquet(path)).to_parquet(path, index=False)
    return folder


def test_the_published_values_fulfil_all_three(four_cells):
    assert verdicts(four_cells()) == {"3.a": "holds", "3.b": "holds", "3.c": "holds"}


def test_a_shared_model_that_ranks_best_breaks_3a_only(four_cells):
    folder = four_cells(shifts={("both", 0.99): 0.03})
    assert verdicts(folder) == {"3.a": "does not hold", "3.b": "holds", "3.c": "holds"}


def test_a_shared_model_as_good_as_separate_ones_leaves_3b_undecided(four_cells):
    folder = four_cells(shifts={("both", 0.5): 0.0643 - 0.0202})
    assert verdicts(folder)["3.b"] == "undecided"


def test_effects_are_last_epoch_differences_by_replicate(four_cells):
    claim = judge(cells(Tables.load(four_cells())))[0]
    joint, mrr_all, mse = (finding.effect for finding in claim.findings)
    assert joint == pytest.approx(0.99 * (0.2643 - 0.2472) + 0.01 * (0.9746 - 0.8325))
    assert mrr_all == pytest.approx(0.0471 - 0.0646)
    assert mse == pytest.approx(1.0171 - 0.9073)


@pytest.mark.parametrize(("replicates", "exploratory"), [(5, True), (6, False)])
def test_fewer_than_six_pairs_are_exploratory(four_cells, replicates, exploratory):
    found = cells(Tables.load(four_cells(replicates)))
    assert all(claim.exploratory == exploratory for claim in judge(found))
    section = claims(Tables.load(four_cells(replicates)))
    assert any("Exploratory" in getattr(block, "text", "") for block in section.blocks) == exploratory


def test_one_replicate_decides_nothing(four_cells):
    assert set(verdicts(four_cells(1)).values()) == {"undecided"}


def test_only_replicates_that_all_four_have_count(four_cells):
    folder = change(
        four_cells(8), "measurements", lambda rows: rows[(rows["trial"] != 2) | (rows["replicate"] < 3)]
    )
    assert cells(Tables.load(folder)).pairs == 3


@pytest.mark.parametrize(
    "edit",
    [
        lambda rows: rows[rows["trial"] != 3],
        lambda rows: rows.assign(learning_rate=rows["trial"] + 1.0),
        lambda rows: rows.assign(state=["completed", "stopped", "completed", "completed"]),
        lambda rows: rows.assign(epochs=[200, 200, 200, 100]),
    ],
    ids=["one missing", "another learning rate", "one stopped", "one shorter"],
)
def test_without_four_equal_cells_nothing_is_judged(four_cells, edit):
    folder = four_cells()
    for table in ("points", "measurements"):
        keep = set(edit(pd.read_parquet(folder / "tables/trials.parquet"))["trial"])
        change(folder, table, lambda rows, keep=keep: rows[rows["trial"].isin(keep)])
    tables = Tables.load(change(folder, "trials", edit))
    assert cells(tables) is None
    assert [block.text for block in claims(tables).blocks] == [ABSENT]


def test_a_separate_trial_without_weight_stands_for_both_its_cells(four_cells):
    def one_separate(rows):
        rows = rows[rows["trial"] != 2].copy()
        if "weight" in rows:
            rows.loc[rows["trial"] == 3, "weight"] = None
        return rows

    folder = four_cells()
    for table in ("trials", "points", "measurements"):
        change(folder, table, one_separate)
    found = cells(Tables.load(folder))
    joint = found.values(SEPARATE_99, "joint_loss").mean()
    assert joint == pytest.approx(0.99 * 0.2472 + 0.01 * 0.8325)
    assert {claim.verdict for claim in judge(found)} == {"holds"}


def test_published_values_agree_with_themselves(four_cells):
    made = reproductions(cells(Tables.load(four_cells())))
    assert len(made) == sum(map(len, PUBLISHED.values())) == 20
    assert all(value.agrees for value in made)
    assert all(value.low < value.published < value.high for value in made)


def test_a_value_too_far_off_does_not_agree(four_cells):
    folder = four_cells(shifts={("both", 0.5): 0.0061, ("both", 0.99): 0.0059})
    made = {(v.cell, v.name): v.agrees for v in reproductions(cells(Tables.load(folder)))}
    assert not made[SHARED_50, "mrr_all"]
    assert made[SHARED_99, "mrr_all"]


def test_published_values_are_shown_for_ps1_alone(four_cells):
    def captions(split):
        data = Tables.load(four_cells()).manifest["data"] | {"split": split}
        section = claims(Tables.load(four_cells(data=data)))
        return [getattr(block, "caption", "") for block in section.blocks]

    assert any("CS330" in caption for caption in captions("ps1"))
    assert not any("CS330" in caption for caption in captions("per-user"))
