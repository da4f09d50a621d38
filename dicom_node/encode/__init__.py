"""Results to DICOM objects; the only room with highdicom."""
