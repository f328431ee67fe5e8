"""What is trained, and the trivial models that it has to beat."""
