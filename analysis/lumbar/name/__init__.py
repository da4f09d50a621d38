"""Which disc is which."""
