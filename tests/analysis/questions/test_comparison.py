"""Several studies beside one another: who may be compared, what each adds, and groups of replicates."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from analysis.attainment import epsilon, igd_plus, scaled
from analysis.errors import AnalysisError
from analysis.front import hypervolume
from analysis.questions.comparison import compare
from analysis.questions.hypervolume_history import at_epochs, growth
from analysis.report import read_several
from analysis.tables import Tables

REFERENCE = np.array([-0.274, 0.871])
SPEC = {
    "name": "x",
    "data": {"split_seed": 0},
    "space": {"weight": [0.5]},
    "search": {"sampler": "tpe", "seed": 0},
}


@pytest.fixture
def several(study, tmp_path):
    """Writes studies of four trials of two epochs; a study's MRR are higher by its gain."""

    def made(name, gain=0.0, seed=0, sampler="tpe", **changes):
        rng = np.random.default_rng(seed)
        trials = [{"trial": t, "finished": f"2025-01-01T00:0{4 - t}:00+00:00"} for t in range(4)]
        measured = [
            {"trial": t, "replicate": 0, "epoch": e, "mrr": 0.3 + gain + 0.02 * rng.random() * e,
             "mse": 0.7 + 0.15 * rng.random()}
            for t in range(4) for e in (1, 2)
        ]  # fmt: skip
        spec = SPEC | {"name": name, "search": {"sampler": sampler, "seed": seed}}
        folder = study(trials, measured, **{"name": name, "spec": spec} | changes)
        return shutil.copytree(folder, tmp_path / name)

    return made


def loaded(*folders):
    return compare([Tables.load(folder) for folder in folders])


def test_each_study_stands_beside_the_pooled_front(several):
    together = loaded(several("a", seed=1), several("b", seed=2), several("c", gain=-0.05, seed=3))
    every = np.vstack(together.fronts)
    assert together.hypervolume == pytest.approx(hypervolume(every, REFERENCE))
    target = scaled(together.pooled, together.pooled, REFERENCE)
    for place, row in together.measures.iterrows():
        front = together.fronts[place]
        rest = np.vstack([f for i, f in enumerate(together.fronts) if i != place])
        near = scaled(front, together.pooled, REFERENCE)
        assert row["alone"] == pytest.approx(together.hypervolume - hypervolume(rest, REFERENCE))
        assert (row["epsilon"], row["igd_plus"]) == (epsilon(near, target), igd_plus(near, target))
        assert row["points"] == sum(p.tolist() in front.tolist() for p in together.pooled)
    assert together.measures["points"].sum() == len(together.pooled)


def test_a_study_and_its_double_lose_nothing_when_one_goes(several):
    together = loaded(several("a", seed=1), several("b", seed=1))
    assert together.measures["alone"].tolist() == [0, 0]
    assert together.measures["points"].tolist() == [len(together.pooled)] * 2
    assert together.measures[["epsilon", "igd_plus"]].to_numpy().tolist() == [[0, 0], [0, 0]]


def test_studies_that_differ_in_the_seed_alone_are_replicates(several):
    folders = [several(f"tpe-{s}", seed=s) for s in range(3)]
    folders += [several(f"random-{s}", seed=s, sampler="random") for s in range(2)]
    folders.append(several("qmc", seed=9, sampler="qmc"))
    together = loaded(*folders)
    assert [(group.name, group.places) for group in together.groups] == [
        ("sampler tpe", (0, 1, 2)), ("sampler random", (3, 4)), ("qmc", (5,)),
    ]  # fmt: skip
    one, two = together.groups[:2]
    assert list(together.surfaces(one)) == ["best", "median", "worst"]
    assert list(together.surfaces(two)) == ["best", "worst"]


def test_runtime_and_confirmation_do_not_change_the_group(several):
    folders = []
    for seed, where in enumerate(("local", "inline")):
        search = SPEC["search"] | {"seed": seed}
        spec = SPEC | {"runtime": {"address": where}, "confirm": {"points": seed}, "search": search}
        folders.append(several(where, seed=seed, spec=spec))
    assert len(loaded(*folders).groups) == 1


