"""docs/stability.md lists exactly the public interfaces that the code has: none changes unnoticed."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click
from documents import first_column, section
from typer.main import get_command

import study
from study.cli.app import app
from study.service.app import application
from study.spec import StudySpec
from trainable.tune import TwoTask

PAGE = "docs/stability.md"
BROWSER = {"/", "/sign-in", "/sign-out"}
"""Pages for people."""


def rows(title: str) -> dict[str, list[str]]:
    """The two columns of a section's table: a name, and the code in the second column."""
    found = re.findall(r"^\| (.+?) \| (.+) \|$", section(PAGE, title), re.MULTILINE)
    return {name.strip("`[]"): re.findall(r"`([^`]+)`", rest) for name, rest in found[1:]}


def test_the_names_of_the_package_are_listed() -> None:
    calls = dict(python())
    assert rows("Python") == calls
    assert {name.partition(".")[0] for name in calls} == {*study.__all__, "Model", "Outcome", "TwoTask"}


def python() -> Iterator[tuple[str, list[str]]]:
    """Each public callable of the Python interface, with the names of its parameters."""
    for name in sorted(study.__all__):
        yield from public(name, getattr(study, name))
    yield from public("Model", study.load_model.__annotations__["return"])
    yield "Outcome", parameters(study.run.__annotations__["return"])
    yield "TwoTask.space", parameters(TwoTask.space)


def public(name: str, thing: Any) -> Iterator[tuple[str, list[str]]]:
    """A callable; of a class also the methods and properties that it defines itself."""
    if not inspect.isclass(thing):
        yield name, parameters(thing)
        return
    yield name, parameters(thing) if name == "Client" else []
    for member in sorted(vars(thing)):
        if member.startswith(("_", "model_")):
            continue
        found = inspect.getattr_static(thing, member)
        if isinstance(found, property):
            yield f"{name}.{member}", []
        elif callable(getattr(thing, member)):
            yield f"{name}.{member}", parameters(getattr(thing, member))


def parameters(function: Any) -> list[str]:
    """The names of a callable's parameters, but for `self`."""
    return [name for name in inspect.signature(function).parameters if name != "self"]


def test_the_commands_and_their_options_are_listed() -> None:
    assert rows("Commands") == dict(commands("study", get_command(app)))


def commands(name: str, command: Any) -> Iterator[tuple[str, list[str]]]:
    """Each command with its arguments and options, in order."""
    if isinstance(command, click.Group) or hasattr(command, "commands"):
        for below in sorted(command.commands):
            yield from commands(f"{name} {below}", command.commands[below])
        return
    shown = [p.opts if p.param_type_name == "option" else [p.name.upper()] for p in command.params]
    yield name, [option for options in shown for option in options]


def test_the_keys_of_a_spec_are_listed() -> None:
    found: dict[str, list[str]] = {"top level": []}
    for name, field in StudySpec.model_fields.items():
        kinds = (field.annotation, *get_args(field.annotation))
        below = [key for kind in kinds for key in getattr(kind, "model_fields", ())]
        if below:
            found[name] = below
        else:
            found["top level"].append(name)
    assert rows("Spec keys") == found


def test_the_columns_of_the_tables_are_those_of_their_page() -> None:
    """`test_front.py` compares that page with what is exported."""
    listed = rows("Files")
    assert listed == {name: first_column(section("docs/tables.md", f"`{name}`")) for name in listed}
    assert set(listed) == {"trials", "points", "measurements", "fresh", "confirmed", "users", "front.csv"}


def test_the_routes_are_listed_and_described(tmp_path: Path) -> None:
    paths = application(tmp_path, None).openapi()["paths"].items()
    routes = {f"{m.upper()} {path}" for path, methods in paths if path not in BROWSER for m in methods}
    assert set(first_column(section(PAGE, "HTTP routes"))) == routes
    assert set(first_column(section("docs/service.md", "Routes"))) == routes
