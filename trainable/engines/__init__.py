"""Engines: the same mathematics on different hardware, one a file."""
