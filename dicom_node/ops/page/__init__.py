"""The page for operators: shows what the node does, and what may be done about it."""
