"""The text of a spec: parse TOML, apply overrides, and report mistakes with their lines."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from trainable.contract import StudyError

KeyPath = tuple[str | int, ...]
"""Path of a value in the spec: ("space", "weight"), ("search", "initial", 1, "sharing")."""

BOM = "\ufeff"
"""The byte order mark that some editors put before a text."""

_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"({_KEY}(?:\s*\.\s*{_KEY})*)"
_HEADER = re.compile(rf"\s*\[\[?\s*{_DOTTED}\s*\]")
_ASSIGNMENT = re.compile(rf"\s*{_DOTTED}\s*=")

_TOML_TOKEN = re.compile(
    r'''(?P<part>[A-Za-z0-9_-]++|"""(?:[^"\\]|\\.|"(?!""))*+(?:"""|\Z)|"(?:[^"\\\n]|\\[^\n])*+"?'''
    r"""|'''(?:[^']|'(?!''))*+(?:'''|\Z)|'[^'\n]*+'?)|(?P<dot>\.)|(?P<other>\#[^\n]*+|[^\s.])""",
    re.DOTALL,
)
"""A token of TOML: a word or a string, a dot, or a separator. Every text is split in one pass."""

_WANTED = {
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "text in quotes",
    "tuple_type": "a list",
    "model_type": "a table",
    "finite_number": "a finite number",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "too_short": "a list of at least {min_length} values",
    "too_long": "a list of at most {max_length} values",
}
_FORMS = {"list": "a list", "value": "one value"}
_LONGEST_SHOWN = 60
_DEEPEST = 16
"""Limit of nested tables and lists: four are more than a spec needs."""

_LONGEST = 2**20
"""Limit of a spec's text, in characters; two thousand are usual."""

_MOST_MISTAKES = 20
"""Limit of mistakes that are reported one by one."""


class SpecError(StudyError):
    """Mistakes in a spec, one a line: the given value, the allowed values, and the place to correct."""


class MisplacedError(ValueError):
    """A mistake that concerns several keys, reported at `path` inside the section that found it."""

    def __init__(self, path: KeyPath, message: str) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True, slots=True)
class SpecText:
    """The values of a spec's text and its overrides, and the line of each."""

    where: str
    values: dict[str, Any]
    lines: Mapping[KeyPath, int]
    overridden: tuple[KeyPath, ...] = ()

    @classmethod
    def parse(cls, text: str, *, where: str) -> "SpecText":
        """The values of a TOML text; `where` names its origin in errors. SpecError if it is not TOML, or too
        long or too deep for a spec: parsing a key takes time quadratic in its depth.
        """
        _refuse_long(text, where)
        if _dotted_too_deep(text):
            raise _deep(where)
        text = text.removeprefix(BOM)
        try:
            values = tomllib.loads(text)
        except (ValueError, RecursionError) as error:  # also of too many digits or too deep nesting
            raise SpecError(f"{where}: is not valid TOML: {error}") from error
        return cls(where, _flat(values, where), _lines(text))

    @classmethod
    def parse_json(cls, text: str | bytes, *, where: str) -> "SpecText":
        """The values of a JSON text; `where` names its origin in errors. SpecError if it is not an object."""
        _refuse_long(text, where)
        if isinstance(text, str):
            text = text.removeprefix(BOM)
        try:
            values = json.loads(text, parse_constant=_no_number)
            json.dumps(values, ensure_ascii=False).encode()  # fails on half a surrogate pair
        except (ValueError, RecursionError) as error:
            raise SpecError(f"{where}: is not valid JSON: {error}") from error
        if not isinstance(values, dict):
            raise SpecError(f'{where}: is not a JSON object; write {{"name": …, "data": …, "budget": …}}')
        return cls(where, _flat(values, where), {})

    def override(self, overrides: Sequence[str]) -> "SpecText":
        """Apply each `section.key=value`; a value that is not TOML is a word. SpecError for other forms."""
        values, paths = _copy(self.values), []
        for override in overrides:
            key, equals, value = override.partition("=")
            names = [name.strip() for name in key.split(".")]
            if not equals or not all(names):
                raise SpecError(f"--set: {override!r} is not section.key=value; write e.g. budget.trials=10")
            table = values
            for name in names[:-1]:
                table = table.setdefault(name, {})
                if not isinstance(table, dict):
                    raise SpecError(
                        f"{'.'.join(names)}: {name} is not a table, so it has no keys to set (--set)"
                    )
            table[names[-1]] = _toml_or_word(value.strip())
            paths.append(tuple(names))
            if _too_deep(values):
                raise SpecError(
                    f"--set: {_shown(override)} is nested {_DEEPEST} deep; write e.g. budget.trials=10"
                )
        return SpecText(self.where, values, self.lines, self.overridden + tuple(paths))

    def error(self, error: ValidationError, model: type[BaseModel]) -> SpecError:
        """The SpecError for a validation error of `model`: one line, with its place, for each wrong value."""
        found: dict[KeyPath, list[ErrorDetails]] = {}
        for details in error.errors(include_url=False):
            if details["type"] == "default_factory_not_called":  # its cause is reported itself
                continue
            found.setdefault(self._path(details), []).append(details)
        # an error inside a value replaces those of its alternative forms about the whole value
        around = {path[:length] for path in found for length in range(len(path))}
        mistakes = [path for path in found if path not in around]
        lines = [self._line(path, found[path], model) for path in mistakes[:_MOST_MISTAKES]]
        if (more := len(mistakes) - _MOST_MISTAKES) > 0:
            lines.append(f"and {more} more mistakes ({self.where})")
        return SpecError("\n".join(lines))

    def _path(self, details: ErrorDetails) -> KeyPath:
        """The error's path as the user wrote it, without the names that pydantic gives to alternatives."""
        path: list[str | int] = []
        value: Any = self.values
        for step in details["loc"]:
            if _leads_into(value, step):
                value = value[step]
                path.append(step)
        if details["type"] == "missing" and isinstance(name := details["loc"][-1], str):
            path.append(name)
        if isinstance(cause := details.get("ctx", {}).get("error"), MisplacedError):
            path.extend(cause.path)
        return tuple(path)

    def _line(self, path: KeyPath, details: Sequence[ErrorDetails], model: type[BaseModel]) -> str:
        message = _message(path, details, model)
        dotted = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
        return f"{dotted}: {message} ({self._place(path)})" if dotted else f"{message} ({self.where})"

    def _place(self, path: KeyPath) -> str:
        for override in self.overridden:
            if path[: len(override)] == override or override[: len(path)] == path:
                return "--set"
        for length in range(len(path), 0, -1):
            if line := self.lines.get(path[:length]):
                return f"{self.where}:{line}"
        return self.where


