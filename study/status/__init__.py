"""How a study stands: snapshots, text, the live view, logs."""
