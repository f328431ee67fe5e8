"""What a study means: fronts, figures and reports, from tables alone."""
