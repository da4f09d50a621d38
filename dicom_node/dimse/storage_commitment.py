"""The Storage Commitment Push Model, as both directions of the network know it.

PS3.4 annex J.
"""

from __future__ import annotations

PUSH_MODEL = "1.2.840.10008.1.20.1"
"""SOP class."""
PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1.1"
"""The well-known SOP instance that an N-ACTION names (PS3.4 J.3.2)."""
REQUEST_COMMITMENT = 1
"""Action type of an N-ACTION (PS3.4 table J.3-1)."""
EVENT_TYPES = frozenset({1, 2})
"""All instances are committed; failures exist (PS3.4 table J.3-2)."""
TRANSACTION_UID = 0x00081195
