"""The `study` command. A usage error is one line on stderr, with exit code 2.

Each file has one group of commands, a thin function each. Commands import slow modules themselves, so
`study --help` answers at once, and `study list` works without torch and Ray.
"""

import atexit
import gc
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, NoReturn

import typer

from analysis.errors import AnalysisError
from study.cli import backup, inspect, local, report, run, serve, setup
from study.cli.terminal import complain, speak_plainly
from trainable.contract import StudyError, first_line

COMMANDS: Mapping[str, Callable[..., None]] = {
    "run": run.run,
    "confirm": run.confirm,
    "submit": run.submit,
    "stop": run.stop,
    "delete": backup.delete,
    "backup": backup.backup,
    "restore": backup.restore,
    "list": inspect.list_,
    "status": inspect.status,
    "logs": inspect.logs,
    "front": inspect.front,
    "pick": inspect.pick,
    "export": report.export,
    "report": report.report,
    "serve": serve.serve,
    "data": setup.data,
    "presets": setup.presets,
    "schema": setup.schema,
    "doctor": setup.doctor,
}
"""All commands in the order of `study --help`, except the group `token`."""

EACH = 100_000
"""New objects between garbage collections. Commands keep what they import and read: with Python's default of
700, collections take a tenth of `study status`. So does the one at exit, which `main` avoids.
"""

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
for name, command in COMMANDS.items():
    app.command(name, no_args_is_help=name == "run")(command)
app.add_typer(serve.tokens, name="token")


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"study {version('pareto-study')}")
        raise typer.Exit


@app.callback()
def study(
    _version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit."),
    ] = False,
) -> None:
    """Pareto studies of two-task recommenders: ranking (MRR) against rating (MSE)."""


def main() -> None:
    """Run the command; a usage error prints one line, not a traceback."""
    speak_plainly()
    gc.set_threshold(EACH)
    atexit.register(gc.freeze)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM acts like Ctrl-C
    try:
        _translate()
    except ImportError as error:
        _refuse(f"{type(error).__name__}: {error}; `study doctor` shows what is missing here")
    except MemoryError as error:
        _refuse(f"MemoryError: {error or 'not enough memory'}; free some, or raise `ulimit -v`")


def _translate() -> None:
    """Run the command and print its usage errors, which may itself need an import."""
    try:
        app()
    except (StudyError, AnalysisError) as error:
        _refuse(f"{type(error).__name__}: {error}")
    except OSError as error:
        where = error.filename or f"{local.STUDIES_FOLDER} or {os.environ.get('TMPDIR', '/tmp')}"  # noqa: S108
        _refuse(f"{type(error).__name__}: {where}: {error.strerror or error}")
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # not SystemExit, which ends every command
        from study.record.optuna_storage import STORAGE_ERRORS  # the import takes a second

        if not isinstance(error, STORAGE_ERRORS):
            raise
        _refuse(f"{local.STUDIES_FOLDER}: a study's record cannot be read or written: {first_line(error)}")


def _refuse(message: str) -> NoReturn:
    complain(message)
    sys.exit(2)
