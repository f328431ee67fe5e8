"""The page, the Markdown and the JSON are one report: the same words, and the same numbers in full."""

import json
import math
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from markdown_it import MarkdownIt
from matplotlib.figure import Figure

from analysis import text
from analysis.report import read
from analysis.report.as_json import as_json
from analysis.report.blocks import Code, Findings, Section, TableBlock, Text
from analysis.report.html import page
from analysis.report.markdown import markdown
from analysis.stats import paired
from analysis.tables import Tables

HOSTILE = "<script>alert('x')</script> [a](b) | **c** `d` $e$ <!-- # 1. --> \x1b[31m &amp;"


def html_tables(html):
    tree = ElementTree.fromstring(html)
    return [
        [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")][1:]
        for table in tree.iter("table")
    ]


def markdown_tables(markdown):
    tree = ElementTree.fromstring(f"<x>{rendered(markdown)}</x>")
    return [
        [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")][1:]
        for table in tree.iter("table")
    ]


def rendered(markdown):
    """Markdown as HTML, its own HTML let through, as on the site of a pull request."""
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)


def grids(report):
    """The tables of the JSON, in the page's order."""
    blocks = (block for section in report["sections"].values() for block in section["blocks"])
    return [block for block in blocks if "rows" in block]


def bare(rows):
    """Cells without the backticks that mark code."""
    return [[cell.replace("`", "") for cell in row] for row in rows]


@pytest.fixture(params=["search", "four_cells"])
def report(request):
    made = request.getfixturevalue(request.param)
    return read(made if request.param == "search" else made())


def test_all_forms_show_the_same_tables(report):
    shown = [bare(grid["rows"]) for grid in grids(json.loads(report.json()))]
    assert shown
    assert html_tables(report.html()) == shown
    assert markdown_tables(report.markdown()) == shown


def test_cells_show_their_values_rounded(report):
    """A half of the last digit shown, or a digit in four for what has no fixed decimals."""
    checked = 0
    for grid in grids(json.loads(report.json())):
        for shown, values in zip(grid["rows"], grid["values"], strict=True):
            for cell, value in zip(shown, values, strict=True):
                if isinstance(value, dict):
                    value = value.get("mean", value.get("low"))
                if isinstance(value, str) or value is None or re.search(r"[<≤]| (s|min|h)\b", cell):
                    continue
                number = re.match(r"\[?([+−]?[\d.]+(?:e[+−-]\d+)?)", cell).group(1)
                decimals = len(number.partition(".")[2].partition("e")[0])
                near = float(number.replace("−", "-"))
                assert math.isclose(near, value, rel_tol=6e-4, abs_tol=0.500001 * 10.0**-decimals), cell
                checked += 1
    assert checked > 20


def test_the_numbers_of_the_sentences_are_those_of_the_tables(search):
    tables, report = Tables.load(search), read(search)
    machine = json.loads(report.json())["sections"]
    numbers = machine["verdict"]["numbers"]
    assert numbers["hypervolume"] == tables.hypervolume == machine["search"]["numbers"]["hypervolume"]
    assert numbers["front"] == len(tables.front) == machine["choice"]["numbers"]["front"]
    (data,) = (grid for grid in machine["search"]["blocks"] if grid["form"] == "grid")
    assert data["values"][-1][-1] == tables.hypervolume
    (front,) = (g for g in machine["front"]["blocks"] if g.get("caption", "").startswith("The front,"))
    column = front["columns"].index("MSE")
    assert [row[column]["mean"] for row in front["values"]] == tables.front["mse"].tolist()
    for form in (report.html(), report.markdown()):
        assert f"Hypervolume {numbers['hypervolume']:.5f} against the reference" in form


def test_findings_are_in_full(four_cells):
    sections = read(four_cells()).sections
    (claims,) = (section for section in sections if section.name == "claims")
    findings = [f for block in claims.blocks if isinstance(block, Findings) for f in block.findings]
    assert findings
    blocks = json.loads(as_json("x", [claims]))["sections"]["claims"]["blocks"]
    written = [f for block in blocks for f in block.get("findings", ())]
    for finding, found in zip(findings, written, strict=True):
        assert found["sentence"] == finding.sentence
        assert (found["effect"], found["low"], found["high"]) == (finding.effect, finding.low, finding.high)


def test_non_finite_numbers_are_null_and_one_pair_has_no_interval():
    finding = paired([1.0], [0.5], sentence="a against b", scope="here")
    blocks = [
        Findings("f", [finding]),
        TableBlock("g", ["x"], [[text.fixed(np.nan)], [text.spread(1.0, np.nan)]]),
    ]
    findings, grid = json.loads(as_json("x", [Section("s", "S", blocks)]))["sections"]["s"]["blocks"]
    assert (findings["findings"][0]["low"], findings["findings"][0]["effect"]) == (None, 0.5)
    assert findings["rows"][0][2] == "none from one seed"
    assert grid["values"] == [[None], [{"mean": 1.0, "sd": None}]]


def test_hostile_words_stay_words_in_every_form():
    grid = TableBlock(HOSTILE, ["a", HOSTILE], [[HOSTILE, text.fixed(0.5)]])
    folded = TableBlock(HOSTILE, ["a"], [[HOSTILE]], folded=True)
    code = Code(f"``` {HOSTILE} ````", HOSTILE)
    section = Section("s", HOSTILE, [Text(HOSTILE), Text(f"# {HOSTILE}"), grid, folded, code])
    shown = HOSTILE.replace("\x1b", "\ufffd").replace("`", "")

    tree = ElementTree.fromstring(f"<x>{rendered(markdown(HOSTILE, [section]))}</x>")
    assert {e.tag for e in tree.iter()} <= {
        *("x", "h1", "h2", "p", "code", "pre", "details", "summary"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    }
    cells = ["".join(cell.itertext()) for cell in tree.iter("td")]
    assert cells == [shown, "0.500", shown]
    assert len(list(tree.iter("h2"))) == 1

    tree = ElementTree.fromstring(page(HOSTILE, [section]))
    assert ["".join(cell.itertext()) for cell in tree.iter("td")] == [shown, "0.500", shown]
    assert json.loads(as_json(HOSTILE, [section]))["name"] == HOSTILE


def test_each_figure_is_drawn_once_in_each_format(search, tmp_path, monkeypatch):
    """The page and the file of an SVG come from one drawing."""
    drawn, save = [], Figure.savefig

    def savefig(figure, target, **options):
        drawn.append((id(figure), options.get("format") or target.suffix))
        save(figure, target, **options)

    monkeypatch.setattr(Figure, "savefig", savefig)
    read(search).save(tmp_path, Path.write_bytes)
    assert len(drawn) == len(set(drawn)) == 3 * len([*tmp_path.glob("*.pdf")]) > 0
