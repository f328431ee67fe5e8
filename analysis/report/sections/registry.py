"""The sections of a report: each has a file, and a line in `SECTIONS`."""

from pkgutil import resolve_name

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
    "optimism": "analysis.report.sections.optimism:flattered",
    "confirmed": "analysis.report.sections.confirmed:confirmed",
    "decision": "analysis.report.sections.decision:decision",
    "search": "analysis.report.sections.search:search",
    "importance": "analysis.report.sections.importance:matters",
    "curves": "analysis.report.sections.curves:curves",
    "cost": "analysis.report.sections.cost:cost",
    "reproduce": "analysis.report.sections.reproduce:reproduce",
}
"""In the order of the page: name → the function from Tables to Section, or to None to leave it out."""


def sections(tables: Tables) -> list[Section]:
    """The sections of the report that apply to the study, in order."""
    made = (resolve_name(place)(tables) for place in SECTIONS.values())
    return [section for section in made if section is not None]
