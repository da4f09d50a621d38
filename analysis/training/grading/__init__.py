"""Fits the model of the Pfirrmann grade to SPIDER's labels, and shows how good it is.

Run as `python -m analysis.training.grading fit` and `... evaluate`.
"""
