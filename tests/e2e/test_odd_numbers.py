"""Ratings in odd units: a study ends with its report, or names the fault of the ratings."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from command import Ended, prepare, ratings, study


def rated(folder: Path, rating: Callable[[int], object]) -> Path:
    """The tiny study's folder, with another rating in the place of each."""
    here = prepare(folder / "here")
    header, *rows = ratings().splitlines()
    cells = [row.split(",") for row in rows]
    made = [f"{user},{item},{rating(int(old))},{time}" for user, item, old, time in cells]
    (here / "ratings.csv").write_text("\n".join([header, *made, ""]), encoding="utf-8")
    return here


def good(ended: Ended) -> str:
    """The output of a command, which must succeed."""
    assert (ended.code, ended.err) == (0, ""), ended
    return ended.out


@pytest.mark.long
@pytest.mark.parametrize("unit", [1.7e18, 1e-20], ids=["nanoseconds", "specks"])
def test_ratings_in_a_very_small_or_large_unit_have_a_report(unit: float, tmp_path: Path):
    """Numbers of 37 digits are rounded and shown."""
    here = rated(tmp_path, lambda old: old * unit)
    output = good(study("run", "tiny.toml", "--set", "train.batch_size=64", cwd=here))
    report = good(study("report", "tiny", "--markdown", cwd=here))
    assert (here / "studies/tiny/report/index.html").is_file()
    assert re.search(r"\d{20}", output + report) is None
    (command, *_) = re.findall(r"`study (pick tiny --max-mse \S+)`", report)
    assert good(study(*command.split(), cwd=here))


def test_equal_ratings_give_a_warning(tmp_path: Path):
    """A reference of 0, which no model can beat, is reported."""
    here = rated(tmp_path, lambda _: 3.3)
    warning = "the bias model predicts every validation rating exactly, so no model beats both trivial models"
    assert f"warning: {warning}" in good(study("run", "tiny.toml", cwd=here))
    assert warning in good(study("report", "tiny", "--markdown", cwd=here))
