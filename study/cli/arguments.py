"""Arguments and options that several commands take."""

from typing import Annotated

import typer

from study.cli import completion

Name = Annotated[
    str,
    typer.Argument(help="A study's name, as `study list` shows it.", autocompletion=completion.studies),
]
SPEC = typer.Argument(
    metavar="SPEC", help="A path, a study's name, or a preset.", autocompletion=completion.specs
)
Address = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Of a Ray cluster's dashboard, as http://head:8265: ask there instead of here."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override the spec, as in train.epochs=40. Repeatable."),
]
