"""The study loop: decides which trials run, stop and start again."""
