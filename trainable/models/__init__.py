"""The two-task model, and the trivial models that it must beat."""
