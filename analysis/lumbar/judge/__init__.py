"""How far values can be trusted, and what they say of the person."""
