"""Any input is either a spec that survives a round trip, or a SpecError with a reason."""

from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from fuzz import damaged, nested, odd, refusal
from hypothesis import given
from hypothesis import strategies as st

from study.search.space import SearchSpace
from study.spec import StudySpec, presets
from study.spec.sections import Budget, Confirm, Data, Runtime, Search, Space, Stopping, Storage, Train

pytestmark = pytest.mark.fuzz

PARTS = {
    "data": Data,
    "train": Train,
    "space": Space,
    "search": Search,
    "stopping": Stopping,
    "budget": Budget,
    "confirm": Confirm,
    "storage": Storage,
    "runtime": Runtime,
}
KEYS = [
    *PARTS,
    "name",
    "objectives",
    *(f"{part}.{key}" for part, of in PARTS.items() for key in of.model_fields),
]
TEXTS = [StudySpec.preset(name).as_toml() for name in presets()]

reals = st.floats(allow_nan=False) | st.integers() | odd
forms = st.dictionaries(
    st.sampled_from(["uniform", "log", "logit", "int", "list"]),
    st.lists(reals, max_size=3) | st.lists(st.floats(0, 1), min_size=2, max_size=2).map(sorted),
    max_size=2,
)
values = odd | forms | nested | st.lists(odd | st.sampled_from(["none", "both", "mrr", "mse"]), max_size=4)
toml_words = st.sampled_from(
    [
        "1e999",
        "-nan",
        "0x" + "f" * 9,
        "1979-05-27T07:32:00Z",
        "07:32:00",
        "{a.b=1}",
        "[[1]]",
        "''",
        '"\\u0000"',
        "1_0",
    ]
)


def check(text: str, *overrides: str) -> None:
    """The law of this page: what is not refused is a spec like any other."""

    def made() -> None:
        spec = StudySpec.from_text(text, where="study.toml", overrides=overrides)
        again = StudySpec.from_text(spec.as_toml().encode().decode(), where="again")
        assert (again, again.fingerprint) == (spec, spec.fingerprint)
        SearchSpace(spec)

    assert refusal(made) != ""


def set_in(table: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    inner = reduce(lambda node, name: node.setdefault(name, {}), path, table)
    inner[last] = value


def writable(value: Any) -> bool:
    """True if TOML can represent it."""
    try:
        tomli_w.dumps({"value": value}).encode()
    except (TypeError, ValueError):
        return False
    return True


@given(st.text(st.characters(exclude_categories=[])) | st.from_regex(r'(\[+[a-z.]+\]+\n|[a-z."]+ = .*\n)*'))
def test_any_text(text: str):
    check(text)


@given(
    content=st.binary()
    | st.sampled_from(TEXTS).flatmap(lambda text: damaged(text.encode(), text[::-1].encode()))
)
def test_any_file(content: bytes, tmp_path: Path):
    path = tmp_path / "study.toml"
    path.write_bytes(content)
    refusal(lambda: StudySpec.load(path))


@given(
    text=st.sampled_from(TEXTS),
    changes=st.dictionaries(st.sampled_from(KEYS), values.filter(writable), max_size=4),
)
def test_odd_values_where_a_key_belongs(text: str, changes: dict[str, Any]):
    """In the text and, the same, in an override. Catches a value that pydantic lets through."""
    table = {"name": "base", "data": {"source": "synthetic"}, "budget": {"trials": 3}}
    try:
        for key, value in changes.items():
            set_in(table, key, value)
    except (AttributeError, TypeError):  # a part that has become a value: nothing goes below it
        pass
    check(tomli_w.dumps(table))
    check(text, *(f"{key}={tomli_w.dumps({'x': value}).partition('=')[2]}" for key, value in changes.items()))


@given(
    text=st.sampled_from(TEXTS),
    overrides=st.lists(
        st.text(st.characters(exclude_categories=[]), max_size=20)
        | st.builds(
            "{}={}".format, st.sampled_from(KEYS), toml_words | st.text(st.characters(exclude_categories=[]))
        )
        | st.builds("{}.{}={}".format, st.sampled_from(KEYS), st.sampled_from([*KEYS, '"', "0"]), toml_words),
        max_size=4,
    ),
)
def test_any_override(text: str, overrides: list[str]):
    check(text, *overrides)


@given(
    what=st.sampled_from(["a.", "[", "{a=", "[[a]]\n", "'", "[a.", "x = [", "train.", '"\\u0000".']),
    times=st.sampled_from([10, 400, 1100, 1500]),
    end=st.sampled_from(["", "a=1", "a=1}", "]", "=", "1"]),
)
def test_depth(what: str, times: int, end: str):
    """Nested input causes no deep recursion."""
    check(what * times + end)
    check(TEXTS[0], what * times + end, f"train.epochs={what * times}{end}")
