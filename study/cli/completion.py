"""Shell completion of names, read from folders and file names so that a key press loads no library."""

from importlib.resources import files

from study.cli import local


def studies(incomplete: str) -> list[str]:
    """The studies here whose names begin with `incomplete`."""
    found = (path.parent.name for path in local.STUDIES.glob("*/study.toml"))
    return sorted(name for name in found if name.startswith(incomplete) and name.isprintable())


def specs(incomplete: str) -> list[str]:
    """The studies here, then the presets, that begin with `incomplete`; else the shell completes a path."""
    known = studies(incomplete)
    names = (path.name.removesuffix(".toml") for path in (files("study") / "spec" / "presets").iterdir())
    return [*known, *sorted(n for n in names if n.startswith(incomplete) and n not in known)]