def test_groups_are_paired_by_seed(several):
    folders = [several(f"t{s}", seed=s, gain=0.02 * s) for s in range(3)]
    folders += [several(f"r{s}", seed=s, sampler="random") for s in range(1, 4)]
    together = loaded(*folders)
    (found,) = together.differences()
    at = together.measures.set_index("study")["at_budget"]
    assert found.n == 2
    assert found.effect == pytest.approx((at["t1"] - at["r1"] + at["t2"] - at["r2"]) / 2)
    assert "after 8 epochs" in found.scope
    assert loaded(several("a", seed=1), several("b", seed=2, sampler="random")).differences() == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"objectives": ["mrr_all", "mse"], "reference": {"mrr_all": 0.05, "mse": 0.871}},
            "objectives is mrr, mse",
        ),
        ({"data": {"split": "leave-last"}}, "data.split is per-user in one and leave-last in the other"),
        ({"data": {"source": "ml-1m"}}, "data.source is ml-100k in one and ml-1m"),
        ({"data": {"sha256": "other"}}, "data.sha256 is 06416e59 in one and other"),
        ({"split": "test"}, "the part measured on is validation in one and test"),
        ({"reference": {"mrr": 0.274, "mse": 0.9}}, "the reference's MSE is 0.871 in one and 0.9"),
        ({"spec": SPEC | {"data": {"split_seed": 1}}}, "data.split_seed is 0 in one and 1 in the other"),
    ],
)
def test_differing_studies_are_refused_with_both_values(several, changes, why):
    first = several("first")
    if "data" in changes:
        data = Tables.load(first).manifest["data"] | changes["data"]
        changes = {"data": data}
    with pytest.raises(AnalysisError, match="studies first and other cannot be compared: ") as error:
        loaded(first, several("other", **changes))
    assert why in str(error.value)


def test_one_study_or_one_twice_is_refused(several):
    folder = several("a")
    for folders in ([folder], [folder, folder]):
        with pytest.raises(AnalysisError, match="give two or more different studies"):
            loaded(*folders)


def test_growth_is_the_hypervolume_of_ended_trials(several):
    tables = Tables.load(several("a", seed=4))
    grown = growth(tables)
    assert grown["trial"].tolist() == [3, 2, 1, 0]
    assert grown["trials"].tolist() == [1, 2, 3, 4]
    assert grown["epochs"].tolist() == [2, 4, 6, 8]
    assert grown["wall_s"].tolist() == [60, 120, 180, 240]
    for count, volume in zip(grown["trials"], grown["hypervolume"], strict=True):
        ended = tables.evaluated["trial"].isin(grown["trial"].head(count))
        assert volume == pytest.approx(hypervolume(tables.losses(tables.evaluated[ended]), REFERENCE))
    assert at_epochs(grown, np.array([0.0, 1.9, 2.0, 99.0])).tolist() == [
        0, 0, grown["hypervolume"].iloc[0], grown["hypervolume"].iloc[-1],
    ]  # fmt: skip


def test_a_band_goes_as_far_as_all_of_its_studies(several):
    folders = [several(f"s{s}", seed=s) for s in range(3)]
    path = folders[0] / "tables" / "trials.parquet"
    rows = pd.read_parquet(path)
    rows.assign(state=rows["state"].where(rows["trial"] > 1, "running")).to_parquet(path, index=False)
    together = loaded(*folders)
    assert together.budget == 4
    spread = together.spread(together.groups[0])
    assert spread[:, 0].tolist() == [0, 2, 4]
    volumes = [at_epochs(grown, np.array([4.0]))[0] for grown in together.grown]
    assert spread[-1, 1:] == pytest.approx(np.quantile(volumes, [0.25, 0.5, 0.75]))


def test_the_report_says_the_same_numbers_in_every_form(several):
    report = read_several(
        [several(f"s{s}", seed=s, sampler=t) for s, t in enumerate(("tpe", "tpe", "random"))]
    )
    sections = json.loads(report.json())["sections"]
    assert list(sections) == ["pooled", "attainment", "growth", "studies"]
    volume = f"Hypervolume {sections['pooled']['numbers']['hypervolume']:.5f}"
    assert volume in report.html()
    assert volume in report.markdown()
    assert report.name == "s0 + s1 + s2"
    assert report.html().count("<svg role=") == 3


def test_studies_without_a_point_say_so(several, study, tmp_path):
    folders = [shutil.copytree(study([], [], name=name, spec=SPEC), tmp_path / name) for name in "ab"]
    page = read_several(folders).markdown()
    assert "No study has a front yet." in page
    assert "Not every study has a trial that has ended." in page


def test_studies_that_repeat_a_seed_are_warned_of(several):
    page = read_several([several("a", seed=1), several("b", seed=1)]).markdown()
    assert "Not replicates, since they repeat a seed of their group: b." in page
