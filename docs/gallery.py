"""Write docs/report.md with the figures of all presets; run the presets that have not run here."""

from pathlib import Path

from analysis.figures.drawing import Drawing
from analysis.report import Report, read
from analysis.report.markdown import words
from study import StudySpec, run
from study.record.reader import Reader
from study.results.export import export

DOCS = Path(__file__).parent
PRESETS = ("ml100k", "ps1", "smoke")

OPENING = """# What a report shows

The figures of `study report` for the three presets, in the report's order, with a sentence on how to read
each. `make gallery` draws them; it runs the presets that have not run here. The report itself has more: an
answer to each question in a sentence, the numbers behind the figures as tables that sort by their headings,
contents that stay in sight, details of each mark under the pointer or the arrow keys, and fronts that zoom.
It follows the reader's light or dark theme. `--markdown` prints the report for a pull request, `--json` for
programs. [What the statements rest on](statements.md) has the test or estimate behind each kind of sentence,
its assumption, and the simulation that calibrates it."""


def gallery(reports: list[Report], docs: Path) -> None:
    """Write report.md into `docs`, and the figures of the reports into its folder gallery, and no others."""
    folder = docs / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    for drawn in folder.glob("*.svg"):
        drawn.unlink()
    parts = [OPENING]
    for report in reports:
        parts.append(f"## {words(report.name)}")
        for section in report.sections:
            drawings = [block for block in section.blocks if isinstance(block, Drawing)]
            parts += [f"### {words(section.title)}"] if drawings else []
            for drawing in drawings:
                path = folder / f"{report.name}-{drawing.name}.svg"
                path.write_text(drawing.svg(), encoding="utf-8")
                alt = words(f"{drawing.title}. {drawing.description}")
                parts.append(f"![{alt}]({path.relative_to(docs)})")
                parts.append(f"{words(drawing.caption)} *{words(drawing.reading)}*")
    (docs / "report.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def ran(preset: str) -> Report:
    """Report of a preset, after its study has run or resumed here if it is not complete."""
    folder = run(StudySpec.preset(preset)).folder
    export(Reader.read(folder), folder)
    return read(folder)


if __name__ == "__main__":
    gallery([ran(preset) for preset in PRESETS], DOCS)
