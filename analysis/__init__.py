"""The science of lumbar-node: anatomy, segmentation and measurement; no DICOM."""
