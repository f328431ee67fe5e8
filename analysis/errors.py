"""The errors of the analysis. Needs no library, so that the command line starts fast."""


class AnalysisError(ValueError):
    """A usage error: the message says what was given, what is allowed, and where."""
