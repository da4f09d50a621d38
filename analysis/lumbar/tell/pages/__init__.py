"""The pictures for the reader."""
