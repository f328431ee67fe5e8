"""One figure a file, and what figures share."""
