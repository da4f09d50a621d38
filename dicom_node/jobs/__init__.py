"""What is owed, and durably: the only room with dbos."""
