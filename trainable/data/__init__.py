"""Rating sources and splits."""
