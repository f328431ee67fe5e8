"""Who imports whom: every import of the three packages, in functions too, against the tables below."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("trainable", "analysis", "study")

ORDER = {
    "trainable": """
        disk ← data
        contract ← streams ← data ← metrics ← trivial
        contract ← losses
        streams ← parameters ← model
        parameters, seal ← artifact
        losses, metrics, model ← engines ← job, slots
        seal, slots, typed ← checkpoint ← session
        job, session ← tune
    """,
    "analysis": """
        objective ← front ← attainment, compare, tables
        objective ← labels, text
        compare, tables, text ← cells ← claims, published
        compare, tables, text ← confirmation
        compare, tables ← factors ← importance
        canvas ← drawing
        drawing, tables, text ← marks
        tables ← picking
        marks, picking ← spots
        labels, marks ← axes
        axes, spots ← figures
        axes, confirmation, spots ← confirmed_figure
        marks ← curves_figure
        growth, marks ← search_figure
        claims, marks ← claims_figure
        compare, tables ← users
        users ← sections
        importance, marks ← importance_figure
        compare, tables, text ← sharing
        figures, sharing ← sharing_figure
        compare, tables ← trade
        marks, trade ← trade_figure
        claims_figure, confirmed_figure, curves_figure, importance_figure, published ← sections
        search_figure, sharing_figure, trade_figure ← sections
        front, tables ← growth
        attainment, compare, growth, text ← comparison
        axes, comparison ← comparison_figures ← sections
        sections ← machine, markdown, page ← report
    """,
    "study": """
        forms ← parts
        printable ← events, front_table, runtime
        parts, spec_text ← spec
        owner ← record
        spec ← sqlite
        record, spec ← distinct ← space ← samplers
        record, spec, sqlite ← database ← decoded ← reader
        database ← storage
        reader, samplers, storage ← ledger
        database ← marks
        distinct ← front
        front, ledger ← confirm
        front, reader ← plateau
        plateau ← budget
        spec ← rules
        front, ledger, rules ← judge
        ledger ← roster
        record ← running
        budget, events, judge, roster, running ← referee
        confirm, interrupt, referee ← runtime
        front, reader ← tested
        parts ← stage
        estimate, tested ← confirmed
        budget, confirmed, stage ← progress ← front_table ← view ← relay
        interrupt, notebook, view ← live
        progress ← export
        events ← logs
        ledger ← backup, erasing
        reader ← models
        front, models ← pick
        database ← homes ← answer ← runtime
        direct ← runtime, client
        limits ← runtime
        runtime ← relay
        runtime ← doctor
        export, live, runtime ← runs
        export, marks, runtime, view ← service ← client
        backup, doctor, erasing, export, live, logs, pick, relay, runs, service ← cli ← __main__
        client, runs ← __init__
    """,
}
"""A ← B: B may import A and whatever A may. A folder counts as one; inside it only a circle is forbidden.

