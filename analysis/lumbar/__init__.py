"""Lumbar spine MR: from a sagittal T2 volume to measured discs."""
