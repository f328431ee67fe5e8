"""The report of a study, in three forms: a self-contained page, Markdown, JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.figures import canvas
from analysis.figures.drawing import Drawing, Put
from analysis.questions.comparison import compare
from analysis.report import as_json, markdown
from analysis.report import html as page
from analysis.report.blocks import Section
from analysis.report.sections import together
from analysis.report.sections.registry import sections
from analysis.tables import Tables


@dataclass(frozen=True, slots=True)
class Report:
    """The name and the sections of a report, from which each form is made."""

    name: str
    sections: Sequence[Section]

    def html(self) -> str:
        """The report as one page."""
        return page.page(self.name, self.sections)

    def markdown(self) -> str:
        """The report for a pull request."""
        return markdown.markdown(self.name, self.sections)

    def json(self) -> str:
        """The report for programs, with every number in full."""
        return as_json.as_json(self.name, self.sections)

    def save(self, folder: Path, put: Put) -> Path:
        """Write the page to index.html in `folder`, after its figures (SVG, PDF, PNG); return its path."""
        made = self.html()
        folder.mkdir(parents=True, exist_ok=True)
        for block in (block for section in self.sections for block in section.blocks):
            if isinstance(block, Drawing):
                block.save(folder, put)
        index = folder / "index.html"
        put(index, made.encode())
        return index


def read(folder: Path) -> Report:
    """The report of the study in `folder`.

    AnalysisError if the study's tables or manifest are missing or invalid.
    """
    tables = Tables.load(folder)
    with canvas.defaults():
        return Report(tables.manifest["name"], sections(tables))


def read_several(folders: Sequence[Path]) -> Report:
    """The report of several studies on one page.

    AnalysisError if tables are missing or invalid, or if the studies are not comparable.
    """
    comparison = compare([Tables.load(folder) for folder in folders])
    with canvas.defaults():
        name = " + ".join(study.manifest["name"] for study in comparison.studies)
        return Report(name, together.sections(comparison))
