"""The tables of all records have the same columns."""

from contextlib import closing
from pathlib import Path

import pandas as pd
from formula import BASELINE, SPEC, FormulaLane

from study.loop.referee import Referee
from study.record.ledger import Ledger
from study.results.export import export
from study.spec import StudySpec


def columns(folder: Path) -> dict[str, dict[str, str]]:
    """Column names and types of the tables in a folder."""
    found = {path.stem: pd.read_parquet(path) for path in (folder / "tables").iterdir()}
    return {name: dict(table.dtypes.astype(str)) for name, table in found.items()}


def test_columns_do_not_depend_on_measurements(tmp_path: Path):
    """A run that is stopped in its first epoch has all columns."""
    folder = tmp_path / "formula"
    with closing(Ledger.open(StudySpec.from_text(SPEC, where="test"), folder, BASELINE)) as ledger:
        referee, lane = Referee(ledger, ledger.claim()), FormulaLane("1.0", 2)
        lane.call(referee.exchange)
        export(ledger, folder)
        early = columns(folder)
        assert pd.read_csv(folder / "front.csv").empty
        for _ in range(3):
            lane.advance(referee.exchange)
        export(ledger, folder)
    assert not pd.read_parquet(folder / "tables" / "points.parquet").empty
    assert columns(folder) == early


def test_each_trial_has_the_origin_of_its_configuration(tmp_path: Path):
    spec = StudySpec.from_text(
        SPEC, where="test", overrides=["search.explore=0.5", "search.initial=[{ sharing='both' }]"]
    )
    with closing(Ledger.open(spec, tmp_path / "formula", BASELINE)) as ledger:
        for _ in range(5):
            ledger.ask()
        export(ledger, tmp_path / "formula")
    trials = pd.read_parquet(tmp_path / "formula" / "tables" / "trials.parquet")
    assert trials["origin"].tolist() == ["initial", "random", "explore", "random", "explore"]
