"""The sections of a report: each has a file, and a line in `SECTIONS`."""

from importlib import import_module
from typing import cast

from analysis.report.blocks import Section
from analysis.tables import Tables

SECTIONS = {
    "verdict": "analysis.report.sections.verdict:verdict",
    "trivial": "analysis.report.sections.trivial:trivial",
    "front": "analysis.report.sections.front:front",
    "sharing": "analysis.report.sections.sharing:sharing",
    "weight": "analysis.report.sections.weight:weight",
    "claims": "analysis.report.sections.claims:claims",
    "choice": "analysis.report.sections.choice:choice",
    "confirmed": "analysis.report.sections.confirmed:confirmed",
    "search": "analysis.report.sections.search:search",
    "importance": "analysis.report.sections.importance:matters",
    "curves": "analysis.report.sections.curves:curves",
    "cost": "analysis.report.sections.cost:cost",
    "reproduce": "analysis.report.sections.reproduce:reproduce",
}
"""In the order of the page: name → the function from Tables to Section, or to None to leave it out."""


def sections(tables: Tables) -> list[Section]:
    """The sections of the report that apply to the study, in order."""
    made = []
    for place in SECTIONS.values():
        module, _, function = place.partition(":")
        section = cast(Section | None, getattr(import_module(module), function)(tables))
        if section is not None:
            made.append(section)
    return made
