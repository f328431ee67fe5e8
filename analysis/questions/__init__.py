"""One question of the report a file: what the tables say of it."""
