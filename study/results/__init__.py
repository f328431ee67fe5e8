"""Results of a study: exported tables, and models trained again."""
