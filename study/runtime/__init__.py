"""Runtimes of a study: in this process, or on Ray."""

import os

os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
"""Ray reads this when it is imported. Otherwise, below `uv run`, it uploads the working folder and starts
each worker with `uv run`. Our workers take the driver's own Python instead.
"""
