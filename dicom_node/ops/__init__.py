"""Health and metrics over HTTP, in a process that watches and holds nothing up."""