`__init__` is a package's own module: what `from study import …` finds.
"""

ABROAD = {
    "study": (
        *("trainable.contract", "trainable.artifact", "trainable.data", "trainable.disk"),
        *("analysis.objective", "analysis.front"),
    ),
    "study.models": ("trainable.engines", "trainable.job", "trainable.parameters"),
    "study.parts": ("trainable.engines",),
    "study.confirm": ("trainable.streams",),
    "study.samplers": ("trainable.streams",),
    "study.runtime": (
        "trainable.engines",
        "trainable.job",
        "trainable.session",
        "trainable.trivial",
        "trainable.tune",
    ),
    "study.runs": ("analysis.report",),
    "study.cli": ("analysis.report",),
    "study.service": ("analysis.report",),
}
"""What a module may import from the other two packages. The other two never import from one another."""

OUTSIDE = {
    "IPython": ("study.notebook",),
    "fastapi": ("study.service",),
    "jinja2": ("analysis.page", "study.service.pages"),
    "markupsafe": ("analysis",),
    "matplotlib": ("analysis",),
    "moocore": ("analysis.front", "analysis.attainment"),
    "numba": ("trainable.engines",),
    "numpy": PACKAGES,
    "optuna": ("study.space", "study.samplers", "study.storage", "study.ledger"),
    "pandas": ("analysis", "study.export", "study.service.tables"),
    "platformdirs": ("trainable.data", "study.homes"),
    "pyarrow": ("trainable.data",),
    "pydantic": (
        "study.forms",
        "study.parts",
        "study.spec",
        "study.spec_text",
        "study.service.answers",
        "study.service.notes",
        "study.client",
    ),
    "pydantic_core": ("study.spec_text",),
    "ray": ("trainable.tune", "study.runtime"),
    "rich": (
        "study.front_table",
        "study.view",
        "study.live",
        "study.relay",
        "study.runs",
        "study.notebook",
        "study.cli",
        "trainable.data.fetch",
    ),
    "safetensors": ("trainable.checkpoint", "trainable.artifact"),
    "scipy": (
        "analysis.compare",
        "analysis.confirmation",
        "study.samplers.qmc",
        "trainable.engines",
    ),
    "sqlalchemy": (
        "study.record",
        "study.database",
        "study.sqlite",
        "study.storage",
        "study.reader",
        "study.ledger",
        "study.backup",
        "study.marks",
    ),
    "sqlite3": ("study.database", "study.sqlite", "study.backup"),
    "starlette": ("study.service",),
    "threadpoolctl": ("trainable.engines",),
    "tomli_w": ("study.spec",),
    "torch": ("trainable.losses", "trainable.model", "trainable.engines", "study.doctor"),
    "typer": ("study.cli",),
    "uvicorn": ("study.service.connection", "study.service.serve"),
}
"""A library, and the only modules that may import it; the standard library's others are free."""

UNDECLARED = {"pydantic-core", "starlette", "ipython"}
"""Distributions that come with another one: pydantic, fastapi, the notebook that the process runs in."""

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}

TARGET = re.compile(rf"({'|'.join(PACKAGES)})(\.\w+)*(?=:\w+$)")
"""The module of a "module:name" string, as the folders' tables have them."""


def test_every_import_goes_the_way_the_tables_allow() -> None:
    wrong = [f"{MODULES[name]}: {v}" for name, source in sources() for v in violations(name, source)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("trainable.session", "import study.ledger"),
        ("trainable.session", "def f():\n    from analysis.front import box"),
        ("trainable.contract", "import trainable.data.files"),
        ("analysis.sections.front", "from study import ledger"),
        ("analysis.front", "if TYPE_CHECKING:\n    from analysis.tables import Tables"),
        ("study.spec", "from study import ledger"),
        ("study.spec", 'RUNTIMES = {"ray": "trainable.tune:Lane"}'),
        ("study.progress", "from trainable.session import Session"),
        ("study.progress", "import trainable"),
        ("study.rules.never", "from study.referee import Referee"),
        ("study.referee", "import ray"),
        ("study.runtime.inline", "import optuna.trial"),
        ("study.ledger", 'torch = import_module("torch")'),
        ("study.export", "import sqlite3"),
        ("study.cli", "import requests"),
        ("study.cli", "from . import ledger"),
        ("study", "from study.cli import app"),
        ("trainable", "from trainable.contract import Config"),
        ("study.newcomer", ""),
    ],
)
def test_a_planted_import_is_caught(module: str, source: str) -> None:
    assert len(violations(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("trainable.session", "import json, numpy as np\nfrom trainable.engines import Engine"),
        ("study.rules.never", "from study.rules import Candidate\nfrom trainable.contract import Decision"),
        ("study.rules", 'RULES = {"never": "study.rules.never:judge"}'),
        ("study.ledger", '"""As text, trainable.session:Session is no import."""'),
    ],
)
def test_an_allowed_import_passes(module: str, source: str) -> None:
    assert violations(module, source) == []


def test_no_module_imports_itself_in_a_circle() -> None:
    TopologicalSorter({name: set(statements(source)) for name, source in sources()}).prepare()


