"""The `study` command."""

from study.cli.app import main

__all__ = ["main"]
