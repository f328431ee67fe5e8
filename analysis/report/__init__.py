"""The report of a study, in three forms."""

from analysis.report.build import Report, read, read_several, write

__all__ = ["Report", "read", "read_several", "write"]
