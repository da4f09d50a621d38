"""DICOM instances to volumes."""
