"""The databases that a record may be in, a file for each."""
