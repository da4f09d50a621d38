"""YAML to frozen, checked settings."""
