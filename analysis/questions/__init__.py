"""The computations behind the report: one file for each question."""
