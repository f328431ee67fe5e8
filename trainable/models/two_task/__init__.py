"""The two-task recommender."""
