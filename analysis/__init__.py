"""Analysis of studies: fronts, figures and reports, from exported tables alone."""
