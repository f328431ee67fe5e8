"""Arguments and options that several commands take."""

from typing import Annotated

import typer

from study.cli import completion

NameArgument = Annotated[
    str,
    typer.Argument(help="Name of a study; see `study list`.", autocompletion=completion.studies),
]
SPEC_ARGUMENT = typer.Argument(
    metavar="SPEC", help="Path of a spec, name of a study, or preset.", autocompletion=completion.specs
)
Address = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Run the command on a Ray cluster; URL of its dashboard, as http://head:8265."
    ),
]
AsJsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a key of the spec, as in train.epochs=40. Repeatable."
    ),
]
