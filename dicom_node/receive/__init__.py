"""The acceptor's process: bytes from a socket become instances on disk."""
