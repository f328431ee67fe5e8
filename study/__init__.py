"""What to run, where, and the record of it."""
