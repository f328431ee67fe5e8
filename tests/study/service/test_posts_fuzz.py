"""The service answers every post soon, and refuses with a reason."""

import json
import time
from collections.abc import Iterator

import pytest
import tomli_w
from fuzz import damaged, distorted, nested
from hypothesis import example, given, settings
from hypothesis import strategies as st
from serving import Served, served

from study.service.accept import JSON, TOML
from study.service.middleware import MOST_BODY_BYTES
from study.spec import StudySpec, presets

pytestmark = pytest.mark.fuzz

often = settings() if settings.default.max_examples >= 1000 else settings(max_examples=80)
"""`make fuzz` tries as many as its profile says."""

CPU_S, CPU_S_PER_KB = 1.0, 0.03
"""Largest CPU time of a post, client and service together: ten times that of the most expensive one."""

SPECS = [StudySpec.preset(name) for name in presets()]
SMALL = 'name = "a"\ndata.source = "synthetic"\nbudget.trials = 3\n'

texts = st.sampled_from([spec.as_toml() for spec in SPECS])
values = st.sampled_from([spec.model_dump(mode="json", exclude_none=True) for spec in SPECS])
pieces = st.sampled_from(
    [
        *(
            "a.",
            "a . ",
            '"a".',
            "'a'.",
            "[",
            "{a=",
            "[[a]]\n",
            "[a.b]\n",
            '"',
            "'",
            '"""',
            "'''",
            '"""\\',
            "#",
        ),
        *(
            "1",
            "f",
            "9e",
            "a ",
            "a=1\n",
            "\n",
            "\t",
            "\\",
            "\x00",
            "\ud7ff",
            "[1,",
            '["x",',
            "{weight=2},",
            "0.1,",
        ),
        *(
            '{"a":',
            '{"space":',
            '["',
            "null,",
            "\\u0000",
            "é",
            "1_",
            "-",
            "true,",
            "k={},",
            ".",
            ",",
            "=",
            "]}",
        ),
    ]
)
heads = st.sampled_from(
    [
        *("", SMALL, f"{SMALL}[space]\nweight = [", f"{SMALL}[space]\nlearning_rate = [", f"{SMALL}x = 0x"),
        *(
            f"{SMALL}[search]\ninitial = [",
            f"{SMALL}[",
            f'{SMALL}x = "',
            f"{SMALL}x = {{",
            '{"name": "a", "x": [',
        ),
        '{"name": "a", "data": {"source": "synthetic"}, "budget": {"trials": 3}, "space": {"weight": [',
    ]
)
tails = st.sampled_from(["", "]", "}", "]}", "a]\n", "=1", "a=1", '"', "1]", "]}}"])
hostile = st.builds(
    lambda head, piece, times, tail: f"{head}{piece * times}{tail}"[: MOST_BODY_BYTES // 2],
    heads,
    pieces,
    st.sampled_from([3, 40, 1000, 30_000]),
    tails,
)
numbered = st.builds(
    lambda head, line, times: head + "".join(line.format(number) for number in range(times)),
    st.sampled_from([SMALL, "", f"{SMALL}[space]\n"]),
    st.sampled_from(["k{}=1\n", "[k{}]\n", "a.k{}=1\n", "[[k{}]]\n", "[a.b.c.d.e.f.k{}]\nx=1\n"]),
    st.sampled_from([3, 400, 4000]),
)
bodies = (
    st.binary(max_size=300)
    | st.text(max_size=300).map(str.encode)
    | texts.flatmap(lambda text: damaged(text.encode(), text[::-1].encode()))
    | values.flatmap(distorted).map(lambda value: json.dumps(value).encode())
    | values.flatmap(distorted).filter(lambda value: writable(value)).map(lambda v: tomli_w.dumps(v).encode())
    | nested.map(lambda value: json.dumps(value).encode())
    | hostile.map(str.encode)
    | numbered.map(str.encode)
)


def writable(value: object) -> bool:
    """True if TOML can express the value."""
    try:
        tomli_w.dumps(value).encode()
    except (TypeError, ValueError, AttributeError):
        return False
    return True


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("posts") / "studies") as running:
        yield running


@example(body=f"{SMALL}[space]\nweight = [{'1.5,' * 15_000}]".encode(), kind=TOML)
@example(body=b"".join(b"k%d=1\n" % number for number in range(7000)), kind=TOML)
@example(body=b"a." * 30_000 + b"a=1", kind=TOML)
@example(body=SMALL.replace("3", f"0x{'f' * 9000}").encode(), kind=TOML)
@often
@given(body=bodies, kind=st.sampled_from([JSON, TOML, f"{TOML}; charset=latin-1", "text/plain"]))
def test_any_post_is_answered_in_bounded_time(service: Served, body: bytes, kind: str):
    """There is no unexpected error, and the work grows linearly with the size of the post."""
    body = body[:MOST_BODY_BYTES]
    began = time.process_time()
    with service.client() as client:
        answer = client.post("/studies", content=body, headers={"Content-Type": kind})
    spent = time.process_time() - began
    assert answer.status_code in (200, 201, 409, 415, 422), answer.text
    assert spent < CPU_S + CPU_S_PER_KB * len(body) / 1000
    assert len(answer.text) < 20_000 + 2 * len(body)
