"""Imports of the three packages, those in functions too, against the tables below."""

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
        contract ← streams ← data ← metrics ← models
        models ← artifact
        disk ← artifact
        models ← engines ← job, slots
        disk, slots, typed ← checkpoint ← session
        contract ← exchange
        job, session ← tune
    """,
    "trainable.data": """
        interactions ← catalogue ← files
        interactions ← description, splits
        fetch, registry ← movielens
        interactions ← registry ← synthetic
    """,
    "trainable.models": """
        two_task, trivial
    """,
    "trainable.models.two_task": """
        losses, net, parameters
    """,
    "trainable.engines": """
        engine ← registry
        draws, engine ← alone
        alone, kernel ← numba
        alone, device ← plain
        engine ← stack ← group
        device, draws, group ← torch
    """,
    "analysis": """
        errors ← objective ← front ← attainment, tables
        objective ← stats, text
        attainment, stats, tables, text ← questions ← figures ← report
    """,
    "analysis.questions": """
        claim_cells ← claims, published
        confirmation ← resampling ← decision
        optimism, pick_commands, sharing, weight
        importance_basis ← importance_fit ← importance
        hypervolume_history ← comparison
    """,
    "analysis.figures": """
        canvas ← drawing ← style ← tooltips
        labels, style ← axes
        style ← inset ← front
        axes, tooltips ← confirmation, front
        axes ← comparison
        style ← claims, curves, effects, importance, search, weight
        front ← sharing
    """,
    "analysis.report": """
        blocks ← common ← sections
        blocks ← as_json, html, markdown
        as_json, html, markdown, sections ← build ← __init__
    """,
    "analysis.report.sections": """
        confirmed, decision ← verdict ← together
        choice, claims, cost, curves, front, importance, optimism, reproduce, search, sharing, trivial
        weight
        registry
    """,
    "study": """
        spec ← search ← record ← loop ← runtime, status
        limits, printable, signals ← runtime
        printable ← loop
        signals ← status ← results
        results, runtime ← remote ← service ← cli
        results, runtime ← runs
        limits, remote ← doctor
        service ← client
        client, runs ← __init__
        doctor, runs ← cli ← __main__
    """,
    "study.spec": """
        gpu_share ← lane_needs
        domains, database_url, lane_needs ← sections
        sections, toml_errors ← study ← __init__
    """,
    "study.search": """
        distinct ← space ← samplers
        origin ← samplers
    """,
    "study.search.samplers": """
        registry ← grid, keyed, qmc, random, tpe
        registry, unconditional ← gp, nsga2
    """,
    "study.record": """
        process ← rows ← decoded
        tables ← backends ← location ← decoded ← reader
        location, rows ← optuna_storage
        location ← version_tokens
        rows ← front
        front, reader ← tested
        optuna_storage, reader ← backup, ledger
        ledger ← deletion
    """,
    "study.record.backends": """
        backend ← postgres, sqlite
    """,
    "study.loop": """
        plateau ← budget
        rules ← judge
        events, lanes ← retries
        budget, judge, retries ← referee
        choice ← confirmation
    """,
    "study.loop.rules": """
        rule ← median, never, pareto_asha, registry
    """,
    "study.runtime": """
        __init__
        prefetch ← reconnect ← heartbeat, inline
        temporary ← private_ray
        minimal_ray, placement, private_ray ← ray_start
        placement ← preflight
        prometheus, reconnect ← actor
        actor, preflight, ray_start, tune_callback ← tune
        background, claim, heartbeat, inline, ray_head, tune ← run
    """,
    "study.status": """
        estimate, stage ← confirmation, searching
        confirmation, searching ← snapshot ← front_table ← text
        notebook, text ← live
        logs
    """,
    "study.results": """
        export ← report
        retrain ← pick
    """,
    "study.remote": """
        __init__
        direct ← ray_client
        homes ← result
        ray_client, result ← jobs ← commands, local_ray
    """,
    "study.service": """
        connection, middleware
        schemas ← cursor ← serialize
        schemas ← openapi, redaction, runner, summary_file
        serialize, summary_file ← cache ← events, reports
        accept, cache ← submission, tables
        redaction, runner, submission ← actions
        tokens ← auth
        accept, actions, auth, middleware, openapi ← pages
        events, pages, reports, tables ← routes ← app
        app, connection ← serve
    """,
    "study.cli": """
        local ← completion ← arguments
        local ← remote
        arguments, remote, terminal ← backup, inspect, report, run
        arguments, terminal ← setup
        local, terminal ← serve
        backup, inspect, report, run, serve, setup ← app ← __init__
    """,
}
"""A ← B: B may import A and whatever A may. Each package has the order of what is directly in it; an import
from one room into another goes by the order of the two rooms.

