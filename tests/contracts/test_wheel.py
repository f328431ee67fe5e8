"""The wheel contains exactly the three packages and their data files."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
ABOUT = f"pareto_study-{version('pareto-study')}.dist-info"
PACKAGES = ("analysis", "study", "trainable")
KINDS = {".py", ".typed", ".toml", ".html", ".js", ".css", ".txt"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.iterdir()
    return path


def test_it_holds_exactly_the_packages(wheel: Path) -> None:
    ours = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    about = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    with ZipFile(wheel) as archive:
        held = set(archive.namelist())
    assert held == ours | {f"{ABOUT}/{name}" for name in about}
    assert {Path(name).suffix for name in ours} == KINDS


def test_its_one_command_is_study(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        entry_points = archive.read(f"{ABOUT}/entry_points.txt").decode()
    assert entry_points.split() == ["[console_scripts]", "study", "=", "study.cli:main"]


def test_it_finds_its_data_files_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        "import analysis, study.spec, trainable\n"
        "from jinja2 import PackageLoader\n"
        "for name in study.spec.presets(): study.spec.StudySpec.preset(name)\n"
        "PackageLoader('analysis.report').list_templates().index('report.html')\n"
        "print(*(package.__path__[0] for package in (analysis, study, trainable)))\n"
    )
    command, environment = [sys.executable, "-P", "-c", code], os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.split() == [str(tmp_path / package) for package in PACKAGES]
