"""The report of a study, as HTML, Markdown and JSON."""

from analysis.report.build import Report, read, read_several

__all__ = ["Report", "read", "read_several"]
