"""Where a value stands among people of the same level, sex and age."""
