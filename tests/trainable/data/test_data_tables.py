"""The tables of sources and splits, the errors of `load`, and the description of a split."""

import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from trainable.contract import StudyError
from trainable.data import description, registry
from trainable.data.interactions import Split


def test_every_source_and_split_is_there() -> None:
    for target in (*registry.SOURCES.values(), *registry.FILE_READERS.values(), *registry.SPLITS.values()):
        assert callable(registry._function(target))


def test_importing_the_room_is_cheap() -> None:
    heavy = {"torch", "numba", "pandas", "pyarrow", "rich"}
    code = f"import sys, trainable.data.registry; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_source_split_and_seed_are_refused_by_name() -> None:
    with pytest.raises(
        StudyError, match=r"data\.source: 'ml-20m' .* ml-100k, ml-1m, synthetic, .*\.csv or \.parquet"
    ):
        registry.load("ml-20m", split="per-user", split_seed=0)
    with pytest.raises(StudyError, match=r"data\.split: 'random' .* per-user, ps1, leave-last, by-time"):
        registry.load("synthetic", split="random", split_seed=0)
    with pytest.raises(StudyError, match=r"data\.split_seed: -1"):
        registry.load("synthetic", split="per-user", split_seed=-1)


@pytest.mark.parametrize("split", registry.SPLITS)
def test_the_synthetic_source_suits_every_split(split: str) -> None:
    made = registry.load("synthetic", split=split, split_seed=0)
    assert made.name == split
    assert made.has_validation == (split != "ps1")


def test_a_file_is_a_source_whatever_the_case_of_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "ratings.CSV"
    rows = [f"{user},{item},{user + item}" for user in range(3) for item in range(10)]
    path.write_text("\n".join(["user,item,rating", *rows]))
    made = registry.load(str(path), split="per-user", split_seed=0)
    assert (len(made.train), len(made.validation), len(made.test)) == (24, 3, 3)


def test_a_description_counts_and_is_json_ready() -> None:
    made = registry.load("synthetic", split="per-user", split_seed=0)
    told = asdict(description.describe(made))
    assert {k: told[k] for k in ("split", "users", "items", "train", "validation", "test", "warnings")} == {
        "split": "per-user",
        "users": 200,
        "items": 150,
        "train": 4800,
        "validation": 600,
        "test": 600,
        "warnings": (),
    }
    ps1 = description.describe(registry.load("synthetic", split="ps1", split_seed=0))
    assert (ps1.train, ps1.validation, ps1.test, ps1.users, ps1.items) == (5700, 0, 300, 201, 151)
    assert ps1.warnings


def test_the_hash_is_of_ids_values_rows_and_parts() -> None:
    made = registry.load("synthetic", split="per-user", split_seed=0)
    one = description.describe(made).sha256
    assert description.describe(registry.load("synthetic", split="per-user", split_seed=0)).sha256 == one

    def changed(**columns: object) -> str:
        return description.describe(replace(made, train=replace(made.train, **columns))).sha256

    ratings, ids = made.train.ratings.copy(), made.train.item_ids.copy()
    ratings[7] += 1
    ids[0] = "x"
    swapped = Split(made.name, made.train, made.test, made.validation)
    others = [
        changed(ratings=ratings),
        changed(item_ids=ids),
        changed(users=np.roll(made.train.users, 1)),
        description.describe(swapped).sha256,
        description.describe(registry.load("synthetic", split="per-user", split_seed=1)).sha256,
    ]
    assert len({one, *others}) == 6


def test_known_lists_every_named_source_and_fetches_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("trainable.data.movielens.user_cache_path", lambda *a, **k: tmp_path)
    listed = {known.name: known for known in registry.known()}
    assert list(listed) == list(registry.SOURCES)
    assert "10.1145/2827872" in listed["ml-100k"].terms
    assert not listed["ml-1m"].cached
    assert listed["synthetic"].cached
    assert listed["ml-1m"].path == tmp_path / "ml-1m" / "ratings.dat"
    assert not list(tmp_path.iterdir())
