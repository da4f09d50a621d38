"""The revision of the encoders, of which the identity of every result is made."""

from __future__ import annotations

ENCODER_REVISION = 8
"""Raised by whoever makes the encoders write other bytes for the same result.

The version of the node is part of the identity beside it, for the objects name it.
"""
