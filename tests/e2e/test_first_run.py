"""A first run compiles the kernel, which takes seconds, and says so; the next finds it on the disk."""

from pathlib import Path

import pytest
from command import prepare, study

from study.runtime.run import COMPILING


@pytest.mark.long
def test_a_first_run_says_that_it_compiles_and_the_next_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "compiled"))
    here = prepare(tmp_path / "here")
    counts = []
    for name in ("first", "second"):
        ended = study("run", "tiny.toml", "--set", f"name={name}", "--set", "budget.trials=1", cwd=here)
        assert ended.code == 0, ended
        counts.append(ended.out.count(COMPILING))
    assert counts == [1, 0]
