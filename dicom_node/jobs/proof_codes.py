"""Why a peer has not proven that it holds what it has stored."""

from __future__ import annotations

NOT_COMMITTED = "commitment-failed"
NOT_REPORTED = "commitment-not-reported"
NOT_FOUND = "results-not-found"
AWAITED = frozenset({NOT_REPORTED, NOT_FOUND})
"""The peer may still prove it, and is not in trouble."""
