"""The three claims and the published values, on studies made so that the answers are known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.questions.claim_cells import CELLS, SEPARATE_99, SHARED_50, SHARED_99, Cells, fours
from analysis.questions.claims import by_length, judge, runs
from analysis.questions.published import NAMES, PUBLISHED, reproductions
from analysis.report.sections.claims import claims
from analysis.report.sections.registry import sections
from analysis.tables import Tables


def cells(folder):
    return fours(Tables.load(folder))[0].last


def verdicts(folder):
    return {claim.name: claim.verdict for claim in judge([cells(folder)])[0]}


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
    claim = judge([cells(four_cells())])[0][0]
    joint, mrr_all, mse = (finding.effect for finding in claim.findings)
    assert joint == pytest.approx(0.99 * (0.2643 - 0.2472) + 0.01 * (0.9746 - 0.8325))
    assert mrr_all == pytest.approx(0.0471 - 0.0646)
    assert mse == pytest.approx(1.0171 - 0.9073)


@pytest.mark.parametrize(("replicates", "exploratory"), [(5, True), (6, False)])
def test_fewer_than_six_pairs_are_exploratory(four_cells, replicates, exploratory):
    found = cells(four_cells(replicates))
    assert all(claim.exploratory == exploratory for claim in judge([found])[0])
    section = claims(Tables.load(four_cells(replicates)))
    assert any("Exploratory" in getattr(block, "text", "") for block in section.blocks) == exploratory


def test_one_replicate_decides_nothing(four_cells):
    assert set(verdicts(four_cells(1)).values()) == {"undecided"}


def test_only_replicates_that_all_four_have_count(four_cells):
    folder = change(
        four_cells(8), "measurements", lambda rows: rows[(rows["trial"] != 2) | (rows["replicate"] < 3)]
    )
    assert cells(folder).pairs == 3


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
    assert fours(tables) == []
    assert claims(tables) is None
    assert "claims" not in {section.name for section in sections(tables)}


def test_a_separate_trial_without_weight_stands_for_both_its_cells(four_cells):
    def one_separate(rows):
        rows = rows[rows["trial"] != 2].copy()
        if "weight" in rows:
            rows.loc[rows["trial"] == 3, "weight"] = None
        return rows

    folder = four_cells()
    for table in ("trials", "points", "measurements"):
        change(folder, table, one_separate)
    found = cells(folder)
    joint = found.values(SEPARATE_99, "joint_loss").mean()
    assert joint == pytest.approx(0.99 * 0.2472 + 0.01 * 0.8325)
    assert {claim.verdict for claim in judge([found])[0]} == {"holds"}


def test_published_values_agree_with_themselves(four_cells):
    made = reproductions(cells(four_cells()))
    assert len(made) == sum(map(len, PUBLISHED.values())) == 20
    assert all(value.agrees for value in made)
    assert all(value.low < value.published < value.high for value in made)


def test_a_value_too_far_off_does_not_agree(four_cells):
    """The noise has an sd of 0.65e-3 over eight seeds, so a further run lies within 2.4e-3 of their mean."""
    noise = 1e-3 * np.linspace(-1, 1, 8)
    half = stats.t.ppf(0.995, 7) * noise.std(ddof=1) * np.sqrt(1 + 1 / 8)
    folder = four_cells(shifts={("both", 0.5): 1.01 * half, ("both", 0.99): 0.99 * half})
    made = {(v.cell, v.name): v.agrees for v in reproductions(cells(folder))}
    assert made[SHARED_50, "mrr_all"] is False
    assert made[SHARED_99, "mrr_all"] is True


def test_one_seed_judges_no_published_value(four_cells):
    folder = four_cells(1)
    assert {value.agrees for value in reproductions(cells(folder))} == {None}
    said = [getattr(block, "text", "") for block in claims(Tables.load(folder)).blocks]
    assert any("One seed gives no prediction interval" in text for text in said)


def test_a_faithful_copy_is_seldom_refused():
    """Ten seeds of `mrr_all` and one further run of the same model, with the sd that 100 seeds have.

    A fixed distance of 0.006, which the report once asked for, refuses it in 39 % of cases.
    """
    rng, sd = np.random.default_rng(0), 0.0067
    refused, far = [], []
    for _ in range(4000):
        ours, published = 0.0692 + sd * rng.normal(size=10), 0.0692 + sd * rng.normal()
        table = dict.fromkeys(CELLS, pd.DataFrame(dict.fromkeys(NAMES, ours)))
        mean, half = ours.mean(), stats.t.ppf(0.995, 9) * ours.std(ddof=1) * np.sqrt(1.1)
        for value in reproductions(Cells(table, "mrr_all", epochs=200, scope=""))[:1]:
            assert (value.low, value.high) == (pytest.approx(mean - half), pytest.approx(mean + half))
            refused.append(not replace(value, published=published).agrees)
        far.append(abs(published - mean) > 0.006)
    assert np.mean(refused) == pytest.approx(0.01, abs=0.005)
    assert np.mean(far) == pytest.approx(2 * stats.norm.sf(0.006 / sd / 1.1**0.5), abs=0.02)
    assert np.mean(far) == pytest.approx(0.39, abs=0.02)


def test_published_values_are_shown_for_ps1_alone(four_cells):
    def captions(split):
        data = Tables.load(four_cells()).manifest["data"] | {"split": split}
        section = claims(Tables.load(four_cells(data=data)))
        return [getattr(block, "caption", "") for block in section.blocks]

    assert any("CS330" in caption for caption in captions("ps1"))
    assert not any("CS330" in caption for caption in captions("per-user"))


def test_after_another_length_of_training_a_claim_may_not_hold(four_cells):
    """At 100 epochs the made-up MSE are all alike, so what the claims say of them is undecided."""
    (four,) = fours(Tables.load(four_cells()))
    judged = by_length(four)
    assert [epochs for epochs, _ in judged] == [100, 200]
    assert [[claim.verdict for claim in claims] for _, claims in judged] == [
        ["undecided", "holds", "undecided"],
        ["holds", "holds", "holds"],
    ]


def test_equal_verdicts_in_a_row_form_one_stretch():
    verdicts = [(10, "holds"), (20, "undecided"), (40, "undecided"), (50, "holds")]
    assert runs(verdicts) == [(10, 10, "holds"), (20, 40, "undecided"), (50, 50, "holds")]
    assert runs([]) == []


def test_every_setting_of_a_grid_is_judged_and_p_pays_for_their_number(four_cells):
    folder = four_cells()

    def twice(rows):
        again = rows.assign(trial=rows["trial"] + 4)
        if "learning_rate" in rows:
            again["learning_rate"] = 0.01
        return pd.concat([rows, again])

    (alone,) = judge([cells(folder)])
    for table in ("trials", "points", "measurements"):
        change(folder, table, twice)
    found = fours(Tables.load(folder))
    assert [four.setting for four in found] == ["learning rate 0.001", "learning rate 0.01"]
    both = judge([four.last for four in found])
    for one, two, before in zip(*both, alone, strict=True):
        assert one.p == two.p > before.p
    answer = claims(Tables.load(folder)).blocks[0].text
    assert answer.startswith("In 2 settings: claim 3.a holds in 2; claim 3.b holds in 2")
