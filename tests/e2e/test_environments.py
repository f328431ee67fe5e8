"""In any environment, a command works or names what is missing, without a traceback.

A table of environments × commands: a few of its cells in the suite, all of them in `make fuzz`.
"""

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from command import Ended, prepare, study

CACHES = "numba.core.caching"
LONG = "d" * 90
"""A folder name that is too long for the paths of sockets."""


def sh(words: str) -> tuple[str, ...]:
    """A command prefix that runs these words of shell first."""
    return ("sh", "-c", f'{words}; exec "$@"', "sh")


def env(*settings: str) -> tuple[str, ...]:
    """A command prefix that sets these variables, or with `-u NAME` unsets them."""
    return ("env", *settings)


ENVIRONMENTS: Mapping[str, tuple[str, ...]] = {
    "a terminal in ASCII": env("PYTHONIOENCODING=ascii"),
    "a terminal in Latin-1": env("PYTHONIOENCODING=latin-1"),
    "no locale": env("LC_ALL=POSIX", "PYTHONUTF8=0", "PYTHONCOERCECLOCALE=0"),
    "no terminal at all": env("TERM=", "COLUMNS=1", "NO_COLOR=1"),
    "a backend that is none": env("MPLBACKEND=bogus"),
    "LaTeX that is not there": env("MATPLOTLIBRC=rc/matplotlibrc", "PATH=/usr/bin:/bin"),
    "settings that are broken": env("MATPLOTLIBRC=broken/matplotlibrc"),
    "no home": env("-u", "HOME", "XDG_CACHE_HOME=/proc/none", "MPLCONFIGDIR=/proc/none"),
    "a long folder for temporary files": sh(f"mkdir -p {LONG}; export TMPDIR=$PWD/{LONG}"),
    "no folder for temporary files": env("TMPDIR=/proc/none"),
    "a proxy": env("http_proxy=http://127.0.0.1:1", "https_proxy=http://127.0.0.1:1", "all_proxy=x"),
    "a time zone that is none": env("TZ=Nowhere/None"),
    "200 MB of address space": sh("ulimit -v 200000"),
    "600 MB of address space": sh("ulimit -v 600000"),
    "32 open files": sh("ulimit -n 32"),
    "closed output": sh("exec >&-"),
    "numba has no cache": env(
        "-u", "NUMBA_CACHE_DIR", f"NUMBA_CACHE_LOCATOR_CLASSES={CACHES}.UserProvidedCacheLocator"
    ),
}
RUN = ("run", "tiny.toml", "--set", "name=new", "--set", "budget.trials=1")
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("list",),
    ("status", "tiny"),
    ("front", "tiny"),
    ("logs", "tiny"),
    ("doctor", "tiny.toml"),
    RUN,
    ("report", "tiny"),
    ("report", "tiny", "--markdown"),
    ("export", "tiny"),
    ("confirm", "tiny"),
    ("pick", "tiny", "--knee"),
    ("backup", "tiny", "tiny.backup"),
    ("presets",),
    ("token", "list"),
)
SELECTED = (
    ("a terminal in ASCII", ("front", "tiny")),
    ("no locale", ("report", "tiny", "--markdown")),
    ("a backend that is none", ("report", "tiny")),
    ("LaTeX that is not there", ("report", "tiny")),
    ("settings that are broken", ("report", "tiny")),
    ("no home", RUN),
    ("200 MB of address space", ("report", "tiny")),
    ("32 open files", RUN),
    ("numba has no cache", RUN),
)
SLOW = ("LaTeX that is not there", "a backend that is none", "numba has no cache")
"""Those that `make long` has: two like "settings that are broken", and one that compiles all kernels."""
CODES = (0, 2)
"""The README's exit codes, without those of a signal or a failed study."""


@pytest.fixture(scope="module")
def study_there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished study in it, and settings of matplotlib's that break figures."""
    here = prepare(tmp_path_factory.mktemp("environments") / "here")
    ended = study("run", "tiny.toml", cwd=here)
    assert ended.code == 0, ended
    for name, settings in (("rc", b"text.usetex: True\nfont.size: 40\n"), ("broken", b"\xff\xfe: \0\n")):
        (here / name).mkdir()
        (here / name / "matplotlibrc").write_bytes(settings)
    return here


def in_words(ended: Ended) -> None:
    """The law of this module."""
    assert ended.code in CODES, ended
    assert "Traceback" not in ended.out + ended.err, ended
    assert (ended.err == "") or ended.code == 2 or re.search(r"Warning|warn|matplotlib", ended.err), ended


def check(environment: str, command: Sequence[str], there: Path, tmp_path: Path) -> Ended:
    here = tmp_path / "here"
    shutil.copytree(there, here)
    ended = study(*command, cwd=here, within=ENVIRONMENTS[environment])
    in_words(ended)
    return ended


@pytest.mark.parametrize(
    ("environment", "command"),
    [
        pytest.param(e, c, id=f"{e}: {c[0]}", marks=[pytest.mark.long] if e in SLOW else [])
        for e, c in SELECTED
    ],
)
def test_a_command_works_or_says_what_is_missing(
    environment: str, command: tuple[str, ...], study_there: Path, tmp_path: Path
):
    ended = check(environment, command, study_there, tmp_path)
    limited = "address space" in environment or "open files" in environment
    assert (ended.code, "ulimit" in ended.err) == ((2, True) if limited else (0, False)), ended


@pytest.mark.fuzz
@pytest.mark.long
@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_any_command_in_any_environment(
    environment: str, command: tuple[str, ...], study_there: Path, tmp_path: Path
):
    check(environment, command, study_there, tmp_path)


@pytest.mark.long
def test_figures_ignore_the_matplotlib_configuration(study_there: Path, tmp_path: Path):
    """A report has our font, not the user's."""
    made = []
    for name, within in (("plain", ()), ("told", env("MATPLOTLIBRC=rc/matplotlibrc", "MPLBACKEND=bogus"))):
        here = tmp_path / name
        shutil.copytree(study_there, here)
        in_words(study("report", "tiny", cwd=here, within=within))
        made.append({p.name: p.read_bytes() for p in (here / "studies/tiny/report").glob("*.svg")})
    assert made[0]
    assert made[0] == made[1]


def test_the_needs_of_ray_are_checked_before_training(tmp_path: Path):
    """The error names the remedy at once; there is no traceback."""
    here = prepare(tmp_path / "here")
    ended = study(
        "run",
        "tiny.toml",
        "--set",
        "runtime.address=local",
        cwd=here,
        within=sh("ulimit -v 4000000; ulimit -n 256"),
    )
    assert (ended.code, ended.err.count("ulimit")) == (2, 2), ended
    assert not (here / "studies").exists()
