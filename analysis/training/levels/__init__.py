"""Which disc is L5/S1: the training of what tells it from S1/S2.

Run as `python -m analysis.training.levels fit` or `... evaluate`.
"""
