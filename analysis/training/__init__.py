"""Training of the networks that `analysis.inference` runs."""
