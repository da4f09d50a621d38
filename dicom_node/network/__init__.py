"""Associations and DIMSE services; the only room with pynetdicom."""
