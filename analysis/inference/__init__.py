"""The only room that runs a network."""
