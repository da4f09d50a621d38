"""The earlier examination: searched, fetched, compared, read."""
