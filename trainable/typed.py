"""Dataclasses out of JSON, each value of exactly the type that its field names."""

from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def typed(kind: Any, value: Any, at: str) -> Any:
    """`value`, as `json.loads` gives it, as a `kind`: a dataclass, a tuple, a union, a Literal, a plain type.

    The inverse of `json` on `dataclasses.asdict`. ValueError that names the place, `at` and below, of what
    is of another type, missing, or unknown. A whole number is a real one, no truth value is a number.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        if not isinstance(value, dict) or value.keys() != hints.keys():
            raise ValueError(f"{at}: has other fields than {', '.join(hints)}")
        found = {name: typed(hint, value[name], f"{at}.{name}") for name, hint in hints.items()}
        return kind(**found)
    if origin is tuple and isinstance(value, list):
        return tuple(typed(arguments[0], item, f"{at}[{place}]") for place, item in enumerate(value))
    kinds = arguments if origin in (Union, UnionType) else (kind,)
    if not any(_is(value, each) for each in kinds):
        raise ValueError(f"{at}: {str(value)[:40]!r} is not of the type that belongs there")
    return value


def _is(value: Any, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return isinstance(value, str) and value in get_args(kind)
    if kind is float:
        return type(value) in (float, int)
    return type(value) is (NoneType if kind is None else kind)
