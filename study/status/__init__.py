"""Status of a study: snapshots, text, the live view, logs."""
