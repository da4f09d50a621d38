"""Audit messages (PS3.15 A.5): made, spooled, and sent to a repository by syslog."""
