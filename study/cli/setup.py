"""The commands data, presets, schema and doctor."""

import json
from typing import Annotated

import typer
from rich.table import Table

from study.cli import local
from study.cli.arguments import SPEC_ARGUMENT, Address, Overrides
from study.cli.terminal import add_row, console, say


def data(
    source: Annotated[
        str | None, typer.Argument(help="Name of a dataset, or a .csv or .parquet file.")
    ] = None,
) -> None:
    """Download and verify a dataset; without a name, list the datasets."""
    from trainable.data.description import describe
    from trainable.data.registry import known, load

    if source is None:
        table = Table("name", "description", "cached", "terms")
        for entry in known():
            add_row(table, entry.name, entry.description, "yes" if entry.cached else "no", entry.terms)
        console.print(table)
        return
    counts = describe(load(source, split="per-user", split_seed=0))
    ratings = counts.train + counts.validation + counts.test
    say(f"{source}: {ratings} ratings of {counts.items} items by {counts.users} users")


def presets() -> None:
    """List the built-in specs."""
    from study.spec import presets

    for name, description in presets().items():
        say(f"{name:8} {description}")


def schema() -> None:
    """Print the JSON schema of a spec."""
    from study.spec import StudySpec

    print(json.dumps(StudySpec.model_json_schema(), indent=2))


def doctor(
    spec: Annotated[str | None, SPEC_ARGUMENT] = None,
    overrides: Overrides = None,
    address: Address = None,
) -> None:
    """Check what works on this machine or a cluster, and show the lanes that a spec would get."""
    from study import doctor
    from study.spec import resolve

    chosen = None if spec is None else resolve(spec, overrides or (), local.STUDIES_FOLDER)
    nodes, grows = ([], False) if address is None and chosen is None else doctor.offers(chosen, address)
    table = Table("item", "here" if address is None else "there", "")
    for finding in (*(doctor.findings() if address is None else ()), *doctor.offered(nodes)):
        add_row(table, finding.what, finding.found, "ok" if finding.fine else "missing")
    console.print(table)
    if chosen is not None:
        say("\n".join(doctor.gets(chosen, nodes, grows=grows)))
