"""Damage for fuzz tests: bytes that are cut, changed or moved, and unexpected values."""

import json
from collections.abc import Callable, Iterator
from math import inf, nan
from typing import Any

from hypothesis import strategies as st

from trainable.contract import StudyError

ODD_NUMBERS = (0, -1, 1, 2**31, 2**32, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**30, 10**400)
ODD_REALS = (-0.0, 0.5, 5e-324, 1.7e308, -1e-9, nan, inf, -inf)
ODD_TEXTS = ("", " ", "\0", "a\0", "\n", "ä", "𝕌", "\u202e", "\ufeff", "full", "auto", "none", "x" * 5000)

odd = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(ODD_NUMBERS),
    st.sampled_from(ODD_REALS),
    st.sampled_from(ODD_TEXTS),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
)
"""Plain values of any kind."""

nested = st.recursive(
    odd,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.just("logit"), inner, max_size=4)
    ),
    max_leaves=8,
)
"""Values of any kind, including nested lists and tables."""


@st.composite
def damaged(draw: st.DrawFn, content: bytes, other: bytes = b"") -> bytes:
    """`content` after one to three damages; `other` is a file of the same kind that may be mixed in."""
    for _ in range(draw(st.integers(1, 3))):
        a = draw(st.integers(0, len(content)))
        b = draw(st.integers(a, min(a + 12, len(content))) | st.just(len(content)))
        match draw(st.sampled_from(["cut", "flip", "put", "repeat", "splice", "zero"])):
            case "cut":
                content = content[:a] + content[b:]
            case "flip" if a < len(content):
                content = content[:a] + bytes([content[a] ^ draw(st.integers(1, 255))]) + content[a + 1 :]
            case "put":
                content = content[:a] + draw(st.binary(max_size=12)) + content[b:]
            case "repeat":
                content = content[:b] + content[a:b] + content[b:]
            case "splice":
                content = content[:a] + other[a:]
            case "zero":
                content = content[:a] + bytes(b - a) + content[b:]
    return content


@st.composite
def distorted(draw: st.DrawFn, value: Any) -> Any:
    """A JSON-ready value in which one part is changed, missing, doubled, or new."""
    value = json.loads(json.dumps(value))
    places = list(_places(value))
    holder, key = draw(st.sampled_from(places))
    match draw(st.sampled_from(["change", "change", "drop", "double", "add"])):
        case "drop":
            del holder[key]
        case "double" if isinstance(holder, list):
            holder.append(holder[key])
        case "add" if isinstance(holder, dict):
            holder[draw(st.text(max_size=5))] = draw(nested)
        case _:
            holder[key] = draw(nested)
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (table or list, key) below a value."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def refusal(act: Callable[[], object]) -> str | None:
    """The message of the StudyError that an act raises, or None. Any other error is a finding."""
    try:
        act()
    except StudyError as error:
        return str(error)
    return None
