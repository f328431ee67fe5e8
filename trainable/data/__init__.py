"""Where ratings come from and how they are split."""
