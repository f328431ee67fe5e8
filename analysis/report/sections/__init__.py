"""The sections of a report, each the answer to one question."""
