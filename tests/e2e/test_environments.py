"""In any environment, a command works or names what is missing, without a traceback.

A table of environments × commands: a few of its cells in the suite, all of them in `make fuzz`.
"""

import re
import shutil
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from signal import SIGTERM

import httpx
import pytest
from command import DEADLINE_S, Ended, prepare, started, study, until, with_pid
from elsewhere import another_user
from formula import BASELINE
from heads import free_port

from study.cli.app import COMMANDS as ALL
from study.record.ledger import Ledger
from study.spec import StudySpec

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
SERVE = ("serve", "--port", "PORT")
SERVE_FROM_ELSEWHERE = (*SERVE, "--address", "http://127.0.0.1:1")
"""With the address of a Ray that does not run."""

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
    ("stop", "tiny"),
    ("delete", "tiny", "--yes"),
    ("restore", "old.backup", "--name", "again"),
    ("data", "ratings.csv"),
    ("presets",),
    ("schema",),
    ("token", "list"),
    SERVE_FROM_ELSEWHERE,
)
WITH_RAY = (
    *("no home", "a long folder for temporary files", "no folder for temporary files", "a proxy"),
    *("600 MB of address space", "closed output"),
)
"""Environments that a Ray of the service itself depends on; it takes seconds to start."""

SELECTED = (
    ("a terminal in ASCII", ("front", "tiny")),
    ("no locale", ("report", "tiny", "--markdown")),
    ("a backend that is none", ("report", "tiny")),
    ("LaTeX that is not there", ("report", "tiny")),
    ("settings that are broken", ("report", "tiny")),
    ("no locale", SERVE_FROM_ELSEWHERE),
    ("32 open files", SERVE),
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
    for command in (("run", "tiny.toml"), ("backup", "tiny", "old.backup")):
        ended = study(*command, cwd=here)
        assert ended.code == 0, ended
    for name, settings in (("rc", b"text.usetex: True\nfont.size: 40\n"), ("broken", b"\xff\xfe: \0\n")):
        (here / name).mkdir()
        (here / name / "matplotlibrc").write_bytes(settings)
    return here


def in_words(ended: Ended) -> None:
    """The law of this module."""
    assert ended.code in CODES, ended
    assert "Traceback" not in ended.out + ended.err, ended
    if ended.code == 2:
        assert re.search(r"^\w+Error: .", ended.err, re.MULTILINE), ended
    else:
        assert ended.err == "" or re.search(r"Warning|warn|matplotlib|none can start", ended.err), ended


def served(*command: str, cwd: Path, within: Sequence[str]) -> Ended:
    """Run a service until it has listed the studies once, or until it ends without."""
    port = free_port()
    with started(*(str(port) if word == "PORT" else word for word in command), cwd=cwd, within=within) as it:
        url, names = f"http://127.0.0.1:{port}/studies", list[str]()
        until(lambda: names.extend(listed(url)) or names or not it.running, "its answer, or its end")
        with_pid(it.process.pid, SIGTERM)
        ended = it.wait()
    assert ended.code == 2 or names == ["tiny"], (ended, names)
    return ended


def listed(url: str) -> list[str]:
    """The names of the studies that a service lists, if it answers."""
    try:
        answer = httpx.get(url, headers={"Accept": "application/json"}, trust_env=False, timeout=DEADLINE_S)
    except httpx.TransportError:
        return []
    return [study["name"] for study in answer.raise_for_status().json()["studies"]]


def check(environment: str, command: Sequence[str], there: Path, tmp_path: Path) -> Ended:
    here = tmp_path / "here"
    shutil.copytree(there, here)
    run = served if command[0] == "serve" else study
    ended = run(*command, cwd=here, within=ENVIRONMENTS[environment])
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
@pytest.mark.parametrize(
    ("environment", "command"),
    [*product(ENVIRONMENTS, COMMANDS), *product(WITH_RAY, [SERVE])],
    ids=lambda part: part if isinstance(part, str) else " ".join(part),
)
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


ADDRESSES = {"inline": 100, "local": 1000}
"""The values of `runtime.address`, with the number of free processes and threads that a run needs."""


@pytest.mark.parametrize("address", ["inline", pytest.param("local", marks=pytest.mark.long)])
def test_few_processes_are_refused_before_training(address: str, tmp_path: Path):
    """Root has no such limit. Catches: a traceback from the thread that cannot start, or a silent Ray."""
    here = prepare(tmp_path / "here")
    folder, most = here / "studies/tiny", ADDRESSES[address] - 20
    Ledger.open(StudySpec.load(here / "tiny.toml"), folder, BASELINE).close()
    before = {path: path.read_bytes() for path in folder.iterdir()}
    run = ("run", "tiny.toml", "--set", f"runtime.address={address}")
    within = (*another_user(here, processes=most), *sh("sleep 600 & :"))
    ended = study(*run, cwd=here, within=within)
    assert (ended.code, ended.err.count("\n")) == (2, 1), ended
    assert f"ulimit -u: {most} processes and threads, 1 of them in use, are too few; " in ended.err
    assert f"raise the limit to {ADDRESSES[address] + 1:,} or more" in ended.err
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.long
@pytest.mark.ray
@pytest.mark.parametrize("address", ADDRESSES)
def test_as_many_processes_as_wanted_are_enough(address: str, tmp_path: Path):
    """Catches: a limit that is accepted and is too small."""
    here = prepare(tmp_path / "here")
    run = ("run", "tiny.toml", "--set", f"runtime.address={address}")
    ended = study(*run, cwd=here, within=another_user(here, processes=ADDRESSES[address]))
    in_words(ended)  # matplotlib may find no folder for its cache
    assert (ended.code, "study tiny" in ended.out) == (0, True), ended
    assert (here / "studies/tiny/report/index.html").is_file()


def test_every_command_is_tried():
    """Catches: a command that is added without its row; one on a cluster needs a cluster."""
    assert {command[0] for command in COMMANDS} == {*ALL, "token"} - {"submit"}