`__init__` is a package's own module: what `from study import …` finds. A `registry` has the names of the
modules beside it as text, and may import each of them when it is asked for.
"""

AGAINST = (("study.search.distinct", "study.record.rows"),)
"""Imports against the order: (module, target). The configurations tried so far are rows of the record."""

OWN_CODE = ("study", "study.runtime")
"""Packages with code in their `__init__`: names imported late, and a setting that Ray reads when imported."""

ABROAD = {
    "study": (
        *("trainable.contract", "trainable.artifact", "trainable.data", "trainable.disk", "trainable.typed"),
        *("analysis.errors", "analysis.objective", "analysis.front"),
    ),
    "study.results.retrain": ("trainable.engines", "trainable.job", "trainable.models.two_task.parameters"),
    "study.spec.sections": ("trainable.engines.registry",),
    "study.loop.confirmation": ("trainable.streams",),
    "study.search.samplers": ("trainable.streams",),
    "study.runtime": (
        "trainable.engines",
        "trainable.exchange",
        "trainable.job",
        "trainable.session",
        "trainable.models.trivial",
        "trainable.tune",
    ),
    "study.results.report": ("analysis.report",),
    "study.cli": ("analysis.report",),
}
"""What a module may import from the other two packages. The other two never import from one another."""

OUTSIDE = {
    "IPython": ("study.status.notebook",),
    "fastapi": ("study.service",),
    "jinja2": ("analysis.report.html", "study.service.pages"),
    "markupsafe": ("analysis.figures", "analysis.report"),
    "matplotlib": ("analysis.figures", "analysis.report.sections.choice"),
    "moocore": ("analysis.front", "analysis.attainment"),
    "numba": ("trainable.engines",),
    "numpy": PACKAGES,
    "optuna": (
        *("study.search.space", "study.search.samplers"),
        *("study.record.optuna_storage", "study.record.ledger"),
    ),
    "pandas": ("analysis", "study.results.export", "study.service.tables"),
    "platformdirs": ("trainable.data", "study.remote.homes"),
    "pyarrow": ("trainable.data",),
    "pydantic": ("study.spec", "study.service.schemas", "study.service.summary_file", "study.client"),
    "pydantic_core": ("study.spec.toml_errors",),
    "ray": ("trainable.exchange", "trainable.tune", "study.runtime", "study.remote"),
    "rich": ("study.status", "study.remote.commands", "study.runs", "study.cli", "trainable.data.fetch"),
    "safetensors": ("trainable.checkpoint", "trainable.artifact"),
    "scipy": (
        "analysis.stats",
        "study.search.samplers.qmc",
        "trainable.engines",
    ),
    "sqlalchemy": ("study.record",),
    "sqlite3": ("study.record.backends.sqlite", "study.record.location", "study.record.backup"),
    "starlette": ("study.service",),
    "threadpoolctl": ("trainable.engines",),
    "tomli_w": ("study.spec.study",),
    "torch": ("trainable.models.two_task", "trainable.engines", "study.doctor"),
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
        ("trainable.session", "import study.record.ledger"),
        ("trainable.session", "def f():\n    from analysis.front import box"),
        ("trainable.contract", "import trainable.data.files"),
        ("analysis.report.sections.front", "from study.record import ledger"),
        ("analysis.front", "if TYPE_CHECKING:\n    from analysis.tables import Tables"),
        ("study.spec.sections", "from study.record import ledger"),
        ("study.spec.study", 'RUNTIMES = {"ray": "trainable.tune:Lane"}'),
        ("study.status.snapshot", "from trainable.session import Session"),
        ("study.status.snapshot", "import trainable"),
        ("study.loop.rules.never", "from study.loop.referee import Referee"),
        ("study.loop.referee", "import ray"),
        ("study.runtime.inline", "import optuna.trial"),
        ("study.record.ledger", 'torch = import_module("torch")'),
        ("study.results.export", "import sqlite3"),
        ("study.cli.app", "import requests"),
        ("study.cli.app", "from . import ledger"),
        ("study", "from study.cli import app"),
        ("trainable", "from trainable.contract import Config"),
        ("study.newcomer", ""),
        ("study.record.newcomer", ""),
        ("study.record.backends.sqlite", "from study.record.backends.postgres import PostgreSQL"),
        ("study.record.rows", "from study.record.ledger import Ledger"),
        ("study.search.space", "from study.record.rows import TrialRecord"),
        ("study.status.live", "from study.runtime.run import run"),
        ("analysis.questions.sharing", "from analysis.figures.style import colour"),
        ("analysis.figures.front", "from analysis.report import read"),
        ("trainable.models.trivial", "from trainable.engines.registry import engine"),
    ],
)
def test_a_planted_import_is_caught(module: str, source: str) -> None:
    assert len(violations(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("trainable.session", "import json, numpy as np\nfrom trainable.engines.engine import Engine"),
        ("study.loop.rules.never", "from study.loop.rules.rule import Rule\nimport trainable.contract"),
        ("study.loop.rules.registry", 'RULES = {"never": "study.loop.rules.rule:judge"}'),
        ("study.record.ledger", '"""As text, trainable.session:Session is no import."""'),
    ],
)
def test_an_allowed_import_passes(module: str, source: str) -> None:
    assert violations(module, source) == []


@pytest.mark.parametrize(("module", "target"), AGAINST)
def test_an_exception_to_the_order_is_still_needed(module: str, target: str) -> None:
    assert target in imports(MODULES[module].read_text(encoding="utf-8"))


def test_a_package_has_no_code_of_its_own() -> None:
    """Its `__init__` has a docstring, imports and `__all__`, and no more."""
    coded = [name for name, path in MODULES.items() if path.name == "__init__.py" and _has_code(path)]
    assert coded == list(OWN_CODE)


def _has_code(path: Path) -> bool:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
                continue
            case ast.Assign(targets=[ast.Name(id="__all__")]):
                continue
        return True
    return False


def test_no_module_imports_itself_in_a_circle() -> None:
    TopologicalSorter({name: set(statements(source)) for name, source in sources()}).prepare()


def test_what_looks_at_a_study_needs_neither_torch_nor_ray() -> None:
    code = (
        "import sys; sys.modules.update(torch=None, numba=None, ray=None)\n"
        "import analysis.report, study.cli, study.results.export, study.status.snapshot\n"
        "import trainable.data.registry"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


def test_a_study_is_read_without_optuna() -> None:
    """It takes longer to import than thousands of trials to read."""
    code = (
        "import sys; sys.modules.update(optuna=None)\n"
        "import study.results.export, study.status.logs, study.status.text"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


def test_the_command_answers_before_it_imports_what_takes_time() -> None:
    code = "import sys, study.cli; print(*{module.partition('.')[0] for module in sys.modules})"
    done = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True)
    assert {*done.stdout.split()}.isdisjoint(
        {"torch", "numba", "ray", "pandas", "matplotlib", "optuna", "pydantic"}
    )


def test_the_tables_name_nothing_that_is_not_there() -> None:
    named = {f"{package}.{room}".removesuffix(".__init__") for package in ORDER for room in _below(package)}
    named |= {module for pair in AGAINST for module in pair}
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
    """The imports of `module` that the tables forbid, in words."""
    steps = module.split(".")
    for depth, step in enumerate(steps[1:], 1):
        if step not in _below(package := ".".join(steps[:depth])):
            return [f"{module}: {step!r} is in no line of ORDER[{package!r}]"]
    return [f"{module} may not import {target}" for target in imports(source) if not _may(module, target)]


def _may(module: str, target: str) -> bool:
    top, _, rest = target.partition(".")
    if top in OUTSIDE:
        return _within(module, OUTSIDE[top])
    if top == module.partition(".")[0]:
        return not rest or (module, target) in AGAINST or _upward(_steps(module), _steps(target))
    if top in PACKAGES:
        return _within(target, [t for who, ts in ABROAD.items() if _within(module, [who]) for t in ts])
    return top in sys.stdlib_module_names


def _upward(module: list[str], target: list[str]) -> bool:
    """True if the table of the smallest package with both of them allows the import."""
    if module[-1] == "registry" and module[:-1] == target[:-1]:
        return True
    depth = next((d for d, (a, b) in enumerate(zip(module, target, strict=False)) if a != b), None)
    return depth is not None and target[depth] in _below(".".join(module[:depth])).get(module[depth], set())


def _steps(module: str) -> list[str]:
    """The path of a module; a package is its `__init__`."""
    is_package = module in MODULES and MODULES[module].name == "__init__.py"
    return [*module.split("."), *(["__init__"] if is_package else [])]


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
