"""Whether a disc is displaced: the training of what tells it, and how good it is.

Run as `python -m analysis.training.displacement fit` or `... evaluate`.
"""
