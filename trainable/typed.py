"""Dataclasses from JSON, with strict types."""

from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def typed(kind: Any, value: Any, at: str) -> Any:
    """Convert `value`, as from `json.loads`, into a dataclass, tuple, union, Literal or plain type `kind`.

    The inverse of `json` on `dataclasses.asdict`. ValueError, which names the place at or below `at`, for a
    value that is of another type, missing, or unknown. An int is accepted as float, a bool is not.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        if not isinstance(value, dict) or value.keys() != hints.keys():
            raise ValueError(f"{at}: its fields must be {', '.join(hints)}")
        found = {name: typed(hint, value[name], f"{at}.{name}") for name, hint in hints.items()}
        return kind(**found)
    if origin is tuple and isinstance(value, list):
        return tuple(typed(arguments[0], item, f"{at}[{place}]") for place, item in enumerate(value))
    kinds = arguments if origin in (Union, UnionType) else (kind,)
    if not any(_is(value, each) for each in kinds):
        raise ValueError(f"{at}: {str(value)[:40]!r} has the wrong type")
    return value


def _is(value: Any, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return isinstance(value, str) and value in get_args(kind)
    if kind is float:
        return type(value) in (float, int)
    return type(value) is (NoneType if kind is None else kind)
