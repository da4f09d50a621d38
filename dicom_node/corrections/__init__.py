"""Outlines that a reader has changed, and the job that they make."""
