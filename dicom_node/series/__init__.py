"""When a series is complete, what lies on disk, and what may be removed."""
