"""Analyses that are installed: which takes a series, and how one is run."""
