"""What is made of a study for others: tables, and models trained again."""
