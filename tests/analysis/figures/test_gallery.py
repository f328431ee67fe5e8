"""The page of figures in docs/: what its program writes, and what is kept in the repository."""

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from xml.etree import ElementTree

import pytest

from analysis.figures.drawing import Drawing
from analysis.report import read
from study.spec import presets

DOCS = Path(__file__).parents[3] / "docs"
IMAGE = re.compile(r"^!\[(.+)\]\((gallery/.+\.svg)\)$", re.MULTILINE)
MOST = 300_000
"""Bytes of a figure."""


@pytest.fixture(scope="module")
def program():
    spec = spec_from_file_location("gallery", DOCS / "gallery.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_figure_of_a_report_is_there_with_its_words_and_again_the_same(
    program, confirmed_search, tmp_path
):
    docs, written = tmp_path / "docs", []
    (docs / "gallery").mkdir(parents=True)
    (docs / "gallery" / "old.svg").write_text("gone")
    for _ in range(2):
        report = read(confirmed_search)
        program.gallery([report], docs)
        written.append({path.name: path.read_bytes() for path in docs.rglob("*.*")})
    drawings = [b for section in report.sections for b in section.blocks if isinstance(b, Drawing)]
    page = (docs / "report.md").read_text()
    assert written[0] == written[1]
    assert [path for _, path in IMAGE.findall(page)] == [
        f"gallery/{report.name}-{d.name}.svg" for d in drawings
    ]
    assert set(written[0]) == {"report.md"} | {f"{report.name}-{d.name}.svg" for d in drawings}
    for drawing in drawings:
        assert page.count(program.words(drawing.caption)) == page.count(program.words(drawing.reading)) == 1
        assert drawing.reading.count(". ") == 1


def test_the_page_in_the_repository_is_whole():
    page = (DOCS / "report.md").read_text(encoding="utf-8")
    shown = [path for _, path in IMAGE.findall(page)]
    assert sorted(shown) == sorted(f"gallery/{path.name}" for path in (DOCS / "gallery").glob("*"))
    assert {re.match(r"gallery/(\w+)-", path)[1] for path in shown} == set(presets())
    for path in shown:
        content = (DOCS / path).read_bytes()
        assert len(content) <= MOST
        assert ElementTree.fromstring(content).tag.endswith("svg")