def test_what_looks_at_a_study_needs_neither_torch_nor_ray() -> None:
    code = (
        "import sys; sys.modules.update(torch=None, numba=None, ray=None)\n"
        "import analysis.report, study.cli, study.export, study.progress, trainable.data"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


def test_a_study_is_read_without_optuna() -> None:
    """It takes longer to import than thousands of trials to read."""
    code = "import sys; sys.modules.update(optuna=None)\nimport study.export, study.logs, study.view"
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


def test_the_command_answers_before_it_imports_what_takes_time() -> None:
    code = "import sys, study.cli; print(*{module.partition('.')[0] for module in sys.modules})"
    done = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True)
    assert {*done.stdout.split()}.isdisjoint(
        {"torch", "numba", "ray", "pandas", "matplotlib", "optuna", "pydantic"}
    )


def test_the_tables_name_nothing_that_is_not_there() -> None:
    named = {f"{p}.{room}".removesuffix(".__init__") for p in PACKAGES for room in _below(p)}
    named |= set(ABROAD) | {t for targets in ABROAD.values() for t in targets}
    named |= {module for allowed in OUTSIDE.values() for module in allowed}
    assert named <= set(MODULES)
    imported = {target.partition(".")[0] for _, source in sources() for target in imports(source)}
    assert set(OUTSIDE) <= imported


def test_dependencies_are_declared_if_and_only_if_they_are_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[\[<>=]", line)[0].strip() for line in project["dependencies"]}
    makers, libraries = packages_distributions(), set(OUTSIDE) - sys.stdlib_module_names
    imported = {makers[library][0].lower().replace("_", "-") for library in libraries}
    served = {re.split(r"[\[<>=]", line)[0] for line in project["optional-dependencies"]["service"]}
    assert declared | served == imported - UNDECLARED


# --- the walk --------------------------------------------------------------------------------------------


def sources() -> Iterator[tuple[str, str]]:
    """Every module of the three packages, and its text."""
    return ((name, path.read_text(encoding="utf-8")) for name, path in MODULES.items())


def statements(source: str) -> Iterator[str]:
    """What a text imports by statement, wherever it stands; a submodule by its own name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            deeper = [f"{base}.{alias.name}" for alias in node.names]
            yield from dict.fromkeys(name if name in MODULES else base for name in deeper)


def imports(source: str) -> Iterator[str]:
    """What a text imports: by statement, by `import_module("…")`, or by a "module:name" string."""
    yield from statements(source)
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name
            case ast.Constant(value=str(text)) if target := TARGET.match(text):
                yield target.group()


def violations(module: str, source: str) -> list[str]:
    """What `module` imports and may not, in words."""
    package, _, room = module.partition(".")
    room = room.partition(".")[0]
    if room and room not in _below(package):
        return [f"{module} is in no line of ORDER[{package!r}]"]
    return [f"{module} may not import {target}" for target in imports(source) if not _may(module, target)]


def _may(module: str, target: str) -> bool:
    package, _, inside = module.partition(".")
    room = inside.partition(".")[0] or "__init__"
    top, _, rest = target.partition(".")
    if top in OUTSIDE:
        return _within(module, OUTSIDE[top])
    if top == package:
        return not rest or rest.partition(".")[0] in {room} | _below(package).get(room, set())
    if top in PACKAGES:
        return _within(target, [t for who, ts in ABROAD.items() if _within(module, [who]) for t in ts])
    return top in sys.stdlib_module_names


def _within(module: str, places: list[str] | tuple[str, ...]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def _below(package: str) -> dict[str, set[str]]:
    """Each room of a package, and every room below it."""
    on: dict[str, set[str]] = {}
    for line in ORDER[package].strip().splitlines():
        chain = [[room.strip() for room in group.split(",")] for group in line.split("←")]
        for lower, upper in zip([[], *chain], chain, strict=False):
            for room in upper:
                on.setdefault(room, set()).update(lower)
    below: dict[str, set[str]] = {}
    for room in TopologicalSorter(on).static_order():
        below[room] = on[room].union(*(below[lower] for lower in on[room]))
    return below
