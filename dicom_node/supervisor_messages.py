"""What the supervisor says to its child processes."""

from __future__ import annotations

STOP = "stop"
"""Take nothing more, end what you can, go."""
WARM = "warm"
"""Said to a worker when a series begins to arrive: load the science now."""
