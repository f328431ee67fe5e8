"""Shell completion of names, from folders and file names: a key press imports no library."""

from importlib.resources import files

from study.cli import local


def studies(incomplete: str) -> list[str]:
    """Names of studies here that begin with `incomplete`."""
    found = (path.parent.name for path in local.STUDIES_FOLDER.glob("*/study.toml"))
    return sorted(name for name in found if name.startswith(incomplete) and name.isprintable())


def specs(incomplete: str) -> list[str]:
    """Names of studies here, then of presets, that begin with `incomplete`; the shell completes paths."""
    known = studies(incomplete)
    names = (path.name.removesuffix(".toml") for path in (files("study") / "spec" / "presets").iterdir())
    return [*known, *sorted(n for n in names if n.startswith(incomplete) and n not in known)]
