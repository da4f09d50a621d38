"""The composition root: builds everything, starts it, keeps it alive, stops it."""
