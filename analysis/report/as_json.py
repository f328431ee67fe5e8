"""A report as JSON: the text of the page, and each formatted number with its full value."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

from analysis.figures.drawing import Drawing
from analysis.report.blocks import Block, Code, Findings, Section, TableBlock, Text
from analysis.text import Number

REPORT_SCHEMA = 1


def as_json(name: str, sections: Sequence[Section]) -> str:
    """The report as JSON; numbers that are not finite are null.

    A table's `rows` have the formatted cells, and `values` their full values: a number, its parts by name, or
    the text. Findings and each section's `numbers` are in full.
    """
    made = {
        "schema": REPORT_SCHEMA,
        "name": name,
        "sections": {
            section.name: {
                "title": section.title,
                "numbers": _plain(section.numbers),
                "blocks": [_block(block) for block in section.blocks],
            }
            for section in sections
        },
    }
    return json.dumps(made, indent=2, allow_nan=False)


def _block(block: Block) -> dict[str, Any]:
    """A block as JSON values."""
    match block:
        case Text():
            content = {"kind": block.kind, "text": block.text}
        case TableBlock():
            content = _grid(block)
        case Findings():
            findings = [_plain(asdict(f) | {"exploratory": f.exploratory}) for f in block.findings]
            content = _grid(block.grid()) | {"findings": findings}
        case Code():
            content = {"caption": block.caption, "text": block.text}
        case Drawing():
            content = {
                key: getattr(block, key) for key in ("name", "title", "caption", "reading", "description")
            }
    return {"form": block.form, **content}


def _grid(grid: TableBlock) -> dict[str, Any]:
    """A table with formatted cells and full values."""
    return {
        "caption": grid.caption,
        "columns": list(grid.columns),
        "rows": [[str(cell) for cell in row] for row in grid.rows],
        "values": [
            [_plain(cell.raw if isinstance(cell, Number) else cell) for cell in row] for row in grid.rows
        ],
    }


def _plain(value: object) -> Any:
    """A value that JSON can hold: NumPy's floats as Python's, None for numbers that are not finite."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    return value