def _flat(values: dict[str, Any], where: str) -> dict[str, Any]:
    """The values themselves. SpecError if they are nested too deep."""
    if _too_deep(values):
        raise _deep(where)
    return values


def _deep(where: str) -> SpecError:
    return SpecError(f"{where}: is nested {_DEEPEST} deep; a spec has sections, and keys in them")


def _refuse_long(text: str | bytes, where: str) -> None:
    if len(text) > _LONGEST:
        raise SpecError(f"{where}: is {len(text)} characters long; a spec has at most {_LONGEST}")


def _dotted_too_deep(text: str) -> bool:
    """True if a TOML text has a key of more than `_DEEPEST` parts, as `a.b.c`; takes one pass."""
    parts, dotted = 0, False
    for token in _TOML_TOKEN.finditer(text):
        if token.lastgroup == "part":
            parts = parts + 1 if dotted else 1
        elif token.lastgroup == "other":
            parts = 0
        dotted = token.lastgroup == "dot"
        if parts > _DEEPEST:
            return True
    return False


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a number in JSON")


def _lines(text: str) -> dict[KeyPath, int]:
    """The line (from 1) on which each table and key of a TOML text is first named; a light scan."""
    lines: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}
    section: KeyPath = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            section = _split(header[1])
            lines.setdefault(section, number)
            if line.lstrip().startswith("[["):
                counts[section] = counts.get(section, -1) + 1
                section = (*section, counts[section])
                lines[section] = number
        elif assignment := _ASSIGNMENT.match(line):
            names = _split(assignment[1])
            for length in range(1, len(names) + 1):
                lines.setdefault(section + names[:length], number)
    return lines


def _split(dotted: str) -> KeyPath:
    return tuple(name.strip("\"'") for name in re.findall(_KEY, dotted))


def _leads_into(value: Any, step: str | int) -> bool:
    """True if a step, a table's key or a list's index, exists in a value."""
    if isinstance(step, int):
        return isinstance(value, list) and step < len(value)
    return isinstance(value, dict) and step in value


def _too_deep(value: Any, levels: int = _DEEPEST) -> bool:
    """True if tables and lists are nested `levels` deep; looks no deeper."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_too_deep(item, levels - 1) for item in inside)


def _copy(value: Any) -> Any:
    return {key: _copy(item) for key, item in value.items()} if isinstance(value, dict) else value


def _toml_or_word(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if parsed.keys() == {"value"} else text


def _message(path: KeyPath, details: Sequence[ErrorDetails], model: type[BaseModel]) -> str:
    """The fault at `path` and the allowed values; `details` has an entry for each alternative."""
    first = details[0]
    match first["type"]:
        case "extra_forbidden":  # without the value: it may be a secret
            return f"unknown key; use {', '.join(_keys(model, path[:-1]))}"
        case "missing":
            return "a value is missing" if isinstance(first["loc"][-1], int) else "missing; it has no default"
        case "value_error":
            return str(first["ctx"]["error"])
    wanted = " or ".join(dict.fromkeys(map(_wanted, details)))
    fault = "known" if first["type"] == "literal_error" and isinstance(first["input"], str) else "possible"
    given = "this value" if path[:1] == ("storage",) else _shown(first["input"])  # it may be a secret
    return f"{given} is not {fault}; use {wanted}"


def _wanted(details: ErrorDetails) -> str:
    """The allowed values, in words."""
    context = details.get("ctx", {})
    if details["type"] == "literal_error":
        return str(context["expected"]).replace("'", "").replace(" or ", ", ")
    if details["type"] == "union_tag_invalid":
        tags = str(context["expected_tags"]).replace("'", "").split(", ")
        return " or ".join(_FORMS.get(tag, f"{{ {tag} = [low, high] }}") for tag in tags)
    if template := _WANTED.get(details["type"]):
        return template.format(**context)
    return details["msg"]


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python does not print it
        text = "a number of thousands of digits"
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model; making it takes longer than reading a spec."""
    return model.model_json_schema()


def _keys(model: type[BaseModel], path: KeyPath) -> list[str]:
    """The keys that `model` allows at `path`."""
    schema = _schema(model)
    node: Mapping[str, Any] = schema
    for step in path:
        node = node["items"] if isinstance(step, int) else node["properties"][step]
        ways = node.get("anyOf", [node])  # an optional section, or a value or a section
        node = next((way for way in ways if "$ref" in way), ways[0])
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return list(node["properties"])
